"""What only shows with time and numbers: a thousand calls, a hundred thousand jacks."""

from __future__ import annotations

import json
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cordboard.media import PCMU, Board
from tests.media_native.party import until

pytestmark = pytest.mark.long
TOOLS = Path(__file__).resolve().parents[2] / "benchmarks/media/tools"
CALLS, SECONDS = 1000, 60


def memory_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def test_a_thousand_bridged_calls_for_a_minute(open_with: Callable[..., Board], engine: str, tmp_path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    load = tmp_path / "rtp_load"
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", load, TOOLS / "rtp_load.c"], check=True)
    board = open_with(engine, ports=(46000, 60998), rt_priority=20)
    before = memory_kb()
    jacks: list[Any] = []
    for _ in range(CALLS):
        one = board.jack()
        two = board.jack(beside=one)
        one.negotiated(receive={0: PCMU}, send=0, remote=("127.0.0.1", 40000))
        two.negotiated(receive={0: PCMU}, send=0, remote=("127.0.0.1", 40002))
        one.hears(two)
        two.hears(one)
        jacks += [one, two]
    ports = tmp_path / "ports"
    ports.write_text("".join(f"{one.port} {two.port}\n" for one, two in zip(jacks[::2], jacks[1::2], strict=True)))
    command = [str(load), str(ports), str(CALLS), str(SECONDS), "0"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    after = memory_kb()
    stats = board.stats()
    lost_by_us = stats.packets_in - stats.packets_out
    print(f"\n{CALLS} calls for {SECONDS} s: {told}; {(after - before) / len(jacks):.1f} kB of memory a leg")
    print(f"taken {stats.packets_in}, sent on {stats.packets_out}")
    held = sum(jack.stats().held_back for jack in jacks)
    assert lost_by_us == held == 0
    assert told["received"] >= told["sent"] * 0.9999


def test_a_hundred_thousand_jacks_leave_nothing(open_with: Callable[..., Board], engine: str) -> None:
    board = open_with(engine, quarantine=0.0)
    clip = board.clip(bytes(3200), 8000)

    def some(count: int) -> None:
        for n in range(count // 2):
            one = board.jack()
            two = board.jack(beside=one)
            one.negotiated(receive={0: PCMU}, send=0, remote=("127.0.0.1", 9))
            one.hears(two if n % 2 else clip)
            two.hears(two.say)
            two.say.write(bytes(320), 16000)
            tap = one.tap()
            if n % 3:
                tap.close()
            two.close()
            one.close()
            tap.close()
            if n % 500 == 0:
                board.events()
                board.frames()

    some(10_000)
    time.sleep(0.1)
    before, descriptors = memory_kb(), len(list(Path("/proc/self/fd").iterdir()))
    some(100_000)
    stats = until(lambda: (found := board.stats()).jacks == 0 and found)
    assert (stats.taps, stats.ports_open, stats.clips) == (0, 0, 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    grown = memory_kb() - before
    print(f"\n100,000 jacks: {grown} kB more than after the first 10,000")
    assert grown < 4000
