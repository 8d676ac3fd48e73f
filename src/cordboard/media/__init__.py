"""The board of jacks: RTP in, RTP out, and who hears whom.

``open_board()`` answers a board over the C engine where it is built, over the Python engine otherwise; ``board.engine``
and ``board.notices`` say which. The face is in ``cordboard.media.face``.
"""

from __future__ import annotations

from typing import Literal, cast

from cordboard.media.face import (
    COMFORT_NOISE,
    DTMF,
    FRAME_MS,
    G722,
    LATE_BREAK_MS,
    OPUS,
    PCMA,
    PCMU,
    TAP_RATE,
    TAP_SAMPLES,
    UNANSWERED_PACKETS,
    Address,
    AnyJack,
    Board,
    BoardClosedError,
    BoardSettings,
    BoardStats,
    Clip,
    Codec,
    CodecLike,
    Cut,
    Direction,
    Dtmf,
    Ended,
    Event,
    Jack,
    JackClosedError,
    JackStats,
    KeyPair,
    Keys,
    Latched,
    Mark,
    MediaError,
    Mix,
    NoPortError,
    NotNegotiatedError,
    Pcm,
    PcmJack,
    Recordable,
    Recorded,
    Recording,
    Say,
    Silent,
    Source,
    Tap,
    UnsupportedCodecError,
)

__all__ = [
    "COMFORT_NOISE",
    "DTMF",
    "FRAME_MS",
    "G722",
    "LATE_BREAK_MS",
    "OPUS",
    "PCMA",
    "PCMU",
    "TAP_RATE",
    "TAP_SAMPLES",
    "UNANSWERED_PACKETS",
    "Address",
    "AnyJack",
    "Board",
    "BoardClosedError",
    "BoardSettings",
    "BoardStats",
    "Clip",
    "Codec",
    "CodecLike",
    "Cut",
    "Direction",
    "Dtmf",
    "Ended",
    "Event",
    "Jack",
    "JackClosedError",
    "JackStats",
    "KeyPair",
    "Keys",
    "Latched",
    "Mark",
    "MediaError",
    "Mix",
    "NoPortError",
    "NotNegotiatedError",
    "Pcm",
    "PcmJack",
    "Recordable",
    "Recorded",
    "Recording",
    "Say",
    "Silent",
    "Source",
    "Tap",
    "UnsupportedCodecError",
    "open_board",
]


def open_board(
    settings: BoardSettings | None = None,
    *,
    engine: Literal["auto", "c", "python"] = "auto",
) -> Board:
    """Open a board. ``auto`` takes the C engine where it is built; ``c`` raises ``ImportError`` where it is not."""
    settings = settings or BoardSettings()
    if engine != "python":
        try:
            from importlib import import_module

            native = import_module("cordboard.media.native")
        except ImportError:
            if engine == "c":
                raise
        else:
            return cast(Board, native.open(settings))
    from cordboard.media.python import open as open_python

    return open_python(settings)
