"""Models made known by name, as a user does it: in the models.toml of the configuration folder."""

from __future__ import annotations

import os

import tomlkit

from localembed.models.blocks import spec_block


def write_registry(config_home, specs) -> None:
    """Write the specs of all models that shall be known beside the package's own."""
    path = config_home / "localembed" / "models.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = {spec.name: spec_block(spec) for spec in specs}
    text = tomlkit.dumps({"models": blocks})
    if path.exists() and path.read_text() == text:
        return  # a disk that fails in a test is to fail in what is tested
    # Processes side by side may write and read it at the same time.
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)


def unpin_registry(monkeypatch, folder) -> None:
    """Know the package's models without hashes, so that a small model can have their names."""
    from localembed.models import registry

    models = tomlkit.parse(registry.registry_path().read_text())
    for block in models["models"].values():
        block.pop("sha256", None)
    path = folder / "unpinned.toml"
    path.write_text(tomlkit.dumps(models))
    monkeypatch.setattr(registry, "registry_path", lambda: path)
