"""Writing a softphone's microphone."""

from __future__ import annotations

import wave
from pathlib import Path


def write_mono(path: Path, pcm: bytes, rate: int = 8000) -> Path:
    """A mono 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path
