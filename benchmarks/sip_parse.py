"""How long one INVITE of 1,172 bytes takes to parse and to write. Gates: issue "The signalling core, complete".

`measure()` gives the figures for `make bench`; `python benchmarks/sip_parse.py` prints them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypedDict

from cordboard.sip.message import Request, check_message, parse_message

SDP = (
    b"v=0\r\no=carol 2890844526 2890844526 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0 8 9 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)

HEAD = """INVITE sip:+15550100@gateway.example.com:5060;transport=udp SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds4fe;rport
Via: SIP/2.0/UDP 192.0.2.10:5066;branch=z9hG4bKnashds8;received=192.0.2.10
Record-Route: <sip:192.0.2.1;lr;ftag=1928301774>
From: "Carol Example" <sip:+15550123@carrier.example.net>;tag=1928301774
To: <sip:+15550100@gateway.example.com>
Call-ID: a84b4c76e66710-f81d4fae7dec11d0@192.0.2.10
CSeq: 314159 INVITE
Max-Forwards: 69
Contact: <sip:carol@192.0.2.10:5066;transport=udp>
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY, UPDATE, PRACK
Supported: timer, replaces, 100rel
Session-Expires: 1800;refresher=uac
P-Asserted-Identity: <sip:+15550123@carrier.example.net>
X-Account: 48151623
User-Agent: Example Phone 4.2
Content-Type: application/sdp
"""


class Figure(TypedDict):
    """One line of the table of `make bench`."""

    name: str
    value: float
    unit: str
    gate: float | None


def invite() -> bytes:
    """The message: 1,172 bytes."""
    head = HEAD.replace("\n", "\r\n")
    padding = 1172 - len(head) - len(SDP) - len(f"X-Padding: \r\nContent-Length: {len(SDP)}\r\n\r\n")
    data = (head + f"X-Padding: {'p' * padding}\r\nContent-Length: {len(SDP)}\r\n\r\n").encode() + SDP
    assert len(data) == 1172, len(data)
    return data


def _best(action: Callable[[], object], rounds: int = 50, repeats: int = 200) -> float:
    """Microseconds per call: the best of several rounds, as other work on the machine only adds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(repeats):
            action()
        best = min(best, (time.process_time() - started) / repeats)
    return best * 1e6


def measure() -> list[Figure]:
    """The figures, each in microseconds."""
    data = invite()
    message = parse_message(data)
    assert isinstance(message, Request)
    # What we write is built here, not parsed: it has no length line of its own.
    own = Request(message.method, message.uri_text, [f for f in message.headers if f[0] != "Content-Length"])
    body = message.body

    def write() -> bytes:
        own.body = body  # forgets the bytes that were kept
        return own.serialize()

    assert write() == data

    def typed() -> None:
        fresh = parse_message(data)
        assert isinstance(fresh, Request)
        _ = fresh.via.branch, fresh.from_.tag, fresh.to.tag, fresh.call_id, fresh.cseq.number, fresh.contact, fresh.uri

    def checked() -> None:
        check_message(parse_message(data))

    return [
        {"name": "sip parse", "value": _best(lambda: parse_message(data)), "unit": "µs", "gate": 15.0},
        {"name": "sip parse, typed fields", "value": _best(typed), "unit": "µs", "gate": None},
        {"name": "sip parse, checked", "value": _best(checked), "unit": "µs", "gate": None},
        {"name": "sip write", "value": _best(write), "unit": "µs", "gate": 3.0},
        {"name": "sip write, unchanged", "value": _best(message.serialize), "unit": "µs", "gate": None},
    ]


if __name__ == "__main__":
    for figure in measure():
        gate = "" if figure["gate"] is None else f"  gate {figure['gate']:g}"
        print(f"{figure['name']:28} {figure['value']:8.2f} {figure['unit']}{gate}")
