"""REGISTER as a client (RFC 3261 §10.2): kept up by itself until it is ended.

Rules:

* refreshed when between 70 % and 90 % of what the registrar granted has passed, never sooner than a second;
* 423 is answered with its Min-Expires (§10.2.8); 401 and 407 by the credentials;
* after a failure the next try waits min(`retry_most`, `retry` · 2^failures), of which a random half to whole is used,
  so that many clients of a registrar that comes back do not come back at once (RFC 5626 §4.5); Retry-After is honoured;
* 403 and 404, and a challenge that stays unanswered, wait `retry_most`: only a person can mend them;
* targets of DNS are gone through by `OutgoingRequest` (RFC 3263 §4.3).
"""

from __future__ import annotations

from collections.abc import Sequence

from cordboard.sip.address import Address
from cordboard.sip.config import Credentials
from cordboard.sip.core import Core
from cordboard.sip.credentials import authorizer
from cordboard.sip.dialog import Fields
from cordboard.sip.errors import ParseError
from cordboard.sip.events import RegistrationEnded, RegistrationFailed, RegistrationKept
from cordboard.sip.fields import RetryAfter
from cordboard.sip.message import Response
from cordboard.sip.outgoing import OutgoingRequest
from cordboard.sip.timers import Timer
from cordboard.sip.uri import Uri

_HOPELESS = (401, 403, 404, 405, 407, 416, 501, 505)


class Registration:
    """One binding of ours at one registrar."""

    __slots__ = (
        "_address",
        "_authorizer",
        "_call_id",
        "_core",
        "_cseq",
        "_ending",
        "_expires",
        "_failures",
        "_id",
        "_next_hop",
        "_request",
        "_retry",
        "_retry_most",
        "_timer",
        "_uri",
    )

    def __init__(
        self,
        core: Core,
        identifier: str,
        registrar: Uri,
        address: Address,
        credentials: Sequence[Credentials],
        next_hop: Uri | None,
        *,
        expires: int,
        retry: float,
        retry_most: float,
    ) -> None:
        self._core = core
        self._id = identifier
        self._uri = Uri(registrar.scheme, host=registrar.host, port=registrar.port)  # §10.2: no user part
        self._next_hop = next_hop or registrar
        self._address = address
        self._authorizer = authorizer(credentials, core.identifiers)
        self._call_id = core.identifiers.call_id()
        self._cseq = 0
        self._expires = expires
        self._retry = retry
        self._retry_most = retry_most
        self._failures = 0
        self._ending = False
        self._timer: Timer | None = None
        self._request: OutgoingRequest | None = None

    def start(self, now: float) -> None:
        """Register, now."""
        self._send(self._expires, now)

    def end(self, now: float) -> None:
        """Take the binding away (§10.2.2); RegistrationEnded follows."""
        if self._ending:
            return
        self._ending = True
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._request is None or self._request.finished:
            self._send(0, now)

    def _next_cseq(self) -> int:
        self._cseq += 1
        return self._cseq

    def _send(self, expires: int, now: float) -> None:
        self._timer = None
        cseq = self._next_cseq()
        own = str(self._address.with_tag(self._core.identifiers.tag()))
        fields: Fields = [
            ("Max-Forwards", "70"),
            ("From", own),
            ("To", str(self._address.without_parameters())),
            ("Call-ID", self._call_id),  # §10.2: the same for all of one registrar
            ("CSeq", f"{cseq} REGISTER"),
            ("Expires", str(expires)),
            ("User-Agent", self._core.config.user_agent),
            *self._core.capabilities(),
        ]
        self._request = OutgoingRequest(
            self._core,
            "REGISTER",
            str(self._uri),
            fields,
            b"",
            cseq=cseq,
            next_cseq=self._next_cseq,
            next_hop=self._next_hop,
            session=self._id,
            on_response=self._answered,
            on_failed=self._failed,
            authorizer=self._authorizer,
            contact=True,
        )
        self._request.start(now)

    def _answered(self, request: OutgoingRequest, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            return
        if self._ending:
            self._finish(request, now)
        elif status < 300:
            self._failures = 0
            granted = self._granted(request, response)
            self._core.emit(RegistrationKept(self._id, granted))
            # Somewhere between 70 % and 90 %, so that many registrations do not fall together.
            self._later(max(1.0, granted * (0.7 + 0.2 * self._core.chance())), now)
        elif status == 423 and self._longer(response):
            self._send(self._expires, now)
        else:
            self._again(status, response.reason, _retry_after(response), now)

    def _failed(self, request: OutgoingRequest, kind: str, now: float) -> None:
        if self._ending:
            self._finish(request, now)
        else:
            self._again(408 if kind == "timeout" else 503, kind, None, now)

    def _finish(self, request: OutgoingRequest, now: float) -> None:
        if ("Expires", "0") in request.fields:
            self._core.registrations.pop(self._id, None)
            self._core.emit(RegistrationEnded(self._id))
        else:
            self._send(0, now)  # the answer to an earlier one came while we were told to end

    def _granted(self, request: OutgoingRequest, response: Response) -> int:
        """What the registrar gave our contact: its expires, else Expires (§10.2.4)."""
        assert request.request is not None
        own = request.request.contact
        try:
            for contact in response.contacts:
                given = contact.parameters.get("expires")
                if own is not None and given is not None and given.isdecimal() and contact.uri.equivalent(own.uri):
                    return max(1, min(int(given), self._expires))
            general = response.expires
        except ParseError:
            general = None
        return self._expires if general is None else max(1, min(general, self._expires))

    def _longer(self, response: Response) -> bool:
        """§10.2.8: take the registrar's shortest time, once it is longer than ours and not absurd."""
        try:
            shortest = response.min_expires
        except ParseError:
            return False
        if shortest is None or not self._expires < shortest <= 86400:
            return False
        self._expires = shortest
        return True

    def _again(self, status: int, reason: str, wait: int | None, now: float) -> None:
        most = self._retry_most
        delay = most if status in _HOPELESS else min(most, self._retry * 2 ** min(self._failures, 16))
        self._failures += 1
        # RFC 5626 §4.5: between half and all of it
        delay = max(delay * (0.5 + 0.5 * self._core.chance()), min(wait or 0, most))
        self._core.emit(RegistrationFailed(self._id, status, reason, delay))
        self._later(delay, now)

    def _later(self, seconds: float, now: float) -> None:
        self._timer = self._core.timers.start(now + seconds, lambda at: self._send(self._expires, at))


def _retry_after(response: Response) -> int | None:
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return RetryAfter.parse(value).seconds
    except ParseError:
        return None
