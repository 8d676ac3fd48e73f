"""The pipe between this process and an engine's helper process: frames with a kind and a length.

Engines live in processes of their own because they have global state, hold the interpreter's lock while they
work, can crash, or are under a licence of their own. A frame is one byte of kind, four bytes of length
(big endian) and the payload. The helper reads requests from standard input, answers on standard
output, and ends at the end of its input, so that it never outlives the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from .ports import SpeechCrashError, SpeechTimeoutError, SpeechUnavailableError

HEADER = struct.Struct("!cI")
MAX_FRAME = 16 * 1024 * 1024
"""Bytes of one payload; a longer one is a broken protocol."""

READY = b"R"
ERROR = b"E"


def read_frame(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """The helper's side: the next frame, or None at the end of the input."""
    head = stream.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    kind, length = HEADER.unpack(head)
    if length > MAX_FRAME:
        return None
    payload = stream.read(length)
    return (kind, payload) if len(payload) == length else None


def write_frame(stream: BinaryIO, kind: bytes, payload: bytes = b"") -> None:
    """The helper's side: sends a frame at once."""
    stream.write(HEADER.pack(kind, len(payload)) + payload)
    stream.flush()


def claim_output() -> BinaryIO:
    """The helper's side: keeps standard output for frames; what libraries print goes to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


class Helper:
    """One helper process, started on demand, started again after it ended or was stopped.

    `command` is the program with its arguments, `timeout` the seconds that each answer may take. Not for
    concurrent use: the owner serialises requests. Any failure stops the process, so that an
    answer can never be taken for another request's.
    """

    def __init__(
        self, provider: str, command: Sequence[str], *, timeout: float, environment: Mapping[str, str] | None = None
    ) -> None:
        self.provider = provider
        self.starts = 0
        self._command = tuple(command)
        self._timeout = timeout
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The running process, if any."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def request(
        self, kind: bytes, payload: bytes, *, last: bytes, others: tuple[bytes, ...] = ()
    ) -> list[tuple[bytes, bytes]]:
        """Sends one frame and collects the answer up to a frame of kind `last`, one of `others`, or ERROR.

        Raises SpeechTimeoutError, SpeechCrashError or SpeechUnavailableError. Cancelling stops the process.
        """
        complete = False
        stage = "start"
        try:
            async with asyncio.timeout(self._timeout):
                process = await self._started()
                stage = "request"
                assert process.stdin is not None
                process.stdin.write(HEADER.pack(kind, len(payload)) + payload)
                await process.stdin.drain()
                frames: list[tuple[bytes, bytes]] = []
                while not frames or frames[-1][0] not in (last, ERROR, *others):
                    frames.append(await self._frame(process))
            complete = True
            return frames
        except TimeoutError:
            raise SpeechTimeoutError(self.provider, stage, f"no answer within {self._timeout:g} s") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise SpeechCrashError(self.provider, stage, "the helper process ended") from None
        finally:
            if not complete:
                await self.stop()

    async def _started(self) -> asyncio.subprocess.Process:
        process = self._process
        if process is not None and process.returncode is None:
            return process
        environment = dict(os.environ if self._environment is None else self._environment)
        # Settings may hold keys; an engine has no use for them.
        environment = {name: value for name, value in environment.items() if not name.startswith("CORDBOARD_")}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
                # Its own session: an interrupt from the keyboard drains the server, which still speaks meanwhile.
                start_new_session=True,
            )
        except OSError as error:
            raise SpeechUnavailableError(self.provider, "start", str(error)) from error
        self._process = process
        self.starts += 1
        kind, payload = await self._frame(process)
        if kind != READY:
            raise SpeechUnavailableError(self.provider, "start", payload.decode(errors="replace")[:200])
        return process

    async def _frame(self, process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
        assert process.stdout is not None
        kind, length = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
        if length > MAX_FRAME:
            raise SpeechCrashError(self.provider, "answer", "the helper process broke its protocol")
        return kind, await process.stdout.readexactly(length)

    async def stop(self) -> None:
        """Ends the process, if one runs; the next request starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        # A killed process is gone in moments; waiting for it leaves no zombie.
        await asyncio.shield(process.wait())


def python_helper(module: str) -> tuple[str, ...]:
    """The command that runs a module of this package with this interpreter."""
    return (sys.executable, "-m", module)
