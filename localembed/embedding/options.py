"""How to embed: what was asked for, and what is remembered of this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

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


class ProfileStore(Protocol):
    """What earlier runs found out on this machine."""

    folder: Path
    """Where converted models are kept; it may not exist yet."""

    def recall(self, key: str) -> Profile:
        """Return what is known, an empty profile if nothing is."""

    def keep(self, key: str, profile: Profile) -> None:
        """Remember for later runs; where nothing can be written, nothing is remembered."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the user asked for; the rest is found out."""

    device: str = "auto"
    precision: str = "auto"
    engine: str = "auto"
    batch_tokens: int | None = None
    """Padded tokens of one forward pass; None takes the profile's, or the device's own."""
    threads: int | None = None
    """Of the forward pass on a CPU; None takes the profile's, or all cores."""
    job_tokens: int = 0
    """About how many tokens will be embedded: what decides whether preparing an engine pays."""
    model_id: str | None = None
    """Identifies the model's files; without it nothing converted is kept."""
    memory: ProfileStore | None = None
    on_notice: Callable[[str], None] = lambda _: None
    """Told in a sentence what takes long or could not be had."""
    allow_network: bool = False
    """Whether a server on another machine may be asked."""
    max_cost: float | None = None
    """US dollars that a server's answers may cost; None for no limit."""
    purpose: str = ""
    """What is sent to a server, in words; nothing is said where it is empty."""
    said_once: bool = False
    """Whether that is said only the first time that this user asks the server."""
    keep: Callable[[Sequence[bytes], VectorMatrix], None] = lambda _keys, _vectors: None
    """Given what a server answered at once, by key: it was paid for."""


def query_key(model_id: str) -> str:
    """Return the key under which is kept what embeds queries."""
    return f"queries of {model_id}"


def limits_key(base_url: str, model: str) -> str:
    """Return the key under which is kept what a server allows."""
    return f"limits of {model} at {base_url}"


def profile_key(model: str, device_name: str, precision: str) -> str:
    """Return the key under which a profile is kept."""
    return f"{model} in {precision} on {device_name}"
