"""Sounds for the detector's tests: 16 kHz int16, made by numpy. Knows nothing of the product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Sound = NDArray[np.float64]


def quiet(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE))


def tone(frequencies: Sequence[float], seconds: float, modulation: float = 0.0) -> Sound:
    time = np.arange(round(seconds * RATE)) / RATE
    sound = np.sum([np.sin(2 * np.pi * f * time) for f in frequencies], axis=0) / len(frequencies)
    if modulation:
        sound = sound * (1 + 0.9 * np.sin(2 * np.pi * modulation * time)) / 1.9
    return np.asarray(0.25 * sound)


def cadence(frequencies: Sequence[float], durations: Sequence[float], seconds: float, modulation: float = 0.0) -> Sound:
    pieces: list[Sound] = []
    while sum(map(len, pieces)) < seconds * RATE:
        length = durations[len(pieces) % len(durations)]
        pieces.append(quiet(length) if len(pieces) % 2 else tone(frequencies, length, modulation))
    return np.concatenate(pieces)


def babbling(seconds: float, seed: int = 1) -> Sound:
    """Something with the rhythm, the gliding pitch and the formants of speech, without words."""
    random = np.random.default_rng(seed)
    size = round(seconds * RATE)
    time = np.arange(size) / RATE
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * time + seed) + 12 * np.sin(2 * np.pi * 2.3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formant = 550 + 220 * np.sin(2 * np.pi * 3.1 * time + 2 * seed)
    sound = np.zeros(size)
    for harmonic in range(2, 24):
        frequency = harmonic * pitch
        weight = np.exp(-(((frequency - formant) / 260) ** 2)) + 0.5 * np.exp(-(((frequency - 1700) / 400) ** 2))
        sound += weight * np.sin(harmonic * phase)
    syllables = 0.25 + 0.75 * np.abs(np.sin(2 * np.pi * 2.2 * time + random.uniform(0, 3)))
    edges = np.minimum(1, np.minimum(time, seconds - time) / 0.03)
    return np.asarray(0.12 * sound * syllables * edges)


def frames(*pieces: Sound, noise: float = 0.0005, seed: int = 1) -> Iterator[bytes]:
    """All pieces after each other with a little noise, as frames of 20 ms."""
    sound = np.concatenate(pieces)
    sound = sound + np.random.default_rng(seed).normal(size=len(sound)) * noise
    samples = (np.clip(sound, -1, 1) * 32767).astype(np.int16)
    for start in range(0, len(samples) - 319, 320):
        yield samples[start : start + 320].tobytes()
