"""What the endpoint is told once: who we are, what we allow, how long we wait, how much we keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from cordboard.sip.flow import Flow, HostPort

if TYPE_CHECKING:
    from cordboard.sip.model import Request

Admission = Literal["allow", "drop", "forbid"]


class Identifiers(Protocol):
    """The only source of chance in the core. Each value is unique and hard to guess (RFC 3261 §19.3, §8.1.1.7)."""

    def tag(self) -> str:
        """A From or To tag; also used for opaque session ids and cnonces."""

    def branch(self) -> str:
        """A Via branch, with the magic cookie ``z9hG4bK``."""

    def call_id(self) -> str:
        """A Call-ID."""


@dataclass(frozen=True, slots=True)
class TimerSettings:
    """RFC 3261 Table 4 in seconds. The other timers are multiples of these (see ``transaction_tables``)."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password for 401 and 407; ``realm`` None serves any realm."""

    username: str
    password: str = field(repr=False)
    realm: str | None = None


PasswordOf = Callable[[str], "str | None"]
"""The password of a user name, or None where there is no such user."""


def _no_challenge(request: Request, flow: Flow) -> PasswordOf | None:
    return None


def _same_host(asking: Flow, replaced: Flow) -> bool:
    return asking.remote[0] == replaced.remote[0]


def _allow_everybody(flow: Flow) -> Admission:
    return "allow"


def _nobody(flow: Flow) -> bool:
    return False


@dataclass(slots=True)
class EndpointConfig:
    """Settings of an Endpoint. Times are seconds; table sizes are entries."""

    user_agent: str = "Cordboard"
    contact_user: str = "cordboard"
    domain: str = "cordboard.invalid"
    """The host in From where nobody names one."""
    external_address: str | None = None
    """The host that peers outside ``internal`` reach us by; written in Via and Contact towards them."""
    internal: Callable[[str], bool] | None = None
    """Whether a remote host is on our side of the NAT; None: loopback only."""
    source_address: Callable[[str], str] | None = None
    """The local address from which a remote host is reached, for listeners bound to a wildcard."""
    admit: Callable[[Flow], Admission] = _allow_everybody
    within_rate: Callable[[Flow], bool] | None = None
    """Asked of every packet before it is parsed; False drops it."""
    accept_refer: Callable[[Flow], bool] = _nobody
    challenge: Callable[[Request, Flow], PasswordOf | None] = _no_challenge
    """Whose passwords open a request that begins a dialog or registers; None: no digest is asked for."""
    realm: str = "cordboard"
    """The realm of our challenges (RFC 3261 §22.1)."""
    nonce_lifetime: float = 300.0
    may_replace: Callable[[Flow, Flow], bool] = _same_host
    """Whether a request with Replaces on the first flow may take over the dialog on the second (RFC 3891 §5)."""
    known_host: Callable[[str], bool] | None = None
    """Hosts that a peer may name as its Contact or Record-Route though they are not where it is itself: gateways.
    None: any that is not on loopback, a link or a private network."""
    trusted_proxy: Callable[[str], bool] | None = None
    """Proxies of ours; the address in their ``source_header`` is the source of a request."""
    source_header: str = "X-Source-Address"
    """Taken away from everybody else's requests."""
    registrar: bool = False
    """Take REGISTER, and keep the bindings in memory."""
    maximum_bindings: int = 1000
    maximum_redirects: int = 5
    """Contacts of 3xx that are tried for one INVITE, where ``invite`` gives a gate."""
    allow: tuple[str, ...] = (
        "INVITE",
        "ACK",
        "CANCEL",
        "BYE",
        "OPTIONS",
        "INFO",
        "UPDATE",
        "PRACK",
        "REFER",
        "NOTIFY",
    )
    supported: tuple[str, ...] = ("100rel", "timer", "replaces", "norefersub", "tdialog")
    accept: tuple[str, ...] = ("application/sdp",)
    uri_schemes: tuple[str, ...] = ("sip", "sips", "tel")
    timers: TimerSettings = field(default_factory=TimerSettings)
    ring_timeout: float = 180.0
    """How long our INVITE may ring where ``invite`` names no timeout."""
    answer_timeout: float = 30.0
    """How long a peer's offer, REFER or 2xx with an offer waits for our user before it is refused."""
    refer_timeout: float = 300.0
    """How long an implicit subscription lives without a final NOTIFY."""
    session_expires: int = 1800
    """Session timer that we ask for (RFC 4028); 0 asks for none, and still honours the peer's."""
    minimum_session_expires: int = 90
    retry_after: int = 10
    """Seconds in Retry-After of a 503 while draining or full."""
    maximum_sessions: int = 4000
    maximum_transactions: int = 40000
    maximum_connections: int = 2000
    stream_idle: float = 600.0
    """A stream on which nothing comes, and that nothing uses, is closed."""
    stream_slow: float = 30.0
    """How long an accepted stream's first message, and any message, may take to arrive."""
    keep_alive: float = 95.0
    """Silence after which a connection of ours is sent a ping (RFC 5626 §4.4.1); 0: never."""
    pong_timeout: float = 10.0
    maximum_message: int = 65535
    maximum_referrals: int = 16
    """Implicit subscriptions per session."""
    dead_target_time: float = 30.0
    """How long a target that failed is tried last (RFC 3263 §4.3)."""
    resolution_timeout: float = 5.0
    stream_over: int = 1300
    """RFC 3261 §18.1.1: requests above this many bytes prefer TCP where the target has it. 0: none does."""
    trace: bool = True
    listeners: tuple[tuple[str, HostPort], ...] = ()
    """Transport and address of each listener; the shell adds those that it bound."""
