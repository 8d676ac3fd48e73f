"""Sounds made by computation: hold music and the ringback tone. Nothing here needs a file or a licence."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOLD_SECONDS = 8.0
"""Length of one round of the hold music."""

# Four bars of eight quavers: broken chords on F, D minor, B flat and C, each as MIDI note numbers.
_BARS = (
    (53, 60, 65, 69, 72, 69, 65, 60),
    (50, 57, 62, 65, 69, 65, 62, 57),
    (46, 53, 58, 62, 65, 62, 58, 53),
    (48, 55, 60, 64, 67, 64, 60, 55),
)
_LEVEL = 0.16
"""Peak relative to full scale, about -16 dB: well under a voice, so that a person who joins is heard."""

RINGBACK_TONES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # country: frequencies in Hz; seconds on, off, on, off, ...  (ITU-T E.180 supplement 2)
    "us": ((440.0, 480.0), (2.0, 4.0)),
    "gb": ((400.0, 450.0), (0.4, 0.2, 0.4, 2.0)),
    "de": ((425.0,), (1.0, 4.0)),
    "fr": ((440.0,), (1.5, 3.5)),
}


@lru_cache(maxsize=8)
def hold_music(rate: int = 16_000) -> bytes:
    """One round of soft broken chords: int16 little endian, one channel, HOLD_SECONDS long at `rate` samples a second.

    It may be repeated without a click: what rings past the end is folded onto the start.
    """
    total = round(HOLD_SECONDS * rate)
    quaver = HOLD_SECONDS / (len(_BARS) * 8)
    sound = np.zeros(total, dtype=np.float64)
    for bar, notes in enumerate(_BARS):
        for place, note in enumerate(notes):
            start = round((bar * 8 + place) * quaver * rate)
            _fold(sound, start, _note(note, 1.6, rate))
        # A quiet sustained octave under each bar keeps the line from falling silent between notes.
        _fold(sound, round(bar * 8 * quaver * rate), 0.5 * _note(notes[0] + 12, 3.0, rate))
    sound *= _LEVEL / np.max(np.abs(sound))
    return np.round(sound * 32767).astype("<i2").tobytes()


def _note(note: int, seconds: float, rate: int) -> NDArray[np.float64]:
    """A mellow struck tone: three harmonics, a soft attack, an even decay to nothing."""
    time = np.arange(round(seconds * rate)) / rate
    frequency = 440.0 * 2.0 ** ((note - 69) / 12)
    tone = np.zeros_like(time)
    for harmonic, weight in ((1, 1.0), (2, 0.35), (3, 0.12)):
        # A telephone line passes 300 to 3400 Hz; what lies above would only alias at 8 kHz.
        if frequency * harmonic < min(3400.0, rate / 2):
            tone += weight * np.sin(2 * np.pi * frequency * harmonic * time)
    envelope = np.minimum(time / 0.02, 1.0) * np.exp(-2.6 * time) * np.clip((seconds - time) / 0.2, 0.0, 1.0)
    return np.asarray(tone * envelope, dtype=np.float64)


def _fold(sound: NDArray[np.float64], start: int, note: NDArray[np.float64]) -> None:
    np.add.at(sound, (start + np.arange(note.size)) % sound.size, note)


@lru_cache(maxsize=8)
def ringback(country: str = "us", rate: int = 16_000) -> bytes:
    """One cadence of the ringback tone, to be repeated: int16 little endian, one channel.

    `country` is a key of RINGBACK_TONES (ISO 3166, lower case); an unknown one raises KeyError.
    """
    frequencies, cadence = RINGBACK_TONES[country]
    pieces = []
    for index, seconds in enumerate(cadence):
        time = np.arange(round(seconds * rate)) / rate
        if index % 2:
            pieces.append(np.zeros_like(time))
            continue
        tone = sum((np.sin(2 * np.pi * frequency * time) for frequency in frequencies), np.zeros_like(time))
        ramp = np.clip(np.minimum(time, seconds - time) / 0.005, 0.0, 1.0)
        pieces.append(tone * ramp * (_LEVEL / len(frequencies)))
    return np.round(np.concatenate(pieces) * 32767).astype("<i2").tobytes()
