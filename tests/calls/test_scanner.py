"""A scanner by raw datagrams, as sipvicious sends them: it learns nothing and costs little."""

from __future__ import annotations

import asyncio
import socket

import pytest

from cordboard.calls.admission import AccessControl
from cordboard.calls.signalling import endpoint_config
from cordboard.directory.directory import Directory
from cordboard.settings import SipSettings, TimeoutSettings
from cordboard.sip import events as e
from cordboard.sip.endpoint import Endpoint
from cordboard.sip.flow import SendBytes
from cordboard.wire import RandomIdentifiers, SipShell
from tests.calls.test_admission import SCANS, flow


def guarded(**settings: object) -> Endpoint:
    sip = SipSettings.model_validate({"allow": ["10.0.0.0/8"], **settings})
    control = AccessControl(sip, lambda: Directory.of())
    return Endpoint(endpoint_config(sip, TimeoutSettings(), control), RandomIdentifiers())


@pytest.mark.parametrize("scan", SCANS)
def test_on_a_public_listener_a_scanner_gets_no_packet(scan: str) -> None:
    """Protects the server from being found: no answer, no event but none, no table entry."""
    core = guarded()
    for _ in range(50):
        core.receive(SCANS[scan], flow("192.0.2.66"), 1.0)
    assert core.take_outgoing() == []
    assert core.take_events() == []
    assert not any(core.counts().values())


def test_with_403_every_answer_is_the_same_and_there_are_few() -> None:
    """Protects numbers and methods from being told apart; the answer is no larger than the question."""
    core = guarded(unknown_source="403", refusals_per_second=10)
    for scan in ("svmap", "svwar", "toll fraud"):
        core.receive(SCANS[scan], flow("192.0.2.66"), 1.0)
    answers = [output.data for output in core.take_outgoing() if isinstance(output, SendBytes)]
    assert [answer.split(b"\r\n")[0] for answer in answers] == [b"SIP/2.0 403 Forbidden"] * 3
    assert all(b"Allow" not in answer and b"WWW-Authenticate" not in answer for answer in answers)
    for answer, scan in zip(answers, ("svmap", "svwar", "toll fraud"), strict=True):
        assert len(answer) <= len(SCANS[scan]) + 100
    for _ in range(500):
        core.receive(SCANS["svwar"], flow("192.0.2.66"), 1.0)
    assert len(core.take_outgoing()) < 10
    assert not any(core.counts().values())


def test_an_allowed_source_cannot_tell_which_numbers_exist_by_register_or_refer() -> None:
    """Protects extensions from being listed by somebody inside: REGISTER is 405 for all, REFER 603 for all."""
    core = guarded()
    statuses = set()
    for user in ("1000", "1001", "9999"):
        scan = SCANS["svwar"].replace(b"1000", user.encode()).replace(b"-2;", b"-2" + user.encode() + b";")
        core.receive(scan, flow("10.0.0.5"), 1.0)
        statuses |= {output.data.split(b" ")[1] for output in core.take_outgoing() if isinstance(output, SendBytes)}
    assert statuses == {b"405"}


def test_a_running_call_is_not_disturbed_by_a_flood_over_real_sockets() -> None:
    """Protects calls that are up while scanners send as fast as they can."""

    async def main() -> None:
        sip = SipSettings.model_validate({"allow": ["127.0.0.2/32"], "unknown_source": "drop"})
        control = AccessControl(sip, lambda: Directory.of())
        config = endpoint_config(sip, TimeoutSettings(), control)
        events: list[e.Event] = []
        shell = SipShell(Endpoint(config, RandomIdentifiers()), ["udp://127.0.0.1:0"], events.append)
        await shell.start()
        try:
            address = ("127.0.0.1", shell.ports[0])
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as friend,
            ):
                scanner.bind(("127.0.0.3", 0))
                friend.bind(("127.0.0.2", 0))
                for _ in range(2000):
                    for scan in SCANS.values():
                        scanner.sendto(scan, address)
                    await asyncio.sleep(0)
                friend.setblocking(False)
                port = str(friend.getsockname()[1]).encode()
                asked = SCANS["svmap"].replace(b"192.0.2.66:5060", b"127.0.0.2:" + port)
                friend.sendto(asked, address)
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(friend, 65535), 5)
                assert answer.startswith(b"SIP/2.0 200")
                scanner.setblocking(False)
                with pytest.raises(BlockingIOError):
                    scanner.recv(100)
            assert not any(shell.endpoint.counts().values())
            assert len([event for event in events if isinstance(event, e.Trace)]) <= 4
        finally:
            await shell.close()

    asyncio.run(main())
