"""List every model in the registry, and whether it is installed."""

from __future__ import annotations

from localembed.models.files import how_to_get, locate
from localembed.models.registry import load_specs
from localembed.models.safety import weight_bytes
from localembed.store.layout import Layout
from localembed.types.models import ListedModel, ModelSpec

_MIB = 1 << 20


def list_models(layout: Layout | None = None) -> list[ListedModel]:
    """Return every known model, with whether its files are on this machine.

    Raises:
        RegistryError: a models.toml cannot be read or is invalid.
    """
    return [_listed(spec) for spec in load_specs(layout).values()]


def _listed(spec: ModelSpec) -> ListedModel:
    folder = locate(spec) if spec.remote is None else None
    size = weight_bytes(folder) if folder else spec.size_mb * _MIB
    return ListedModel(spec, folder, size, None if folder or spec.remote else how_to_get(spec))
