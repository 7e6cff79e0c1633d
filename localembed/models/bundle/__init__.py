"""Bundles: models and an index as one file, for machines without a network."""

from localembed.models.bundle.contents import INDEX, Contents, Member
from localembed.models.bundle.creation import create_bundle
from localembed.models.bundle.installation import Installed, install_bundle
from localembed.models.bundle.reading import opened, verify_bundle

__all__ = [
    "INDEX", "Contents", "Installed", "Member", "create_bundle", "install_bundle", "opened",
    "verify_bundle",
]  # fmt: skip
