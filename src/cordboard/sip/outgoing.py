"""One request on its way: targets of RFC 3263 in order, digest retries, CANCEL.

The Via, and the Contact where the method has one, are written when the flow is known. Each try is a transaction of
its own with a new branch (RFC 3263 §4.3); a retry with credentials has a new CSeq and every other header kept
(RFC 3261 §22.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cordboard.sip.credentials import MAXIMUM_ROUNDS, Authorizer
from cordboard.sip.dialog import Fields
from cordboard.sip.flow import Flow
from cordboard.sip.headers import Headers
from cordboard.sip.message import Request, Response
from cordboard.sip.resolution import Target
from cordboard.sip.timers import Timer
from cordboard.sip.transaction_tables import State
from cordboard.sip.transactions import ClientTransaction
from cordboard.sip.uri import Uri

if TYPE_CHECKING:
    from cordboard.sip.core import Core

OnResponse = Callable[["OutgoingRequest", Response, float], None]
OnFailed = Callable[["OutgoingRequest", str, float], None]


class OutgoingRequest:
    """A request of ours until its final response.

    ``on_response`` gets every response that is not consumed by a retry; ``on_failed`` gets "timeout", "transport" or
    "resolution" once no target is left.
    """

    __slots__ = (
        "_authorizer",
        "_body_for",
        "_cancel_fields",
        "_contact",
        "_fields",
        "_guard",
        "_index",
        "_next_cseq",
        "_next_hop",
        "_on_failed",
        "_on_response",
        "_prefer",
        "_rounds",
        "_secure",
        "_targets",
        "body",
        "cancelled",
        "core",
        "cseq",
        "finished",
        "method",
        "request",
        "session",
        "transaction",
        "uri_text",
    )

    def __init__(
        self,
        core: Core,
        method: str,
        uri_text: str,
        fields: Fields,
        body: bytes,
        *,
        cseq: int,
        next_cseq: Callable[[], int],
        next_hop: Uri,
        session: str | None,
        on_response: OnResponse,
        on_failed: OnFailed,
        authorizer: Authorizer | None = None,
        prefer: Flow | None = None,
        contact: bool = False,
        secure: bool = False,
        body_for: Callable[[Flow], bytes] | None = None,
    ) -> None:
        self.core = core
        self.method = method
        self.uri_text = uri_text
        self.body = body
        self.cseq = cseq
        self.session = session
        self.request: Request | None = None
        self.transaction: ClientTransaction | None = None
        self.cancelled = False
        self.finished = False
        self._fields = fields
        self._next_cseq = next_cseq
        self._next_hop = next_hop
        self._on_response = on_response
        self._on_failed = on_failed
        self._authorizer = authorizer
        self._rounds = 0
        self._prefer = prefer
        self._contact = contact
        self._secure = secure
        self._body_for = body_for
        self._targets: list[Target] = []
        self._index = 0
        self._guard: Timer | None = None
        self._cancel_fields: Sequence[tuple[str, str]] | None = None

    # Targets --------------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Resolve the next hop and send."""
        self.core.resolve(self._next_hop, self._resolved, now)

    def _resolved(self, targets: list[Target], now: float) -> None:
        if self.cancelled and self.transaction is None:
            return
        if self._prefer is not None:
            targets = self.core.permitted(targets, self._prefer)
        self._targets = self.core.dead_targets.order(targets, now)
        self._index = 0
        self._try(now, "resolution")

    def _try(self, now: float, kind: str) -> None:
        """Send to the next target that we have a transport for; else report ``kind``."""
        core = self.core
        while self._index < len(self._targets):
            target = self._targets[self._index]
            if target.transport == "udp" and self._prefers_stream(target, now):
                # RFC 3261 §18.1.1: too large for a datagram; the datagram stays as the fallback
                self._targets.insert(self._index, target._replace(transport="tcp"))
                target = self._targets[self._index]
            flow = core.transport.flow_to(target.transport, target.address, self._prefer, target.name)
            if flow is not None:
                self._send(flow, now)
                return
            kind = "transport"
            self._index += 1
        self.finished = True
        # Reported from a timer, so that the user is never called back inside its own command.
        core.timers.start(now, lambda at: self._on_failed(self, kind, at))

    def _prefers_stream(self, target: Target, now: float) -> bool:
        # Also where the URI says transport=udp: the size decides, and the top Via says what was used (§18.1.1).
        limit = self.core.config.stream_over
        if not limit or "tcp" not in self.core.transport.transports():
            return False
        if self.core.dead_targets.is_dead("tcp", target.address, now):
            return False  # it refused lately: the fallback at once, without its delay
        previous = self._targets[self._index - 1] if self._index else None
        if previous is not None and previous.transport == "tcp" and previous.address == target.address:
            return False
        size = len(self.body) + 200 + sum(len(name) + len(value) + 4 for name, value in self._fields)
        return size > limit

    def _send(self, flow: Flow, now: float) -> None:
        core = self.core
        if self._body_for is not None:
            self.body = self._body_for(flow)
        branch = core.identifiers.branch()
        fields: Fields = [("Via", core.transport.via(flow, branch)), *self._fields]
        if self._contact:
            fields.append(("Contact", f"<{core.transport.contact_uri(flow, self._secure)}>"))
        request = Request(self.method, self.uri_text, Headers(fields), self.body)
        if self._authorizer is not None and self._rounds == 0:
            anticipated = self._authorizer.anticipate(request)
            if anticipated:
                self._fields = self._fields + anticipated
                request.headers.extend(anticipated)
        self.request = request
        self.transaction = core.transactions.client(request, branch, flow, self, self.session, now)

    def again(self, now: float, fields: Fields | None = None) -> None:
        """Send once more to the same target with the next CSeq and, if given, other headers."""
        self.cseq = self._next_cseq()
        kept = fields if fields is not None else self._fields
        self._fields = [
            (name, f"{self.cseq} {self.method}") if name == "CSeq" else (name, value) for name, value in kept
        ]
        assert self.transaction is not None
        flow = self.transaction.flow
        if not self.core.transport.is_open(flow):
            self.start(now)
            return
        self._send(flow, now)

    @property
    def fields(self) -> Fields:
        """The headers as they were last sent, without Via and Contact."""
        return self._fields

    # Responses ------------------------------------------------------------------------------------------------------

    def transaction_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """From the transaction."""
        status = response.status
        if transaction is not self.transaction:
            return
        if status < 200:
            if self._cancel_fields is not None:
                self._send_cancel(now)
        else:
            self._index_alive(transaction)
            if not self.finished and not self.cancelled and self._retries(response, now):
                return
            self.finished = True
            if self._guard is not None:
                self._guard.stop()
        self._on_response(self, response, now)

    def _index_alive(self, transaction: ClientTransaction) -> None:
        flow = transaction.flow
        self.core.dead_targets.clear(flow.transport, flow.remote)

    def _retries(self, response: Response, now: float) -> bool:
        status = response.status
        if status in (401, 407) and self._authorizer is not None and self._rounds < MAXIMUM_ROUNDS:
            assert self.request is not None
            self._rounds += 1
            fields = self._authorizer.answer(self.request, response, self._fields)
            if fields is not None:
                self.again(now, fields)
                return True
        if status == 503 and self._index + 1 < len(self._targets):
            self._mark_dead(now)
            self._index += 1
            self._try(now, "transport")
            return True
        return False

    def transaction_failed(self, transaction: ClientTransaction, kind: str, now: float) -> None:
        """From the transaction: a timeout or a transport error."""
        if transaction is not self.transaction or self.finished:
            return
        self._mark_dead(now)
        if not self.cancelled and self._index + 1 < len(self._targets):
            self._index += 1
            self._try(now, kind)
            return
        self.finished = True
        if self._guard is not None:
            self._guard.stop()
        self._on_failed(self, kind, now)

    def _mark_dead(self, now: float) -> None:
        assert self.transaction is not None
        flow = self.transaction.flow
        self.core.dead_targets.mark(flow.transport, flow.remote, now)

    # CANCEL ---------------------------------------------------------------------------------------------------------

    def cancel(self, headers: Sequence[tuple[str, str]], now: float) -> None:
        """Give up an INVITE: CANCEL now or after the first provisional response (RFC 3261 §9.1)."""
        if self.cancelled or self.finished:
            return
        self.cancelled = True
        transaction = self.transaction
        if transaction is None:
            return
        self._cancel_fields = headers
        if transaction.state is State.PROCEEDING:
            self._send_cancel(now)

    def _send_cancel(self, now: float) -> None:
        transaction = self.transaction
        request = self.request
        assert transaction is not None
        assert request is not None
        extra = self._cancel_fields or ()
        self._cancel_fields = None
        own = request.headers
        # RFC 3261 §9.1: Request-URI, Via, Route, To, From, Call-ID and CSeq number of the INVITE
        fields: Fields = [("Via", own.get_all("Via")[0])]
        fields += [("Route", route) for route in own.get_all("Route")]
        fields += [
            ("Max-Forwards", "70"),
            ("From", own.get("From") or ""),
            ("To", own.get("To") or ""),
            ("Call-ID", request.call_id),
            ("CSeq", f"{self.cseq} CANCEL"),
            *extra,
        ]
        cancel = Request("CANCEL", self.uri_text, Headers(fields))
        self.core.transactions.client(cancel, transaction.branch, transaction.flow, _Nobody(), self.session, now)
        # RFC 3261 §9.1: no final response 64*T1 after the CANCEL: consider it cancelled
        self._guard = self.core.timers.start(now + 64 * self.core.config.timers.t1, self._give_up)

    def _give_up(self, now: float) -> None:
        if not self.finished and self.transaction is not None:
            self.finished = True
            self.transaction.abandon()
            self._on_failed(self, "timeout", now)


class _Nobody:
    """Nobody waits for the answer to a CANCEL."""

    def transaction_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Ignored."""

    def transaction_failed(self, transaction: ClientTransaction, kind: str, now: float) -> None:
        """Ignored."""
