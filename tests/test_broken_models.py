"""Model files that make no sense: a sentence and exit code 4, and no panic of a Rust library."""

from __future__ import annotations

import copy
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import localembed
from localembed.errors import ModelError
from localembed.models.add import add_model
from tests.static_model import write_static

HUGE = 2**32 - 1


def added(**changes: object) -> dict[str, Any]:
    token = {"id": 60, "content": "[X]", "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}  # fmt: skip
    return {"added_tokens": [{**token, **changes}]}


def nested(depth: int) -> str:
    opened = '{"type":"Sequence","normalizers":['
    return opened * depth + '{"type":"Lowercase"}' + "]}" * depth


TOKENIZERS: dict[str, dict[str, Any]] = {
    "no such unknown token": {"model": {"unk_token": "nope"}},
    "no vocabulary": {"model": {"vocab": {}}},
    "id too large for u32": {"model": {"vocab": {"a": 2**63}}},
    "negative id": {"model": {"vocab": {"a": -1}}},
    "word for an id": {"model": {"vocab": {"a": "b"}}},
    "vocabulary in a list": {"model": {"vocab": []}},
    "ids that the weights lack": {"model": {"vocab": {"[UNK]": 900, "a": 901}}},
    "ids above int32": {"model": {"vocab": {"[UNK]": HUGE, "a": HUGE - 1}}},
    "no model": {"model": None},
    "another version": {"version": "9"},
    "negative added id": added(id=-1),
    "bad pattern": {"normalizer": {"type": "Replace", "pattern": {"Regex": "(("}, "content": ""}},
    "bad class": {
        "pre_tokenizer": {
            "type": "Split", "pattern": {"Regex": "[z-a]"}, "behavior": "Isolated", "invert": False,
        }
    },
    "charsmap without end": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    "empty charsmap": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}},
    "charsmap out of bounds": {
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": "BAAAAAEAAAA="}
    },
    "merge of one byte": {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}},
    "merge with a long prefix": {
        "model": {
            "type": "BPE", "vocab": {"é": 0, "a": 1, "éa": 2}, "merges": ["é a"],
            "continuing_subword_prefix": "######",
        }
    },
    "merge of nothing": {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}},
    "unigram without words": {"model": {"type": "Unigram", "unk_id": 0, "vocab": []}},
    "unigram without unknown": {"model": {"type": "Unigram", "unk_id": None, "vocab": [["x", 0]]}},
    "words of no length": {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
    "metaspace of nothing": {
        "pre_tokenizer": {
            "type": "Metaspace", "replacement": "", "prepend_scheme": "always", "split": True,
        }
    },
}  # fmt: skip
SPECIAL: dict[str, dict[str, Any]] = {
    "template with an unknown token": {
        "post_processor": {
            "type": "TemplateProcessing", "pair": [], "special_tokens": {},
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
        }
    },
    "template of the other text": {
        "post_processor": {
            "type": "TemplateProcessing", "pair": [], "special_tokens": {},
            "single": [{"Sequence": {"id": "B", "type_id": 0}}],
        }
    },
    "template without a text": {
        "post_processor": {
            "type": "TemplateProcessing", "pair": [], "special_tokens": {}, "single": [],
        }
    },
    "special ids above int32": {
        "post_processor": {"type": "BertProcessing", "sep": ["x", HUGE], "cls": ["y", HUGE]}
    },
}  # fmt: skip
TEXTS = {
    "empty": "", "null": "null", "list": "[]", "word": '"x"', "cut": '{"version": "1.0", "trunc',
    "nothing in it": "{}", "not UTF-8": "\udcff\udcfe", "zeros": "\0" * 64,
    "nested 5,000 deep": '{"version":"1.0","normalizer":' + nested(5_000) + "}",
    "lists 100,000 deep": "[" * 100_000,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return write_static(tmp_path / "tiny")


def broken_tokenizer(folder: Path, name: str) -> None:
    path = folder / "0_StaticEmbedding" / "tokenizer.json"
    if name in TEXTS:
        path.write_text(TEXTS[name], "utf-8", "surrogateescape")
        return
    whole: dict[str, Any] = json.loads(path.read_text())
    for key, value in copy.deepcopy({**TOKENIZERS, **SPECIAL}[name]).items():
        same_kind = isinstance(value, dict) and key == "model" and "type" not in value
        whole[key] = whole[key] | value if same_kind else value
    path.write_text(json.dumps(whole))


def register(folder: Path, *, twin: Path | None = None) -> None:
    """Know the model without pins, so that its files may change."""
    spec = add_model(twin or folder)
    block = localembed.core.user_folders.user_config() / "models.toml"
    lines = block.read_text().splitlines()
    kept = [line for line in lines if "sha256" not in line and ".safetensors" not in line]
    block.write_text("\n".join(line for line in kept if not line.startswith('"')) + "\n")
    assert spec.name == folder.name


@pytest.fixture
def known(folder, notes):
    """A workspace of the model, indexed while it was whole."""
    register(folder)
    (notes / "a.md").write_text("keys rotate in the harbour\n")
    workspace = localembed.Workspace(notes / ".localembed", {"model": "tiny"})
    workspace.index([notes])
    return workspace


@pytest.mark.parametrize("name", [*TOKENIZERS, *TEXTS])
def test_a_broken_tokenizer_is_a_model_error_everywhere(folder, known, notes, capfd, name):
    broken_tokenizer(folder, name)
    (notes / "b.md").write_text("the lamp burns at night\n")
    fresh = localembed.Workspace(known.folder, {"model": "tiny"})

    for act in (
        fresh.index,
        lambda: fresh.query("keys rotate"),
        lambda: localembed.embed(["keys rotate"], model="tiny"),
        lambda: add_model(folder, name="again"),
    ):
        with pytest.raises(ModelError) as raised:
            act()
        assert raised.value.exit_code == 4
    assert "panicked" not in capfd.readouterr().err
    assert fresh.query("keys rotate", mode="text")


@pytest.mark.parametrize("name", SPECIAL)
def test_broken_special_tokens_are_a_model_error(folder, capfd, name):
    from localembed.embedding.tokenizers.fast import FastTokenizer

    broken_tokenizer(folder, name)
    with pytest.raises(ModelError, match=r"tokenizer .* cannot be loaded: .*Put the published"):
        FastTokenizer(folder).special_ids()
    assert "panicked" not in capfd.readouterr().err


def test_a_text_that_the_tokenizer_cannot_read_fails_alone(folder, notes):
    """Its pattern backtracks without end, and the library panics."""
    path = folder / "0_StaticEmbedding" / "tokenizer.json"
    whole = json.loads(path.read_text())
    whole["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "x"}
    path.write_text(json.dumps(whole))
    register(folder)
    (notes / "good.md").write_text("keys rotate in the harbour\n")
    (notes / "bad.md").write_text("a" * 40 + "!\n")
    workspace = localembed.Workspace(notes / ".localembed", {"model": "tiny"})

    report = workspace.index([notes])

    assert (report.exit_code, report.files.added, report.files.failed) == (3, 1, 1)
    assert "cannot read this text" in report.failures[0].reason
    with pytest.raises(ModelError, match="cannot read this text"):
        workspace.query("a" * 40 + "!", mode="vector")
    assert workspace.query("keys", mode="vector")


# Weights


def header(**changes: object) -> bytes:
    tensor = {"dtype": "F32", "shape": [4, 16], "data_offsets": [0, 256], **changes}
    text = json.dumps({"embedding.weight": tensor}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(256)


WEIGHTS: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": bytes(7),
    "zeros": bytes(4096),
    "length beyond the end": struct.pack("<Q", 2**62) + b"{}",
    "length of all ones": b"\xff" * 8 + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"abcd",
    "a list": struct.pack("<Q", 2) + b"[]",
    "nested": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "no tensor": struct.pack("<Q", 2) + b"{}",
    "tensor is a number": struct.pack("<Q", 22) + b'{"embedding.weight":1}',
    "shape of words": header(shape=["a", "b"]),
    "shape is a number": header(shape=7),
    "negative shape": header(shape=[-4, 16]),
    "huge shape": header(shape=[2**62, 2**62]),
    "one dimension": header(shape=[64]),
    "no dimension": header(shape=[], data_offsets=[0, 4]),
    "three dimensions": header(shape=[2, 2, 16]),
    "no offsets": header(data_offsets=None),
    "one offset": header(data_offsets=[0]),
    "offsets in reverse": header(data_offsets=[256, 0]),
    "offsets of words": header(data_offsets=["a", "b"]),
    "offsets beyond the end": header(data_offsets=[0, 2**40]),
    "negative offsets": header(data_offsets=[-256, 0]),
    "unknown type": header(dtype="X99"),
    "type is a number": header(dtype=3),
    "bf16": header(dtype="BF16", shape=[8, 16]),
    "fp8": header(dtype="F8_E4M3", shape=[16, 16]),
    "fewer rows than tokens": header(),
    "booleans": header(dtype="BOOL", shape=[16, 16]),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_broken_weights_are_a_model_error_everywhere(folder, known, notes, capfd, name):
    (folder / "0_StaticEmbedding" / "model.safetensors").write_bytes(WEIGHTS[name])
    (notes / "b.md").write_text("the lamp burns at night\n")
    fresh = localembed.Workspace(known.folder, {"model": "tiny"})

    for act in (
        fresh.index,
        lambda: fresh.query("lamp burns at night"),
        lambda: localembed.embed(["the lamp burns at night"], model="tiny"),
        lambda: add_model(folder, name="again"),
    ):
        with pytest.raises(ModelError) as raised:
            act()
        assert raised.value.exit_code == 4
    assert "panicked" not in capfd.readouterr().err


CONFIGS: dict[str, Callable[[Any], object]] = {
    "a number": lambda _: 1,
    "a list": lambda _: [],
    "numbers": lambda _: [1, 2],
    "no type": lambda value: [{**value[0], "type": None}],
    "no path": lambda value: [{**value[0], "path": 7}],
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_broken_list_of_modules_is_a_model_error(folder, known, notes, name):
    path = folder / "modules.json"
    path.write_text(json.dumps(CONFIGS[name](json.loads(path.read_text()))))

    with pytest.raises(ModelError):
        add_model(folder, name="again")


# Everything else that is Rust


def test_a_panic_in_lance_is_a_storage_error(tmp_path):
    from localembed.errors import StorageError
    from localembed.store.lance.connection import lance_errors

    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
    later = type("RustPanic", (Exception,), {"__module__": "pyo3_async_runtimes"})
    for kind in (panic, later):
        with pytest.raises(StorageError, match="attempt to divide by zero"), lance_errors(tmp_path):
            raise kind("attempt to divide by zero\nat line 7")


def test_other_exceptions_pass_and_other_output_is_kept(capfd):
    import os

    from localembed.core.panics import quiet_panics

    def interrupted() -> None:
        os.write(2, b"said meanwhile\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), quiet_panics():
        interrupted()
    assert capfd.readouterr().err == "said meanwhile\n"


def test_the_command_line_says_it_in_a_sentence(folder, known, notes, real_cli, tmp_path):
    shutil.copytree(folder, tmp_path / "whole")
    broken_tokenizer(folder, "charsmap without end")
    for arguments in (
        ("index", notes, "--workspace", known.folder),
        ("query", "keys", "--workspace", known.folder, "--no-resident"),
        ("models", "add", folder, "--name", "again"),
    ):
        done = real_cli(*arguments)
        assert done.returncode == 4, done
        assert done.stderr.startswith("Error: ")
        assert "\n" not in done.stderr.strip()
    assert np.isfinite(known.query("keys", mode="text")[0].score)
