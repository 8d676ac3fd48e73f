"""Processes under test, and what each has cost: its own clock and memory, as the kernel counts them."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads so far (fields 14 and 15 of /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> float:
    """Resident memory in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no resident memory")


def free_udp_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Worker:
    """A Python module as a process of its own that is asked by lines and answers by lines of JSON.

    Its first line is ``ready PORT``. Use it as a context; leaving it ends the process.
    """

    def __init__(self, module: str, *arguments: str, ready_limit: float = 60) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        words = self._line(ready_limit).split()
        if words[:1] != ["ready"]:
            self.close()
            raise WorkerError(f"{module} did not start: {' '.join(words)}")
        self.port = int(words[1])
        self.pid = self._process.pid

    def ask(self, line: str = "", limit: float = 120) -> dict[str, int]:
        """Send a line; the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._line(limit))
        return answer

    def _line(self, limit: float) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], limit)[0]:
            self.close()
            raise WorkerError(f"no answer within {limit:g} s")
        return self._process.stdout.readline()

    def close(self) -> None:
        """End it; killed where it does not end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WorkerError(RuntimeError):
    """A worker did not start, or did not answer in time."""
