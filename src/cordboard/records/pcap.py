"""The SIP messages of one call as a capture file that Wireshark and tshark open.

The file is a classic pcap with link type RAW (101): each packet begins with its IPv4 (RFC 791) or IPv6 (RFC 8200)
header, then UDP (RFC 768) or TCP (RFC 9293), with checksums. What crossed TCP or TLS is written as TCP segments with
sequence numbers that follow each other; the handshake, which the record does not keep, is left out. TLS is written in
the clear, for that is what the record holds: Wireshark shows it after "Decode As SIP" on its port.

Secrets were masked when the record was written. A mask changes the length of a body, so the Content-Length of a masked
message is written anew, or the stream could not be cut into messages.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import BinaryIO

from cordboard.records.masking import MASK
from cordboard.records.models import SipMessage

LINK_TYPE_RAW = 101
SNAP_LENGTH = 262144
SEGMENT = 1440
"""Bytes of a TCP segment, so that a packet fits an Ethernet frame over IPv6 as well."""
LARGEST_DATAGRAM = 65507
TTL = 64

UDP, TCP = 17, 6
_PUSH_ACK, _ACK = 0x18, 0x10

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^((?:content-length|l)[ \t]*:[ \t]*)\d+")

Address = tuple[IPv4Address | IPv6Address, int]


def write(messages: Iterable[SipMessage], file: BinaryIO) -> int:
    """Write a whole capture; the number of packets."""
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP_LENGTH, LINK_TYPE_RAW))
    packets = 0
    for at, packet in _packets(messages):
        seconds, fraction = divmod(round(at * 1_000_000), 1_000_000)
        file.write(struct.pack("<IIII", seconds, fraction, len(packet), len(packet)) + packet)
        packets += 1
    return packets


def _packets(messages: Iterable[SipMessage]) -> Iterator[tuple[float, bytes]]:
    sent: dict[tuple[Address, Address], int] = {}
    for number, message in enumerate(messages):
        source, destination = parse_address(message.source), parse_address(message.destination)
        if source[0].version != destination[0].version:
            source, destination = _both_as_ipv6(source), _both_as_ipv6(destination)
        if message.transport == "udp":
            data = message.data[:LARGEST_DATAGRAM]
            yield message.at, _packet(source, destination, UDP, _udp_header(source, destination, data), data, number)
            continue
        data = with_true_length(message.data)
        for begin in range(0, len(data), SEGMENT):
            piece = data[begin : begin + SEGMENT]
            sequence = sent.get((source, destination), 1)
            acknowledged = sent.get((destination, source), 1)
            last = begin + SEGMENT >= len(data)
            header = struct.pack(
                "!HHIIBBHHH",
                source[1],
                destination[1],
                sequence & 0xFFFFFFFF,
                acknowledged & 0xFFFFFFFF,
                5 << 4,
                _PUSH_ACK if last else _ACK,
                0xFFFF,
                0,
                0,
            )
            sent[source, destination] = sequence + len(piece)
            yield message.at, _packet(source, destination, TCP, header, piece, number)


def with_true_length(data: bytes) -> bytes:
    """The message with the Content-Length that its masked body has."""
    found = _HEAD_END.search(data)
    if found is None or MASK not in data:
        return data
    head, body = data[: found.start()], data[found.end() :]
    head = _LENGTH.sub(lambda match: match[1] + str(len(body)).encode(), head, count=1)
    return head + data[found.start() : found.end()] + body


def parse_address(text: str) -> Address:
    """``192.0.2.1:5060`` or ``[2001:db8::1]:5060``; what cannot be read becomes 0.0.0.0:0 rather than no packet."""
    host, _, port = text.rpartition(":")
    try:
        return ip_address(host.strip("[]").partition("%")[0]), int(port) & 0xFFFF
    except ValueError:
        return IPv4Address(0), 0


def _both_as_ipv6(address: Address) -> Address:
    host, port = address
    return (IPv6Address(b"\0" * 10 + b"\xff\xff" + host.packed) if isinstance(host, IPv4Address) else host), port


def _udp_header(source: Address, destination: Address, data: bytes) -> bytes:
    return struct.pack("!HHHH", source[1], destination[1], 8 + len(data), 0)


def _packet(source: Address, destination: Address, protocol: int, header: bytes, data: bytes, number: int) -> bytes:
    """IP header, transport header with its checksum, data."""
    length = len(header) + len(data)
    addresses = source[0].packed + destination[0].packed
    if source[0].version == 4:
        pseudo = addresses + struct.pack("!BBH", 0, protocol, length)
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, number & 0xFFFF, 0x4000, TTL, protocol, 0) + addresses
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    else:
        pseudo = addresses + struct.pack("!IxxxB", length, protocol)
        ip = struct.pack("!IHBB", 6 << 28, length, protocol, TTL) + addresses
    summed = checksum(pseudo + header + data)
    if protocol == UDP:
        summed = summed or 0xFFFF  # RFC 768: zero means that there is none
        header = header[:6] + struct.pack("!H", summed)
    else:
        header = header[:16] + struct.pack("!H", summed) + header[18:]
    return ip + header + data


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
