"""Settings and roots: who wins, what is refused, and what a written config.toml keeps."""

from __future__ import annotations

import pytest

from localembed.errors import TooNewError, UsageError
from localembed.store.layout import Layout
from localembed.types.documents import Root
from localembed.workspace import config_file
from localembed.workspace.settings import Settings, resolve

VALUES = {
    "model": ("m1", "m2", "m3", "m4"),
    "preset": ("rag", "search", "kb", "rag"),
    "chunk_tokens": (101, 102, 103, 104),
    "overlap": (1, 2, 3, 4),
    "dim": (1, 2, 3, 4),
    "vector_type": ("float32", "float16", "float32", "float16"),
    "precision": ("fp32", "bf16", "auto", "fp16"),
    "device": ("cpu", "cuda:1", "auto", "mps"),
    "engine": ("fused", "openvino", "auto", "compile"),
    "batch_tokens": (1001, 1002, 1003, 1004),
    "threads": (1, 2, 3, 4),
    "max_file_size": (1001, 1002, 1003, 1004),
    "top_k": (1, 2, 3, 4),
    "per_file": (1, 3, 4, 5),
    "mode": ("vector", "text", "hybrid", "vector"),
    "commit_seconds": (1, 2, 3, 4),
    "keep_versions": (1, 2, 3, 4),
    "resident_minutes": (1, 2, 3, 4),
    "resident_memory": (1001, 1002, 1003, 1004),
}
"""Setting → what the flag, the variable, the workspace and the user's file say."""


@pytest.fixture
def layout(tmp_path):
    """An empty workspace."""
    folder = tmp_path / "ws"
    folder.mkdir()
    return Layout(folder)


@pytest.fixture
def user_file(own_home):
    """Where the user's own config.toml lies."""
    return own_home / "config" / "localembed" / "config.toml"


def toml(name, value) -> str:
    return f"{name} = {value!r}\n".replace("'", '"')


def test_every_setting_is_tried_below():
    assert [*VALUES, "allow_network"] == list(Settings.__slots__)


@pytest.mark.parametrize("name", VALUES)
def test_a_flag_wins_over_variable_workspace_user_and_default(name, layout, user_file, monkeypatch):
    flag, variable, workspace, user = VALUES[name]
    default = getattr(Settings(), name)

    assert winner(name, layout) == (default, "default")
    user_file.write_text(toml(name, user))
    assert winner(name, layout) == (user, str(user_file))
    layout.config.write_text(toml(name, workspace))
    assert winner(name, layout) == (workspace, str(layout.config))
    monkeypatch.setenv(f"LOCALEMBED_{name.upper()}", str(variable))
    assert winner(name, layout) == (variable, f"LOCALEMBED_{name.upper()}")
    assert winner(name, layout, flag) == (flag, "flag")


def test_only_the_user_can_let_commands_go_online(layout, user_file, monkeypatch):
    assert winner("allow_network", layout) == (False, "default")
    user_file.write_text("allow_network = true\n")
    assert winner("allow_network", layout) == (True, str(user_file))
    monkeypatch.setenv("LOCALEMBED_ALLOW_NETWORK", "0")
    assert winner("allow_network", layout) == (False, "LOCALEMBED_ALLOW_NETWORK")
    assert winner("allow_network", layout, True) == (True, "flag")
    # A workspace may have come with a folder of somebody else's.
    layout.config.write_text("allow_network = true\n")
    with pytest.raises(UsageError) as refused:
        resolve({}, layout)
    assert str(layout.config) in str(refused.value)
    assert str(user_file) in str(refused.value)


def test_a_setting_is_written_beside_what_is_there(layout):
    config_file.write_roots(layout, ROOTS)
    config_file.write_setting(layout, "model", "a")
    config_file.write_setting(layout, "model", "b")

    assert winner("model", layout) == ("b", str(layout.config))
    assert config_file.read_roots(layout) == ROOTS
    assert layout.config.read_text().count("model") == 1


def winner(name, layout, flag=None):
    sourced = resolve({name: flag}, layout)
    assert sourced.given(name) == (sourced.origins[name] != "default")
    return getattr(sourced.settings, name), sourced.origins[name]


def test_an_empty_variable_says_nothing(layout, monkeypatch):
    monkeypatch.setenv("LOCALEMBED_TOP_K", "")

    assert winner("top_k", layout) == (10, "default")


def test_without_a_workspace_the_user_file_still_counts(user_file):
    user_file.write_text("top_k = 7\n")

    assert resolve({}, None).settings.top_k == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preset", "large"),
        ("chunk_tokens", 15),
        ("chunk_tokens", "many"),
        ("chunk_tokens", 100_001),
        ("overlap", -1),
        ("overlap", True),
        ("dim", 0),
        ("overlap", 1.5),
        ("vector_type", "float64"),
        ("precision", "int8"),
        ("device", "gpu"),
        ("device", "cuda:x"),
        ("engine", "onnx"),
        ("batch_tokens", 0),
        ("batch_tokens", 15),
        ("threads", 0),
        ("max_file_size", "large"),
        ("max_file_size", -1),
        ("top_k", 0),
        ("mode", "best"),
        ("model", 3),
    ],
)
def test_a_bad_value_is_refused_and_its_place_named(name, value, layout, user_file, monkeypatch):
    written = f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n"
    for file in (layout.config, user_file):
        file.write_text(written)
        with pytest.raises(UsageError) as refused:
            resolve({}, layout)
        assert str(refused.value).startswith(f"{name} ({file}) is {value!r}, but must be ")
        file.unlink()
    if isinstance(value, str):
        with pytest.raises(UsageError) as refused:
            resolve({name: value}, layout)
        assert str(refused.value).startswith(f"--{name.replace('_', '-')} is {value!r}, but must")
        monkeypatch.setenv(f"LOCALEMBED_{name.upper()}", value)
        with pytest.raises(UsageError, match=rf"^{name} \(LOCALEMBED_{name.upper()}\) is "):
            resolve({}, layout)


def test_an_unknown_setting_is_refused_and_the_known_ones_named(layout, user_file):
    for file in (layout.config, user_file):
        file.write_text("chunk_token = 3\n")
        with pytest.raises(UsageError) as refused:
            resolve({}, layout)
        assert f"{file} has an unknown setting: chunk_token. Known settings: " in str(refused.value)
        for name in VALUES:
            assert name in str(refused.value)
        file.unlink()


@pytest.mark.parametrize("content", [b"model = \n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_cannot_be_read_is_named(layout, content):
    layout.config.write_bytes(content)

    for read in (lambda: resolve({}, layout), lambda: config_file.read_roots(layout)):
        with pytest.raises(UsageError) as refused:
            read()
        assert str(refused.value).startswith(f"{layout.config} cannot be read: ")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("2k", 2048),
        ("3 KB", 3 << 10),
        ("32MiB", 32 << 20),
        ("32 mib", 32 << 20),
        ("1G", 1 << 30),
        (" 5b ", 5),
    ],
)
def test_a_size_may_have_a_unit(text, size):
    assert resolve({"max_file_size": text}, None).settings.max_file_size == size


@pytest.mark.parametrize("text", ["", "MiB", "1.M", "1P", "-1", "1 M B", "true"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="must be a size"):
        resolve({"max_file_size": text}, None)


ROOTS = (
    Root("01", b"/plain"),
    Root("02", "/höhe/日本".encode(), include=("*.md", "a b"), exclude=("/x\\ y",), hidden=True),
    Root("03", b"/bytes\xff/\xe2\x82", no_ignore=True),
    Root("04", b"/back\\slash/\\xff/\"quote'/\n/\x1b"),
)


def test_roots_come_back_as_they_were_written(layout):
    config_file.write_roots(layout, ROOTS)
    assert config_file.read_roots(layout) == ROOTS

    config_file.write_roots(layout, ROOTS[1:3])
    assert config_file.read_roots(layout) == ROOTS[1:3]

    config_file.write_roots(layout, ())
    assert config_file.read_roots(layout) == ()


def test_comments_and_settings_survive_a_write(layout):
    before = "# mine\nformat = 1\n\n# small chunks\nchunk_tokens = 64 # or 128\ntop_k = 3\n"
    layout.config.write_text(before)

    config_file.write_roots(layout, ROOTS, {"gone"})
    config_file.write_roots(layout, ROOTS[:1])

    text = layout.config.read_text()
    for line in before.splitlines():
        assert line in text.splitlines()
    assert resolve({}, layout).settings.chunk_tokens == 64
    assert config_file.read_roots(layout) == ROOTS[:1]


def test_a_setting_added_at_the_end_of_a_new_file_is_read(layout):
    config_file.write_roots(layout, ())
    layout.config.write_text(layout.config.read_text() + "top_k = 3\n")
    config_file.write_roots(layout, ROOTS)

    assert resolve({}, layout).settings.top_k == 3


def test_forgotten_ids_come_back_until_they_are_resolved(layout):
    assert config_file.read_forgotten(layout) == frozenset()

    config_file.write_roots(layout, ROOTS, {"b", "a"})
    assert config_file.read_forgotten(layout) == {"a", "b"}
    assert config_file.read_roots(layout) == ROOTS

    config_file.write_roots(layout, ROOTS)
    assert config_file.read_forgotten(layout) == frozenset()


@pytest.mark.parametrize(
    "entry",
    [
        '[[roots]]\npath = "/a"\n',
        '[[roots]]\nid = "1"\n',
        '[[roots]]\nid = "1"\npath = "/a"\npath_hex = "xyz"\n',
        '[[roots]]\nid = "1"\npath = "/a"\ninclude = 3\n',
        '[roots]\nid = "1"\npath = "/a"\n',
        "roots = 3\n",
        "roots = [3]\n",
        '[[roots]]\nid = "1"\npath = ""\n',
        '[[roots]]\nid = "1"\npath = "/a\\u0000"\n',
        '[[roots]]\nid = "1"\npath = "/a"\nexclude = "*.md"\n',
        '[[roots]]\nid = "1"\npath = "/a"\nhidden = "no"\n',
    ],
)
def test_a_wrong_root_is_refused_and_the_file_named(layout, entry):
    layout.config.write_text(entry)

    with pytest.raises(UsageError) as refused:
        config_file.read_roots(layout)
    assert str(layout.config) in str(refused.value)


def test_what_a_root_lacks_is_named(layout):
    layout.config.write_text('[[roots]]\npath = "/a"\n')
    with pytest.raises(UsageError, match="entry: id is missing"):
        config_file.read_roots(layout)


def test_the_roots_of_a_newer_format_are_not_read(layout):
    layout.config.write_text("format = 2\n")

    with pytest.raises(TooNewError, match="has format 2; this localembed reads up to 1"):
        config_file.read_roots(layout)


def test_a_written_file_is_for_its_owner_alone(layout):
    config_file.write_roots(layout, ROOTS)

    assert layout.config.stat().st_mode & 0o077 == 0
    assert list(layout.folder.iterdir()) == [layout.config]


def test_root_ids_are_drawn_anew():
    assert len({config_file.new_root_id() for _ in range(99)}) == 99


def test_a_config_with_deep_brackets_is_refused(workspace):
    workspace.layout.config.write_text("x = " + "[" * 100_000)

    with pytest.raises(UsageError, match="cannot be read"):
        workspace.status()


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("1TiB", 1 << 40), ("1.5GiB", 3 << 29), ("0.25m", 1 << 18), ("2 tb", 2 << 40),
        ("1.5", 1), (1073741824, 1 << 30),
    ],
)  # fmt: skip
def test_sizes_have_fractions_and_units_up_to_tebibytes(layout, written, size):
    for name in ("resident_memory", "max_file_size"):
        assert getattr(resolve({name: written}, layout).settings, name) == size


@pytest.mark.parametrize("written", ["1.GiB", ".5GiB", "1,5GiB", "1e9", "-1GiB", "1PiB", "1.5.5"])
def test_what_is_no_size_is_refused(layout, written):
    with pytest.raises(UsageError, match=r'must be a size such as "32MiB" or "1\.5GiB"'):
        resolve({"resident_memory": written}, layout)
