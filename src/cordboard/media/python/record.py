"""Recordings: two channels on one timeline, placed by position on the board's clock, written by their own thread."""

from __future__ import annotations

import struct
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cordboard.media.python.g711 import Samples
from cordboard.media.python.timeline import RATE

WINDOW = 4 * RATE  # what is kept in memory for packets that come late or ahead
SETTLED = RATE  # audio older than this is written
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def wav_header(octets: int) -> bytes:
    octets = min(octets, 0xFFFFFFFF - 36)
    return _HEADER.pack(b"RIFF", 36 + octets, b"WAVE", b"fmt ", 16, 1, 2, RATE, RATE * 4, 4, 16, b"data", octets)


class WavFile:
    """Used by the writer's thread only. The header is kept true, so that a file cut short by a crash can be read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._octets = 0
        self.error = ""

    def append(self, data: bytes) -> None:
        if self.error:
            return
        try:
            if self._file is None:
                self._file = open(self.path, "wb")  # noqa: SIM115
                self._file.write(wav_header(0))
            self._file.write(data)
            self._octets += len(data)
            self._file.seek(0)
            self._file.write(wav_header(self._octets))
            self._file.seek(0, 2)
            self._file.flush()
        except OSError as error:
            self.error = error.strerror or str(error)

    def finish(self) -> float:
        """Seconds written."""
        self.append(b"")
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self.error = self.error or error.strerror or str(error)
        return self._octets / (4 * RATE)


class Writer:
    """One thread for the files of a board. Without a thread (`start` never called) it writes at once."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def do(self, work: Callable[[], None]) -> None:
        if self._thread is None:
            work()
        else:
            self._queue.put(work)

    def start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="cordboard-recordings", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()

    def stop(self, timeout: float) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout)


class Channel:
    """One side of a recording; a session writes what it hears or sends into it."""

    def __init__(self, tape: Tape, index: int) -> None:
        self.tape = tape
        self._index = index

    def write(self, at: int, pcm: Samples) -> None:
        self.tape.write(self._index, at, pcm)


class Tape:
    """The engine's side of a recording."""

    def __init__(self, file: WavFile, writer: Writer, clock: int) -> None:
        self._file = file
        self._writer = writer
        self._window: NDArray[np.int16] = np.zeros((WINDOW, 2), dtype=np.int16)
        self._origin = clock  # position of the window's first sample
        self._blanks: list[tuple[int, int | None]] = []
        self.closed = False
        writer.do(lambda: file.append(b""))

    def channel(self, index: int) -> Channel:
        return Channel(self, index)

    def pause(self, clock: int) -> None:
        if not self._blanks or self._blanks[-1][1] is not None:
            self._blanks.append((clock, None))

    def resume(self, clock: int) -> None:
        if self._blanks and self._blanks[-1][1] is None:
            self._blanks[-1] = (self._blanks[-1][0], clock)

    def write(self, index: int, at: int, pcm: Samples) -> None:
        if self.closed:
            return
        start, end = at - self._origin, at - self._origin + len(pcm)
        if start < 0:
            pcm = pcm[-start:]
            start = 0
        if end > WINDOW:
            pcm = pcm[: WINDOW - start] if start < WINDOW else pcm[:0]
        if len(pcm):
            self._window[start : start + len(pcm), index] = pcm

    def flush(self, clock: int, all: bool = False) -> None:
        """Write what is older than `SETTLED`, or everything up to `clock`."""
        settled = clock if all else clock - SETTLED
        while (count := min(settled - self._origin, WINDOW)) > 0:
            done = self._window[:count].copy()
            for start, end in self._blanks:
                first = max(0, start - self._origin)
                last = count if end is None else min(count, end - self._origin)
                if first < last:
                    done[first:last] = 0
            self._window[: WINDOW - count] = self._window[count:].copy()
            self._window[WINDOW - count :] = 0
            self._origin += count
            self._blanks = [blank for blank in self._blanks if blank[1] is None or blank[1] > self._origin]
            data = done.astype("<i2").tobytes()
            self._writer.do(lambda data=data: self._file.append(data))  # type: ignore[misc]

    def close(self, clock: int, told: Callable[[float, str], None]) -> None:
        if self.closed:
            return
        self.flush(clock, all=True)
        self.closed = True

        def finish() -> None:
            seconds = self._file.finish()
            told(seconds, self._file.error)

        self._writer.do(finish)
