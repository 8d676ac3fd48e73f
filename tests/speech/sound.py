"""Telephone lines for the tests: rate conversion and G.711 µ-law, by numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordboard.speech.ports import Pcm

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resample(samples: NDArray[np.float64], rate: int, wanted: int) -> NDArray[np.float64]:
    """Band-limited, through the spectrum; good enough for a phrase of a few seconds."""
    count = round(samples.size * wanted / rate)
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(count // 2 + 1, dtype=complex)
    size = min(kept.size, spectrum.size)
    kept[:size] = spectrum[:size]
    return np.fft.irfft(kept, count) * (count / samples.size)


def companded(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """There and back through µ-law's 8 bits; full scale is 1."""
    scaled = np.sign(samples) * np.log1p(255 * np.abs(np.clip(samples, -1, 1))) / np.log(256)
    stepped = np.round(scaled * 127) / 127
    return np.asarray(np.sign(stepped) * np.expm1(np.abs(stepped) * np.log(256)) / 255)


def telephone(pcm: Pcm, *, before: float = 0.6, after: float = 0.8) -> bytes:
    """What a 16 kHz tap hears of the speech over a G.711 line, with silence around it."""
    samples = np.frombuffer(pcm.data, dtype="<i2").astype(np.float64)
    samples *= 0.5 / max(1.0, float(np.max(np.abs(samples))))
    line = resample(companded(resample(samples, pcm.rate, 8000)), 8000, 16000)
    padded = np.concatenate((np.zeros(round(before * 16000)), line, np.zeros(round(after * 16000))))
    noise = np.random.default_rng(1).normal(0, 0.0005, padded.size)
    return np.round((padded + noise) * 32767).clip(-32768, 32767).astype("<i2").tobytes()
