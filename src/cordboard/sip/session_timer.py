"""Session timers (RFC 4028), both roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordboard.sip.dialog import Fields
from cordboard.sip.fields import MinSe
from cordboard.sip.message import Request, Response
from cordboard.sip.timers import Timer

if TYPE_CHECKING:
    from cordboard.sip.session import Session

SMALLEST_INTERVAL = 90
"""RFC 4028 §4: the least that the protocol allows."""
LARGEST_INTERVAL = 86400
"""A peer cannot make us keep a dead session for more than a day."""


class SessionTimer:
    """Refreshes at half the interval when it is our turn, and ends the session shortly before it expires."""

    __slots__ = ("_expiry", "_refresh", "_session", "interval", "minimum", "ours")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._expiry: Timer | None = None
        self._refresh: Timer | None = None
        self.interval = 0
        self.ours = False
        """We are the refresher."""
        self.minimum = session.core.config.minimum_session_expires

    def request_fields(self) -> Fields:
        """What an INVITE or UPDATE of ours says (RFC 4028 §7.1, §7.4)."""
        wanted = self._session.core.config.session_expires
        interval = self.interval or wanted
        if not interval:
            return []
        interval = max(interval, self.minimum)
        refresher = "" if not self.interval else ";refresher=uac" if self.ours else ";refresher=uas"
        return [("Session-Expires", f"{interval}{refresher}"), ("Min-SE", str(self.minimum))]

    def too_small(self, request: Request) -> bool:
        """Whether 422 is due (RFC 4028 §9)."""
        wanted = request.session_expires
        return (
            wanted is not None
            and wanted.seconds < self._session.core.config.minimum_session_expires
            and "timer" in request.supported
        )

    def answer_fields(self, request: Request, now: float) -> Fields:
        """What our 2xx says, and the timer that begins with it (RFC 4028 §9)."""
        wanted = request.session_expires
        if wanted is None:
            if self.interval:
                self.stop()
            return []
        supports = "timer" in request.supported
        refresher = (wanted.refresher or "uac") if supports else "uas"
        self.start(wanted.seconds, refresher == "uas", now)
        fields = [("Session-Expires", f"{self.interval};refresher={refresher}")]
        if refresher == "uac":
            fields.append(("Require", "timer"))
        return fields

    def answered(self, response: Response, now: float) -> None:
        """A 2xx to our INVITE or UPDATE (RFC 4028 §7.2)."""
        agreed = response.session_expires
        if agreed is None:
            self.stop()
        else:
            self.start(agreed.seconds, agreed.refresher != "uas", now)

    def raise_minimum(self, response: Response) -> bool:
        """A 422 names the smallest interval of the path (RFC 4028 §7.3); False where it gives nothing new."""
        text = response.headers.get("Min-SE")
        minimum = MinSe.parse(text).seconds if text else 0
        if minimum <= self.minimum and minimum <= (self.interval or self._session.core.config.session_expires):
            return False
        if minimum > LARGEST_INTERVAL:
            return False
        self.minimum = minimum
        return True

    def start(self, seconds: int, ours: bool, now: float) -> None:
        """(Re)start after a successful session refresh."""
        self.stop()
        if self._session.phase == "closed":
            return
        self.interval = min(max(seconds, SMALLEST_INTERVAL), LARGEST_INTERVAL)
        self.ours = ours
        timers = self._session.core.timers
        if ours:
            self._refresh = timers.start(now + self.interval / 2, self._due)
        # RFC 4028 §10: BYE a little before the end, by a third of it at most 32 s
        self._expiry = timers.start(now + self.interval - min(32.0, self.interval / 3), self._expired)

    def stop(self) -> None:
        """No timer."""
        for timer in (self._expiry, self._refresh):
            if timer is not None:
                timer.stop()
        self._expiry = self._refresh = None
        self.interval = 0

    def _due(self, now: float) -> None:
        self._refresh = None
        self._session.offers.refresh(now)

    def _expired(self, now: float) -> None:
        self._expiry = None
        self._session.bye([("Reason", 'SIP;cause=408;text="session expired"')], now, cause="session_expired")
