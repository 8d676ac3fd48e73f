"""The driver at the worst moments: speech that comes late, cords that cross, a caller who has just left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from cordboard.calls.leg import LegAnswered, LegEnded, LegKey, LegMediaSeen, LegRinging
from cordboard.media import JackStats, MediaError
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri
from cordboard.transfer.driver import TransferDriver
from cordboard.transfer.events import Refused
from cordboard.transfer.outcome import Outcome, Reason
from cordboard.transfer.policy import Policy, Target
from cordboard.transfer.ports import Route, TransferClaimed, TransferFinished, TransferStep
from tests.support.fakes import FakeCall, FakeLeg, SlowVoice, fake_call, settle

PERSON = Target("sip:person@192.0.2.1", "office", ring_timeout=20)
WARM = Policy(targets=(PERSON,), rounds=((0,),), announcement="hold on", whisper=True, failed_message="Sorry.")
HOLD = object()
QUESTION = "question"
WHISPER = "whisper"


class Nothing:
    """Prepares nothing; briefs with one word."""

    async def prepare(self) -> Sequence[Refused]:
        return ()

    async def brief(self) -> str:
        return WHISPER


@dataclass
class Rig:
    """One driver and what surrounds it."""

    fake: FakeCall
    voice: SlowVoice
    driver: TransferDriver
    taken: list[str]

    @property
    def caller(self) -> FakeLeg:
        return self.fake.caller

    @property
    def person(self) -> FakeLeg:
        return self.fake.user_agent.dialled[-1]

    def of(self, kind: type[Any]) -> list[Any]:
        return [report for report in self.fake.reports if isinstance(report, kind)]

    @property
    def outcome(self) -> tuple[Outcome, Reason]:
        claim = self.of(TransferClaimed)[0].claim
        return claim.outcome, claim.reason

    async def answer(self) -> FakeLeg:
        """The announcement is played and the person answers."""
        await settle()
        self.caller.play()
        self.person.tell(LegRinging(180, "Ringing", False))
        self.person.state = "answered"
        self.person.tell(LegAnswered(200, "OK"))
        self.person.tell(LegMediaSeen())
        await settle()
        return self.person

    def bridged(self) -> bool:
        return self.caller.jack.hearing is self.person.jack and self.person.jack.hearing is self.caller.jack


@asynccontextmanager
async def rig(policy: Policy, *, start: bool = True) -> AsyncIterator[Rig]:
    fake, voice, taken = fake_call(), SlowVoice(), list[str]()

    def take() -> Any:
        taken.append("call")
        return lambda: taken.remove("call") if taken else None

    where = Uri("sip", "person", host="192.0.2.1")
    route = Route(where, lambda caller_id: Address(where), lambda caller_id: (), take=take)
    async with fake.call:
        driver = TransferDriver(
            fake.call,
            action_id="action",
            name="person",
            policy=policy,
            routes=[route],
            speaker=voice,
            briefer=Nothing(),
            preparer=Nothing(),
            hold=cast(Any, HOLD),
            screening_question=QUESTION,
            park=lambda: None,
            sink=fake.reports.append,
        )
        if start:
            driver.start()
        yield Rig(fake, voice, driver, taken)


def test_a_whisper_that_is_rendered_late_does_not_cut_the_bridge() -> None:
    """The person presses 1 while the whisper is still being rendered: what comes of the voice later is dropped."""

    async def run() -> None:
        async with rig(replace(WARM, screening=True)) as it:
            gate = it.voice.hold(WHISPER)
            person = await it.answer()
            person.tell(LegKey("1", "rfc4733"))
            await settle()
            assert it.bridged()
            gate.set()
            await settle()
            assert it.bridged(), "the whisper took the caller off the person's ear"
            assert not person.jack.say.written

    asyncio.run(run())


def test_a_question_that_is_rendered_late_does_not_cut_the_bridge() -> None:
    """The person presses 1 after the whisper, before the question can be heard."""

    async def run() -> None:
        async with rig(replace(WARM, screening=True)) as it:
            gate = it.voice.hold(QUESTION)
            person = await it.answer()
            person.play()
            await settle()
            assert QUESTION in it.voice.asked
            person.tell(LegKey("1", "rfc4733"))
            await settle()
            assert it.bridged()
            gate.set()
            await settle()
            assert it.bridged(), "the question took the caller off the person's ear"

    asyncio.run(run())


def test_a_mark_that_was_on_its_way_does_not_cut_the_bridge() -> None:
    """Key and end of the whisper come out of the engine together, the key first."""

    async def run() -> None:
        async with rig(replace(WARM, screening=True)) as it:
            person = await it.answer()
            marks = list(person.jack.say.marks)
            assert marks
            person.tell(LegKey("1", "rfc4733"))
            person.jack.say.marks = marks
            person.play()
            await settle()
            assert it.bridged(), "the end of the whisper took the caller off the person's ear"

    asyncio.run(run())


def test_after_the_question_the_person_hears_a_quiet_line() -> None:
    """An empty queue sends nothing at all, which a NAT or the person's telephone takes for a dead line."""

    async def run() -> None:
        async with rig(replace(WARM, screening=True)) as it:
            person = await it.answer()
            person.play()
            await settle()
            person.play()
            assert person.jack.hearing is it.fake.user_agent.comfort

    asyncio.run(run())


def test_nobody_is_dialled_for_a_caller_who_has_left_before_the_start() -> None:
    """BYE and the key in one batch: the key was still waiting when the leg ended."""

    async def run() -> None:
        async with rig(WARM, start=False) as it:
            it.caller.tell(LegEnded("bye", None, False))
            it.driver.start()
            await settle()
            assert all(leg.over for leg in it.fake.user_agent.dialled), "a telephone rings for nobody"
            assert it.outcome == (Outcome.CANCELLED, Reason.CALLER_HUNG_UP)
            assert it.driver.report.done()
            assert not it.fake.notes("fault")

    asyncio.run(run())


def test_the_caller_hears_music_while_the_announcement_is_rendered() -> None:
    """A voice that is slow leaves no silence (rule 2)."""

    async def run() -> None:
        async with rig(WARM) as it:
            gate = it.voice.hold("hold on")
            await asyncio.sleep(0.35)
            assert it.caller.jack.hearing is HOLD
            gate.set()
            await settle()
            assert it.caller.jack.hearing is it.caller.jack.say

    asyncio.run(run())


def test_an_announcement_that_comes_too_late_is_neither_spoken_nor_recorded() -> None:
    """The limit has passed and hold music plays; words written now would be heard at some later switch."""

    async def run() -> None:
        timeouts = replace(WARM.timeouts, announcement=0.05)
        async with rig(replace(WARM, timeouts=timeouts)) as it:
            gate = it.voice.hold("hold on")
            await asyncio.sleep(0.1)
            assert it.caller.jack.hearing is HOLD
            gate.set()
            await settle()
            assert it.caller.jack.hearing is HOLD
            assert not it.caller.jack.say.written
            assert not [report for report in it.fake.reports if getattr(report, "speaker", "") == "bot"]

    asyncio.run(run())


def test_a_leg_that_the_engine_refuses_fails_at_once_and_gives_its_place_back() -> None:
    """No descriptor left: not a ring timeout, and the gateway's count of calls does not grow for ever."""

    async def run() -> None:
        async with rig(WARM, start=False) as it:
            it.fake.user_agent.fails = MediaError("the system refuses more sockets or threads")
            it.driver.start()
            await settle()
            assert it.outcome == (Outcome.CONNECTION_ERROR, Reason.MEDIA_NEGOTIATION_FAILED)
            assert not it.taken

    asyncio.run(run())


def test_a_fault_of_ours_in_dialling_fails_the_leg() -> None:
    """Whatever it is, the transfer ends with an outcome, and the gateway gets its call back."""

    async def run() -> None:
        async with rig(WARM, start=False) as it:
            it.fake.user_agent.fails = RuntimeError("unforeseen")
            it.driver.start()
            await settle()
            assert it.outcome == (Outcome.CONNECTION_ERROR, Reason.CARRIER_UNAVAILABLE)
            assert not it.taken

    asyncio.run(run())


def test_a_goodbye_that_is_cut_off_leaves_no_mix_behind() -> None:
    """The caller hangs up while both hear it: its mark never comes."""

    async def run() -> None:
        async with rig(replace(WARM, goodbye="goodbye")) as it:
            person = await it.answer()
            person.play()
            await settle()
            assert it.fake.user_agent.board.mixes
            it.caller.tell(LegEnded("bye", None, False))
            await settle()
            assert all(mix.closed for mix in it.fake.user_agent.board.mixes)

    asyncio.run(run())


def test_a_goodbye_is_not_begun_once_the_caller_is_back_with_the_agent() -> None:
    """Rendered while the person gives the caller back with two stars."""

    async def run() -> None:
        policy = replace(WARM, goodbye="goodbye")
        async with rig(policy) as it:
            gate = it.voice.hold("goodbye")
            person = await it.answer()
            person.play()
            it.caller.tell(LegMediaSeen())
            await settle()
            assert it.bridged()
            it.driver.cancel()
            person.tell(LegKey("*", "rfc4733"))
            person.tell(LegKey("*", "rfc4733"))
            await settle()
            before = it.caller.jack.hearing
            gate.set()
            await settle()
            assert it.caller.jack.hearing is before

    asyncio.run(run())


def test_watching_for_media_ends_with_the_claim() -> None:
    """A muted party is not looked for 50 times a second until the end of a long call."""

    async def run() -> None:
        timeouts = replace(WARM.timeouts, bridge_media=0.05)
        async with rig(replace(WARM, timeouts=timeouts)) as it:
            person = await it.answer()
            it.caller.tell(LegMediaSeen())
            person.play()
            await asyncio.sleep(0.15)
            assert it.of(TransferClaimed)
            asked = 0

            def stats() -> JackStats:
                nonlocal asked
                asked += 1
                return JackStats()

            it.caller.jack.stats = stats  # type: ignore[method-assign]
            await asyncio.sleep(0.1)
            assert not asked

    asyncio.run(run())


def test_keys_that_we_send_are_not_on_the_timeline() -> None:
    """An extension may be a PIN."""

    async def run() -> None:
        async with rig(replace(WARM, digits="4711w99")) as it:
            await it.answer()
            told = "\n".join(str(report) for report in it.of(TransferStep))
            assert "SendDigits" in told
            assert "4711" not in told

    asyncio.run(run())


def test_the_longest_call_ends_a_bridge_by_its_name() -> None:
    """The call's own limit is neither the person's hanging up nor a shutdown."""

    async def run() -> None:
        async with rig(WARM) as it:
            person = await it.answer()
            person.play()
            it.caller.tell(LegMediaSeen())
            await settle()
            assert it.bridged()
            person.jack.counters = it.caller.jack.counters = JackStats(packets_in=5)
            await asyncio.sleep(0.06)
        finished = it.of(TransferFinished)
        assert len(finished) == 1
        assert finished[0].claim.outcome is Outcome.SUCCESS
        notes = " ".join(it.driver.state.attempts[0].notes)
        assert "person's side" not in notes
        assert person.over

    asyncio.run(run())


def test_the_end_of_a_call_in_a_transfer_leaves_nothing_unawaited() -> None:
    """What is started while the call closes is never begun, and is closed."""

    async def run() -> None:
        async with rig(replace(WARM, failed_message="sorry")) as it:
            it.voice.hold("hold on")
            await settle()
        assert it.outcome[0] is Outcome.CANCELLED
        assert it.person.over

    asyncio.run(run())
