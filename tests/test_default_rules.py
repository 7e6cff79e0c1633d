"""What is skipped by its name alone: secrets, and what tools generate."""

from __future__ import annotations

import os

import pytest

from localembed.sources import WalkRules, walk
from localembed.sources.default_rules import default_reason
from localembed.types.documents import DEFAULT_CATEGORIES, Note, Root

SKIPPED = {
    "secret": (
        "id_rsa id_ed25519 server.pem prod.key putty.ppk store.p12 wallet.kdbx .env .env.local "
        "secret.env .netrc .npmrc .pypirc .pgpass .git-credentials .htpasswd terraform.tfstate "
        "terraform.tfstate.backup prod.tfvars credentials.json client_secret_12.apps.json "
        "secrets.yaml kubeconfig ID_RSA Prod.PEM service-account-prod.json"
    ),
    "generated": (
        "go.sum package-lock.json yarn.lock uv.lock flake.lock bun.lockb packages.lock.json "
        "pylock.dev.toml app.min.js site.min.css app.bundle.js 12.chunk.js app.js.map user_pb2.py "
        "user_pb2_grpc.py user.pb.go api.pb.h model.g.dart Form.Designer.cs client.generated.ts "
        "zz_generated.deepcopy.go moc_window.cpp App.test.js.snap lcov.info SHA256SUMS a.md5 "
        "notes.txt~ .a.swp film.part Thumbs.db"
    ),
}
TAKEN = (
    "README.md keys.md monkey.py keyboard.md env.py environment.md secrets.py secret.md pem.txt "
    ".env.example example.env .env.sample secrets.example.yaml credentials.md locks.md lock.py "
    "package.json map.md maps.py min.js pb2.py snap.txt tokens.txt id_rsa.md id_rsa.pub "
    "snapshot.md designer.cs go.mod Cargo.toml bundle.js terraform.tf ünïcode.md"
)


@pytest.mark.parametrize(
    ("category", "name"), [(c, name) for c, names in SKIPPED.items() for name in names.split()]
)
def test_a_name_is_skipped_with_a_category(category, name):
    reason = default_reason(os.fsencode(name), is_folder=False)

    assert reason is not None
    assert Note(b"", reason).category == category
    assert category in DEFAULT_CATEGORIES
    assert default_reason(os.fsencode(name), is_folder=True) is None


@pytest.mark.parametrize("name", TAKEN.split())
def test_a_name_that_only_resembles_one_is_taken(name):
    assert default_reason(os.fsencode(name), is_folder=False) is None


@pytest.mark.parametrize("name", ["node_modules", "__pycache__", "x.egg-info", "__snapshots__"])
def test_folders_of_tools_are_skipped(name):
    assert default_reason(os.fsencode(name), is_folder=True)
    assert default_reason(os.fsencode(name), is_folder=False) is None


def test_a_name_that_is_no_utf8_is_judged_like_any_other():
    assert default_reason(b"\xff\xfe.md", is_folder=False) is None
    assert default_reason(b"\xff.pem", is_folder=False)


def found(folder, scope=b"", **options) -> dict[str, bool]:
    """Return the files of a walk, each with whether noise in it is skipped."""
    root = Root("r", os.fsencode(folder), **options)
    files = walk(root, WalkRules(1000), scope).files
    return {os.fsdecode(file.path): file.skips_noise for file in files}


def test_only_our_own_ignore_file_takes_back_a_secret_or_noise(tmp_path):
    for name in ("id_rsa", "uv.lock", "fixtures.json", "a.md"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".gitignore").write_text("*\n!id_rsa\n!uv.lock\n!*.json\n!a.md\n")

    assert found(tmp_path) == {"a.md": True, "fixtures.json": True}
    (tmp_path / ".localembedignore").write_text("!uv.lock\n!fixtures.json\n")
    assert found(tmp_path) == {"a.md": True, "fixtures.json": False, "uv.lock": False}
    assert found(tmp_path, b"fixtures.json") == {"fixtures.json": False}
    assert found(tmp_path, b"a.md") == {"a.md": True}


def test_what_is_named_as_a_root_or_wanted_with_no_ignore_is_taken_as_it_is(tmp_path):
    (tmp_path / "id_rsa").write_text("x")

    assert found(tmp_path / "id_rsa") == {"": False}
    assert found(tmp_path, no_ignore=True) == {"id_rsa": False}
    assert found(tmp_path) == {}
