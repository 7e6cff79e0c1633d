"""Models and an index as one file: what carries them to a machine without a network."""

from localembed.bundle.contents import Contents
from localembed.bundle.creation import create_bundle
from localembed.bundle.installation import Installed, install_bundle
from localembed.bundle.reading import verify_bundle

__all__ = ["Contents", "Installed", "create_bundle", "install_bundle", "verify_bundle"]
