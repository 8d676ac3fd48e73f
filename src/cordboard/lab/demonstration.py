"""The demonstration: a caller of the lab calls an agent, asks for a person, and a person of the lab is connected.

Everything crosses real sockets. The timeline is printed as it happens, from the same reports that the record keeps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from cordboard.calls import events as calls
from cordboard.lab.listening import wait_for_quiet
from cordboard.lab.people import Behaviour, Person, Speaker
from cordboard.records.recorder import Report
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri
from cordboard.transfer import ports as transfers

CALLER = Behaviour("caller", tone=None)
WISH = "I want to talk to a person."
THANKS = "Thank you, that is all I wanted to know. Goodbye."
HEADERS = (("X-Customer-Name", "Jane Doe"), ("X-Account-ID", "ACC-98765"), ("X-Priority", "high"))

Tell = Callable[[str], None]


class Narrative:
    """A sink that prints one line a step, seconds since the first report in front."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._started: float | None = None
        self.call_id = ""
        self.outcome = ""
        self.reason = ""
        self.bridged = False

    def line(self, who: str, what: str) -> None:
        """One line of the timeline."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        self._tell(f"{now - self._started:7.2f} s  {who:<9} {what}")

    def __call__(self, report: Report) -> None:
        match report:
            case calls.CallOpened(call_id=call_id, from_number=from_number, to_number=to_number):
                self.call_id = call_id
                self.line("cordboard", f"call from {from_number} to {to_number}, call_id {call_id}")
            case calls.CallAnswered():
                self.line("cordboard", "answers")
            case calls.Spoken(speaker=speaker, text=text):
                self.line("agent" if speaker == "bot" else "caller", f'"{text}"')
            case calls.Noted(kind="dtmf"):
                self.line("caller", "presses a key")
            case calls.Noted(kind="action", data=data):
                self.line("agent", f"decides: {data.get('name')}")
            case calls.RecordingStarted(name=name):
                self.line("cordboard", f"records {name}")
            case transfers.TransferNews(name=name, leg=leg):
                self.bridged = self.bridged or name == "bridged"
                self.line("transfer", f"{name} {leg}".rstrip())
            case transfers.TransferClaimed(claim=claim, caller_silence_ms=silence):
                self.outcome, self.reason = str(claim.outcome), str(claim.reason)
                proof = "media seen in both directions" if claim.verified else "not verified"
                self.line(
                    "transfer", f"{claim.outcome}, reason {claim.reason}, {proof}, caller heard {silence} ms of silence"
                )
            case calls.Warned(text=text):
                self.line("warning", text)
            case calls.CallClosed(status=status, reason=reason, hung_up_by=by):
                self.line("cordboard", f"call over: {status}, {reason}" + (f", hung up by the {by}" if by else ""))
            case _:
                pass


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What came of it."""

    success: bool
    call_id: str
    outcome: str
    reason: str
    problem: str = ""


async def demonstrate(
    caller: Person, human: Person, target: Uri, speaker: Speaker, narrative: Narrative, *, limit: float = 60.0
) -> Demonstration:
    """Place the call and see it through; ``limit`` seconds for all of it."""
    problem = ""
    try:
        async with asyncio.timeout(limit):
            problem = await _call(caller, human, target, speaker, narrative)
    except TimeoutError:
        problem = f"the call did not end within {limit:g} s"
    success = not problem and narrative.outcome == "transfer-success"
    return Demonstration(success, narrative.call_id, narrative.outcome, narrative.reason, problem)


async def _call(caller: Person, human: Person, target: Uri, speaker: Speaker, narrative: Narrative) -> str:
    wish = await speaker.render(WISH)
    thanks = await speaker.render(THANKS)
    seen = caller.call(target, from_=Address(Uri.parse("sip:+15550199@127.0.0.1"), "Jane Doe"), headers=HEADERS)
    leg = seen.leg
    answered = asyncio.ensure_future(seen.answered.wait())
    ended = asyncio.ensure_future(seen.ended.wait())
    try:
        await asyncio.wait({answered, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not seen.answered.is_set():
            return f"the agent's number refused the call with {seen.status}"
        await wait_for_quiet(leg)
        narrative.line("caller", f'says "{WISH}"')
        leg.jack.hears(leg.jack.say)
        leg.jack.say.write(wish.data, wish.rate)
        await asyncio.sleep(wish.seconds)
        leg.jack.hears(caller.user_agent.comfort)
        if not await _until(lambda: bool(human.calls), 6.0):
            narrative.line("caller", "was not understood, and presses 0")
            leg.send_keys("0")
        if not await _until(lambda: narrative.bridged or bool(narrative.outcome), 40.0):
            return "no outcome within 40 s"
        if narrative.bridged:
            # The person greets; then the caller takes leave.
            await wait_for_quiet(leg, limit=12.0)
            narrative.line("caller", f'says "{THANKS}"')
            leg.jack.hears(leg.jack.say)
            leg.jack.say.write(thanks.data, thanks.rate)
            await asyncio.sleep(thanks.seconds + 0.5)
        if not leg.over:
            narrative.line("caller", "hangs up")
            leg.hangup()
        await _until(lambda: not human.calls or human.calls[-1].ended.is_set(), 5.0)
    finally:
        answered.cancel()
        ended.cancel()
        if not leg.over:
            leg.hangup()
    return ""


async def _until(condition: Callable[[], bool], limit: float) -> bool:
    """Look every 20 ms; the things looked at have no event of their own."""
    deadline = asyncio.get_running_loop().time() + limit
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
