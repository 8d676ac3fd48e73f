"""Dialogs (RFC 3261 §12): identifiers, sequence numbers, route set and remote target."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cordboard.sip.address import Address
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, Response
from cordboard.sip.parameters import Parameters
from cordboard.sip.transport import address_class
from cordboard.sip.uri import Uri

if TYPE_CHECKING:
    from cordboard.sip.session import Session

DialogKey = tuple[str, str, str]
Fields = list[tuple[str, str]]

MAXIMUM_ROUTES = 32


class Dialog:
    """One peer-to-peer relation, keyed by Call-ID, local tag and remote tag."""

    __slots__ = (
        "_next_hop",
        "call_id",
        "counted_host",
        "flow",
        "local",
        "local_cseq",
        "local_tag",
        "remote",
        "remote_cseq",
        "remote_tag",
        "remote_target",
        "routes",
        "secure",
        "session",
    )

    def __init__(
        self,
        *,
        call_id: str,
        local: str,
        local_tag: str,
        remote: str,
        remote_tag: str,
        remote_target: Uri,
        routes: list[str],
        local_cseq: int,
        remote_cseq: int | None,
        secure: bool,
        flow: Flow,
        session: Session,
    ) -> None:
        self.call_id = call_id
        self.local = local
        self.local_tag = local_tag
        self.remote = remote
        self.remote_tag = remote_tag
        self.remote_target = remote_target
        self.routes = routes[:MAXIMUM_ROUTES]
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.secure = secure
        self.flow = flow
        self.session = session
        self.counted_host = ""
        self._next_hop: Uri | None = None

    @classmethod
    def of_request(cls, request: Request, local_tag: str, flow: Flow, session: Session) -> Dialog:
        """The UAS side (RFC 3261 §12.1.1): route set as in Record-Route, in order."""
        contact = request.contact
        return cls(
            call_id=request.call_id,
            local=f"{request.headers.get('To')};tag={local_tag}",
            local_tag=local_tag,
            remote=request.headers.get("From") or "",
            remote_tag=request.from_.tag or "",
            remote_target=contact.uri if contact is not None else request.from_.uri,
            routes=request.headers.values("Record-Route"),
            local_cseq=0,
            remote_cseq=request.cseq.number,
            secure=request.uri.scheme == "sips" and flow.transport == "tls",
            flow=flow,
            session=session,
        )

    @classmethod
    def of_response(cls, request: Request, response: Response, flow: Flow, session: Session) -> Dialog:
        """The UAC side (RFC 3261 §12.1.2): route set as in Record-Route, reversed."""
        contact = response.contact
        return cls(
            call_id=request.call_id,
            local=request.headers.get("From") or "",
            local_tag=request.from_.tag or "",
            remote=response.headers.get("To") or "",
            remote_tag=response.to.tag or "",
            remote_target=contact.uri if contact is not None else request.uri,
            routes=response.headers.values("Record-Route")[::-1],
            local_cseq=request.cseq.number,
            remote_cseq=None,
            secure=request.uri.scheme == "sips" and flow.transport == "tls",
            flow=flow,
            session=session,
        )

    @property
    def key(self) -> DialogKey:
        """Call-ID, local tag, remote tag."""
        return (self.call_id, self.local_tag, self.remote_tag)

    def renew_routes(self, response: Response) -> None:
        """The 2xx decides the route set that an earlier provisional response had begun (RFC 3261 §13.2.2.4)."""
        self.routes = response.headers.values("Record-Route")[::-1][:MAXIMUM_ROUTES]
        self._next_hop = None

    def refresh_target(self, message: Request | Response, flow: Flow) -> None:
        """A target refresh request or its 2xx brings the peer's current Contact (RFC 3261 §12.2; RFC 6141 §4.6)."""
        contact = message.contact
        usable = contact is not None and not contact.wildcard and contact.uri.scheme in ("sip", "sips")
        if contact is not None and usable and contact.uri != self.remote_target:
            self.remote_target = contact.uri
            self._next_hop = None
        if flow != self.flow:
            self.flow = flow
            self._next_hop = None

    def seen_from(self, flow: Flow) -> None:
        """The peer's packets come from here now."""
        if flow != self.flow:
            self.flow = flow
            self._next_hop = None

    def next_cseq(self) -> int:
        """The number of our next request in this dialog."""
        self.local_cseq += 1
        return self.local_cseq

    def accepts_cseq(self, number: int) -> bool:
        """Whether the peer's request is in order (RFC 3261 §12.2.2: lower means 500); takes the number."""
        if self.remote_cseq is not None and number < self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def request_line(self) -> tuple[str, list[str], Uri]:
        """Request-URI, Route values and next hop (RFC 3261 §12.2.1.1)."""
        target = self.remote_target
        if not self.routes:
            return str(target.without_headers()), [], self.next_hop(target)
        first = Address.parse(self.routes[0], "Route").uri
        if first.is_loose_router:
            return str(target.without_headers()), self.routes, self.next_hop(first)
        # A strict router takes the Request-URI for itself; the target goes last.
        stripped = replace(first, headers=(), parameters=_without_method(first.parameters))
        return str(stripped), [*self.routes[1:], f"<{target}>"], self.next_hop(first)

    def next_hop(self, uri: Uri) -> Uri:
        """Where the request really goes.

        An address that only its owner's network can reach, from a peer outside that network, is answered where the
        peer's packets come from: NAT, and no way for a peer to send us into networks that are not its own.
        """
        hop = self._next_hop
        if hop is None:
            hop = uri
            reach = address_class(uri.host)
            remote = self.flow.remote
            if reach in ("loopback", "link", "private") and address_class(remote[0]) != reach:
                transport = self.flow.transport
                parameters = uri.parameters if transport == "udp" else Parameters((("transport", transport),))
                hop = Uri("sip", host=remote[0], port=remote[1], parameters=parameters)
            self._next_hop = hop
        return hop

    def fields(self, method: str, cseq: int, routes: list[str]) -> Fields:
        """The headers that every request in the dialog begins with, without Via."""
        fields: Fields = [("Route", route) for route in routes]
        fields += [
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
        ]
        return fields


def _without_method(parameters: Parameters) -> Parameters:
    return parameters.without("method")
