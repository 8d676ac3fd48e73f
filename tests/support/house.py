"""A whole server inside the test's own event loop, on free ports, with a voice that is a tone.

The agent's sentences are tones of `AGENT_TONE` Hz and the whisper is a tone of `WHISPER_TONE`, so that a test can tell
from a recording who heard what.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from cordboard.directory.directory import Directory
from cordboard.directory.loading import read_directory
from cordboard.documents import YamlFile
from cordboard.lab.people import BEHAVIOURS, Behaviour, Person
from cordboard.media import Board
from cordboard.records.recorder import Report
from cordboard.server import Server, person
from cordboard.settings import Settings
from cordboard.speech.ports import Pcm, Voice

AGENT_TONE = 1100
WHISPER_TONE = 1500
WHISPER = "whisper"
"""Every text that begins with this word is spoken as `WHISPER_TONE`."""

DIRECTORY = """
agents:
  - model_id: front-desk
    name: Front desk
    phone_numbers: [+15550100]
    greeting_message: "greeting"
    prompt: "The caller is {{X-Customer-Name}}."
    actions:
      - type: LIVE_TRANSFER
        action_id: person
        name: person
        instructions: The caller wants to speak to a person.
        key: 0
        transfer_mode: warm_transfer
        sip_uri: "sip:human@127.0.0.1:{person}"
        timeout: 3
        initiating_msg: "announcement"
        message_to_transfer_target: "whisper {{X-Customer-Name}}"
        failed_msg: "sorry"
        sip_headers:
          - {{name: X-Account-ID, value: "{{X-Account-ID}}"}}
          - {{name: X-Customer-Name, value: "{{X-Customer-Name}}"}}
          - {{name: X-Handled-By, value: cordboard}}
      - type: LIVE_TRANSFER
        action_id: cold
        name: cold
        instructions: The caller wants the night desk.
        key: 9
        transfer_mode: cold_transfer
        sip_uri: "sip:night@127.0.0.1:{person}"
        initiating_msg: "announcement"
        sip_headers:
          - {{name: X-Account-ID, value: "{{X-Account-ID}}"}}
  - model_id: asleep
    name: Asleep
    active: false
    phone_numbers: [+15550101]
    greeting_message: "greeting"
gateways:
  - name: lab
    host: 127.0.0.1
    allowed_domains: [localhost]
"""


class ToneVoice:
    """Speaks in tones: 50 ms and 20 ms a character of the text."""

    name = "tone"

    async def speak(self, text: str, language: str = "en-US") -> AsyncIterator[Pcm]:
        frequency = WHISPER_TONE if text.startswith(WHISPER) else AGENT_TONE
        samples = int(8000 * (0.05 + 0.02 * len(text)))
        wave = np.sin(2 * np.pi * frequency * np.arange(samples) / 8000) * 9000
        yield Pcm(8000, wave.astype("<i2").tobytes())

    async def close(self) -> None:
        return None


class House:
    """A running server and what it reported."""

    def __init__(self, server: Server, reports: list[Report], key: str) -> None:
        self.server = server
        self.reports = reports
        self.key = key

    @property
    def port(self) -> int:
        """The SIP port."""
        return self.server.user_agent.shell.ports[0]

    @property
    def uri(self) -> str:
        return f"sip:+15550100@127.0.0.1:{self.port}"

    def api(self) -> httpx.AsyncClient:
        """A client of the REST interface with a key that may do everything."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.server.application()),
            base_url="http://127.0.0.1",
            headers={"Authorization": f"Bearer {self.key}"},
        )

    async def until(self, condition: Callable[[], Any], limit: float = 15.0, what: str = "") -> Any:
        """Wait until the condition is true; its value. Fails with the reports so far."""
        deadline = asyncio.get_running_loop().time() + limit
        while not (value := condition()):
            if asyncio.get_running_loop().time() > deadline:
                told = "\n".join(str(report)[:200] for report in self.reports if "SipSeen" not in str(report)[:9])
                raise AssertionError(f"not within {limit} s: {what or condition}\n{told}")
            await asyncio.sleep(0.01)  # polls for facts that have no event of their own
        return value

    def of(self, kind: type[Any]) -> list[Any]:
        """Reports of one type."""
        return [report for report in self.reports if isinstance(report, kind)]

    async def records(self) -> list[dict[str, Any]]:
        """Every call record, newest first, as the API tells it."""
        await self.server.writer.flush()
        async with self.api() as api:
            answer = await api.get("/v2/calls", params={"model_id": "front-desk"})
        assert answer.status_code == 200, answer.text
        calls: list[dict[str, Any]] = answer.json()["response"]["calls"]
        return calls

    async def record(self, call_id: str) -> dict[str, Any]:
        """One call record."""
        await self.server.writer.flush()
        async with self.api() as api:
            answer = await api.get(f"/v2/calls/{call_id}")
        assert answer.status_code == 200, answer.text
        call: dict[str, Any] = answer.json()["response"]["calls"][0]
        return call


def settings_for(folder: Path, **changes: dict[str, Any]) -> Settings:
    """Settings on free ports below ``folder``; ``changes`` is section -> field -> value."""
    base: dict[str, dict[str, Any]] = {
        "sip": {"listen": ["udp://127.0.0.1:0"]},
        "speech": {"recogniser": "none"},
        "database": {"url": f"sqlite+aiosqlite:///{folder / 'cordboard.db'}"},
        "http": {"listen": "127.0.0.1:0"},
        "records": {"folder": str(folder / "recordings")},
        "timeouts": {"drain": 1, "silence_prompt": 60},
        "log": {"level": "warning"},
    }
    for section, fields in changes.items():
        base.setdefault(section, {}).update(fields)
    return Settings(**base)  # type: ignore[arg-type]


def directory_of(text: str) -> Directory:
    """A directory from YAML text; its faults are a failure."""
    loaded = read_directory([YamlFile("directory.yaml", text)])
    assert isinstance(loaded, Directory), "\n".join(map(str, loaded))
    return loaded


@asynccontextmanager
async def house(
    folder: Path, directory: str = DIRECTORY, *, person_port: int = 9, **changes: dict[str, Any]
) -> AsyncIterator[House]:
    """A server whose transfers go to ``person_port`` of loopback."""
    settings = settings_for(folder, **changes)
    reports: list[Report] = []
    loaded = directory_of(directory.format(person=person_port))
    async with Server(settings, loaded, sinks=(reports.append,), voice=ToneVoice()) as server:
        _, key = await server.keys.create("test", scopes=("admin",))
        yield House(server, reports, key)


@asynccontextmanager
async def lab_person(
    folder: Path,
    behaviour: str | Behaviour,
    *,
    voice: Voice | None = None,
    media: dict[str, Any] | None = None,
    **changes: Any,
) -> AsyncIterator[Person]:
    """Somebody of the lab on a free port; recordings go below ``folder``."""
    chosen = BEHAVIOURS[behaviour] if isinstance(behaviour, str) else behaviour
    async with person(
        settings_for(folder, media=media or {}),
        voice or ToneVoice(),
        chosen.changed(**changes),
        "udp://127.0.0.1:0",
        recordings=folder / f"lab-{chosen.name}",
    ) as somebody:
        yield somebody


__all__ = ["AGENT_TONE", "DIRECTORY", "WHISPER_TONE", "Board", "House", "ToneVoice", "house", "lab_person"]
