"""Measures the media engine against the gates of the media plane: rounds in turn, the least of each, ratios.

The machines that this runs on are shared: absolute figures drift, ratios within a round hold. A figure that cannot be
measured here, for want of a program or of a privilege, says so and is never "met".
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import figures
from benchmarks.figures import Figure
from benchmarks.media import rtpengine

TOOLS = Path(__file__).parent / "tools"
ENGINE = Path(__file__).resolve().parents[2] / "src/cordboard/media/engine"


@dataclass
class Run:
    sent: int
    received: int
    loss: float
    cpu_us: float
    p99: int
    p999: int


@dataclass
class Bench:
    folder: Path
    calls: int
    seconds: float
    runs: dict[str, list[Run]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def build(self) -> None:
        compiler = ["gcc", "-O2", "-D_GNU_SOURCE", f"-I{ENGINE}"]
        for name, more in (("rtp_load", []), ("rtp_limit", []), ("srtp_cost", [str(ENGINE / "srtp.c")])):
            command = [*compiler, "-o", str(self.folder / name), str(TOOLS / f"{name}.c"), *more, "-ldl", "-lpthread"]
            subprocess.run(command, check=True)

    @property
    def ports(self) -> Path:
        return self.folder / "ports"

    def load(
        self, name: str, pid: int, *, ports: str = "", types: tuple[int, int] = (0, 0), answers: bool = False
    ) -> None:
        command = [
            str(self.folder / "rtp_load"),
            ports or str(self.ports),
            str(self.calls),
            str(self.seconds),
            str(pid),
        ]
        command += [str(types[0]), str(types[1]), *(["answers"] if answers else [])]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        run = Run(**{key: told[key] for key in ("sent", "received", "loss", "cpu_us", "p99", "p999")})
        self.runs.setdefault(name, []).append(run)
        print(f"  {name:18} {run.cpu_us:6.2f} µs/packet  loss {max(run.loss, 0):.4%}  p99 {run.p99} µs", flush=True)

    @contextmanager
    def subject(self, *arguments: str) -> Iterator[tuple[int, str]]:
        command = [sys.executable, "-m", "benchmarks.media.subject", arguments[0], str(self.calls), str(self.ports)]
        process = subprocess.Popen([*command, *arguments[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin
        assert process.stdout
        try:
            yield process.pid, process.stdout.readline()
        finally:
            process.stdin.close()
            process.wait(20)

    # --- the subjects, in turn ---

    def limit(self) -> None:
        process = subprocess.Popen([str(self.folder / "rtp_limit"), str(self.calls)], stdout=subprocess.PIPE, text=True)
        assert process.stdout
        try:
            process.stdout.readline()
            self.load("bare forwarder", process.pid, ports="-")
        finally:
            process.terminate()
            process.wait(10)

    def relay(self) -> None:
        with self.subject("relay") as (pid, _):
            self.load("engine", pid)

    def laws(self) -> None:
        with self.subject("laws") as (pid, _):
            self.load("engine µ↔A", pid, types=(0, 8))

    def agent(self) -> None:
        with self.subject("agent") as (pid, _):
            self.load("agent leg", pid, answers=True)

    def gil(self) -> None:
        with self.subject("gil") as (pid, _):
            self.load("under the GIL", pid)

    def gil_real_time(self) -> None:
        with self.subject("gil", "20") as (pid, told):
            if "refused" in told:
                self.absent["real time"] = "real-time priority is not permitted here"
                return
            self.load("GIL, real time", pid)

    def asyncio(self) -> None:
        with self.subject("asyncio") as (pid, _):
            self.load("asyncio", pid)

    def other(self, laws: bool) -> None:
        engine = rtpengine.Rtpengine(self.folder)
        try:
            engine.calls(self.calls, laws, self.ports)
            self.load("rtpengine µ↔A" if laws else "rtpengine", engine.process.pid, types=(0, 8 if laws else 0))
        finally:
            engine.close()

    def round(self) -> None:
        turns: list[Callable[[], None]] = [self.limit, self.relay]
        if rtpengine.installed():
            turns += [lambda: self.other(False), self.laws, lambda: self.other(True)]
        else:
            self.absent["rtpengine"] = "rtpengine is not installed (apt-get install rtpengine-daemon)"
            turns += [self.laws]
        turns += [self.agent, self.gil, self.gil_real_time, self.asyncio]
        for turn in turns:
            turn()

    # --- what it comes to ---

    def least(self, name: str, what: str = "cpu_us") -> float | None:
        """A run that lost much was not measured at the same load, and does not count."""
        values = [float(getattr(run, what)) for run in self.runs.get(name, []) if run.loss < 0.01]
        return min(values) if values else None

    def against(self, figure: str, name: str, baseline: str, most: float) -> Figure:
        value, base = self.least(name), self.least(baseline)
        gate = f"≤ {most:g} × {baseline}"
        if value is None or base is None:
            why = self.absent.get(baseline.split()[0], "not measured")
            return Figure(figure, value, "µs/packet", baseline, None, gate, None, why)
        return Figure(figure, value, "µs/packet", f"{baseline} {base:.2f}", value / base, gate, value / base <= most)

    def delay(self, figure: str, name: str, most_us: float) -> Figure:
        value = self.least(name, "p99")
        gate = f"≤ {most_us / 1000:g} ms"
        if value is None:
            return Figure(figure, None, "ms", gate=gate, note=self.absent.get("real time", "not measured"))
        return Figure(figure, value / 1000, "ms", gate=gate, met=value <= most_us)

    def figures(self) -> list[Figure]:
        # A pair of packets, one in and one out, for each one that comes out.
        agent, asyncio = self.least("agent leg"), self.least("asyncio")
        relay, limit = self.least("engine"), self.least("bare forwarder")
        srtp = json.loads(subprocess.run([str(self.folder / "srtp_cost")], check=True, capture_output=True).stdout)
        found = [
            self.against("media.relay", "engine", "bare forwarder", 1.35),
            self.against("media.relay against rtpengine", "engine", "rtpengine", 0.5),
            self.against("media.laws against rtpengine", "engine µ↔A", "rtpengine µ↔A", 0.2),
            Figure("media.agent leg", agent, "µs/pair", gate="≤ 6 µs", met=None if agent is None else agent <= 6),
            self.delay("media.delay p99 under the GIL", "under the GIL", 4000),
            self.delay("media.delay p99 under the GIL, real time", "GIL, real time", 1000),
        ]
        ratio = None if asyncio is None or not relay else relay / asyncio
        found.append(Figure("media.relay against asyncio", relay, "µs/packet", f"asyncio {asyncio or 0:.2f}", ratio))
        if limit:
            found.append(Figure("media.bare forwarder", limit, "µs/packet", note="the limit: the UDP stack itself"))
        for name in ("protect", "unprotect"):
            took = srtp.get(f"{name}_ns")
            value, met = (None, None) if took is None else (took / 1000, took <= 600)
            note = "libcrypto is not found" if took is None else ""
            found.append(Figure(f"media.srtp {name}", value, "µs/operation", gate="≤ 0.6 µs", met=met, note=note))
        return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.media")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.calls, given.seconds)
        bench.build()
        for number in range(given.rounds):
            print(f"round {number + 1} of {given.rounds}: {given.calls} calls, {given.seconds:g} s each", flush=True)
            bench.round()
        found = bench.figures()
    print()
    for figure in found:
        value = "not measured" if figure.value is None else f"{figure.value:.3f} {figure.unit}"
        ratio = "" if figure.ratio is None else f"= {figure.ratio:.2f} × {figure.baseline}"
        verdict = {True: "met", False: "NOT MET", None: figure.note or "no gate"}[figure.met]
        print(f"{figure.name:42} {value:22} {ratio:34} {figure.gate:24} {verdict}")
    figures.write(found)
    return 0 if all(figure.met is not False for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
