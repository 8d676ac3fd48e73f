"""Legs, jacks and voices that do nothing by themselves, so that a test decides what happens in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from cordboard.calls.call import Call
from cordboard.calls.leg import Leg, LegEnded, LegEvent, LegFailed
from cordboard.conversation.narrator import Narration
from cordboard.media import JackClosedError, JackStats
from cordboard.sip.events import IncomingCall
from cordboard.sip.message import Request
from cordboard.variables import Variables


class FakeSay:
    """Keeps what was written; a test plays it by telling the leg of its marks."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.marks: list[int] = []

    def write(self, pcm16: bytes, rate: int) -> float:
        self.written.append(pcm16)
        return len(pcm16) / 2 / rate * 1000

    def mark(self, id: int) -> None:
        self.marks.append(id)

    def flush(self) -> float:
        self.written.clear()
        self.marks.clear()
        return 0.0


class FakeJack:
    """Remembers what it was told to hear; refuses as a closed jack does."""

    def __init__(self, id: int) -> None:
        self.id = id
        self.say = FakeSay()
        self.closed = False
        self.heard: list[object] = []
        self.counters = JackStats()

    @property
    def hearing(self) -> object:
        return self.heard[-1] if self.heard else None

    def hears(self, source: object, cut: str = "late") -> None:
        if self.closed:
            raise JackClosedError(f"jack {self.id} is closed")
        self.heard.append(source)

    def send_dtmf(self, digits: str) -> None:
        if self.closed:
            raise JackClosedError(f"jack {self.id} is closed")

    def tap(self) -> object:
        if self.closed:
            raise JackClosedError(f"jack {self.id} is closed")
        return object()

    def stats(self) -> JackStats:
        return JackStats() if self.closed else self.counters

    def close(self) -> None:
        self.closed = True


class FakeMix:
    def __init__(self) -> None:
        self.closed = False

    def add(self, source: object, gain: float = 1.0) -> None:
        return None

    def close(self) -> None:
        self.closed = True


class FakeLeg:
    """A leg that ends when it is told to, in the order of the real one: state, subscribers, jack."""

    def __init__(self, user_agent: FakeUserAgent, name: str, state: str = "answered") -> None:
        self.user_agent = user_agent
        self.name = name
        self.call_id = "call"
        self.state = state
        self.jack = FakeJack(len(user_agent.legs) + 1)
        self.media_seen = True
        self.recording: object | None = None
        self.hung_up: list[object] = []
        self.refused: list[int] = []
        self.fault = ""
        self.request: Request | None = None
        self._subscribers: list[Callable[[LegEvent], None]] = []
        user_agent.legs.append(self)

    @property
    def over(self) -> bool:
        return self.state == "over"

    def subscribe(self, subscriber: Callable[[LegEvent], None]) -> Callable[[], None]:
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber) if subscriber in self._subscribers else None

    def tell(self, event: LegEvent) -> None:
        if isinstance(event, LegEnded | LegFailed):
            self.state = "over"
        for subscriber in tuple(self._subscribers):
            subscriber(event)
        if self.over:
            self.jack.close()

    def play(self) -> None:
        """Everything that was written has been heard."""
        from cordboard.calls.leg import LegMark

        marks, self.jack.say.marks = self.jack.say.marks, []
        self.jack.say.written.clear()
        for mark in marks:
            self.tell(LegMark(mark))

    def hangup(self, reason: object = None, headers: object = ()) -> None:
        if not self.over:
            self.hung_up.append(reason)
            self.tell(LegEnded("bye", None, True))

    def answer(self) -> None:
        self.state = "answered"

    def ring(self, headers: object = ()) -> None:
        return None

    def record(self, path: object) -> None:
        raise OSError(28, "No space left on device")

    def reject(self, status: int, *_: object) -> None:
        self.refused.append(status)
        self.tell(LegFailed(status, "", None, True, "rejected"))

    def stop_recording(self) -> None:
        self.recording = None


class FakeReaper:
    def take(self, leg: FakeLeg) -> None:
        leg.hangup()
        leg.jack.close()


@dataclass
class FakeBoard:
    mixes: list[FakeMix] = field(default_factory=list)

    def mix(self) -> FakeMix:
        self.mixes.append(FakeMix())
        return self.mixes[-1]


class FakeUserAgent:
    """Dials legs that stay silent until the test speaks for them; ``fails`` is raised instead."""

    def __init__(self) -> None:
        self.legs: list[FakeLeg] = []
        self.comfort = object()
        self.board = FakeBoard()
        self.reaper = FakeReaper()
        self.fails: Exception | None = None
        self.dialled: list[FakeLeg] = []
        self.refused: list[int] = []
        self.on_incoming: Callable[[IncomingCall], None] = lambda incoming: None

    def dial(self, target: object, *, name: str, subscriber: Callable[[LegEvent], None], **_: Any) -> FakeLeg:
        if self.fails is not None:
            raise self.fails
        leg = FakeLeg(self, name, "dialing")
        leg.subscribe(subscriber)
        self.dialled.append(leg)
        return leg

    def receive(self, incoming: IncomingCall, *, call_id: str, name: str) -> FakeLeg:
        if self.fails is not None:
            raise self.fails
        leg = FakeLeg(self, name, "new")
        leg.call_id, leg.request = call_id, incoming.request
        return leg

    def refuse(self, incoming: IncomingCall, status: int, *_: object) -> None:
        self.refused.append(status)

    def may_call(self, number: str, source: str) -> bool:
        return True

    def trusts(self, source: str) -> bool:
        return False

    def claim_traces(self, leg: FakeLeg) -> None:
        return None

    def listen(self, leg: FakeLeg, listener: Callable[[memoryview], None]) -> Callable[[], None]:
        leg.jack.tap()
        return lambda: None


@dataclass
class FakeCall:
    """A real `Call` around fake legs, and everything that it reported."""

    call: Call
    caller: FakeLeg
    user_agent: FakeUserAgent
    reports: list[Any]

    def notes(self, kind: str) -> list[Any]:
        return [report for report in self.reports if getattr(report, "kind", None) == kind]


def fake_call() -> FakeCall:
    """Answered, and not recorded."""
    reports: list[Any] = []
    user_agent = FakeUserAgent()
    caller = FakeLeg(user_agent, "caller")
    call = Call("call", cast(Leg, caller), Variables(), reports.append, recordings=None)
    return FakeCall(call, caller, user_agent, reports)


class SlowVoice:
    """A narrator that renders a text when the test says so; texts that were not ``held`` at once."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}
        self.asked: list[str] = []

    def hold(self, text: str) -> asyncio.Event:
        """The text is rendered once this is set."""
        return self._gates.setdefault(text, asyncio.Event())

    async def render(self, text: str) -> Narration:
        self.asked.append(text)
        if text in self._gates:
            await self._gates[text].wait()
        return Narration(8000, b"\1\0" * 160)

    async def prefetch(self, texts: list[str]) -> None:
        return None


async def settle(turns: int = 12) -> None:
    """Let every task that can run do so."""
    for _ in range(turns):
        await asyncio.sleep(0)
