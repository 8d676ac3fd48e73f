"""What leaves the wire across hundreds of switches, checked from a capture by an independent reader (tshark).

One SSRC, no gap and no repeat in sequence, timestamps within a frame of the clock, and no longer a gap in time than a
frame and 2 ms beyond the new source's own jitter.
"""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cordboard.media import PCMU, Board, Jack
from tests.media_native.party import until

SWITCHES = 204
FRAME = 0.020
ALLOWED = 0.002
CAPTURED = "udp and dst portrange 42000-42199 or udp and src portrange 42000-42199"
FIELDS = ("frame.time_epoch", "udp.srcport", "rtp.ssrc", "rtp.seq", "rtp.timestamp")

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")


@dataclass
class Scene:
    """One caller of ours, and what it is switched to in turn."""

    name: str
    caller: Jack
    turns: list[Callable[[], None]]
    sources: list[int]  # ports that the pushed sources send from
    at: float = 0.0
    done: int = 0
    switched: list[float] = field(default_factory=list)


@dataclass
class Seen:
    at: list[float] = field(default_factory=list)
    ssrc: set[str] = field(default_factory=set)
    sequence: list[int] = field(default_factory=list)
    timestamp: list[int] = field(default_factory=list)


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Callable[[], dict[int, Seen]]]:
    path = tmp_path / "switches.pcap"
    process = subprocess.Popen(
        ["tshark", "-q", "-i", "lo", "-B", "32", "-f", CAPTURED, "-w", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: process.poll() is not None or (path.exists() and path.stat().st_size > 0), 15)
        if process.poll() is not None:
            pytest.skip("capturing on the loopback is not permitted")

        def stop() -> dict[int, Seen]:
            time.sleep(1.0)  # what the kernel still holds for the reader
            process.terminate()
            process.wait(10)
            return read(path)

        yield stop
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def read(path: Path) -> dict[int, Seen]:
    command = ["tshark", "-r", str(path), "-Y", "rtp", "-d", "udp.port==42000-42199,rtp", "-T", "fields"]
    command += [word for name in FIELDS for word in ("-e", name)]
    seen: dict[int, Seen] = {}
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        at, port, ssrc, sequence, timestamp = line.split("\t")
        each = seen.setdefault(int(port), Seen())
        each.at.append(float(at))
        each.ssrc.add(ssrc)
        each.sequence.append(int(sequence))
        each.timestamp.append(int(timestamp))
    return seen


def talk(world: Board, ours: Jack, level: int) -> Jack:
    """A far end that sends an even stream, made by a second board, to one of our jacks."""
    far = world.jack()
    tone = array("h", [level if n // 10 % 2 else -level for n in range(8000)]).tobytes()
    for one, other in ((far, ours), (ours, far)):
        one.negotiated(receive={0: PCMU}, send=0, remote=("127.0.0.1", other.port))
    far.hears(world.clip(tone, 8000))
    return far


def scenes(board: Board, world: Board) -> list[Scene]:
    made = []
    hold = board.clip(array("h", [700] * 16000).tobytes(), 8000)
    speech = array("h", [2000] * 2400).tobytes()
    for name in ("hold ↔ bridge", "whisper → bridge", "agent → hold", "2 → 3 → 2"):
        caller, human, third = board.jack(), board.jack(), board.jack()
        sources = [talk(world, jack, 900 * n).port for n, jack in enumerate((caller, human, third), 1)]
        mix = board.mix()
        for jack in (caller, human, third):
            mix.add(jack)

        def speak(jack: Jack = caller) -> None:
            jack.say.flush()
            jack.say.write(speech, 8000)
            jack.hears(jack.say)

        def bridge(jack: Jack = caller, other: Jack = human) -> None:
            jack.hears(other)

        def wait(jack: Jack = caller) -> None:
            jack.hears(hold)

        def introduce(jack: Jack = caller, three: Any = mix) -> None:
            jack.hears(three)

        turns: dict[str, list[Callable[[], None]]] = {
            "hold ↔ bridge": [wait, bridge],
            "whisper → bridge": [speak, bridge],
            "agent → hold": [speak, wait],
            "2 → 3 → 2": [bridge, introduce],
        }
        made.append(Scene(name, caller, turns[name], [sources[1]]))
    return made


def test_every_switch_leaves_one_even_stream(
    open_with: Callable[..., Board], capture: Callable[[], dict[int, Seen]], engine: str
) -> None:
    board = open_with(engine, ports=(42000, 42099), rt_priority=30)
    world = open_with(engine, ports=(42100, 42199), rt_priority=31)
    chance = random.Random(4)
    stage = scenes(board, world)
    time.sleep(0.3)
    for scene in stage:
        scene.at = time.monotonic() + chance.uniform(0, 0.06)
    while any(scene.done < SWITCHES for scene in stage):
        scene = min(stage, key=lambda each: each.at)
        time.sleep(max(0.0, scene.at - time.monotonic()))
        scene.switched.append(time.time())
        scene.turns[scene.done % len(scene.turns)]()
        scene.done += 1
        scene.at = time.monotonic() + chance.uniform(0.045, 0.075) if scene.done < SWITCHES else float("inf")
    seen = capture()
    for scene in stage:
        examine(scene, seen)


def examine(scene: Scene, seen: dict[int, Seen]) -> None:
    ours = seen[scene.caller.port]
    assert len(ours.ssrc) == 1
    steps = [(b - a) & 0xFFFF for a, b in pairwise(ours.sequence)]
    assert set(steps) == {1}, f"{scene.name}: sequence steps {sorted(set(steps))}"

    begin = bisect_left(ours.at, scene.switched[0])
    origin, first = ours.at[begin + 1], ours.timestamp[begin + 1]
    ahead = [
        ((stamp - first + 2**31) % 2**32 - 2**31) / 8000 - (at - origin)
        for at, stamp in zip(ours.at[begin + 1 :], ours.timestamp[begin + 1 :], strict=True)
    ]
    gaps, excesses = [], []
    for moment in scene.switched[1:]:
        start = bisect_right(ours.at, moment) - 1
        window = list(pairwise(ours.at[start : start + 4]))
        gap, (left, right) = max((b - a, (a, b)) for a, b in window)
        gaps.append(gap)
        excesses.append(gap - FRAME - jitter_around(seen, scene.sources, left, right))
    told = {
        "gap": f"median {statistics.median(gaps) * 1e3:.1f} ms, worst {max(gaps) * 1e3:.1f} ms",
        "beyond a frame and the source's jitter": (
            f"median {statistics.median(excesses) * 1e3:.2f} ms, worst {max(excesses) * 1e3:.2f} ms"
        ),
        "clock": f"{min(ahead) * 1e3:+.1f} to {max(ahead) * 1e3:+.1f} ms",
    }
    print(f"\n{scene.name}: {scene.done} switches, {len(ours.at)} packets; {told}")
    assert max(excesses) <= ALLOWED
    assert max(ahead) - min(ahead) <= 2 * FRAME + ALLOWED, "a frame to either side of the clock"
    assert min(ahead) >= -FRAME - ALLOWED
    assert max(ahead) <= FRAME + ALLOWED


def jitter_around(seen: dict[int, Seen], ports: list[int], left: float, right: float) -> float:
    """How far the sources' own packets strayed from their pace about this time."""
    most = 0.0
    for port in ports:
        at = seen[port].at
        near = at[max(0, bisect_left(at, left - FRAME) - 1) : bisect_right(at, right) + 1]
        most = max([most, *(b - a - FRAME for a, b in pairwise(near))])
    return most
