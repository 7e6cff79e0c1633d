"""The key of a server: from the environment or the keyring, for this server only."""

from __future__ import annotations

import os

from localembed.errors import RemoteModelError
from localembed.types.models import RemoteSpec

_OPENAI = "api.openai.com"
_SERVICE = "localembed"
"""Under which keys lie in the keyring, by host."""


def find_key(remote: RemoteSpec, host: str, *, is_here: bool) -> str | None:
    """Return the key for a server, None if it needs none that is known.

    The variable OPENAI_API_KEY is OpenAI's own: no other server gets it unless its block says so.

    Raises:
        RemoteModelError: the server wants a key, and there is none, or none that can be sent.
    """
    variable = remote.api_key_env or ("OPENAI_API_KEY" if host == _OPENAI else "")
    key = os.environ.get(variable, "").strip() if variable else ""
    if not key and not (is_here and not variable):
        key = _from_keyring(host)
    if key:
        return _checked(key, host)
    if variable:
        message = (
            f"There is no key for {host}. Put it into the variable {variable}, or into the "
            f"keyring with: keyring set {_SERVICE} {host}"
        )
        raise RemoteModelError(message)
    return None


def _checked(key: str, host: str) -> str:
    """Return the key; what cannot be sent in a header would be shown in the library's error.

    Raises:
        RemoteModelError: it has a character that no key has.
    """
    if key.isascii() and key.isprintable() and " " not in key:
        return key
    message = (
        f"The key for {host} holds a space, a line break or a letter that no key has. Look whether "
        "it was copied whole, and nothing else with it."
    )
    raise RemoteModelError(message)


def _from_keyring(host: str) -> str:
    """Return a stored key; where there is no keyring, none."""
    try:
        import keyring

        return (keyring.get_password(_SERVICE, host) or "").strip()
    except Exception:  # noqa: BLE001 - each backend has errors of its own
        return ""
