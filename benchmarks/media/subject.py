"""One relay under test, as a process of its own: ``python -m benchmarks.media.subject KIND CALLS PORTS [PRIORITY]``.

Writes a line "portA portB" for each call to the file PORTS, prints "ready" and what it has to say about itself, and
serves until its input ends.

``relay``: bridged µ-law calls on the C engine; ``laws``: µ-law bridged to A-law; ``gil``: as ``relay``, while this
thread computes and holds the GIL; ``agent``: callers who are tapped and hear speech, whose frames are fetched as the
server fetches them; ``asyncio``: the plainest relay in asyncio.
"""

from __future__ import annotations

import asyncio
import select
import sys
import threading
import time
from pathlib import Path

from cordboard.media import PCMA, PCMU, BoardSettings, open_board

SIDE_A, SIDE_B = ("127.0.0.1", 40000), ("127.0.0.1", 40002)
PORTS = (46000, 60998)


def _wait_for_end() -> threading.Event:
    over = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=watch, daemon=True).start()
    return over


def engine(kind: str, calls: int, ports: Path, priority: int) -> None:
    settings = BoardSettings(ports=PORTS, rt_priority=priority, say_limit=60, silent_after=None)
    board = open_board(settings, engine="c")
    lines, legs, taps = [], [], []
    tone = bytes(range(256)) * 40
    for _ in range(calls):
        a = board.jack()
        a.negotiated(receive={0: PCMU}, send=0, remote=SIDE_A)
        if kind == "agent":
            taps.append(a.tap())
            for _ in range(14):  # a bit more than a run takes
                a.say.write(tone * 3, 16000)
            a.hears(a.say)
            legs.append(a)
            lines.append(f"{a.port} {a.port}")
            continue
        b = board.jack(beside=a)
        b.negotiated(receive={8: PCMA} if kind == "laws" else {0: PCMU}, send=8 if kind == "laws" else 0, remote=SIDE_B)
        a.hears(b)
        b.hears(a)
        legs += [a, b]
        lines.append(f"{a.port} {b.port}")
    ports.write_text("\n".join(lines) + "\n")
    refused = any("real-time" in notice for notice in board.notices)
    print("ready", "refused" if refused else "granted", flush=True)
    over = _wait_for_end()
    if kind == "gil":
        while not over.is_set():
            sum(range(20000))
    elif kind == "agent":
        fetched = 0
        while not over.is_set():
            if select.select([board.fileno()], [], [], 0.2)[0]:
                fetched += len(board.frames()[0])
                board.events()
            time.sleep(0.01)  # a loop has other work too, and takes what has gathered
    else:
        over.wait()


class _Side(asyncio.DatagramProtocol):
    other: asyncio.DatagramTransport
    remote: tuple[str, int]

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.other.sendto(data, self.remote)


async def plain_asyncio(calls: int, ports: Path) -> None:
    loop = asyncio.get_running_loop()
    for call in range(calls):
        a, side_a = await loop.create_datagram_endpoint(_Side, local_addr=("127.0.0.1", 46000 + 4 * call))
        b, side_b = await loop.create_datagram_endpoint(_Side, local_addr=("127.0.0.1", 46002 + 4 * call))
        side_a.other, side_a.remote = b, SIDE_B
        side_b.other, side_b.remote = a, SIDE_A
    ports.write_text("".join(f"{46000 + 4 * call} {46002 + 4 * call}\n" for call in range(calls)))
    print("ready", flush=True)
    over = _wait_for_end()
    while not over.is_set():
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    kind, calls, ports = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if kind == "asyncio":
        asyncio.run(plain_asyncio(calls, ports))
    else:
        engine(kind, calls, ports, int(sys.argv[4]) if len(sys.argv) > 4 else 0)
