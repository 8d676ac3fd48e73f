"""Tones to send, and ears to find them again. Knows nothing of the product. PCM is int16, native byte order."""

from __future__ import annotations

import wave
from os import PathLike

import numpy as np


def make_tone(frequency: float, seconds: float, rate: int = 8000, level: float = 0.3) -> bytes:
    """A sine of `level` (1.0 is full scale)."""
    n = np.arange(round(seconds * rate))
    return (np.sin(2 * np.pi * frequency * n / rate) * level * 32767).astype(np.int16).tobytes()


def make_silence(seconds: float, rate: int = 8000) -> bytes:
    return bytes(2 * round(seconds * rate))


def samples(pcm: bytes | memoryview) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.frombuffer(pcm, dtype=np.int16).astype(np.float64)


def level(pcm: bytes | memoryview) -> float:
    """Root mean square, 1.0 for a full-scale square wave."""
    x = samples(pcm)
    return float(np.sqrt(np.mean(x * x)) / 32768) if len(x) else 0.0


def goertzel(pcm: bytes | memoryview, rate: int, frequency: float) -> float:
    """The share of the audio's power that lies at `frequency`: 1.0 for a pure tone, near 0 for another one."""
    x = samples(pcm)
    energy = float(np.sum(x * x))
    if len(x) == 0 or energy == 0:
        return 0.0
    n = np.arange(len(x))
    bin_ = complex(np.sum(x * np.exp(-2j * np.pi * frequency * n / rate)))
    return min(1.0, 2 * abs(bin_) ** 2 / (len(x) * energy))


def tone_windows(pcm: bytes | memoryview, rate: int, frequency: float, window: float = 0.1) -> list[float]:
    """`goertzel` for each window of `window` seconds; silent windows (below -60 dB) are 0."""
    x = bytes(pcm)
    size = 2 * round(window * rate)
    parts = [x[i : i + size] for i in range(0, len(x) - size + 1, size)]
    return [goertzel(part, rate, frequency) if level(part) > 0.001 else 0.0 for part in parts]


def tone_seconds(
    pcm: bytes | memoryview, rate: int, frequency: float, threshold: float = 0.5, window: float = 0.1
) -> float:
    """For how many seconds the tone dominates."""
    return window * sum(share >= threshold for share in tone_windows(pcm, rate, frequency, window))


def tone_present(
    pcm: bytes | memoryview, rate: int, frequency: float, threshold: float = 0.5, seconds: float = 0.2
) -> bool:
    """Whether the tone dominates for at least `seconds`, all together."""
    return tone_seconds(pcm, rate, frequency, threshold) >= seconds - 1e-9


def read_wav(path: str | PathLike[str]) -> tuple[int, list[bytes]]:
    """Rate, and int16 PCM of each channel (two for our recordings: left, right)."""
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise ValueError(f"{path}: {file.getsampwidth() * 8} bits, not 16")
        rate, channels = file.getframerate(), file.getnchannels()
        data = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)
    return rate, [data[i::channels].tobytes() for i in range(channels)]


def read_stereo(path: str | PathLike[str]) -> tuple[int, bytes, bytes]:
    """Rate, left, right."""
    rate, channels = read_wav(path)
    left, right = channels
    return rate, left, right


def write_wav(path: str | PathLike[str], rate: int, *channels: bytes) -> None:
    columns = [np.frombuffer(channel, dtype=np.int16) for channel in channels]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(columns))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.stack(columns, axis=1).astype("<i2").tobytes())
