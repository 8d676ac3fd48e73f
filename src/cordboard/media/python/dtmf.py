"""Keys as RTP telephone-events (RFC 4733): once per key on the way in, three ends on the way out."""

from __future__ import annotations

import struct
from collections import deque
from typing import NamedTuple

KEYS = "0123456789*#ABCD"
VOLUME = 10  # -10 dBm0
ENDS = 3  # §2.5.1.4
FORGOTTEN_AFTER = 0.2  # a key whose ends are all lost counts as released
QUEUE_LIMIT = 64

_EVENT = struct.Struct("!BBH")


class Pressed(NamedTuple):
    digit: str
    duration: int  # milliseconds


def parse(payload: bytes) -> tuple[int, bool, int] | None:
    """Event code, end bit, duration in timestamp units (§2.3)."""
    if len(payload) < 4:
        return None
    event, flags, duration = _EVENT.unpack_from(payload)
    return event, bool(flags & 0x80), duration


def build(event: int, end: bool, duration: int) -> bytes:
    return _EVENT.pack(event, (0x80 if end else 0) | VOLUME, min(duration, 0xFFFF))


class Receiver:
    """One party's keys. An event is known by its RTP timestamp, which all its packets share (§2.2.2)."""

    def __init__(self) -> None:
        self._timestamp: int | None = None
        self._event = 0
        self._duration = 0
        self._reported = True
        self._updated = 0.0
        self.clock_rate = 8000

    @property
    def held(self) -> bool:
        """Whether a key is down as far as we know."""
        return not self._reported

    def receive(self, payload: bytes, timestamp: int, now: float) -> list[Pressed]:
        parsed = parse(payload)
        if parsed is None:
            return []
        event, end, duration = parsed
        pressed = []
        if timestamp != self._timestamp:
            if self._timestamp is not None and (timestamp - self._timestamp) & 0xFFFFFFFF > 0x80000000:
                return []  # a late packet of a key that has been reported
            pressed += self._release()
            self._timestamp, self._event, self._duration, self._reported = timestamp, event, 0, False
        if not self._reported:
            self._duration = max(self._duration, duration)
            self._updated = now
            if end:
                pressed += self._release()
        return pressed

    def expire(self, now: float) -> list[Pressed]:
        """To be called from time to time: the key whose ends were lost."""
        return self._release() if not self._reported and now - self._updated > FORGOTTEN_AFTER else []

    def _release(self) -> list[Pressed]:
        if self._reported:
            return []
        self._reported = True
        if self._event >= len(KEYS):
            return []
        return [Pressed(KEYS[self._event], self._duration * 1000 // self.clock_rate)]


class Step(NamedTuple):
    """What goes out in one frame of the clock."""

    event: int
    end: bool
    first: bool
    duration: int  # timestamp units


class Sender:
    """The queue of keys to send, advanced by a frame of 20 ms at a time."""

    FRAME = 160

    def __init__(self) -> None:
        self._queue: deque[tuple[int | None, int, int]] = deque()  # event or pause, frames, frames of gap after
        self._event: int | None = None
        self._left = 0
        self._gap = 0
        self._ends = 0
        self._duration = 0
        self._busy = False

    def __len__(self) -> int:
        return len(self._queue) + self._busy

    def add(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        for digit in digits:
            if digit in "wW":
                self._queue.append((None, 25 if digit == "w" else 50, 0))
            else:
                event = KEYS.index(digit.upper())
                self._queue.append((event, max(2, round(duration_ms / 20)), max(ENDS, round(gap_ms / 20))))

    def clear(self) -> None:
        self._queue.clear()
        self._busy = False
        self._ends = 0

    @property
    def speaking(self) -> bool:
        """Whether a key is being sent: audio waits meanwhile. A pause between keys lets audio through."""
        return self._busy and self._event is not None and (self._left > 0 or self._ends > 0)

    def step(self) -> Step | None:
        if not self._busy:
            if not self._queue:
                return None
            self._event, self._left, self._gap = self._queue.popleft()
            self._busy, self._duration, self._ends = True, 0, 0
        if self._event is None:
            self._left -= 1
            self._busy = self._left > 0
            return None
        if self._left > 0:
            first = self._duration == 0
            self._duration += self.FRAME
            self._left -= 1
            if self._left == 0:
                self._ends = ENDS - 1
                return Step(self._event, True, first, self._duration)
            return Step(self._event, False, first, self._duration)
        self._gap -= 1
        step = None
        if self._ends > 0:
            self._ends -= 1
            step = Step(self._event, True, False, self._duration)
        if self._gap <= 0 and self._ends == 0:
            self._busy = False
        return step


def check(digits: str) -> None:
    """Raises ValueError for a character that is neither a key nor a pause."""
    for digit in digits:
        if digit.upper() not in KEYS and digit not in "wW":
            raise ValueError(f"{digit!r} is neither a key (0-9 * # A-D) nor a pause (w, W)")
