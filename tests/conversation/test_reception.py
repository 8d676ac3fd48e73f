"""Who ended a call, and how, at moments when more than one thing happens at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from cordboard.calls.events import CallClosed, CallOpened
from cordboard.calls.leg import LegEnded
from cordboard.conversation.reception import Reception, ReceptionSettings
from cordboard.media import MediaError, NoPortError
from cordboard.sip.events import IncomingCall
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, parse_message
from tests.support.fakes import FakeLeg, FakeUserAgent, settle
from tests.support.house import DIRECTORY, directory_of

NUMBER = "+15550100"
SETTINGS = ReceptionSettings(
    max_calls=2,
    max_calls_per_source=10,
    calls_per_second=100,
    retry_after=5,
    prepared_claim=0.2,
    longest_call=60,
    recordings=Path("never-written"),
    records_ready=lambda: True,
)
COUNT = itertools.count(1)


def invite(number: str = NUMBER, headers: str = "") -> IncomingCall:
    count = next(COUNT)
    text = (
        f"INVITE sip:{number}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{count}\r\n"
        f"From: <sip:+15550199@127.0.0.1>;tag={count}\r\nTo: <sip:{number}@127.0.0.1>\r\n"
        f"Call-ID: {count}@test\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 0\r\n\r\n"
    )
    request = parse_message(text.encode())
    assert isinstance(request, Request)
    return IncomingCall(str(count), request, Flow("udp", ("127.0.0.1", 5060), ("127.0.0.1", 9)), b"")


@dataclass
class Agent:
    """An agent who stays until the caller's leg is over."""

    leg: FakeLeg
    reason: str = ""
    ended_by_agent: bool = False
    fails: Exception | None = None

    async def before_call(self) -> None:
        return None

    async def after_call(self) -> None:
        return None

    async def run(self) -> None:
        if self.fails is not None:
            raise self.fails
        over = asyncio.Event()
        self.leg.subscribe(lambda event: over.set() if self.leg.over else None)
        if not self.leg.over:
            await over.wait()


@dataclass
class Store:
    """Prepared calls that are looked up for as long as ``gate`` is not set."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def claim_matching(self, *_: object, **__: object) -> None:
        await self.gate.wait()

    claim_prepared = claim_matching


@dataclass
class Desk:
    reception: Reception
    user_agent: FakeUserAgent
    store: Store
    reports: list[Any]

    def call(self, incoming: IncomingCall | None = None) -> FakeLeg | None:
        """An INVITE; its leg, where there is one."""
        before = len(self.user_agent.legs)
        self.user_agent.on_incoming(incoming or invite())
        return self.user_agent.legs[-1] if len(self.user_agent.legs) > before else None

    async def closed(self) -> CallClosed:
        async with asyncio.timeout(2):
            while not (found := [report for report in self.reports if isinstance(report, CallClosed)]):
                await asyncio.sleep(0)
        return found[0]


@asynccontextmanager
async def desk(
    agent: Callable[[FakeLeg], Agent] = Agent, *, looked_up: bool = True, **changes: Any
) -> AsyncIterator[Desk]:
    user_agent, store, reports = FakeUserAgent(), Store(), list[Any]()
    directory = directory_of(DIRECTORY.format(person=9))
    if looked_up:
        store.gate.set()
    reception = Reception(
        cast(Any, user_agent),
        lambda: directory,
        cast(Any, store),
        cast(Any, lambda call, chosen, actions: agent(call.caller)),
        reports.append,
        replace(SETTINGS, **changes),
    )
    user_agent.reaper = cast(Any, Reaper())
    yield Desk(reception, user_agent, store, reports)
    await reception.end_calls(1)


class Reaper:
    def take(self, leg: FakeLeg) -> None:
        leg.hangup()


def close_of(closed: CallClosed) -> tuple[str, str, str | None]:
    return closed.status, closed.reason, closed.hung_up_by


def test_the_limits_count_calls_of_the_same_moment() -> None:
    """Three INVITEs in one batch of datagrams, of which two may be served."""

    async def run() -> None:
        async with desk() as it:
            legs = [it.call() for _ in range(3)]
            assert legs[2] is None
            assert it.user_agent.refused == [503]
            assert it.reception.live_calls() == 2

    asyncio.run(run())


def test_a_cancel_in_the_same_moment_is_the_callers() -> None:
    """INVITE and CANCEL in one batch: the call's task has not begun."""

    async def run() -> None:
        async with desk() as it:
            leg = it.call()
            assert leg is not None
            leg.tell(LegEnded("cancelled", None, False))
            assert close_of(await it.closed()) == ("canceled", "user_canceled", "caller")

    asyncio.run(run())


@pytest.mark.parametrize("who", ["operator", "shutdown"])
def test_a_call_that_we_end_before_the_answer_is_not_the_callers_doing(who: str) -> None:
    async def run() -> None:
        async with desk(looked_up=False) as it:
            it.call()
            await settle()
            if who == "operator":
                (call_id,) = it.reception.calls_to(NUMBER)
                assert it.reception.hang_up(call_id)
            else:
                ending = asyncio.ensure_future(it.reception.end_calls(1))
                await settle()
            it.store.gate.set()
            closed = await it.closed()
            assert close_of(closed) == ("failed", "error", None)
            assert closed.error
            if who == "shutdown":
                await ending

    asyncio.run(run())


def test_a_shutdown_is_not_the_agents_hanging_up() -> None:
    async def run() -> None:
        async with desk() as it:
            it.call()
            await settle()
            await it.reception.end_calls(1)
            closed = await it.closed()
            assert close_of(closed) == ("completed", "error", None)
            assert closed.error == "the server was shut down"

    asyncio.run(run())


def test_an_agent_who_fails_leaves_an_error_that_nobody_hung_up() -> None:
    async def run() -> None:
        async with desk(lambda leg: Agent(leg, fails=ValueError("unforeseen"))) as it:
            leg = it.call()
            closed = await it.closed()
            assert close_of(closed) == ("failed", "error", None)
            assert leg is not None
            assert leg.over

    asyncio.run(run())


def test_a_time_limit_inside_the_agent_is_not_the_longest_call() -> None:
    async def run() -> None:
        async with desk(lambda leg: Agent(leg, fails=TimeoutError())) as it:
            it.call()
            assert close_of(await it.closed()) == ("failed", "error", None)

    asyncio.run(run())


def test_the_longest_call_is_a_timeout() -> None:
    async def run() -> None:
        async with desk(longest_call=0.05) as it:
            it.call()
            assert close_of(await it.closed())[:2] == ("completed", "timeout")

    asyncio.run(run())


def test_an_unanswered_offer_is_named() -> None:
    """Our 200 made the offer and the ACK brought no answer: the leg hung up, which nobody wanted."""

    async def run() -> None:
        async with desk() as it:
            leg = it.call()
            assert leg is not None
            await settle()
            leg.fault = "the answer has no session description"
            leg.hangup()
            closed = await it.closed()
            assert close_of(closed) == ("failed", "error", None)
            assert closed.error == leg.fault

    asyncio.run(run())


def test_a_fault_before_the_answer_is_a_500() -> None:
    """Not a 480, which says that the agent is not there."""

    async def run() -> None:
        async with desk() as it:

            def broken(source: str) -> bool:
                raise ValueError("unforeseen")

            it.user_agent.trusts = broken  # type: ignore[method-assign]
            leg = it.call()
            await settle()
            assert leg is not None
            assert leg.refused == [500]
            assert it.reception.live_calls() == 0

    asyncio.run(run())


@pytest.mark.parametrize("error", [NoPortError("none"), MediaError("the system refuses more sockets or threads")])
def test_no_media_is_a_503(error: MediaError) -> None:
    """Ports or descriptors have run out."""

    async def run() -> None:
        async with desk() as it:
            it.user_agent.fails = error
            assert it.call() is None
            assert it.user_agent.refused == [503]
            assert it.reception.live_calls() == 0

    asyncio.run(run())


def test_a_store_that_does_not_answer_costs_its_limit_and_a_note() -> None:
    """The database is locked: the call goes on without the prepared call that it names."""

    async def run() -> None:
        async with desk(looked_up=False, prepared_claim=0.05) as it:
            leg = it.call(invite(headers="X-EI: S.9f1c2d3e-0000-4000-8000-000000000000;\r\n"))
            assert leg is not None
            async with asyncio.timeout(2):
                while leg.state != "answered":
                    await asyncio.sleep(0.01)
            opened = next(report for report in it.reports if isinstance(report, CallOpened))
            assert opened.prepared_id is None
            assert any("store did not answer" in str(report) for report in it.reports)

    asyncio.run(run())
