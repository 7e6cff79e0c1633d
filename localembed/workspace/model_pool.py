"""Models that the workspaces of one process share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakValueDictionary

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class ModelKey:
    """What a loaded model depends on."""

    name: str
    space_id: str
    options: Hashable = None
    """The user's choice of engine and device; None for a reranker."""


class ModelPool:
    """Loaded models by key: each is loaded once, and freed when no workspace holds it any more.

    Safe for several threads.
    """

    def __init__(self) -> None:
        """Load nothing yet."""
        self._models: WeakValueDictionary[ModelKey, Any] = WeakValueDictionary()
        self._turns: dict[ModelKey, Lock] = {}
        self._lock = Lock()

    def get(self, key: ModelKey, load: Callable[[], Model]) -> Model:
        """Return the model of a key, loaded by the first thread that needs it."""
        with self._lock:
            turn = self._turns.setdefault(key, Lock())
        with turn:
            model: Model | None = self._models.get(key)
            if model is None:
                model = self._models[key] = load()
            return model

    def loaded(self) -> list[tuple[ModelKey, Any]]:
        """Return each loaded model with its key."""
        return list(self._models.items())
