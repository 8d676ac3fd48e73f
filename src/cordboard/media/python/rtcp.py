"""RTCP compound packets (RFC 3550 §6): sender and receiver reports, source description, goodbye."""

from __future__ import annotations

import struct
from dataclasses import dataclass

SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, BYE = 200, 201, 202, 203
INTERVAL = 5.0
_NTP_OFFSET = 2208988800  # from 1900 to 1970


@dataclass(frozen=True, slots=True)
class Block:
    """A report block (§6.4.1)."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    since_last_report: int  # 1/65536 s


@dataclass(frozen=True, slots=True)
class Report:
    """What a compound packet said, its last report counted."""

    ssrc: int
    ntp: int | None  # the middle 32 bits of a sender report's time
    blocks: tuple[Block, ...]
    bye: bool


def ntp(wall: float) -> tuple[int, int]:
    seconds = int(wall)
    return (seconds + _NTP_OFFSET) & 0xFFFFFFFF, int((wall - seconds) * 4294967296) & 0xFFFFFFFF


def middle(wall: float) -> int:
    """The middle 32 bits of the NTP time, as reports refer to it (§4)."""
    seconds, fraction = ntp(wall)
    return (seconds & 0xFFFF) << 16 | fraction >> 16


def _block(block: Block) -> bytes:
    lost = min(block.lost, 0x7FFFFF)
    return struct.pack(
        "!IIIIII",
        block.ssrc,
        block.fraction_lost << 24 | lost,
        block.highest & 0xFFFFFFFF,
        block.jitter,
        block.last_report,
        block.since_last_report,
    )


def build(
    ssrc: int,
    name: str,
    *,
    wall: float,
    sent: tuple[int, int, int] | None,
    block: Block | None,
    bye: bool = False,
) -> bytes:
    """`sent`: RTP timestamp of `wall`, packets and octets sent; None makes it a receiver report."""
    blocks = _block(block) if block else b""
    count = 0x80 | (1 if block else 0)
    if sent is not None:
        body = struct.pack(
            "!IIIIII", ssrc, *ntp(wall), sent[0] & 0xFFFFFFFF, sent[1] & 0xFFFFFFFF, sent[2] & 0xFFFFFFFF
        )
        body += blocks
        head = struct.pack("!BBH", count, SENDER_REPORT, len(body) // 4)
    else:
        body = struct.pack("!I", ssrc) + blocks
        head = struct.pack("!BBH", count, RECEIVER_REPORT, len(body) // 4)
    text = name.encode()[:255]
    item = struct.pack("!IBB", ssrc, 1, len(text)) + text  # §6.5.1 CNAME
    item += bytes(4 - len(item) % 4)  # ended by at least one zero octet
    packet = head + body + struct.pack("!BBH", 0x81, DESCRIPTION, len(item) // 4) + item
    if bye:
        packet += struct.pack("!BBHI", 0x81, BYE, 1, ssrc)
    return packet


def parse(data: bytes) -> Report | None:
    """None where a length does not fit (§A.2)."""
    at, size = 0, len(data)
    ssrc: int | None = None
    time: int | None = None
    blocks: list[Block] = []
    bye = False
    while at < size:
        if size - at < 8 or data[at] & 0xC0 != 0x80:
            return None
        count, kind = data[at] & 0x1F, data[at + 1]
        length = 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        if at + length > size or length < 8:
            # A goodbye without a source is legal and empty (§6.6); nothing else is.
            return None
        start = None
        if kind == SENDER_REPORT:
            if length < 28 + 24 * count:
                return None
            ssrc, time, start = _word(data, at + 4), _word(data, at + 10), at + 28
        elif kind == RECEIVER_REPORT:
            if length < 8 + 24 * count:
                return None
            ssrc, start = _word(data, at + 4), at + 8
        elif kind == BYE:
            bye = True
            ssrc = _word(data, at + 4) if ssrc is None else ssrc
        for index in range(count if start is not None else 0):
            assert start is not None
            words = struct.unpack_from("!IIIIII", data, start + 24 * index)
            lost = words[1] & 0xFFFFFF
            if lost & 0x800000:
                lost -= 0x1000000
            blocks.append(Block(words[0], words[1] >> 24, lost, *words[2:]))
        at += length
    return None if ssrc is None else Report(ssrc, time, tuple(blocks), bye)


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
