"""The pure-Python engine: G.711, on one thread. It serves where the C engine is not built, and checks it in tests."""

from __future__ import annotations

from cordboard.media.face import BoardSettings
from cordboard.media.python.board import PythonBoard

__all__ = ["PythonBoard", "open"]


def open(settings: BoardSettings) -> PythonBoard:
    return PythonBoard(settings)
