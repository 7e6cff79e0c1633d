"""How to embed: what was asked for, and what is remembered of this machine."""

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
DEVICE_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class Profile:
    """What was found to be best for one device, model and precision."""

    engine: str | None = None
    batch_tokens: int | None = None
    threads: int | None = None
    chunks_per_second: float | None = None
    """As `bench` measured it last."""
    requests_per_minute: float | None = None
    """As a server said last."""
    tokens_per_minute: float | None = None
    named: bool | None = None
    """Whether the user was told that texts go to this server."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the user asked to embed; what is not given is chosen for this machine."""

    device: str = "auto"
    precision: str = "auto"
    engine: str = "auto"
    batch_tokens: int | None = None
    """Padded tokens of one forward pass; None takes the profile's, or the device's own."""
    threads: int | None = None
    """CPU threads for inference; None takes the profile's, or all cores."""


class Profiles(Protocol):
    """What earlier runs found out on this machine (see `profiles.ProfileStore`)."""

    folder: Path
    """Folder for converted models; it may not exist yet."""

    def recall(self, key: str) -> Profile:
        """Return what is known, an empty profile if nothing is."""

    def keep(self, key: str, profile: Profile) -> None:
        """Remember for later runs; where nothing can be written, nothing is remembered."""


@dataclass(frozen=True, slots=True)
class LoadContext:
    """What a model is loaded for."""

    model_id: str | None = None
    """Identity of the model's files; without it nothing converted is kept."""
    profiles: Profiles | None = None
    job_tokens: int = 0
    """Estimated tokens to embed, which decides whether preparing an engine pays off."""
    on_notice: Notice = ignore_notice
    """Told in a sentence what takes long or could not be had."""


class AnswerStore(Protocol):
    """Keeps what a remote model answered until the table has it."""

    def save(self, keys: Sequence[bytes], vectors: VectorMatrix, /) -> None:
        """Keep vectors under their keys; they are safe when this returns."""


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """What a remote model may do and cost."""

    allow_network: bool = False
    """Whether requests may leave this machine."""
    max_cost: float | None = None
    """Maximum US dollars for answers; None for no limit."""
    purpose: str = ""
    """Description of what is sent, for the user; empty to say nothing."""
    announce_once: bool = False
    """Whether to say it only the first time that this user sends texts to the provider."""
    answers: AnswerStore | None = None
    """Where answers are kept at once, since they were paid for."""


def query_key(model_id: str) -> str:
    """Return the key under which is kept what embeds queries."""
    return f"queries of {model_id}"


def limits_key(base_url: str, model: str) -> str:
    """Return the key under which is kept what a server allows."""
    return f"limits of {model} at {base_url}"


def profile_key(model: str, device_name: str, precision: str) -> str:
    """Return the key under which a profile is kept."""
    return f"{model} in {precision} on {device_name}"
