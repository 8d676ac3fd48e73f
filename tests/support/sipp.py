"""SIPp, the reference load generator, run with one of the scenarios under ``tests/interop/scenarios``."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.ports import free_port

SCENARIOS = Path(__file__).parent.parent / "interop" / "scenarios"
SOUND = bytes([0xD5, 0x55] * 4000)
"""A second of PCMU noise, which scenarios play as ``sound.raw``."""


@dataclass(frozen=True, slots=True)
class SippResult:
    """``status`` 0: every call went as the scenario says. ``messages`` is what crossed the wire."""

    status: int
    messages: str
    errors: str
    screen: str

    def check(self) -> None:
        assert self.status == 0, f"SIPp left with {self.status}\n{self.errors[-3000:]}\n{self.messages[-6000:]}"


class Sipp:
    """One SIPp process. As a server (no ``remote``) it waits for ``calls`` calls."""

    _running: ClassVar[set[Sipp]] = set()

    def __init__(
        self,
        scenario: str,
        folder: Path,
        *,
        remote: str | None = None,
        calls: int = 1,
        service: str = "+15550100",
        keys: Mapping[str, str] | None = None,
        port: int | None = None,
        rate: int = 10,
        limit: float = 30.0,
        extra: tuple[str, ...] = (),
    ) -> None:
        if shutil.which("sipp") is None:
            pytest.skip("SIPp is not installed (Debian: sip-tester)")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sound.raw").write_bytes(SOUND)
        text = (SCENARIOS / scenario).read_text()
        # SIPp reads statuses when it reads the scenario, before it knows of keywords.
        (folder / scenario).write_text(text.replace("[status]", (keys or {}).get("status", "[status]")))
        self.folder = folder
        self.port = port or free_port(2)
        self.limit = limit
        media = free_port(8)
        self._messages = folder / "messages.log"
        self._errors = folder / "errors.log"
        self._arguments = [
            "sipp",
            *([remote] if remote else []),
            "-sf",
            str(folder / scenario),
            "-i",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-mp",
            str(media),
            "-m",
            str(calls),
            "-r",
            str(rate),
            "-s",
            service,
            "-nostdin",
            "-timeout",
            f"{int(limit)}s",
            "-timeout_error",
            "-trace_msg",
            "-message_file",
            str(self._messages),
            "-trace_err",
            "-error_file",
            str(self._errors),
            *extra,
        ]
        for name, value in (keys or {}).items():
            if name != "status":
                self._arguments += ["-key", name, value]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; a waiting one is ready when its port is bound, which SIPp does at once."""
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.folder,
        )
        Sipp._running.add(self)
        await self._bound()

    async def _bound(self) -> None:
        wanted = f"0100007F:{self.port:04X}"
        for _ in range(500):
            if wanted in Path("/proc/net/udp").read_text() or (self._process and self._process.returncode is not None):
                return
            await asyncio.sleep(0.01)  # polls for the socket of another process

    async def finish(self) -> SippResult:
        """Wait for its end."""
        assert self._process is not None
        try:
            screen, _ = await asyncio.wait_for(self._process.communicate(), self.limit + 10)
        except TimeoutError:
            self._process.kill()
            screen, _ = await self._process.communicate()
        Sipp._running.discard(self)
        return SippResult(
            self._process.returncode or 0, _text(self._messages), _text(self._errors), screen.decode(errors="replace")
        )

    async def run(self) -> SippResult:
        await self.start()
        return await self.finish()

    @classmethod
    async def end_all(cls) -> None:
        """End every process that was started and not finished, which only a failed test leaves."""
        for program in tuple(cls._running):
            cls._running.discard(program)
            process = program._process
            if process is not None and process.returncode is None:
                process.kill()
                await process.communicate()


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
