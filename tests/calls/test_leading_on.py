"""Legs that are led on by Replaces, 3xx and REFER, by policy; descriptions name what the peer reaches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from cordboard.calls.errors import DialRefusedError
from cordboard.calls.leg import Leg, LegAnswered, LegConfirmed, LegEnded, LegEvent, LegFailed
from cordboard.calls.user_agent import UserAgent
from cordboard.media import BoardSettings, open_board
from cordboard.sdp import codec_named
from cordboard.sip import events as sip
from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request
from cordboard.sip.redirection import Detour
from cordboard.sip.uri import Uri


class Phone:
    """A user agent with its legs and their facts."""

    def __init__(self, agent: UserAgent) -> None:
        self.agent = agent
        self.facts: list[LegEvent] = []
        self.legs: list[Leg] = []
        self._woken = asyncio.Event()
        agent.on_incoming = self.answers

    @property
    def uri(self) -> Uri:
        return Uri.parse(f"sip:phone@127.0.0.1:{self.agent.shell.ports[0]}")

    def heard(self, event: LegEvent) -> None:
        self.facts.append(event)
        self._woken.set()

    def answers(self, call: sip.IncomingCall) -> None:
        leg = self.agent.receive(call, call_id="in", name="caller")
        leg.subscribe(self.heard)
        self.legs.append(leg)
        leg.answer()

    def dials(self, uri: Uri, **options: object) -> Leg:
        leg = self.agent.dial(uri, call_id="out", name="out", from_=Address(self.uri), subscriber=self.heard, **options)  # type: ignore[arg-type]
        self.legs.append(leg)
        return leg

    async def until(self, *kinds: type[LegEvent]) -> LegEvent:
        async with asyncio.timeout(5):
            while True:
                for event in self.facts:
                    if isinstance(event, kinds):
                        return event
                self._woken.clear()
                await self._woken.wait()


@asynccontextmanager
async def phone(
    listen: str = "udp://127.0.0.1:0", reached_by: Callable[[Flow], str] | None = None
) -> AsyncIterator[Phone]:
    board = open_board(BoardSettings(ip="127.0.0.1"), engine="python")
    agent = UserAgent(
        EndpointConfig(),
        (listen,),
        board,
        media_address="127.0.0.1",
        codecs=[codec_named("PCMU")],
        sink=lambda event: None,
        reap_after=1.0,
        reached_by=reached_by,
    )
    await agent.start()
    one = Phone(agent)
    try:
        yield one
    finally:
        for leg in one.legs:
            agent.reaper.take(leg)
        await agent.close()
        board.close()


def test_line_44_a_leg_goes_on_with_who_replaces_its_party() -> None:
    """Protects callers whose PBX hands the call to a colleague while the agent talks (RFC 3891 §3)."""

    async def main() -> None:
        async with phone() as desk, phone() as caller, phone() as colleague:
            first = caller.dials(desk.uri)
            await desk.until(LegConfirmed)
            leg, before = desk.legs[0], desk.legs[0].session
            replaces = caller.agent.shell.endpoint.replaces(first.session)
            assert replaces is not None
            colleague.dials(desk.uri, headers=[("Replaces", str(replaces))])
            assert isinstance(await colleague.until(LegAnswered, LegFailed), LegAnswered)
            await caller.until(LegEnded)
            assert not leg.over
            assert leg.session != before
            assert len(desk.legs) == 1
            assert desk.agent.legs == 1
            leg.hangup()
            await colleague.until(LegEnded)

    asyncio.run(main())


def test_line_26_a_302_leads_the_leg_to_the_next_phone_where_the_gate_lets_it() -> None:
    """Protects transfers to a person who diverts the phone, and the bill where the policy says no."""

    async def main() -> None:
        async with phone() as desk, phone() as diverting, phone() as target:
            to = f"<{target.uri}>"

            def diverts(call: sip.IncomingCall) -> None:
                diverting.agent.refuse(call, 302, headers=[("Contact", to)])

            diverting.agent.on_incoming = diverts
            desk.dials(diverting.uri)
            assert isinstance(await desk.until(LegAnswered, LegFailed), LegFailed)
            desk.facts.clear()
            desk.agent.redirect = lambda uri: Detour(uri)
            leg = desk.dials(diverting.uri)
            assert isinstance(await desk.until(LegAnswered, LegFailed), LegAnswered)
            assert target.legs
            leg.hangup()

    asyncio.run(main())


def test_descriptions_name_the_address_that_the_peer_reaches() -> None:
    """Protects media on machines with several interfaces: SDP follows the flow, in offers and in answers."""

    async def main() -> None:
        def reached_by(flow: Flow) -> str:
            return flow.local[0] if flow.local[0] != "0.0.0.0" else "127.0.0.9"

        async with phone("udp://0.0.0.0:0", reached_by) as desk, phone() as caller:
            uri = Uri.parse(f"sip:desk@127.0.0.2:{desk.agent.shell.ports[0]}")
            leg = caller.dials(uri)
            await caller.until(LegAnswered)
            assert b"c=IN IP4 127.0.0.2" in desk.legs[0].media.local_description
            leg.hangup()
            out = desk.dials(caller.uri)
            await desk.until(LegAnswered)
            assert b"c=IN IP4 127.0.0.9" in out.media.local_description
            assert caller.legs[-1].request is not None
            assert b"c=IN IP4 127.0.0.9" in caller.legs[-1].request.body
            out.hangup()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("header", "rule"),
    [(("Max-Forwards", "1"), "Max-Forwards"), (("Diversion", "<sip:a@b.example>;counter=9"), "diverted")],
)
def test_a_call_that_went_round_is_not_sent_on(header: tuple[str, str], rule: str) -> None:
    """Protects against a transfer that comes back as a call and is transferred again, for ever."""

    async def main() -> None:
        async with phone() as desk, phone() as caller:
            caller.dials(desk.uri)
            await desk.until(LegConfirmed)
            leg = desk.legs[0]
            fields = [("From", "<sip:a@b.example>;tag=1"), header]
            leg.request = Request("INVITE", desk.uri, fields)
            with pytest.raises(DialRefusedError, match=rule):
                desk.dials(caller.uri, beside=leg)
            leg.request = Request("INVITE", desk.uri, [fields[0], ("Max-Forwards", "20")])
            onward = desk.dials(caller.uri, beside=leg)
            await desk.until(LegAnswered)
            assert caller.legs[-1].request is not None
            assert caller.legs[-1].request.max_forwards == 19
            onward.hangup()

    asyncio.run(main())


def test_a_bye_of_ours_says_why() -> None:
    """Protects gateways and records that map Q.850 causes (RFC 3326 §2)."""

    async def main() -> None:
        async with phone() as desk, phone() as caller:
            caller.dials(desk.uri)
            await desk.until(LegConfirmed)
            desk.legs[0].hangup()
            ended = await caller.until(LegEnded)
            assert isinstance(ended, LegEnded)
            assert ended.q850 == 16

    asyncio.run(main())


def test_the_longest_call_of_a_gateway_ends_it() -> None:
    """Protects the bill: a leg through a gateway with a limit ends at it."""

    async def main() -> None:
        async with phone() as desk, phone() as caller:
            desk.agent.longest_call = lambda host: 0.3 if host == "127.0.0.1" else None
            desk.dials(caller.uri)
            await desk.until(LegAnswered)
            ended = await caller.until(LegEnded)
            assert isinstance(ended, LegEnded)
            assert ended.q850 == 31

    asyncio.run(main())


def test_an_attended_transfer_ends_with_the_two_who_are_left() -> None:
    """Protects consultation transfers: REFER with Replaces out, followed, and Replaces in (RFC 5589 §7.1)."""

    async def main() -> None:
        async with phone() as desk, phone() as secretary, phone() as boss:
            desk.agent.shell.endpoint.config.accept_refer = lambda flow: True
            desk.agent.refer_gate = lambda uri: Detour(uri)
            to_desk = secretary.dials(desk.uri)
            await desk.until(LegConfirmed)
            to_boss = secretary.dials(boss.uri)
            await boss.until(LegConfirmed)
            to_desk.refer(Address(boss.uri), replaces=to_boss)
            async with asyncio.timeout(5):
                while not to_boss.over:
                    await asyncio.sleep(0.01)
            assert (await final_report(secretary)).status == 200
            to_desk.hangup()
            assert [leg.over for leg in (*desk.legs, *boss.legs)] == [False, False]
            boss.facts.clear()
            desk.legs[0].hangup()
            await boss.until(LegEnded)

    asyncio.run(main())


async def final_report(one: Phone) -> sip.ReferNotified:
    async with asyncio.timeout(5):
        while True:
            for fact in one.facts:
                if isinstance(fact, sip.ReferNotified) and fact.final:
                    return fact
            await asyncio.sleep(0.01)


def test_a_refer_of_the_peer_is_followed_where_the_gate_lets_it() -> None:
    """Protects callers whose PBX refers our agent to somebody else: the leg goes on, Referred-By says for whom."""

    async def main() -> None:
        async with phone() as desk, phone() as caller, phone() as target:
            desk.agent.shell.endpoint.config.accept_refer = lambda flow: True
            desk.agent.refer_gate = lambda uri: Detour(uri)
            first = caller.dials(desk.uri)
            await desk.until(LegConfirmed)
            leg = desk.legs[0]
            first.refer(Address(target.uri), Address(caller.uri))
            await target.until(LegConfirmed)
            assert (await final_report(caller)).status == 200
            first.hangup()
            assert not leg.over
            invite = target.legs[0].request
            assert invite is not None
            assert invite.headers.get("Referred-By") == f"<{caller.uri}>"
            leg.hangup()
            await target.until(LegEnded)

    asyncio.run(main())


def test_a_refer_to_where_we_may_not_call_is_refused() -> None:
    """Protects the bill from a REFER to anywhere (the dial policy)."""

    async def main() -> None:
        async with phone() as desk, phone() as caller:
            desk.agent.shell.endpoint.config.accept_refer = lambda flow: True
            desk.agent.refer_gate = lambda uri: None
            first = caller.dials(desk.uri)
            await desk.until(LegConfirmed)
            first.refer(Address(Uri.parse("sip:+19001234567@127.0.0.1")))
            refused = await caller.until(sip.ReferRefused)
            assert isinstance(refused, sip.ReferRefused)
            assert refused.status == 603
            assert not desk.legs[0].over
            first.hangup()

    asyncio.run(main())


def test_a_refer_to_nobody_changes_nothing_and_says_so() -> None:
    """Protects the call when the target of a REFER does not answer: the NOTIFY has its status, the leg stays."""

    async def main() -> None:
        async with phone() as desk, phone() as caller, phone() as target:
            desk.agent.shell.endpoint.config.accept_refer = lambda flow: True
            desk.agent.refer_gate = lambda uri: Detour(uri)
            target.agent.on_incoming = lambda call: target.agent.refuse(call, 486)
            first = caller.dials(desk.uri)
            await desk.until(LegConfirmed)
            first.refer(Address(target.uri))
            assert (await final_report(caller)).status == 486
            assert not desk.legs[0].over
            first.hangup()
            await desk.until(LegEnded)

    asyncio.run(main())
