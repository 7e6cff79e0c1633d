"""Bundles: models and an index as one file, for machines without a network."""

from localembed.models.bundle.contents import Contents
from localembed.models.bundle.creation import create_bundle
from localembed.models.bundle.installation import Installed, install_bundle
from localembed.models.bundle.reading import verify_bundle

__all__ = ["Contents", "Installed", "create_bundle", "install_bundle", "verify_bundle"]
