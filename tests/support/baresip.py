"""A real softphone, Debian's baresip, driven over its control socket.

It plays a WAV file as its microphone and keeps what it said and heard as WAV files (its ``sndfile``
module), so that a test can look for tones in them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import wave
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.ports import free_port

MODULES = "/usr/lib/baresip/modules"


class Baresip:
    """One baresip process. ``microphone`` is an 8 kHz mono WAV file; ``auto_answer`` picks up at once."""

    def __init__(self, name: str, folder: Path, microphone: Path, *, auto_answer: bool = False) -> None:
        if shutil.which("baresip") is None:
            pytest.skip("baresip is not installed (Debian: baresip-core)")
        self.name = name
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.port = free_port(4)
        self.control_port = free_port(4)
        media_port = free_port(20)
        self.events: list[dict[str, Any]] = []
        self._buffer = b""
        (self.folder / "config").write_text(
            "\n".join(
                [
                    f"sip_listen 127.0.0.1:{self.port}",
                    "call_local_timeout 120",
                    "call_max_calls 4",
                    f"audio_player aufile,{self.folder}/player.wav",
                    f"audio_source aufile,{microphone}",
                    f"audio_alert aufile,{self.folder}/alert.wav",
                    "audio_srate 8000-8000",
                    "audio_channels 1-1",
                    "audio_txmode thread",
                    "net_interface 127.0.0.1",
                    f"rtp_ports {media_port}-{media_port + 19}",
                    f"module_path {MODULES}",
                    "module g711.so",
                    "module aufile.so",
                    "module sndfile.so",
                    f"snd_path {self.folder}",
                    "module_tmp uuid.so",
                    "module_tmp account.so",
                    "module_app ctrl_tcp.so",
                    "module_app menu.so",
                    f"ctrl_tcp_listen 127.0.0.1:{self.control_port}",
                    "",
                ]
            )
        )
        mode = "auto" if auto_answer else "manual"
        (self.folder / "accounts").write_text(f"<sip:{name}@127.0.0.1>;regint=0;answermode={mode}\n")
        (self.folder / "contacts").write_text("")
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            ["baresip", "-f", str(self.folder)], stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL
        )
        self._control = self._connect()

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + 10
        while True:
            try:
                control = socket.create_connection(("127.0.0.1", self.control_port), timeout=5)
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(f"baresip did not start:\n{self.log()}") from None
                time.sleep(0.02)  # polls for the control socket of another process
            else:
                return control

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up and quit, so that the WAV files get their lengths."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                self.command("hangup")
                self.command("quit")
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        self._control.close()
        self._log.close()

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def command(self, name: str, parameters: str = "") -> None:
        """Send one control command (netstring around JSON)."""
        message = json.dumps({"command": name, "params": parameters, "token": "t"})
        self._control.sendall(f"{len(message)}:{message},".encode())

    def dial(self, uri: str) -> None:
        self.command("dial", uri)

    def key(self, digit: str) -> None:
        """Press one DTMF key on the current call."""
        self.command("sndcode", digit)

    def wait(self, kind: str, timeout: float = 15.0, match: Callable[[dict[str, Any]], bool] | None = None) -> Any:
        """The first event of this type (such as CALL_ESTABLISHED, CALL_CLOSED), or a failure with the log."""
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            while seen < len(self.events):
                event = self.events[seen]
                seen += 1
                if event.get("type") == kind and (match is None or match(event)):
                    return event
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                kinds = [event.get("type") for event in self.events]
                pytest.fail(f"{self.name}: no {kind} within {timeout} s, saw {kinds}\n{self.log()}")
            self._control.settimeout(remaining)
            with contextlib.suppress(TimeoutError):
                data = self._control.recv(65536)
                if not data:
                    pytest.fail(f"{self.name}: baresip ended\n{self.log()}")
                self._take(data)

    def _take(self, data: bytes) -> None:
        self._buffer += data
        while b":" in self._buffer:
            length, rest = self._buffer.split(b":", 1)
            size = int(length)
            if len(rest) < size + 1:
                return
            self.events.append(json.loads(rest[:size]))
            self._buffer = rest[size + 1 :]

    def heard(self) -> Path:
        """What this phone heard, 8 kHz mono; valid after ``close``."""
        return self._dump("dec")

    def said(self) -> Path:
        return self._dump("enc")

    def _dump(self, kind: str) -> Path:
        found = sorted(self.folder.glob(f"dump-*-{kind}.wav"))
        if not found:
            pytest.fail(f"{self.name}: baresip kept no recording\n{self.log()}")
        return found[0]


def read_mono(path: Path) -> bytes:
    """Samples of a mono 16-bit WAV file."""
    with wave.open(str(path), "rb") as file:
        assert file.getnchannels() == 1
        assert file.getsampwidth() == 2
        return file.readframes(file.getnframes())
