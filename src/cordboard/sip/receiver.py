"""From bytes to the right usage: admission, matching, the checks of RFC 3261 §8.2, automatic answers.

Refusals are stateless (RFC 3261 §8.2.7): a repeated request is judged again and gets the same answer, and a flood
leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from zlib import crc32

from cordboard.sip.connections import Connections
from cordboard.sip.core import Core
from cordboard.sip.dialog import Dialog
from cordboard.sip.errors import ParseError, RequestParts
from cordboard.sip.events import IncomingCall, Trace
from cordboard.sip.flow import Close, Flow
from cordboard.sip.framing import StreamFramer
from cordboard.sip.gatekeeper import Gatekeeper
from cordboard.sip.headers import canonical
from cordboard.sip.invite_server import IncomingSession
from cordboard.sip.message import ParserLimits, Request, Response, check_message, parse_message, response_to
from cordboard.sip.session import Phase, Session
from cordboard.sip.transaction_tables import Input, State
from cordboard.sip.transactions import ServerKey, stamped_parts
from cordboard.sip.via import Via

_OUTSIDE_DIALOG = frozenset(("INVITE", "OPTIONS"))
_DESCRIBED = frozenset(("INVITE", "UPDATE", "PRACK"))


class Receiver:
    """Takes what the network brings."""

    __slots__ = (
        "_core",
        "_framers",
        "_gatekeeper",
        "_identities",
        "_keeper",
        "_limits",
        "_salt",
        "_session",
        "_source",
    )

    def __init__(self, core: Core) -> None:
        self._core = core
        self._framers: dict[Flow, StreamFramer] = {}
        self._salt = core.identifiers.tag()
        self._session: str | None = None
        self._limits = ParserLimits(message_bytes=core.config.maximum_message)
        self._gatekeeper = Gatekeeper(core)
        self._identities: dict[Flow, str] = {}
        self._keeper = core.transport.keeper = Connections(core, self.gone)
        self._source: Flow | None = None

    # Bytes ----------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """One datagram, or the next bytes of a connection."""
        if flow.connection is None:
            self._message(data, flow, now)
            return
        framer = self._framers.get(flow)
        if framer is None:
            if len(self._framers) >= self._core.config.maximum_connections:
                self._core.transport.outgoing.append(Close(flow))
                return
            framer = self._framers[flow] = StreamFramer(self._limits)
        messages = framer.feed(data)
        for message in messages:
            self._message(message, flow, now)
        self._keeper.heard(flow, now, pending=framer.pending > 0, messages=bool(messages))
        pings, _ = framer.take_keep_alives()
        if pings:
            self._core.transport.send(flow, b"\r\n", "", None)  # RFC 5626 §3.5.1
        if framer.error is not None:
            self._refuse_unreadable(framer.error, flow)
            self._core.transport.outgoing.append(Close(flow))
            self.connection_lost(flow)

    def connection_opened(self, flow: Flow, now: float, identities: Sequence[str]) -> None:
        """A connection carries bytes now; ``identities`` are what the peer's certificate proves."""
        self._keeper.at(now)
        if flow.transport == "tls" and identities and flow.connection is not None and flow.connection > 0:
            self._identities[flow] = identities[0]
        self._core.transport.opened(flow)

    def connection_lost(self, flow: Flow) -> None:
        """Forget a half-received message."""
        self._framers.pop(flow, None)

    def gone(self, flow: Flow, now: float) -> None:
        """The connection is lost or given up: whoever waits on it is told (RFC 3261 §18.4)."""
        self._framers.pop(flow, None)
        self._identities.pop(flow, None)
        self._core.transport.lost(flow)
        self._core.transactions.transport_error(flow, now)

    @property
    def framers(self) -> int:
        """Connections with receive state."""
        return len(self._framers)

    def _message(self, data: bytes, flow: Flow, now: float) -> None:
        core = self._core
        within_rate = core.config.within_rate
        if within_rate is not None and not within_rate(flow):
            return
        is_response = data[:8] == b"SIP/2.0 "
        admission = "allow" if is_response else core.config.admit(flow)
        if admission == "drop" and flow.remote[0] not in core.peers:
            return
        try:
            message = parse_message(data, self._limits)
        except ParseError as error:
            if admission == "allow" and data.strip():
                self._refuse_unreadable(error, flow)
            return
        events = core.transport.events
        position = len(events)
        call_id = message.headers.get("Call-ID") or ""
        self._session = None
        if isinstance(message, Response):
            self._response(message, flow, now)
        else:
            source = self._gatekeeper.source(message, flow)
            if source is not flow and admission == "allow":
                admission = core.config.admit(source)
            self._source = source
            if admission != "allow" and self._dialog_of(message) is None:
                if admission == "forbid" and message.method != "ACK":
                    self._refuse(message, flow, 403)
                return
            try:
                if b"\0" in data and message.method == "INVITE":
                    # A dialog repeats its headers in later requests, where no NUL may stand.
                    raise ParseError("message", "NUL in an INVITE (RFC 3261 §25.1)")
                self._request(message, flow, now)
            except ParseError as error:
                self._refuse_unreadable(error, flow, message.parts)
        if core.config.trace:
            events.insert(position, Trace("in", flow.transport, flow.local, flow.remote, data, call_id, self._session))

    # Responses ------------------------------------------------------------------------------------------------------

    def _response(self, response: Response, flow: Flow, now: float) -> None:
        try:
            if len(response.vias) != 1:
                return  # RFC 3261 §8.1.3.3
            transaction = self._core.transactions.client_for(response)
            if transaction is None:
                return
            check_message(response)
        except ParseError:
            return
        self._session = transaction.session
        _drop_unreadable(response)
        transaction.receive(response, now)

    # Refusals -------------------------------------------------------------------------------------------------------

    def _tag(self, parts: RequestParts) -> str:
        """The same To tag each time (RFC 3261 §8.2.7)."""
        text = f"{self._salt}{parts.call_id}{parts.from_}{parts.cseq}"
        return f"{crc32(text.encode('utf-8', 'surrogateescape')):08x}{crc32(text[::-1].encode('utf-8', 'replace')):08x}"

    def _respond(self, response: Response, via: Via | None, flow: Flow, call_id: str) -> None:
        transport = self._core.transport
        used = transport.response_flow(via, flow) if via is not None else flow
        transport.send(used, response.serialize(), call_id, self._session)

    def _stateless(self, request: Request, flow: Flow, status: int, reason: str = "") -> Response:
        parts = stamped_parts(request, stamped(request, flow))
        response = response_to(parts, status, reason, to_tag=self._tag(parts))
        response.headers.add("Server", self._core.config.user_agent)
        return response

    def _refuse(self, request: Request, flow: Flow, status: int, *headers: tuple[str, str]) -> None:
        response = self._stateless(request, flow, status)
        response.headers.extend(headers)
        self._respond(response, request.via, flow, request.call_id)

    def _refuse_unreadable(self, error: ParseError, flow: Flow, parts: RequestParts | None = None) -> None:
        """A request that cannot be accepted is still answered, where its Via can be found."""
        known = error.request_parts or parts
        if known is None or not known.answerable:
            return
        vias = list(known.vias)
        via: Via | None = None
        try:
            if "," not in vias[0]:
                via = Via.parse(vias[0]).with_source(*flow.remote)
                vias[0] = str(via)
        except ParseError:
            via = None
        reason = error.rule.split("(")[0].strip()[:80]
        answered = replace(known, vias=tuple(vias))
        response = response_to(answered, error.status, reason, to_tag=self._tag(known))
        self._respond(response, via, flow, known.call_id or "")

    # Requests -------------------------------------------------------------------------------------------------------

    def _dialog_of(self, request: Request) -> Dialog | None:
        try:
            to_tag = request.to.tag
            if to_tag is None:
                return None
            return self._core.dialogs.get((request.call_id, to_tag, request.from_.tag or ""))
        except ParseError:
            return None

    def _request(self, request: Request, flow: Flow, now: float) -> None:
        transactions = self._core.transactions
        method = request.method
        if method == "ACK":
            self._ack(request, now)
            return
        key = transactions.key(request, method)
        known = transactions.servers.get(key)
        if known is not None:
            self._session = known.session
            known.feed(Input.REQUEST, now, request)
            return
        if method == "CANCEL":
            self._cancel(request, flow, now)
            return
        check_message(request)
        _read_features(request)
        if not self._acceptable(request, flow):
            return
        if flow in self._identities and "alias" in request.via.parameters:
            self._core.transport.alias(flow, request.via, self._identities[flow])
        if request.to.tag is not None:
            self._in_dialog(request, key, flow, now)
            return
        refusal = self._gatekeeper.refusal(request, self._source or flow, now)
        if refusal is not None:
            self._refuse(request, flow, refusal[0], *refusal[1])
        elif method == "INVITE":
            self._invite(request, key, flow, now)
        elif method == "OPTIONS":
            self._options(request, flow)
        elif method == "REFER":
            self._refer(request, key, flow, now)
        elif method == "REGISTER" and self._core.registrar is not None:
            status, headers = self._core.registrar.register(request, flow, now)
            self._refuse(request, flow, status, *headers)
        else:
            self._refuse(request, flow, 481)

    def _ack(self, request: Request, now: float) -> None:
        transaction = self._core.transactions.server_for(request, "INVITE")
        if transaction is not None:
            self._session = transaction.session
            if transaction.state is not State.TERMINATED:
                transaction.feed(Input.ACK, now, request)
            return
        dialog = self._dialog_of(request)
        if dialog is not None:
            self._session = dialog.session.id
            dialog.session.receive_ack(request, now)

    def _cancel(self, request: Request, flow: Flow, now: float) -> None:
        transaction = self._core.transactions.server_for(request, "INVITE")
        if transaction is None:
            self._refuse(request, flow, 481)  # RFC 3261 §9.2
            return
        self._session = transaction.session
        self._respond(self._stateless(request, flow, 200), request.via, flow, request.call_id)
        session = transaction.user
        if isinstance(session, IncomingSession) and session.transaction is transaction:
            session.cancelled(request, now)
        elif isinstance(session, Session):
            session.offers.cancelled(transaction, now)

    def _acceptable(self, request: Request, flow: Flow) -> bool:
        """The order of RFC 3261 §8.2; False where the refusal has been sent."""
        core = self._core
        config = core.config
        method = request.method
        if method not in config.allow:
            self._refuse(request, flow, 405, ("Allow", ", ".join(config.allow)))
            return False
        if request.uri.scheme not in config.uri_schemes:
            self._refuse(request, flow, 416)
            return False
        outside = request.to.tag is None
        # RFC 3261 §16.3: what begins here may go on as another call; OPTIONS asks the last hop itself (§11)
        if outside and request.max_forwards == 0 and method != "OPTIONS":
            self._refuse(request, flow, 483)
            return False
        if core.transactions.is_merged(request):
            self._refuse(request, flow, 482)
            return False
        unsupported = [tag for tag in request.required if tag.lower() not in config.supported]
        if unsupported:
            self._refuse(request, flow, 420, ("Unsupported", ", ".join(unsupported)))
            return False
        if method in _DESCRIBED and request.body:
            encoding = (request.headers.get("Content-Encoding") or "identity").lower()
            if encoding != "identity":
                self._refuse(request, flow, 415, ("Accept-Encoding", "identity"))
                return False
            kind = request.content_type
            handling = (request.headers.get("Content-Disposition") or "").lower().replace(" ", "")
            known = kind in config.accept or kind.startswith("multipart/")
            if not known and "handling=optional" not in handling:
                self._refuse(request, flow, 415, ("Accept", ", ".join(config.accept)))
                return False
        return True

    def _in_dialog(self, request: Request, key: ServerKey, flow: Flow, now: float) -> None:
        core = self._core
        dialog = self._dialog_of(request)
        if dialog is None:
            self._refuse(request, flow, 481)  # RFC 3261 §12.2.2
            return
        session = dialog.session
        self._session = session.id
        if not dialog.accepts_cseq(request.cseq.number):
            self._refuse(request, flow, 500, ("Retry-After", "1"))  # RFC 3261 §12.2.2
            return
        if core.transactions.full:
            self._refuse(request, flow, 503, ("Retry-After", str(core.config.retry_after)))
            return
        dialog.seen_from(flow)
        transaction = core.transactions.server(
            request, key, core.transport.response_flow(request.via, flow), stamped(request, flow)
        )
        transaction.session = session.id
        transaction.user = session
        session.receive(dialog, transaction, request, now)

    def _invite(self, request: Request, key: ServerKey, flow: Flow, now: float) -> None:
        core = self._core
        config = core.config
        if core.draining or len(core.sessions) >= config.maximum_sessions or core.transactions.full:
            self._refuse(request, flow, 503, ("Retry-After", str(config.retry_after)))
            return
        if request.contact is None or not request.from_.tag:
            raise ParseError("Contact", "an INVITE needs a Contact and a From tag (RFC 3261 §8.1.1)", status=400)
        wanted = request.session_expires
        if wanted is not None and wanted.seconds < config.minimum_session_expires and "timer" in request.supported:
            self._refuse(request, flow, 422, ("Min-SE", str(config.minimum_session_expires)))  # RFC 4028 §9
            return
        replaced: Session | None = None
        replaces = request.replaces
        if replaces is not None:
            dialog = core.dialogs.get((replaces.call_id, replaces.to_tag, replaces.from_tag))
            if dialog is None:
                self._refuse(request, flow, 481)  # RFC 3891 §3
                return
            replaced = dialog.session
            if not config.may_replace(self._source or flow, dialog.flow):
                # RFC 3891 §5: only who could have been a party of that call takes it over. To others it does not exist.
                self._refuse(request, flow, 481)
                return
            if replaced.phase is Phase.CLOSED:
                self._refuse(request, flow, 603)
                return
            if replaced.phase is Phase.RINGING:
                self._refuse(request, flow, 481)  # an early dialog that we did not begin
                return
            if replaces.early_only and replaced.phase is not Phase.CALLING:
                self._refuse(request, flow, 486)
                return
        transaction = core.transactions.server(
            request, key, core.transport.response_flow(request.via, flow), stamped(request, flow)
        )
        session = IncomingSession(core, core.identifiers.tag(), transaction, flow)
        session.replaces = replaced
        core.sessions[session.id] = session
        self._session = session.id
        transaction.respond(transaction.response(100), now)  # RFC 3261 §17.2.1
        core.emit(
            IncomingCall(
                session.id,
                request,
                flow,
                session.first_offer,
                replaced.id if replaced is not None else None,
                (self._source or flow).remote[0],
            )
        )

    def _refer(self, request: Request, key: ServerKey, flow: Flow, now: float) -> None:
        """REFER outside a dialog: only one that names a dialog with the same peer (RFC 4538 §3) is looked at."""
        core = self._core
        target = request.target_dialog
        dialog = None
        if target is not None:
            dialog = core.dialogs.get((target.call_id, target.local_tag, target.remote_tag))  # as we see it, §7
        if dialog is None or not core.config.may_replace(self._source or flow, dialog.flow) or core.transactions.full:
            self._refuse(request, flow, 603)
            return
        session = dialog.session
        self._session = session.id
        transaction = core.transactions.server(
            request, key, core.transport.response_flow(request.via, flow), stamped(request, flow)
        )
        transaction.session = session.id
        transaction.user = session
        session.referrals.receive_refer(transaction, request, now, outside=flow)

    def _options(self, request: Request, flow: Flow) -> None:
        """RFC 3261 §11.2: the status that an INVITE would get."""
        core = self._core
        if core.draining:
            self._refuse(request, flow, 503, ("Retry-After", str(core.config.retry_after)))
            return
        self._refuse(
            request,
            flow,
            200,
            ("Accept", ", ".join(core.config.accept)),
            ("Accept-Encoding", "identity"),
            ("Accept-Language", "en"),
            *core.capabilities(),
        )


def stamped(request: Request, flow: Flow) -> tuple[str, ...]:
    """The Via values with received and rport in the first (RFC 3261 §18.2.1, RFC 3581 §4)."""
    lines = request.headers.get_all("Via")
    host, port = flow.remote
    first = lines[0]
    if "," not in first and "received" not in first:
        # The usual spellings, without taking the value apart.
        if first.endswith(";rport"):
            lines[0] = f"{first}={port};received={host}"
            return tuple(lines)
        if ";rport;" in first:
            lines[0] = first.replace(";rport;", f";rport={port};received={host};", 1)
            return tuple(lines)
        lowered = first.lower()
        if "rport" not in lowered and "received" not in lowered and request.via.host == host:
            return tuple(lines)  # it says already where it came from
    values = request.headers.values("Via")
    values[0] = str(request.via.with_source(host, port))
    return tuple(values)


_FEATURES: dict[str, Callable[[Request | Response], object]] = {
    "session-expires": lambda message: message.session_expires,
    "rack": lambda message: message.rack,
    "rseq": lambda message: message.rseq,
    "event": lambda message: message.event,
    "subscription-state": lambda message: message.subscription_state,
    "replaces": lambda message: message.replaces,
    "refer-to": lambda message: message.refer_to,
    "referred-by": lambda message: message.referred_by,
    "target-dialog": lambda message: message.target_dialog,
    "reason": lambda message: message.reasons,
}


def _read_features(message: Request | Response) -> None:
    """Read the headers that usages rely on later, so that a fault shows now."""
    for name, _ in message.headers.items():
        read = _FEATURES.get(canonical(name))
        if read is not None:
            read(message)


def _drop_unreadable(response: Response) -> None:
    """A response cannot be refused: a feature header that cannot be read is as if it were not there."""
    try:
        _read_features(response)
    except ParseError as error:
        response.headers.remove(error.field)
        for name in ("Session-Expires", "RSeq", "Reason"):
            try:
                _read_features(response)
            except ParseError:
                response.headers.remove(name)
