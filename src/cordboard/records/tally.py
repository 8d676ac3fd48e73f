"""What the writer remembers of each call: counters for the order of its parts, and its limits."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """One call, live or ended a while ago."""

    started_at: float
    answered_at: float | None = None
    events: int = 0
    lines: int = 0
    messages: int = 0
    message_bytes: int = 0
    truncated: bool = False
    incomplete: bool = False
    closed: bool = False
    actions: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Tallies:
    """A bounded table of tallies. When it is full the call that ended longest ago is forgotten; live calls never."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._live: dict[str, Tally] = {}
        self._closed: OrderedDict[str, Tally] = OrderedDict()

    def __len__(self) -> int:
        return len(self._live) + len(self._closed)

    @property
    def live(self) -> int:
        return len(self._live)

    def get(self, call_id: str) -> Tally | None:
        return self._live.get(call_id) or self._closed.get(call_id)

    def add(self, call_id: str, tally: Tally) -> bool:
        """False when only live calls are known and there is no place."""
        if len(self) >= self._limit:
            if not self._closed:
                return False
            self._closed.popitem(last=False)
        self._live[call_id] = tally
        return True

    def close(self, call_id: str) -> None:
        tally = self._live.pop(call_id, None)
        if tally is not None:
            tally.closed = True
            self._closed[call_id] = tally

    def remove(self, call_id: str) -> None:
        self._live.pop(call_id, None)
        self._closed.pop(call_id, None)
