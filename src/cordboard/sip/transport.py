"""The transport layer of RFC 3261 §18, without sockets: which flow carries a message, and what Via and Contact say."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Protocol

from cordboard.sip.config import EndpointConfig
from cordboard.sip.events import Event, Trace
from cordboard.sip.flow import Close, Connect, Flow, HostPort, Output, SendBytes
from cordboard.sip.via import Via

MAXIMUM_PENDING = 64
"""Messages that wait for one connection to open."""

WILDCARDS = ("0.0.0.0", "::", "")
"""A listener on all interfaces."""

_ADDRESS_CACHE = 1024
_MAXIMUM_PROVED = 1024
_MAXIMUM_ALIASES = 4

RemoteKey = tuple[str, HostPort, str]
"""Transport, remote address, and for TLS the domain that was proved (RFC 5923 §7: none is used for another)."""


class Keeper(Protocol):
    """Who watches connections for silence."""

    def opened(self, flow: Flow) -> None:
        """It carries bytes now."""

    def lost(self, flow: Flow) -> None:
        """It is gone."""


def bracketed(host: str) -> str:
    """An IPv6 literal with brackets, anything else as it is."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1 and localhost."""
    return host.startswith("127.") or host in ("::1", "localhost")


# RFC 1918, RFC 6598, RFC 4193
_PRIVATE = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


@lru_cache(maxsize=1024)
def address_class(host: str) -> str:
    """How far an address reaches: "loopback", "link", "private", "public", or "name" for a host name."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return "loopback" if host == "localhost" else "name"
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    if address.is_loopback:
        return "loopback"
    if address.is_link_local or address.is_unspecified or address.is_multicast:
        return "link"
    return "private" if any(address in network for network in _PRIVATE) else "public"


class Transport:
    """Flows, connections and the two output queues."""

    __slots__ = (
        "_advertised",
        "_by_remote",
        "_connections",
        "_keys",
        "_next",
        "_pending",
        "_proved",
        "config",
        "events",
        "keeper",
        "listeners",
        "outgoing",
    )

    def __init__(self, config: EndpointConfig) -> None:
        self.config = config
        self.outgoing: list[Output] = []
        self.events: list[Event] = []
        self.listeners: list[tuple[str, HostPort]] = list(config.listeners)
        self._connections: dict[Flow, bool] = {}
        self._by_remote: dict[RemoteKey, Flow] = {}
        self._keys: dict[Flow, list[RemoteKey]] = {}
        self._proved: dict[HostPort, str] = {}
        self.keeper: Keeper | None = None
        self._pending: dict[Flow, list[tuple[bytes, str, str | None]]] = {}
        self._next = -1
        self._advertised: dict[tuple[HostPort, str], HostPort] = {}

    # Addresses ------------------------------------------------------------------------------------------------------

    def advertised(self, flow: Flow) -> HostPort:
        """The address that the remote side of ``flow`` can reach us by."""
        key = (flow.local, flow.remote[0])
        known = self._advertised.get(key)
        if known is None:
            if len(self._advertised) >= _ADDRESS_CACHE:
                self._advertised.clear()
            known = self._advertised[key] = self._advertise(flow)
        return known

    def _advertise(self, flow: Flow) -> HostPort:
        host, port = flow.local
        config = self.config
        if config.external_address:
            internal = config.internal or is_loopback
            if not internal(flow.remote[0]):
                return config.external_address, port
        if host in WILDCARDS and config.source_address is not None:
            return config.source_address(flow.remote[0]), port
        return host, port

    def contact_uri(self, flow: Flow, secure: bool = False) -> str:
        """The text of our Contact URI towards this flow."""
        host, port = self.advertised(flow)
        scheme = "sips" if secure else "sip"
        transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
        return f"{scheme}:{self.config.contact_user}@{bracketed(host)}:{port}{transport}"

    def via(self, flow: Flow, branch: str) -> str:
        """The text of our Via on this flow; rport always (RFC 3581 §3)."""
        host, port = self.advertised(flow)
        alias = ";alias" if flow.transport == "tls" else ""  # RFC 5923 §5
        return f"SIP/2.0/{flow.transport.upper()} {bracketed(host)}:{port};branch={branch};rport{alias}"

    def transports(self) -> list[str]:
        """What we can send on."""
        return [transport for transport in ("udp", "tcp", "tls") if any(t == transport for t, _ in self.listeners)]

    # Choosing a flow ------------------------------------------------------------------------------------------------

    def flow_to(self, transport: str, remote: HostPort, prefer: Flow | None = None, name: str = "") -> Flow | None:
        """The flow for a request: an open connection is used again (RFC 5923), else one is asked for.

        ``prefer`` gives the listener (or the connection) that a dialog has used. None: no such transport here.
        """
        same = prefer is not None and prefer.transport == transport and prefer.remote == remote
        if same and prefer is not None and (prefer.connection is None or prefer in self._connections):
            return prefer
        if transport == "tls" and address_class(name or remote[0]) != "name":
            # A Contact by number at the address that proved a domain before must prove that same domain again.
            name = self._proved.get(remote, name)
        key = (transport, remote, name.lower() if transport == "tls" else "")
        if transport != "udp":
            known = self._by_remote.get(key)
            if known is not None:
                return known
        local = self._local(transport, remote, prefer)
        if local is None:
            return None
        if transport == "udp":
            return Flow("udp", local, remote)
        if len(self._connections) >= self.config.maximum_connections:
            return None
        flow = Flow(transport, local, remote, self._next)
        self._next -= 1
        self._connections[flow] = False
        self._enter(key, flow)
        self._pending[flow] = []
        self.outgoing.append(Connect(flow, name))
        return flow

    def _local(self, transport: str, remote: HostPort, prefer: Flow | None) -> HostPort | None:
        six = ":" in remote[0]
        if prefer is not None and prefer.transport == transport and (":" in prefer.local[0]) == six:
            return prefer.local
        usable = [local for own, local in self.listeners if own == transport and (":" in local[0]) == six]
        if not usable:
            return None
        if len(usable) > 1:
            # A listener on loopback reaches loopback only, and is the better one for it.
            wanted = is_loopback(remote[0])
            for local in usable:
                if is_loopback(local[0]) == wanted:
                    return local
        return usable[0]

    def _enter(self, key: RemoteKey, flow: Flow) -> None:
        """Let requests to ``key`` use this connection (RFC 5923)."""
        if key not in self._by_remote:
            self._by_remote[key] = flow
            self._keys.setdefault(flow, []).append(key)

    def alias(self, flow: Flow, via: Via, identity: str) -> None:
        """RFC 5923 §6, §7.1: a client that proved a domain lets us use its connection for requests to its own port.

        The address is the connection's source, not what the Via claims: nobody can draw another's requests here.
        """
        if len(self._keys.get(flow, ())) < _MAXIMUM_ALIASES:
            self._enter(("tls", (flow.remote[0], via.port or 5061), identity), flow)

    def response_flow(self, via: Via, flow: Flow) -> Flow:
        """Where a response goes (RFC 3261 §18.2.2, RFC 3581 §4): back on the connection, or to the datagram's source.

        Without rport, RFC 3261 wants the port of sent-by.
        """
        if flow.connection is not None:
            return flow
        if via.wants_rport:
            return flow
        if via.maddr is not None and address_class(via.maddr) == "public":
            return flow._replace(remote=(via.maddr, via.port or 5060))
        port = via.port or 5060
        if port == flow.remote[1]:
            return flow
        return flow._replace(remote=(flow.remote[0], port))

    def fallback_flow(self, via: Via, flow: Flow) -> Flow | None:
        """The second way for a response whose connection is gone (RFC 3261 §18.2.2)."""
        port = via.port or via.default_port
        return self.flow_to(flow.transport, (flow.remote[0], port), None, flow.remote[0])

    # Sending --------------------------------------------------------------------------------------------------------

    def send(self, flow: Flow, data: bytes, call_id: str, session: str | None) -> bool:
        """Queue bytes; False where the connection is gone."""
        if flow.connection is not None:
            opened = self._connections.get(flow)
            if opened is None:
                return False
            if not opened:
                pending = self._pending[flow]
                if len(pending) >= MAXIMUM_PENDING:
                    return False
                pending.append((data, call_id, session))
                return True
        self.outgoing.append(SendBytes(flow, data))
        if self.config.trace:
            self.events.append(Trace("out", flow.transport, flow.local, flow.remote, data, call_id, session))
        return True

    def is_open(self, flow: Flow) -> bool:
        """Whether bytes can still go on this flow."""
        return flow.connection is None or flow in self._connections

    # Connections ----------------------------------------------------------------------------------------------------

    def opened(self, flow: Flow) -> None:
        """The connection carries bytes now; what waited goes out."""
        if flow.connection is None:
            return
        if flow not in self._connections and len(self._connections) >= self.config.maximum_connections:
            self.outgoing.append(Close(flow))
            return
        self._connections[flow] = True
        if flow.transport != "tls":
            # RFC 5923 §7: with TLS only a proved domain may be used again, which `alias` and our own connections are.
            self._enter((flow.transport, flow.remote, ""), flow)
        elif flow.connection < 0:
            for _, remote, name in self._keys.get(flow, ()):
                if len(self._proved) >= _MAXIMUM_PROVED:
                    self._proved.clear()
                self._proved[remote] = name
        if self.keeper is not None:
            self.keeper.opened(flow)
        for data, call_id, session in self._pending.pop(flow, ()):
            self.send(flow, data, call_id, session)

    def lost(self, flow: Flow) -> None:
        """Forget the connection."""
        self._connections.pop(flow, None)
        self._pending.pop(flow, None)
        for key in self._keys.pop(flow, ()):
            del self._by_remote[key]
        if self.keeper is not None:
            self.keeper.lost(flow)

    @property
    def connections(self) -> int:
        """Open connections and those being opened."""
        return len(self._connections)
