"""rtpengine in user space as a subject: its NG protocol (bencode over UDP) sets up the same calls."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from shutil import which
from typing import Any

CONTROL = 46990
PORTS = (47000, 60000)


def installed() -> str | None:
    return which("rtpengine")


def _encode(value: Any) -> bytes:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(_encode, value)) + b"e"
    return b"d" + b"".join(_encode(key) + _encode(each) for key, each in sorted(value.items())) + b"e"


def _decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    first = data[at : at + 1]
    if first == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if first in b"ld":
        items, at = [], at + 1
        while data[at : at + 1] != b"e":
            item, at = _decode(data, at)
            items.append(item)
        return (items if first == b"l" else dict(zip(items[::2], items[1::2], strict=True))), at + 1
    colon = data.index(b":", at)
    size = int(data[at:colon])
    return data[colon + 1 : colon + 1 + size], colon + 1 + size


def _sdp(port: int, payload_type: int) -> str:
    name = {0: "PCMU", 8: "PCMA"}[payload_type]
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {payload_type}\r\na=rtpmap:{payload_type} {name}/8000\r\na=ptime:20\r\n"
    )


class Rtpengine:
    def __init__(self, folder: Path) -> None:
        program = installed()
        assert program
        self.process = subprocess.Popen(
            [
                program,
                "--table=-1",  # in user space
                "--interface=127.0.0.1",
                f"--listen-ng=127.0.0.1:{CONTROL}",
                f"--port-min={PORTS[0]}",
                f"--port-max={PORTS[1]}",
                "--foreground",
                "--log-stderr",
                "--log-level=2",
                "--config-file=none",
            ],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "rtpengine.log").open("w"),
            cwd=folder,
        )
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.5)
        self._cookie = 0
        for _ in range(40):
            try:
                if self._ask({"command": "ping"}).get(b"result") == b"pong":
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("rtpengine does not answer")

    def _ask(self, request: dict[str, Any]) -> dict[bytes, Any]:
        self._cookie += 1
        cookie = b"%d " % self._cookie
        self._socket.sendto(cookie + _encode(request), ("127.0.0.1", CONTROL))
        while True:
            answer = self._socket.recv(65536)
            if answer.startswith(cookie):
                decoded = _decode(answer[len(cookie) :])[0]
                assert isinstance(decoded, dict)
                return decoded

    def calls(self, count: int, laws: bool, ports: Path) -> None:
        lines = []
        for call in range(count):
            common: dict[str, Any] = {"call-id": f"call-{call}", "from-tag": "a", "ICE": "remove"}
            offer = common | {"command": "offer", "sdp": _sdp(40000, 0)}
            if laws:
                offer["codec"] = {"mask": ["PCMU"], "transcode": ["PCMA"]}
            to_b = self._port(self._ask(offer))
            answer = common | {"command": "answer", "to-tag": "b", "sdp": _sdp(40002, 8 if laws else 0)}
            to_a = self._port(self._ask(answer))
            lines.append(f"{to_a} {to_b}\n")
        ports.write_text("".join(lines))

    @staticmethod
    def _port(answer: dict[bytes, Any]) -> int:
        if answer.get(b"result") != b"ok":
            raise RuntimeError(f"rtpengine refuses: {answer!r}")
        line = next(line for line in answer[b"sdp"].split(b"\r\n") if line.startswith(b"m=audio"))
        return int(line.split()[1])

    def close(self) -> None:
        self._socket.close()
        self.process.terminate()
        self.process.wait(10)
