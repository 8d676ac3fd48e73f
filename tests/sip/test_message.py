"""Reading and writing whole messages, and what is told about those that cannot be read."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordboard.sip.errors import HeaderInjectionError, ParseError
from cordboard.sip.message import (
    ParserLimits,
    Request,
    Response,
    check_message,
    head_end,
    parse_message,
    response_to,
)
from cordboard.sip.uri import Uri

INVITE = (
    b"INVITE sip:bob@biloxi.example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP client.atlanta.example.com:5060;branch=z9hG4bK74bf9, SIP/2.0/UDP b;branch=z9hG4bK2\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: Alice <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\n"
    b"To: Bob <sip:bob@biloxi.example.com>\r\n"
    b"Call-ID: 3848276298220188511@atlanta.example.com\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:alice@client.atlanta.example.com;transport=tcp>\r\n"
    b"X-Latin: caf\xe9\r\n"
    b"Content-Type: application/sdp;charset=utf-8\r\n"
    b"Content-Length: 5\r\n\r\nv=0\r\n"
)


def parsed(data: bytes, limits: ParserLimits | None = None) -> Request:
    message = parse_message(data, limits) if limits else parse_message(data)
    assert isinstance(message, Request)
    return message


def refused(data: bytes, limits: ParserLimits | None = None) -> ParseError:
    with pytest.raises(ParseError) as raised:
        check_message(parse_message(data, limits) if limits else parse_message(data))
    return raised.value


def test_a_request_and_its_fields() -> None:
    message = parsed(INVITE)
    check_message(message)
    assert (message.method, message.uri.user, message.uri_text) == ("INVITE", "bob", "sip:bob@biloxi.example.com")
    assert [via.transport for via in message.vias] == ["TCP", "UDP"]
    assert (message.from_.tag, message.to.tag, message.cseq.number) == ("9fxced76sl", None, 1)
    assert message.max_forwards == 70
    assert message.content_type == "application/sdp"
    assert message.contact is not None
    assert message.contact.uri.transport == "tcp"
    assert message.body == b"v=0\r\n"
    assert message.expires is None
    assert message.refer_to is None
    assert message.supported == frozenset()


def test_octets_that_are_not_utf8_leave_as_they_came() -> None:
    assert b"X-Latin: caf\xe9\r\n" in parsed(INVITE).serialize()


def test_writing_is_cached_until_something_changes() -> None:
    message = parsed(INVITE)
    first = message.serialize()
    assert message.serialize() is first
    message.headers.add("X", "1")
    second = message.serialize()
    assert b"X: 1\r\n" in second
    message.body = b""
    assert message.serialize().endswith(b"Content-Length: 0\r\n\r\n")
    message.uri = Uri.parse("sip:carol@h")
    assert message.serialize().startswith(b"INVITE sip:carol@h SIP/2.0\r\n")
    message.method = "OPTIONS"
    assert message.serialize().startswith(b"OPTIONS ")
    assert parsed(second).headers.get("x") == "1"


def test_lone_line_feeds_and_folding_are_tolerated() -> None:
    head, _, body = INVITE.partition(b"\r\n\r\n")
    bare = head.replace(b"\r\n", b"\n").replace(b"Max-Forwards: 70", b"Max-Forwards:\n 70")
    message = parsed(bare + b"\n\n" + body)
    assert message.max_forwards == 70
    assert message.body == b"v=0\r\n"
    folded = parsed(INVITE.replace(b"CSeq: 1 INVITE", b"CSeq: 1\r\n \t INVITE"))
    assert folded.cseq.method == "INVITE"
    assert b"CSeq: 1 INVITE\r\n" in folded.serialize()
    early = parsed(b"OPTIONS sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP a\n\nbody: x\r\n\r\nrest")
    assert early.body == b"body: x\r\n\r\nrest"
    mixed = parsed(b"OPTIONS sip:a@h SIP/2.0\nVia: SIP/2.0/UDP a\n\r\nbody")
    assert mixed.body == b"body"


def test_empty_lines_before_the_start_line_are_skipped() -> None:
    assert parsed(b"\r\n\r\n" + INVITE).method == "INVITE"


@pytest.mark.parametrize(
    ("old", "new", "status", "field"),
    [
        (b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia", 505, "Request-Line"),
        (b"INVITE sip:bob", b"INVITE  sip:bob", 400, "Request-Line"),
        (b"INVITE sip:bob@biloxi.example.com", b"INVITE", 400, "Request-Line"),
        (b"sip:bob@biloxi.example.com SIP", b"mailto:bob@example.com SIP", 416, "Request-URI"),
        (b"sip:bob@biloxi.example.com SIP", b"<sip:bob@biloxi.example.com> SIP", 400, "Request-URI"),
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE", 400, "CSeq"),
        (b"CSeq: 1 INVITE", b"CSeq: 1 INVITE\r\nCSeq: 2 INVITE", 400, "CSeq"),
        (b"Max-Forwards: 70", b"Max-Forwards: 256", 400, "Max-Forwards"),
        (b"Max-Forwards: 70", b"Max-Forwards: -1", 400, "Max-Forwards"),
        (b"Content-Length: 5", b"Content-Length: 6", 400, "Content-Length"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nl: 4", 400, "Content-Length"),
        (b"Content-Length: 5", b"Content-Length: five", 400, "Content-Length"),
        (b"Content-Length: 5", b"Content-Length: 99999999999", 400, "Content-Length"),
        (b"Max-Forwards: 70", b"no colon here", 400, "message"),
        (b"Max-Forwards: 70", b"bad name: 1", 400, "message"),
        (b"Max-Forwards: 70", b"X: a\rb", 400, "message"),
        (b"Max-Forwards: 70", b"X: a\x00b", 400, "message"),
        (b"Contact: <sip", b'Contact: "<sip', 400, "Contact"),
        (b"Call-ID: 3848276298220188511@atlanta.example.com", b"Call-ID: a b", 400, "Call-ID"),
    ],
)
def test_what_cannot_be_accepted_is_still_answered(old: bytes, new: bytes, status: int, field: str) -> None:
    assert old in INVITE
    error = refused(INVITE.replace(old, new))
    assert (error.status, error.field) == (status, field)
    assert "RFC" in error.rule
    assert error.answerable
    assert error.request_parts is not None
    answer = response_to(error.request_parts, error.status, to_tag="ours")
    reread = parse_message(answer.serialize())
    assert isinstance(reread, Response)
    assert reread.status == status
    assert reread.vias[0].branch == "z9hG4bK74bf9"
    assert reread.to.tag == "ours"
    assert reread.from_.tag == "9fxced76sl"


def test_a_missing_header_is_named() -> None:
    for name in ("From", "To", "Call-ID", "CSeq"):
        lines = [line for line in INVITE.split(b"\r\n") if not line.startswith(name.encode() + b":")]
        error = refused(b"\r\n".join(lines))
        assert (error.status, error.field) == (400, name)
        assert error.answerable
    lines = [line for line in INVITE.split(b"\r\n") if not line.startswith(b"Via")]
    assert not refused(b"\r\n".join(lines)).answerable


def test_ack_and_responses_are_never_answered() -> None:
    ack = INVITE.replace(b"INVITE sip", b"ACK sip")
    assert not refused(ack).answerable
    response = INVITE.replace(b"INVITE sip:bob@biloxi.example.com SIP/2.0", b"SIP/2.0 200 OK")
    assert refused(response.replace(b"CSeq: 1", b"CSeq: x")).request_parts is None
    for line in (b"SIP/2.0 99 X", b"SIP/2.0 700 X", b"SIP/2.0 20 X", b"SIP/2.0 2000 X", b"SIP/3.0 200 OK"):
        error = refused(INVITE.replace(b"INVITE sip:bob@biloxi.example.com SIP/2.0", line))
        assert error.request_parts is None


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\0" * 40, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff\xfe\r\n\r\n"]
)
def test_what_is_not_sip_is_not_answered(data: bytes) -> None:
    assert not refused(data).answerable


def test_limits() -> None:
    small = ParserLimits(message_bytes=2000, header_bytes=1000, header_lines=20, line_bytes=200, uri_bytes=40)
    assert parsed(INVITE, small).method == "INVITE"
    assert refused(INVITE + b"x" * 2000, small).status == 513
    assert refused(INVITE.replace(b"X-Latin", b"X: " + b"y" * 900 + b"\r\nX-Latin"), small).status == 513
    assert refused(INVITE.replace(b"X-Latin", b"X: 1\r\n" * 20 + b"X-Latin"), small).status == 513
    assert refused(INVITE.replace(b"X-Latin", b"X: " + b"y" * 250 + b"\r\nX-Latin"), small).status == 513
    too_long = refused(INVITE.replace(b"sip:bob@", b"sip:bob" + b"b" * 40 + b"@", 1), small)
    assert (too_long.status, too_long.answerable) == (414, True)


def test_a_response_copies_what_it_must() -> None:
    """RFC 3261 §8.2.6.2."""
    request = parsed(INVITE)
    trying = response_to(request, 100, to_tag="x")
    assert trying.to.tag is None
    ringing = response_to(request, 180, to_tag="x")
    assert (ringing.to.tag, ringing.reason) == ("x", "Ringing")
    assert ringing.headers.get_all("Via") == request.headers.get_all("Via")
    assert ringing.call_id == request.call_id
    inside = parsed(INVITE.replace(b"To: Bob <sip:bob@biloxi.example.com>", b"To: <sip:b@h>;tag=theirs"))
    assert response_to(inside, 200, to_tag="x").to.tag == "theirs"
    assert Response(299).serialize().startswith(b"SIP/2.0 299 OK\r\n")
    with pytest.raises(HeaderInjectionError):
        Response(99).serialize()
    with pytest.raises(HeaderInjectionError):
        Request("INVITE", "sip:a b").serialize()
    with pytest.raises(HeaderInjectionError):
        Request("IN VITE", "sip:a").serialize()


def test_copies_are_independent() -> None:
    request = parsed(INVITE)
    twin = request.copy()
    twin.headers.add("X", "1")
    assert "X" not in request.headers
    assert request.serialize() == request.copy().serialize()


def test_head_end() -> None:
    assert head_end(b"a\r\n\r\nb") == (1, 5)
    assert head_end(b"a\n\nb\r\n\r\n") == (1, 3)
    assert head_end(b"a\n\r\nb\r\n\r\n") == (1, 4)
    assert head_end(b"a\r\n\nb") == (1, 4)
    assert head_end(b"a\r\n") is None


# --- nothing but ParseError, in linear time ---------------------------------------------------------------------------


def _answer(error: ParseError) -> None:
    """Whatever can be answered, is: with bytes that read as a response."""
    if error.answerable and error.request_parts is not None:
        parse_message(response_to(error.request_parts, error.status, to_tag="x").serialize())


@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    try:
        check_message(parse_message(data))
    except ParseError as error:
        _answer(error)


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(INVITE)),
            st.integers(0, 6),
            st.binary(max_size=6)
            | st.sampled_from(
                [b'"', b"<", b">", b"\r\n", b"\n ", b"\0", b"\\", b",", b";", b"@", b":", b"%", b"\r\n\r\n", b"\xff"]
            ),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=400)
def test_mutated_messages(edits: list[tuple[int, int, bytes]]) -> None:
    data = bytearray(INVITE)
    for place, length, replacement in edits:
        data[place : place + length] = replacement
    try:
        message = parse_message(bytes(data))
        check_message(message)
    except ParseError as error:
        _answer(error)
        return
    # What passed the check can be used: every typed field is there or None, and what is written reads the same.
    _ = message.via, message.contacts, message.content_type, message.routes, message.supported, message.allow
    answer = response_to(message, 200, to_tag="x") if isinstance(message, Request) else message
    again = parse_message(answer.serialize())
    assert again.call_id == message.call_id
    assert again.headers.get_all("Via") == message.headers.get_all("Via")


@given(
    st.lists(
        st.tuples(
            st.text("abcXYZ-", min_size=1, max_size=8),
            st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), max_size=20),
        ),
        max_size=8,
    ),
    st.binary(max_size=40),
)
def test_writing_and_reading_agree(fields: list[tuple[str, str]], body: bytes) -> None:
    message = Request("INFO", "sip:a@example.com", fields, body)
    wire = message.serialize()
    again = parsed(wire)
    assert again.headers.items()[:-1] == message.headers.items()
    assert again.body == body
    again.headers.set("X-Changed", "1")
    again.headers.remove("X-Changed")
    assert parsed(again.serialize()).serialize() == wire


HEAD = INVITE.partition(b"X-Latin")[0]
PATHOLOGICAL = {
    "quotes": b"Contact: " + b'"' * 14_000,
    "escaped quotes": b'Contact: "' + b'\\"' * 7_000,
    "backslashes": b'Contact: "' + b"\\" * 14_001 + b'" <sip:a@h>',
    "opened brackets": b"Contact: " + b"<" * 14_000,
    "commas": b"Contact: " + b"," * 14_000,
    "semicolons": b"Contact: <sip:a@h>" + b";" * 14_000,
    "parameters": b"Contact: <sip:a@h>" + b";a=b" * 3_500,
    "names": b"Contact: " + b"a " * 7_000 + b"<sip:a@h>",
    "at signs": b"Contact: <sip:" + b"@" * 14_000 + b">",
    "colons": b"Contact: <sip:" + b":" * 14_000 + b">",
    "percents": b"Contact: <sip:" + b"%" * 14_000 + b"@h>",
    "dots": b"Contact: <sip:a@" + b"a." * 7_000 + b">",
    "headers in a URI": b"Contact: <sip:a@h?" + b"a=b&" * 3_500 + b"c=d>",
    "spaces": b"Contact:" + b" " * 14_000 + b"x",
    "folds": b"Contact: <sip:a@h>" + b"\r\n " * 7_000,
    "fold of words": b"Contact: <sip:a@h>;x=" + b"\r\n a" * 3_500,
    "line feeds": b"X: " + b"\n a" * 7_000,
    "digits": b"Expires: " + b"9" * 14_000,
    "vias": b"Via: " + b"SIP/2.0/UDP h;branch=z9hG4bK1," * 450,
    "slashes": b"Via: " + b"/" * 14_000,
    "tabs in a name": b"Contact" + b"\t" * 14_000 + b": <sip:a@h>",
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_hostile_headers_end_soon(name: str) -> None:
    """Each of these made some parser quadratic or worse. Twice 14 kB of it is read or refused at once."""
    line = PATHOLOGICAL[name]
    for data in (
        HEAD + line + b"\r\n\r\n",
        HEAD + line + b"\r\n" + line.replace(b"Contact", b"Route", 1) + b"\r\n\r\n",
    ):
        try:
            message = parse_message(data)
            check_message(message)
            response_to(message, 200, to_tag="x") if isinstance(message, Request) else None
        except ParseError:
            pass


@pytest.mark.parametrize("unit", [b"\r\n", b"\n", b"\r", b" ", b"a", b"a:\r\n", b"a: b\n ", b"\0", b":", b"\r\n\t"])
def test_sixty_kilobytes_of_one_thing(unit: bytes) -> None:
    for prefix in (b"", HEAD):
        with suppress(ParseError):
            check_message(parse_message(prefix + unit * (60_000 // len(unit))))
