"""Directories and calls for many scenarios at once: each scenario has an agent, a number and a person of its own.

A `Stage` runs the scenarios of one test module together on one server, since most of a call is waiting.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from cordboard.calls.events import CallClosed, CallOpened, SipSeen, Spoken
from cordboard.transfer.ports import TransferClaimed, TransferFinished, TransferNews
from tests.support.house import House, house
from tests.support.sipp import Sipp

T = TypeVar("T")

NOTHING = "X-Nothing: 1"
"""A header for scenarios that may carry one more."""

QUICK: Mapping[str, dict[str, Any]] = {
    "sip": {"t1": 0.05, "t2": 0.2, "t4": 0.2},
    "timeouts": {
        "bridge_media": 1.5,
        "refer_report": 1.5,
        "refer_bye": 0.5,
        "leg_close": 1,
        "drain": 1,
        "silence_prompt": 60,
    },
}
"""Settings with which every transaction is over after 3.2 s (64·T1)."""


GATEWAYS: list[Mapping[str, Any]] = [
    {"name": "lab", "host": "127.0.0.1"},
    {"name": "trunk", "host": "127.0.0.1", "credentials": {"username": "agent", "password": "secret"}},
]


def transfer(name: str, uri: str, **fields: Any) -> dict[str, Any]:
    """A warm transfer action on key 0."""
    return {
        "type": "LIVE_TRANSFER",
        "action_id": name,
        "name": "person",
        "instructions": "The caller wants to speak to a person.",
        "key": "0",
        "transfer_mode": "warm_transfer",
        "sip_uri": uri,
        "timeout": 5,
        "initiating_msg": "announcement",
        "message_to_transfer_target": "whisper",
        "failed_msg": "sorry",
    } | fields


def cold(name: str, **fields: Any) -> dict[str, Any]:
    """A cold transfer action on key 0."""
    action = transfer(name, "sip:night@127.0.0.1:9", transfer_mode="cold_transfer", **fields)
    if "message_to_transfer_target" not in fields:
        del action["message_to_transfer_target"]
    return action


def agent(name: str, number: str, *actions: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """An agent who greets and has these actions."""
    return {
        "model_id": name,
        "name": name,
        "phone_numbers": [number],
        "greeting_message": "greeting",
        "actions": list(actions),
    } | fields


def directory(*agents: Mapping[str, Any], gateways: Sequence[Mapping[str, Any]] | None = None) -> str:
    """The text of a directory for `house`, whose braces are doubled since it is a format."""
    chosen = GATEWAYS if gateways is None else list(gateways)
    text: str = yaml.safe_dump({"agents": list(agents), "gateways": chosen}, sort_keys=False, allow_unicode=True)
    return text.replace("{", "{{").replace("}", "}}")


@asynccontextmanager
async def stage(
    folder: Path,
    *agents: Mapping[str, Any],
    gateways: Sequence[Mapping[str, Any]] | None = None,
    **changes: Mapping[str, Any],
) -> AsyncIterator[House]:
    """A server with these agents and the `QUICK` settings; ``changes`` is section -> field -> value."""
    merged: dict[str, Any] = {section: dict(fields) for section, fields in QUICK.items()}
    for section, fields in changes.items():
        merged.setdefault(section, {}).update(fields)
    async with house(folder, directory(*agents, gateways=gateways), **merged) as h:
        yield h


class Sip:
    """The SIP messages of one call as the server saw them; ``leg`` is ``caller`` or ``target-1``."""

    def __init__(self, h: House, call_id: str) -> None:
        self._seen = [report for report in h.of(SipSeen) if report.call_id == call_id]

    def starts(self, leg: str, direction: str) -> list[str]:
        """The first word of each request, or ``200 INVITE`` for each response."""
        return [_start(each.trace.data) for each in self._of(leg, direction)]

    def messages(self, leg: str, direction: str, start: str) -> list[str]:
        """The whole messages whose `starts` are this."""
        return [
            each.trace.data.decode("utf-8", "replace")
            for each in self._of(leg, direction)
            if _start(each.trace.data) == start
        ]

    def _of(self, leg: str, direction: str) -> list[SipSeen]:
        return [each for each in self._seen if each.leg == leg and each.trace.direction == direction]


def _start(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").split("\r\n")
    first = lines[0].split(" ")
    if first[0] != "SIP/2.0":
        return first[0]
    method = next((line.split()[-1] for line in lines if line.lower().startswith("cseq:")), "?")
    return f"{first[1]} {method}"


class Scene:
    """One call on a running server."""

    def __init__(self, h: House, number: str) -> None:
        self.h = h
        self.number = number
        self.call_id = ""

    async def opened(self, skip: int = 0) -> str:
        """Wait for the record of a call to this number; ``skip`` earlier ones are not meant."""
        opened = await self.h.until(
            lambda: [each for each in self.h.of(CallOpened) if each.to_number == self.number][skip:],
            what=f"a call to {self.number}",
        )
        self.call_id = opened[0].call_id
        return self.call_id

    def of(self, kind: type[T]) -> list[T]:
        """The reports of this call."""
        return [each for each in self.h.of(kind) if getattr(each, "call_id", None) == self.call_id]

    async def told(
        self, kind: type[T], match: Callable[[T], bool] = lambda each: True, what: str = "", limit: float = 12.0
    ) -> T:
        """The first report of this kind that matches."""
        deadline = asyncio.get_running_loop().time() + limit
        while not (found := [each for each in self.of(kind) if match(each)]):
            if asyncio.get_running_loop().time() > deadline:
                told = "\n".join(
                    str(each)[:300] for each in self.of(object) if not isinstance(each, SipSeen | TransferFinished)
                )
                raise AssertionError(f"not within {limit} s: {what or kind.__name__} of {self.number}\n{told}")
            await asyncio.sleep(0.01)  # polls for facts that have no event of their own
        return found[0]

    async def news(self, name: str) -> None:
        await self.told(TransferNews, lambda each: each.name == name, f"the transfer's {name}")

    async def claimed(self) -> TransferClaimed:
        return await self.told(TransferClaimed)

    async def spoken(self, text: str) -> None:
        await self.told(Spoken, lambda each: each.text == text, f"the words {text!r}")

    async def hang_up(self) -> None:
        """By the REST interface, which knows of a call once its row is written."""
        await self.h.server.writer.flush()
        async with self.h.api() as api:
            answer = await api.post(f"/v2/calls/{self.call_id}/hangup")
        assert answer.status_code == 200, answer.text

    async def over(self) -> None:
        """Until the record is closed and the transfer, where there was one, has finished."""
        await self.told(CallClosed)
        if self.of(TransferClaimed):
            await self.told(TransferFinished)

    async def record(self) -> dict[str, Any]:
        return await self.h.record(self.call_id)

    @property
    def sip(self) -> Sip:
        return Sip(self.h, self.call_id)

    def cue(self, leg: str, program: Sipp) -> None:
        """Let a SIPp that waits for the test's cue go on: a MESSAGE under the Call-ID of its call."""
        data = next(each.trace.call_id for each in self.of(SipSeen) if each.leg == leg)
        cue(program.port, data)


def cue(port: int, call_id: str) -> None:
    """A datagram that only SIPp's ``<recv request="MESSAGE"/>`` looks at."""
    text = (
        f"MESSAGE sip:cue@127.0.0.1:{port} SIP/2.0\r\n"
        "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKcue\r\n"
        f"From: <sip:cue@127.0.0.1>;tag=cue\r\nTo: <sip:cue@127.0.0.1>\r\nCall-ID: {call_id}\r\n"
        "CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), ("127.0.0.1", port))


def caller(
    h: House,
    folder: Path,
    number: str,
    scenario: str = "caller-presses.xml",
    keys: Mapping[str, str] | None = None,
    *,
    name: str = "caller",
    limit: float = 30.0,
) -> Sipp:
    """A SIPp caller of this number."""
    defaults = {"caller": "+15550199", "headers": NOTHING, "extra": NOTHING, "key": "0"}
    return Sipp(
        scenario,
        folder / name,
        remote=f"127.0.0.1:{h.port}",
        service=number,
        keys={**defaults, **(keys or {})},
        limit=limit,
    )


async def nothing_left(h: House, limit: float = 10.0) -> None:
    """Every table of the server is empty again once the transaction timers have run (RFC 3261 §17)."""

    def left() -> dict[str, int]:
        server = h.server
        stats = server.board.stats()
        sizes = {
            **server.user_agent.shell.endpoint.counts(),
            "live calls": server.live_calls(),
            "legs": server.user_agent.legs,
            "pending transfers": server.desk.pending,
            **{name: getattr(stats, name) for name in ("jacks", "taps", "mixes", "recordings", "ports_open")},
        }
        return {name: size for name, size in sizes.items() if size}

    deadline = asyncio.get_running_loop().time() + limit
    while left() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)  # polls for the end of timers
    assert not left(), f"left behind: {left()}"


@dataclass(frozen=True, slots=True)
class Played:
    """What one scenario came to."""

    record: dict[str, Any]
    sip: Sip
    scene: Scene

    @property
    def action(self) -> dict[str, Any]:
        found: dict[str, Any] = self.record["executed_actions"]["person"]
        return found

    @property
    def outcome(self) -> tuple[str, str]:
        """Status and reason, as the API tells them."""
        value = self.action["return_value"]
        return value["status"], value["failed_reason"]

    @property
    def attempt(self) -> dict[str, Any]:
        found: dict[str, Any] = self.action["attempts"][0]
        return found


async def all_of(scenes: Mapping[str, Callable[[], Coroutine[Any, Any, T]]]) -> dict[str, T | BaseException]:
    """Run the scenes together; one that fails leaves its error in its place."""
    results = await asyncio.gather(*(scene() for scene in scenes.values()), return_exceptions=True)
    await Sipp.end_all()
    return dict(zip(scenes, results, strict=True))


def of(results: Mapping[str, T | BaseException], name: str) -> T:
    """The result of one scene; its failure is raised here, in the test that is about it."""
    result = results[name]
    if isinstance(result, BaseException):
        raise result
    return result
