"""Streams in virtual time: keep-alive, slow and silent peers, aliases, and where a peer may send us."""

from __future__ import annotations

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.flow import Answer, Close, Connect, Flow, Output, Query, Resolve, SendBytes
from cordboard.sip.uri import Uri
from tests.sip.support.network import ANSWER, OFFER
from tests.sip.support.scripted import Scripted

OWN = ("10.0.0.1", 5060)
PEER = ("10.0.0.7", 40000)
ME = Address(Uri.parse("sip:alice@10.0.0.1"))


class Streams(Scripted):
    """An endpoint with TCP and TLS listeners; the test carries everything."""

    def __init__(self, config: EndpointConfig | None = None) -> None:
        super().__init__(config)
        self.core.listening("tcp", OWN)
        self.core.listening("tls", ("10.0.0.1", 5061))

    def outputs(self) -> list[Output]:
        return self.core.take_outgoing()

    def later(self, seconds: float) -> list[Output]:
        """Let time pass; what the endpoint wanted meanwhile."""
        end = self.network.now + seconds
        while (due := self.core.next_timer()) is not None and due <= end:
            self.network.now = max(due, self.network.now)
            self.core.handle_timer(self.network.now)
        self.network.now = end
        return self.outputs()

    def opened(self, transport: str = "tcp", name: str = "", number: int = 1, port: int = 40000) -> Flow:
        flow = Flow(transport, OWN if transport == "tcp" else ("10.0.0.1", 5061), (PEER[0], port), number)
        self.core.connection_opened(flow, self.now, (name,) if name else ())
        return flow


def closes(outputs: list[Output]) -> list[Flow]:
    return [output.flow for output in outputs if isinstance(output, Close)]


def connects(outputs: list[Output]) -> list[Connect]:
    return [output for output in outputs if isinstance(output, Connect)]


def test_a_connection_that_says_nothing_is_closed() -> None:
    """Protects the table from connections that are opened and left (half-open peers)."""
    s = Streams(EndpointConfig(stream_slow=30.0))
    flow = s.opened()
    assert closes(s.later(29)) == []
    assert closes(s.later(5)) == [flow]
    assert not any(s.core.counts().values())


def test_a_slow_sender_is_cut_off_however_steadily_it_sends() -> None:
    """Protects against a message that arrives one byte at a time for ever."""
    s = Streams(EndpointConfig(stream_slow=30.0))
    flow = s.opened()
    options = s.request("OPTIONS", headers=(("Via", "SIP/2.0/TCP 10.0.0.7;branch=z9hG4bKo"),)).serialize()
    s.core.receive(options, flow, s.now)
    assert closes(s.later(100)) == []
    cut: list[Flow] = []
    for byte in options:
        s.core.receive(bytes([byte]), flow, s.now)
        cut += closes(s.later(2))
        if cut:
            break
    assert cut == [flow]
    assert s.now < 1000.0 + 100 + 40


def test_an_idle_connection_is_closed_unless_a_call_is_on_it() -> None:
    """Protects running calls of TCP peers, and the table from connections that nobody needs."""
    s = Streams(EndpointConfig(stream_idle=600.0, session_expires=0))
    idle, busy = s.opened(number=1), s.opened(number=2, port=40001)
    for flow, call in ((idle, "idle"), (busy, "busy")):
        method = "INVITE" if flow is busy else "OPTIONS"
        via = ("Via", f"SIP/2.0/TCP 10.0.0.7:{flow.remote[1]};branch=z9hG4bK{call}")
        request = s.request(method, call_id=call, headers=(via,), body=OFFER if flow is busy else b"")
        s.core.receive(request.serialize(), flow, s.now)
    session = next(event.session for event in s.core.take_events() if isinstance(event, e.IncomingCall))
    s.core.answer(session, ANSWER, now=s.now)
    tag = s.core._core.sessions[session].dialog.local_tag  # type: ignore[union-attr]
    ack = s.request("ACK", call_id="busy", to_tag=tag, branch="z9hG4bKa")
    s.core.receive(ack.serialize(), busy, s.now)
    assert closes(s.later(700)) == [idle]


def test_line_32_a_connection_of_ours_is_pinged_and_given_up_without_a_pong() -> None:
    """Protects calls over NATs and firewalls that forget silent connections (RFC 5626 §3.5.1, §4.4.1)."""
    s = Streams(EndpointConfig(keep_alive=95.0, pong_timeout=10.0, stream_idle=10_000.0))
    s.core.invite(Uri.parse("sip:desk@10.0.0.7;transport=tcp"), from_=ME, body=OFFER, now=s.now)
    flow = connects(s.outputs())[0].flow
    s.core.connection_opened(flow, s.now)
    s.outputs()
    pings = [output for output in s.later(98) if isinstance(output, SendBytes) and output.data == b"\r\n\r\n"]
    assert [ping.flow for ping in pings] == [flow]
    s.core.receive(b"\r\n", flow, s.now)
    outputs = s.later(50)
    assert closes(outputs) == []
    outputs = s.later(70)
    assert closes(outputs) == [flow]


def test_line_32_tls_connections_are_shared_for_the_name_that_was_proved_only() -> None:
    """Protects a call for one domain from going to another on the same address (RFC 5923 §7)."""
    s = Streams()
    s.network.records[Query("A", "a.example")] = [Answer("10.0.0.7")]
    s.network.records[Query("A", "b.example")] = [Answer("10.0.0.7")]
    wanted = []
    for host in ("a.example", "a.example", "b.example"):
        s.core.invite(Uri.parse(f"sips:desk@{host}:5061"), from_=ME, body=OFFER, now=s.now)
        for output in s.outputs():
            if isinstance(output, Resolve):
                s.core.resolved(output.query, s.network.records.get(output.query, []), s.now)
        wanted += [(c.name, c.flow.remote) for c in connects(s.outputs())]
    assert wanted == [("a.example", ("10.0.0.7", 5061)), ("b.example", ("10.0.0.7", 5061))]


def test_line_32_an_accepted_tls_connection_is_used_for_requests_where_its_client_proved_who_it_is() -> None:
    """Protects peers behind firewalls that let no connection in, and nobody else's requests (RFC 5923 §5, §6)."""
    for name, reused in (("pbx.example", True), ("", False)):
        s = Streams()
        flow = s.opened("tls", name)
        via = ("Via", "SIP/2.0/TLS 10.0.0.7:5061;branch=z9hG4bKo;rport;alias")
        s.core.receive(s.request("OPTIONS", headers=(via,)).serialize(), flow, s.now)
        s.outputs()
        s.core.invite(Uri.parse("sip:desk@pbx.example:5061;transport=tls"), from_=ME, body=OFFER, now=s.now)
        query = Query("A", "pbx.example")
        s.outputs()
        s.core.resolved(query, [Answer("10.0.0.7")], s.now)
        outputs = s.outputs()
        sent = [output.flow for output in outputs if isinstance(output, SendBytes)]
        assert (sent == [flow]) is reused
        assert (connects(outputs) == []) is reused


def called_back(s: Streams, contact: str, source: tuple[str, int], records: dict[Query, list[Answer]]) -> list[Output]:
    """A call by UDP whose Contact is this; what our BYE wants."""
    invite = s.request("INVITE", body=OFFER, headers=(("Contact", contact),))
    s.core.receive(invite.serialize(), Flow("udp", OWN, source), s.now)
    session = next(event.session for event in s.core.take_events() if isinstance(event, e.IncomingCall))
    s.core.answer(session, ANSWER, now=s.now)
    tag = s.core._core.sessions[session].dialog.local_tag  # type: ignore[union-attr]
    s.core.receive(s.request("ACK", to_tag=tag, branch="z9hG4bKa").serialize(), Flow("udp", OWN, source), s.now)
    s.outputs()
    s.core.bye(session, now=s.now)
    outputs = s.outputs()
    for query in [output.query for output in outputs if isinstance(output, Resolve)]:
        s.core.resolved(query, records.get(query, []), s.now)
        outputs += s.outputs()
    for query in [output.query for output in outputs if isinstance(output, Resolve)]:
        s.core.resolved(query, records.get(query, []), s.now)
        outputs += s.outputs()
    return outputs


OUTSIDE = ("203.0.113.5", 5060)


def test_a_name_that_leads_inwards_is_not_followed() -> None:
    """Protects our own network from a peer whose Contact is a name with a private address behind it."""
    s = Streams()
    records = {Query("A", "inside.example"): [Answer("127.0.0.1")]}
    outputs = called_back(s, "<sip:x@inside.example:8080>", OUTSIDE, records)
    sent = [output.flow.remote for output in outputs if isinstance(output, SendBytes)]
    assert sent == [OUTSIDE]


def test_a_stream_is_opened_to_the_source_or_a_known_host_only() -> None:
    """Protects others from connections that a peer has us open (security: addresses from peers)."""
    config = EndpointConfig(known_host=lambda host: host == "198.51.100.1")
    refused = called_back(Streams(config), "<sip:x@198.51.100.99:443;transport=tcp>", OUTSIDE, {})
    assert connects(refused) == []
    assert [output.flow.remote for output in refused if isinstance(output, SendBytes)] == [OUTSIDE]
    known = called_back(Streams(config), "<sip:x@198.51.100.1:5060;transport=tcp>", OUTSIDE, {})
    assert [c.flow.remote for c in connects(known)] == [("198.51.100.1", 5060)]


def test_packets_beyond_the_rate_are_not_parsed() -> None:
    """Protects the processor: the rate is asked for before anything is read."""
    s = Scripted(EndpointConfig(within_rate=lambda flow: False))
    assert s.send(b"INVITE sip:x SIP/2.0\r\n" * 10) == []
    assert s.send(s.request("OPTIONS")) == []
