"""The transaction layer of RFC 3261 §17: matching, repetition and timers, driven by ``transaction_tables``."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from cordboard.sip.config import EndpointConfig
from cordboard.sip.errors import RequestParts
from cordboard.sip.flow import Flow
from cordboard.sip.headers import Headers
from cordboard.sip.message import Request, Response, response_to
from cordboard.sip.timers import Timer, Timers
from cordboard.sip.transaction_tables import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    STARTS,
    TIMER_STATES,
    Action,
    Input,
    Machine,
    State,
    step,
    timer_values,
)
from cordboard.sip.transport import Transport

ServerKey = tuple[str | int | None, ...]
MergeKey = tuple[str | None, str, int, str]


class ClientUser(Protocol):
    """Who sent a request."""

    def transaction_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """A response that the machine passes up."""

    def transaction_failed(self, transaction: ClientTransaction, kind: str, now: float) -> None:
        """``kind``: "timeout" or "transport"."""


class ServerUser(Protocol):
    """Who answers a request."""

    def transaction_ack(self, transaction: ServerTransaction, ack: Request, now: float) -> None:
        """An ACK that reached a transaction in Accepted."""

    def transaction_timeout(self, transaction: ServerTransaction, now: float) -> None:
        """No ACK for a 300-699 came (timer H)."""


class _Transaction:
    """State, timers and the interpretation of a transition."""

    __slots__ = ("_last", "_running", "_values", "flow", "layer", "machine", "session", "state", "wire")

    def __init__(self, layer: Transactions, machine: Machine, state: State, flow: Flow, session: str | None) -> None:
        self.layer = layer
        self.machine = machine
        self.state = state
        self.flow = flow
        self.session = session
        self.wire = b""
        self._values = layer.reliable_values if flow.transport != "udp" else layer.unreliable_values
        self._running: dict[Input, tuple[Timer, float]] = {}
        self._last = 0.0

    def _start(self, timer: Input, after: float | None, now: float) -> None:
        if after is not None:
            self._running[timer] = (self.layer.timers.start(now + after, partial(self._fired, timer)), after)

    def _fired(self, timer: Input, now: float) -> None:
        self._last = self._running.pop(timer)[1]
        self.feed(timer, now)

    def feed(self, what: Input, now: float, message: Request | Response | None = None) -> None:
        """Make the listed transition."""
        state, actions = step(self.machine, self.state, what)
        if state is not self.state:
            self.state = state
            for timer in list(self._running):
                if state not in TIMER_STATES[timer]:
                    self._running.pop(timer)[0].stop()
            if state is State.TERMINATED:
                self._forget()
        for action in actions:
            begun = STARTS.get(action)
            if begun is not None:
                self._start(begun, self._values[begun], now)
            elif action is Action.REPEAT:
                self._repeat(now)
            elif action is Action.AGAIN_A:
                self._start(Input.TIMER_A, self._last * 2, now)
            elif action is Action.AGAIN_E:
                self._start(Input.TIMER_E, min(self._last * 2, self.layer.config.timers.t2), now)
            elif action is Action.AGAIN_E_T2:
                self._start(Input.TIMER_E, self.layer.config.timers.t2, now)
            elif action is Action.AGAIN_G:
                self._start(Input.TIMER_G, min(self._last * 2, self.layer.config.timers.t2), now)
            else:
                self._act(action, message, now)

    def _repeat(self, now: float) -> None:
        if self.wire:
            self.layer.transport.send(self.flow, self.wire, self.call_id, self.session)

    @property
    def call_id(self) -> str:
        raise NotImplementedError

    def _forget(self) -> None:
        raise NotImplementedError

    def _act(self, action: Action, message: Request | Response | None, now: float) -> None:
        raise NotImplementedError


class ClientTransaction(_Transaction):
    """One request of ours and its responses."""

    __slots__ = ("_acknowledgement", "branch", "request", "user")

    def __init__(
        self, layer: Transactions, request: Request, branch: str, flow: Flow, user: ClientUser, session: str | None
    ) -> None:
        invite = request.method == "INVITE"
        super().__init__(
            layer,
            INVITE_CLIENT if invite else NON_INVITE_CLIENT,
            State.CALLING if invite else State.TRYING,
            flow,
            session,
        )
        self.request = request
        self.branch = branch
        self.user = user
        self._acknowledgement = b""

    @property
    def call_id(self) -> str:
        return self.request.call_id

    def begin(self, now: float) -> None:
        """Send the request; start A and B, or E and F (RFC 3261 §17.1.1.2, §17.1.2.2)."""
        self.wire = self.request.serialize()
        invite = self.state is State.CALLING
        again, limit = (Input.TIMER_A, Input.TIMER_B) if invite else (Input.TIMER_E, Input.TIMER_F)
        self._start(again, self._values[again], now)
        self._start(limit, self._values[limit], now)
        if not self.layer.transport.send(self.flow, self.wire, self.call_id, self.session):
            # Reported from a timer, so that the user is never called back inside its own command.
            self.layer.timers.start(now, partial(self._report_transport))

    def _report_transport(self, now: float) -> None:
        if self.state is not State.TERMINATED:
            self.feed(Input.TRANSPORT_ERROR, now)

    def receive(self, response: Response, now: float) -> None:
        """A response that matched."""
        status = response.status
        what = Input.PROVISIONAL if status < 200 else Input.SUCCESS if status < 300 else Input.FAILURE
        self.feed(what, now, response)

    def abandon(self) -> None:
        """Forget the transaction without telling its user (its work has been given to another)."""
        if self.state is not State.TERMINATED:
            self.state = State.TERMINATED
            for timer, _ in self._running.values():
                timer.stop()
            self._running.clear()
            self._forget()

    def _forget(self) -> None:
        self.layer.clients.pop((self.branch, self.request.method), None)

    def _act(self, action: Action, message: Request | Response | None, now: float) -> None:
        if action is Action.TELL_RESPONSE:
            assert isinstance(message, Response)
            self.user.transaction_response(self, message, now)
        elif action is Action.ACKNOWLEDGE:
            assert isinstance(message, Response)
            if not self._acknowledgement:
                self._acknowledgement = acknowledge_failure(self.request, message).serialize()
            self.layer.transport.send(self.flow, self._acknowledgement, self.call_id, self.session)
        elif action is Action.TELL_TIMEOUT:
            self.user.transaction_failed(self, "timeout", now)
        elif action is Action.TELL_TRANSPORT:
            self.user.transaction_failed(self, "transport", now)


def acknowledge_failure(invite: Request, response: Response) -> Request:
    """The ACK of a 300-699: same branch, Request-URI and Route (RFC 3261 §17.1.1.3)."""
    headers = Headers()
    own = invite.headers
    headers.add("Via", own.get_all("Via")[0])
    for route in own.get_all("Route"):
        headers.add("Route", route)
    headers.add("Max-Forwards", "70")
    headers.add("From", own.get("From") or "")
    headers.add("To", response.headers.get("To") or own.get("To") or "")
    headers.add("Call-ID", invite.call_id)
    headers.add("CSeq", f"{invite.cseq.number} ACK")
    return Request("ACK", invite.uri_text, headers)


def stamped_parts(request: Request, vias: tuple[str, ...]) -> RequestParts:
    """What a response to ``request`` copies, with these Via values."""
    headers = request.headers
    return RequestParts(
        request.method, vias, headers.get("From"), headers.get("To"), headers.get("Call-ID"), headers.get("CSeq")
    )


class ServerTransaction(_Transaction):
    """One request of a peer and our responses."""

    __slots__ = ("_parts", "_tagged", "key", "merge_key", "request", "user")

    def __init__(
        self, layer: Transactions, request: Request, key: ServerKey, flow: Flow, vias: tuple[str, ...]
    ) -> None:
        invite = request.method == "INVITE"
        super().__init__(
            layer,
            INVITE_SERVER if invite else NON_INVITE_SERVER,
            State.PROCEEDING if invite else State.TRYING,
            flow,
            None,
        )
        self.request = request
        self.key = key
        self.merge_key: MergeKey | None = None
        self._parts = stamped_parts(request, vias)
        self._tagged: str | None = None
        self.user: ServerUser | None = None

    @property
    def call_id(self) -> str:
        return self.request.call_id

    def response(self, status: int, reason: str = "", to_tag: str | None = None) -> Response:
        """A response with the headers that RFC 3261 §8.2.6.2 copies, Via with received and rport."""
        parts = self._parts
        if to_tag is not None and status != 100 and self._tagged != to_tag and self.request.to.tag is None:
            to = f"{parts.to};tag={to_tag}"
            parts = self._parts = RequestParts(parts.method, parts.vias, parts.from_, to, parts.call_id, parts.cseq)
            self._tagged = to_tag
        return response_to(parts, status, reason)

    def respond(self, response: Response, now: float) -> None:
        """Send a response."""
        status = response.status
        self.wire = response.serialize()
        what = Input.SEND_PROVISIONAL if status < 200 else Input.SEND_SUCCESS if status < 300 else Input.SEND_FAILURE
        self.feed(what, now, response)

    @property
    def is_final(self) -> bool:
        """Whether a final response has been sent."""
        return self.state not in (State.TRYING, State.PROCEEDING)

    def repeat(self, now: float) -> None:
        """Send the last response again: the 2xx of an INVITE is repeated by its usage (RFC 3261 §13.3.1.4)."""
        self._repeat(now)

    def _repeat(self, now: float) -> None:
        if not self.wire:
            return
        transport = self.layer.transport
        if not transport.send(self.flow, self.wire, self.call_id, self.session):
            # RFC 3261 §18.2.2: the connection is gone, so one to the sent-by address
            fallback = transport.fallback_flow(self.request.via, self.flow)
            if fallback is not None:
                self.flow = fallback
                transport.send(fallback, self.wire, self.call_id, self.session)

    def _forget(self) -> None:
        self.layer.servers.pop(self.key, None)
        if self.merge_key is not None and self.layer.merges.get(self.merge_key) is self:
            del self.layer.merges[self.merge_key]

    def _act(self, action: Action, message: Request | Response | None, now: float) -> None:
        if action is Action.SEND:
            self._repeat(now)
        elif action is Action.TELL_ACK:
            if self.user is not None:
                assert isinstance(message, Request)
                self.user.transaction_ack(self, message, now)
        elif action is Action.TELL_TIMEOUT and self.user is not None:
            self.user.transaction_timeout(self, now)


class Transactions:
    """All transactions of an endpoint."""

    __slots__ = (
        "clients",
        "config",
        "merges",
        "reliable_values",
        "servers",
        "timers",
        "transport",
        "unreliable_values",
    )

    def __init__(self, config: EndpointConfig, timers: Timers, transport: Transport) -> None:
        self.config = config
        self.timers = timers
        self.transport = transport
        self.clients: dict[tuple[str, str], ClientTransaction] = {}
        self.servers: dict[ServerKey, ServerTransaction] = {}
        self.merges: dict[MergeKey, ServerTransaction] = {}
        self.reliable_values = timer_values(config.timers, reliable=True)
        self.unreliable_values = timer_values(config.timers, reliable=False)

    @property
    def full(self) -> bool:
        """Whether a new request must wait for better times (503)."""
        return len(self.clients) + len(self.servers) >= self.config.maximum_transactions

    def client(
        self, request: Request, branch: str, flow: Flow, user: ClientUser, session: str | None, now: float
    ) -> ClientTransaction:
        """Send ``request``, whose Via has been written."""
        transaction = ClientTransaction(self, request, branch, flow, user, session)
        self.clients[branch, request.method] = transaction
        transaction.begin(now)
        return transaction

    def client_for(self, response: Response) -> ClientTransaction | None:
        """RFC 3261 §17.1.3: branch of the top Via, and the method of CSeq."""
        branch = response.via.branch
        if branch is None:
            return None
        return self.clients.get((branch, response.cseq.method))

    def key(self, request: Request, method: str) -> ServerKey:
        """RFC 3261 §17.2.3: branch, sent-by and method; without the cookie the fields of RFC 2543.

        The To tag is left out there, because the ACK of a 300-699 carries one that the INVITE had not.
        """
        via = request.via
        if via.has_magic_cookie:
            return (via.branch or "", via.host.lower(), via.port, method)
        return (
            "2543",
            request.uri_text,
            request.from_.tag or "",
            request.call_id,
            str(request.cseq.number),
            request.headers.get_all("Via")[0],
            method,
        )

    def server_for(self, request: Request, method: str) -> ServerTransaction | None:
        """The transaction that this request (ACK and CANCEL: ``method`` INVITE) belongs to."""
        return self.servers.get(self.key(request, method))

    def server(self, request: Request, key: ServerKey, flow: Flow, vias: tuple[str, ...]) -> ServerTransaction:
        """A new transaction for a request that matched none."""
        transaction = ServerTransaction(self, request, key, flow, vias)
        self.servers[key] = transaction
        if request.to.tag is None:
            merge_key = self.merge_key(request)
            transaction.merge_key = merge_key
            self.merges[merge_key] = transaction
        return transaction

    def merge_key(self, request: Request) -> MergeKey:
        """RFC 3261 §8.2.2.2: From tag, Call-ID and CSeq."""
        return (request.from_.tag, request.call_id, request.cseq.number, request.method)

    def is_merged(self, request: Request) -> bool:
        """The same request came by another path: 482 (RFC 3261 §8.2.2.2)."""
        return request.to.tag is None and self.merge_key(request) in self.merges

    def transport_error(self, flow: Flow, now: float) -> None:
        """Tell every transaction on this flow (RFC 3261 §18.4)."""
        for transaction in [t for t in self.clients.values() if t.flow == flow]:
            if transaction.state is not State.TERMINATED:
                transaction.feed(Input.TRANSPORT_ERROR, now)
        for server in [t for t in self.servers.values() if t.flow == flow]:
            if server.state is not State.TERMINATED:
                server.feed(Input.TRANSPORT_ERROR, now)
