"""The 2xx of an INVITE is repeated by its usage until the ACK comes (RFC 3261 §13.3.1.4), on any transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordboard.sip.timers import Timer
from cordboard.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from cordboard.sip.session import Session


class SuccessRepeater:
    """Repeats one 2xx: after T1, doubling up to T2, for 64*T1."""

    __slots__ = ("_deadline", "_interval", "_session", "_timer", "cseq", "expects_answer", "transaction")

    def __init__(self, session: Session, transaction: ServerTransaction, expects_answer: bool) -> None:
        self._session = session
        self.transaction = transaction
        self.cseq = transaction.request.cseq.number
        self.expects_answer = expects_answer
        """Our 2xx carried an offer: the ACK carries the answer (RFC 3261 §13.2.1)."""
        self._interval = session.core.config.timers.t1
        self._deadline = 0.0
        self._timer: Timer | None = None

    def start(self, now: float) -> None:
        """The 2xx has just been sent."""
        self._deadline = now + 64 * self._interval
        self._timer = self._session.core.timers.start(now + self._interval, self._fire)

    def _fire(self, now: float) -> None:
        if now >= self._deadline:
            self._timer = None
            self._session.unacknowledged(self, now)
            return
        self.transaction.repeat(now)
        self._interval = min(self._interval * 2, self._session.core.config.timers.t2)
        self._timer = self._session.core.timers.start(min(now + self._interval, self._deadline), self._fire)

    def stop(self) -> None:
        """The ACK came, or a BYE."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
