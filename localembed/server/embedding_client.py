"""The resident as a process that may hold the model of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localembed.server import wire
from localembed.server.client import exchange

if TYPE_CHECKING:
    from localembed.types.models import EmbedReply, EmbedRequest

_TIMEOUT_SECONDS = 15.0
"""Seconds to wait for the vectors before the run loads the model itself."""


class ResidentEmbedding:
    """Embeds few texts in the resident, if one is running (see `types.models.EmbeddingService`)."""

    def embed(self, request: EmbedRequest, /) -> EmbedReply | None:
        """Return the vectors of texts, None if the resident is not there or cannot do it."""
        from localembed.server.embed_messages import read_vectors, request_parts

        reply = exchange(wire.EMBED, request_parts(request), _TIMEOUT_SECONDS)
        if not reply or reply[0] != wire.VECTORS:
            return None
        try:
            return read_vectors(reply[1:])
        except (ValueError, KeyError):
            return None
