"""Header fields: order, compact forms, lists, typed values; nothing can be injected."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.fields import (
    CSeq,
    Event,
    MediaType,
    MinSe,
    RAck,
    Reason,
    Replaces,
    RetryAfter,
    SessionExpires,
    SubscriptionState,
    TargetDialog,
    Warning,
)
from cordboard.sip.headers import Headers
from cordboard.sip.identity import Diversion, HistoryInfo, Privacy, UserToUser, parse_identity
from cordboard.sip.message import Request, Response, parse_message
from cordboard.sip.parameters import Parameters
from cordboard.sip.sipfrag import StatusLine
from cordboard.sip.via import Via


def test_order_case_and_compact_forms() -> None:
    headers = Headers([("v", "SIP/2.0/UDP a"), ("X-one", "1"), ("VIA", "SIP/2.0/UDP b"), ("i", "c1")])
    assert headers.get_all("Via") == ["SIP/2.0/UDP a", "SIP/2.0/UDP b"]
    assert headers.get("Call-ID") == "c1"
    assert "x-ONE" in headers
    headers.prepend("Via", "SIP/2.0/UDP first")
    headers.set("x-one", "2")
    headers.add("X-Two", "3")
    assert headers.items() == [
        ("Via", "SIP/2.0/UDP first"),
        ("v", "SIP/2.0/UDP a"),
        ("x-one", "2"),
        ("VIA", "SIP/2.0/UDP b"),
        ("i", "c1"),
        ("X-Two", "3"),
    ]
    headers.remove("v")
    assert headers.get("Via") is None
    headers.set_all("Route", ["<sip:a>", "<sip:b>"])
    assert headers.values("route") == ["<sip:a>", "<sip:b>"]


def test_values_split_only_where_the_grammar_is_a_list() -> None:
    headers = Headers(
        [
            ("Contact", '"a, b" <sip:x,y@h>;q=1, <sip:z@h>'),
            ("X-List", "1, 2"),
            ("Subject", "hello, world"),
            ("Allow", "INVITE,ACK , BYE,"),
            ("Allow", "OPTIONS"),
        ]
    )
    assert headers.values("m") == ['"a, b" <sip:x,y@h>;q=1', "<sip:z@h>"]
    assert headers.values("X-List") == ["1, 2"]
    assert headers.values("Subject") == ["hello, world"]
    assert headers.values("Allow") == ["INVITE", "ACK", "BYE", "OPTIONS"]


def test_typed_values_follow_every_change() -> None:
    message = Request("INVITE", "sip:a@h", [("CSeq", "1 INVITE"), ("Via", "SIP/2.0/UDP a;branch=z9hG4bK1")])
    assert message.cseq == CSeq(1, "INVITE")
    message.headers.set("CSeq", "2 INVITE")
    assert message.cseq == CSeq(2, "INVITE")
    assert message.via.branch == "z9hG4bK1"
    message.headers.prepend("Via", "SIP/2.0/TCP b")
    assert message.via.transport == "TCP"


@pytest.mark.parametrize(("bad", "rule"), [("\r", "CR"), ("\n", "LF"), ("\0", "NUL")])
def test_injection_is_refused_and_the_rule_named(bad: str, rule: str) -> None:
    headers = Headers()
    for action in (headers.add, headers.set, headers.prepend):
        for name, value in ((f"X{bad}Y", "v"), ("X-Y", f"a{bad}b"), ("X-Y", f"{bad} v"), ("X-Y", f"v{bad}")):
            with pytest.raises(HeaderInjectionError, match=rule):
                action(name, value)
    with pytest.raises(HeaderInjectionError, match=rule):
        Headers([("X", f"a{bad}b")])
    with pytest.raises(HeaderInjectionError, match=rule):
        headers.set_all("X", [f"a{bad}b"])
    for message in (
        Request(f"INV{bad}ITE", "sip:a@h"),
        Request("INVITE", f"sip:a{bad}@h"),
        Response(200, f"O{bad}K"),
    ):
        with pytest.raises(HeaderInjectionError, match=rule):
            message.serialize()
    assert len(headers) == 0


def test_names_are_tokens_and_text_is_utf8() -> None:
    for name in ("", "a b", "a:b", "ä"):
        with pytest.raises(HeaderInjectionError):
            Headers([(name, "v")])
    with pytest.raises(HeaderInjectionError, match="UTF-8"):
        Headers([("X", "\ud800")])
    assert Headers([("X", "\udcff")]).get("X") == "\udcff"


@given(st.text(max_size=20), st.text(max_size=40))
def test_whatever_is_added_stays_one_line(name: str, value: str) -> None:
    message = Request("OPTIONS", "sip:a@h")
    try:
        message.headers.add(name, value)
    except HeaderInjectionError:
        return
    head = message.serialize().partition(b"\r\n\r\n")[0]
    lines = head.split(b"\r\n")
    assert len(lines) == (2 if name.lower() in ("content-length", "l") else 3)
    assert head.count(b"\n") == head.count(b"\r") == len(lines) - 1
    assert b"\0" not in head


def test_a_length_of_any_spelling_is_replaced() -> None:
    for name in ("Content-Length", "cOnTeNt-LeNgTh", "l", "L"):
        message = Request("OPTIONS", "sip:a@h", [(name, "999")], b"body")
        assert message.serialize().lower().count(b"content-length") == 1
        assert message.serialize().endswith(b"Content-Length: 4\r\n\r\nbody")
        wire = b"OPTIONS sip:a@h SIP/2.0\r\n" + name.encode() + b" : 2\r\n\r\nbody"
        assert parse_message(wire).serialize().endswith(b"SIP/2.0\r\nContent-Length: 2\r\n\r\nbo")


# --- typed values -----------------------------------------------------------------------------------------------------

ROUND_TRIPS: list[tuple[Callable[[str], object], str]] = [
    (CSeq.parse, "314159 INVITE"),
    (RAck.parse, "776656 1 INVITE"),
    (MediaType.parse, "application/sdp"),
    (MediaType.parse, 'multipart/mixed;boundary="a b"'),
    (Event.parse, "refer;id=93809824"),
    (SubscriptionState.parse, "terminated;reason=noresource"),
    (SubscriptionState.parse, "active;expires=60"),
    (Replaces.parse, "98732@sip.example.com;to-tag=r33th4x0r;from-tag=ff87ff;early-only"),
    (TargetDialog.parse, "fa77as7dad8-sd98ajzz@host.example.com;local-tag=kkaz-;remote-tag=6544"),
    (Reason.parse, 'Q.850;cause=17;text="User busy"'),
    (Reason.parse, "SIP;cause=200"),
    (SessionExpires.parse, "4000;refresher=uac"),
    (MinSe.parse, "3600"),
    (RetryAfter.parse, "18000;duration=3600"),
    (RetryAfter.parse, "120 (I am in a meeting)"),
    (Warning.parse, '307 isi.edu "Session parameter \\"foo\\" not understood"'),
    (Via.parse, "SIP/2.0/UDP [2001:db8::9:1]:5060;branch=z9hG4bK;rport;received=192.0.2.1;ttl=16;maddr=224.2.0.1"),
    (Privacy.parse, "id;critical"),
    (Diversion.parse, "<sip:+19195551967@gateway.example>;reason=user-busy;counter=2;privacy=off"),
    (HistoryInfo.parse, "<sip:bob@h?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1"),
    (UserToUser.parse, "56a390f3d2b7310023a2;encoding=hex;purpose=isdn-uui;content=isdn-uui"),
    (UserToUser.parse, '"plain; text";encoding=x'),
    (parse_identity, '"Cullen Jennings" <sip:fluffy@example.com>'),
    (parse_identity, "<tel:+14085264000>"),
]


@pytest.mark.parametrize(("parse", "text"), ROUND_TRIPS)
def test_typed_values_are_written_as_they_are_read(parse: Callable[[str], object], text: str) -> None:
    value = parse(text)
    assert str(value) == text
    assert parse(str(value)) == value


FAULTS: list[tuple[Callable[[str], object], str]] = [
    (CSeq.parse, "INVITE"),
    (CSeq.parse, "4294967296 INVITE"),
    (CSeq.parse, "2147483648 INVITE"),
    (CSeq.parse, "1 IN VITE"),
    (CSeq.parse, "-1 INVITE"),
    (CSeq.parse, "٣ INVITE"),
    (RAck.parse, "1 INVITE"),
    (MediaType.parse, "application"),
    (Event.parse, ""),
    (SubscriptionState.parse, ";x"),
    (Replaces.parse, "abc;to-tag=1"),
    (TargetDialog.parse, "abc;local-tag=1"),
    (Reason.parse, ";cause=1"),
    (Reason.parse, "SIP;cause=many"),
    (SessionExpires.parse, "soon"),
    (SessionExpires.parse, "90;refresher=me"),
    (RetryAfter.parse, "(later)"),
    (Warning.parse, "300 host text"),
    (Via.parse, "SIP/3.0/UDP h"),
    (Via.parse, "SIP/2.0/UDP"),
    (Via.parse, "SIP/2.0/UDP h:99999"),
    (Via.parse, "UDP h"),
    (Privacy.parse, ""),
    (HistoryInfo.parse, "<sip:a@h>;index=x"),
    (UserToUser.parse, "a b"),
    (parse_identity, "<http://example.com>"),
]


@pytest.mark.parametrize(("parse", "text"), FAULTS)
def test_faults_are_parse_errors(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse(text)
    assert raised.value.status == 400
    assert "RFC" in raised.value.rule


def test_via_takes_the_source_of_the_packet() -> None:
    """RFC 3261 §18.2.1 and RFC 3581 §4."""
    plain = Via.parse("SIP/2.0/UDP host.example:5060;branch=z9hG4bK1")
    assert (
        str(plain.with_source("192.0.2.9", 4444)) == "SIP/2.0/UDP host.example:5060;branch=z9hG4bK1;received=192.0.2.9"
    )
    same = Via.parse("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1;received=10.0.0.1")
    assert same.with_source("192.0.2.9", 4444).received is None
    symmetric = Via.parse("SIP/2.0/UDP 192.0.2.9;rport;branch=z9hG4bK1").with_source("192.0.2.9", 4444)
    assert (symmetric.rport, symmetric.received, symmetric.wants_rport) == (4444, "192.0.2.9", True)
    assert Via.parse("SIP / 2.0 / UDP first.example.com: 4000;ttl=16").sent_by == "first.example.com:4000"


def test_identity_headers() -> None:
    diversion = Diversion.parse("<sip:a@h>;reason=No-Answer")
    assert (diversion.reason, diversion.counter, diversion.privacy) == ("no-answer", 1, "off")
    history = HistoryInfo.parse("<sip:bob@h?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1.2")
    assert history.reason == Reason("SIP", 302)
    assert (history.is_private, history.index) == (True, "1.2")
    assert Privacy.parse("Header; ID").hides_identity
    assert UserToUser.parse("aa;encoding=hex").encoding == "hex"


def test_free_text_is_quoted() -> None:
    assert str(Reason("Q.850", 16, 'say "bye"')) == 'Q.850;cause=16;text="say \\"bye\\""'
    assert str(Parameters.of(text="two words", n=3, flag=None)) == ';text="two words";n=3;flag'
    with pytest.raises(HeaderInjectionError):
        str(Reason("SIP", 200, "a\r\nVia: b"))
    with pytest.raises(HeaderInjectionError):
        str(UserToUser("a\nb"))
    with pytest.raises(HeaderInjectionError):
        str(Reason("S IP"))
    with pytest.raises(HeaderInjectionError):
        str(CSeq(1, "A\r\nB"))
    with pytest.raises(HeaderInjectionError):
        str(Parameters((("a;b", "c"),)))


def test_sipfrag() -> None:
    assert StatusLine.parse(b"SIP/2.0 100 Trying\r\n") == StatusLine(100, "Trying")
    assert StatusLine.parse(b"SIP/2.0 486").status == 486
    assert StatusLine.parse(b"SIP/2.0 200 OK\r\nTo: x\r\n").is_final
    assert StatusLine(603, "Decline").serialize() == b"SIP/2.0 603 Decline\r\n"
    for bad in (b"", b"INVITE sip:a SIP/2.0", b"SIP/2.0 99", b"SIP/2.0 abc", b"HTTP/1.1 200 OK"):
        with pytest.raises(ParseError):
            StatusLine.parse(bad)


@given(st.sampled_from([parse for parse, _ in ROUND_TRIPS]), st.text(max_size=60))
def test_any_text_is_read_or_refused(parse: Callable[[str], object], text: str) -> None:
    try:
        value = parse(text)
        written = str(value)
    except (ParseError, HeaderInjectionError):
        return
    assert "\r" not in written
    assert "\n" not in written
    assert str(parse(written)) == written
