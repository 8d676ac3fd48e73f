"""Change of sample rate: a windowed-sinc filter evaluated in polyphase form, for streams and for whole pieces."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Samples = NDArray[np.int16]

_LOBES = 12  # zero crossings of the sinc on each side


@lru_cache(maxsize=64)
def _phases(up: int, down: int) -> NDArray[np.float32]:
    """One row of coefficients for each phase, newest sample last."""
    widest = max(up, down)
    taps = 2 * _LOBES * -(-widest // up)
    length = taps * up
    n = np.arange(length) - length / 2  # centred on the grid: the delay is a whole number of input samples
    cutoff = 0.94 / widest
    prototype = np.sinc(cutoff * n) * cutoff * up * np.kaiser(length + 1, 7.0)[:length]
    table = prototype.reshape(taps, up).T[:, ::-1]
    table = table / table.sum(axis=1, keepdims=True)
    return np.ascontiguousarray(table, dtype=np.float32)


class Resampler:
    """A stream from one rate to another. Pieces of any length give the same as the whole in one piece."""

    def __init__(self, source: int, target: int) -> None:
        divisor = gcd(source, target)
        self.source, self.target = source, target
        self._up, self._down = target // divisor, source // divisor
        self._table = _phases(self._up, self._down)
        self._taps: int = self._table.shape[1]
        self._kept = np.zeros(self._taps - 1, dtype=np.float32)
        self._first = 0  # the next output, counted on the upsampled grid from the next input

    @property
    def delay(self) -> int:
        """Of the filter, in samples of the source."""
        return self._taps // 2

    def skip_delay(self) -> None:
        """Before the first piece: begin where the filter is centred on the first sample."""
        self._first = self.delay * self._up

    def feed(self, pcm: Samples) -> Samples:
        if self._up == self._down:
            return pcm
        x = np.concatenate((self._kept, pcm.astype(np.float32)))
        up, down, first = self._up, self._down, self._first
        count = -(-(len(pcm) * up - first) // down)
        if count <= 0:
            self._first = first - len(pcm) * up
        else:
            windows = sliding_window_view(x, self._taps)
            out = np.empty(count, dtype=np.float32)
            for residue in range(min(up, count)):
                at = first + residue * down
                out[residue::up] = windows[at // up :: down][: -(-(count - residue) // up)] @ self._table[at % up]
            self._first = first + count * down - len(pcm) * up
        self._kept = x[len(x) - self._taps + 1 :]
        if count <= 0:
            return np.zeros(0, dtype=np.int16)
        return np.clip(np.rint(out), -32768, 32767).astype(np.int16)


def resample(pcm: Samples, source: int, target: int) -> Samples:
    """A whole piece; its length is kept, and the filter's delay taken away."""
    if source == target or len(pcm) == 0:
        return pcm
    stream = Resampler(source, target)
    stream.skip_delay()
    out = stream.feed(np.concatenate((pcm, np.zeros(2 * stream.delay, dtype=np.int16))))
    return out[: max(1, round(len(pcm) * target / source))]
