"""What a party says, for machines that listen: 16 kHz frames in order, never stretched; what is missing is silence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cordboard.media.face import TAP_RATE, TAP_SAMPLES
from cordboard.media.python.g711 import Samples
from cordboard.media.python.resample import Resampler
from cordboard.media.python.timeline import FRAME, RATE

REORDER_DEPTH = 3  # packets
REORDER_WAIT = 0.06
FILL_LIMIT = 2 * RATE
PAUSE = 12 * RATE // 100  # longer than a packet is late: the party sends nothing
BEHIND = 2 * FRAME  # what a pause leaves for packets that are late after all


class TapStream:
    def __init__(self, id: int, emit: Callable[[int, bytes], None]) -> None:
        self.id = id
        self._emit = emit
        self._resampler = Resampler(RATE, TAP_RATE)
        self._rest: Samples = np.zeros(0, dtype=np.int16)
        self._held: dict[int, tuple[int, Samples, float]] = {}
        self._expected: int | None = None
        self._end: int | None = None

    def packet(self, number: int, at: int, pcm: Samples, now: float) -> None:
        """`number`: extended sequence number; `at`: position on the board's clock."""
        if self._expected is None or number == self._expected:
            self._play(number, at, pcm)
        elif number < self._expected - 100:  # the party has begun anew
            self._release_all()
            self._play(number, at, pcm)
        elif number > self._expected:
            self._held[number] = (at, pcm, now)
            if len(self._held) > REORDER_DEPTH:
                self._skip()
        while self._held and (following := self._held.pop(self._expected or 0, None)) is not None:
            self._play(self._expected or 0, following[0], following[1])

    def expire(self, now: float) -> None:
        """Do not wait longer for what is missing."""
        if self._held and now - min(held[2] for held in self._held.values()) >= REORDER_WAIT:
            self._release_all()

    def pause(self, clock: int) -> None:
        """A party that sends nothing is silent: its pauses are heard while they last. `clock`: the board's position."""
        if self._end is None or self._held or clock - self._end < PAUSE:
            return
        length = min((clock - self._end) // FRAME * FRAME - BEHIND, FILL_LIMIT)
        self._hear(np.zeros(length, dtype=np.int16))
        self._end += length

    def begin_anew(self) -> None:
        """Another SSRC: its numbers have nothing to do with the old ones."""
        self._release_all()
        self._expected = None

    def frame(self, pcm: Samples) -> None:
        """20 ms at 16 kHz from a party without RTP."""
        self._emit(self.id, pcm.tobytes())

    def _skip(self) -> None:
        number = min(self._held)
        at, pcm, _ = self._held.pop(number)
        self._play(number, at, pcm)

    def _release_all(self) -> None:
        while self._held:
            self._skip()

    def _play(self, number: int, at: int, pcm: Samples) -> None:
        self._expected = number + 1
        gap = 0 if self._end is None else at - self._end
        self._end = at + len(pcm)
        if gap > 0:
            pcm = np.concatenate((np.zeros(min(gap, FILL_LIMIT), dtype=np.int16), pcm))
        self._hear(pcm)

    def _hear(self, pcm: Samples) -> None:
        out = self._resampler.feed(pcm)
        if len(self._rest):
            out = np.concatenate((self._rest, out))
        whole = len(out) - len(out) % TAP_SAMPLES
        for start in range(0, whole, TAP_SAMPLES):
            self._emit(self.id, out[start : start + TAP_SAMPLES].tobytes())
        self._rest = out[whole:]
