"""The user's folders, by the XDG rules or the platform's equivalent."""

from __future__ import annotations

from pathlib import Path

_APP = "localembed"


def user_workspace() -> Path:
    """Return the user-wide workspace, used if no parent folder has one."""
    return user_data() / "workspace"


def user_data() -> Path:
    """Return the folder for data to keep, such as models and measurements."""
    from platformdirs import user_data_path

    return user_data_path(_APP, appauthor=False)


def user_config() -> Path:
    """Return the folder of the user's config.toml and models.toml."""
    from platformdirs import user_config_path

    return user_config_path(_APP, appauthor=False)


def user_cache() -> Path:
    """Return the folder for data that can be computed again."""
    from platformdirs import user_cache_path

    return user_cache_path(_APP, appauthor=False)
