"""RTP packets (RFC 3550 §5.1), and what a receiver keeps count of (§6.4.1, §A.1, §A.3, §A.8)."""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER = struct.Struct("!BBHII")
MAX_DATAGRAM = 2048
MAX_DROPOUT, MAX_MISORDER = 3000, 100  # RFC 3550 §A.1


class Packet(NamedTuple):
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(data: bytes) -> Packet | None:
    """The packet, or None where the datagram is not RTP version 2 or its lengths do not fit."""
    size = len(data)
    if size < 12:
        return None
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    if first & 0xC0 != 0x80:
        return None
    start = 12 + 4 * (first & 0x0F)
    if first & 0x10:  # RFC 3550 §5.3.1
        if size < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if size < start:
        return None
    end = size
    if first & 0x20:  # the last octet counts the padding, itself included
        if size == start or not 1 <= data[-1] <= size - start:
            return None
        end -= data[-1]
    return Packet(second & 0x7F, second >= 0x80, sequence, timestamp, ssrc, data[start:end])


def build(payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    second = payload_type | 0x80 if marker else payload_type
    return HEADER.pack(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a multiplexed port is RTCP (RFC 5761 §4)."""
    return len(data) >= 8 and data[0] & 0xC0 == 0x80 and 192 <= data[1] <= 223


def distance16(newer: int, older: int) -> int:
    """How far `newer` lies after `older`, -32768 to 32767."""
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def distance32(newer: int, older: int) -> int:
    return ((newer - older + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class Reception:
    """Loss, order and jitter of one SSRC."""

    def __init__(self, ssrc: int, sequence: int, clock_rate: int = 8000) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.base = sequence - 1  # extended
        self.highest = sequence - 1
        self.received = 0
        self.duplicates = 0
        self.reordered = 0
        self.jitter = 0.0  # in timestamp units
        self._seen = 0  # bit n: `highest - n` has come
        self._expected_again: int | None = None
        self._transit: float | None = None
        self._reported_expected = 0
        self._reported_received = 0

    def update(self, sequence: int, timestamp: int, now: float) -> int | None:
        """Count a packet; answers its extended sequence number, None for one that is not to be heard:
        it has come before, or its number lies far from the others' and the next one has yet to confirm it (§A.1)."""
        step = distance16(sequence, self.highest & 0xFFFF)
        if not -MAX_MISORDER <= step <= MAX_DROPOUT:
            if sequence != self._expected_again:
                self._expected_again = (sequence + 1) & 0xFFFF
                return None
            # Two in a row: the source has started its numbers again. Ours go on rising, and none count as lost.
            step = step if step > 0 else step + 0x10000
            self.base += step - 1
        self._expected_again = None
        extended = self.highest + step
        if step > 0:
            self._seen = (self._seen << step | 1) & 0xFFFFFFFFFFFFFFFF if step < 64 else 1
            self.highest = extended
        else:
            if -step < 64:
                if self._seen >> -step & 1:
                    self.duplicates += 1
                    return None
                self._seen |= 1 << -step
            self.reordered += 1
        self.received += 1
        transit = now * self.clock_rate - timestamp
        if self._transit is not None:
            change = abs(transit - self._transit)
            if change < self.clock_rate:  # a jump of the timestamps is not jitter
                self.jitter += (change - self.jitter) / 16
        self._transit = transit
        return extended

    @property
    def lost(self) -> int:
        return max(0, self.highest - self.base - self.received)

    def fraction_lost(self) -> int:
        """Of 256, since the last report (§A.3)."""
        expected = self.highest - self.base
        interval = expected - self._reported_expected
        lost = interval - (self.received - self._reported_received)
        self._reported_expected, self._reported_received = expected, self.received
        return min(255, (lost << 8) // interval) if interval > 0 and lost > 0 else 0
