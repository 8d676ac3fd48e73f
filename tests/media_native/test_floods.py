"""Floods: calls that run lose no audio while strangers fill the SIP port and the RTP ports (loopback, bounded)."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cordboard.media import Board
from tests.media_native.party import ULAW, Party
from tests.support.house import house

Make = Callable[..., Any]


class Flood:
    """`count` datagrams, `rate` a second, from 127.0.0.2 and from foreign ports of 127.0.0.1."""

    def __init__(self, ports: Sequence[int], count: int, rate: int) -> None:
        self.ports, self.count, self.rate, self.sent = ports, count, rate, 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        chance = random.Random(4)
        garbage = [chance.randbytes(chance.randrange(1, 400)) for _ in range(40)]
        garbage += [b"\x80\x00" + chance.randbytes(170) for _ in range(40)]  # like RTP
        garbage += [b"INVITE sip:x SIP/2.0\r\nVia: " + chance.randbytes(90) for _ in range(20)]
        sockets = []
        for host in ("127.0.0.2", "127.0.0.2", "127.0.0.1", "127.0.0.1"):
            sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sockets[-1].bind((host, 0))
        start = time.monotonic()
        try:
            while self.sent < self.count:
                if self.sent > (time.monotonic() - start) * self.rate:
                    time.sleep(0.001)
                    continue
                port = self.ports[self.sent % len(self.ports)]
                chance.choice(sockets).sendto(chance.choice(garbage), ("127.0.0.1", port))
                self.sent += 1
        finally:
            for each in sockets:
                each.close()


def _talk_through(board: Board, party: Make, sip_port: int, count: int, rate: int) -> None:
    """Five bridged calls; each packet of each caller reaches the person, once, and nothing else does."""
    calls: list[tuple[Party, Party]] = []
    ports = [sip_port] * 10
    for _ in range(5):
        one = board.jack()
        two = board.jack(beside=one)
        caller, human = party(one), party(two)
        for jack, far in ((one, caller), (two, human)):
            jack.negotiated(receive=ULAW, send=0, remote=far.address, dtmf=101)
        one.hears(two)
        two.hears(one)
        calls.append((caller, human))
        ports += [one.port, two.port]
    for caller, human in calls:
        caller.send(b"\x7f" * 160)
        human.expect()
        human.send(b"\x7f" * 160)
        caller.expect()
    said = 0
    with Flood(ports, count, rate) as flood:
        start = time.monotonic()
        while not flood.over or said < 50:
            for caller, _ in calls:
                caller.send(said.to_bytes(2, "big") * 80)
            said += 1
            time.sleep(max(0.0, start + said * 0.02 - time.monotonic()))
    assert flood.sent == count
    for _, human in calls:
        heard = [packet.payload for packet in human.collect(0.3)]
        assert heard == [number.to_bytes(2, "big") * 80 for number in range(said)]


def _flood(folder: Path, party: Make, count: int, rate: int) -> None:
    async def main() -> None:
        async with house(folder) as h:
            assert h.server.board.engine == "c"
            await asyncio.to_thread(_talk_through, h.server.board, party, h.port, count, rate)

    asyncio.run(main())


def test_running_calls_lose_no_audio_in_a_flood(engine: str, party: Make, tmp_path: Path) -> None:
    _flood(tmp_path, party, 3000, 2500)


@pytest.mark.long
def test_running_calls_lose_no_audio_in_a_long_flood(engine: str, party: Make, tmp_path: Path) -> None:
    _flood(tmp_path, party, 20_000, 4000)
