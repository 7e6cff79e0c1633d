"""`models pull`: the one way online, against a hub on the loopback."""

from __future__ import annotations

import hashlib
import json

import pytest

from localembed import models
from localembed.models.files import read_pins, store_folder
from localembed.types.models import ModelSpec
from tests.hub import COMMIT, Hub
from tests.registry import write_registry
from tests.static_model import DIM, write_static


@pytest.fixture
def hub(tmp_path, own_home, monkeypatch):
    """A hub that publishes one model, which is known as `far`."""
    hub = Hub()
    folder = write_static(tmp_path / "published")
    # Other published files are not downloaded.
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"graph")
    hub.folders["someone/far"] = folder
    know(own_home)
    monkeypatch.setenv("HF_HOME", str(own_home / "hf"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "5")
    with hub.running() as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield hub


def know(own_home, **changes):
    block = {
        "name": "far",
        "backend": "sentence-transformers",
        "sources": (f"hub:someone/far@{COMMIT}",),
        "dim": DIM,
        "max_tokens": 64,
        "pooling": "none",
        "normalize": True,
        "license": "MIT",
    }
    write_registry(own_home / "config", [ModelSpec(**{**block, **changes})])


def pull(real_cli, *options):
    return real_cli("models", "pull", "far", *options)


def fetched(hub, file):
    return [asked for method, path, asked in hub.requests if method == "GET" and file in path]


def test_nothing_goes_online_without_being_told_to(hub, real_cli):
    done = pull(real_cli)

    assert done.returncode == 6
    assert "Add: --allow-network" in done.stderr
    assert hub.requests == []
    missing = real_cli("index", ".", env={"LOCALEMBED_MODEL": "far"})
    assert missing.returncode == 4
    assert "Run: localembed models pull far --allow-network" in missing.stderr
    assert hub.requests == []


def test_a_model_is_fetched_compared_pinned_and_used(hub, real_cli):
    done = pull(real_cli, "--allow-network", "--json")

    assert done.returncode == 0, done.stderr
    folder = store_folder("far")
    answer = json.loads(done.stdout)
    assert (answer["model"], answer["folder"]) == ("far", str(folder))
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "README.md", "config_sentence_transformers.json", "modules.json",
        "0_StaticEmbedding/model.safetensors", "0_StaticEmbedding/tokenizer.json",
    }  # fmt: skip
    assert answer["fetched_bytes"] == sum((folder / name).stat().st_size for name in names)
    assert read_pins("far").keys() == names - {"README.md"}
    assert models.open_model("far").folder == folder
    assert [path.name for path in folder.parent.iterdir()] == ["far"]
    again = pull(real_cli, "--allow-network")
    assert "is already installed" in again.stdout
    assert len(fetched(hub, "model.safetensors")) == 1
    assert set(hub.tokens) == {None}


def test_the_variable_and_the_users_file_allow_it_too(hub, real_cli, own_home):
    assert real_cli("models", "pull", "far", env={"LOCALEMBED_ALLOW_NETWORK": "1"}).returncode == 0


def test_a_changed_file_of_a_fetched_model_is_refused_with_both_hashes(hub, real_cli):
    pull(real_cli, "--allow-network")
    path = store_folder("far") / "0_StaticEmbedding" / "model.safetensors"
    pinned = read_pins("far")["0_StaticEmbedding/model.safetensors"]
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)

    done = real_cli("index", ".", env={"LOCALEMBED_MODEL": "far"})

    assert done.returncode == 4
    assert pinned in done.stderr
    verified = real_cli("models", "verify", "far")
    assert (verified.returncode, "wrong" in verified.stdout) == (4, True)


def test_a_download_that_breaks_off_goes_on_where_it_was(hub, real_cli, own_home, tmp_path):
    """The library writes downloads in blocks of 10 MiB."""
    dim = 100_000
    hub.folders["someone/far"] = write_static(tmp_path / "large", dim=dim)
    know(own_home, dim=dim)
    hub.breaks_off["0_StaticEmbedding/model.safetensors"] = 11 << 20

    done = pull(real_cli, "--allow-network")

    assert done.returncode == 0, done.stderr
    first, second = fetched(hub, "model.safetensors")
    assert (first, second) == (None, f"bytes={10 << 20}-")


def test_a_download_that_was_killed_goes_on_in_the_next_command(hub, real_cli):
    hub.status["tokenizer.json"] = 404
    assert pull(real_cli, "--allow-network").returncode == 4
    assert models.list_models()[-1].folder is None
    del hub.status["tokenizer.json"]
    hub.requests.clear()

    assert pull(real_cli, "--allow-network").returncode == 0

    assert fetched(hub, "model.safetensors") == []


@pytest.mark.parametrize("file", ["0_StaticEmbedding/model.safetensors", "modules.json"])
def test_what_is_not_the_published_file_is_not_installed(hub, real_cli, file):
    content = bytearray((hub.folders["someone/far"] / file).read_bytes())
    content[-1] ^= 1
    hub.swapped[file] = bytes(content)

    done = pull(real_cli, "--allow-network")

    assert done.returncode == 4
    assert f"The downloaded {file}" in done.stderr
    assert not store_folder("far").exists()
    del hub.swapped[file]
    assert pull(real_cli, "--allow-network").returncode == 0


WEIGHTS = "0_StaticEmbedding/model.safetensors"


@pytest.mark.parametrize("file", [WEIGHTS, "modules.json", "merges.txt"])
def test_a_file_that_was_not_published_is_refused_with_both_hashes(hub, real_cli, own_home, file):
    know(own_home, sha256={file: "0" * 64})
    path = hub.folders["someone/far"] / file

    done = pull(real_cli, "--allow-network")

    assert done.returncode == 4
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "missing"
    assert f"its sha256 is {found}, models.toml says {'0' * 64}" in done.stderr
    assert "localembed models add FOLDER --name NAME" in done.stderr
    assert not store_folder("far").exists()
    if file != "modules.json":  # the hub itself says so, before the download
        assert fetched(hub, WEIGHTS) == []


def test_files_with_a_published_hash_are_compared_and_the_others_counted(hub, real_cli, own_home):
    path = hub.folders["someone/far"] / WEIGHTS
    know(own_home, sha256={WEIGHTS: hashlib.sha256(path.read_bytes()).hexdigest()})
    assert "far" in real_cli("models", "list").stdout

    done = pull(real_cli, "--allow-network")

    assert done.returncode == 0, done.stderr
    assert "4 files of 5 had no published hash in models.toml" in done.stderr
    listed = json.loads(real_cli("models", "list", "--json").stdout)["models"]
    assert {row["name"]: row["pinned_files"] for row in listed}["far"] == 1
    assert "1 file pinned" in real_cli("models", "list").stdout


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("code", "auto_map"),
        ("dim", "has 16 dimensions, but models.toml says 17"),
        ("weights", "has no safetensors weights"),
        ("cut off", "is incomplete"),
    ],
)
def test_a_model_that_cannot_be_used_is_not_installed(hub, real_cli, own_home, change, complaint):
    published = hub.folders["someone/far"]
    weights = published / "0_StaticEmbedding" / "model.safetensors"
    if change == "code":
        (published / "config.json").write_text('{"auto_map": {}}')
    elif change == "dim":
        know(own_home, dim=DIM + 1)
    elif change == "weights":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-4])

    done = pull(real_cli, "--allow-network")

    assert done.returncode == 4, done.stderr
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not store_folder("far").exists()
    assert not read_pins("far")
    assert real_cli("models", "rm", "far").returncode == 0
    assert list(store_folder("far").parent.glob("*")) == []


def test_a_wrong_block_is_fixed_without_another_download(hub, real_cli, own_home):
    know(own_home, dim=DIM + 1)
    assert pull(real_cli, "--allow-network").returncode == 4
    know(own_home)
    hub.requests.clear()

    assert pull(real_cli, "--allow-network").returncode == 0

    assert fetched(hub, "model.safetensors") == []


@pytest.mark.parametrize(
    ("status", "complaint"), [(404, "returned 404"), (500, "returned 500"), (401, "returned 401")]
)
def test_what_the_hub_answers_is_said_in_a_sentence(hub, real_cli, status, complaint):
    hub.status["/api/"] = status

    done = pull(real_cli, "--allow-network")

    assert done.returncode == 4
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_behind_a_licence_says_where_to_accept_it(hub, real_cli):
    hub.gated.add("someone/far")

    done = pull(real_cli, "--allow-network")

    assert done.returncode == 4
    assert "must accept the licence of" in done.stderr
    assert "/someone/far, then set HF_TOKEN" in done.stderr
    opened = real_cli("models", "pull", "far", "--allow-network", env={"HF_TOKEN": "hf_secret"})
    assert opened.returncode == 0, opened.stderr
    assert "hf_secret" not in opened.stdout + opened.stderr


def test_a_hub_that_is_not_there_is_said_in_a_sentence(hub, real_cli):
    done = real_cli(
        "models", "pull", "far", "--allow-network", env={"HF_ENDPOINT": "http://127.0.0.1:9"}
    )

    assert done.returncode == 4
    assert "cannot be downloaded from http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_without_a_hub_cannot_be_pulled(real_cli, own_home):
    know(own_home, sources=("path:/nowhere",))

    done = pull(real_cli, "--allow-network")

    assert done.returncode == 2
    assert "Model 'far' is not on a hub; its sources: path:/nowhere" in done.stderr
