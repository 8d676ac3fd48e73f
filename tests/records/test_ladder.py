"""The ladder shows every message between the right columns and nothing that could steer a terminal."""

from __future__ import annotations

from cordboard.records import SipMessage
from cordboard.records.ladder import render

US, CALLER, PERSON = "10.0.0.1:5060", "10.0.0.2:5060", "10.0.0.3:5062"


def message(seq: int, direction: str, remote: str, data: bytes) -> SipMessage:
    return SipMessage("c", seq, 100.0 + seq / 10, direction, "udp", US, remote, data)  # type: ignore[arg-type]


def test_a_call_with_two_legs() -> None:
    text = render(
        [
            message(0, "in", CALLER, b"INVITE sip:+15550100@10.0.0.1 SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n"),
            message(1, "out", CALLER, b"SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n"),
            message(2, "out", PERSON, b"INVITE sip:bob@10.0.0.3 SIP/2.0\r\n\r\n"),
        ]
    )
    lines = text.splitlines()
    assert [name in lines[0] for name in (US, CALLER, PERSON)] == [True, True, True]
    assert ">|" in lines[1].replace("-", "")
    assert "180 Ringing (INVITE)" in lines[2]
    assert lines[2].index("<") < lines[2].index("180")
    assert lines[3].index("INVITE") > lines[1].index("INVITE")


def test_control_characters_are_shown_and_not_sent() -> None:
    text = render([message(0, "in", "\x1b[31mevil", b"INVITE\x1b]0;x\x07 sip:a SIP/2.0\r\n\r\n")])
    assert "\x1b" not in text
    assert "\x07" not in text


def test_many_addresses_and_a_message_to_oneself_are_drawn() -> None:
    messages = [message(n, "in", f"10.0.1.{n}:5060", b"OPTIONS sip:a SIP/2.0\r\n\r\n") for n in range(20)]
    messages.append(message(20, "out", US, b"x"))
    text = render(messages, truncated=True)
    assert len(text.splitlines()) == 23
    assert "truncated" in text
    assert render([]) == "No SIP messages were recorded.\n"
