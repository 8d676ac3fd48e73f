"""When is there speech? Utterances, pauses and lengths, from the rows of the spectrum."""

from __future__ import annotations

import math
from collections import deque

from .spectrum import QUIET, STEP, Row

UNKNOWN_FLOOR = -33.0
"""The noise floor is never taken to be louder, in dB."""
QUIETEST = -47.0
"""Below this nothing is speech, in dB."""
ONSET_ROWS = 4
"""Rows in a row that begin an utterance: 80 ms, of which the window adds some 40."""
HELD_BACK = 2
"""Rows of a possible tone that count as voice at once: fewer than an onset needs."""
NOISE_MARGIN = 3.0
NOISE_SPREADS = 2.0
NOISE_MOST = 9.0
"""Speech stands this many dB, or standard deviations, over the mean of the noise; at most so much over the floor."""
REACH = 0.25
"""Speech stands this share of the way from the floor to the loudest."""
PAUSE = 0.40
"""Seconds without voice that end an utterance."""
FLAT_ROWS = 25
FLAT = 1.5
"""Variance of the level (dB²) over FLAT_ROWS rows under which sound is noise: speech has 15 and more."""
_BLOCK = 40  # rows; the floor is the lowest level of the last one to two blocks


class SpeechActivity:
    """What was spoken since `restart`. Times in seconds of the stream."""

    def __init__(self) -> None:
        self._lowest = 0.0
        self._lowest_before = 0.0
        self._rows = 0
        self._recent: deque[float] = deque(maxlen=4)
        self._loud = QUIET
        self._noise = QUIET
        self._noise_swing = 0.0
        self._noise_rows = 0
        self._voiced_run = 0
        self._lost_run = 0
        self._unsettled = 4
        self._held_back = 0
        self.voiced = False
        self.level = QUIET
        self.restart()

    def restart(self) -> None:
        """A new turn: what was said before does not count any more. The line's noise floor is kept."""
        self.speaking = False
        self.onset: float | None = None
        """The first utterance's start."""
        self.started = 0.0
        """The current or last utterance's start."""
        self.ended = 0.0
        """The last moment with voice."""
        self.utterances = 0
        self._before = 0.0
        self.spoken = 0.0
        """Seconds of all utterances, pauses between them not counted."""
        self.first_length = 0.0
        self.last_gap = 0.0
        """Seconds of quiet before the current or last utterance."""
        self.longest_gap = 0.0
        """The longest such pause between utterances."""
        self._forget_utterance()

    def _forget_utterance(self) -> None:
        self._steady_sum = 0.0
        self._utterance_rows = 0
        self._single = 0
        self._level = 0.0
        self._swing = 0.0

    @property
    def floor(self) -> float:
        return max(-70.0, min(self._lowest, self._lowest_before, UNKNOWN_FLOOR))

    @property
    def length(self) -> float:
        """Seconds of the current or last utterance."""
        return self.ended - self.started if self.utterances else 0.0

    @property
    def span(self) -> float:
        """Seconds from the first onset to the last voice, pauses included."""
        return self.ended - self.onset if self.onset is not None else 0.0

    @property
    def steadiness(self) -> float:
        """How much of the last utterance was held notes, 0 to 1."""
        return self._steady_sum / self._utterance_rows if self._utterance_rows else 0.0

    @property
    def purity(self) -> float:
        """How much of the last utterance had a single partial, 0 to 1: no voice has."""
        return self._single / self._utterance_rows if self._utterance_rows else 0.0

    def feed(self, row: Row, at: float, *, tone: bool, pending: int) -> None:
        """`tone`: this row is a tone, no speech. `pending`: rows up to this one that may turn out as a tone."""
        self._lost_run = self._lost_run + 1 if row.lost else 0
        # Until a whole window came after the start, or after a lost packet, the level is too low.
        self._unsettled = 3 if 0 < self._lost_run < 6 else max(0, self._unsettled - 1)
        self.level = row.level
        if 0 < self._lost_run < 6:
            voiced = self.voiced  # a lost packet says nothing
        else:
            voiced = not tone and self._above(row.level)
            if not tone and not self._unsettled:
                self._track(row.level, voiced)
        self.voiced = voiced
        if tone:
            self._voiced_run = self._held_back = 0
        elif voiced and pending > HELD_BACK:
            # Wait until the run has been confirmed or broken before it counts as voice.
            self._held_back += 1
        else:
            self._voiced_run = self._voiced_run + 1 + self._held_back if voiced else 0
            self._held_back = 0
            if voiced:
                self._hear(row, at)
        if self.speaking and at - self.ended >= PAUSE and not self._held_back:
            self.speaking = False

    def _above(self, level: float) -> bool:
        floor = self.floor
        reach = self._loud - floor
        # Stationary noise stays near its mean; babble does not, and needs more distance.
        noise = (
            self._noise - floor + max(NOISE_MARGIN, NOISE_SPREADS * math.sqrt(self._noise_swing))
            if self._noise_rows > 8
            else 8.0
        )
        gate = max(5.0, min(noise, NOISE_MOST), REACH * reach)
        if not self.speaking:
            gate = max(gate + 1.0, 7.0)
        return level >= max(floor + gate, QUIETEST)

    def _track(self, level: float, voiced: bool) -> None:
        self._loud = max(level, self._loud - 0.04)
        if self._rows % _BLOCK == 0:
            self._lowest_before = self._lowest
            self._lowest = 0.0
        self._rows += 1
        # A dip shorter than 100 ms (a lost packet that was concealed) is not the floor.
        self._recent.append(level)
        self._lowest = min(self._lowest, max(self._recent))
        if not voiced and not self.speaking and level < self.floor + 11.0:
            self._noise_rows = min(self._noise_rows + 1, 100)
            rise = level - self._noise
            self._noise += rise / self._noise_rows
            self._noise_swing += (rise * rise - self._noise_swing) / self._noise_rows

    def _hear(self, row: Row, at: float) -> None:
        # The window is 64 ms long: voice is seen about 20 ms early and 20 ms late.
        if self.speaking:
            if self._voiced_run >= 2:
                self.spoken += min(at - self.ended, PAUSE)
                self.ended = at
            self._measure(row)
            if self.utterances == 1:
                self.first_length = self.length
            if self._utterance_rows >= FLAT_ROWS and self._swing < FLAT:
                self._take_back(row)
        elif self._voiced_run >= ONSET_ROWS:
            self.speaking = True
            start = at - self._voiced_run * STEP
            self.last_gap = start - (self.ended if self.utterances else 0.0)
            if self.utterances:
                self.longest_gap = max(self.longest_gap, self.last_gap)
            self.utterances += 1
            self.started = start
            self.ended = at
            self._before = self.spoken
            self.spoken += at - start
            self._forget_utterance()
            self._level = row.level
            self._measure(row)
            if self.onset is None:
                self.onset = start

    def _measure(self, row: Row) -> None:
        self._steady_sum += row.steady
        self._utterance_rows += 1
        self._single += row.share > 0.9 and row.spread < 25.0
        rise = row.level - self._level
        self._level += 0.1 * rise
        self._swing += (rise * rise - self._swing) / min(self._utterance_rows, 40)

    def _take_back(self, row: Row) -> None:
        """What sounds is as even as only noise is: it becomes the floor, and was no utterance."""
        self._lowest = self._lowest_before = self._noise = row.level
        self._loud = row.level
        self.speaking = self.voiced = False
        self._voiced_run = 0
        self.spoken = self._before
        self.utterances -= 1
        if not self.utterances:
            self.restart()
