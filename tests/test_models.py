"""Users' own models: added, tried, verified, truncated, removed; and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat

import numpy as np
import pytest

import localembed
from localembed import models
from localembed.embedding import load_embedder
from localembed.errors import ModelChangedError, ModelNotFoundError, ModelRefusedError, UsageError
from localembed.models.add import add_model, remove_model, verify_models
from localembed.models.files import store_folder
from localembed.models.inspect_files import inspected
from localembed.models.registry import user_registry
from localembed.workspace.workspace import Workspace
from tests import families
from tests.conftest import current_table
from tests.registry import unpin_registry
from tests.static_model import DIM, write_static


@pytest.fixture
def folder(tmp_path):
    """A model's folder outside localembed's own."""
    return write_static(tmp_path / "tiny")


def weights(folder):
    return folder / "0_StaticEmbedding" / "model.safetensors"


def test_a_folder_is_inspected_hashed_and_written_down(folder):
    spec = add_model(folder)

    assert (spec.name, spec.dim, spec.pooling, spec.license) == ("tiny", DIM, "none", "mit")
    assert models.find_spec("tiny") == spec
    assert "README.md" not in spec.sha256
    for file, pinned in spec.sha256.items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == pinned
    assert {"modules.json", "0_StaticEmbedding/model.safetensors"} <= spec.sha256.keys()
    assert localembed.embed(["rotate the keys"], model="tiny").shape == (1, DIM)


def test_comments_in_the_users_registry_stay(folder):
    registry = user_registry()
    registry.write_text("# mine\n" + registry.read_text())

    add_model(folder)
    assert registry.read_text().startswith("# mine\n")
    assert "tiny" in models.load_specs()
    remove_model("tiny")

    assert registry.read_text().startswith("# mine\n")
    assert "tiny" not in models.load_specs()
    assert "fake" in models.load_specs()


def test_a_copy_leaves_out_what_is_not_read(folder):
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"graph")
    with pytest.raises(ModelRefusedError, match=r"pytorch_model\.bin may be a pickle"):
        add_model(folder)

    add_model(folder, copy=True)
    shutil.rmtree(folder)

    kept = store_folder("tiny")
    assert models.open_model("tiny").folder == kept
    names = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    assert "README.md" in names
    assert not any(name.endswith((".bin", ".onnx")) for name in names)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert remove_model("tiny") == (kept, None)
    assert not kept.exists()


def test_a_model_that_stays_where_it_is_is_never_removed(folder):
    add_model(folder)

    assert remove_model("tiny") == (None, folder)
    assert weights(folder).exists()
    with pytest.raises(ModelNotFoundError):
        remove_model("tiny")


def test_what_is_not_localembeds_cannot_be_removed():
    with pytest.raises(UsageError, match="nothing to remove"):
        remove_model("all-MiniLM-L6-v2")


def test_a_name_that_is_taken_is_refused(folder):
    add_model(folder)

    with pytest.raises(UsageError, match=r"There is already a model 'tiny'\. .* models rm tiny"):
        add_model(folder)


def test_what_the_registry_knows_of_a_name_is_kept(folder, monkeypatch, tmp_path):
    unpin_registry(monkeypatch, tmp_path)
    known = models.find_spec("static-retrieval-mrl-en-v1")
    with pytest.raises(ModelChangedError, match=r"its dim is 16, models\.toml says 1024"):
        add_model(folder, name=known.name)
    large = write_static(tmp_path / "large", dim=1024)

    spec = add_model(large, name=known.name)

    assert spec.smaller_dims == known.smaller_dims
    assert spec.good_for == known.good_for
    assert models.open_model(known.name).folder == large


@pytest.mark.parametrize("name", [family.name for family in families.FAMILIES])
def test_every_family_is_inspected_as_it_is(name, tmp_path):
    family = next(family for family in families.FAMILIES if family.name == name)
    folder = tmp_path / name
    folder.mkdir()
    families.build(family, folder)

    spec = add_model(folder, name=f"my-{name}")

    known = family.spec()
    assert (spec.dim, spec.pooling) == (known.dim, known.pooling)
    assert spec.normalize == (name != "static")
    if name != "static":
        assert spec.max_tokens == known.max_tokens
    vectors = localembed.embed(["rotate the keys", "bread and salt"], model=f"my-{name}")
    assert np.isfinite(vectors).all()
    assert abs(float(vectors[0] @ vectors[1])) < 0.9999 * np.linalg.norm(vectors[0]) * (
        np.linalg.norm(vectors[1])
    )


def test_prompts_are_taken_from_the_folder(folder):
    prompts = {"query": "query: ", "passage": "passage: "}
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))

    spec = inspected("tiny", folder)

    assert (spec.query_prompt, spec.document_prompt) == ("query: ", "passage: ")


REFUSED = {
    "code": ("modeling_x.py", "import os", "modeling_x.py is code"),
    "library": ("x.so", "elf", r"x\.so is code"),
    "pickle": ("pytorch_model.bin", "pickle", "may be a pickle"),
    "auto_map": ("config.json", '{"auto_map": {"AutoModel": "x.Y"}}', "has auto_map"),
    "nested": ("tokenizer_config.json", '{"a": [{"auto_map": 1}]}', "has auto_map"),
    "trust": (
        "sentence_bert_config.json",
        '{"model_args": {"trust_remote_code": true}}',
        "asks for trust_remote_code",
    ),
    "module": ("modules.json", '[{"path": "", "type": "evil.Module"}]', "names the module evil"),
    "folder": (
        "modules.json",
        '[{"path": "onnx", "type": "sentence_transformers.models.Dense"}]',
        "names the folder 'onnx' for a module",
    ),
    "kernel": (
        "config.json",
        '{"_attn_implementation": "someone/kernel"}',
        "names the attention kernel someone/kernel",
    ),
    "function": (
        "2_Dense/config.json",
        '{"activation_function": "os.system"}',
        r"names the function os\.system",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_whatever_could_run_code_is_refused_by_name(folder, what):
    add_model(folder)
    file, content, complaint = REFUSED[what]
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(content)

    with pytest.raises(ModelRefusedError, match=complaint) as refused:
        models.open_model("tiny")
    assert str(folder / file) in str(refused.value)
    assert refused.value.exit_code == 4
    with pytest.raises(ModelRefusedError):
        add_model(folder, name="again")
    assert "again" not in models.load_specs()


def test_a_folder_that_cannot_be_listed_is_named(folder, monkeypatch):
    add_model(folder)
    from localembed.models import safety

    def unreadable(_folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(safety, "_names", unreadable)

    with pytest.raises(ModelNotFoundError, match=r"cannot be read.*Permission denied"):
        models.open_model("tiny")


def test_weights_that_are_cut_off_are_refused(folder):
    whole = weights(folder).read_bytes()
    for content in (whole[: len(whole) // 2], whole[:4], b"", whole + b"x"):
        weights(folder).write_bytes(content)
        with pytest.raises(ModelChangedError, match="is incomplete"):
            add_model(folder)
    assert "tiny" not in models.load_specs()


def test_layers_that_the_weights_do_not_have_are_not_made_up(tmp_path):
    """The library would fill them with random numbers, and only warn."""
    folder = tmp_path / "bert"
    folder.mkdir()
    families.build(families.FAMILIES[0], folder)
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))

    with pytest.raises(ModelChangedError, match=r"3 layers in config\.json, but 2 stored"):
        add_model(folder)


@pytest.mark.parametrize("content", ["", "{", "3", "[3]"])
def test_a_broken_list_of_modules_is_refused_in_a_sentence(folder, content):
    (folder / "modules.json").write_text(content)

    with pytest.raises((ModelChangedError, ModelRefusedError), match=r"modules\.json"):
        add_model(folder)


@pytest.mark.parametrize("missing", ["modules.json", "0_StaticEmbedding/model.safetensors"])
def test_a_folder_that_is_no_model_is_refused(folder, missing):
    (folder / missing).unlink()

    with pytest.raises(ModelChangedError):
        add_model(folder)
    with pytest.raises(UsageError, match="is not a folder"):
        add_model(folder / "README.md")


def test_verifying_reads_every_file_and_names_the_changed_one(folder):
    add_model(folder)
    (found,) = verify_models(("tiny",))
    assert (found.problem, found.files) == ("", 4)

    pinned = hashlib.sha256(weights(folder).read_bytes()).hexdigest()
    raw = bytearray(weights(folder).read_bytes())
    raw[-1] ^= 1
    weights(folder).write_bytes(raw)
    (found,) = verify_models(("tiny",))

    assert str(weights(folder)) in found.problem
    assert pinned in found.problem
    assert hashlib.sha256(raw).hexdigest() in found.problem


@pytest.mark.parametrize("copy", [False, True])
def test_a_published_hash_is_compared_and_the_way_round_it_works(tmp_path, copy):
    known = models.find_spec("static-retrieval-mrl-en-v1")
    folder = write_static(tmp_path / "a folder" / known.name, dim=1024)

    with pytest.raises(ModelChangedError) as refused:
        add_model(folder, copy=copy)

    file = "0_StaticEmbedding/model.safetensors"
    found = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    assert f"its sha256 is {found}, expected {known.sha256[file]}" in str(refused.value)
    assert f"localembed models add '{folder}' --name NAME" in str(refused.value)
    assert models.find_spec(known.name) == known
    assert add_model(folder, name="mine", copy=copy).name == "mine"


def test_a_shorter_vector_is_the_first_numbers_at_length_one(tmp_path, monkeypatch):
    unpin_registry(monkeypatch, tmp_path)
    folder = write_static(tmp_path / "static-retrieval-mrl-en-v1", dim=1024)
    name = add_model(folder).name
    whole = localembed.embed(["rotate the keys"], model=name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("rotate the keys\n")
    workspace = Workspace(tmp_path / "ws", {"model": name, "dim": 64})

    workspace.index([tmp_path / "notes"])

    _, entry = current_table(workspace)
    assert (entry.dim, entry.chunks) == (64, 1)
    (hit,) = Workspace(tmp_path / "ws").query("rotate the keys", mode="vector")
    assert hit.score == pytest.approx(1.0, abs=1e-3)
    short = whole[0, :64] / np.linalg.norm(whole[0, :64])
    model = models.open_model(name, dim=64)
    vector = load_embedder(model.spec, model.folder).embed_query("rotate the keys")
    assert np.allclose(vector, short, atol=1e-6)
    # A plain run keeps the table's dimensions.
    assert not Workspace(tmp_path / "ws", {"model": name}).index().changed


def test_a_size_that_a_model_was_not_trained_for_is_refused(folder):
    add_model(folder)

    with pytest.raises(UsageError, match="does not support 8 dimensions; supported: 16"):
        models.open_model("tiny", dim=8)


def test_using_another_model_switches_queries_to_its_index(workspace, notes):
    (notes / "a.md").write_text("one two three\n")
    workspace.index()
    Workspace(workspace.folder, {"model": "other"}).index()
    plain = Workspace(workspace.folder)
    assert plain.status().model == "fake"

    assert plain.use_model("other")

    assert plain.status().model == "other"
    assert 'model = "other"' in plain.layout.config.read_text()
    assert plain.roots
    assert not plain.use_model("fake-256")
    with pytest.raises(ModelNotFoundError):
        plain.use_model("nothing")
