"""What calls cost: CPU by the server's own process clock, calls per second, memory. SIPp-to-SIPp beside it.

Every run is a fresh server process on loopback. CPU is read once all its tables are empty again, so that the timers
that end a call are paid for too; the timers are shortened (T1 of 100 ms) for that, except where memory and sustained
load are measured. The machines that this runs on are shared: rounds in turn, the least of each, ratios.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import figures, sipp
from benchmarks.figures import Figure
from benchmarks.process import Worker, cpu_seconds, resident_mib

RATE = 200
SHORT_T1 = 0.1
LIVE_TABLE = "table."


class BenchmarkError(RuntimeError):
    """A run did not do what it was to measure, so that its figure would be worth nothing."""


@dataclass
class Bench:
    """``seconds`` of load for each signalling run; ``sustained`` seconds of load for the rate that must be held."""

    folder: Path
    rounds: int
    seconds: float
    sustained: float
    found: dict[str, list[float]] = field(default_factory=dict)

    def _keep(self, name: str, value: float, unit: str = "ms") -> None:
        self.found.setdefault(name, []).append(value)
        print(f"  {name:34} {value:8.3f} {unit}", flush=True)

    def least(self, name: str) -> float | None:
        """The best of the rounds: other work on the machine only adds."""
        return min(self.found[name], default=None) if name in self.found else None

    # The subjects, in turn --------------------------------------------------------------------------------------------

    def baseline(self) -> None:
        """SIPp calls SIPp."""
        calls = round(RATE * self.seconds)
        with sipp.callee(self.folder) as (pid, port):
            before = cpu_seconds(pid)
            load = sipp.call(port, calls=calls, rate=RATE, folder=self.folder)
            _all_right(load)
            self._keep("SIPp callee", (cpu_seconds(pid) - before) / calls * 1000)
            self._keep("SIPp caller", load.cpu / calls * 1000)

    def plain(self) -> None:
        """INVITE, 200, ACK, BYE at the signalling core; then with a media port and its negotiation for each call."""
        self._signalling("UAS call", "signalling", None)
        self._signalling("UAS call with a media port", "answer", None)

    def bridged(self) -> None:
        """The same with a second leg."""
        with sipp.callee(self.folder) as (_, port):
            self._signalling("bridged call", "bridge", port)

    def _signalling(self, name: str, kind: str, towards: int | None) -> None:
        calls = round(RATE * self.seconds)
        with _subject(kind, towards) as server:
            sipp.call(server.port, calls=50, rate=100, folder=self.folder)
            before = cpu_seconds(server.pid)
            _all_right(sipp.call(server.port, calls=calls, rate=RATE, folder=self.folder))
            _settle(server)
            self._keep(name, (cpu_seconds(server.pid) - before) / calls * 1000)

    def agent(self, calls: int = 150, rate: int = 30) -> None:
        """The whole server: the agent greets a caller who hangs up after a second."""
        with _subject("server", None) as server:
            sipp.call(server.port, calls=20, rate=rate, folder=self.folder)
            before = cpu_seconds(server.pid)
            _all_right(sipp.call(server.port, calls=calls, rate=rate, folder=self.folder, hold_ms=1000))
            _settle(server)
            self._keep("agent call", (cpu_seconds(server.pid) - before) / calls * 1000)

    def warm(self, calls: int = 40, rate: int = 8) -> None:
        """The whole server: key 0, the person is called, told, and joined with the caller."""
        with Worker("benchmarks.lab") as lab, _subject("server", lab.port) as server:
            lab.ask(f"{server.port} 5 {rate}")
            before, before_lab = cpu_seconds(server.pid), cpu_seconds(lab.pid)
            lab.ask(f"{server.port} {calls} {rate}")
            counts = _settle(server)
            right = counts.get("outcome.transfer-success none", 0)
            if right != calls + 5:
                raise BenchmarkError(f"{calls + 5 - right} of {calls + 5} transfers failed: {counts}")
            self._keep("warm transfer", (cpu_seconds(server.pid) - before) / calls * 1000)
            self._keep("warm transfer, lab", (cpu_seconds(lab.pid) - before_lab) / calls * 1000)

    def round(self) -> None:
        """One of each."""
        for turn in (self.baseline, self.plain, self.bridged, self.agent, self.warm):
            turn()

    # Rate and memory --------------------------------------------------------------------------------------------------

    def rate(self) -> Figure:
        """Calls at 200 a second for as long as asked, with the timers of RFC 3261."""
        calls = round(RATE * self.sustained)
        with _subject("answer", None, t1=0.5) as server:
            sipp.call(server.port, calls=50, rate=100, folder=self.folder)
            before = cpu_seconds(server.pid)
            load = sipp.call(server.port, calls=calls, rate=RATE, folder=self.folder, time_limit=self.sustained + 120)
            share = (cpu_seconds(server.pid) - before) / load.seconds
            pause = server.ask()["longest collection ms"]
        held = load.successful / load.seconds
        faults = (
            f"{load.failed} failed, {load.retransmissions} sent again by SIPp, {load.repeated} by us; "
            f"longest collection {pause} ms"
        )
        right = load.failed == load.retransmissions == load.repeated == 0
        print(f"  {held:.0f} calls/s for {load.seconds:.0f} s: {faults}; {share:.0%} of one core", flush=True)
        long_enough = self.sustained >= 60
        return Figure(
            "calls.sustained",
            held,
            "calls/s",
            gate="200 calls/s for 60 s, nothing sent again",
            met=right if long_enough or not right else None,
            note=f"{self.sustained:.0f} s: {faults}; {share:.0%} of one core",
        )

    def memory(self, calls: int = 2000) -> list[Figure]:
        """The whole server before and after many calls, once every table is empty."""
        with _subject("server", None, t1=0.5) as server:
            _all_right(sipp.call(server.port, calls=100, rate=50, folder=self.folder, hold_ms=200))
            _settle(server, limit=90)
            server.ask("collect")
            before = resident_mib(server.pid)
            _all_right(sipp.call(server.port, calls=calls, rate=50, folder=self.folder, hold_ms=200))
            peak = resident_mib(server.pid)
            _settle(server, limit=90)
            counts = server.ask("collect")
            after = resident_mib(server.pid)
            again = self._again(server, calls) if self.sustained >= 60 else None
        left = sum(size for name, size in counts.items() if name.startswith(LIVE_TABLE))
        print(f"  memory {before:.1f} MiB, {peak:.1f} right after {calls} calls, {after:.1f} at rest", flush=True)
        return [
            Figure("calls.memory before", before, "MiB", note="whole server after 100 calls"),
            Figure(
                f"calls.memory after {calls} calls",
                after,
                "MiB",
                f"before {before:.1f}",
                after / before,
                note="at rest",
            ),
            *([] if again is None else [again_figure(calls, again, after)]),
            Figure("calls.left in tables", left, "entries", gate="0", met=left == 0),
        ]

    def _again(self, server: Worker, calls: int) -> float:
        """Memory after as many calls once more: the caches are full by now."""
        _all_right(sipp.call(server.port, calls=calls, rate=50, folder=self.folder, hold_ms=200))
        _settle(server, limit=90)
        server.ask("collect")
        return resident_mib(server.pid)

    # What it comes to -------------------------------------------------------------------------------------------------

    def figures(self) -> list[Figure]:
        """The costs of one call."""
        callee, caller = self.least("SIPp callee"), self.least("SIPp caller")
        both = None if callee is None or caller is None else callee + caller
        return [
            Figure("calls.SIPp callee", callee, "ms/call", note="the baseline of one leg"),
            Figure("calls.SIPp caller", caller, "ms/call", note="the load generator's own cost"),
            self._cost("calls.UAS call", "UAS call", "SIPp callee", callee, 0.5),
            self._cost("calls.UAS call, media port", "UAS call with a media port", "SIPp callee", callee, None),
            self._cost("calls.bridged call", "bridged call", "SIPp callee + caller", both, 2.0),
            self._cost("calls.agent call of 1 s", "agent call", "SIPp callee", callee, None),
            self._cost("calls.warm transfer of 4 s", "warm transfer", "SIPp callee + caller", both, None),
            Figure("calls.warm transfer, lab", self.least("warm transfer, lab"), "ms/call", note="not the server's"),
        ]

    def _cost(self, figure: str, name: str, baseline: str, base: float | None, most: float | None) -> Figure:
        value = self.least(name)
        return Figure(
            figure,
            value,
            "ms/call",
            f"{baseline} {base:.3f}" if base else "",
            value / base if value is not None and base else None,
            "" if most is None else f"≤ {most:g} ms",
            None if most is None or value is None else value <= most,
        )


def again_figure(calls: int, again: float, after: float) -> Figure:
    """What more of the same retains."""
    return Figure(
        f"calls.memory after {calls} more",
        again,
        "MiB",
        f"before {after:.1f}",
        again / after,
        "≤ 4 MiB more",
        again <= after + 4,
    )


def _subject(kind: str, towards: int | None, *, t1: float = SHORT_T1) -> Worker:
    more = ("--towards", str(towards)) if towards is not None else ()
    return Worker("benchmarks.subject", kind, "--t1", str(t1), *more)


def _settle(server: Worker, limit: float = 30) -> dict[str, int]:
    """Wait until every table is empty; what the tables hold, in any case, after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while True:
        counts = server.ask()
        if not any(size for name, size in counts.items() if name.startswith(LIVE_TABLE)):
            return counts
        if time.monotonic() > deadline:
            return counts
        time.sleep(1)


def _all_right(load: sipp.Load) -> None:
    if load.successful != load.calls:
        raise BenchmarkError(f"{load.failed} of {load.calls} calls failed: {load.errors}")


def measure(*, full: bool = False) -> list[Figure]:
    """The figures; ``full`` takes about ten minutes, else about three."""
    if not sipp.installed():
        return [Figure("calls.UAS call", None, "ms/call", gate="≤ 0.5 ms", note="sipp is not installed")]
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), rounds=4 if full else 2, seconds=10 if full else 4, sustained=60 if full else 10)
        for number in range(bench.rounds):
            print(f"calls: round {number + 1} of {bench.rounds}", flush=True)
            bench.round()
        parts: list[Callable[[], Figure | list[Figure]]] = [bench.rate, bench.memory]
        found = bench.figures()
        for part in parts:
            made = part()
            found += made if isinstance(made, list) else [made]
        return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls")
    parser.add_argument("--full", action="store_true", help="the gate's own lengths: 200 calls/s for 60 s, more rounds")
    found = measure(full=parser.parse_args().full)
    print()
    print(figures.table(found))
    figures.write(found)
    return 0 if all(figure.met is not False for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
