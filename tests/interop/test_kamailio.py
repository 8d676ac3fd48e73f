"""Calls and transfers with Kamailio as Record-Routing proxy between the caller and us, and between us and the person.

The proxy answers 404 to a request within a dialog that does not follow its route, so that a call that ends well proves
the route sets of both sides, from the ACK to the BYE.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cordboard.calls.events import CallOpened, SipSeen
from cordboard.lab.people import Behaviour
from cordboard.sip.address import Address
from cordboard.sip.message import Request, parse_message
from cordboard.sip.uri import Uri
from cordboard.transfer.ports import TransferClaimed, TransferFinished, TransferNews
from tests.support.audio import make_tone, write_wav
from tests.support.baresip import Baresip
from tests.support.certificates import Authority
from tests.support.house import DIRECTORY, House, house, lab_person
from tests.support.kamailio import Kamailio, kamailio
from tests.support.ports import free_port

pytestmark = pytest.mark.interop


def behind(proxy: Kamailio, transport: str) -> str:
    """The directory whose legs leave through the proxy."""
    before, _, _ = DIRECTORY.partition("gateways:")
    port = proxy.tls_port if transport == "tls" else proxy.port
    return before + (
        "gateways:\n"
        f"  - {{{{name: proxy, host: 127.0.0.1, port: {port}, transport: {transport}, next_hop: gateway, "
        "profile: kamailio, allowed_domains: [localhost]}}\n"
    )


def requests_out(h: House) -> list[Request]:
    """Every request that we sent."""
    messages = [parse_message(report.trace.data) for report in h.of(SipSeen) if report.trace.direction == "out"]
    return [message for message in messages if isinstance(message, Request)]


def assert_routed(h: House, proxy: Kamailio) -> None:
    """Whatever crossed the wire came from the proxy or went to it, within dialogs by its route."""
    # A connection that the proxy opened comes from a port of its own.
    ports = {report.trace.remote[1] for report in h.of(SipSeen) if report.trace.transport == "udp"}
    assert ports <= {proxy.port}
    for request in requests_out(h):
        if request.to.tag is not None:
            assert request.routes, f"{request.method} without a route"
            assert request.routes[0].uri.port in (proxy.port, proxy.tls_port)


def acknowledged(h: House, count: int, direction: bytes) -> bool:
    """The caller's leg has had so many ACKs, and its last INVITE had this direction."""
    data = [report.trace.data for report in h.of(SipSeen) if report.leg == "caller" and report.trace.direction == "in"]
    invites = [each for each in data if each.startswith(b"INVITE ")]
    return direction in invites[-1] and sum(each.startswith(b"ACK ") for each in data) >= count


async def finished(h: House) -> Any:
    """The transfer's claim, once nothing is left of the call."""
    await h.until(lambda: h.of(TransferFinished), what="the end of the transfer")
    await h.until(lambda: not h.server.live_calls(), what="the end of the call")
    return h.of(TransferClaimed)[0].claim


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_softphones_talk_through_a_record_routing_proxy(tmp_path: Path, transport: str) -> None:
    """Protects agents behind proxies: whisper, bridge, hold and resume, hang-up, all by the proxy's route."""

    async def main() -> None:
        microphone, other = tmp_path / "caller.wav", tmp_path / "person.wav"
        write_wav(microphone, 8000, make_tone(440, 20))
        write_wav(other, 8000, make_tone(880, 20))
        ours = free_port(2)
        phone = await asyncio.to_thread(Baresip, "human", tmp_path, other, auto_answer=True)
        caller = await asyncio.to_thread(Baresip, "caller", tmp_path, microphone)
        try:
            async with (
                kamailio(tmp_path / "proxy", f"sip:127.0.0.1:{ours};transport={transport}") as proxy,
                house(
                    tmp_path,
                    behind(proxy, transport),
                    person_port=phone.port,
                    sip={"listen": [f"udp://127.0.0.1:{ours}", f"tcp://127.0.0.1:{ours}"]},
                ) as h,
            ):
                caller.dial(proxy.uri("+15550100", transport))
                await asyncio.to_thread(caller.wait, "CALL_ESTABLISHED")
                caller.key("0")
                await h.until(lambda: [n for n in h.of(TransferNews) if n.name == "bridged"], what="the bridge")
                for count, command, direction in ((2, "hold", b"a=sendonly"), (3, "resume", b"a=sendrecv")):
                    caller.command(command)
                    await h.until(partial(acknowledged, h, count, direction), what=f"the ACK of {command}")
                caller.command("hangup")
                await asyncio.to_thread(phone.wait, "CALL_CLOSED")
                claim = await finished(h)
                assert_routed(h, proxy)
                transports = {report.trace.transport for report in h.of(SipSeen)}
        finally:
            caller.close()
            phone.close()
        assert str(claim.outcome) == "transfer-success"
        assert claim.verified
        assert transports == {transport}

    asyncio.run(main())


@pytest.mark.parametrize(("caller_by", "person_by", "twice"), [("udp", "tcp", "ACK"), ("tcp", "udp", "BYE")])
def test_the_proxy_changes_the_transport_on_the_way(tmp_path: Path, caller_by: str, person_by: str, twice: str) -> None:
    """Protects the double Record-Route of a proxy between UDP and TCP: both of its entries are followed in order."""

    async def main() -> None:
        ours = free_port(2)
        async with (
            kamailio(tmp_path / "proxy", f"sip:127.0.0.1:{ours};transport={caller_by}") as proxy,
            lab_person(tmp_path, "human", listens_first=False, line=None, tone=880, answers_after=0.1) as human,
            house(
                tmp_path,
                behind(proxy, person_by),
                person_port=human.user_agent.shell.ports[0],
                sip={"listen": [f"udp://127.0.0.1:{ours}", f"tcp://127.0.0.1:{ours}"]},
            ) as h,
            lab_person(tmp_path, Behaviour("caller", tone=440, keys="0", keys_after=0.5)) as caller,
        ):
            me = Address(Uri("sip", "caller", host="127.0.0.1"))
            seen = caller.call(Uri.parse(proxy.uri("+15550100")), from_=me)
            await h.until(lambda: [n for n in h.of(TransferNews) if n.name == "bridged"], what="the bridge")
            await h.until(lambda: h.of(TransferClaimed), what="the claim")
            human.calls[0].leg.hangup()
            await asyncio.wait_for(seen.ended.wait(), 10)
            claim = await finished(h)
            assert_routed(h, proxy)
            double = [request for request in requests_out(h) if len(request.routes) == 2]
        assert str(claim.outcome) == "transfer-success"
        assert claim.verified
        assert {request.method for request in double} == {twice}

    asyncio.run(main())


def test_a_call_by_tls_on_both_sides_of_us(tmp_path: Path) -> None:
    """Protects calls that must not be read on the way: the proxy's certificate is checked, its route followed."""

    async def main() -> None:
        authority = Authority(tmp_path / "certificates")
        proxys = authority.issue("127.0.0.1", file="proxy")
        own = authority.issue("127.0.0.1", file="own")
        ours = free_port(2)
        async with (
            kamailio(
                tmp_path / "proxy",
                f"sip:127.0.0.1:{ours};transport=tls",
                certificate=proxys.certificate,
                key=proxys.key,
            ) as proxy,
            lab_person(tmp_path, "human", listens_first=False, tone=880, answers_after=0.1) as human,
            house(
                tmp_path,
                behind(proxy, "tls"),
                person_port=human.user_agent.shell.ports[0],
                sip={
                    "listen": [f"tls://127.0.0.1:{ours}"],
                    "tls_certificate": own.certificate,
                    "tls_key": own.key,
                    "tls_ca": authority.file,
                },
            ) as h,
            lab_person(tmp_path, Behaviour("caller", tone=440, keys="0", keys_after=0.5)) as caller,
        ):
            me = Address(Uri("sip", "caller", host="127.0.0.1"))
            seen = caller.call(Uri.parse(proxy.uri("+15550100")), from_=me)
            await h.until(lambda: [n for n in h.of(TransferNews) if n.name == "bridged"], what="the bridge")
            await h.until(lambda: h.of(TransferClaimed), what="the claim")
            human.calls[0].leg.hangup()
            await asyncio.wait_for(seen.ended.wait(), 10)
            claim = await finished(h)
            assert_routed(h, proxy)
            assert {report.trace.transport for report in h.of(SipSeen)} == {"tls"}
        assert str(claim.outcome) == "transfer-success"
        assert claim.verified

    asyncio.run(main())


def test_a_proxy_with_the_certificate_of_another_host_is_not_called(tmp_path: Path) -> None:
    """Protects against somebody in the proxy's place (RFC 5922 §7.3): no INVITE leaves, and the transfer fails."""

    async def main() -> None:
        authority = Authority(tmp_path / "certificates")
        foreign = authority.issue("sip:elsewhere.example", "127.0.0.1", file="proxy")
        ours = free_port(2)
        async with (
            kamailio(
                tmp_path / "proxy", f"sip:127.0.0.1:{ours}", certificate=foreign.certificate, key=foreign.key
            ) as proxy,
            house(
                tmp_path,
                behind(proxy, "tls"),
                sip={
                    "listen": [f"udp://127.0.0.1:{ours}", "tls://127.0.0.1:0"],
                    "tls_certificate": foreign.certificate,
                    "tls_key": foreign.key,
                    "tls_ca": authority.file,
                },
            ) as h,
            lab_person(tmp_path, Behaviour("caller", tone=440, keys="0", keys_after=0.5)) as caller,
        ):
            me = Address(Uri("sip", "caller", host="127.0.0.1"))
            seen = caller.call(Uri.parse(proxy.uri("+15550100")), from_=me)
            await h.until(lambda: h.of(TransferClaimed), what="the claim")
            seen.leg.hangup()
            claim = await finished(h)
            assert not [r for r in h.of(SipSeen) if r.leg != "caller" and r.trace.direction == "out"]
        assert str(claim.outcome) == "transfer-failed-connection-error"

    asyncio.run(main())


def test_a_refer_follows_the_route_and_its_report_comes_back(tmp_path: Path) -> None:
    """Protects cold transfers behind a proxy: field lesson 2, a REFER past the Record-Route reaches nobody."""

    async def main() -> None:
        ours = free_port(2)
        async with (
            kamailio(tmp_path / "proxy", f"sip:127.0.0.1:{ours}") as proxy,
            house(tmp_path, behind(proxy, "udp"), sip={"listen": [f"udp://127.0.0.1:{ours}"]}) as h,
            lab_person(tmp_path, Behaviour("caller", tone=440, keys="9", keys_after=0.5, refer="success")) as caller,
        ):
            me = Address(Uri("sip", "caller", host="127.0.0.1"))
            seen = caller.call(Uri.parse(proxy.uri("+15550100")), from_=me)
            await asyncio.wait_for(seen.ended.wait(), 20)
            claim = await finished(h)
            assert_routed(h, proxy)
            assert [r.method for r in requests_out(h) if r.method in ("REFER", "BYE")] == ["REFER", "BYE"]
        assert seen.refer_to.startswith("<sip:night@127.0.0.1")
        assert str(claim.outcome) == "transfer-success"

    asyncio.run(main())


def test_a_caller_who_gives_up_is_cancelled_through_the_proxy(tmp_path: Path) -> None:
    """Protects the person from a telephone that rings on: the CANCEL takes the way of its INVITE."""

    async def main() -> None:
        ours = free_port(2)
        async with (
            kamailio(tmp_path / "proxy", f"sip:127.0.0.1:{ours}") as proxy,
            lab_person(tmp_path, "ring") as human,
            house(
                tmp_path,
                behind(proxy, "udp"),
                person_port=human.user_agent.shell.ports[0],
                sip={"listen": [f"udp://127.0.0.1:{ours}"]},
            ) as h,
            lab_person(tmp_path, Behaviour("caller", tone=440, keys="0", keys_after=0.5)) as caller,
        ):
            me = Address(Uri("sip", "caller", host="127.0.0.1"))
            seen = caller.call(Uri.parse(proxy.uri("+15550100")), from_=me)
            await h.until(lambda: [n for n in h.of(TransferNews) if n.name == "ringing"], what="the ringing")
            seen.leg.hangup()
            await asyncio.wait_for(human.calls[0].ended.wait(), 10)
            await finished(h)
            assert len(h.of(CallOpened)) == 1
            assert "CANCEL" in [request.method for request in requests_out(h)]

    asyncio.run(main())
