"""List every model in the registry, and whether it is installed."""

from __future__ import annotations

from localembed.models.files import how_to_get, locate
from localembed.models.registry import load_specs
from localembed.models.safety import weight_bytes
from localembed.store.layout import Layout

_MIB = 1 << 20


def list_models(layout: Layout | None = None) -> list[dict[str, object]]:
    """Return a row for every model, with whether its files are on this machine.

    Raises:
        RegistryError: a models.toml cannot be read or is invalid.
    """
    rows: list[dict[str, object]] = []
    for spec in load_specs(layout).values():
        folder = locate(spec) if spec.remote is None else None
        size = weight_bytes(folder) if folder else spec.size_mb * _MIB
        rows.append(
            {
                "name": spec.name,
                "backend": spec.backend,
                "installed": folder is not None,
                "dim": spec.dim,
                "smaller_dims": list(spec.smaller_dims),
                "max_tokens": spec.max_tokens,
                "license": spec.license,
                "languages": list(spec.languages),
                "good_for": spec.good_for,
                "bytes": size or None,
                "folder": str(folder) if folder else None,
                "server": spec.remote.base_url if spec.remote else None,
                "hint": None if folder or spec.remote else how_to_get(spec),
            }
        )
    return rows
