"""How to embed: the user's options, and the stored profiles of this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from localembed.types.runs import Notice, ignore_notice

if TYPE_CHECKING:
    from localembed.types.arrays import VectorMatrix

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ENGINES = ("auto", "fused", "torch", "compile", "openvino")
DEVICE_NAME = re.compile(r"auto|cpu|mps|cuda(:\d{1,4})?")


@dataclass(frozen=True, slots=True)
class Profile:
    """Best settings for one device, model and precision; or the limits of one provider."""

    engine: str | None = None
    batch_tokens: int | None = None
    threads: int | None = None
    chunks_per_second: float | None = None
    """Last measurement of `bench`."""
    requests_per_minute: float | None = None
    """Limit on requests that the provider reported last."""
    tokens_per_minute: float | None = None
    named: bool | None = None
    """Whether the user was told that texts are sent to this provider."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The user's options for embedding; what is not given is chosen for this machine."""

    device: str = "auto"
    precision: str = "auto"
    engine: str = "auto"
    batch_tokens: int | None = None
    """Padded tokens per forward pass; None for the profile's, or the device's default."""
    threads: int | None = None
    """CPU threads for inference; None for the profile's, or all cores."""


class Profiles(Protocol):
    """Profiles that earlier runs stored on this machine (see `profiles.ProfileStore`)."""

    folder: Path
    """Folder for converted models; it may not exist yet."""

    def recall(self, key: str) -> Profile:
        """Return a stored profile, an empty one if there is none."""

    def keep(self, key: str, profile: Profile) -> None:
        """Store a profile for later runs; do nothing if it cannot be written."""


@dataclass(frozen=True, slots=True)
class LoadContext:
    """Context in which a model is loaded."""

    model_id: str | None = None
    """Identity of the model's files; without it no converted model is stored."""
    profiles: Profiles | None = None
    job_tokens: int = 0
    """Estimated tokens to embed, which decides whether preparing an engine pays off."""
    on_notice: Notice = ignore_notice
    """Callback for a sentence about what takes long or is not available."""


class AnswerStore(Protocol):
    """Stores the vectors of answers until they are in the table."""

    def save(self, keys: Sequence[bytes], vectors: VectorMatrix, /) -> None:
        """Store vectors under their keys; they are durable when this returns."""


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Limits on a remote model."""

    allow_network: bool = False
    """Whether requests may leave this machine."""
    max_cost: float | None = None
    """Maximum US dollars to spend; None for no limit."""
    purpose: str = ""
    """Description of what is sent, for the user; empty to say nothing."""
    announce_once: bool = False
    """Whether to say so only the first time that this user sends texts to the provider."""
    answers: AnswerStore | None = None
    """Store that saves each answer at once, since it was paid for."""


def query_key(model_id: str) -> str:
    """Return the profile key of the engine for queries."""
    return f"queries of {model_id}"


def limits_key(base_url: str, model: str) -> str:
    """Return the profile key of a provider's limits."""
    return f"limits of {model} at {base_url}"


def profile_key(model: str, device_name: str, precision: str) -> str:
    """Return the profile key of a model on a device."""
    return f"{model} in {precision} on {device_name}"
