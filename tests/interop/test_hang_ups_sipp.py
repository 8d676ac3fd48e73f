"""Somebody hangs up, at every moment of a call; two calls at once; re-INVITEs with the agent and in the bridge.

SIPp waits for the test's cue, which is given when the server has reported that the moment has come.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cordboard.calls.events import CallOpened
from cordboard.conversation.agent import BACK_AGAIN
from cordboard.transfer.ports import TransferStep
from tests.support.audio import read_stereo, tone_seconds
from tests.support.casting import (
    NOTHING,
    Played,
    Scene,
    agent,
    all_of,
    caller,
    nothing_left,
    of,
    stage,
    transfer,
)
from tests.support.house import House, lab_person
from tests.support.sipp import Sipp

pytestmark = pytest.mark.interop

SUCCESS = ("transfer-success", "none")
CANCELLED = ("transfer-cancelled", "caller_hung_up")
LONG = "x" * 200
"""Four seconds of speech."""
NUMBERS = {
    name: f"+155503{index:02}"
    for index, name in enumerate(
        (
            "greeting",
            "announcement",
            "ringing",
            "whisper",
            "bridge",
            "before-answer",
            "person-whisper",
            "person-bridge",
            "person-returns",
            "two",
            "reinvites",
            "silent-two",
        )
    )
}
PERSON_TONE = 880
Results = dict[str, Any]


class Play:
    """The scenes, on one server."""

    def __init__(self, h: House, folder: Path, people: dict[str, Sipp]) -> None:
        self.h = h
        self.folder = folder
        self.people = people

    async def caller_leaves(self, name: str) -> Played:
        """The caller sends BYE at the moment that the scene is named after."""
        person = self.people.get(name)
        if person is not None:
            await person.start()
        scenario = "caller-hangs-up.xml" if name == "greeting" else "caller-presses-then-hangs-up.xml"
        phone = caller(self.h, self.folder / name, NUMBERS[name], scenario)
        await phone.start()
        scene = Scene(self.h, NUMBERS[name])
        await scene.opened()
        match name:
            case "greeting":
                await scene.spoken(LONG)
            case "announcement":
                await scene.spoken(LONG)
                await scene.news("ringing")
            case "ringing":
                await scene.told(TransferStep, lambda step: step.state == "Holding target-1:Early")
            case "whisper":
                await scene.told(TransferStep, lambda step: "target-1:Briefing" in step.state)
            case _:
                await scene.claimed()
        scene.cue("caller", phone)
        await scene.over()
        (await phone.finish()).check()
        if person is not None:
            (await person.finish()).check()
        return Played(await scene.record(), scene.sip, scene)

    async def caller_cancels(self) -> Played:
        """The caller gives up while the prepared call is looked up, which this scene makes slow."""
        phone = caller(
            self.h,
            self.folder / "before-answer",
            NUMBERS["before-answer"],
            "caller-cancels.xml",
            {"caller": SLOW_CALLER},
        )
        await phone.start()
        scene = Scene(self.h, NUMBERS["before-answer"])
        (await phone.finish()).check()
        self.looked_up.set()
        await scene.opened()
        await scene.over()
        return Played(await scene.record(), scene.sip, scene)

    looked_up: asyncio.Event

    async def person_leaves(self, name: str) -> Played:
        """The person sends BYE at the moment that the scene is named after."""
        person = self.people[name]
        await person.start()
        phone = caller(self.h, self.folder / name, NUMBERS[name])
        await phone.start()
        scene = Scene(self.h, NUMBERS[name])
        await scene.opened()
        if name == "person-whisper":
            await scene.told(TransferStep, lambda step: "target-1:Briefing" in step.state)
        else:
            await scene.claimed()
        scene.cue("target-1", person)
        if name == "person-whisper":
            await scene.spoken("sorry")
            await scene.hang_up()
        elif name == "person-returns":
            await scene.told(TransferStep, lambda step: step.state.startswith("Returned"))
            await scene.spoken(BACK_AGAIN)
            assert self.h.server.typed(scene.call_id, "Hello again.")
            await scene.spoken("Hello again.")
            await scene.hang_up()
        await scene.over()
        (await phone.finish()).check()
        (await person.finish()).check()
        return Played(await scene.record(), scene.sip, scene)

    async def two_at_once(self) -> list[Played]:
        """Two callers ask for the same action of the same agent at the same time."""
        number = NUMBERS["two"]
        person = self.people["two"]
        await person.start()
        phones = [
            caller(self.h, self.folder / "two", number, keys={"caller": f"+1555018{index}"}, name=f"caller-{index}")
            for index in range(2)
        ]
        await asyncio.gather(*(phone.start() for phone in phones))
        calls = await self.h.until(
            lambda: calls if len(calls := [c for c in self.h.of(CallOpened) if c.to_number == number]) == 2 else None,
            what="two calls",
        )
        scenes = [Scene(self.h, number) for _ in calls]
        for scene, opened in zip(scenes, calls, strict=True):
            scene.call_id = opened.call_id
        for scene in scenes:
            await scene.claimed()
        for scene in scenes:
            await scene.hang_up()
            await scene.over()
        for program in (*phones, person):
            (await program.finish()).check()
        return [Played(await scene.record(), scene.sip, scene) for scene in scenes]

    async def reinvites(self) -> Played:
        """Hold, resume and another codec, with the agent and then in the bridge."""
        phone = caller(self.h, self.folder / "reinvites", NUMBERS["reinvites"], "caller-reinvites.xml")
        await phone.start()
        scene = Scene(self.h, NUMBERS["reinvites"])
        await scene.opened()
        await scene.claimed()
        scene.cue("caller", phone)
        await self.h.until(
            lambda: scene.sip.starts("caller", "out").count("200 INVITE") == 7, what="seven answered INVITEs"
        )
        await asyncio.sleep(1.0)  # the parties talk
        scene.cue("caller", phone)
        await scene.over()
        (await phone.finish()).check()
        return Played(await scene.record(), scene.sip, scene)


SLOW_CALLER = "+15550777"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("hang-ups")
    scenarios = {
        "announcement": "person-rings.xml",
        "ringing": "person-rings.xml",
        "whisper": "person-answers.xml",
        "bridge": "person-answers.xml",
        "person-whisper": "person-hangs-up.xml",
        "person-bridge": "person-hangs-up.xml",
        "person-returns": "person-hangs-up.xml",
        "two": "person-answers.xml",
    }
    people = {
        name: Sipp(scenario, folder / name / "person", keys={"extra": NOTHING}, calls=2 if name == "two" else 1)
        for name, scenario in scenarios.items()
    }

    async def main() -> Results:
        async with lab_person(
            folder, "human", line="", listens_first=False, answers_after=0.1, tone=PERSON_TONE
        ) as somebody:
            agents = []
            for name, number in NUMBERS.items():
                port = people[name].port if name in people else somebody.user_agent.shell.ports[0]
                fields: dict[str, Any] = {}
                if name == "announcement":
                    fields["initiating_msg"] = LONG
                if name in ("whisper", "person-whisper"):
                    fields["message_to_transfer_target"] = f"whisper {LONG}"
                if name == "person-returns":
                    fields["return_to_agent"] = True
                greeting = LONG if name == "greeting" else "greeting"
                action = transfer(name, f"sip:human@127.0.0.1:{port}", **fields)
                agents.append(agent(name, number, action, greeting_message=greeting))
            async with stage(folder, *agents) as h:
                play = Play(h, folder, people)
                play.looked_up = asyncio.Event()
                store = h.server.store
                look_up = store.claim_matching

                async def slowly(from_number: str, to_number: str, **rest: Any) -> Any:
                    if from_number == SLOW_CALLER:
                        await play.looked_up.wait()
                    return await look_up(from_number, to_number, **rest)

                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(store, "claim_matching", slowly)
                    results: Results = await all_of(
                        {
                            **{
                                name: lambda name=name: play.caller_leaves(name)  # type: ignore[misc]
                                for name in ("greeting", "announcement", "ringing", "whisper", "bridge")
                            },
                            **{
                                name: lambda name=name: play.person_leaves(name)  # type: ignore[misc]
                                for name in ("person-whisper", "person-bridge", "person-returns")
                            },
                            "before-answer": play.caller_cancels,
                            "two": play.two_at_once,
                            "reinvites": play.reinvites,
                        }
                    )
                results |= await all_of({"left": lambda: nothing_left(h)})
                return results

    return asyncio.run(main())


def test_caller_leaves_during_the_greeting(played: Results) -> None:
    """The call is over at once, as the caller's; no action has run."""
    record = of(played, "greeting").record
    assert record["executed_actions"] == {}
    assert (record["status"], record["end_call_reason"]) == ("completed", "human_ended_call")
    assert (record["telephony_hangup"], record["telephony_disconnect_reason"]) == ("caller", "caller_hangup")
    assert record["duration"] <= 2


@pytest.mark.parametrize("moment", ["announcement", "ringing"])
def test_caller_leaves_and_the_telephone_stops_ringing(played: Results, moment: str) -> None:
    """Lesson 12: the ringing leg is cancelled, the outcome is cancelled by the caller, and the call is over at once."""
    one: Played = of(played, moment)
    assert one.outcome == CANCELLED
    assert one.sip.starts("target-1", "out") == ["INVITE", "CANCEL", "ACK"]
    assert one.attempt["answered"] is None
    assert one.attempt["ringing"] is not None
    assert one.attempt["ended"] is not None
    assert (one.record["status"], one.record["end_call_reason"]) == ("completed", "human_ended_call")
    assert one.record["telephony_hangup"] == "caller"
    assert one.record["duration"] <= 3


def test_caller_leaves_while_the_person_is_briefed(played: Results) -> None:
    """Lessons 12 and 14: nobody is briefed about a caller who is gone; BYE comes in the middle of the whisper."""
    one: Played = of(played, "whisper")
    assert one.outcome == CANCELLED
    assert one.sip.starts("target-1", "out") == ["INVITE", "ACK", "BYE"]
    assert one.attempt["answered"] is not None
    assert one.attempt["bridged"] is None
    assert one.attempt["ended"] - one.attempt["answered"] < 2.0
    assert one.record["telephony_hangup"] == "caller"


def test_caller_leaves_the_bridge(played: Results) -> None:
    """The BYE is carried across, and the transfer stays the success that it was."""
    one: Played = of(played, "bridge")
    assert one.outcome == SUCCESS
    assert one.action["verified"]
    assert one.sip.starts("target-1", "out") == ["INVITE", "ACK", "BYE"]
    assert (one.record["end_call_reason"], one.record["telephony_hangup"]) == ("human_ended_call", "caller")


def test_caller_gives_up_before_the_answer(played: Results) -> None:
    """RFC 3261 §9.2: CANCEL is answered, the INVITE gets 487; the record says canceled by the user."""
    one: Played = of(played, "before-answer")
    assert one.sip.starts("caller", "out") == ["100 INVITE", "200 CANCEL", "487 INVITE"]
    assert (one.record["status"], one.record["end_call_reason"]) == ("canceled", "user_canceled")
    assert one.record["telephony_hangup"] == "caller"
    assert one.record["executed_actions"] == {}


def test_person_leaves_during_the_whisper(played: Results) -> None:
    """The person was reached and left: the caller goes back to the agent, who says so."""
    one: Played = of(played, "person-whisper")
    assert one.outcome == ("transfer-failed-connection-error", "target_hung_up")
    assert one.attempt["sip_status"] == 200
    lines = [line["text"] for line in one.record["transcript_lines"]]
    assert [line for line in lines if line != "announcement"] == ["greeting", "sorry"]
    assert one.sip.starts("target-1", "out")[-1] == "200 BYE"


def test_person_leaves_the_bridge(played: Results) -> None:
    """The caller gets BYE in turn; the record says that our side ended the call."""
    one: Played = of(played, "person-bridge")
    assert one.outcome == SUCCESS
    assert one.sip.starts("caller", "out")[-1] == "BYE"
    assert (one.record["status"], one.record["end_call_reason"]) == ("completed", "agent_ended_call")
    assert one.record["telephony_hangup"] == "callee"


def test_person_leaves_and_the_caller_returns(played: Results) -> None:
    """With `return_to_agent` the caller is back with the agent, who listens again."""
    one: Played = of(played, "person-returns")
    assert one.outcome == SUCCESS
    assert "human: Hello again." in one.record["transcript"]
    assert "could not connect" not in one.record["transcript"]


def test_two_calls_of_one_action(played: Results) -> None:
    """Lesson 34: each call has a transfer of its own, and each exactly one."""
    both: list[Played] = of(played, "two")
    assert len({one.record["call_id"] for one in both}) == 2
    for one in both:
        assert one.outcome == SUCCESS
        assert len(one.action["attempts"]) == 1
        assert one.sip.starts("target-1", "out") == ["INVITE", "ACK", "BYE"]
    assert {one.record["phone_number_from"] for one in both} == {"+15550180", "+15550181"}


def test_reinvites_change_nothing_but_the_media(played: Results, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Lesson 30: after hold, resume and other codecs, with the agent and in the bridge, the caller hears the person."""
    one: Played = of(played, "reinvites")
    assert one.outcome == SUCCESS
    assert one.sip.starts("caller", "out").count("200 INVITE") == 7
    assert one.sip.starts("target-1", "out") == ["INVITE", "ACK", "BYE"]
    assert one.record["warnings"] == []
    folder = one.scene.h.server.settings.records.folder
    rate, _, heard = read_stereo(folder / one.record["call_id"] / "caller.wav")
    last = heard[-2 * round(0.7 * rate) : -2 * round(0.1 * rate)]
    assert tone_seconds(last, rate, PERSON_TONE) >= 0.4


def test_nothing_stays_behind(played: Results) -> None:
    """After all of these endings no session, dialog, transaction, timer, jack, port or transfer is left."""
    of(played, "left")
