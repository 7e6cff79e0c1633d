"""The wheel contains the package, its model registry and its types, and nothing else."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import PROJECT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built without the network."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", PROJECT, "--no-deps", "--no-build-isolation", "--no-index", "-w", folder)
    built: Path
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel) -> list[str]:
    """Paths inside the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def pip(*arguments) -> None:
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, *map(os.fspath, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_installed_wheel_finds_its_registry(wheel, tmp_path):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip("install", "--no-deps", "--no-index", "--target", target, wheel)
    code = (
        "from localembed import models\n"
        "print(models.registry_path())\n"
        "print(*models.load_specs())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere,
        env={
            **os.environ,
            "PYTHONPATH": str(target),
            "XDG_CONFIG_HOME": str(elsewhere),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    path, models = done.stdout.splitlines()
    assert path == str(target / "localembed" / "models.toml")
    assert "all-MiniLM-L6-v2" in models.split()
    assert Path(path).read_bytes() == (PROJECT / "models.toml").read_bytes()


def test_the_wheel_holds_every_module_and_no_tests(names):
    modules = {
        path.relative_to(PROJECT).as_posix() for path in (PROJECT / "localembed").rglob("*.py")
    }
    inside = {name for name in names if ".dist-info/" not in name}

    assert inside == modules | {
        "localembed/models.toml", "localembed/py.typed", "localembed/search/calibrations.json",
    }  # fmt: skip


def test_the_wheel_names_the_licence_and_the_command(wheel, names):
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    (entries,) = [name for name in names if name.endswith("/entry_points.txt")]
    with zipfile.ZipFile(wheel) as archive:
        assert "localembed = localembed.__main__:main" in archive.read(entries).decode()


def test_the_version_of_the_wheel_is_that_of_the_package(wheel):
    import localembed

    assert wheel.name.startswith(f"localembed-{localembed.__version__}-py3-none-any")
