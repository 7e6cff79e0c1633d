"""An ordinary repository: documents beside noise and secrets."""

from __future__ import annotations

from pathlib import Path

from tests.test_noise import SECRETS, records

MARK = "Zauberwort"
"""A word that only the secrets contain."""
NOISE = {
    "id_rsa": "secret",
    "config.py": "secret",
    "uv.lock": "generated",
    "fixtures.json": "data",
}
"""File → category of the reason why it is skipped."""


def write_repository(folder: Path) -> Path:
    """Write four documents, the files of NOISE, and a folder of installed packages."""
    for n in range(4):
        (folder / f"note{n}.md").write_text(f"Note {n} about quokkas.\n")
    (folder / "id_rsa").write_text(f"{MARK} of a key\n")
    (folder / "uv.lock").write_text("version = 1\n")
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "a.js").write_text("export {}\n")
    (folder / "config.py").write_text(f"# {MARK}\n{SECRETS['a Slack token'][1]}\n")
    (folder / "fixtures.json").write_text(records(600, indent=1))
    return folder
