"""The converted model: as exact as torch, made once, silent, and used only where it wins."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from localembed.embedding import EngineOptions, LoadContext, Profile, load_tokenizer
from localembed.embedding.engines import hardware
from localembed.embedding.engines import openvino_convert as conversion
from localembed.embedding.engines.openvino import converted_path, pool
from localembed.embedding.options import profile_key
from localembed.embedding.profiles import ProfileStore
from localembed.errors import UsageError
from tests import families
from tests.conftest import PROJECT
from tests.local_models import load_local

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the extra [openvino] is not installed"
)
BERT = next(family for family in families.FAMILIES if family.name == "bert")
TEXTS = [text.strip() for text in families.TEXTS]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    families.build(BERT, path)
    return path


@pytest.fixture
def options(own_home):
    return EngineOptions(device="cpu", precision="fp32", engine="openvino", threads=1)


@pytest.fixture
def context(own_home):
    return LoadContext(model_id="tiny", profiles=ProfileStore())


def ids(folder):
    return [tokens.ids for tokens in load_tokenizer(BERT.spec(), folder)(TEXTS)]


def test_a_converted_model_gives_the_vectors_of_torch_and_needs_no_torch(
    folder, options, context, monkeypatch
):
    told: list[str] = []
    spec = BERT.spec()

    ours = load_local(spec, folder, options, context=replace(context, on_notice=told.append))
    theirs = load_local(spec, folder, replace(options, engine="torch"), context=context)

    assert ours.use.engine == "openvino"
    mine, reference = (embedder.embed_ids(ids(folder)) for embedder in (ours, theirs))
    assert families.cosine(mine, reference).min() >= 0.99999
    query = [embedder.embed_query("rotate keys") for embedder in (ours, theirs)]
    assert families.cosine(*query) >= 0.99999
    assert len(told) == 1

    monkeypatch.setattr(conversion, "convert_in_child", pytest.fail)
    again = load_local(spec, folder, options, context=context)
    assert families.cosine(again.embed_ids(ids(folder)), mine).min() >= 0.999999
    assert modules_of_a_fresh_load(folder) == ["openvino"]


def modules_of_a_fresh_load(folder) -> list[str]:
    """Load the converted model in a new process; return which heavy modules that took."""
    code = (
        "import sys, json; from pathlib import Path; from tests.test_openvino import BERT\n"
        "from localembed.embedding import EngineOptions, LoadContext, load_embedder\n"
        "from localembed.embedding.profiles import ProfileStore\n"
        "for name in ('torch', 'transformers', 'sentence_transformers'): sys.modules.pop(name, 0)\n"
        "options = EngineOptions(device='cpu', precision='fp32', engine='openvino', threads=1)\n"
        "context = LoadContext(model_id='tiny', profiles=ProfileStore())\n"
        "how = {'options': options, 'context': context}\n"
        "load_embedder(BERT.spec(), Path(sys.argv[1]), **how).embed_query('keys')\n"
        "print(json.dumps([m for m in ('openvino', 'torch', 'openvino_telemetry') "
        "if sys.modules.get(m)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    modules: list[str] = json.loads(done.stdout)
    return modules


@pytest.mark.parametrize(
    ("found", "engine"),
    [
        (conversion.Conversion(0.99999, 2.0, 1.0), "openvino"),
        (conversion.Conversion(0.99999, 1.0, 2.0), "fused"),
        (conversion.Conversion(0.9, 2.0, 1.0), "fused"),
        (None, "fused"),
    ],
    ids=["faster", "slower", "inexact", "cannot be converted"],
)
def test_the_faster_engine_is_remembered(folder, options, context, monkeypatch, found, engine):
    """A long job asks once; what it found holds for short ones."""
    asked = []
    really = conversion.convert_in_child

    def convert(job):
        asked.append(job)
        if engine == "openvino":
            really(job)
        return found

    monkeypatch.setattr(conversion, "convert_in_child", convert)
    monkeypatch.setattr(hardware, "has_compiler", lambda: False)
    long = {
        "options": replace(options, engine="auto"),
        "context": replace(context, job_tokens=10**15),
    }

    assert load_local(BERT.spec(), folder, **long).use.engine == engine
    assert (
        load_local(BERT.spec(), folder, replace(options, engine="auto"), context=context).use.engine
        == engine
    )
    assert len(asked) == 1
    key = profile_key("bert", hardware.cpu_name(), "fp32")
    assert ProfileStore().recall(key) == Profile(engine=engine)


def test_a_short_job_converts_nothing(folder, options, context, monkeypatch):
    monkeypatch.setattr(conversion, "convert_in_child", pytest.fail)
    short = {
        "options": replace(options, engine="auto"),
        "context": replace(context, job_tokens=1000),
    }
    assert load_local(BERT.spec(), folder, **short).use.engine == "fused"
    assert not converted_path(context.profiles.folder, "tiny").exists()


def test_an_engine_that_is_not_installed_is_refused(folder, options, context, monkeypatch):
    from localembed.embedding.engines import openvino

    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    with pytest.raises(UsageError, match=r"pip install 'localembed\[openvino\]'"):
        load_local(BERT.spec(), folder, options, context=context)
    auto = {
        "options": replace(options, engine="auto"),
        "context": replace(context, job_tokens=10**9),
    }
    assert load_local(BERT.spec(), folder, **auto).use.engine == "fused"


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_pooling_takes_the_right_tokens(pooling):
    hidden = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    expected = {
        "mean": [hidden[0].mean(axis=0), hidden[1, :2].mean(axis=0)],
        "cls": [hidden[0, 0], hidden[1, 0]],
        "lasttoken": [hidden[0, 3], hidden[1, 1]],
    }[pooling]
    assert pool(hidden, mask, pooling) == pytest.approx(np.array(expected))
