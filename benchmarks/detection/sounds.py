# ruff: noqa: E501  data and commands
"""Voices, tones, music, noise, codecs and losses, at 8 kHz as float arrays. Seeded: the generator is given."""

from __future__ import annotations

import hashlib
import io
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 8000
Sound = NDArray[np.float64]
Random = np.random.Generator

# Voices: an espeak-ng timbre, or "flite:" and a flite voice (English only).
VOICES = {
    "tuning": ("m1", "m3", "m5", "m7", "f1", "f3", "Andy", "Gene", "iven", "Michael", "belinda", "steph", "flite:kal16", "flite:slt"),
    "test": ("m2", "m4", "m6", "m8", "f2", "f4", "Lee", "Mario", "john", "Annie", "linda", "Alicia", "flite:rms", "flite:awb"),
}  # fmt: skip


def resample(sound: Sound, rate: int, to: int = RATE) -> Sound:
    """By the discrete Fourier transform: exact for what is within the band."""
    size = round(len(sound) * to / rate)
    if not size or rate == to:
        return sound
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(size // 2 + 1, dtype=complex)
    count = min(len(kept), len(spectrum))
    kept[:count] = spectrum[:count]
    return np.asarray(np.fft.irfft(kept, size) * (size / len(sound)))


class Speech:
    """Synthetic speech with a cache on disk."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        cache.mkdir(parents=True, exist_ok=True)

    def say(self, text: str, language: str, voice: str, *, speed: int = 165, pitch: int = 50) -> Sound:
        """Without silence at either end; the peak is 1."""
        key = hashlib.sha256(repr((text, language, voice, speed, pitch)).encode()).hexdigest()[:24]
        path = self.cache / f"{key}.npy"
        if path.exists():
            return np.asarray(np.load(path), dtype=np.float64)
        if voice.startswith("flite:") and language == "en":
            name = voice.removeprefix("flite:")
            stretch = 165 / speed
            command = [
                "flite",
                "-voice",
                name,
                "--setf",
                f"duration_stretch={stretch:.2f}",
                "-t",
                text,
                "-o",
                "/dev/stdout",
            ]
        else:
            timbre = "" if voice.startswith("flite:") else f"+{voice}"
            base = {
                "en": "en-us" if int(key, 16) % 3 else "en-gb",
                "es": "es" if int(key, 16) % 2 else "es-419",
                "fr": "fr-fr",
            }
            command = [
                "espeak-ng",
                "-v",
                base.get(language, language) + timbre,
                "-s",
                str(speed),
                "-p",
                str(pitch),
                "--stdout",
                text,
            ]
        data = subprocess.run(command, check=True, capture_output=True).stdout
        with wave.open(io.BytesIO(data)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(len(data)), dtype="<i2").astype(np.float64)
        sound = trimmed(resample(samples, rate), RATE)
        sound = np.asarray(sound / (np.max(np.abs(sound)) + 1e-9))
        np.save(path, sound.astype(np.float32))
        return sound


def trimmed(sound: Sound, rate: int) -> Sound:
    """Cut where the first and last 10 ms stand within 35 dB of the loudest."""
    size = rate // 100
    count = len(sound) // size
    if not count:
        return sound
    power = np.mean(sound[: count * size].reshape(count, size) ** 2, axis=1)
    loud = np.flatnonzero(power > power.max() * 10**-3.5)
    return np.asarray(sound[loud[0] * size : (loud[-1] + 1) * size])


def silence(seconds: float) -> Sound:
    return np.zeros(round(max(seconds, 0) * RATE))


def tone(frequencies: Sequence[float], seconds: float, *, modulation: float = 0.0, phase: float = 0.0) -> Sound:
    time = np.arange(round(seconds * RATE)) / RATE
    sound = np.asarray(
        sum(np.sin(2 * np.pi * f * time + phase * i) for i, f in enumerate(frequencies)) / len(frequencies)
    )
    if modulation:
        sound = sound * (1 + 0.9 * np.sin(2 * np.pi * modulation * time)) / 1.9
    ramp = np.clip(np.minimum(time, seconds - time) / 0.004, 0, 1)
    return np.asarray(sound * ramp)


def cadence(
    frequencies: Sequence[float], durations: Sequence[float], seconds: float, *, modulation: float = 0.0
) -> Sound:
    pieces = []
    total = 0.0
    index = 0
    while total < seconds:
        length = durations[index % len(durations)]
        pieces.append(tone(frequencies, length, modulation=modulation) if index % 2 == 0 else silence(length))
        total += length
        index += 1
    return np.concatenate(pieces)[: round(seconds * RATE)]


def v21(random: Random, seconds: float) -> Sound:
    """300 bit/s frequency shift keying on 1650 and 1850 Hz: flags, then data."""
    bits = np.concatenate((np.tile([0, 1, 1, 1, 1, 1, 1, 0], 38), random.integers(0, 2, round(seconds * 300))))
    frequency = np.repeat(np.where(bits == 1, 1650.0, 1850.0), 27)[: round(seconds * RATE)]
    return np.asarray(np.sin(np.cumsum(2 * np.pi * frequency / RATE)))


def ansam(seconds: float) -> Sound:
    """2100 Hz with 15 Hz modulation and a phase reversal every 450 ms (V.8)."""
    time = np.arange(round(seconds * RATE)) / RATE
    turn = np.pi * np.floor(time / 0.45)
    return np.asarray(np.sin(2 * np.pi * 2100 * time + turn) * (1 + 0.2 * np.sin(2 * np.pi * 15 * time)) / 1.2)


STYLES = {
    "tuning": ("piano", "pad", "pop", "guitar", "hold"),
    "test": ("organ", "strings", "march", "harp", "flute"),
}
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))


def music(random: Random, style: str, seconds: float) -> Sound:
    """Chords, a melody and (in some styles) drums. No singing."""
    size = round(seconds * RATE)
    sound = np.zeros(size + 4 * RATE)
    beat = random.uniform(0.35, 0.7)
    root = int(random.integers(45, 57))
    scale = _SCALES[int(random.integers(len(_SCALES)))]
    time = 0.0
    step = degree = 0
    while time < seconds:
        degree = int(random.choice((0, 3, 4, 5))) if step % 4 == 0 else degree
        chord = [root + scale[(degree + k) % len(scale)] + 12 * ((degree + k) // len(scale)) for k in (0, 2, 4)]
        if step % 4 == 0 and style in ("pad", "organ", "strings", "pop", "march"):
            for note in chord:
                _add(sound, time, _note(random, note + 12, 4 * beat, style), 0.35)
        if style in ("piano", "guitar", "harp", "hold"):
            _add(sound, time, _note(random, chord[step % 3] + 12 * int(random.integers(0, 3)), 2 * beat, style), 0.6)
            if step % 4 == 0:
                _add(sound, time, _note(random, chord[0], 3 * beat, style), 0.5)
        if style in ("flute", "pop", "strings", "march", "organ") and random.random() < 0.8:
            length = beat * float(random.choice((0.5, 1, 1, 2)))
            note = root + 24 + scale[int(random.integers(len(scale)))]
            _add(sound, time, _note(random, note, length, "flute" if style == "flute" else style), 0.5)
        if style in ("pop", "march"):
            hit = random.normal(size=round(0.08 * RATE)) * np.exp(-np.arange(round(0.08 * RATE)) / (0.015 * RATE))
            _add(sound, time + (0.5 * beat if step % 2 else 0), hit, 0.3)
        time += beat * (0.5 if style in ("piano", "guitar", "harp", "hold") else 1)
        step += 1
    sound = sound[:size]
    return np.asarray(sound / (np.max(np.abs(sound)) + 1e-9))


def _note(random: Random, midi: float, seconds: float, style: str) -> Sound:
    frequency = 440 * 2 ** ((midi - 69) / 12)
    time = np.arange(round(seconds * RATE)) / RATE
    vibrato = {"strings": 0.004, "flute": 0.003, "pop": 0.002}.get(style, 0.0)
    phase = 2 * np.pi * frequency * (time + vibrato * np.sin(2 * np.pi * 5.5 * time) / (2 * np.pi * 5.5))
    sound = np.zeros_like(time)
    for harmonic in range(1, 9):
        if frequency * harmonic < 3600:
            weight = {"flute": 0.25, "piano": 0.5, "harp": 0.4, "hold": 0.35}.get(style, 0.7) ** (harmonic - 1)
            sound += weight * np.sin(harmonic * phase)
    if style in ("piano", "guitar", "harp", "hold"):
        envelope = np.exp(-time * random.uniform(1.5, 3.5))
    else:
        envelope = np.minimum(1, np.minimum(time / 0.04, (seconds - time) / 0.06))
    return np.asarray(sound * np.minimum(time / 0.006, 1) * envelope)


def _add(sound: Sound, at: float, piece: Sound, level: float) -> None:
    start = round(at * RATE)
    part = sound[start : start + len(piece)]
    part += level * piece[: len(part)]


# --- the line ---------------------------------------------------------------------------------------------------------


def at_level(sound: Sound, decibels: float) -> Sound:
    """Mean power of what sounds (the loudest 20 ms and what is within 25 dB of them), relative to full scale."""
    size = RATE // 50
    count = max(1, len(sound) // size)
    power = (sound[: count * size].reshape(count, -1) ** 2).mean(axis=1)
    active = power[power > power.max() / 316]
    return np.asarray(sound * np.sqrt(10 ** (decibels / 10) / (active.mean() + 1e-12)))


def noise(random: Random, kind: str, size: int, babble: Sound) -> Sound:
    """`line`: between white and pink; `car`: mostly under 500 Hz; `babble`: many voices; each of power 1."""
    if kind == "babble":
        start = int(random.integers(len(babble)))
        sound = np.resize(np.roll(babble, -start), size)
    else:
        spectrum = np.fft.rfft(random.normal(size=size))
        frequency = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 20)
        tilt = random.uniform(0, 0.5) if kind == "line" else 0.9
        shape = frequency**-tilt
        if kind == "car":
            shape *= 1 / (1 + (frequency / 400) ** 2) + 0.03
        sound = np.fft.irfft(spectrum * shape, size)
    return np.asarray(sound / (np.sqrt(np.mean(sound**2)) + 1e-12))


def codec(samples: NDArray[np.int16], name: str) -> NDArray[np.int16]:
    """There and back again: pcmu, pcma, gsm (RPE-LTP by sox), or narrow (300 to 3400 Hz)."""
    if name == "pcmu":
        return _ulaw(samples)
    if name == "pcma":
        return _alaw(samples)
    if name == "narrow":
        spectrum = np.fft.rfft(samples.astype(np.float64))
        frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
        spectrum *= 1 / (1 + (300 / np.maximum(frequency, 1)) ** 8) / (1 + (frequency / 3400) ** 16)
        return np.clip(np.fft.irfft(spectrum, len(samples)), -32768, 32767).astype(np.int16)
    raw = ("-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1", "-")
    encoded = subprocess.run(
        ["sox", "-D", *raw, "-t", "gsm", "-"], input=samples.tobytes(), check=True, capture_output=True
    )
    decoded = subprocess.run(
        ["sox", "-D", "-t", "gsm", "-r", "8000", "-", *raw], input=encoded.stdout, check=True, capture_output=True
    )
    found = np.frombuffer(decoded.stdout, dtype="<i2").astype(np.int16)
    return np.resize(found, len(samples)) if len(found) < len(samples) else found[: len(samples)]


def _ulaw(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    x = np.clip(samples.astype(np.float64) / 32635, -1, 1)
    compressed = np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)
    code = np.round(compressed * 127) / 127
    back = np.sign(code) * np.expm1(np.abs(code) * np.log(256)) / 255
    return np.asarray(back * 32635).astype(np.int16)


def _alaw(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    x = np.clip(samples.astype(np.float64) / 32256, -1, 1)
    a = 87.6
    scale = 1 + np.log(a)
    magnitude = np.abs(x)
    compressed = np.where(magnitude < 1 / a, a * magnitude, 1 + np.log(np.maximum(a * magnitude, 1e-9))) / scale
    code = (np.floor(compressed * 127) + 0.5) / 127.5
    back = np.where(code < 1 / scale, code * scale / a, np.exp(code * scale - 1) / a)
    return np.asarray(np.where(x == 0, 1, np.sign(x)) * back * 32256).astype(np.int16)


def lose(random: Random, samples: NDArray[np.int16], share: float) -> NDArray[np.int16]:
    """Packets of 20 ms lost in bursts; some receivers play nothing, some the last packet again."""
    found = samples.copy()
    size = RATE // 50
    repeat = bool(random.random() < 0.5)
    lost = False
    for start in range(size, len(found) - size, size):
        # Gilbert's model with bursts of 1.5 packets.
        lost = bool(random.random() < (1 / 3 if lost else share / 1.5))
        if lost:
            found[start : start + size] = found[start - size : start] // 2 if repeat else 0
    return found
