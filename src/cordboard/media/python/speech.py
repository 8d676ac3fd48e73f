"""Speech ahead of time: a queue of audio that plays in real time, with marks and flush."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock

import numpy as np

from cordboard.media.face import MediaError, Pcm
from cordboard.media.python import g711
from cordboard.media.python.g711 import Samples
from cordboard.media.python.resample import Resampler
from cordboard.media.python.timeline import RATE

MAX_MARKS = 10000


def samples(pcm16: Pcm) -> Samples:
    """The caller's octets, copied, so that the caller may use its buffer again."""
    data = bytes(pcm16)
    if len(data) % 2:
        raise ValueError("PCM is 16 bits a sample: an even number of octets")
    return np.frombuffer(data, dtype=np.int16)


class Queue:
    """Audio between the thread that writes it and the engine that plays it, a frame of 20 ms at a time."""

    def __init__(self, rate: int, limit: float, drop_oldest: bool = False) -> None:
        self.rate = rate
        self.frame = rate // 50
        self._limit = round(limit * rate)
        self._drop_oldest = drop_oldest
        self._lock = Lock()
        self._pieces: deque[Samples] = deque()
        self._offset = 0  # into the first piece
        self._queued = 0
        self._written = 0
        self._played = 0
        self._marks: deque[tuple[int, int]] = deque()  # position, id
        self._resampler: Resampler | None = None
        self._playing = False
        self._waited = False
        self._tick = -1
        self._current: Samples | None = None

    @property
    def queued_ms(self) -> float:
        return self._queued * 1000 / self.rate

    def write(self, pcm: Samples, rate: int) -> float:
        if not 4000 <= rate <= 192000:
            raise ValueError(f"a sample rate of {rate} Hz")
        with self._lock:
            if rate == self.rate:
                self._resampler = None
            else:
                if self._resampler is None or self._resampler.source != rate:
                    self._resampler = Resampler(rate, self.rate)
                    self._resampler.skip_delay()
                pcm = self._resampler.feed(pcm)
            count = len(pcm)
            if self._queued + count > self._limit:
                if not self._drop_oldest:
                    raise MediaError(f"more than {self._limit // self.rate} s of speech are queued")
                pcm = pcm[-self._limit :]
                count = len(pcm)
                self._discard(self._queued + count - self._limit)
            if count:
                self._pieces.append(pcm)
                self._queued += count
                self._written += count
            return self.queued_ms

    def mark(self, id: int) -> bool:
        """Whether the mark has been reached already."""
        with self._lock:
            if not self._queued:
                return True
            if len(self._marks) >= MAX_MARKS:
                raise MediaError("too many marks are waiting")
            self._marks.append((self._written, id))
            return False

    def flush(self) -> float:
        with self._lock:
            forgotten = self.queued_ms
            self._pieces.clear()
            self._marks.clear()
            self._offset = self._queued = 0
            self._played = self._written
            self._resampler = None
            self._playing = False
            return forgotten

    def _discard(self, count: int) -> None:
        self._queued -= count
        self._played += count
        while count:
            left = len(self._pieces[0]) - self._offset
            if left > count:
                self._offset += count
                return
            self._pieces.popleft()
            self._offset = 0
            count -= left

    def _take(self) -> Samples | None:
        count = min(self._queued, self.frame)
        if count < self.frame:
            if count == 0:
                self._playing = False
                return None
            if not self._playing and not self._waited:
                # The first words come in small pieces: one frame's patience is better than a hole after 5 ms.
                self._waited = True
                return None
        self._waited, self._playing = False, True
        first = self._pieces[0]
        if len(first) - self._offset >= self.frame:
            out = first[self._offset : self._offset + self.frame]
        else:
            out = np.zeros(self.frame, dtype=np.int16)
            at, skip = 0, self._offset
            for piece in self._pieces:
                part = piece[skip : skip + count - at]
                out[at : at + len(part)] = part
                at += len(part)
                skip = 0
                if at == count:
                    break
        self._discard(count)
        return out

    def pull(self, tick: int) -> tuple[Samples | None, list[int]]:
        """This tick's frame, the same for all who ask, and the marks that it reaches (told to the first who asks)."""
        with self._lock:
            if tick == self._tick:
                return self._current, []
            self._tick = tick
            self._current = self._take()
            reached = []
            while self._marks and self._marks[0][0] <= self._played:
                reached.append(self._marks.popleft()[1])
            return self._current, reached


class PythonSay:
    """The face of a queue, and the player of all who hear it."""

    def __init__(self, limit: float, marked: Callable[[int], None]) -> None:
        self._queue = Queue(RATE, limit)
        self._marked = marked
        self._closed = False

    @property
    def ended(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._queue.flush()

    @property
    def queued_ms(self) -> float:
        return self._queue.queued_ms

    def write(self, pcm16: Pcm, rate: int) -> float:
        return 0.0 if self._closed else self._queue.write(samples(pcm16), rate)

    def mark(self, id: int) -> None:
        if not self._closed and self._queue.mark(id):
            self._marked(id)

    def flush(self) -> float:
        return self._queue.flush()

    def pull(self, tick: int) -> Samples | None:
        frame, marks = self._queue.pull(tick)
        for id in marks:
            self._marked(id)
        return frame

    def pull_encoded(self, codec: str, tick: int) -> bytes | None:
        frame = self.pull(tick)
        return None if frame is None else g711.encode(codec, frame)
