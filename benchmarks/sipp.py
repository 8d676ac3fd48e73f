"""SIPp (Debian's sip-tester) as load and as the far end, with what it counted and what it cost itself."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import free_udp_port

# Of the caller's columns: responses that came again, and ACKs that a repeated 2xx called for.
_REPEATED = re.compile(r"[0-9]+_([1-6][0-9][0-9]|ACK)_Retrans")

SCENARIOS = Path(__file__).parent / "scenarios"


class SippError(RuntimeError):
    """SIPp could not be run to its end."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of calls came to. ``cpu`` is SIPp's own, in seconds."""

    calls: int
    successful: int
    failed: int
    retransmissions: int
    """Messages that SIPp sent again, because no answer came within T1."""
    repeated: int
    """Messages that reached SIPp more than once."""
    seconds: float
    cpu: float
    errors: str = ""


def installed() -> bool:
    """Whether the program is there."""
    return shutil.which("sipp") is not None


def _command(scenario: str, port: int, folder: Path) -> list[str]:
    return [
        "sipp",
        "-sf",
        str(SCENARIOS / f"{scenario}.xml"),
        "-i",
        "127.0.0.1",
        "-p",
        str(port),
        "-nostdin",
        "-trace_err",
        "-error_file",
        str(folder / f"{scenario}-{port}.errors"),
    ]


def call(
    target_port: int,
    *,
    calls: int,
    rate: int,
    folder: Path,
    service: str = "+15550100",
    hold_ms: int = 0,
    lost: int = 0,
    scenario: str = "caller",
    limit: int = 3000,
    time_limit: float = 600,
) -> Load:
    """Place ``calls`` calls at ``rate`` a second, each held ``hold_ms``; ``lost`` per cent of the packets vanish."""
    port = free_udp_port()
    statistics, counts = folder / f"load-{port}.csv", folder / f"counts-{port}.csv"
    command = [
        *_command(scenario, port, folder),
        *("-s", service, "-m", str(calls), "-r", str(rate), "-l", str(limit), "-d", str(hold_ms)),
        *("-trace_stat", "-stf", str(statistics), "-fd", "1", "-trace_counts", "-aa"),
        *(("-lost", str(lost)) if lost else ()),
        f"127.0.0.1:{target_port}",
    ]
    started = time.monotonic()
    # SIPp names its counts after the process and the scenario, in the folder that it runs in.
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cpu = _wait(process, time_limit)
    counts = folder / f"{scenario}_{process.pid}_counts.csv"
    last = _last(statistics)
    return Load(
        calls,
        int(last["SuccessfulCall(C)"]),
        int(last["FailedCall(C)"]),
        int(last["Retransmissions(C)"]),
        sum(int(value) for name, value in _last(counts).items() if _REPEATED.fullmatch(name)),
        time.monotonic() - started,
        cpu,
        _errors(folder / f"{scenario}-{port}.errors"),
    )


@contextmanager
def callee(folder: Path) -> Iterator[tuple[int, int]]:
    """A callee that answers every call: process id and port."""
    port = free_udp_port()
    process = subprocess.Popen(
        _command("callee", port, folder), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _bound(port)
        yield process.pid, port
    finally:
        process.kill()
        process.wait()


def _bound(port: int) -> None:
    """Return once somebody holds the port."""
    wanted = f"0100007F:{port:04X}"
    for _ in range(200):
        if wanted in Path("/proc/net/udp").read_text():
            return
        time.sleep(0.02)
    raise SippError(f"SIPp did not bind port {port}")


def _wait(process: subprocess.Popen[bytes], limit: float) -> float:
    """CPU seconds of the process, at its end."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode not in (0, 1):  # 1: calls failed, which the caller judges
                raise SippError(f"SIPp ended with status {process.returncode}")
            return usage.ru_utime + usage.ru_stime
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise SippError(f"SIPp did not end within {limit:g} s")


def _last(path: Path) -> dict[str, str]:
    with path.open() as lines:
        rows = list(csv.DictReader(lines, delimiter=";"))
    return {name: value for name, value in rows[-1].items() if name and value}


def _errors(path: Path) -> str:
    return path.read_text(errors="replace")[:2000] if path.exists() else ""
