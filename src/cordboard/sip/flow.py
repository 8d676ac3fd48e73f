"""Flows: the path of one message, and what the core asks of the shell that owns the sockets."""

from __future__ import annotations

from typing import NamedTuple

HostPort = tuple[str, int]


class Flow(NamedTuple):
    """Where a message came from, or where it goes.

    ``local`` is the address of our listener (also for a connection that we opened: it is what Via and Contact
    advertise, not the ephemeral port). ``connection`` numbers one connection of a stream transport; the shell numbers
    accepted ones upwards from 1, the core numbers those it asks for downwards from -1.
    """

    transport: str
    local: HostPort
    remote: HostPort
    connection: int | None = None

    @property
    def reliable(self) -> bool:
        """Whether the transport repeats lost bytes itself (RFC 3261 §17: no timers A, E, G then)."""
        return self.transport != "udp"


class SendBytes(NamedTuple):
    """Write ``data`` on ``flow``: one datagram, or bytes on the flow's connection."""

    flow: Flow
    data: bytes


class Query(NamedTuple):
    """One DNS question of RFC 3263: ``kind`` is NAPTR, SRV, A or AAAA."""

    kind: str
    name: str


class Resolve(NamedTuple):
    """Ask the DNS; the answer comes back by ``Endpoint.resolved(query, answers, now)``, empty when there is none."""

    query: Query


class Answer(NamedTuple):
    """One DNS record in the answer to a Query.

    A and AAAA fill ``target`` with the address; SRV fills target, port, priority and weight; NAPTR fills target
    (replacement), priority (order), weight (preference) and ``service`` (such as ``SIP+D2U``).
    """

    target: str
    port: int = 0
    priority: int = 0
    weight: int = 0
    service: str = ""


class Connect(NamedTuple):
    """Open the connection ``flow``; answer with connection_opened or send_failed, with this same flow.

    ``name`` is the host name that a TLS certificate must prove (RFC 5922 §7).
    """

    flow: Flow
    name: str = ""


class Close(NamedTuple):
    """Close the connection ``flow``: a framing fault, or nothing more to say."""

    flow: Flow


Output = SendBytes | Resolve | Connect | Close
