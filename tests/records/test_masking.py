"""No secret of a SIP message reaches the trace (security.md)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.records.masking import MASK, TraceMask

mask = TraceMask(("X-Card", "X-Pin"))


@pytest.mark.parametrize(
    ("message", "secret"),
    [
        (b'INVITE sip:a SIP/2.0\r\nAuthorization: Digest username="u", response="SECRET"\r\n\r\n', b"SECRET"),
        (b'INVITE sip:a SIP/2.0\r\nproxy-authorization:Digest response="SECRET"\r\n\r\n', b"SECRET"),
        (b'INVITE sip:a SIP/2.0\r\nAuthorization : Digest a="b",\r\n response="SECRET"\r\nTo: x\r\n\r\n', b"SECRET"),
        (b"INVITE sip:a SIP/2.0\nAuthorization: SECRET\n\n", b"SECRET"),
        (b"INVITE sip:bob:SECRET@example.com SIP/2.0\r\n\r\n", b"SECRET"),
        (b"INVITE sip:a SIP/2.0\r\n\r\nv=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET|2^20\r\n", b"SECRET"),
        (b"INVITE sip:a SIP/2.0\r\n\r\nv=0\r\na=crypto:1 ODD key:SECRET\r\n", b"SECRET"),
        (b"INVITE sip:a SIP/2.0\r\n\r\nv=0\r\nk=clear:SECRET\r\na=ice-pwd:SECRET\r\n", b"SECRET"),
        (b"INFO sip:a SIP/2.0\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=7\r\nDuration=160\r\n", b"7"),
        (b"INFO sip:a SIP/2.0\r\nc: application/dtmf\r\n\r\n7", b"7"),
        (b"INFO sip:a SIP/2.0\r\n\r\n Signal = 7\r\n", b"7"),
        (b'NOTIFY sip:a SIP/2.0\r\nc: application/kpml-response+xml\r\n\r\n<r code="200" digits="77"/>', b"77"),
        (b"INVITE sip:a SIP/2.0\r\nX-CARD: SECRET\r\n more SECRET\r\n\r\n", b"SECRET"),
        (b"REFER sip:a SIP/2.0\r\nRefer-To: <sip:b@c?X-Pin=SECRET&X-Open=1>\r\n\r\n", b"SECRET"),
    ],
)
def test_secrets_are_gone(message: bytes, secret: bytes) -> None:
    masked = mask(message)
    assert secret not in masked.replace(b"a=crypto:1", b"")
    assert MASK in masked


def test_what_is_no_secret_stays() -> None:
    message = (
        b"INVITE sip:a@b:5060 SIP/2.0\r\nVia: SIP/2.0/UDP h:5060;branch=z9hG4bK1\r\nX-Open: 1\r\n"
        b'WWW-Authenticate: Digest nonce="n"\r\nContact: <sip:a@h:5060;transport=udp>\r\n'
        b"Authorization: Digest SECRET\r\nTo: <sip:b@c>\r\n\r\nv=0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
    assert mask(message) == message.replace(b"Digest SECRET", b"Digest [masked]")


@given(st.binary(max_size=400))
def test_any_bytes_are_taken(data: bytes) -> None:
    mask(b"INFO x SIP/2.0\r\nAuthorization:" + data)


@pytest.mark.parametrize(
    "part", [b"sip:a:", b"a=crypto:", b"Authorization:\r\n ", b'digits="', b"X-Pin: ", b"\r\n", b"&X-Pin="]
)
def test_a_hostile_message_does_not_take_long(part: bytes) -> None:
    message = b"INFO x SIP/2.0\r\nc: application/dtmf\r\n@a=k=\r\n\r\n" + part * (60_000 // len(part))
    began = time.perf_counter()
    mask(message)
    assert time.perf_counter() - began < 1.0
