"""Audio prepared once: 20 ms frames, encoded once per codec."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cordboard.media.python import g711
from cordboard.media.python.g711 import Samples
from cordboard.media.python.timeline import FRAME, RATE


class PythonClip:
    def __init__(self, pcm: Samples, loop: bool, on_close: Callable[[], None] = lambda: None) -> None:
        """`pcm` is at 8 kHz, at least one sample. A loop is joined without a pause where frame and end do not meet."""
        self._loop = loop
        self._duration_ms = round(len(pcm) * 1000 / RATE)
        rest = -len(pcm) % FRAME
        if rest and loop:
            # Repeating until the frames come out even could take 160 rounds; filling up from the start is heard less.
            pcm = np.concatenate((pcm, np.resize(pcm, rest)))
        elif rest:
            pcm = np.concatenate((pcm, np.zeros(rest, dtype=np.int16)))
        self._frames = [pcm[i : i + FRAME] for i in range(0, len(pcm), FRAME)]
        self._encoded = {name: self._encode(name) for name in g711.NAMES}
        self._closed = False
        self._on_close = on_close

    @property
    def loop(self) -> bool:
        return self._loop

    @property
    def duration_ms(self) -> int:
        return self._duration_ms

    @property
    def frames(self) -> list[Samples]:
        return self._frames

    def _encode(self, codec: str) -> list[bytes]:
        payload = g711.encode(codec, np.concatenate(self._frames))
        return [payload[i : i + FRAME] for i in range(0, len(payload), FRAME)]

    def encoded(self, codec: str) -> list[bytes]:
        return self._encoded[codec]

    def close(self) -> None:
        """The frames go when the last listener does."""
        if not self._closed:
            self._closed = True
            self._on_close()


class ClipPlayer:
    """A clip as one listener hears it."""

    def __init__(self, clip: PythonClip) -> None:
        self.clip = clip
        self.ended = False
        self._next = 0

    def _advance(self) -> int | None:
        count = len(self.clip.frames)
        if self._next >= count:
            if not self.clip.loop:
                self.ended = True
                return None
            self._next = 0
        index = self._next
        self._next += 1
        return index

    def pull(self, tick: int) -> Samples | None:
        index = self._advance()
        return None if index is None else self.clip.frames[index]

    def pull_encoded(self, codec: str, tick: int) -> bytes | None:
        index = self._advance()
        return None if index is None else self.clip.encoded(codec)[index]
