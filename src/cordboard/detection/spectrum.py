"""Sound as rows of measurements: one for every 20 ms, computed for several rows at once.

A row looks at the 64 ms that end with its frame, between 250 and 3450 Hz, which is what a telephone passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
HOP = 320
"""Samples from row to row: 20 ms."""
WINDOW = 1024
"""Samples that a row looks at: 64 ms."""
ROWS = 4
"""Rows of a batch: 80 ms."""
STEP = HOP / RATE
QUIET = -96.0
"""Level of digital silence, in dB."""

_BIN = RATE / WINDOW
_LOW, _HIGH = 16, 221  # bins of 250 and 3437 Hz
_CLUSTER = 11  # bins (172 Hz) on each side of the strongest that belong to a tone: 480+620 Hz fit in
_TRACK_FROM = 2  # bins above _LOW (280 Hz) from which partials are followed
_TRACK_ROWS = 7  # a partial of a held note is still there after this many rows


@dataclass(frozen=True, slots=True)
class Row:
    """20 ms of sound.

    `level`: dB relative to full scale. `centre`, `spread`: mean and standard deviation in Hz of the power around
    the strongest partial. `share`: how much of all power that is. `steady`: share of the partials that were in the
    same place 140 ms ago: near 1 for held notes, low for speech. `lost`: nothing came (digital zeros).
    """

    level: float
    centre: float
    spread: float
    share: float
    steady: float
    lost: bool


class Spectrum:
    """Samples in, rows out; memory is one window and a few rows of partials."""

    def __init__(self) -> None:
        self._buffer: NDArray[np.float32] = np.zeros(WINDOW - HOP + ROWS * HOP, dtype=np.float32)
        self._windows = np.lib.stride_tricks.sliding_window_view(self._buffer, WINDOW)[::HOP]  # a view
        self._filled = 0  # new samples at the buffer's end part
        self._window = np.hanning(WINDOW).astype(np.float32)
        # Power of a full-scale sine is -3 dB: level is that of the signal's mean square.
        self._scale = 2.0 / (float(np.sum(self._window**2)) * WINDOW) / 32768.0**2
        self._bins = np.arange(_HIGH - _LOW, dtype=np.float32)
        self._rows = np.arange(ROWS)[:, None]
        self._offsets = np.arange(-_CLUSTER, _CLUSTER + 1)
        self._peaks: NDArray[np.bool_] = np.zeros((_TRACK_ROWS + ROWS, _HIGH - _LOW - _TRACK_FROM), dtype=np.bool_)

    def feed(self, samples: NDArray[np.int16]) -> list[Row]:
        """Any number of samples; the rows that are complete."""
        found: list[Row] = []
        position = 0
        head = WINDOW - HOP
        while position < samples.size:
            take = min(samples.size - position, ROWS * HOP - self._filled)
            start = head + self._filled
            self._buffer[start : start + take] = samples[position : position + take]
            self._filled += take
            position += take
            if self._filled == ROWS * HOP:
                found += self._measure()
                self._buffer[:head] = self._buffer[-head:]
                self._filled = 0
        return found

    def _measure(self) -> list[Row]:
        spectrum = np.fft.rfft(self._windows * self._window, axis=1)[:, _LOW:_HIGH]
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        total = power.sum(axis=1) + 1e-3
        levels = 10.0 * np.log10(total * self._scale + 1e-12)
        strongest = power.argmax(axis=1)
        # The cluster around the strongest partial; what is 20 dB under it is noise.
        places = np.clip(strongest[:, None] + self._offsets, 0, power.shape[1] - 1)
        cluster = power[self._rows, places]
        cluster[(places[:, 1:] == places[:, :-1]).nonzero()] = 0.0
        peak = power[self._rows[:, 0], strongest]
        cluster = np.where(cluster < 0.01 * peak[:, None], 0.0, cluster)
        weight = cluster.sum(axis=1) + 1e-3
        centre = (cluster * places).sum(axis=1) / weight
        spread = np.sqrt((cluster * (places - centre[:, None]) ** 2).sum(axis=1) / weight)
        steady = self._steady(power, peak)
        fresh = np.abs(self._buffer[WINDOW - HOP :]).reshape(ROWS, HOP).max(axis=1)
        columns = zip(
            levels.tolist(),
            ((centre + _LOW) * _BIN).tolist(),
            (spread * _BIN).tolist(),
            (weight / total).tolist(),
            steady.tolist(),
            (fresh <= 1.0).tolist(),
            strict=True,
        )
        return [Row(*row) for row in columns]

    def _steady(self, power: NDArray[np.float32], peak: NDArray[np.float32]) -> NDArray[np.float32]:
        high = power[:, _TRACK_FROM:]
        self._peaks[:-ROWS] = self._peaks[ROWS:]
        peaks = self._peaks[-ROWS:]
        peaks[:, 0] = peaks[:, -1] = False
        np.greater(high[:, 1:-1], high[:, :-2], out=peaks[:, 1:-1])
        peaks[:, 1:-1] &= (high[:, 1:-1] > high[:, 2:]) & (high[:, 1:-1] > 0.006 * peak[:, None])
        before = self._peaks[:ROWS]
        between = self._peaks[_TRACK_ROWS // 2 : _TRACK_ROWS // 2 + ROWS]
        weight = np.sqrt(high) * peaks
        kept: NDArray[np.float32] = (weight * (before & between)).sum(axis=1) / (weight.sum(axis=1) + 1e-3)
        return kept
