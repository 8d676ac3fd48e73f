"""People and machines to call, or who call: real SIP endpoints with real audio, for tests, demonstrations and users."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
import structlog

from cordboard.calls.errors import MediaNegotiationError
from cordboard.calls.leg import (
    Leg,
    LegAnswered,
    LegConfirmed,
    LegEnded,
    LegEvent,
    LegFailed,
    LegKey,
)
from cordboard.calls.user_agent import UserAgent
from cordboard.lab.listening import wait_for_quiet
from cordboard.media import Clip
from cordboard.sip import events as sip
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri

log = structlog.get_logger(__name__)

MAXIMUM_CALLS = 1000
"""Calls that one person remembers."""

Reports = Literal["refuse", "success", "busy", "silent", "trying", "bye"]
"""What becomes of a REFER: 603; 202 and then NOTIFY 200, NOTIFY 486, nothing, only 100, or BYE before any report."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What somebody does. Times are seconds.

    ``status``: refuse the call with this instead of answering. ``answers_after``: None rings for ever.
    ``line`` is spoken after the answer (with ``listens_first`` once the other side has finished speaking), then
    ``tone`` (Hz) sounds for ever; ``keys`` are pressed ``keys_after`` the answer, or after the line.
    ``beep`` (Hz) sounds once after the line, as an answering machine's does. ``hangs_up_after`` counts from the answer.
    """

    name: str
    status: int | None = None
    rings: bool = True
    answers_after: float | None = 0.5
    line: str = ""
    listens_first: bool = False
    beep: int | None = None
    tone: int | None = None
    keys: str = ""
    keys_after: float = 1.0
    hangs_up_after: float | None = None
    refer: Reports = "refuse"
    headers: tuple[tuple[str, str], ...] = ()

    def changed(self, **fields: Any) -> Behaviour:
        """The same with other fields; None leaves one as it is."""
        return replace(self, **{name: value for name, value in fields.items() if value is not None})


BEHAVIOURS: Mapping[str, Behaviour] = MappingProxyType(
    {
        each.name: each
        for each in (
            Behaviour("human", listens_first=True, line="Hello, this is Dana. How can I help?"),
            Behaviour("greets", answers_after=1.0, line="Hello, Dana speaking."),
            Behaviour(
                "voicemail",
                line="Hello, you have reached the voice mail of Dana. I cannot take your call right now. "
                "Please leave a message after the tone.",
                beep=1000,
            ),
            Behaviour("busy", status=486, rings=False),
            Behaviour("decline", status=603),
            Behaviour("ring", answers_after=None),
            Behaviour("unknown", status=404, rings=False),
            Behaviour("refuse-refer", tone=660, refer="refuse"),
            Behaviour("accept-refer", tone=660, refer="success"),
            Behaviour("refer-to-busy", tone=660, refer="busy"),
            Behaviour("refer-silent", tone=660, refer="silent"),
        )
    }
)


class Speaker(Protocol):
    """A voice for the line. The answer has ``rate`` and ``data``."""

    async def render(self, text: str) -> Sound: ...


class Sound(Protocol):
    """Rendered speech."""

    @property
    def rate(self) -> int: ...
    @property
    def data(self) -> bytes: ...
    @property
    def seconds(self) -> float: ...


def tone(frequency: float, seconds: float = 1.0, rate: int = 8000, level: float = 0.3) -> bytes:
    """A sine of whole periods as int16, so that it loops without a click."""
    periods = max(1, round(frequency * seconds))
    samples = round(periods * rate / frequency)
    time = np.arange(samples) / rate
    wave = np.sin(2 * np.pi * frequency * time) * level * 32767
    return bytes(wave.astype("<i2").tobytes())


@dataclass(slots=True)
class Seen:
    """What one person experienced, for assertions and for the terminal."""

    _leg: Leg | None = None
    invite_headers: tuple[tuple[str, str], ...] = ()
    keys: list[str] = field(default_factory=list)
    refer_to: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    status: int | None = None

    @property
    def leg(self) -> Leg:
        """The connection; there from the moment of the call on."""
        assert self._leg is not None
        return self._leg

    @leg.setter
    def leg(self, leg: Leg) -> None:
        self._leg = leg


class Person:
    """One endpoint that behaves. ``tell`` receives a line a step."""

    def __init__(
        self,
        user_agent: UserAgent,
        behaviour: Behaviour,
        *,
        speaker: Speaker | None = None,
        recordings: Path | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.user_agent = user_agent
        self.behaviour = behaviour
        self.calls: list[Seen] = []
        self._speaker = speaker
        self._recordings = recordings
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self._tone: Clip | None = None
        user_agent.on_incoming = self._incoming

    async def close(self) -> None:
        """Hang up everything."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for seen in self.calls:
            self.user_agent.reaper.take(seen.leg)

    def call(self, target: Uri, *, from_: Address, headers: tuple[tuple[str, str], ...] = ()) -> Seen:
        """Call somebody; what was said of answers counts from their answer."""
        self._count += 1
        seen = Seen()
        seen.leg = self.user_agent.dial(
            target,
            call_id=f"{self.behaviour.name}-{self._count}",
            name="lab",
            from_=from_,
            headers=(*self.behaviour.headers, *headers),
            subscriber=lambda event: self._follow(seen, event),
        )
        self._remember(seen)
        self._tell(f"calls {target}")
        return seen

    def _incoming(self, incoming: sip.IncomingCall) -> None:
        behaviour = self.behaviour
        self._count += 1
        try:
            leg = self.user_agent.receive(incoming, call_id=f"{behaviour.name}-{self._count}", name="lab")
        except MediaNegotiationError as error:
            self.user_agent.refuse(incoming, error.status)
            return
        self.user_agent.claim_traces(leg)
        seen = Seen(leg, invite_headers=tuple(incoming.request.headers.items()))
        self._remember(seen)
        leg.subscribe(lambda event: self._follow(seen, event))
        self._tell("is called")
        self._spawn(self._pick_up(seen))

    async def _pick_up(self, seen: Seen) -> None:
        behaviour, leg = self.behaviour, seen.leg
        if behaviour.rings:
            leg.ring()
            self._tell("rings")
        if behaviour.answers_after is None:
            return
        await asyncio.sleep(behaviour.answers_after)
        if leg.over:
            return
        if behaviour.status is not None:
            self._tell(f"refuses with {behaviour.status}")
            leg.reject(behaviour.status)
            return
        leg.answer(behaviour.headers)
        self._tell("answers")
        self._record(seen)

    def _remember(self, seen: Seen) -> None:
        """Keep it, and forget the oldest of those that have ended."""
        self.calls.append(seen)
        if len(self.calls) > MAXIMUM_CALLS:
            oldest = next((index for index, each in enumerate(self.calls) if each.ended.is_set()), None)
            if oldest is not None:
                del self.calls[oldest]

    def _follow(self, seen: Seen, event: LegEvent) -> None:
        match event:
            case LegConfirmed() | LegAnswered():
                if not seen.answered.is_set():
                    seen.answered.set()
                    seen.status = 200
                    if isinstance(event, LegAnswered):
                        self._record(seen)
                    self._spawn(self._behave(seen))
            case LegKey(digit=digit):
                seen.keys.append(digit)
            case LegFailed(status=status):
                seen.status = status
                seen.ended.set()
                self._tell(f"is refused with {status}")
            case LegEnded(cause=cause):
                seen.ended.set()
                self._tell(f"is done ({cause})")
            case sip.ReferRequested(refer_to=refer_to):
                seen.refer_to = str(refer_to)
                self._spawn(self._refer(seen))
            case _:
                pass

    async def _behave(self, seen: Seen) -> None:
        behaviour, leg = self.behaviour, seen.leg
        loop = asyncio.get_running_loop()
        started = loop.time()
        leg.jack.hears(self.user_agent.comfort)
        if behaviour.listens_first:
            await wait_for_quiet(leg)
        if behaviour.line and not leg.over and self._speaker is not None:
            sound = await self._speaker.render(behaviour.line)
            if leg.over:
                return
            leg.jack.hears(leg.jack.say)
            leg.jack.say.write(sound.data, sound.rate)
            self._tell(f'says "{behaviour.line}"')
            await asyncio.sleep(sound.seconds + 0.2)
            if not leg.over:
                leg.jack.hears(self.user_agent.comfort)
        if leg.over:
            return
        if behaviour.beep is not None:
            leg.jack.hears(self.user_agent.board.clip(tone(behaviour.beep, 0.6), 8000, loop=False))
        if behaviour.tone is not None:
            if self._tone is None:
                self._tone = self.user_agent.board.clip(tone(behaviour.tone), 8000, loop=True)
            leg.jack.hears(self._tone)
        if behaviour.keys:
            await asyncio.sleep(behaviour.keys_after)
            if leg.over:
                return
            leg.send_keys(behaviour.keys)
            self._tell(f"presses {behaviour.keys}")
        if behaviour.hangs_up_after is not None:
            await asyncio.sleep(max(0.0, behaviour.hangs_up_after - (loop.time() - started)))
            self._tell("hangs up")
            leg.hangup()

    async def _refer(self, seen: Seen) -> None:
        leg = seen.leg
        how = self.behaviour.refer
        self._tell(f"is asked to call {seen.refer_to}: {how}")
        if how == "refuse":
            leg.reject_refer(603)
            return
        leg.accept_refer()
        if how == "bye":
            leg.hangup()
        elif how in ("success", "busy"):
            await asyncio.sleep(0.2)
            if leg.over:
                return
            if how == "success":
                leg.notify_refer(200, "OK", final=True)
            else:
                leg.notify_refer(486, "Busy Here", final=True)

    def _record(self, seen: Seen) -> None:
        if self._recordings is not None:
            seen.leg.record(self._recordings / f"{seen.leg.call_id}.wav")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("lab_failed", error=str(task.exception()))
