"""Each gateway profile against SIPp with the documented manners of that kind of peer, all at once on one server.

The peers: FreePBX and Asterisk (chan_pjsip), FreeSWITCH (mod_sofia), Twilio Elastic SIP Trunking, Telnyx, Vonage, and a
peer that is none of them. Kamailio has a module of its own, with the real program.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.casting import QUICK, Played, Scene, agent, all_of, nothing_left, of, transfer
from tests.support.casting import cold as cold_action
from tests.support.house import House, house
from tests.support.sipp import Sipp
from tests.support.sipp_script import (
    either,
    notify,
    place,
    press,
    receive,
    request,
    response,
    script,
    sdp,
)

pytestmark = pytest.mark.interop

LEFT = "nothing left"
SUCCESS = ("transfer-success", "none")
OWN, FOREIGN = r"\+155502[0-9]+", r"\+15550199"
ACTIVE, TERMINATED = "active;expires=60", "terminated;reason=noresource"
END = receive("BYE") + response(200, "OK")
ANSWER = response(200, "OK", body=sdp(), contact="person")


def refer(*checks: str, status: int = 202, reason: str = "Accepted", headers: tuple[str, ...] = ()) -> str:
    """The REFER comes and is answered."""
    return receive("REFER", *checks) + response(status, reason, *headers)


def called(*checks: str) -> str:
    """A person who answers an INVITE that matches; the tag is written into the To of every answer."""
    return receive("INVITE", *checks)


def tagged(text: str) -> str:
    """The To of an answer to an INVITE needs a tag of ours."""
    return text.replace("[last_To:]", "[last_To:];tag=[pid]p[call_number]")


def answered() -> str:
    """180, 200, ACK, sound, our BYE."""
    return (
        tagged(response(180, "Ringing", contact="person"))
        + tagged(ANSWER)
        + receive("ACK")
        + '  <nop><action><exec rtp_stream="sound.raw,-1,0,PCMU/8000"/></action></nop>\n'
        + END
    )


def refused(status: int, reason: str) -> str:
    return tagged(response(status, reason, contact="person")) + receive("ACK")


@dataclass(frozen=True)
class Case:
    """``caller`` follows place() and press(); ``person`` None: nobody is called. ``ends``: the peer hangs up first."""

    name: str
    profile: str
    expected: tuple[str, str]
    caller: str = END
    person: str | None = None
    offer: str = ""
    headers: tuple[str, ...] = ()
    cold: bool = False
    phone: str = ""
    before: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    override: dict[str, Any] = field(default_factory=dict)


CASES = (
    # Asterisk ---------------------------------------------------------------------------------------------------------
    # A voice frame counts as an answer, so 200 comes while the target still rings; the subscription stays open behind
    # the final NOTIFY, and no BYE follows for 60 s: it must be ours.
    Case(
        "asterisk-200-while-ringing",
        "asterisk",
        SUCCESS,
        refer(r"Refer-To: <sip:night@")
        + notify(3, "SIP/2.0 100 Trying", ACTIVE)
        + notify(4, "SIP/2.0 180 Ringing", ACTIVE)
        + notify(5, "SIP/2.0 200 OK", ACTIVE)
        + END,
        cold=True,
    ),
    # A dead target: nothing until 32 s, then NOTIFY 100 and soon the end. Our own limit has told the outcome before,
    # and what comes then is answered and changes nothing.
    Case(
        "asterisk-late-100",
        "asterisk",
        ("transfer-failed-connection-error", "refer_no_report"),
        refer() + receive("BYE") + response(200, "OK") + notify(3, "SIP/2.0 100 Trying", ACTIVE),
        cold=True,
    ),
    Case("asterisk-refuses", "asterisk", ("transfer-failed-connection-error", "refer_rejected"),
         refer(status=603, reason="Declined") + END, cold=True),
    # Two telephone-event types for two clock rates: one is answered, and it fits the codec.
    Case(
        "asterisk-two-telephone-events",
        "asterisk",
        SUCCESS,
        END,
        answered(),
        offer=sdp().replace("0 101", "0 9 101 98").rstrip()
        + "\na=rtpmap:9 G722/8000\na=rtpmap:98 telephone-event/48000\na=fmtp:98 0-16\n",
    ),
    # Within the dialog Asterisk's From and To lose the port that its INVITE had.
    Case(
        "asterisk-drops-ports",
        "asterisk",
        SUCCESS,
        END,
        answered(),
        before=request("INFO", 2, body="Signal=5\n", content_type="application/dtmf-relay").replace(
            "<sip:+15550199@[local_ip]:[local_port]>;tag", "<sip:+15550199@[local_ip]>;tag"
        ).replace("<sip:[service]@[remote_ip]:[remote_port]>[peer", "<sip:[service]@[remote_ip]>[peer")
        + receive(200),
    ),
    # Its own REFER has a Refer-To without brackets. We take none unless a gateway allows it, and the call goes on.
    Case(
        "asterisk-refers-us",
        "asterisk",
        SUCCESS,
        END,
        answered(),
        before=request("REFER", 2, "Refer-To: sip:100@127.0.0.1", "Referred-By: <sip:caller@127.0.0.1>")
        + receive(603),
    ),
    # A transfer before the answer is a 302; a target that the dial policy does not know is not called.
    Case(
        "asterisk-302-before-answer",
        "asterisk",
        ("transfer-failed-connection-error", "destination_unavailable"),
        END,
        refused(302, "Moved Temporarily").replace("sip:person@[local_ip]:[local_port]", "sip:100@elsewhere.invalid"),
    ),
    # FreePBX ----------------------------------------------------------------------------------------------------------
    Case(
        "freepbx-ulaw-only",
        "freepbx",
        SUCCESS,
        refer()
        + notify(3, "SIP/2.0 200 OK", TERMINATED)
        + END,
        offer=sdp(),
        cold=True,
    ),
    # FreeSWITCH -------------------------------------------------------------------------------------------------------
    # 202 to every REFER and 200 at once, before anybody is called. Its BYE 20 ms later crosses ours: that is tested in
    # virtual time (tests/sip/test_checklist_dialogs.py).
    Case(
        "freeswitch-200-at-once",
        "freeswitch",
        SUCCESS,
        refer() + notify(3, "SIP/2.0 200 OK", TERMINATED, event="Event: refer;id=1") + END,
        cold=True,
    ),
    Case(
        "freeswitch-no-event",
        "freeswitch",
        SUCCESS,
        refer()
        + notify(3, "SIP/2.0 200 OK", TERMINATED, event="X-No-Event: here")
        + END,
        cold=True,
    ),
    Case(
        "freeswitch-transfers-disabled",
        "freeswitch",
        ("transfer-failed-connection-error", "refer_rejected"),
        refer(status=403, reason="Forbidden") + END,
        cold=True,
    ),
    # Twilio -----------------------------------------------------------------------------------------------------------
    # Numbers without + are 400; the caller's number is read from From alone.
    Case(
        "twilio-plus",
        "twilio",
        SUCCESS,
        END,
        called(r"^INVITE sip:\+4930123456@", rf"From: .*<sip:{OWN}@") + answered(),
        phone="+4930123456",
    ),
    # A foreign number is 403; it is tried once more with the agent's own.
    Case(
        "twilio-foreign-number",
        "twilio",
        SUCCESS,
        END,
        either(rf"From: .*<sip:{FOREIGN}@", refused(403, "Forbidden"), answered()),
        phone="+4930123456",
        fields={"caller_id": {"mode": "original"}},
    ),
    # Refer-To at the trunk's own host; after the final NOTIFY the BYE is ours, or the caller hears nothing for 32 s.
    Case(
        "twilio-refer-to-the-trunk",
        "twilio",
        SUCCESS,
        refer(r"Refer-To: <sip:\+4930123456@127\.0\.0\.1")
        + notify(3, "SIP/2.0 100 Trying", ACTIVE)
        + notify(4, "SIP/2.0 200 OK", TERMINATED)
        + END,
        phone="+4930123456",
        cold=True,
    ),
    # An unsuitable target is accepted with 202 and refused in the NOTIFY.
    Case(
        "twilio-notify-403",
        "twilio",
        ("transfer-failed-connection-error", "transfer_blocked_by_carrier"),
        refer()
        + notify(3, "SIP/2.0 403 Forbidden", TERMINATED)
        + END,
        cold=True,
    ),
    # Telnyx -----------------------------------------------------------------------------------------------------------
    # The original number passes with a Diversion that names the number that was called.
    Case(
        "telnyx-diversion",
        "telnyx",
        SUCCESS,
        END,
        called(
            rf"P-(Asserted|Preferred)-Identity: .*<?sip:{FOREIGN}@",
            rf"Diversion: .*<?sip:{OWN}@",
            r"^INVITE sip:\+15557654321@",
        )
        + answered(),
        phone="+15557654321",
        fields={"caller_id": {"mode": "original"}},
    ),
    # A spoofed international number is 503; the agent's own is tried.
    Case(
        "telnyx-spoofed-503",
        "telnyx",
        SUCCESS,
        END,
        either(rf"Diversion: .*{OWN}", refused(503, "Service Unavailable"), answered()),
        phone="+15557654321",
        fields={"caller_id": {"mode": "original"}},
    ),
    # REFER is 603 until Telnyx switches it on: with a fallback the call is bridged instead.
    Case(
        "telnyx-refer-not-enabled",
        "telnyx",
        SUCCESS,
        refer(status=603, reason="Decline") + END,
        answered(),
        cold=True,
        fields={"refer_fallback": "invite"},
    ),
    # Vonage -----------------------------------------------------------------------------------------------------------
    Case(
        "vonage-from",
        "vonage",
        SUCCESS,
        END,
        called(rf"From: .*<sip:{OWN}@", r"^INVITE sip:\+447700900000@") + answered(),
        phone="+447700900000",
    ),
    # A peer by the book -----------------------------------------------------------------------------------------------
    Case(
        "generic-by-the-book",
        "generic",
        SUCCESS,
        refer(r"Refer-To: <sip:night@[^>]*X-Account-ID=7", r"Referred-By: ")
        + notify(3, "SIP/2.0 100 Trying", ACTIVE)
        + notify(4, "SIP/2.0 180 Ringing", ACTIVE)
        + notify(5, "SIP/2.0 200 OK", TERMINATED)
        + END,
        cold=True,
        fields={"sip_headers": [{"name": "X-Account-ID", "value": "7"}]},
    ),
    Case(
        "generic-no-refer",
        "generic",
        ("transfer-failed-connection-error", "transfer_method_unsupported"),
        refer(status=405, reason="Method Not Allowed", headers=("Allow: INVITE, ACK, BYE, CANCEL",)) + END,
        cold=True,
    ),
    Case(
        "generic-busy-in-notify",
        "generic",
        ("transfer-failed-connection-error", "busy"),
        refer()
        + notify(3, "SIP/2.0 486 Busy Here", TERMINATED)
        + END,
        cold=True,
    ),
)  # fmt: skip
NUMBERS = {case.name: f"+155502{index:03}" for index, case in enumerate(CASES)}
Results = dict[str, Played | BaseException | None]
each_case: Callable[[Any], Any] = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def action(case: Case, port: int) -> dict[str, Any]:
    """The transfer of a case."""
    fields = {"gateway": case.name, **case.fields}
    if case.cold and not case.phone:
        made = cold_action(case.name, **fields)
        return made | ({"sip_uri": f"sip:night@127.0.0.1:{port}"} if case.person is not None else {})
    made = (
        cold_action(case.name, **fields) if case.cold else transfer(case.name, f"sip:human@127.0.0.1:{port}", **fields)
    )
    if case.phone:
        del made["sip_uri"]
        made["phone"] = case.phone
    return made


def directory(ports: dict[str, int]) -> str:
    """An agent and a gateway for each case."""
    agents = [agent(case.name, NUMBERS[case.name], action(case, ports[case.name])) for case in CASES]
    gateways = [
        {
            "name": case.name,
            "profile": case.profile,
            "host": "127.0.0.1",
            "port": ports[case.name],
            "allowed_prefixes": ["+"],
            **({"override": case.override} if case.override else {}),
        }
        for case in CASES
    ]
    text: str = yaml.safe_dump({"agents": agents, "gateways": gateways}, sort_keys=False)
    return text.replace("{", "{{").replace("}", "}}")


async def play(h: House, case: Case, person: Sipp | None, folder: Path) -> Played:
    if person is not None:
        await person.start()
    place_it = place(*case.headers, body=case.offer or None)
    cseq = 3 if case.before else 2
    steps = (place_it, case.before, press("0", cseq), case.caller)
    phone = Sipp(
        script(folder, "caller", *steps),
        folder / "caller",
        remote=f"127.0.0.1:{h.port}",
        service=NUMBERS[case.name],
    )
    await phone.start()
    scene = Scene(h, NUMBERS[case.name])
    await scene.opened()
    await scene.claimed()
    if case.person is not None:
        await asyncio.sleep(0.1)
        await scene.hang_up()
    await scene.over()
    (await phone.finish()).check()
    if person is not None:
        (await person.finish()).check()
    return Played(await scene.record(), scene.sip, scene)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("profiles")

    async def main() -> Results:
        people: dict[str, Sipp] = {}
        ports = {}
        for case in CASES:
            ports[case.name] = 9
            if case.person is not None:
                calls = 2 if "<label" in case.person else 1
                text = case.person if '<recv request="INVITE"' in case.person else called() + case.person
                scenario = script(folder / case.name, "person", text)
                people[case.name] = Sipp(scenario, folder / case.name / "person", calls=calls)
                ports[case.name] = people[case.name].port
        try:
            settings: dict[str, Any] = {name: dict(fields) for name, fields in QUICK.items()}
            async with house(folder, directory(ports), **settings) as h:
                results: Results = await all_of(
                    {
                        case.name: lambda case=case: play(h, case, people.get(case.name), folder / case.name)  # type: ignore[misc]
                        for case in CASES
                    }
                )
                return results | await all_of({LEFT: lambda: nothing_left(h)})
        finally:
            await Sipp.end_all()

    return asyncio.run(main())


def result(played: Results, name: str) -> Played:
    one = of(played, name)
    assert one is not None
    return one


@each_case
def test_outcome(played: Results, case: Case) -> None:
    """Protects transfers by this kind of peer: what it does is understood, and its script gets every answer."""
    assert result(played, case.name).outcome == case.expected


def test_an_early_200_is_recorded_as_what_it_is(played: Results) -> None:
    """Protects the record from calling a ringing target a connected person."""
    for name in ("asterisk-200-while-ringing", "freeswitch-200-at-once"):
        one = result(played, name)
        assert any("before a person has answered" in note for note in one.attempt["notes"]), one.attempt["notes"]
        assert not one.action["verified"]


def test_the_bye_after_a_final_notify_is_ours_and_comes_at_once(played: Results) -> None:
    """Protects the caller from up to 32 s (Twilio) or 60 s (Asterisk) of silence after the transfer."""
    for name in ("asterisk-200-while-ringing", "freepbx-ulaw-only", "twilio-refer-to-the-trunk", "generic-by-the-book"):
        assert result(played, name).sip.starts("caller", "out").count("BYE") == 1


def test_one_telephone_event_type_is_answered(played: Results) -> None:
    """Protects the keys: of two types the one for the codec's clock rate is taken (RFC 4733 §2.4.1)."""
    answer = result(played, "asterisk-two-telephone-events").sip.messages("caller", "out", "200 INVITE")[0]
    assert re.findall(r"a=rtpmap:(\d+) telephone-event/(\d+)", answer) == [("101", "8000")]


def test_a_late_report_is_answered_and_changes_nothing(played: Results) -> None:
    """Protects a finished record from a NOTIFY that comes after its outcome."""
    one = result(played, "asterisk-late-100")
    assert "200 NOTIFY" in one.sip.starts("caller", "out")


def test_a_foreign_number_is_tried_once_and_then_the_agents(played: Results) -> None:
    """Protects against a loop of refusals, and against a transfer that fails for its caller ID alone."""
    for name in ("twilio-foreign-number", "telnyx-spoofed-503"):
        attempts = result(played, name).action["attempts"]
        assert len(attempts) == 2
        assert attempts[1]["result"]["outcome"] == "transfer-success"


def test_nothing_stays_behind(played: Results) -> None:
    """After all of these peers every table is empty."""
    of(played, LEFT)
