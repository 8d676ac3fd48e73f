"""Messages that the network delivers twice: nothing happens twice, and every answer is given again."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from cordboard.calls.events import CallOpened, SipSeen
from tests.support.casting import Played, Scene, agent, caller, nothing_left, stage, transfer
from tests.support.house import lab_person

pytestmark = pytest.mark.interop

NUMBER = "+15550800"
COPIES = 3


def received(scene: Scene, leg: str, start: bytes) -> bytes:
    """A message of this leg as it came in."""
    return next(
        each.trace.data
        for each in scene.of(SipSeen)
        if each.leg == leg and each.trace.direction == "in" and each.trace.data.startswith(start)
    )


def test_repeated_messages_are_answered_again_and_do_nothing(tmp_path: Path) -> None:
    """INVITE, 200 and BYE come four times: one call, one bridge, one end; four ACKs (RFC 3261 §13.2.2.4, §17.2)."""

    async def main() -> None:
        async with lab_person(tmp_path, "human", line="", listens_first=False, answers_after=0.1, tone=880) as person:
            port = person.user_agent.shell.ports[0]
            async with stage(tmp_path, agent("open", NUMBER, transfer("a", f"sip:human@127.0.0.1:{port}"))) as h:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as network:

                    def again(data: bytes) -> None:
                        for _ in range(COPIES):
                            network.sendto(data, ("127.0.0.1", h.port))

                    phone = caller(h, tmp_path, NUMBER, "caller-presses-then-hangs-up.xml")
                    await phone.start()
                    scene = Scene(h, NUMBER)
                    await scene.opened()
                    again(received(scene, "caller", b"INVITE "))
                    await scene.claimed()
                    again(received(scene, "target-1", b"SIP/2.0 200 "))
                    await h.until(
                        lambda: scene.sip.starts("target-1", "out").count("ACK") == 1 + COPIES,
                        what="an ACK for each 200",
                    )
                    assert h.server.live_calls() == 1
                    scene.cue("caller", phone)
                    await scene.over()
                    (await phone.finish()).check()
                    again(received(scene, "caller", b"BYE "))
                    await h.until(
                        lambda: scene.sip.starts("caller", "out").count("200 BYE") == 1 + COPIES,
                        what="a 200 for each BYE",
                    )
                one = Played(await scene.record(), scene.sip, scene)
                assert one.outcome == ("transfer-success", "none")
                assert len(one.action["attempts"]) == 1
                assert one.sip.starts("target-1", "out") == ["INVITE", *["ACK"] * (1 + COPIES), "BYE"]
                assert len(h.of(CallOpened)) == len(person.calls) == 1
                assert (one.record["end_call_reason"], one.record["telephony_hangup"]) == ("human_ended_call", "caller")
                await nothing_left(h)

    asyncio.run(main())
