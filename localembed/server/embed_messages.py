"""Messages about texts that a run has embedded by the resident (see `wire`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from localembed.server import wire
from localembed.types.models import EmbedReply, EmbedRequest


def request_parts(request: EmbedRequest) -> list[bytes]:
    """Return a request as the parts of a message."""
    facts = {
        "workspace": str(request.workspace),
        "model": request.model,
        "dim": request.dim,
        "space_id": request.space_id,
        "variables": dict(request.variables),
    }
    lengths = np.array([len(ids) for ids in request.token_ids], np.int32)
    ids = np.concatenate([np.zeros(0, np.int32), *request.token_ids]).astype(np.int32)
    return [json.dumps(facts).encode(), lengths.tobytes(), ids.tobytes()]


def read_request(parts: Sequence[bytes]) -> EmbedRequest:
    """Return the request in the parts of a message.

    Raises:
        ValueError: the message is malformed.
        KeyError: a fact is missing.
    """
    facts, lengths, ids = parts
    named = json.loads(facts)
    counts = np.frombuffer(lengths, np.int32)
    flat = np.frombuffer(ids, np.int32)
    if (counts < 0).any() or (flat < 0).any() or int(counts.sum(dtype=np.int64)) != len(flat):
        message = "the lengths of the texts do not fit their tokens"
        raise ValueError(message)
    return EmbedRequest(
        workspace=Path(named["workspace"]),
        model=str(named["model"]),
        dim=int(named["dim"]),
        space_id=str(named["space_id"]),
        variables={str(name): str(value) for name, value in dict(named["variables"]).items()},
        token_ids=tuple(np.split(flat, np.cumsum(counts)[:-1])) if len(counts) else (),
    )


def vectors_reply(made: EmbedReply) -> list[bytes]:
    """Return vectors as the parts of a reply."""
    facts = {"engine": made.engine, "device": made.device, "precision": made.precision}
    facts |= {"dim": made.vectors.shape[1]}
    return [wire.VECTORS, json.dumps(facts).encode(), made.vectors.astype(np.float32).tobytes()]


def read_vectors(parts: Sequence[bytes]) -> EmbedReply:
    """Return the vectors in a reply, without its kind.

    Raises:
        ValueError: the reply is malformed.
        KeyError: a fact is missing.
    """
    facts, data = parts
    named = json.loads(facts)
    vectors = np.frombuffer(data, np.float32).reshape(-1, int(named["dim"]))
    return EmbedReply(vectors, named["engine"], named["device"], named["precision"])
