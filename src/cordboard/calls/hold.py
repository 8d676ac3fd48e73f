"""What callers hear on hold: the built-in loop, or somebody's own file."""

from __future__ import annotations

import asyncio
import wave
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import structlog

if TYPE_CHECKING:
    from cordboard.media import Board, Clip

log = structlog.get_logger(__name__)

_KEPT = 16


class HoldMusic:
    """Clips by file, each prepared once; ``builtin`` serves where a file cannot be played, so that nobody waits in
    silence. Files are WAV, 16 bit, one or two channels, 8 to 48 kHz."""

    def __init__(self, board: Board, builtin: Clip, default: Path | None) -> None:
        self._board = board
        self._builtin = builtin
        self._default = default
        self._clips: OrderedDict[str, Clip] = OrderedDict()

    async def clip(self, file: str | None, complain: Callable[[str], None]) -> Clip:
        """The clip of an action's own file, of the configured one, or the built-in loop."""
        path = file or (str(self._default) if self._default is not None else None)
        if path is None:
            return self._builtin
        found = self._clips.get(path)
        if found is None:
            try:
                pcm16, rate = await asyncio.to_thread(read_wav, Path(path))
                found = self._clips.get(path) or self._board.clip(pcm16, rate, loop=True)
            except (OSError, EOFError, ValueError, wave.Error) as error:
                complain(f"hold music {path}: {error}; the built-in music plays")
                log.warning("hold_music_failed", file=path, error=str(error))
                return self._builtin
            self._clips[path] = found
            if len(self._clips) > _KEPT:
                self._clips.popitem(last=False)[1].close()
        self._clips.move_to_end(path)
        return found


def read_wav(path: Path) -> tuple[bytes, int]:
    """Samples, mixed to one channel, and their rate. Raises OSError, EOFError, wave.Error and ValueError."""
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2 or file.getnchannels() not in (1, 2):
            raise ValueError("a WAV file of 16 bit with one or two channels is expected")
        data = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        if file.getnchannels() == 2:
            data = data.reshape(-1, 2).mean(axis=1).astype("<i2")
        return data.astype(np.int16).tobytes(), file.getframerate()
