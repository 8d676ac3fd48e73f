"""Lines of docs/rfc.md on transport: which flow carries a message, connections, size, DNS order and failover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle

import pytest

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.flow import Answer, Close, Connect, Flow, Query, Resolve, SendBytes
from cordboard.sip.message import Request, Response, parse_message
from cordboard.sip.resolution import DeadTargets, Resolution, Target, weigh
from cordboard.sip.uri import Uri
from tests.sip.support.network import ANSWER, OFFER
from tests.sip.support.scripted import Scripted

OWN = ("10.0.0.1", 5060)
ME = Address(Uri.parse("sip:alice@10.0.0.1"))


class Streams(Scripted):
    """An endpoint with a TCP listener; connections open when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.core.listening("tcp", OWN)

    def outputs(self) -> list[SendBytes | Connect | Close | Resolve]:
        return self.core.take_outgoing()

    def call(self, uri: str, body: bytes = OFFER) -> str:
        return self.core.invite(Uri.parse(uri), from_=ME, body=body, now=self.now)


def first_line(output: object) -> bytes:
    assert isinstance(output, SendBytes)
    return output.data.split(b"\r\n", 1)[0]


def connects(outputs: list[SendBytes | Connect | Close | Resolve]) -> list[Connect]:
    return [output for output in outputs if isinstance(output, Connect)]


def test_line_28_a_response_goes_back_on_its_connection_and_to_sent_by_when_that_is_gone() -> None:
    """Protects a caller whose connection broke while we rang: its 200 goes to the port of its Via (§18.2.2)."""
    s = Streams()
    flow = Flow("tcp", OWN, ("10.0.0.7", 40000), 1)
    s.core.connection_opened(flow, s.now)
    invite = s.request("INVITE", body=OFFER, headers=(("Via", "SIP/2.0/TCP 10.0.0.7:5070;branch=z9hG4bKt"),))
    s.core.receive(invite.serialize(), flow, s.now)
    sent = [output for output in s.outputs() if isinstance(output, SendBytes)]
    assert [output.flow for output in sent] == [flow]
    session = next(event for event in s.core.take_events() if isinstance(event, e.IncomingCall)).session
    s.core.connection_lost(flow, s.now)
    s.core.answer(session, ANSWER, now=s.now)
    opened = connects(s.outputs())
    assert [c.flow.remote for c in opened] == [("10.0.0.7", 5070)]
    s.core.connection_opened(opened[0].flow, s.now)
    answers = [output for output in s.outputs() if isinstance(output, SendBytes)]
    assert first_line(answers[0]) == b"SIP/2.0 200 OK"
    s.core.connection_lost(opened[0].flow, s.now)


def test_line_30_a_large_request_prefers_tcp_and_falls_back_to_udp() -> None:
    """Protects large INVITEs from IP fragments, and peers without TCP from being unreachable (§18.1.1)."""
    s = Streams()
    session = s.call("sip:desk@10.0.0.7", OFFER + b"a=x-long:" + b"x" * 1400 + b"\r\n")
    opened = connects(s.outputs())
    assert [(c.flow.transport, c.flow.remote) for c in opened] == [("tcp", ("10.0.0.7", 5060))]
    s.core.send_failed(opened[0].flow, s.now)
    s.core.handle_timer(s.now)
    sent = [output for output in s.outputs() if isinstance(output, SendBytes)]
    assert [(output.flow.transport, output.flow.remote) for output in sent] == [("udp", ("10.0.0.7", 5060))]
    assert b"Via: SIP/2.0/UDP" in sent[0].data
    s.core.cancel(session, now=s.now)


def test_line_30_a_small_request_stays_on_udp() -> None:
    """Protects peers from connections that nobody needs (RFC 3263 §4.1)."""
    s = Streams()
    s.call("sip:desk@10.0.0.7")
    s.call("sip:desk@10.0.0.7;transport=udp")
    assert connects(s.outputs()) == []


def test_line_30_size_decides_also_where_the_uri_says_udp_and_a_peer_without_tcp_costs_one_try() -> None:
    """Protects large INVITEs to gateways that are configured for UDP (RFC 3261 §18.1.1: MUST), without a delay each."""
    s = Streams()
    large = OFFER + b"a=x-long:" + b"x" * 1400 + b"\r\n"
    s.call("sip:desk@10.0.0.7;transport=udp", large)
    opened = connects(s.outputs())
    assert [c.flow.transport for c in opened] == ["tcp"]
    s.core.send_failed(opened[0].flow, s.now)
    s.core.handle_timer(s.now)
    s.outputs()
    s.call("sip:desk@10.0.0.7;transport=udp", large)
    assert connects(s.outputs()) == []


def test_line_32_requests_to_one_peer_share_its_connection() -> None:
    """Protects peers and ourselves from a connection for every call (RFC 5923 §3)."""
    s = Streams()
    s.call("sip:one@10.0.0.7;transport=tcp")
    s.call("sip:two@10.0.0.7;transport=tcp")
    opened = connects(s.outputs())
    assert len(opened) == 1
    s.core.connection_opened(opened[0].flow, s.now)
    sent = [output for output in s.outputs() if isinstance(output, SendBytes)]
    assert [output.flow for output in sent] == [opened[0].flow] * 2
    s.call("sip:three@10.0.0.7;transport=tcp")
    assert [type(output) for output in s.outputs()] == [SendBytes]


def test_line_32_a_keep_alive_is_answered_on_its_connection() -> None:
    """Protects connections through NAT: the pong proves that we are there (RFC 5626 §3.5.1)."""
    s = Streams()
    flow = Flow("tcp", OWN, ("10.0.0.7", 40000), 1)
    s.core.connection_opened(flow, s.now)
    s.core.receive(b"\r\n\r\n", flow, s.now)
    assert s.outputs() == [SendBytes(flow, b"\r\n")]
    s.core.receive(b"\r\n", flow, s.now)
    assert s.outputs() == []


def test_line_29_a_stream_that_cannot_be_framed_is_answered_and_closed() -> None:
    """Protects the next messages: after a missing length nothing on the connection can be trusted (§18.3)."""
    s = Streams()
    flow = Flow("tcp", OWN, ("10.0.0.7", 40000), 1)
    s.core.connection_opened(flow, s.now)
    raw = s.request("OPTIONS").serialize().replace(b"Content-Length: 0\r\n", b"")
    s.core.receive(raw, flow, s.now)
    answer, close = s.outputs()
    assert first_line(answer).startswith(b"SIP/2.0 400 ")
    assert close == Close(flow)
    s.core.connection_lost(flow, s.now)


def test_line_17_a_preloaded_strict_route_takes_the_request_uri_of_our_first_request() -> None:
    """Protects calls through an old proxy that is configured as a route (§8.1.2, §12.2.1.1)."""
    s = Scripted()
    _, invite = s.calling(route=[Address.parse("<sip:10.0.1.9>", "Route")])
    assert invite.uri_text == "sip:10.0.1.9"
    assert [str(route) for route in invite.routes] == ["<sip:peer@10.0.0.7>"]
    assert s.flows[-1].remote == ("10.0.1.9", 5060)
    s.finish()


def test_line_34_a_transport_error_goes_to_the_next_target_at_once() -> None:
    """Protects the caller from waiting 32 s for a host that refuses connections (RFC 3263 §4.3)."""
    s = Streams()
    s.network.records[Query("A", "pbx.example.com")] = [Answer("10.0.0.51"), Answer("10.0.0.52")]
    s.call("sip:desk@pbx.example.com:5080;transport=tcp")
    for output in s.outputs():
        assert isinstance(output, Resolve)
        s.core.resolved(output.query, s.network.records[output.query], s.now)
    first = connects(s.outputs())[0]
    assert first.flow.remote == ("10.0.0.51", 5080)
    s.core.send_failed(first.flow, s.now)
    s.core.handle_timer(s.now)
    assert connects(s.outputs())[0].flow.remote == ("10.0.0.52", 5080)


def test_line_34_a_dead_target_is_tried_last_for_a_while() -> None:
    """Protects the next calls from the same wait (RFC 3263 §4.3)."""
    one, two = Target("udp", ("10.0.0.51", 5060), "x"), Target("udp", ("10.0.0.52", 5060), "x")
    dead = DeadTargets(30.0)
    dead.mark("udp", one.address, 100.0)
    assert dead.order([one, two], 110.0) == [two, one]
    assert dead.order([one, two], 131.0) == [one, two]
    dead.mark("udp", one.address, 140.0)
    dead.clear("udp", one.address)
    assert dead.order([one, two], 141.0) == [one, two]


# The order of RFC 3263 ------------------------------------------------------------------------------------------------


def draws(*values: float) -> Callable[[], float]:
    source: Iterator[float] = cycle(values)
    return lambda: next(source)


def resolved(uri: str, records: dict[tuple[str, str], list[Answer]], *transports: str) -> list[tuple[str, str, int]]:
    """Targets of a URI in this zone."""
    resolution = Resolution(
        Uri.parse(uri), transports or ("udp", "tcp", "tls"), families=("A", "AAAA"), chance=draws(0.5)
    )
    for _ in range(10):
        if resolution.targets is not None:
            break
        for query in sorted(resolution.waiting):
            resolution.answer(query, records.get((query.kind, query.name), []))
    assert resolution.targets is not None
    return [(target.transport, *target.address) for target in resolution.targets]


ZONE = {
    ("NAPTR", "example.com"): [
        Answer("_sip._udp.example.com", 0, 20, 10, "SIP+D2U"),
        Answer("_sip._tcp.example.com", 0, 10, 20, "SIP+D2T"),
        Answer("_sips._tcp.example.com", 0, 10, 10, "SIPS+D2T"),
        Answer("_sip._ws.example.com", 0, 1, 1, "SIP+D2W"),
    ],
    ("SRV", "_sip._udp.example.com"): [Answer("u.example.com", 5060, 1, 0)],
    ("SRV", "_sip._tcp.example.com"): [Answer("t.example.com", 5062, 1, 0)],
    ("SRV", "_sips._tcp.example.com"): [Answer("s.example.com", 5071, 1, 0)],
    ("A", "u.example.com"): [Answer("10.0.0.1")],
    ("A", "t.example.com"): [Answer("10.0.0.2")],
    ("AAAA", "t.example.com"): [Answer("2001:db8::2")],
    ("A", "s.example.com"): [Answer("10.0.0.3")],
    ("A", "bare.example.com"): [Answer("10.0.0.9")],
}
UDP, TCP, TCP6, TLS = (
    ("udp", "10.0.0.1", 5060),
    ("tcp", "10.0.0.2", 5062),
    ("tcp", "2001:db8::2", 5062),
    ("tls", "10.0.0.3", 5071),
)


@pytest.mark.parametrize(
    ("uri", "transports", "expected"),
    [
        ("sip:a@example.com", (), [TLS, TCP, TCP6, UDP]),
        ("sip:a@example.com", ("udp", "tcp"), [TCP, TCP6, UDP]),
        ("sips:a@example.com", (), [TLS]),
        ("sip:a@example.com;transport=udp", (), [UDP]),
        ("sip:a@bare.example.com:5090", (), [("udp", "10.0.0.9", 5090)]),
        ("sip:a@bare.example.com", ("udp",), [("udp", "10.0.0.9", 5060)]),
        ("sip:a@192.0.2.1", (), [("udp", "192.0.2.1", 5060)]),
        ("sips:a@192.0.2.1", (), [("tls", "192.0.2.1", 5061)]),
        ("sip:a@[2001:db8::7]:5066;transport=tcp", (), [("tcp", "2001:db8::7", 5066)]),
        ("sip:a@example.com;maddr=192.0.2.3", (), [("udp", "192.0.2.3", 5060)]),
        ("sip:a@example.com;transport=sctp", (), []),
    ],
)
def test_line_33_targets_in_the_order_of_the_dns(
    uri: str, transports: tuple[str, ...], expected: list[tuple[str, str, int]]
) -> None:
    """Protects the order that the target's owner published (RFC 3263 §4.1, §4.2)."""
    assert resolved(uri, ZONE, *transports) == expected


def test_line_33_weights_share_the_load_and_priorities_come_first() -> None:
    """Protects a carrier's small servers from our whole load (RFC 2782)."""
    records = [Answer("big", 5060, 1, 75), Answer("small", 5060, 1, 25), Answer("spare", 5060, 2, 99)]
    first = Counter(weigh(records, draws(number / 100))[0].target for number in range(1, 101))
    assert first == {"big": 75, "small": 25}
    assert weigh(records, draws(0.9))[-1].target == "spare"
    nothing = [Answer("a", 5060, 1, 0), Answer("b", 5060, 1, 0)]
    assert len(weigh(nothing, draws(0.0))) == 2


def test_line_27_a_peer_behind_nat_is_answered_and_called_back_where_its_packets_come_from() -> None:
    """Protects phones behind NAT: responses by rport, requests of ours past the private Contact (RFC 3581 §4)."""
    s = Scripted()
    public = ("203.0.113.9", 33333)
    s.send(s.request("INVITE", via="192.168.1.5:5060", body=OFFER), public)
    assert s.flows[-1].remote == public
    incoming = s.party.of(e.IncomingCall)[0]
    assert isinstance(incoming, e.IncomingCall)
    s.core.answer(incoming.session, ANSWER, now=s.now)
    s.party.settle()
    tag = s.last(Response).to.tag or ""
    s.send(s.request("ACK", to_tag=tag, branch="z9hG4bKack"), public)
    s.core.bye(incoming.session, now=s.now)
    s.party.settle()
    assert s.last(Request).method == "BYE"
    assert s.flows[-1].remote == public
    s.finish()


def test_line_31_a_sips_uri_is_sent_by_tls_only() -> None:
    """Protects a secure call from leaving in the clear (§26.2.2): without a TLS listener it fails."""
    s = Streams()
    s.call("sips:desk@10.0.0.7")
    assert connects(s.outputs()) == []
    s.core.handle_timer(s.now)
    failed = next(event for event in s.core.take_events() if isinstance(event, e.Failed))
    assert failed.local
    s.core.listening("tls", ("10.0.0.1", 5061))
    s.call("sips:desk@10.0.0.7")
    opened = connects(s.outputs())
    assert [(c.flow.transport, c.flow.remote, c.name) for c in opened] == [("tls", ("10.0.0.7", 5061), "10.0.0.7")]
    s.core.connection_opened(opened[0].flow, s.now)
    sent = next(output for output in s.outputs() if isinstance(output, SendBytes))
    invite = parse_message(sent.data)
    assert isinstance(invite, Request)
    assert invite.uri_text == "sips:desk@10.0.0.7"
    contact = invite.contact
    assert contact is not None
    assert contact.uri.scheme == "sips"
