"""What every usage in the endpoint shares: tables, timers, names, sending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from zlib import crc32

from cordboard.sip.config import EndpointConfig, Identifiers
from cordboard.sip.dialog import Dialog, DialogKey
from cordboard.sip.errors import ParseError
from cordboard.sip.events import Event
from cordboard.sip.flow import Answer, Flow, Query, Resolve
from cordboard.sip.message import Message
from cordboard.sip.registrar import Registrar
from cordboard.sip.resolution import DeadTargets, Resolution, Target
from cordboard.sip.timers import Timer, Timers
from cordboard.sip.transactions import Transactions
from cordboard.sip.transport import Transport, address_class
from cordboard.sip.uri import Uri

if TYPE_CHECKING:
    from cordboard.sip.registration import Registration
    from cordboard.sip.session import Session

MAXIMUM_RESOLUTIONS = 4096

OnTargets = Callable[[list[Target], float], None]


class Core:
    """The shared state of an endpoint; usages hold it, and it knows them only through its tables."""

    __slots__ = (
        "_capabilities",
        "_resolutions",
        "config",
        "dead_targets",
        "dialogs",
        "draining",
        "events",
        "identifiers",
        "lingering",
        "peers",
        "registrar",
        "registrations",
        "sessions",
        "timers",
        "transactions",
        "transport",
    )

    def __init__(self, config: EndpointConfig, identifiers: Identifiers) -> None:
        self.config = config
        self.identifiers = identifiers
        self.draining = False
        self._capabilities = [("Allow", ", ".join(config.allow)), ("Supported", ", ".join(config.supported))]
        self.timers = Timers()
        self.transport = Transport(config)
        self.transactions = Transactions(config, self.timers, self.transport)
        self.dead_targets = DeadTargets(config.dead_target_time)
        self.sessions: dict[str, Session] = {}
        self.lingering: dict[str, Session] = {}
        """Sessions that are over, with a subscription of REFER that is not (RFC 5057 §4.2)."""
        self.dialogs: dict[DialogKey, Dialog] = {}
        self.peers: dict[str, int] = {}
        """Remote hosts of dialogs: they stay admitted until the call's end."""
        self.registrations: dict[str, Registration] = {}
        self.registrar = Registrar(config) if config.registrar else None
        self._resolutions: dict[int, tuple[Resolution, OnTargets, Timer]] = {}

    def emit(self, event: Event) -> None:
        """Tell the user."""
        self.transport.events.append(event)

    def chance(self) -> float:
        """A number in [0, 1) from the injected identifiers."""
        return crc32(self.identifiers.tag().encode()) / 2**32

    # Dialogs --------------------------------------------------------------------------------------------------------

    def add_dialog(self, dialog: Dialog) -> None:
        """Requests with these tags now reach the dialog's session."""
        self.dialogs[dialog.key] = dialog
        host = dialog.flow.remote[0]
        self.peers[host] = self.peers.get(host, 0) + 1
        dialog.counted_host = host

    def remove_dialog(self, dialog: Dialog) -> None:
        """Requests with these tags now get 481."""
        if self.dialogs.pop(dialog.key, None) is not None:
            host = dialog.counted_host
            left = self.peers.get(host, 1) - 1
            if left > 0:
                self.peers[host] = left
            else:
                self.peers.pop(host, None)

    # DNS ------------------------------------------------------------------------------------------------------------

    def resolve(self, uri: Uri, done: OnTargets, now: float) -> None:
        """Call ``done`` with the targets of ``uri``: at once for an address, else when the DNS has answered."""
        transport = self.transport
        families = ["A"]
        if any(":" in local[0] for _, local in transport.listeners):
            families.append("AAAA")
        if uri.scheme not in ("sip", "sips"):
            done([], now)
            return
        resolution = Resolution(uri, transport.transports(), families=families, chance=self.chance)
        if resolution.targets is not None:
            done(resolution.targets, now)
            return
        if len(self._resolutions) >= MAXIMUM_RESOLUTIONS:
            done([], now)
            return
        number = id(resolution)
        timer = self.timers.start(now + self.config.resolution_timeout, lambda at: self._give_up(number, at))
        self._resolutions[number] = (resolution, done, timer)
        self._ask(resolution.waiting)

    def permitted(self, targets: list[Target], peer: Flow) -> list[Target]:
        """The targets that a peer at ``peer`` may send us to by its Contact or Record-Route, also behind a name.

        Never into loopback, a link or a private network where it is not itself, and by a stream only to itself or to a
        known host; where nothing is left, back to where its packets come from.
        """
        known = self.config.known_host
        own = address_class(peer.remote[0])
        allowed: list[Target] = []
        for target in targets:
            host = target.address[0]
            if host != peer.remote[0] and (known is None or not known(host)):
                reach = address_class(host)
                inward = reach in ("loopback", "link", "private") and reach != own
                if inward or (target.transport != "udp" and known is not None):
                    continue
            allowed.append(target)
        if targets and not allowed:
            return [Target(peer.transport, peer.remote, targets[0].name)]
        return allowed

    def _ask(self, queries: set[Query]) -> None:
        # Sorted, so that the same inputs give the same outputs.
        self.transport.outgoing.extend(Resolve(query) for query in sorted(queries))

    def _give_up(self, number: int, now: float) -> None:
        _, done, _ = self._resolutions.pop(number)
        done([], now)

    def resolved(self, query: Query, answers: Sequence[Answer], now: float) -> None:
        """Feed one answer to whoever waits for it."""
        for number, (resolution, done, timer) in list(self._resolutions.items()):
            if query not in resolution.waiting:
                continue
            before = resolution.waiting
            resolution.answer(query, answers)
            if resolution.targets is not None:
                del self._resolutions[number]
                timer.stop()
                done(resolution.targets, now)
            elif not resolution.waiting <= before:
                self._ask(resolution.waiting)

    @property
    def resolutions(self) -> int:
        """Names being looked up."""
        return len(self._resolutions)

    # Messages -------------------------------------------------------------------------------------------------------

    def capabilities(self) -> list[tuple[str, str]]:
        """Allow and Supported (RFC 3261 §13.2.1)."""
        return self._capabilities


def session_body(message: Message) -> bytes:
    """The session description of a message: its body, or the part of a multipart body; empty where there is none."""
    body = message.body
    if not body:
        return b""
    content_type = message.content_type
    if content_type == "application/sdp":
        return body
    if content_type.startswith("multipart/"):
        media_type = message.media_type
        boundary = media_type.parameters.get("boundary") if media_type is not None else None
        if boundary:
            return _part(body, boundary.encode("utf-8", "surrogateescape"))
    return b""


def _part(body: bytes, boundary: bytes) -> bytes:
    """The application/sdp part of a multipart body (RFC 2046 §5.1, RFC 5621)."""
    for piece in body.split(b"--" + boundary)[1:17]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if blank and b"application/sdp" in head.lower():
            return content.removesuffix(b"\r\n")
    return b""


def q850_cause(message: Message | None) -> int | None:
    """The Q.850 cause of a Reason header (RFC 3326), or None."""
    if message is None or "Reason" not in message.headers:
        return None
    try:
        reasons = message.reasons
    except ParseError:
        return None
    for reason in reasons:
        if reason.protocol.upper() == "Q.850":
            return reason.cause
    return None
