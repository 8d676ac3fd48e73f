"""Calls over a network that loses five packets in a hundred: none ends wrong, and nothing is retained."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks import sipp
from benchmarks.process import Worker, resident_mib

pytestmark = [
    pytest.mark.interop,
    pytest.mark.long,
    pytest.mark.skipif(not sipp.installed(), reason="sipp is not installed"),
]

LOST = 5
RATE = 100
TIDE = 45 * RATE
"""Calls within 64*T1 and the time that their last messages take at the worst."""
DRAINED = 100
"""Seconds: the last BYE's transaction lives 64*T1 after its last repetition (RFC 3261 §17.2.2)."""


def _drained(server: Worker) -> dict[str, int]:
    deadline = time.monotonic() + DRAINED
    while True:
        counts = server.ask("collect")
        left = {name: size for name, size in counts.items() if name.startswith("table.") and size}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(1)


def _calls(server: Worker, folder: Path, calls: int, rate: int) -> sipp.Load:
    return sipp.call(server.port, calls=calls, rate=rate, folder=folder, hold_ms=700, lost=LOST, time_limit=900)


def test_every_call_ends_right_where_packets_are_lost(tmp_path: Path) -> None:
    """400 of 400: INVITE, 200, ACK and BYE are each repeated until they arrive (RFC 3261 §17, §13.3.1.4)."""
    with Worker("benchmarks.subject", "answer") as server:
        load = _calls(server, tmp_path, 400, 40)
        assert load.retransmissions > 0, "no request was lost, so nothing was tested"
        assert load.repeated > 0, "no ACK was lost, so no 200 had to be repeated"
        assert (load.successful, load.failed) == (400, 0), load.errors
        assert _drained(server) == {}
        assert server.ask()["ended.bye"] == 400


def test_ten_thousand_calls_with_losses_retain_nothing(tmp_path: Path) -> None:
    """Every table is empty again, and memory is back where it was.

    Before that, as many calls as are remembered at once: the allocator keeps the memory of the highest tide.
    """
    with Worker("benchmarks.subject", "answer") as server:
        first = _calls(server, tmp_path, TIDE, RATE)
        assert first.failed == 0, first.errors
        assert _drained(server) == {}
        before = resident_mib(server.pid)
        load = _calls(server, tmp_path, 10_000, RATE)
        assert load.failed == 0, load.errors
        assert _drained(server) == {}
        after = resident_mib(server.pid)
    print(
        f"\n10,000 calls with {LOST} % lost: {load.retransmissions} sent again by SIPp; {before:.1f} -> {after:.1f} MiB"
    )
    assert after <= before + 8, f"{before:.1f} MiB before, {after:.1f} MiB after"
