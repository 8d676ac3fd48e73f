"""What the endpoint is told once: who we are, what we allow, how long we wait, how much we keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cordboard.sip.flow import Flow, HostPort

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
    accept_refer: Callable[[Flow], bool] = _nobody
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
    supported: tuple[str, ...] = ("100rel", "timer", "replaces", "norefersub")
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
    maximum_message: int = 65535
    maximum_referrals: int = 16
    """Implicit subscriptions per session."""
    dead_target_time: float = 30.0
    """How long a target that failed is tried last (RFC 3263 §4.3)."""
    resolution_timeout: float = 5.0
    stream_over: int = 1300
    """RFC 3261 §18.1.1: requests above this many bytes prefer TCP where the target has it."""
    trace: bool = True
    listeners: tuple[tuple[str, HostPort], ...] = ()
    """Transport and address of each listener; the shell adds those that it bound."""
