"""One endpoint against raw messages that the test writes."""

from __future__ import annotations

from typing import TypeVar

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, Response, parse_message, response_to
from cordboard.sip.uri import Uri
from tests.sip.support.network import OFFER, Network

T = TypeVar("T", Request, Response)

SOURCE = ("10.0.0.7", 5060)


class Scripted:
    """An endpoint at 10.0.0.1 and everything it sends, parsed; nothing arrives anywhere by itself."""

    def __init__(self, config: EndpointConfig | None = None) -> None:
        self.network = Network()
        self.party = self.network.party("alice", "10.0.0.1", config)
        self.core = self.party.endpoint
        self.outbox: list[Request | Response] = []
        self.flows: list[Flow] = []
        self.network.drop = self._take

    @property
    def now(self) -> float:
        return self.network.now

    def _take(self, data: bytes, flow: Flow) -> bool:
        self.outbox.append(parse_message(data))
        self.flows.append(flow)
        return True

    def send(self, data: bytes | Request | Response, source: tuple[str, int] = SOURCE) -> list[Request | Response]:
        """Deliver to the endpoint; what it sent in return."""
        raw = data if isinstance(data, bytes) else data.serialize()
        before = len(self.outbox)
        self.network.inject(self.party, raw, source)
        return self.outbox[before:]

    def status(self, data: bytes | Request) -> int | None:
        """The final status of the response to this request, or None."""
        answers = [m for m in self.send(data) if isinstance(m, Response) and m.status >= 200]
        return answers[-1].status if answers else None

    def request(
        self,
        method: str,
        *,
        to_tag: str = "",
        from_tag: str = "peer",
        call_id: str = "call@peer",
        cseq: int = 1,
        branch: str = "",
        via: str = "10.0.0.7:5060",
        uri: str = "sip:alice@10.0.0.1:5060",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Request:
        """A request as a peer writes it."""
        fields = [
            ("Via", f"SIP/2.0/UDP {via};branch={branch or f'z9hG4bK{method}{cseq}'};rport"),
            ("From", f"<sip:peer@10.0.0.7>;tag={from_tag}"),
            ("To", "<sip:alice@10.0.0.1>" + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", "<sip:peer@10.0.0.7:5060>"),
        ]
        names = {name.lower() for name, _ in headers}
        if "max-forwards" not in names:
            fields.append(("Max-Forwards", "70"))
        if body and "content-type" not in names:
            fields.append(("Content-Type", "application/sdp"))
        fields = [field for field in fields if field[0].lower() not in names]
        return Request(method, uri, [*fields, *headers], body)

    def invited(self, **options: object) -> tuple[str, Request]:
        """An INVITE of the peer; the session and the request."""
        invite = self.request("INVITE", body=OFFER, **options)  # type: ignore[arg-type]
        self.send(invite)
        incoming = self.party.of(e.IncomingCall)[-1]
        assert isinstance(incoming, e.IncomingCall)
        return incoming.session, invite

    def answered(self, **options: object) -> tuple[str, Request, str]:
        """A call of the peer that is up; session, INVITE and our tag."""
        session, invite = self.invited(**options)
        self.core.answer(session, OFFER, now=self.now)
        self.party.settle()
        tag = self.last(Response).to.tag or ""
        self.send(self.request("ACK", to_tag=tag, branch="z9hG4bKack"))
        return session, invite, tag

    def calling(self, uri: str = "sip:peer@10.0.0.7", body: bytes = OFFER, **options: object) -> tuple[str, Request]:
        """Our INVITE; session and request."""
        session = self.core.invite(
            Uri.parse(uri),
            from_=Address(Uri.parse("sip:alice@10.0.0.1")),
            body=body,
            now=self.now,
            **options,  # type: ignore[arg-type]
        )
        self.party.settle()
        return session, self.last(Request)

    def respond(
        self,
        request: Request,
        status: int,
        *headers: tuple[str, str],
        tag: str = "peer",
        body: bytes = b"",
        contact: str = "<sip:peer@10.0.0.7:5060>",
    ) -> list[Request | Response]:
        """The peer's response; what the endpoint sent in return."""
        response = response_to(request, status, to_tag=tag)
        if contact and status != 100:
            response.headers.add("Contact", contact)
        response.headers.extend(headers)
        if body:
            response.headers.add("Content-Type", "application/sdp")
            response.body = body
        return self.send(response)

    def last(self, kind: type[T]) -> T:
        """The newest sent message of this kind."""
        return next(m for m in reversed(self.outbox) if isinstance(m, kind))

    def methods(self) -> list[str]:
        """Methods of all requests sent so far."""
        return [m.method for m in self.outbox if isinstance(m, Request)]

    def run(self, seconds: float) -> None:
        self.network.run(seconds)

    def finish(self) -> None:
        """Everything runs out; nothing may stay."""
        for session in list(self.core._core.sessions):
            self.core.hangup(session, now=self.now)
        self.run(800)
        self.network.assert_idle()
