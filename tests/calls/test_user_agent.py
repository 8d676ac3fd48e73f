"""The user agent: what fails in one call stays in it, and what nobody claims is bounded."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from cordboard.calls import leg as legs
from cordboard.calls.events import Warned
from cordboard.calls.leg import Leg, LegAnswered, LegConfirmed, LegEnded
from cordboard.calls.media_session import MediaSession
from cordboard.calls.user_agent import UserAgent
from cordboard.media import Board, BoardSettings, Recorded, open_board
from cordboard.sdp import codec_named
from cordboard.sip import events as sip
from cordboard.sip.config import EndpointConfig
from cordboard.sip.flow import Flow
from cordboard.sip.message import Request, Response, parse_message

CODECS = [codec_named("PCMU")]
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
FLOW = Flow("udp", ("127.0.0.1", 5060), ("127.0.0.1", 9))


def request(method: str = "INVITE") -> Request:
    text = (
        f"{method} sip:+15550100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\n"
        "From: <sip:+15550199@127.0.0.1>;tag=1\r\nTo: <sip:+15550100@127.0.0.1>\r\n"
        f"Call-ID: 1@test\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
    parsed = parse_message(text.encode())
    assert isinstance(parsed, Request)
    return parsed


class Core:
    """Writes down the commands that it is given."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given, **_: self.commands.append((name, given))

    def flow_of(self, session: str) -> Flow:
        return FLOW

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.commands]


class Shell:
    def __init__(self) -> None:
        self.endpoint = Core()

    def run(self, command: Callable[[Core, float], Any]) -> Any:
        return command(self.endpoint, 0.0)

    async def close(self) -> None:
        return None


class Rig:
    """A user agent without a socket for SIP; its board is real."""

    def __init__(self, board: Board) -> None:
        self.reports: list[Any] = []
        self.agent = UserAgent(
            EndpointConfig(),
            [],
            board,
            media_address="127.0.0.1",
            codecs=CODECS,
            sink=self.reports.append,
            reap_after=0.01,
        )
        self.shell = Shell()
        self.agent.shell = cast(Any, self.shell)
        self.facts: list[Any] = []

    def give(self, event: sip.Event) -> None:
        self.agent._from_core(event)

    def caller(self, offer: bytes | None = SDP.encode()) -> Leg:
        leg = self.agent.receive(sip.IncomingCall("in", request(), FLOW, offer), call_id="call", name="caller")
        leg.subscribe(self.facts.append)
        return leg

    def target(self) -> Leg:
        """A leg whose INVITE has left."""
        jack = self.agent.board.jack()
        media = MediaSession("127.0.0.1", CODECS)
        media.new_offer(jack.port)
        leg = Leg(self.agent, call_id="call", name="target-1", session="out", jack=jack, media=media)
        leg.state = "dialing"
        leg.subscribe(self.facts.append)
        self.agent._enter(leg)
        return leg

    def of(self, kind: type[Any]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    board = open_board(BoardSettings(), engine="python")
    try:
        yield Rig(board)
    finally:
        board.close()


def answer(body: bytes) -> sip.Answered:
    return sip.Answered("out", Response(200, "OK"), body)


def test_an_invite_that_fails_unforeseen_is_answered_500() -> None:
    """Without it the caller waits in silence, and the session stays in the core's table."""

    async def run() -> None:
        async with rig() as it:

            def broken(incoming: sip.IncomingCall) -> None:
                raise ValueError("unforeseen")

            it.agent.on_incoming = broken
            it.give(sip.IncomingCall("in", request(), FLOW, None))
            assert it.shell.endpoint.commands[0][0] == "reject"
            assert it.shell.endpoint.commands[0][1][1] == 500

    asyncio.run(run())


def test_a_subscriber_who_stumbles_keeps_no_fact_from_the_others() -> None:
    """Nor the leg from the reaper: the jack would stay open for ever."""

    async def run() -> None:
        async with rig() as it:
            leg = it.caller()

            def broken(event: object) -> None:
                raise ValueError("unforeseen")

            leg._subscribers.insert(0, broken)
            it.give(sip.Ended("in", "bye"))
            assert it.of(LegEnded)
            assert leg.jack.closed

    asyncio.run(run())


def test_a_listener_who_stumbles_takes_nothing_from_the_others() -> None:
    async def run() -> None:
        async with rig() as it:
            heard: list[int] = []

            def broken(frame: memoryview) -> None:
                heard.append(0)
                raise ValueError("unforeseen")

            it.agent._listeners = {1: broken, 2: lambda frame: heard.append(len(frame))}
            frames = (array("i", [1, 2, 1]), memoryview(bytes(960 * 2)).cast("h"))
            it.agent.board = cast(Any, FakeFrames(frames))
            it.agent._from_board()
            assert heard == [0, 320]

    asyncio.run(run())


class FakeFrames:
    def __init__(self, frames: Any, events: tuple[Any, ...] = ()) -> None:
        self._frames = frames
        self._events = list(events)

    def events(self) -> list[Any]:
        return self._events

    def frames(self) -> Any:
        return self._frames


def test_early_media_is_no_media_since_the_answer() -> None:
    """A 200 without a body, after a 183 with one: the jack is armed anew (rule 12)."""

    async def run() -> None:
        async with rig() as it:
            leg = it.target()
            it.give(sip.Progress("out", 183, "Session Progress", SDP.encode(), Response(183, "Session Progress")))
            leg.media_seen = True
            armed: list[object] = []
            leg.jack.negotiated = lambda **given: armed.append(given)  # type: ignore[method-assign]
            it.give(answer(b""))
            assert it.of(LegAnswered)[0].fault == ""
            assert not leg.media_seen
            assert armed

    asyncio.run(run())


def test_an_answer_that_the_engine_refuses_is_a_fault_and_not_silence() -> None:
    """Whoever dialled must learn of the answer, or the leg rings on in the machine."""

    async def run() -> None:
        async with rig() as it:
            leg = it.target()

            def refuse(**_: object) -> None:
                raise ValueError("ptime 1")

            leg.jack.negotiated = refuse  # type: ignore[method-assign]
            it.give(answer(SDP.encode()))
            assert "ptime" in it.of(LegAnswered)[0].fault

    asyncio.run(run())


def test_a_new_offer_that_the_engine_refuses_leaves_the_call_as_it_was() -> None:
    """RFC 3261 §14.2: 488, and the session goes on."""

    async def run() -> None:
        async with rig() as it:
            leg = it.caller()
            before = leg.media.negotiated

            def refuse(**_: object) -> None:
                raise ValueError("ptime 1")

            leg.jack.negotiated = refuse  # type: ignore[method-assign]
            it.give(sip.Offered("in", SDP.replace("40000", "40002").encode(), "INVITE"))
            assert it.shell.endpoint.names == ["reject_offer"]
            assert leg.media.negotiated == before

    asyncio.run(run())


def test_an_ack_without_the_answer_ends_the_call() -> None:
    """The INVITE had no offer, our 200 had: without an answer there is nowhere to speak to."""

    async def run() -> None:
        async with rig() as it:
            leg = it.caller(offer=None)
            leg.answer()
            it.give(sip.Confirmed("in", b""))
            assert it.shell.endpoint.names == ["answer", "hangup"]
            assert not it.of(LegConfirmed)
            assert leg.fault

    asyncio.run(run())


def test_a_recording_that_could_not_be_written_is_told_to_the_record() -> None:
    """The disk is full: the list of recordings must not promise what is not there."""

    async def run() -> None:
        async with rig() as it:
            leg = it.caller()
            recording = cast(Any, object())
            it.agent.recorded(leg, recording)
            event = Recorded(recording, "caller.wav", 1.0, "No space left on device")
            it.agent.board = cast(Any, FakeFrames((array("i"), memoryview(b"").cast("h")), (event,)))
            it.agent._from_board()
            warned = [report for report in it.reports if isinstance(report, Warned)]
            assert "No space left" in warned[0].text
            assert warned[0].call_id == "call"

    asyncio.run(run())


def test_info_digits_are_read_in_both_forms() -> None:
    assert legs._info_digit("application/dtmf-relay", b"Signal= 11\r\nDuration=160\r\n") == "#"
    assert legs._info_digit("application/dtmf; x=y", b" 5\r\n") == "5"
    assert legs._info_digit("application/dtmf-relay", b"Signal=\xff\r\n") is None
    assert legs._info_digit("text/plain", b"5") is None
