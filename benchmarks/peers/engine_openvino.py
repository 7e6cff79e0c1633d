"""This project's engine with the extra `[openvino]`."""

from __future__ import annotations

from benchmarks.peers import engine


class Contestant(engine.Contestant):
    """The same with a converted model."""

    engine = "openvino"
