"""Labelled captures: what an answered leg sounded like and what the detector said of it, to measure with.

Off unless a folder is configured. A capture is a recording of people: keep it only where the law and the
people called allow it. The label is what the call turned out to be; somebody may correct it in the JSON by hand.
"""

from __future__ import annotations

import json
import re
import time
import wave
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .verdicts import Event, Verdict

CAPTURE_RATE = 8_000
LIMIT = 60.0
"""Seconds kept of one leg; what comes after is not written."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


class Capture:
    """Writes ``folder/name.wav`` (8 kHz, 16 bit, one channel: what came from the leg) and ``name.json`` beside it.

    Frames are 16 kHz int16 as the detector takes them. Memory is bounded by LIMIT. Writing happens in `close` and is
    blocking: call it in a thread. Raises OSError there.
    """

    def __init__(self, folder: Path, name: str, *, limit: float = LIMIT) -> None:
        self.path = folder / (_UNSAFE.sub("_", name).lstrip(".")[:120] or "capture")
        self._limit = round(limit * CAPTURE_RATE) * 2
        self._sound = bytearray()
        self._events: list[Event] = []
        self._closed = False

    def feed(self, frame: bytes | memoryview) -> None:
        if self._closed or len(self._sound) >= self._limit:
            return
        samples = np.frombuffer(frame, dtype=np.int16).astype(np.int32)
        # Telephone sound has nothing over 4 kHz: the mean of neighbours is filter enough.
        half = (samples[0 : len(samples) // 2 * 2 : 2] + samples[1::2]) // 2
        self._sound += half.astype("<i2").tobytes()

    def event(self, event: Event) -> None:
        """An event of the detector; at most 200 are kept."""
        if len(self._events) < 200:
            self._events.append(event)

    def close(self, label: str = "", **facts: object) -> Path | None:
        """Writes both files, readable by the owner only; None when nothing was heard. `label` as far as it is known."""
        if self._closed or not self._sound:
            self._closed = True
            return None
        self._closed = True
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        sound = self.path.with_name(self.path.name + ".wav")
        with wave.open(str(sound), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(CAPTURE_RATE)
            file.writeframes(bytes(self._sound[: self._limit]))
        sound.chmod(0o600)
        verdicts = [event for event in self._events if isinstance(event, Verdict)]
        content = {
            "label": label or (verdicts[-1].label if verdicts else ""),
            "captured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": min(len(self._sound), self._limit) / 2 / CAPTURE_RATE,
            "events": [{"event": type(event).__name__.lower(), **asdict(event)} for event in self._events],
            **facts,
        }
        facts_path = self.path.with_name(self.path.name + ".json")
        facts_path.write_text(json.dumps(content, indent=1, default=str) + "\n")
        facts_path.chmod(0o600)
        return sound
