"""Messages of calls whose record is not open yet: kept until the call claims them, or until it cannot any more."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from cordboard.sip.events import Trace

MAXIMUM_CALLS = 256
MAXIMUM_MESSAGES = 16
MAXIMUM_BYTES = 4 * 2**20


class UnclaimedTraces:
    """``keep`` is how long messages wait, in seconds. An incoming INVITE begins a call; what belongs to none that did,
    such as an ACK repeated after the end, has no record to go to and is let go.
    """

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._calls: OrderedDict[str, tuple[float, list[Trace]]] = OrderedDict()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, trace: Trace) -> None:
        """One message without a record."""
        entry = self._calls.get(trace.call_id)
        if entry is None:
            if trace.direction != "in" or not trace.data.startswith(b"INVITE "):
                return
            loop = asyncio.get_running_loop()
            entry = self._calls[trace.call_id] = (loop.time(), [])
            if self._timer is None:
                self._timer = loop.call_later(self._keep, self._sweep)
        if len(entry[1]) < MAXIMUM_MESSAGES:
            entry[1].append(trace)
            self._bytes += len(trace.data)
        while len(self._calls) > MAXIMUM_CALLS or self._bytes > MAXIMUM_BYTES:
            self._drop_oldest()

    def claim(self, call_id: str) -> list[Trace]:
        """The messages of a call whose record is open now, in order."""
        entry = self._calls.pop(call_id, None)
        if entry is None:
            return []
        self._bytes -= sum(len(trace.data) for trace in entry[1])
        return entry[1]

    def _drop_oldest(self) -> None:
        _, (_, traces) = self._calls.popitem(last=False)
        self._bytes -= sum(len(trace.data) for trace in traces)

    def _sweep(self) -> None:
        """One timer for all: what waited too long goes, and the next is the oldest that is left."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._calls:
            since, _ = next(iter(self._calls.values()))
            if now - since < self._keep:
                self._timer = loop.call_later(since + self._keep - now, self._sweep)
                return
            self._drop_oldest()

    def __len__(self) -> int:
        return len(self._calls)

    def close(self) -> None:
        """Forget everything."""
        self._calls.clear()
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
