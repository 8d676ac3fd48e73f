"""What the signalling core tells its user: frozen facts, each naming the session that it is about.

A session is one INVITE usage from its first message to its end. Exactly one of ``Failed`` (it was never answered) and
``Ended`` (after the answer, or by CANCEL for an incoming call) closes it, except an incoming call that we rejected
ourselves, which closes with ``Failed(local=True)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cordboard.sip.address import Address
    from cordboard.sip.flow import Flow, HostPort
    from cordboard.sip.headers import Headers
    from cordboard.sip.message import Request, Response

EndCause = Literal["bye", "cancelled", "no_ack", "session_expired", "dialog_gone"]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A new INVITE; 100 Trying has been sent. Answer it with ring, answer, reject or hangup."""

    session: str
    request: Request
    flow: Flow
    offer: bytes | None
    """The session description, or None where the caller wants our offer in the 2xx (RFC 3264 §5)."""
    replaces: str | None = None
    """The session that a Replaces header names (RFC 3891); answering ends that one."""
    source: str = ""
    """The address that the request came from: the flow's, or what a proxy of ours says."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional response above 100 to our INVITE; ``body`` is early media's description or empty."""

    session: str
    status: int
    reason: str
    body: bytes
    response: Response


@dataclass(frozen=True, slots=True)
class Answered:
    """Our INVITE was answered with a 2xx.

    The core has acknowledged it, unless ``needs_answer``: our INVITE carried no offer, ``body`` is the
    peer's offer, and ``answer_offer`` sends the ACK with our answer (RFC 3261 §13.2.2.4).
    """

    session: str
    response: Response
    body: bytes
    needs_answer: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The ACK for our 2xx arrived; ``body`` is the answer where our 2xx carried the offer, else empty."""

    session: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Failed:
    """The call was never established: the session is closed.

    ``local`` is true where no peer said so: our own ring limit (408), an unreachable target (503), our cancel (487),
    our reject. ``q850`` is the cause of a Reason header (RFC 3326). A 3xx has its contacts in ``response``.
    """

    session: str
    status: int
    reason: str
    q850: int | None
    local: bool
    response: Response | None = None
    detail: str = ""
    """Why it failed locally: "ring_timeout", "transaction_timeout", "transport", "resolution", "cancelled", "rejected",
    "limit"; empty for a peer's answer."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over. ``local`` tells a BYE of ours from a BYE of the peer."""

    session: str
    cause: EndCause
    q850: int | None = None
    headers: Headers | None = None
    local: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """The peer wants to change the media within the call (re-INVITE, UPDATE or PRACK).

    Reply with answer_offer or reject_offer. An empty ``body`` on INVITE asks us for the offer.
    """

    session: str
    body: bytes
    method: str


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """The peer's answer to our offer in a re-INVITE, an UPDATE or a 2xx to a re-INVITE without one.

    With ``needs_answer``, our re-INVITE had no body: ``body`` is an offer, and answer_offer sends the ACK.
    """

    session: str
    body: bytes
    needs_answer: bool = False


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """The peer refused our re-INVITE or UPDATE; the session goes on as it was (RFC 3261 §14.1)."""

    session: str
    status: int


@dataclass(frozen=True, slots=True)
class ReferAccepted:
    """REFER was accepted (200 or 202): not a success yet. ``subscription`` is false under Refer-Sub: false."""

    session: str
    status: int
    subscription: bool = True


@dataclass(frozen=True, slots=True)
class ReferRefused:
    """REFER was refused; status 408 with no response is our transaction timeout, 503 a transport failure."""

    session: str
    status: int
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class ReferNotified:
    """A NOTIFY of the implicit subscription: the status line of its sipfrag (RFC 3515 §2.4.5).

    ``status`` is 0 where the body held no readable status line. ``final`` is true for a status of 200 or more.
    """

    session: str
    status: int
    text: str
    subscription_state: str
    final: bool


@dataclass(frozen=True, slots=True)
class ReferEnded:
    """The implicit subscription is over.

    ``reason``: the Subscription-State reason ("noresource", "timeout", …), "no_subscription" under
    Refer-Sub: false, "dialog_ended" where the call ended first, "expired" where no final NOTIFY came in time.
    """

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReferRequested:
    """The peer asks us to call somebody. Reply with accept_refer or reject_refer, then notify_refer."""

    session: str
    refer_to: Address
    referred_by: Address | None
    replaces: str | None
    """The raw Replaces header embedded in Refer-To (RFC 3891), unescaped."""


@dataclass(frozen=True, slots=True)
class InfoReceived:
    """An INFO within the call (RFC 6086 or the older style for DTMF); 200 has been sent."""

    session: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class InfoAnswered:
    """The final status of our INFO (408 for a timeout)."""

    session: str
    status: int


@dataclass(frozen=True, slots=True)
class OptionsAnswered:
    """The end of our OPTIONS; ``session`` is the id that ``options`` returned. ``response`` None: nobody answered."""

    session: str
    status: int
    response: Response | None


@dataclass(frozen=True, slots=True)
class Trace:
    """One SIP message as it crossed the wire. ``session`` is None where no session of ours is known for it."""

    direction: Literal["in", "out"]
    transport: str
    local: HostPort
    remote: HostPort
    data: bytes
    call_id: str
    session: str | None


@dataclass(frozen=True, slots=True)
class Redirected:
    """A 3xx was followed: the call goes on to ``target``."""

    session: str
    status: int
    target: str


@dataclass(frozen=True, slots=True)
class RegistrationKept:
    """The registrar took our binding for ``expires`` seconds; it is refreshed before."""

    session: str
    expires: int


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """The registrar refused (its status), or did not answer (408, 503); tried again in ``retry_in`` seconds."""

    session: str
    status: int
    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class RegistrationEnded:
    """Our binding was taken away, as far as the registrar let us."""

    session: str


Event = (
    IncomingCall
    | Progress
    | Answered
    | Confirmed
    | Failed
    | Ended
    | Offered
    | OfferAnswered
    | OfferRefused
    | ReferAccepted
    | ReferRefused
    | ReferNotified
    | ReferEnded
    | ReferRequested
    | InfoReceived
    | InfoAnswered
    | OptionsAnswered
    | Redirected
    | RegistrationKept
    | RegistrationFailed
    | RegistrationEnded
    | Trace
)
