"""What waits for the database: merged, bounded, and with a stated order of loss.

Rows of one kind keep their order. Changes to a call that is still waiting are merged into its row, so that a call
costs one row however often it changes. When the limit is reached, room is made for what matters more:

1. SIP messages go first (an arriving one is refused, a waiting one gives way to anything else),
2. then timeline events,
3. then transcript lines, new actions and new calls are refused.

Changes to a known call are never refused; there are never more of them than known calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
ActionKey: TypeAlias = tuple[str, str]


class Kind(StrEnum):
    """What may be lost, in the order of loss."""

    SIP = "sip"
    EVENT = "event"
    LINE = "line"
    ACTION = "action"
    CALL = "call"


@dataclass(slots=True)
class Batch:
    """Rows for one transaction; calls are inserted before whatever refers to them."""

    calls: list[Row] = field(default_factory=list)
    updates: dict[str, Row] = field(default_factory=dict)
    actions: list[Row] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    sip: list[Row] = field(default_factory=list)

    def __len__(self) -> int:
        return (
            len(self.calls) + len(self.updates) + len(self.actions) + len(self.lines) + len(self.events) + len(self.sip)
        )

    def split(self) -> Iterator[Batch]:
        """One batch for each row, in an order that keeps references whole."""
        for row in self.calls:
            yield Batch(calls=[row])
        for call_id, row in self.updates.items():
            yield Batch(updates={call_id: row})
        for row in self.actions:
            yield Batch(actions=[row])
        for row in self.lines:
            yield Batch(lines=[row])
        for row in self.events:
            yield Batch(events=[row])
        for row in self.sip:
            yield Batch(sip=[row])


class Pending:
    """The queue. `lost` is told of every row that is dropped, with its kind and its call."""

    def __init__(self, limit: int, byte_limit: int, lost: Callable[[Kind, str], None]) -> None:
        self._limit = limit
        self._byte_limit = byte_limit
        self._lost = lost
        self._calls: dict[str, Row] = {}
        self._updates: dict[str, Row] = {}
        self._actions: dict[ActionKey, Row] = {}
        self._lines: deque[Row] = deque()
        self._events: deque[Row] = deque()
        self._sip: deque[Row] = deque()
        self._sip_bytes = 0
        self.in_flight = 0
        """Rows of the batch that is being written: they hold memory too, so they count."""

    def __len__(self) -> int:
        return (
            len(self._calls)
            + len(self._updates)
            + len(self._actions)
            + len(self._lines)
            + len(self._events)
            + len(self._sip)
        )

    @property
    def sip_bytes(self) -> int:
        return self._sip_bytes

    def _full(self) -> bool:
        return len(self) + self.in_flight >= self._limit

    def _make_room(self, kind: Kind) -> bool:
        """True when a row of `kind` may be added."""
        if not self._full():
            return True
        if kind is not Kind.SIP and self._sip:
            row = self._sip.pop()
            self._sip_bytes -= len(row["data"])
            self._lost(Kind.SIP, row["call_id"])
            return True
        if kind not in (Kind.SIP, Kind.EVENT) and self._events:
            self._lost(Kind.EVENT, self._events.pop()["call_id"])
            return True
        return False

    def call(self, row: Row) -> bool:
        """Add a new call; False when it was refused."""
        if not self._make_room(Kind.CALL):
            self._lost(Kind.CALL, row["call_id"])
            return False
        self._calls[row["call_id"]] = row
        return True

    def update(self, call_id: str, changes: Row) -> None:
        waiting = self._calls.get(call_id)
        if waiting is not None:
            waiting.update(changes)
        else:
            self._updates.setdefault(call_id, {}).update(changes)

    def action(self, row: Row) -> None:
        key = (row["call_id"], row["action_id"])
        if key not in self._actions and not self._make_room(Kind.ACTION):
            self._lost(Kind.ACTION, row["call_id"])
            return
        self._actions[key] = row

    def line(self, row: Row) -> None:
        if self._make_room(Kind.LINE):
            self._lines.append(row)
        else:
            self._lost(Kind.LINE, row["call_id"])

    def event(self, row: Row) -> None:
        if self._make_room(Kind.EVENT):
            self._events.append(row)
        else:
            self._lost(Kind.EVENT, row["call_id"])

    def sip(self, row: Row) -> None:
        size = len(row["data"])
        if self._sip_bytes + size <= self._byte_limit and self._make_room(Kind.SIP):
            self._sip.append(row)
            self._sip_bytes += size
        else:
            self._lost(Kind.SIP, row["call_id"])

    def take(self, rows: int) -> Batch:
        """The next batch, at most `rows` of a kind. While more calls than that wait, it holds calls only, because
        everything else refers to them."""
        batch = Batch(calls=_take_values(self._calls, rows))
        if not self._calls:
            for call_id in list(islice(self._updates, rows)):
                batch.updates[call_id] = self._updates.pop(call_id)
            batch.actions = _take_values(self._actions, rows)
            batch.lines = _take(self._lines, rows)
            batch.events = _take(self._events, rows)
            batch.sip = _take(self._sip, rows)
            self._sip_bytes -= sum(len(row["data"]) for row in batch.sip)
        self.in_flight = len(batch)
        return batch


def _take(waiting: deque[Row], count: int) -> list[Row]:
    return [waiting.popleft() for _ in range(min(count, len(waiting)))]


def _take_values(waiting: dict[Any, Row], count: int) -> list[Row]:
    return [waiting.pop(key) for key in list(islice(waiting, count))]
