"""Messages out of a stream. RFC 3261 §18.3, RFC 5626 §3.5.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.sip.framing import PING, StreamFramer
from cordboard.sip.message import ParserLimits, parse_message, response_to


def message(body: bytes = b"", length: bytes | None = None, more: bytes = b"") -> bytes:
    line = b"Content-Length: " + (str(len(body)).encode() if length is None else length) + b"\r\n"
    return (
        b"OPTIONS sip:a@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
        b"Call-ID: c\r\nCSeq: 1 OPTIONS\r\n" + more + line + b"\r\n" + body
    )


@given(st.lists(st.binary(max_size=30), max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_split_gives_the_same_messages(bodies: list[bytes], sizes: list[int]) -> None:
    messages = [message(body) for body in bodies]
    stream = b"".join(messages)
    framer = StreamFramer()
    out: list[bytes] = []
    position = turn = 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        out += framer.feed(stream[position : position + size])
        position += size
        turn += 1
    assert out == messages
    assert framer.pending == 0
    assert framer.error is None


def test_pipelined_messages_come_at_once() -> None:
    assert StreamFramer().feed(message(b"a") * 3) == [message(b"a")] * 3


def test_pings_and_pongs() -> None:
    framer = StreamFramer()
    assert framer.feed(PING) == []
    assert framer.take_keep_alives() == (1, 0)
    framer.feed(b"\r\n" + message())
    assert framer.take_keep_alives() == (0, 1)
    assert framer.feed(message() + PING + message()) == [message(), message()]
    assert framer.take_keep_alives() == (1, 0)
    assert framer.take_keep_alives() == (0, 0)
    for octet in PING:
        framer.feed(bytes([octet]))
    assert framer.take_keep_alives() == (1, 0)
    assert framer.feed(message()) == [message()]


def test_line_ends_in_one_byte_steps_before_a_message() -> None:
    framer = StreamFramer()
    out = [got for octet in b"\r\n" + message(b"xyz") for got in framer.feed(bytes([octet]))]
    assert out == [message(b"xyz")]


@pytest.mark.parametrize(
    ("data", "status", "field"),
    [
        (message().replace(b"Content-Length: 0\r\n", b""), 400, "Content-Length"),
        (message(length=b"-1"), 400, "Content-Length"),
        (message(length=b"x"), 400, "Content-Length"),
        (message(length=b""), 400, "Content-Length"),
        (message(length=b"5", more=b"l: 6\r\n"), 400, "Content-Length"),
        (message(length=b"99999"), 513, "message"),
        (message(more=b"X: " + b"y" * 40_000 + b"\r\n"), 513, "message"),
    ],
)
def test_a_stream_that_cannot_go_on_can_still_be_answered(data: bytes, status: int, field: str) -> None:
    framer = StreamFramer()
    assert framer.feed(message(b"good") + data) == [message(b"good")]
    assert framer.error is not None
    assert (framer.error.status, framer.error.field) == (status, field)
    assert framer.error.request_parts is not None
    assert framer.error.answerable
    assert b"Call-ID: c\r\n" in response_to(framer.error.request_parts, status).serialize()
    assert framer.feed(message()) == []
    assert framer.pending == 0


def test_the_buffer_is_bounded() -> None:
    framer = StreamFramer(ParserLimits(header_bytes=1000, message_bytes=2000))
    for _ in range(10):
        framer.feed(b"X: " + b"y" * 300)
    assert framer.error is not None
    assert framer.pending == 0


def test_compact_and_folded_lengths() -> None:
    body = b"hello"
    for line in (b"l: 5", b"L:5", b"content-length  :\t5", b"Content-Length:\r\n 5", b"l: 5\r\nContent-Length: 5"):
        data = message(body).replace(b"Content-Length: 5", line)
        assert StreamFramer().feed(data) == [data]
        assert parse_message(data).body == body


def test_a_length_inside_another_header_is_not_one() -> None:
    data = message(b"ab", more=b"X: 1\r\n l: 9\r\nX-l: 7\r\nsubject: l: 8\r\n")
    assert StreamFramer().feed(data) == [data]


@given(st.binary(max_size=300))
def test_whatever_comes_never_raises(data: bytes) -> None:
    framer = StreamFramer()
    for start in range(0, len(data), 7):
        framer.feed(data[start : start + 7])
    framer.feed(b"\r\n\r\n")
    assert framer.error is None or framer.pending == 0


def test_a_slow_sender_costs_linear_work() -> None:
    framer = StreamFramer()
    for _ in range(30_000):
        framer.feed(b"x")
    assert framer.pending == 30_000
