"""The options of a transfer action, each on a real call with people of the lab; all calls run at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cordboard.lab.people import Behaviour, Person, Seen
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri
from tests.support.audio import make_tone, read_stereo, tone_seconds, write_wav
from tests.support.house import AGENT_TONE, House, house, lab_person

MUSIC_TONE = 600

AGENT = """
  - model_id: {name}
    name: {name}
    phone_numbers: ["+1555020{index}"]
    greeting_message: hi
    actions:
      - type: LIVE_TRANSFER
        action_id: {name}
        name: {name}
        instructions: The caller wants a person.
        key: 0
        initiating_msg: wait
        timeout: 2
{options}
"""

ACTIONS = {
    "digits": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{human}\n        digits: 12w3",
    "nonsense": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{human}\n"
    '        digits: "{{X-Words}}"',
    "accepted": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{accepts}\n"
    "        message_to_transfer_target: whisper\n        screened: true",
    "declined": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{declines}\n"
    "        message_to_transfer_target: whisper\n        screened: true",
    "retried": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{unavailable}\n"
    "        retries: 1\n        retry_delay: 0.1",
    "book": "        transfer_mode: warm_transfer\n        phone_book_id: book",
    "dynamic": '        transfer_mode: warm_transfer\n        dynamic: "sip:p@127.0.0.1:{{X-Port}}"',
    "original": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{human}\n"
    "        preserve_caller_id: true",
    "goodbye": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{human}\n"
    "        goodbye_msg: goodbye to both of you",
    "returned": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{stars}\n"
    "        return_to_agent: true",
    "closed": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{human}\n"
    "        human_availability:\n          timezone: Europe/Berlin\n          schedule: []\n"
    "          unavailable_message: closed",
    "fallback": "        transfer_mode: cold_transfer\n        sip_uri: sip:p@127.0.0.1:{human}\n"
    "        refer_fallback: invite",
    "number": "        transfer_mode: warm_transfer\n        phone: '+15559990001'",
    "music": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{ring}\n"
    "        hold_music: {music}",
    "ends": "        transfer_mode: warm_transfer\n        sip_uri: sip:p@127.0.0.1:{busy}\n        on_failure: end",
}
TAIL = """
gateways:
  - name: lab
    host: 127.0.0.1
    allowed_domains: [localhost]
  - name: numbers
    host: 127.0.0.1
    port: {human}
    allowed_prefixes: ["+1555999"]
phonebooks:
  - phone_book_id: book
    name: Book
    entries:
      - {{name: Sales, sip_uri: "sip:p@127.0.0.1:{human}", transfer_condition: The caller wants to buy something.}}
"""
PEOPLE = {
    "human": Behaviour("human", answers_after=0.1, tone=880),
    "ring": Behaviour("ring", answers_after=None),
    "busy": Behaviour("busy", status=486, rings=False, answers_after=0.0),
    "unavailable": Behaviour("unavailable", status=503, rings=False, answers_after=0.0),
    "accepts": Behaviour("accepts", answers_after=0.1, keys="1", keys_after=0.6, tone=880),
    "declines": Behaviour("declines", answers_after=0.1, keys="2", keys_after=0.6),
    "stars": Behaviour("stars", answers_after=0.1, keys="**", keys_after=1.0, tone=880),
}


@dataclass
class Ran:
    """What became of one call."""

    record: dict[str, Any]
    caller: Seen
    person: dict[str, Person]
    recording: Path
    notes: list[str] = field(default_factory=list)

    @property
    def action(self) -> dict[str, Any]:
        found: dict[str, Any] = next(iter(self.record["executed_actions"].values()))
        return found

    @property
    def status(self) -> tuple[str, str]:
        value = self.action["return_value"]
        return value["status"], value["failed_reason"]


async def _one(h: House, stack: AsyncExitStack, folder: Path, name: str, port: int, people: dict[str, Person]) -> Ran:
    index = list(ACTIONS).index(name)
    behaviour = Behaviour("caller", tone=440, keys="0", keys_after=0.4, refer="refuse")
    caller = await stack.enter_async_context(lab_person(folder / name, behaviour))
    number = f"+1555020{index:02d}"
    seen = caller.call(
        Uri.parse(f"sip:{number}@127.0.0.1:{h.port}"),
        from_=Address(Uri.parse("sip:+15550199@127.0.0.1")),
        headers=(("X-Port", str(port)), ("X-Words", "twelve")),
    )
    await asyncio.wait_for(seen.answered.wait(), 10)
    await asyncio.sleep(4.5)  # the call as its parties live it
    if not seen.leg.over:
        seen.leg.hangup()
    await asyncio.wait_for(seen.ended.wait(), 10)
    await h.until(lambda: not h.server.reception.calls_to(number), what=f"{name}: the end of the call")
    await h.server.writer.flush()
    async with h.api() as api:
        listed = (await api.get("/v2/calls", params={"model_id": name})).json()["response"]["calls"]
    record = await h.record(listed[0]["call_id"])
    recordings = h.server.settings.records.folder / record["call_id"] / "caller.wav"
    return Ran(record, seen, people, recordings)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """Every call of this file."""
    folder = tmp_path_factory.mktemp("options")

    async def main() -> dict[str, Ran]:
        async with AsyncExitStack() as stack:
            people = {
                name: await stack.enter_async_context(lab_person(folder / "people", behaviour))
                for name, behaviour in PEOPLE.items()
            }
            ports: dict[str, Any] = {name: person.user_agent.shell.ports[0] for name, person in people.items()}
            ports["music"] = folder / "music.wav"
            write_wav(ports["music"], 16000, make_tone(MUSIC_TONE, 1, 16000))
            agents = "".join(
                AGENT.format(name=name, index=f"{index:02d}", options=options.format(**ports))
                for index, (name, options) in enumerate(ACTIONS.items())
            )
            text = "agents:" + agents + TAIL.format(**ports)
            h = await stack.enter_async_context(house(folder, text.replace("{", "{{").replace("}", "}}")))
            work: list[Awaitable[Ran]] = [_one(h, stack, folder, name, ports["human"], people) for name in ACTIONS]
            return dict(zip(ACTIONS, await asyncio.gather(*work), strict=True))

    return asyncio.run(main())


def _check(name: str, *, status: tuple[str, str]) -> Callable[[dict[str, Ran]], Ran]:
    def check(ran: dict[str, Ran]) -> Ran:
        assert ran[name].status == status
        return ran[name]

    return check


SUCCESS = ("transfer-success", "none")


def test_extension_digits_are_sent_before_the_bridge(ran: dict[str, Ran]) -> None:
    """Lesson 32: the extension reaches the person's side, in order."""
    found = _check("digits", status=SUCCESS)(ran)
    assert ["1", "2", "3"] in [seen.keys[:3] for seen in found.person["human"].calls]


def test_digits_that_a_variable_spoils_end_the_transfer_and_not_the_call(ran: dict[str, Ran]) -> None:
    """What a variable fills in is checked before anything is dialled; the caller stays with the agent."""
    found = _check("nonsense", status=("transfer-failed-connection-error", "invalid_destination"))(ran)
    assert found.record["telephony_hangup"] == "caller"


def test_a_screened_person_accepts_with_one(ran: dict[str, Ran]) -> None:
    """Key 1 during the whisper accepts."""
    found = _check("accepted", status=SUCCESS)(ran)
    assert found.action["attempts"][0]["screening"] == "accepted"


def test_a_screened_person_declines_with_two_and_the_caller_is_back(ran: dict[str, Ran]) -> None:
    """Key 2 declines; the agent goes on with the caller."""
    found = _check("declined", status=("transfer-screening-rejected", "declined"))(ran)
    assert found.record["telephony_hangup"] == "caller"


def test_a_transient_failure_is_tried_again(ran: dict[str, Ran]) -> None:
    """`retries` dials the same destination again and both attempts are on the record."""
    found = _check("retried", status=("transfer-failed-connection-error", "carrier_unavailable"))(ran)
    assert [attempt["sip_status"] for attempt in found.action["attempts"]] == [503, 503]


def test_the_only_entry_of_a_phone_book_is_taken(ran: dict[str, Ran]) -> None:
    """A phone book with one entry needs no choice."""
    _check("book", status=SUCCESS)(ran)


def test_a_dynamic_destination_is_read_from_a_variable(ran: dict[str, Ran]) -> None:
    """A destination that is known only during the call."""
    _check("dynamic", status=SUCCESS)(ran)


def test_a_number_leaves_by_the_gateway_that_allows_its_prefix(ran: dict[str, Ran]) -> None:
    """An E.164 number becomes a SIP user at the gateway."""
    found = _check("number", status=SUCCESS)(ran)
    assert found.action["attempts"][0]["gateway"] == "numbers"


def test_the_original_number_is_shown_on_wish(ran: dict[str, Ran]) -> None:
    """Lesson 28: From and P-Asserted-Identity carry the caller's number."""
    _check("original", status=SUCCESS)(ran)
    shown = [dict(seen.invite_headers) for seen in ran["original"].person["human"].calls]
    assert any("+15550199" in headers["From"] and "P-Asserted-Identity" in headers for headers in shown)
    assert any("P-Asserted-Identity" not in headers for headers in shown)


def test_the_goodbye_is_heard_by_the_caller_over_the_bridge(ran: dict[str, Ran]) -> None:
    """The goodbye is mixed in; the bridge does not wait for it."""
    found = _check("goodbye", status=SUCCESS)(ran)
    _, _, heard = read_stereo(found.recording)
    assert tone_seconds(heard, 8000, 880) > 0.5
    assert tone_seconds(heard, 8000, AGENT_TONE, threshold=0.2) > 0.2


def test_two_stars_bring_the_caller_back_to_the_agent(ran: dict[str, Ran]) -> None:
    """`return_to_agent`: the person gives the caller back, and the call goes on."""
    found = _check("returned", status=SUCCESS)(ran)
    assert found.record["telephony_hangup"] == "caller"
    assert all(seen.ended.is_set() for seen in found.person["stars"].calls)


def test_nothing_is_dialled_outside_the_hours(ran: dict[str, Ran]) -> None:
    """Office hours are checked before anything is dialled, and the caller hears why."""
    found = _check("closed", status=("transfer-failed-connection-error", "transfer_outside_availability"))(ran)
    assert "bot: closed" in found.record["transcript"]


def test_a_refused_refer_goes_on_as_a_bridge(ran: dict[str, Ran]) -> None:
    """Lesson 1: `refer_fallback: invite`."""
    found = _check("fallback", status=SUCCESS)(ran)
    assert [attempt["method"] for attempt in found.action["attempts"]] == ["REFER", "INVITE"]


def test_hold_music_is_the_actions_own_file(ran: dict[str, Ran]) -> None:
    """The caller hears the file while the person's phone rings."""
    found = _check("music", status=("transfer-failed-timeout", "no_answer"))(ran)
    _, _, heard = read_stereo(found.recording)
    assert tone_seconds(heard, 8000, MUSIC_TONE) > 1.0


def test_a_failed_transfer_may_end_the_call(ran: dict[str, Ran]) -> None:
    """`on_failure: end` hangs up instead of returning to the agent."""
    found = _check("ends", status=("transfer-failed-connection-error", "busy"))(ran)
    assert found.record["telephony_hangup"] == "callee"
