"""Timers as a heap with lazy deletion: starting and stopping cost O(log n) and O(1)."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

Callback = Callable[[float], None]


class Timer:
    """A running timer; ``stop`` may be called at any time, more than once."""

    __slots__ = ("_timers", "at", "callback")

    def __init__(self, timers: Timers, at: float, callback: Callback) -> None:
        self._timers = timers
        self.at = at
        self.callback: Callback | None = callback

    def stop(self) -> None:
        """The callback will not be called (any more)."""
        if self.callback is not None:
            self.callback = None
            self._timers.stopped()


class Timers:
    """All timers of an endpoint, in seconds of the clock that the caller uses."""

    __slots__ = ("_dead", "_heap", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._dead = 0

    def start(self, at: float, callback: Callback) -> Timer:
        """Call ``callback(now)`` once, at ``at`` or soon after."""
        timer = Timer(self, at, callback)
        heappush(self._heap, (at, next(self._order), timer))
        return timer

    def stopped(self) -> None:
        """Account for a dead entry; sweep when most entries are dead, so that the heap stays bounded by the living."""
        self._dead += 1
        if self._dead > 64 and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapify(self._heap)
            self._dead = 0

    def next(self) -> float | None:
        """The earliest living timer."""
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heappop(heap)
            self._dead -= 1
        return heap[0][0] if heap else None

    def run(self, now: float) -> None:
        """Call everything due, also what becomes due meanwhile."""
        while self._heap and self._heap[0][0] <= now:
            timer = heappop(self._heap)[2]
            callback = timer.callback
            if callback is None:
                self._dead -= 1
                continue
            timer.callback = None
            callback(now)

    def __len__(self) -> int:
        return len(self._heap) - self._dead
