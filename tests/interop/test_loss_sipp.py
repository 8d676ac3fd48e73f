"""Calls of SIPp over a network that loses 5 % of the messages each way: every call ends right, and nothing is kept."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path

import pytest

from cordboard.calls.events import CallClosed, CallOpened
from tests.support.casting import nothing_left
from tests.support.house import House, house
from tests.support.sipp import Sipp
from tests.support.sipp_script import pause, receive, request, script, sdp

pytestmark = pytest.mark.interop

SETTINGS = {"t1": 0.25, "t2": 1, "t4": 1, "calls_per_second": 1000, "max_calls_per_source": 500}
"""Timer J (64*T1) covers six repetitions of SIPp's BYE; no limit on how fast SIPp catches up after a pause."""
LOSS = ("-lost", "5", "-max_retrans", "30")


def scenario(folder: Path) -> str:
    """INVITE, 200, ACK, a moment, BYE; SIPp repeats what is not answered, and its ACK for every repeated 200."""
    return script(
        folder,
        "lossy",
        request("INVITE", 1, body=sdp(), tagged=False),
        receive(100, optional=True),
        receive(180, optional=True),
        receive(200),
        request("ACK", 1),
        pause(300),
        request("BYE", 2),
        receive(200),
    )


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def calls(h: House, folder: Path, count: int, rate: int, limit: float) -> None:
    """So many calls, each of which must go as the scenario says."""
    program = Sipp(
        scenario(folder),
        folder,
        remote=f"127.0.0.1:{h.port}",
        calls=count,
        rate=rate,
        limit=limit,
        extra=(*LOSS, "-l", "150"),
    )
    result = await program.run()
    assert result.status == 0, result.screen[-1500:] + result.errors[-1500:]


def assert_ended_once(h: House, count: int) -> None:
    """Every call was opened once, and closed once."""
    opened = Counter(report.call_id for report in h.of(CallOpened))
    closed = Counter(report.call_id for report in h.of(CallClosed))
    assert len(opened) == count
    assert opened == closed
    assert set(closed.values()) == {1}


def test_400_of_400_calls_end_right_under_loss(tmp_path: Path) -> None:
    """Protects calls over bad networks: no message is needed once more than its repetition brings it."""

    async def main() -> None:
        async with house(tmp_path, sip=SETTINGS, timeouts={"leg_close": 1}) as h:
            await calls(h, tmp_path / "caller", 400, 40, 60)
            await h.until(lambda: not h.server.live_calls(), limit=70, what="the end of the last call")
            assert_ended_once(h, 400)
            await nothing_left(h, limit=45)

    asyncio.run(main())


@pytest.mark.long
def test_ten_thousand_calls_under_loss_retain_nothing(tmp_path: Path) -> None:
    """Protects a server that runs for months: tables are empty, and memory is what it was after the first thousand."""

    async def main() -> None:
        async with house(tmp_path, sip=SETTINGS, timeouts={"leg_close": 1}) as h:
            after: list[int] = []
            for round_ in range(10):
                await calls(h, tmp_path / f"caller{round_}", 1000, 40, 200)
                await h.until(lambda: not h.server.live_calls(), limit=60, what="the end of the last call")
                await nothing_left(h, limit=60)
                assert_ended_once(h, 1000)
                h.reports.clear()
                await h.server.writer.flush()
                after.append(resident())
                print(f"{(round_ + 1) * 1000} calls: {after[-1] / 2**20:.1f} MiB")
            assert after[-1] - after[0] < 24 * 2**20, after

    asyncio.run(main())
