"""A far end for the tests: a UDP socket that sends and reads RTP, with a stream of its own."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cordboard.media import DTMF, PCMA, PCMU, Codec, Event, Jack

_HEADER = struct.Struct("!BBHII")
ULAW: dict[int, Codec] = {0: PCMU, 101: DTMF}
ALAW: dict[int, Codec] = {8: PCMA, 101: DTMF}


@dataclass(frozen=True)
class Packet:
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    at: float = 0.0


def parse(data: bytes) -> Packet | None:
    if len(data) < 12 or 192 <= data[1] <= 223:
        return None
    _, second, sequence, timestamp, ssrc = _HEADER.unpack(data[:12])
    return Packet(second & 127, bool(second >> 7), sequence, timestamp, ssrc, data[12:], time.monotonic())


class Party:
    def __init__(self, jack: Jack | None = None, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.address: tuple[str, int] = self.socket.getsockname()[:2]
        self.host = host
        self.jack = jack
        self.ssrc = random.getrandbits(32)
        self.sequence = random.randrange(30000)
        self.timestamp = random.getrandbits(31)

    def header(self, payload_type: int = 0, marker: bool = False) -> bytes:
        second = payload_type | (0x80 if marker else 0)
        return _HEADER.pack(0x80, second, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc)

    def send(self, payload: bytes = b"\xff" * 160, payload_type: int = 0, marker: bool = False) -> None:
        """The next packet of the stream."""
        self.sequence += 1
        self.timestamp += 160
        self.send_raw(self.header(payload_type, marker) + payload)

    def send_raw(self, data: bytes) -> None:
        assert self.jack
        self.socket.sendto(data, (self.host, self.jack.port))

    def receive(self, timeout: float = 0.5) -> Packet | None:
        """The next RTP packet; None: none came."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                packet = parse(self.socket.recv(2048))
            except TimeoutError:
                return None
            if packet is not None:
                return packet
        return None

    def expect(self, timeout: float = 1.0) -> Packet:
        packet = self.receive(timeout)
        assert packet is not None, "no packet came"
        return packet

    def collect(self, seconds: float) -> list[Packet]:
        found, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            packet = self.receive(left)
            if packet is not None:
                found.append(packet)
        return found

    def close(self) -> None:
        self.socket.close()


def until(holds: Callable[[], Any], seconds: float = 3.0) -> Any:
    """Wait until something holds, and answer it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.002)
    return found


class Events:
    """Everything that a board has told."""

    def __init__(self, board: Any) -> None:
        self._board = board
        self.all: list[Event] = []

    def of(self, kind: type[Any]) -> list[Any]:
        self.all += self._board.events()
        return [event for event in self.all if isinstance(event, kind)]


def settle(board: Any) -> None:
    """Until commands are in force: at once in C; the Python engine takes them up at its next turn."""
    if board.engine == "python":
        time.sleep(0.03)
