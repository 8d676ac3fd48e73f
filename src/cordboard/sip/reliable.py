"""Reliable provisional responses (RFC 3262), both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordboard.sip.message import Request, Response
from cordboard.sip.timers import Timer
from cordboard.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from cordboard.sip.invite_server import IncomingSession


def is_reliable(response: Response) -> bool:
    """RFC 3262 §4: above 100, Require: 100rel and RSeq."""
    return (
        response.status > 100
        and "RSeq" in response.headers
        and any(tag.lower() == "100rel" for tag in response.required)
    )


class ReliableSequence:
    """The UAC's view of one early dialog: only the next RSeq counts (RFC 3262 §4)."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: int | None = None

    def accepts(self, number: int) -> bool:
        """False for a repetition and behind a gap."""
        if self._last is not None and number != self._last + 1:
            return False
        self._last = number
        return True


class ReliableSender:
    """The UAS side: one unacknowledged response at a time, repeated from T1 on, for 64*T1 (RFC 3262 §3)."""

    __slots__ = ("_current", "_deadline", "_interval", "_number", "_queue", "_session", "_timer", "_transaction")

    def __init__(self, session: IncomingSession, transaction: ServerTransaction, first: int) -> None:
        self._session = session
        self._transaction = transaction
        self._number = first
        self._queue: list[Response] = []
        self._current: Response | None = None
        self._timer: Timer | None = None
        self._interval = 0.0
        self._deadline = 0.0

    @property
    def pending(self) -> bool:
        """A response waits for its PRACK."""
        return self._current is not None

    def send(self, response: Response, now: float) -> None:
        """Send now, or after the PRACK of the one before."""
        if self._current is not None:
            if len(self._queue) < 8:
                self._queue.append(response)
            return
        self._number += 1
        response.headers.add("Require", "100rel")
        response.headers.add("RSeq", str(self._number))
        self._current = response
        self._interval = self._session.core.config.timers.t1
        self._deadline = now + 64 * self._interval
        self._transaction.respond(response, now)
        self._timer = self._session.core.timers.start(now + self._interval, self._repeat)

    def _repeat(self, now: float) -> None:
        self._timer = None
        if self._current is None:
            return
        if now >= self._deadline:
            self._current = None
            self._queue.clear()
            self._session.not_acknowledged(now)
            return
        self._transaction.respond(self._current, now)
        self._interval *= 2
        self._timer = self._session.core.timers.start(min(now + self._interval, self._deadline), self._repeat)

    def acknowledge(self, request: Request, now: float) -> bool:
        """Whether the PRACK's RAck names the response that waits."""
        rack = request.rack
        if (
            rack is None
            or self._current is None
            or rack.response != self._number
            or rack.number != self._transaction.request.cseq.number
            or rack.method != "INVITE"
        ):
            return False
        self.stop()
        return True

    def proceed(self, now: float) -> None:
        """The next queued response."""
        if self._queue and self._current is None:
            self.send(self._queue.pop(0), now)

    def stop(self) -> None:
        """Repeat nothing any more."""
        self._current = None
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
