"""API keys from the environment or the keyring, each for one host only."""

from __future__ import annotations

import os

from localembed.errors import RemoteModelError
from localembed.types.models import RemoteSpec

_OPENAI = "api.openai.com"
_SERVICE = "localembed"
"""Service name of the keys in the keyring; the user name is the host."""


def find_key(remote: RemoteSpec, host: str, *, is_here: bool) -> str | None:
    """Return the key for a host, None if there is none and none is required.

    OPENAI_API_KEY is for OpenAI: no other host gets it unless the model's block says so.

    Raises:
        RemoteModelError: a key is required and there is none, or none that can be sent.
    """
    variable = key_variable(remote, host)
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


def key_variable(remote: RemoteSpec, host: str) -> str:
    """Return the name of the variable with the key for a host, empty if there is none."""
    return remote.api_key_env or ("OPENAI_API_KEY" if host == _OPENAI else "")


def _checked(key: str, host: str) -> str:
    """Return the key if it fits into a header; the library's error would show one that does not.

    Raises:
        RemoteModelError: the key contains a character that no key has.
    """
    if key.isascii() and key.isprintable() and " " not in key:
        return key
    message = (
        f"The key for {host} contains a space, a line break or a letter that no key has. Check "
        "that exactly the key was copied."
    )
    raise RemoteModelError(message)


def _from_keyring(host: str) -> str:
    """Return a stored key, an empty string without a keyring."""
    try:
        import keyring

        return (keyring.get_password(_SERVICE, host) or "").strip()
    except Exception:  # noqa: BLE001 - each backend has its own errors
        return ""
