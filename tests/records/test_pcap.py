"""The capture file holds each message once, in packets whose checksums are right, and tshark reads it."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from io import BytesIO
from pathlib import Path

import pytest

from cordboard.records import SipMessage
from cordboard.records.masking import TraceMask
from cordboard.records.pcap import checksum, parse_address, with_true_length, write

BODY = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def sip(first: bytes, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [
        first,
        b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        b"From: <sip:a@192.0.2.1>;tag=1",
        b"To: <sip:b@192.0.2.2>",
        b"Call-ID: one@test",
        b"CSeq: 1 INVITE",
        *headers,
        *([b"Content-Type: application/sdp"] if body else []),
        b"Content-Length: %d" % len(body),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def message(seq: int, direction: str, transport: str, local: str, remote: str, data: bytes) -> SipMessage:
    return SipMessage("c", seq, 1700000000.25 + seq, direction, transport, local, remote, data)  # type: ignore[arg-type]


INVITE = sip(b"INVITE sip:b@192.0.2.2 SIP/2.0", BODY)
RINGING = sip(b"SIP/2.0 180 Ringing")


def capture(*messages: SipMessage) -> bytes:
    file = BytesIO()
    write(messages, file)
    return file.getvalue()


def packets(data: bytes) -> list[bytes]:
    """What is in the file behind its headers."""
    assert struct.unpack_from("<IHHiIII", data)[0] == 0xA1B2C3D4
    assert struct.unpack_from("<IHHiIII", data)[6] == 101
    found, at = [], 24
    while at < len(data):
        _, _, kept, length = struct.unpack_from("<IIII", data, at)
        assert kept == length
        found.append(data[at + 16 : at + 16 + kept])
        at += 16 + kept
    return found


def assert_checksums(packet: bytes) -> None:
    """RFC 1071: a sum over data with its checksum in place is zero."""
    if packet[0] >> 4 == 4:
        assert checksum(packet[:20]) == 0
        pseudo = packet[12:20] + struct.pack("!BBH", 0, packet[9], len(packet) - 20)
        assert checksum(pseudo + packet[20:]) == 0
    else:
        pseudo = packet[8:40] + struct.pack("!IxxxB", len(packet) - 40, packet[6])
        assert checksum(pseudo + packet[40:]) == 0


def test_datagrams_over_both_families_have_right_headers() -> None:
    """Protects the evidence: Wireshark drops packets whose checksums are wrong."""
    four, six = packets(
        capture(
            message(1, "in", "udp", "192.0.2.2:5060", "192.0.2.1:5062", INVITE),
            message(2, "out", "udp", "[2001:db8::2]:5060", "[2001:db8::1]:5062", RINGING),
        )
    )
    assert_checksums(four)
    assert_checksums(six)
    assert four[12:20] == bytes([192, 0, 2, 1, 192, 0, 2, 2])
    assert struct.unpack_from("!HH", four, 20) == (5062, 5060)
    assert four[28:] == INVITE
    assert six[48:] == RINGING


def test_a_stream_is_cut_into_segments_that_follow_each_other() -> None:
    """Protects large messages over TCP: put together again they are what crossed the wire."""
    large = sip(b"INVITE sip:b@192.0.2.2 SIP/2.0", BODY + b"a=x:" + b"y" * 4000 + b"\r\n")
    found = packets(
        capture(
            message(1, "in", "tcp", "192.0.2.2:5060", "192.0.2.1:40000", large),
            message(2, "out", "tcp", "192.0.2.2:5060", "192.0.2.1:40000", RINGING),
            message(3, "in", "tcp", "192.0.2.2:5060", "192.0.2.1:40000", INVITE),
        )
    )
    stream, expected = b"", 1
    for packet in found:
        assert_checksums(packet)
        source, _, sequence, acknowledged = struct.unpack_from("!HHII", packet, 20)
        if source == 40000:
            assert sequence == expected
            stream += packet[40:]
            expected += len(packet) - 40
        else:
            assert (sequence, acknowledged) == (1, expected)
    assert stream == large + INVITE


def test_a_masked_body_keeps_the_stream_readable() -> None:
    """Protects what comes after a message whose keys were masked: its length is that of what is shown."""
    secret = sip(b"INVITE sip:b@192.0.2.2 SIP/2.0", BODY + b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"k" * 40)
    masked = TraceMask()(secret)
    assert b"kkkk" not in masked
    shown = with_true_length(masked)
    head, _, body = shown.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert with_true_length(INVITE) == INVITE


@pytest.mark.parametrize("text", ["", "x", "host.example:5060", "[::1]:x", "1.2.3.4"])
def test_an_address_that_cannot_be_read_loses_no_message(text: str) -> None:
    assert parse_address(text) == (parse_address("0.0.0.0:0")[0], 0)
    assert len(packets(capture(message(1, "in", "udp", "192.0.2.2:5060", text, INVITE)))) == 1


def test_both_families_in_one_message_are_written_as_ipv6() -> None:
    packet = packets(capture(message(1, "in", "udp", "[2001:db8::2]:5060", "192.0.2.1:5062", INVITE)))[0]
    assert packet[0] >> 4 == 6
    assert_checksums(packet)


@pytest.mark.interop
def test_tshark_reads_every_message(tmp_path: Path) -> None:
    """Protects `cordboard trace --pcap`: methods, statuses and checksums as Wireshark sees them."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    large = sip(b"INVITE sip:b@192.0.2.2 SIP/2.0", BODY + b"a=x:" + b"y" * 4000 + b"\r\n")
    file = tmp_path / "call.pcap"
    file.write_bytes(
        capture(
            message(1, "in", "udp", "192.0.2.2:5060", "192.0.2.1:5062", INVITE),
            message(2, "out", "udp", "192.0.2.2:5060", "192.0.2.1:5062", RINGING),
            message(3, "in", "udp", "[2001:db8::2]:5060", "[2001:db8::1]:5062", INVITE),
            message(4, "in", "tcp", "192.0.2.2:5060", "192.0.2.1:40000", large),
            message(5, "out", "tcp", "192.0.2.2:5060", "192.0.2.1:40000", RINGING),
            message(6, "out", "tls", "192.0.2.2:5061", "192.0.2.1:40001", INVITE),
        )
    )
    command = ["tshark", "-r", str(file), "-T", "json", "-d", "tcp.port==5061,sip"]
    command += ["-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    command += ["-e", "sip.Method", "-e", "sip.Status-Code", "-e", "udp.checksum.status", "-e", "tcp.checksum.status"]
    shown = subprocess.run([*command, "-e", "sdp.media"], capture_output=True, text=True, timeout=60, check=True)
    layers = [packet["_source"]["layers"] for packet in json.loads(shown.stdout)]
    methods = [layer.get("sip.Method", layer.get("sip.Status-Code", ["-"]))[0] for layer in layers]
    assert [method for method in methods if method != "-"] == ["INVITE", "180", "INVITE", "INVITE", "180", "INVITE"]
    for layer in layers:
        assert [*layer.get("udp.checksum.status", []), *layer.get("tcp.checksum.status", [])] == ["1"]
