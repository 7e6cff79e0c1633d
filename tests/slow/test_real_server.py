"""A server that was not written here: Infinity, in an environment of its own.

    python -m venv /somewhere/v
    /somewhere/v/bin/pip install torch infinity-emb sentence-transformers uvicorn fastapi typer \\
        prometheus-fastapi-instrumentator orjson einops optimum requests uvloop httptools
    LOCALEMBED_TEST_SERVER=/somewhere/v/bin/infinity_emb make test-slow
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from tests import families
from tests.conftest import current_table
from tests.registry import write_registry

pytestmark = pytest.mark.slow

COMMAND = os.environ.get("LOCALEMBED_TEST_SERVER", "")


@pytest.fixture(scope="module")
def bert():
    return next(family for family in families.FAMILIES if family.name == "bert")


@pytest.fixture(scope="module")
def server(bert, tmp_path_factory):
    """The address of a running Infinity that serves a tiny random model, and the model's folder."""
    if not COMMAND:
        pytest.skip("LOCALEMBED_TEST_SERVER names no infinity_emb")
    folder = tmp_path_factory.mktemp("model") / "tiny"
    folder.mkdir()
    families.build(bert, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        COMMAND, "v2", "--model-id", str(folder), "--served-model-name", "tiny", "--host",
        "127.0.0.1", "--port", str(port), "--engine", "torch", "--device", "cpu", "--url-prefix",
        "/v1", "--dtype", "float32",
    ]  # fmt: skip
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "INFINITY_MODEL_WARMUP": "false",
        "INFINITY_BETTERTRANSFORMER": "false",
    }
    with subprocess.Popen(command, env={**os.environ, **quiet}) as child:
        try:
            _wait(f"http://127.0.0.1:{port}/v1/models", child)
            yield f"http://127.0.0.1:{port}/v1", folder
        finally:
            child.terminate()


def _wait(address, child):
    for _ in range(240):
        assert child.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.5)
    pytest.fail("the server did not start")


def test_the_same_model_here_and_there_gives_the_same_index(
    server, bert, own_home, notes, real_cli
):
    """Vectors of a server and of the model in this process agree, chunk by chunk."""
    from dataclasses import replace

    from localembed.types.models import RemoteSpec

    url, folder = server
    path = folder / "tokenizer.json"
    remote = RemoteSpec(url, "tiny", max_inputs=16, tokenizer=f"path:{path}")
    here = replace(bert.spec(), name="here", sources=(f"path:{folder}",))
    there = replace(here, name="there", backend="openai", sources=(), remote=remote)
    write_registry(own_home / "config", [here, there])
    for n in range(20):
        (notes / f"{n}.txt").write_text(" ".join(f"word{n * 7 + i} token{i}" for i in range(60)))
    rows = []
    for name, precise in (("here", ("--precision", "fp32")), ("there", ())):
        place = notes.parent / name
        options = ("--workspace", place, "--vector-type", "float32", "--chunk-tokens", "60")
        run = real_cli("index", notes, "--model", name, "--json", *options, *precise)
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout)["chunks"]["failed"] == 0
        rows.append(_rows(place))
    assert rows[0].keys() == rows[1].keys()
    assert min(float(rows[0][text] @ rows[1][text]) for text in rows[0]) > 0.9999


def _rows(place):
    import localembed
    from localembed.store.lance.inspection import Inspection

    workspace = localembed.Workspace(place)
    name, entry = current_table(workspace)
    chunks = Inspection(workspace.layout.table(name), entry.lance_version).chunks(10_000)
    return {c.text: c.vector / np.linalg.norm(c.vector) for c in chunks}
