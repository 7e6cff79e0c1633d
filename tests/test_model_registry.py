"""models.toml: what is refused, which file takes precedence, and that changed files are noticed."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from functools import partial

import pytest

from localembed import models
from localembed.errors import ModelChangedError, ModelNotFoundError, RegistryError
from localembed.models import registry as known
from localembed.models.safety import weight_bytes
from localembed.store.layout import Layout
from localembed.types.json_forms import model_list_json

BLOCK = {
    "backend": '"fake"',
    "sources": '["path:/nowhere"]',
    "dim": "32",
    "max_tokens": "66",
    "pooling": '"mean"',
    "normalize": "true",
    "license": '"none"',
}


@pytest.fixture
def registry(own_home):
    """The user's own models.toml."""
    return own_home / "config" / "localembed" / "models.toml"


@pytest.fixture
def layout(tmp_path):
    """An empty workspace."""
    folder = tmp_path / "ws"
    folder.mkdir()
    return Layout(folder)


@pytest.fixture
def pinned(tmp_path, registry):
    """A model folder whose one file is pinned."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.safetensors").write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    sources = f'["path:{folder}"]'
    registry.write_text(block(sources=sources, sha256=f'{{ "w.safetensors" = "{sha256}" }}'))
    return folder


def block(name: str = "mine", without: str | None = None, **changes: str) -> str:
    keys = {key: value for key, value in {**BLOCK, **changes}.items() if key != without}
    return f"[models.{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def refusal(registry, content: str) -> str:
    registry.write_text(content)
    with pytest.raises(RegistryError) as refused:
        models.load_specs()
    assert str(refused.value).startswith(str(registry))
    return str(refused.value)


def test_an_unknown_key_is_refused_and_the_nearest_named(registry):
    near = refusal(registry, block(max_token="3"))
    far = refusal(registry, block(zzz="3"))

    assert near.endswith("[models.mine]: unknown key 'max_token'. Did you mean max_tokens?")
    assert "unknown key 'zzz'. Known keys: backend, sources, dim" in far


@pytest.mark.parametrize("key", BLOCK)
def test_a_missing_key_is_named(registry, key):
    message = refusal(registry, block(without=key))

    assert message.endswith(f"[models.mine]: the key '{key}' is missing.")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backend", '"unknown"'),
        ("backend", "3"),
        ("backend", '["fake"]'),
        ("sources", '"path:/x"'),
        ("sources", "[3]"),
        ("sources", '["http://example.org/x"]'),
        ("sources", "[]"),
        ("sources", '["hub:no-revision/x"]'),
        ("smaller_dims", "[32]"),
        ("smaller_dims", "32"),
        ("size_mb", "0"),
        ("languages", '"en"'),
        ("good_for", "3"),
        ("dim", "0"),
        ("dim", "true"),
        ("dim", "1.5"),
        ("max_tokens", "17"),
        ("max_tokens", '"66"'),
        ("pooling", '"max"'),
        ("pooling", '["mean"]'),
        ("normalize", "1"),
        ("license", "3"),
        ("query_prompt", "3"),
        ("document_prompt", "[]"),
        ("sha256", '"abc"'),
        ("sha256", '{ "w.safetensors" = 3 }'),
    ],
)
def test_a_wrong_value_is_refused_and_its_key_named(registry, key, value):
    message = refusal(registry, block(**{key: value}))

    assert f"[models.mine]: {key} must be " in message


@pytest.mark.parametrize("content", ["[models.x\n", "models = 3\n", "[models]\nx = 3\n", "[m.x]\n"])
def test_a_file_that_is_no_registry_is_named(registry, content):
    refusal(registry, content)


def test_a_user_file_adds_models_and_wins_and_the_workspace_only_adds(registry, layout):
    packaged = models.find_spec("all-MiniLM-L6-v2")
    registry.write_text(block("all-MiniLM-L6-v2", dim="7") + block("mine", dim="8"))
    layout.models.write_text(block("theirs", dim="9") + block("mine", dim="8"))

    assert packaged.dim == 384
    assert models.find_spec("all-MiniLM-L6-v2").dim == 7
    assert models.find_spec("mine").dim == 8
    assert models.find_spec("theirs", layout).dim == 9
    names = [listed.spec.name for listed in models.list_models(layout)]
    assert (names[0], names[-1]) == ("all-MiniLM-L6-v2", "theirs")
    assert len(set(names)) == len(names)


SERVER = """backend = "openai"\nmodel = "m"\ndim = 16\nmax_tokens = 128\n"""


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (block("all-MiniLM-L6-v2"), "changes what a model that you know by this name is"),
        (block("All-MiniLM-l6-V2"), "changes what a model that you know by this name is"),
        (block("mine", dim="9"), "changes what a model that you know by this name is"),
        (block("mine", query_prompt='"x"'), "changes what a model that you know by this name is"),
        (f'[models.new]\n{SERVER}base_url = "http://127.0.0.1:9/v1"\n', "names a server"),
        (f'[models.new]\n{SERVER}base_url = "http://localhost:9/v1"\n', "names a server"),
        (f'[models.new]\n{SERVER}base_url = "http://ip6-localhost:9/v1"\n', "names a server"),
        (f'[models.new]\n{SERVER}base_url = "https://evil.example/v1"\n', "names a server"),
        (f'[models.all-MiniLM-L6-v2]\n{SERVER}base_url = "http://[::1]/v1"\n', "names a server"),
        (
            f'[models.text-embedding-3-small]\n{SERVER}base_url = "https://evil.example/v1"\n',
            "names a server",
        ),
    ],
)
def test_a_workspace_names_no_server_and_changes_no_known_model(registry, layout, theirs, reason):
    registry.write_text(block("mine", dim="8"))
    layout.models.write_text(theirs)

    for call in (models.load_specs, partial(models.find_spec, "mine"), models.list_models):
        with pytest.raises(RegistryError) as refused:
            call(layout)
        message = str(refused.value)
        assert message.startswith(f"{layout.models}, [models.")
        assert reason in message
        assert f"put the block into {registry}" in message


def test_what_the_user_has_as_well_a_workspace_may_say(registry, layout):
    server = f'[models.new]\n{SERVER}base_url = "http://127.0.0.1:9/v1"\n'
    registry.write_text(server)
    layout.models.write_text(server)
    assert models.find_spec("new", layout).remote is not None

    layout.models.write_text(server.replace(":9/", ":10/"))
    with pytest.raises(RegistryError, match="names a server"):
        models.find_spec("new", layout)


def test_an_unknown_model_suggests_the_nearest(registry):
    registry.write_text(block("mine"))

    with pytest.raises(ModelNotFoundError, match=r"'mien' is not .* Did you mean mine\?"):
        models.open_model("mien")
    with pytest.raises(ModelNotFoundError, match=r"models.toml\. Run: localembed models list"):
        models.open_model("zzzzzzzz")


def test_a_model_whose_folder_is_missing_names_the_places(registry):
    registry.write_text(block(sources='["package:no_such_package/model", "path:/nowhere"]'))

    with pytest.raises(ModelNotFoundError) as missing:
        models.open_model("mine")
    assert "(looked in: package:no_such_package/model, path:/nowhere)" in str(missing.value)
    (row,) = [
        row for row in model_list_json(models.list_models(), {})["models"] if row["name"] == "mine"
    ]
    assert (row["installed"], row["bytes"]) == (False, None)
    assert row["hint"] == str(missing.value)


def test_a_source_in_a_package_inside_a_missing_package_is_no_bug(registry):
    registry.write_text(block(sources='["package:no_such_package.inner/model"]'))

    with pytest.raises(ModelNotFoundError):
        models.open_model("mine")


def test_no_package_is_imported_to_find_a_model_in_it(registry, tmp_path, monkeypatch):
    inner = tmp_path / "a_package" / "inner" / "model"
    inner.mkdir(parents=True)
    (tmp_path / "a_package" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    registry.write_text(block(sources='["package:a_package.inner/model"]'))

    assert models.open_model("mine").folder == inner


def test_the_first_source_that_is_there_is_taken(registry, tmp_path):
    registry.write_text(block(sources=f'["path:/nowhere", "path:{tmp_path}", "path:/"]'))

    assert models.open_model("mine").folder == tmp_path


def test_a_source_in_the_home_may_be_written_with_a_tilde(registry, own_home):
    (own_home / "m").mkdir()
    registry.write_text(block(sources='["path:~/m"]'))

    assert models.open_model("mine").folder == own_home / "m"


def test_a_pinned_file_that_is_missing_is_named(pinned):
    (pinned / "w.safetensors").unlink()

    with pytest.raises(ModelChangedError, match=re.escape(str(pinned / "w.safetensors"))):
        models.open_model("mine")


def test_a_changed_file_is_refused_with_both_hashes(pinned):
    models.open_model("mine")
    (pinned / "w.safetensors").write_bytes(b"another")

    with pytest.raises(ModelChangedError) as changed:
        models.open_model("mine")

    for content in (b"weights", b"another"):
        assert hashlib.sha256(content).hexdigest() in str(changed.value)
    assert str(pinned / "w.safetensors") in str(changed.value)


def test_an_edit_with_the_same_size_and_mtime_is_noticed(pinned):
    models.open_model("mine")
    file = pinned / "w.safetensors"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=times)

    with pytest.raises(ModelChangedError):
        models.open_model("mine")


def test_hashes_are_remembered_by_stat_and_made_anew_after_an_edit(pinned, own_home):
    memory = own_home / "cache" / "localembed" / "model_hashes.json"
    models.open_model("mine")
    first = memory.read_text()
    assert hashlib.sha256(b"weights").hexdigest() in first
    written = memory.stat().st_mtime_ns

    models.open_model("mine")
    assert memory.stat().st_mtime_ns == written

    (pinned / "w.safetensors").touch()
    models.open_model("mine")
    assert memory.read_text() != first


@pytest.mark.parametrize("content", ["{", "[]", '{"x": 3}'])
def test_a_broken_memory_of_hashes_is_made_anew(pinned, own_home, content):
    memory = own_home / "cache" / "localembed" / "model_hashes.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(content)

    models.open_model("mine")

    assert hashlib.sha256(b"weights").hexdigest() in memory.read_text()


@pytest.mark.parametrize("entry", [{"stat": [0]}, {"sha256": "x"}, 3])
def test_a_broken_entry_of_the_memory_is_made_anew(pinned, own_home, entry):
    import json

    memory = own_home / "cache" / "localembed" / "model_hashes.json"
    memory.parent.mkdir(parents=True)
    file = pinned / "w.safetensors"
    if isinstance(entry, dict) and "stat" in entry:
        stat = file.stat()
        entry = {"stat": [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]}
    memory.write_text(json.dumps({str(file.resolve()): entry}))

    assert models.open_model("mine").folder == pinned


def test_a_cache_that_cannot_be_written_is_survived(pinned, own_home):
    (own_home / "cache").write_text("a file, not a folder")

    assert models.open_model("mine").folder == pinned
    assert models.open_model("mine").folder == pinned


def test_the_space_changes_with_files_prompts_and_pooling_and_nothing_else(registry, tmp_path):
    def space(content: bytes = b"weights", **changes: str) -> str:
        (tmp_path / "w.safetensors").write_bytes(content)
        registry.write_text(block(sources=f'["path:{tmp_path}"]', **changes))
        return models.open_model("mine").space_id

    base = space()

    assert space() == base
    assert space(license='"another"', max_tokens="99") == base
    others = [
        space(b"others"),
        space(pooling='"cls"'),
        space(normalize="false"),
        space(dim="33"),
        space(query_prompt='"query: "'),
        space(document_prompt='"query: "'),
    ]
    assert len({base, *others}) == 7


def test_the_packaged_model_is_here_and_its_hashes_are_right(minilm):
    model = models.open_model(minilm)

    assert model.folder.is_dir()
    assert "model.safetensors" in model.spec.sha256
    for name, pinned_hash in model.spec.sha256.items():
        assert hashlib.sha256((model.folder / name).read_bytes()).hexdigest() == pinned_hash


def test_the_packaged_registry_pins_every_model_that_it_ships():
    for spec in models.load_specs().values():
        if any(source.startswith("package:") for source in spec.sources):
            assert spec.sha256, spec.name


def test_weights_in_the_folder_of_a_module_decide_the_space(tmp_path, registry):
    folder = tmp_path / "model"
    (folder / "0_StaticEmbedding").mkdir(parents=True)
    weights = folder / "0_StaticEmbedding" / "model.safetensors"
    tokenizer = folder / "0_StaticEmbedding" / "tokenizer.json"
    weights.write_bytes(b"weights")
    tokenizer.write_bytes(b"{}")
    registry.write_text(block(sources=f'["path:{folder}"]'))
    first = models.open_model("mine").space_id
    assert weight_bytes(folder) == 7

    weights.write_bytes(b"others")
    second = models.open_model("mine").space_id
    tokenizer.write_bytes(b"{ }")

    assert len({first, second, models.open_model("mine").space_id}) == 3


def test_a_file_that_says_the_same_is_taken_apart_once(tmp_path, monkeypatch):
    path = tmp_path / "models.toml"
    parsed = []
    real = tomllib.loads
    monkeypatch.setattr(
        "localembed.models.registry.tomllib.loads", lambda text: parsed.append(1) or real(text)
    )
    block = "\n".join(["[models.tiny]", *(f"{key} = {value}" for key, value in BLOCK.items())])
    path.write_text(block)
    first, second = known.read_registry(path), known.read_registry(path)
    first.clear()
    assert second["tiny"].dim == 32
    assert known.read_registry(path) == second
    path.write_text(block.replace("32", "16"))
    assert known.read_registry(path)["tiny"].dim == 16
    assert len(parsed) == 2
