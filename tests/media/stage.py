"""A board in virtual time: fake sockets, a clock that is turned by hand, and peers that send and read RTP."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from cordboard.media import DTMF, PCMA, PCMU, BoardSettings, Codec
from cordboard.media.python import PythonBoard, g711, rtp
from cordboard.media.python.jack import PythonJack
from cordboard.media.python.ports import Pair
from cordboard.media.python.session import Session

Packet = rtp.Packet
ULAW: dict[int, Codec] = {0: PCMU, 101: DTMF}
ALAW: dict[int, Codec] = {8: PCMA, 96: DTMF}


@dataclass
class Sent:
    at: float
    packet: Packet
    data: bytes
    to: tuple[str, int]


@dataclass
class FakeSocket:
    stage: Stage
    sent: list[Sent] = field(default_factory=list)
    raw: list[tuple[bytes, tuple[str, int]]] = field(default_factory=list)
    closed: bool = False

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        self.raw.append((data, address))
        packet = rtp.parse(data)
        if packet is not None and not rtp.is_rtcp(data):
            self.sent.append(Sent(self.stage.now, packet, data, address))
        return len(data)

    def close(self) -> None:
        self.closed = True


class FakePorts:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.next = 40000
        self.live = 0

    def open(self) -> Pair:
        port, self.next = self.next, self.next + 2
        self.live += 1
        return Pair(port, cast(Any, FakeSocket(self.stage)), cast(Any, FakeSocket(self.stage)))

    def release(self, port: int) -> None:
        self.live -= 1

    @property
    def counts(self) -> tuple[int, int]:
        return self.live, 0


class Stage:
    def __init__(self, **settings: Any) -> None:
        self.now = 1000.0
        self.ports = FakePorts(self)
        self.board = PythonBoard(
            BoardSettings(**settings),
            clock=lambda: self.now,
            wall=lambda: self.now + 1.7e9,
            ports=self.ports,
            chance=random.Random(7),
            threaded=False,
        )
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._order = 0

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something `seconds` from now, in virtual time."""
        self._order += 1
        self._due.append((self.now + seconds, self._order, action))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        self.board.advance(self.now)
        while True:
            self._due.sort()
            event = self._due[0][0] if self._due else float("inf")
            tick = self.board.next_tick()
            if min(event, tick) > end + 1e-9:
                break
            if event < tick:
                self.now = max(self.now, event)
                action = self._due.pop(0)[2]
                action()
                self.board.run_commands()
            else:
                self.now = tick
                self.board.advance(self.now)
        self.now = end
        self.board.advance(self.now)

    def party(self, **options: Any) -> Party:
        return Party(self, **options)


class Party:
    """A jack, and the far end that talks to it."""

    def __init__(
        self,
        stage: Stage,
        *,
        receive: dict[int, Codec] | None = None,
        send: int | None = None,
        negotiate: bool = True,
        phase: float = 0.0,
        seed: int = 1,
        **terms: Any,
    ) -> None:
        self.stage = stage
        self.jack: PythonJack = stage.board.jack()
        self.receive = receive or ULAW
        self.send = send if send is not None else next(iter(self.receive))
        self.codec = self.receive[self.send].name
        self.remote = ("192.0.2.1", 6000 + 2 * self.jack.id)
        self.ssrc = 0x1000 * seed + self.jack.id
        self.sequence = 65500
        self.timestamp = 2**32 - 4000
        self.phase = phase
        self.talking = False
        self.tone_at = 0
        if negotiate:
            self.negotiate(**terms)
        stage.board.run_commands()
        session = self.jack.party
        assert isinstance(session, Session)
        self.session = session
        self.socket = cast(FakeSocket, session._media)
        self.control = cast(FakeSocket, session._control)

    def negotiate(self, **terms: Any) -> None:
        options: dict[str, Any] = {
            "receive": self.receive,
            "send": self.send,
            "dtmf": next((key for key, codec in self.receive.items() if codec == DTMF), None),
            "remote": self.remote,
        }
        self.jack.negotiated(**(options | terms))

    @property
    def sent(self) -> list[Sent]:
        """What the board has sent to this party."""
        return self.socket.sent

    def heard(self) -> bytes:
        """All audio that this party got, packets joined on to each other."""
        types = (0, 8)
        return b"".join(
            g711.decode(("PCMU", "PCMA")[types.index(each.packet.payload_type)], each.packet.payload).tobytes()
            for each in self.sent
            if each.packet.payload_type in types
        )

    def deliver(self, data: bytes, sender: tuple[str, int] | None = None) -> None:
        self.stage.board.run_commands()
        self.stage.board.arrived(self.session.datagram, data, sender or self.remote)

    def packet(self, payload: bytes, *, payload_type: int | None = None, marker: bool = False) -> bytes:
        """The next packet of the far end's stream."""
        data = rtp.build(
            self.send if payload_type is None else payload_type,
            marker,
            self.sequence,
            self.timestamp,
            self.ssrc,
            payload,
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        return data

    def tone(self, frequency: float, samples: int = 160) -> bytes:
        n = np.arange(self.tone_at, self.tone_at + samples)
        self.tone_at += samples
        pcm = (np.sin(2 * np.pi * frequency * n / 8000) * 9000).astype(np.int16)
        return g711.encode(self.codec, pcm)

    def say_frame(self, frequency: float = 440.0) -> None:
        self.deliver(self.packet(self.tone(frequency)))
        self.timestamp = (self.timestamp + 160) & 0xFFFFFFFF

    def talk(self, frequency: float = 440.0, jitter: Callable[[], float] = lambda: 0.0) -> None:
        """From now on, a packet every 20 ms, `phase` seconds after the board's clock."""
        self.talking = True
        start = self.stage.now + self.phase

        def step(n: int) -> None:
            if not self.talking:
                return
            self.say_frame(frequency)
            due = start + (n + 1) * 0.02 + jitter()
            self.stage.at(max(0.0, due - self.stage.now), lambda: step(n + 1))

        self.stage.at(self.phase + jitter(), lambda: step(0))

    def hush(self) -> None:
        self.talking = False


def assert_continuous(sent: list[Sent], gaps: bool = False) -> None:
    """One SSRC, numbers without gap or repeat, timestamps that rise and stay within a frame of the clock."""
    assert len({each.packet.ssrc for each in sent}) == 1
    first = sent[0]
    for before, after in itertools.pairwise(sent):
        assert (after.packet.sequence - before.packet.sequence) & 0xFFFF == 1
        assert rtp.distance32(after.packet.timestamp, before.packet.timestamp) > 0
    for each in sent:
        elapsed = round((each.at - first.at) * 8000)
        assert abs(rtp.distance32(each.packet.timestamp, first.packet.timestamp) - elapsed) <= 160
