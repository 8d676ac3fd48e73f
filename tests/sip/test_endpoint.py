"""What the endpoint answers by itself, whom it admits, and that nothing a peer sends can stop it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordboard.sip import events as e
from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.errors import HeaderInjectionError
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, Response, parse_message
from cordboard.sip.uri import Uri
from cordboard.sip.usage_errors import UnknownSessionError, WrongStateError
from tests.sip.support.network import OFFER
from tests.sip.support.scripted import Scripted

TORTURE = sorted((Path(__file__).parent / "torture").rglob("*.dat"))


@pytest.mark.parametrize(
    ("request_", "status", "header"),
    [
        (("PUBLISH", {}), 405, "Allow"),
        (("REGISTER", {}), 405, "Allow"),
        (("INVITE", {"headers": (("Require", "teleport, 100rel"),)}), 420, "Unsupported"),
        (("INVITE", {"headers": (("Content-Type", "text/plain"),), "body": b"x"}), 415, "Accept"),
        (("INVITE", {"headers": (("Content-Encoding", "gzip"),), "body": OFFER}), 415, "Accept-Encoding"),
        (("INVITE", {"uri": "nobody:knows"}), 416, ""),
        (("INVITE", {"headers": (("Max-Forwards", "0"),)}), 483, ""),
        (("OPTIONS", {"headers": (("Max-Forwards", "0"),)}), 200, "Allow"),
        (("INVITE", {"headers": (("Session-Expires", "10"), ("Supported", "timer"))}), 422, "Min-SE"),
        (("INVITE", {"headers": (("Replaces", "no;to-tag=1;from-tag=2"),)}), 481, ""),
        (("BYE", {"to_tag": "nobody"}), 481, ""),
        (("BYE", {}), 481, ""),
        (("INVITE", {"to_tag": "nobody"}), 481, ""),
        (("NOTIFY", {}), 481, ""),
        (("REFER", {}), 603, ""),
        (("OPTIONS", {"to_tag": "nobody"}), 481, ""),
    ],
)
def test_automatic_answers(request_: tuple[str, dict[str, object]], status: int, header: str) -> None:
    s = Scripted()
    method, options = request_
    request = s.request(method, **options)  # type: ignore[arg-type]
    assert s.status(request) == status
    if header:
        assert s.last(Response).headers.get(header)
    assert s.last(Response).to.tag
    s.network.assert_idle()


def test_a_stateless_refusal_has_the_same_tag_each_time() -> None:
    s = Scripted()
    request = s.request("BYE", to_tag="")
    s.send(request)
    s.send(request)
    first, second = (m for m in s.outbox if isinstance(m, Response))
    assert first.to.tag == second.to.tag


def test_an_unknown_version_is_505_and_a_broken_request_400() -> None:
    s = Scripted()
    good = s.request("OPTIONS").serialize()
    assert s.status(good.replace(b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1)) == 505
    assert s.status(good.replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE")) == 400


@pytest.mark.parametrize("path", TORTURE, ids=lambda path: path.stem)
def test_the_endpoint_survives_every_torture_message_and_works_on(path: Path) -> None:
    s = Scripted()
    s.send(path.read_bytes())
    for message in s.outbox:
        assert isinstance(message, Response)
        assert message.headers.get("Via")
    for event in s.party.events:
        assert isinstance(event, e.IncomingCall)
        s.core.hangup(event.session, now=s.now)
    s.party.settle()
    assert s.status(s.request("OPTIONS", call_id="after")) == 200
    s.run(200)
    s.network.assert_idle()


@pytest.mark.parametrize(
    "garbage", [b"", b"\r\n\r\n", b"\0", b"\xff" * 100, b"SIP/2.0 200 OK\r\n\r\n", b"INVITE\r\n\r\n", b"a" * 65535]
)
def test_garbage_is_dropped(garbage: bytes) -> None:
    s = Scripted()
    assert s.send(garbage) == []
    s.network.assert_idle()


def test_a_response_with_a_feature_header_that_cannot_be_read_is_taken_without_it() -> None:
    s = Scripted()
    _, invite = s.calling()
    s.respond(invite, 200, ("Session-Expires", "soon;refresher=nobody"), ("Reason", ";;;"), body=OFFER)
    assert s.party.names() == ["Answered"]
    assert s.methods()[-1] == "ACK"
    s.finish()


def test_a_source_that_is_dropped_hears_nothing_and_a_forbidden_one_403() -> None:
    verdicts = {"10.0.0.7": "allow", "10.0.0.66": "drop", "10.0.0.67": "forbid"}
    s = Scripted(EndpointConfig(admit=lambda flow: verdicts[flow.remote[0]]))  # type: ignore[arg-type,return-value]
    invite = s.request("INVITE", body=OFFER)
    assert s.send(invite, ("10.0.0.66", 5060)) == []
    answer = s.send(invite, ("10.0.0.67", 5060))
    assert [m.status for m in answer if isinstance(m, Response)] == [403]
    assert s.party.events == []
    assert s.party.of(e.Trace) == []
    s.send(invite)
    assert s.party.names() == ["IncomingCall"]
    s.finish()


def test_a_peer_that_we_called_may_speak_in_its_dialog_though_its_source_is_not_admitted() -> None:
    s = Scripted(EndpointConfig(admit=lambda flow: "drop"))
    _, invite = s.calling()
    s.respond(invite, 200, body=OFFER)
    bye = s.request("BYE", to_tag=invite.from_.tag or "", call_id=invite.call_id)
    assert s.status(bye) == 200
    assert s.send(s.request("INVITE", body=OFFER)) == []
    assert s.party.names() == ["Answered", "Ended"]
    s.finish()


def test_full_tables_refuse_with_503_and_retry_after() -> None:
    s = Scripted(EndpointConfig(maximum_sessions=1))
    s.invited()
    assert s.status(s.request("INVITE", call_id="second", branch="z9hG4bKsecond", body=OFFER)) == 503
    assert s.last(Response).headers.get("Retry-After")
    s.finish()


def test_header_injection_is_refused_before_anything_is_sent() -> None:
    s = Scripted()
    for name, value in (("X-A", "b\r\nEvil: yes"), ("X\nA", "b"), ("X-A", "b\0")):
        with pytest.raises(HeaderInjectionError):
            s.calling(headers=[(name, value)])
    assert s.outbox == []
    s.network.assert_idle()


def test_an_injection_by_an_address_leaves_no_session() -> None:
    s = Scripted()
    with pytest.raises(HeaderInjectionError):
        s.core.invite(
            Uri("sip", user="a\r\nb", host="10.0.0.7"),
            from_=Address(Uri("sip", user="x", host="10.0.0.1")),
            now=s.now,
        )
    s.network.assert_idle()


def test_commands_say_why_they_cannot() -> None:
    s = Scripted()
    with pytest.raises(UnknownSessionError):
        s.core.bye("nobody", now=s.now)
    s.core.hangup("nobody", now=s.now)
    session, _ = s.calling()
    with pytest.raises(WrongStateError):
        s.core.bye(session, now=s.now)
    with pytest.raises(WrongStateError):
        s.core.answer(session, b"", now=s.now)
    s.finish()


def test_external_address_is_advertised_outside_and_not_inside() -> None:
    config = EndpointConfig(external_address="198.51.100.1", internal=lambda host: host.startswith("10."))
    s = Scripted(config)
    _, outside = s.calling("sip:peer@203.0.113.5")
    _, inside = s.calling("sip:peer@10.0.0.7")
    assert outside.via.host == "198.51.100.1"
    assert outside.contact is not None
    assert outside.contact.uri.host == "198.51.100.1"
    assert inside.via.host == "10.0.0.1"
    s.finish()


def test_every_message_is_traced_with_its_session() -> None:
    s = Scripted()
    session, _, _ = s.answered()
    story = [(t.direction, t.data.split(b"\r\n", 1)[0].split(b" ")[:2], t.session) for t in s.party.traces]
    assert [direction for direction, _, _ in story] == ["in", "out", "out", "in"]
    assert {owner for _, _, owner in story} == {session}
    s.finish()


def test_a_stream_is_framed_in_the_core_and_answered_on_its_connection() -> None:
    s = Scripted()
    flow = Flow("tcp", ("10.0.0.1", 5060), ("10.0.0.7", 40000), 1)
    s.core.connection_opened(flow, s.now)
    data = s.request("OPTIONS").serialize() + s.request("OPTIONS", cseq=2).serialize()
    for start in range(0, len(data), 50):
        s.core.receive(data[start : start + 50], flow, s.now)
    s.party.settle()
    assert [m.status for m in s.outbox if isinstance(m, Response)] == [200, 200]
    assert s.flows == [flow, flow]
    s.core.connection_lost(flow, s.now)
    s.finish()


def test_session_of_finds_a_dialog_by_its_tags() -> None:
    s = Scripted()
    session, invite, tag = s.answered()
    assert s.core.session_of(invite.call_id, tag, "peer") == session
    assert s.core.session_of(invite.call_id, tag, "other") is None
    s.finish()


def test_the_core_parses_what_it_writes() -> None:
    s = Scripted()
    _, invite = s.calling(headers=[("X-Note", "a b")])
    again = parse_message(invite.serialize())
    assert isinstance(again, Request)
    assert again.headers.get("X-Note") == "a b"
    s.finish()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "BYE"])
def test_a_nul_in_a_quoted_pair_is_answered_and_harms_nothing(method: str) -> None:
    s = Scripted()
    raw = s.request(method).serialize()
    raw = raw.replace(b"Max-Forwards", b'Record-Route: "a\\\0b" <sip:10.0.0.9;lr>\r\nMax-Forwards', 1)
    answers = s.send(raw)
    assert [m.status for m in answers if isinstance(m, Response)] in ([400], [200], [481])
    assert s.party.events == []
    s.network.assert_idle()


def test_a_message_above_the_limit_leaves_nothing() -> None:
    s = Scripted(EndpointConfig(maximum_message=2000))
    s.send(s.request("INVITE", body=b"v" * 3000))
    assert s.party.events == []
    s.network.assert_idle()
