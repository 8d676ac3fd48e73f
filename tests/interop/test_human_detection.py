"""Human detection on real calls: a person is briefed and bridged, a machine is not (lessons 25 and 26)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from cordboard.lab.people import Behaviour
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri
from cordboard.speech.voices import open_voice
from cordboard.transfer.ports import TransferClaimed
from tests.support.house import House, house, lab_person

AGENT = """
  - model_id: {name}
    name: {name}
    phone_numbers: ["{number}"]
    greeting_message: hi
    actions:
      - type: LIVE_TRANSFER
        action_id: {name}
        name: {name}
        instructions: The caller wants a person.
        key: 0
        initiating_msg: wait
        transfer_mode: warm_transfer
        sip_uri: sip:p@127.0.0.1:{port}
        message_to_transfer_target: whisper
        human_detection: true
        human_detection_timeout_seconds: 25
        voicemail_detection: true
"""
GATEWAY = "gateways: [{name: lab, host: 127.0.0.1}]"


async def _call(h: House, stack: AsyncExitStack, folder: Path, name: str, number: str) -> dict[str, Any]:
    caller = await stack.enter_async_context(
        lab_person(folder / name, Behaviour("caller", tone=440, keys="0", keys_after=0.4))
    )
    seen = caller.call(
        Uri.parse(f"sip:{number}@127.0.0.1:{h.port}"), from_=Address(Uri.parse("sip:+15550199@127.0.0.1"))
    )
    await h.until(
        lambda: [claim for claim in h.of(TransferClaimed) if claim.name == name], limit=40, what=f"{name}: an outcome"
    )
    seen.leg.hangup()
    await asyncio.wait_for(seen.ended.wait(), 10)
    await h.until(lambda: not h.server.reception.calls_to(number), what="the end")
    await h.server.writer.flush()
    async with h.api() as api:
        listed = (await api.get("/v2/calls", params={"model_id": name})).json()["response"]["calls"]
    record = await h.record(listed[0]["call_id"])
    action: dict[str, Any] = record["executed_actions"][name]
    return action


def test_a_person_is_bridged_and_a_machine_is_not(tmp_path: Path) -> None:
    """Both answer with 200; only the person's greeting ends in a bridge, the beep ends the other attempt."""

    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        async with AsyncExitStack() as stack:
            voice = open_voice("espeak")
            stack.push_async_callback(voice.close)
            person = await stack.enter_async_context(lab_person(tmp_path / "p", "greets", voice=voice))
            machine = await stack.enter_async_context(lab_person(tmp_path / "m", "voicemail", voice=voice))
            agents = "".join(
                AGENT.format(name=name, number=number, port=somebody.user_agent.shell.ports[0])
                for name, number, somebody in (("person", "+15550201", person), ("machine", "+15550202", machine))
            )
            text = f"agents:{agents}{GATEWAY}".replace("{", "{{").replace("}", "}}")
            h = await stack.enter_async_context(house(tmp_path, text))
            found = await asyncio.gather(
                _call(h, stack, tmp_path, "person", "+15550201"), _call(h, stack, tmp_path, "machine", "+15550202")
            )
            return found[0], found[1]

    person, machine = asyncio.run(main())
    assert person["return_value"]["status"] == "transfer-success"
    assert person["return_value"]["human_connected_at"]
    assert person["attempts"][0]["verdict"] == "human"
    assert machine["return_value"]["status"] == "transfer-failed-timeout"
    assert machine["return_value"]["failed_reason"] == "voicemail"
