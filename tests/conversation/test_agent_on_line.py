"""The agent when something goes wrong around it: nobody hears silence, no call dies of it, no record lies about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cordboard.calls.leg import LegConfirmed, LegEnded, LegKey
from cordboard.conversation import agent as agents
from cordboard.conversation.agent import AgentOnLine, ConversationLimits
from cordboard.conversation.model import Message, TextDelta, ToolCall
from cordboard.conversation.narrator import Narration, Narrator
from cordboard.media import MediaError
from cordboard.records.models import EndCallReason
from cordboard.speech.ports import Pcm, SpeechError, Utterance
from tests.support.fakes import FakeCall, FakeLeg, SlowVoice, fake_call, settle
from tests.support.house import DIRECTORY, directory_of

LIMITS = ConversationLimits(
    greeting=1,
    confirmation=1,
    silence_prompt=30,
    silence_prompts=1,
    model_turn=1,
    hang_up_speech=0.2,
    longest_agent_phase=3600,
)


class Voice(SlowVoice):
    """Breaks down for the texts in ``broken``."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()

    async def render(self, text: str) -> Narration:
        if text in self.broken:
            raise SpeechError("voice", "speak", "broken")
        return await super().render(text)


class Model:
    """Answers every turn with ``events``, or raises ``fails``."""

    def __init__(self) -> None:
        self.events: list[TextDelta | ToolCall] = [TextDelta("words")]
        self.fails: Exception | None = None

    async def turn(self, messages: Sequence[Message], tools: Sequence[Any]) -> AsyncIterator[TextDelta | ToolCall]:
        if self.fails is not None:
            raise self.fails
        for event in self.events:
            yield event


class Transfers:
    """Ends when the test says how; ``fails`` is raised instead."""

    def __init__(self) -> None:
        self.runs = 0
        self.fails: Exception | None = None
        self.report: asyncio.Future[Any] | None = None

    async def run(self, *_: Any, **__: Any) -> Any:
        self.runs += 1
        if self.fails is not None:
            raise self.fails
        self.report = asyncio.get_running_loop().create_future()
        return await self.report

    def back(self, outcome: str = "transfer-failed-timeout") -> None:
        assert self.report is not None
        self.report.set_result(SimpleNamespace(outcome=outcome, reason="busy", returned=True, message=""))


@dataclass
class Hearing:
    """Yields what the test puts in."""

    said: asyncio.Queue[Utterance] = field(default_factory=asyncio.Queue)

    def feed(self, frame: object) -> None:
        return None

    def discard(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def __aiter__(self) -> AsyncIterator[Utterance]:
        while True:
            yield await self.said.get()


@dataclass
class Line:
    """One agent on one fake call."""

    fake: FakeCall
    online: AgentOnLine
    voice: Voice
    model: Model
    transfers: Transfers
    hearing: Hearing
    running: asyncio.Task[None]

    @property
    def caller(self) -> FakeLeg:
        return self.fake.caller

    @property
    def spoken(self) -> list[str]:
        return [report.text for report in self.fake.reports if getattr(report, "speaker", "") == "bot"]

    async def heard(self) -> None:
        """Let the agent speak to the end of what it has to say now."""
        for _ in range(8):
            await settle(6)
            self.caller.play()


@asynccontextmanager
async def line(*, greeted: bool = True, **limits: float) -> AsyncIterator[Line]:
    fake, voice, model, transfers, hearing = fake_call(), Voice(), Model(), Transfers(), Hearing()
    directory = directory_of(DIRECTORY.format(person=9))
    agent = directory.agent_by_number("+15550100")
    assert agent is not None
    settings = {name: getattr(LIMITS, name) for name in LIMITS.__dataclass_fields__} | limits
    async with fake.call:
        online = AgentOnLine(
            fake.call,
            agent,
            directory.actions_of(agent),
            model=cast(Any, model),
            rules=cast(Any, SimpleNamespace(phrases=lambda: None)),
            narrator=cast(Any, voice),
            recogniser=cast(Any, SimpleNamespace(listen=lambda phrases: hearing)),
            transfers=cast(Any, transfers),
            limits=ConversationLimits(**settings),
        )
        it = Line(fake, online, voice, model, transfers, hearing, asyncio.ensure_future(online.run()))
        try:
            if greeted:
                await settle()
                it.caller.tell(LegConfirmed())
                await it.heard()
            yield it
        finally:
            it.caller.hangup()
            await asyncio.gather(it.running, return_exceptions=True)


def test_a_caller_who_leaves_with_the_key_is_not_transferred() -> None:
    """Key and BYE in one batch: the key still waits in the queue."""

    async def run() -> None:
        async with line() as it:
            it.caller.tell(LegKey("0", "rfc4733"))
            it.caller.tell(LegEnded("bye", None, False))
            await it.running
            assert it.transfers.runs == 0

    asyncio.run(run())


@pytest.mark.parametrize("moment", ["answer", "greeting", "say", "back", "before"])
def test_a_caller_who_leaves_is_no_fault(moment: str) -> None:
    """The jack closes with the leg; whatever was about to use it must not fail the call."""

    async def run() -> None:
        async with line(greeted=moment not in ("answer", "greeting", "before")) as it:
            if moment == "answer":
                await settle(2)
            elif moment == "greeting":
                gate = it.voice.hold("greeting")
                await settle()
                it.caller.tell(LegConfirmed())
                await settle()
                gate.set()
            elif moment == "say":
                gate = it.voice.hold("words")
                it.online.typed("hello")
                await settle()
                gate.set()
            elif moment == "back":
                it.caller.tell(LegKey("0", "rfc4733"))
                await settle()
                it.transfers.back()
            it.caller.tell(LegEnded("bye", None, False))
            await it.running
            assert not it.fake.notes("fault")

    asyncio.run(run())


def test_a_leg_that_is_over_before_the_agent_comes() -> None:
    """The 200 could not be sent at all."""

    async def run() -> None:
        fake = fake_call()
        fake.caller.tell(LegEnded("dialog_gone", None, True))
        async with line() as it:
            it.caller.tell(LegEnded("dialog_gone", None, True))
            directory = directory_of(DIRECTORY.format(person=9))
            agent = directory.agent_by_number("+15550100")
            assert agent is not None
            late = AgentOnLine(
                fake.call,
                agent,
                (),
                model=cast(Any, it.model),
                rules=cast(Any, None),
                narrator=cast(Any, it.voice),
                recogniser=None,
                transfers=cast(Any, it.transfers),
                limits=LIMITS,
            )
            async with asyncio.timeout(1):
                await late.run()

    asyncio.run(run())


def test_who_has_hung_up_is_not_hung_up_on() -> None:
    """The caller's BYE comes while the agent says goodbye."""

    async def run() -> None:
        async with line(silence_prompt=0.01, silence_prompts=0) as it:
            await asyncio.sleep(0.03)
            await settle()
            assert it.spoken[-1] == agents.GOODBYE
            it.caller.play()
            it.caller.tell(LegEnded("bye", None, False))
            await it.running
            assert not it.online.ended_by_agent

    asyncio.run(run())


def test_a_silent_caller_is_hung_up_on_for_a_reason_that_the_interface_knows() -> None:
    async def run() -> None:
        async with line(silence_prompt=0.01, silence_prompts=0) as it:
            await asyncio.sleep(0.03)
            await it.heard()
            assert it.online.ended_by_agent
            assert EndCallReason(it.online.reason) is EndCallReason.TIMEOUT

    asyncio.run(run())


def test_the_time_with_a_person_is_not_time_with_the_agent() -> None:
    """Back from a long talk, the caller is served, and not told that nobody hears them."""

    async def run() -> None:
        async with line(longest_agent_phase=0.15) as it:
            it.caller.tell(LegKey("0", "rfc4733"))
            await settle()
            await asyncio.sleep(0.2)
            it.transfers.back("transfer-success")
            await it.heard()
            assert it.spoken[-1] == agents.BACK_AGAIN
            it.online.typed("hello")
            await it.heard()
            assert it.spoken[-1] == "words"
            assert not it.online.ended_by_agent

    asyncio.run(run())


def test_the_longest_agent_phase_has_words_of_its_own() -> None:
    """A caller who talks is not told that nobody can hear them."""

    async def run() -> None:
        async with line(longest_agent_phase=0.05) as it:
            await asyncio.sleep(0.06)
            it.online.typed("hello")
            await it.heard()
            assert it.spoken[-1] == agents.TIME_IS_UP
            assert it.online.reason == "timeout"

    asyncio.run(run())


def test_a_transfer_that_fails_unforeseen_ends_in_an_apology() -> None:
    """The caller was parked already: without it, silence and then the end of the call."""

    async def run() -> None:
        async with line() as it:
            it.transfers.fails = RuntimeError("unforeseen")
            it.caller.tell(LegKey("0", "rfc4733"))
            await it.heard()
            assert it.spoken[-1] == agents.APOLOGY
            assert it.online.typed("hello")
            await it.heard()
            assert it.spoken[-1] == "words"

    asyncio.run(run())


def test_a_model_that_fails_unforeseen_ends_in_an_apology() -> None:
    async def run() -> None:
        async with line() as it:
            it.model.fails = ValueError("unforeseen")
            it.online.typed("hello")
            await it.heard()
            assert it.spoken[-1] == agents.APOLOGY
            it.model.fails = None
            it.online.typed("hello")
            await it.heard()
            assert it.spoken[-1] == "words"

    asyncio.run(run())


def test_a_recogniser_that_fails_is_apologised_for() -> None:
    """It is our fault, not the caller's words; and the caller did not say "(not understood)"."""

    async def run() -> None:
        async with line() as it:
            it.hearing.said.put_nowait(Utterance("", fault=SpeechError("ear", "decode", "broken")))
            await it.heard()
            assert it.spoken[-1] == agents.APOLOGY
            assert not [report for report in it.fake.reports if getattr(report, "speaker", "") == "human"]

    asyncio.run(run())


def test_a_sentence_that_no_voice_can_say_is_replaced_by_the_apology() -> None:
    """Which was rendered at the start of the call."""

    async def run() -> None:
        async with line() as it:
            it.voice.broken.add("words")
            it.online.typed("hello")
            await it.heard()
            assert it.spoken[-1] == agents.APOLOGY

    asyncio.run(run())


def test_speech_that_the_engine_does_not_take_is_no_end_of_the_call() -> None:
    """More than the queue of the jack may hold."""

    async def run() -> None:
        async with line() as it:
            write = it.caller.jack.say.write

            def full(pcm16: bytes, rate: int) -> float:
                raise MediaError("more than 300 s of speech are queued")

            it.caller.jack.say.write = full  # type: ignore[method-assign]
            it.online.typed("hello")
            await it.heard()
            it.caller.jack.say.write = write  # type: ignore[method-assign]
            assert it.fake.notes("speech.failed")
            it.online.typed("hello")
            await it.heard()
            assert it.spoken[-1] == "words"

    asyncio.run(run())


def test_a_key_that_is_dropped_is_not_named() -> None:
    """Keys may be a PIN; the timeline says that one was dropped, not which."""

    async def run() -> None:
        async with line() as it:
            it.voice.hold("words")
            it.online.typed("hello")
            await settle()
            for _ in range(agents.MAX_WAITING_INPUTS + 1):
                it.caller.tell(LegKey("7", "rfc4733"))
            dropped = it.fake.notes("input.dropped")
            assert len(dropped) == 1
            assert "7" not in str(dropped[0].data)

    asyncio.run(run())


class Broken:
    """A voice that fails as no voice should."""

    name = "broken"

    def speak(self, text: str, language: str = "en-US") -> AsyncIterator[Pcm]:
        raise OSError("no such service")

    async def close(self) -> None:
        return None


class Plain(Broken):
    name = "plain"

    async def speak(self, text: str, language: str = "en-US") -> AsyncIterator[Pcm]:
        yield Pcm(8000, b"\0\0")


def test_a_voice_that_fails_unforeseen_is_replaced_by_the_fallback() -> None:
    async def run() -> None:
        assert (await Narrator(Broken(), Plain(), language="en-US", limit=1).render("text")).data
        with pytest.raises(SpeechError):
            await Narrator(Broken(), None, language="en-US", limit=1).render("text")

    asyncio.run(run())
