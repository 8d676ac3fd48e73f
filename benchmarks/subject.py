"""The server under test, as a process of its own: ``python -m benchmarks.subject KIND [--towards PORT] …``.

Prints ``ready PORT``, then answers each line on its input with its tables as JSON, and ends with its input. The line
``collect`` has garbage collected before.

``signalling``: the core behind its access control and its sockets answers every call with one session description, as
SIPp's callee does; no media.
``answer``: a user agent without an agent answers every call; signalling and a media port for each call, no more.
``bridge``: the same, with each caller joined to a second leg towards PORT once that has answered.
``server``: the whole server, database, records and recordings; its voice is a tone, and key 0 transfers to PORT.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cordboard.calls.admission import AccessControl
from cordboard.calls.errors import MediaNegotiationError
from cordboard.calls.events import CallClosed
from cordboard.calls.leg import Leg, LegAnswered, LegEnded, LegEvent, LegFailed
from cordboard.calls.signalling import endpoint_config
from cordboard.calls.user_agent import UserAgent
from cordboard.directory.directory import Directory
from cordboard.directory.loading import read_directory
from cordboard.documents import YamlFile
from cordboard.records.recorder import Report
from cordboard.server import Server, configure_log, open_media, user_agent
from cordboard.settings import Settings
from cordboard.sip.address import Address
from cordboard.sip.endpoint import Endpoint
from cordboard.sip.events import Ended, Event, IncomingCall
from cordboard.sip.uri import Uri
from cordboard.speech.ports import Pcm
from cordboard.transfer.ports import TransferClaimed
from cordboard.wire import RandomIdentifiers, SipShell

Counts = Callable[[], dict[str, int]]

DIRECTORY = """
agents:
  - model_id: front-desk
    name: Front desk
    phone_numbers: [+15550100]
    greeting_message: "Hello, this is the front desk. How can I help you?"
    prompt: "You answer the telephone."
    actions:
      - type: LIVE_TRANSFER
        action_id: person
        name: person
        instructions: The caller wants to speak to a person.
        key: 0
        transfer_mode: warm_transfer
        sip_uri: "sip:person@127.0.0.1:{port}"
        timeout: 20
        initiating_msg: "One moment."
        message_to_transfer_target: "A caller."
        sip_headers:
          - {{name: X-Account-ID, value: "48151623"}}
gateways:
  - name: lab
    host: 127.0.0.1
"""

DESCRIPTION = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


class Pauses:
    """How long the garbage collector stopped everything, at the worst."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._started = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._started = time.perf_counter()
        else:
            self.longest = max(self.longest, time.perf_counter() - self._started)


class ToneVoice:
    """Speaks in tones, 20 ms a character, made once: the figure is the server's and not the voice's."""

    name = "tone"

    def __init__(self) -> None:
        self._made: dict[int, Pcm] = {}

    async def speak(self, text: str, language: str = "en-US") -> AsyncIterator[Pcm]:
        samples = int(16000 * (0.05 + 0.02 * len(text)))
        if samples not in self._made:
            wave = np.sin(2 * np.pi * 1100 * np.arange(samples) / 16000) * 9000
            self._made[samples] = Pcm(16000, wave.astype("<i2").tobytes())
        yield self._made[samples]

    async def close(self) -> None:
        return None


def settings_for(folder: Path, t1: float) -> Settings:
    """Defaults on free ports, with every limit on the number of calls out of the way."""
    sections = {
        "sip": {
            "listen": ["udp://127.0.0.1:0"],
            "max_calls": 20000,
            "max_calls_per_source": 20000,
            "calls_per_second": 10000,
            "max_transactions": 200000,
            "packets_per_second": 1000000,
            "t1": t1,
        },
        "speech": {"recogniser": "none"},
        "media": {"ports": "20000-59999"},
        "database": {"url": f"sqlite+aiosqlite:///{folder / 'cordboard.db'}"},
        "http": {"listen": "127.0.0.1:0"},
        "records": {"folder": str(folder / "recordings")},
        "timeouts": {"drain": 1, "leg_close": 64 * t1},
        "log": {"level": "error"},
    }
    return Settings(**sections)  # type: ignore[arg-type]


class Answerer:
    """Answers at once."""

    def __init__(self, agent: UserAgent) -> None:
        self.agent = agent
        self.ended: Counter[str] = Counter()
        agent.on_incoming = self._incoming

    def _incoming(self, incoming: IncomingCall) -> None:
        try:
            leg = self.agent.receive(incoming, call_id=incoming.session, name="caller")
        except MediaNegotiationError as error:
            self.agent.refuse(incoming, error.status)
            return
        self.agent.claim_traces(leg)
        self.serve(leg)

    def serve(self, leg: Leg) -> None:
        """What becomes of the caller."""
        leg.subscribe(self._count)
        leg.answer()

    def _count(self, event: LegEvent) -> None:
        if isinstance(event, LegEnded):
            self.ended[event.cause] += 1
        elif isinstance(event, LegFailed):
            self.ended[f"failed {event.status}"] += 1

    def counts(self) -> dict[str, int]:
        """How the calls ended."""
        return {f"ended.{cause}": number for cause, number in self.ended.items()}


class Bridger(Answerer):
    """Calls somebody for each caller, answers once that is answered, and carries the end across."""

    def __init__(self, agent: UserAgent, port: int) -> None:
        super().__init__(agent)
        self._target = Uri.parse(f"sip:person@127.0.0.1:{port}")
        self._from = Address(Uri.parse("sip:+15550123@127.0.0.1"))

    def serve(self, leg: Leg) -> None:
        def from_caller(event: LegEvent) -> None:
            self._count(event)
            if isinstance(event, LegEnded | LegFailed):
                other.hangup()

        def from_target(event: LegEvent) -> None:
            if isinstance(event, LegAnswered):
                leg.jack.hears(other.jack)
                other.jack.hears(leg.jack)
                leg.answer()
            elif isinstance(event, LegEnded | LegFailed):
                leg.hangup()

        leg.subscribe(from_caller)
        other = self.agent.dial(
            self._target, call_id=leg.call_id, name="target-1", from_=self._from, beside=leg, subscriber=from_target
        )


def directory_for(towards: int | None) -> Directory:
    """One agent, whose transfers go to that port of loopback."""
    directory = read_directory([YamlFile("directory.yaml", DIRECTORY.format(port=towards or 9))])
    assert isinstance(directory, Directory), directory
    return directory


@asynccontextmanager
async def signalling(settings: Settings, towards: int | None) -> AsyncIterator[tuple[int, Counts]]:
    """A user agent behind its access control, its port and its tables."""
    directory = directory_for(towards)
    board = open_media(settings)
    try:
        access = AccessControl(settings.sip, lambda: directory)
        async with user_agent(settings, board, settings.sip.listen, lambda report: None, access) as agent:
            answerer = Answerer(agent) if towards is None else Bridger(agent, towards)
            yield agent.shell.ports[0], lambda: tables(agent) | answerer.counts()
    finally:
        board.close()


@asynccontextmanager
async def bare(settings: Settings) -> AsyncIterator[tuple[int, Counts]]:
    """The signalling core with its sockets, its port and its tables."""
    directory = directory_for(None)
    ended: Counter[str] = Counter()

    def take(event: Event) -> None:
        if isinstance(event, IncomingCall):
            shell.run(lambda core, now: core.answer(event.session, DESCRIPTION, now=now))
        elif isinstance(event, Ended):
            ended[f"ended.{event.cause}"] += 1

    access = AccessControl(settings.sip, lambda: directory)
    config = endpoint_config(settings.sip, settings.timeouts, access)
    shell = SipShell(Endpoint(config, RandomIdentifiers()), settings.sip.listen, take)
    await shell.start()
    try:
        yield (
            shell.ports[0],
            lambda: {f"table.{name}": size for name, size in shell.endpoint.counts().items()} | dict(ended),
        )
    finally:
        await shell.close()


def tables(agent: UserAgent) -> dict[str, int]:
    """Everything that must be empty again once all calls are over."""
    sizes = {f"table.{name}": size for name, size in agent.shell.endpoint.counts().items()}
    return sizes | {
        "table.legs": agent.legs,
        "table.reaper": len(agent.reaper),
        "table.unclaimed": len(agent._unclaimed),
        "table.jack owners": len(agent._jacks),
        "table.jacks": agent.board.stats().jacks,
    }


@asynccontextmanager
async def server(settings: Settings, towards: int | None) -> AsyncIterator[tuple[int, Counts]]:
    """The whole server."""
    outcomes: Counter[str] = Counter()

    def watch(report: Report) -> None:
        if isinstance(report, TransferClaimed):
            outcomes[f"outcome.{report.claim.outcome} {report.claim.reason}"] += 1
        elif isinstance(report, CallClosed):
            outcomes[f"ended.{report.status} {report.reason}"] += 1

    async with Server(settings, directory_for(towards), sinks=(watch,), voice=ToneVoice()) as running:

        def counts() -> dict[str, int]:
            sizes = tables(running.user_agent) | {"table.calls": running.live_calls()}
            sizes |= {"table.rows waiting": running.writer.counts()["pending"]}
            return sizes | dict(outcomes)

        yield running.user_agent.shell.ports[0], counts


async def serve(kind: str, folder: Path, towards: int | None, t1: float) -> None:
    """Until the input ends."""
    settings = settings_for(folder, t1)
    configure_log(settings.log)
    pauses = Pauses()
    if kind == "signalling":
        subject = bare(settings)
    else:
        subject = server(settings, towards) if kind == "server" else signalling(settings, towards)
    async with subject as (port, counts):
        print("ready", port, flush=True)
        loop = asyncio.get_running_loop()
        requests = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
        while line := await requests.readline():
            if line == b"collect\n":
                gc.collect()
            print(json.dumps(counts() | {"longest collection ms": round(pauses.longest * 1000)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.subject")
    parser.add_argument("kind", choices=("signalling", "answer", "bridge", "server"))
    parser.add_argument("--towards", type=int)
    parser.add_argument("--t1", type=float, default=0.5)
    parser.add_argument("--profile", type=Path, help="write a profile here at the end")
    given = parser.parse_args()
    profile = cProfile.Profile() if given.profile else None
    with TemporaryDirectory() as folder:
        if profile is not None:
            profile.enable()
        asyncio.run(serve(given.kind, Path(folder), given.towards, given.t1))
        if profile is not None:
            profile.disable()
            profile.dump_stats(given.profile)


if __name__ == "__main__":
    main()
