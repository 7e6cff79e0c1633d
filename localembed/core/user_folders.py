"""The user's own folders, by the XDG rules or the platform's equivalent of them."""

from __future__ import annotations

from pathlib import Path

_APP = "localembed"


def user_workspace() -> Path:
    """Return the user-wide workspace, used where no folder above has one."""
    return user_data() / "workspace"


def user_data() -> Path:
    """Return where what the user had measured is kept."""
    from platformdirs import user_data_path

    return user_data_path(_APP, appauthor=False)


def user_config() -> Path:
    """Return where the user's own config.toml and models.toml lie."""
    from platformdirs import user_config_path

    return user_config_path(_APP, appauthor=False)


def user_cache() -> Path:
    """Return where what can be found out again is remembered."""
    from platformdirs import user_cache_path

    return user_cache_path(_APP, appauthor=False)
