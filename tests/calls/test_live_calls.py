"""Over real sockets, where it is cheap: an operator in the middle of a transfer, the last port, one Call-ID."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from cordboard.calls.events import CallClosed, CallOpened
from cordboard.lab.people import Behaviour, Person
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri
from cordboard.transfer.ports import TransferClaimed, TransferNews
from tests.support.house import House, house, lab_person

CALLER = Behaviour("caller", keys="0", keys_after=0.1)
FROM = Address(Uri.parse("sip:+15550199@127.0.0.1"))


def call(h: House, caller: Person) -> Any:
    return caller.call(Uri.parse(h.uri), from_=FROM)


def test_an_operator_hangs_up_while_the_person_rings(tmp_path: Path) -> None:
    """The call is ended by our side, the transfer is cancelled by the operator, and nothing has failed."""

    async def run() -> None:
        async with (
            lab_person(tmp_path, "ring") as person,
            house(tmp_path, person_port=person.user_agent.shell.ports[0]) as h,
            lab_person(tmp_path, CALLER) as caller,
        ):
            call(h, caller)
            await h.until(lambda: [each for each in h.of(TransferNews) if each.name == "ringing"])
            assert h.server.hang_up(h.of(CallOpened)[0].call_id)
            closed = (await h.until(lambda: h.of(CallClosed)))[0]
            claim = h.of(TransferClaimed)[0].claim
            assert (claim.outcome, claim.reason) == ("transfer-cancelled", "cancelled_by_operator")
            assert (closed.status, closed.reason, closed.hung_up_by, closed.error) == (
                "completed",
                "agent_ended_call",
                "callee",
                None,
            )
            await h.until(lambda: person.calls[0].ended.is_set())

    asyncio.run(run())


def free_pair() -> int:
    """An even port that is free together with the next one."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1] & ~1
        try:
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as even,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as odd,
            ):
                even.bind(("127.0.0.1", port))
                odd.bind(("127.0.0.1", port + 1))
        except OSError:
            continue
        return port


def test_the_last_media_port_is_followed_by_503(tmp_path: Path) -> None:
    """With one port pair the second caller is told to come back, and the transfer of the first fails by its name."""
    port = free_pair()

    async def run() -> None:
        async with (
            house(tmp_path, media={"ports": f"{port}-{port + 1}"}) as h,
            lab_person(tmp_path, CALLER, keys_after=0.4) as first,
            lab_person(tmp_path, CALLER) as second,
        ):
            one = call(h, first)
            await h.until(lambda: one.answered.is_set())
            two = call(h, second)
            await h.until(lambda: two.ended.is_set())
            assert two.status == 503
            claimed = (await h.until(lambda: h.of(TransferClaimed)))[0].claim
            assert (claimed.outcome, claimed.reason) == ("transfer-failed-connection-error", "media_negotiation_failed")
            assert not one.ended.is_set()

    asyncio.run(run())


def test_three_calls_under_one_call_id_are_three_calls(tmp_path: Path) -> None:
    """Different From tags are different dialogs (RFC 3261 §12); none takes another's place or its record."""

    async def run() -> None:
        async with house(tmp_path) as h:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
                phone.bind(("127.0.0.1", 0))
                own = phone.getsockname()[1]
                for number in range(3):
                    text = (
                        f"INVITE {h.uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKone{number}\r\n"
                        f"From: <sip:+15550199@127.0.0.1>;tag=tag{number}\r\nTo: <{h.uri}>\r\n"
                        f"Call-ID: same@test\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
                        f"Contact: <sip:caller@127.0.0.1:{own}>\r\nContent-Length: 0\r\n\r\n"
                    )
                    phone.sendto(text.encode(), ("127.0.0.1", h.port))
                await h.until(lambda: len(h.of(CallOpened)) == 3)
                assert len({each.call_id for each in h.of(CallOpened)}) == 3
                assert h.server.live_calls() == 3

    asyncio.run(run())
