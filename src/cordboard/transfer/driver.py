"""The driver: performs the machine's effects on legs, and tells the machine what happened. It decides nothing."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from cordboard.calls import leg as legs
from cordboard.calls.call import Call
from cordboard.calls.errors import DialRefusedError
from cordboard.calls.leg import Leg
from cordboard.media import Clip, JackClosedError, MediaError, Mix, NotNegotiatedError
from cordboard.sip import events as sip
from cordboard.sip.address import Address
from cordboard.sip.errors import SipError
from cordboard.sip.fields import Reason as ReasonHeader
from cordboard.sip.uri import Uri, escape_header
from cordboard.sip.usage_errors import LimitReachedError

from . import effects, events
from .ear import Ear
from .facts import from_caller, from_target, leg_name, phases, shown, told
from .machine import UnlistedTransition, initial, step
from .outcome import Claim
from .policy import Policy
from .ports import (
    Briefer,
    PreparationError,
    Preparer,
    Route,
    Speaker,
    Speech,
    TransferClaimed,
    TransferFinished,
    TransferNews,
    TransferReport,
    TransferSink,
    TransferStep,
)
from .state import CallerPhase, LegPhase, State

log = structlog.get_logger(__name__)

T = TypeVar("T")

_MEDIA_POLL = 0.02
_MUSIC_AFTER = 0.2
"""Seconds of a quiet line while the announcement is rendered; then hold music until it is ready (rule 2)."""
_LARGEST_DATAGRAM = 1300  # RFC 3261 §18.1.1
_KEYS_THAT_ACCEPT, _KEYS_THAT_DECLINE = "1", "2"


_DIAL_FAULTS = (
    (MediaError, events.LocalCause.NO_MEDIA_PORTS),
    (DialRefusedError, events.LocalCause.DIAL_POLICY),
    (LimitReachedError, events.LocalCause.GATEWAY_LIMIT),
    (SipError, events.LocalCause.HEADER_INVALID),
)
"""Why an INVITE could not leave, the first that fits."""


class TransferDriver:
    """One transfer of one call. ``routes`` are in the order of the policy's targets.

    ``park`` takes the agent off the line (rule 4). Await ``report`` for what the conversation may do next.
    """

    def __init__(
        self,
        call: Call,
        *,
        action_id: str,
        name: str,
        policy: Policy,
        routes: Sequence[Route],
        speaker: Speaker,
        briefer: Briefer,
        preparer: Preparer,
        hold: Clip,
        screening_question: str,
        park: Callable[[], None],
        sink: TransferSink,
    ) -> None:
        self.call = call
        self.action_id = action_id
        self.name = name
        self.policy = policy
        self.state: State = initial()
        self.report: asyncio.Future[TransferReport] = asyncio.get_running_loop().create_future()
        self._routes = routes
        self._speaker = speaker
        self._briefer = briefer
        self._preparer = preparer
        self._hold = hold
        self._question = screening_question
        self._park = park
        self._sink = sink
        self._targets: dict[int, Leg] = {}
        self._closing: set[int] = set()
        self._screening: set[int] = set()
        self._ears: dict[int, Ear] = {}
        self._stars: dict[int, str] = {}
        self._briefings: dict[int, asyncio.Task[Speech | None]] = {}
        self._timers: dict[tuple[events.TimerName, int | None], asyncio.TimerHandle] = {}
        self._marks: dict[int, Callable[[], None]] = {}
        self._mixes: set[Mix] = set()
        self._mark_ids = itertools.count(1_000_000)
        self._subscriptions: list[Callable[[], None]] = []
        self._queue: deque[events.Event] = deque()
        self._stepping = False
        self._finished = False
        self._silence_base: float | None = None

    # The loop -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; progress follows by itself."""
        self._subscriptions.append(self.call.caller.subscribe(self._from_caller))
        self.call.at_end(self.close)
        caller = self.call.caller
        self._silence_base = caller.jack.stats().unsent_ms
        started = events.Started(at=time.time(), caller_media=caller.media_seen)
        if caller.over:  # between the wish and now; nobody is dialled for nobody
            self._queue.append(started)
            self.post(events.CallerGone(at=time.time(), text="before the transfer began"))
        else:
            self.post(started)

    def cancel(self, by: str = "operator") -> None:
        """Rule 13: the caller goes back to the agent."""
        self.post(events.CancelRequested(at=time.time(), by=by))

    def shut_down(self) -> None:
        """Rule 15: the drain limit has come."""
        self.post(events.ShutdownRequested(at=time.time()))

    def close(self) -> None:
        """The call is over: an outcome is claimed, and nothing of this transfer stays behind."""
        if self.state.caller not in (CallerPhase.RETURNED, CallerPhase.GONE):
            self.post(events.ShutdownRequested(at=time.time(), because="the whole call was ended on our side"))
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        for target in self._targets.values():
            self.call.user_agent.reaper.take(target)
        self._finish()
        if not self.report.done():
            self.report.cancel()

    def post(self, event: events.Event) -> None:
        """Tell the machine, and perform what it asks. Safe from within an effect."""
        self._queue.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._queue:
                self._step(self._queue.popleft())
        finally:
            self._stepping = False

    def _step(self, event: events.Event) -> None:
        try:
            self.state, todo = step(self.state, event, self.policy)
        except UnlistedTransition:
            log.exception("transfer_unlisted", call_id=self.call.call_id, transition=type(event).__name__)
            return
        self._sink(
            TransferStep(
                self.call.call_id,
                self.action_id,
                type(event).__name__,
                told(event),
                phases(self.state),
                tuple(shown(effect) for effect in todo),
            )
        )
        for effect in todo:
            try:
                self._perform(effect)
            except Exception as error:
                log.exception("transfer_effect_failed", call_id=self.call.call_id, effect=type(effect).__name__)
                self._note(f"{type(effect).__name__} failed: {error}")
        if self.state.done:
            self._finish()

    def _finish(self) -> None:
        if self._finished or self.state.claim is None:
            return
        self._finished = True
        for stop in self._subscriptions:
            stop()
        self._subscriptions.clear()
        for mix in self._mixes:  # of words that were cut off
            mix.close()
        self._mixes.clear()
        for attempt in list(self._ears):
            self._stop_detecting(attempt)
        if self.state.caller is not CallerPhase.RETURNED:
            self._report(TransferReport(self.state.claim.outcome, self.state.claim.reason, False))
        claim = replace(self.state.claim, evidence=self.state.evidence)
        self._sink(TransferFinished(self.call.call_id, self.action_id, self.name, claim))

    # Effects --------------------------------------------------------------------------------------------------------

    def _perform(self, effect: effects.Effect) -> None:
        caller = self.call.caller
        match effect:
            case effects.ParkAgent():
                self._park()
            case effects.Prepare():
                self._spawn(self._prepare())
            case effects.Announce(text=text):
                self._spawn(self._announce(text))
            case effects.PlayHold():
                if not caller.over:
                    caller.jack.hears(self._hold)
            case effects.StopHold():
                if not caller.over:
                    caller.jack.hears(None)
            case effects.SendRefer(target=index):
                self._refer(index)
            case effects.ReturnCaller(outcome=outcome, reason=reason, message=message, fallback=fallback):
                if not caller.over:
                    caller.jack.hears(self.call.user_agent.comfort)
                self._report(TransferReport(outcome, reason, True, message, fallback))
            case effects.EndCall(text=text, message=message):
                self._spawn(self._end_call(text, message))
            case effects.Dial():
                self._dial(effect)
            case effects.CloseLeg(attempt=attempt, reason=reason):
                self._close_leg(attempt, reason)
            case effects.SendDigits(attempt=attempt, digits=digits):
                self._spawn(self._send_digits(attempt, digits))
            case effects.StartDetection(attempt=attempt, early=early):
                self._detect(attempt, early=early)
            case effects.StopDetection(attempt=attempt):
                self._stop_detecting(attempt)
            case effects.Whisper(attempt=attempt):
                self._spawn(self._whisper(attempt))
            case effects.ListenForScreening(attempt=attempt):
                self._screening.add(attempt)
            case effects.AskScreening(attempt=attempt):
                self._spawn(self._ask(attempt))
            case effects.StopSpeaking(attempt=attempt):
                target = self._targets[attempt]
                if not target.over:
                    target.jack.say.flush()
            case effects.Introduce(attempt=attempt, text=text):
                self._spawn(self._speak_to_both(attempt, text, introduce=True))
            case effects.SayGoodbye(attempt=attempt, text=text):
                self._spawn(self._speak_to_both(attempt, text, introduce=False))
            case effects.Bridge(attempt=attempt):
                self._plug(attempt)
            case effects.WatchMedia(attempt=attempt):
                self._spawn(self._watch_media(attempt))
            case effects.Unbridge(attempt=attempt):
                for party in (caller, self._targets.get(attempt)):
                    if party is not None and not party.over:
                        party.jack.hears(None)
            case effects.StopRecording():
                for party in (caller, *self._targets.values()):
                    party.stop_recording()
            case effects.StartTimer(timer=timer, seconds=seconds, attempt=attempt):
                self._stop_timer(timer, attempt)
                self._timers[timer, attempt] = asyncio.get_running_loop().call_later(
                    seconds, self._timer_fired, timer, attempt
                )
            case effects.StopTimer(timer=timer, attempt=attempt):
                self._stop_timer(timer, attempt)
            case effects.ClaimOutcome(claim=claim):
                self._claim(claim)
            case effects.News(name=name, attempt=attempt):
                self._sink(TransferNews(self.call.call_id, self.action_id, name, leg_name(attempt)))
            case effects.Log(text=text, attempt=attempt):
                self._note(text, attempt)
            case _:
                raise AssertionError(f"the machine asks for {effect!r}, which no driver performs")

    async def _prepare(self) -> None:
        try:
            refused = await self._preparer.prepare()
        except PreparationError as error:
            self.post(events.PreparationFailed(at=time.time(), cause=events.LocalCause(error.cause), text=str(error)))
        else:
            self.post(events.PreparationFinished(at=time.time(), refused=tuple(refused)))

    async def _announce(self, text: str) -> None:
        caller = self.call.caller
        caller.jack.say.flush()
        rendering = self._spawn(self._render(text))
        ready, _ = await asyncio.wait({rendering}, timeout=_MUSIC_AFTER)
        if not ready and self._announcing():
            caller.jack.hears(self._hold)
        speech = await rendering
        if not self._announcing():
            return
        if speech is None:
            self.post(events.AnnouncementFinished(at=time.time(), failed=True))
            return
        caller.jack.hears(caller.jack.say)
        self._say(caller, speech, lambda: self.post(events.AnnouncementFinished(at=time.time())))
        self.call.said(text, speech.seconds)

    def _announcing(self) -> bool:
        """Whether the announcement is still awaited: speech that comes later belongs nowhere."""
        waits = self.state.caller in (CallerPhase.PREPARING, CallerPhase.ANNOUNCING)
        return waits and not self.state.announced and not self.call.caller.over

    async def _end_call(self, text: str, message: str) -> None:
        caller = self.call.caller
        if message and not caller.over:
            speech = await self._render(message)
            if speech is not None and not caller.over:
                played = asyncio.Event()
                caller.jack.say.flush()
                caller.jack.hears(caller.jack.say)
                self._say(caller, speech, played.set)
                self.call.said(message, speech.seconds)
                try:
                    await asyncio.wait_for(played.wait(), speech.seconds + 1)
                except TimeoutError:
                    self._note("the last words were not played to their end")
        if not caller.over:
            caller.hangup(ReasonHeader("SIP", 200, text) if text else None)
        if self.state.claim is not None:
            claim = self.state.claim
            self._report(TransferReport(claim.outcome, claim.reason, False, message))

    def _refer(self, target: int) -> None:
        route = self._routes[target]
        # Whose number is shown is the referee's matter: no identity of ours belongs into a Refer-To (RFC 3261 §19.1.5).
        headers = route.headers(effects.CallerId.AGENT)
        try:
            self.call.caller.refer(Address(refer_uri(route.uri, headers)), route.referred_by)
        except SipError as error:
            self.post(events.ReferRefused(at=time.time(), status=500, text=str(error)))

    def _dial(self, effect: effects.Dial) -> None:
        if self.call.caller.over:
            return
        attempt = effect.attempt
        route = self._routes[effect.target]
        target = self.policy.targets[effect.target]
        try:
            give_back = route.take()
        except DialRefusedError as error:
            self.post(
                events.LegFailed(at=time.time(), leg=attempt, local=events.LocalCause.GATEWAY_LIMIT, text=str(error))
            )
            return
        try:
            leg = self.call.user_agent.dial(
                route.uri,
                call_id=self.call.call_id,
                name=leg_name(attempt),
                from_=route.from_(effect.caller_id),
                headers=route.headers(effect.caller_id),
                beside=self.call.caller,
                next_hop=route.next_hop,
                credentials=route.credentials,
                ring_timeout=target.ring_timeout + 5,
                secure=route.secure,
                subscriber=lambda event: self._from_target(attempt, event),
            )
        except Exception as error:
            give_back()
            local = next((cause for kind, cause in _DIAL_FAULTS if isinstance(error, kind)), None)
            if local is None:
                log.exception("dial_failed", call_id=self.call.call_id)
                local = events.LocalCause.INTERNAL_ERROR
            self.post(events.LegFailed(at=time.time(), leg=attempt, local=local, text=str(error)))
            return
        self._targets[attempt] = leg
        leg.subscribe(lambda event: give_back() if leg.over else None)
        if leg.over:  # it failed at once
            give_back()
        self.call.legs.append(leg)
        self._briefings[attempt] = self._spawn(self._brief())

    def _detect(self, attempt: int, *, early: bool) -> None:
        ear = self._ears.get(attempt)
        if ear is not None and not early:
            ear.answered()
        elif ear is None and not self._targets[attempt].over:
            self._ears[attempt] = Ear(self._targets[attempt], attempt, self.post, early=early)

    def _stop_detecting(self, attempt: int) -> None:
        ear = self._ears.pop(attempt, None)
        if ear is not None:
            ear.close()

    def _close_leg(self, attempt: int, reason: str) -> None:
        leg = self._targets.get(attempt)
        self._closing.add(attempt)
        self._screening.discard(attempt)
        self._stop_detecting(attempt)
        if leg is None or leg.over:
            self.post(events.LegClosed(at=time.time(), leg=attempt))
            return
        leg.jack.hears(None)
        leg.hangup(headers=[("Reason", reason)] if reason else [])

    async def _send_digits(self, attempt: int, digits: str) -> None:
        leg = self._targets[attempt]
        try:
            leg.jack.send_dtmf(digits)
        except (NotNegotiatedError, JackClosedError, ValueError) as error:
            self._note(f"digits were not sent: {error}", attempt)
        else:
            await asyncio.sleep(sum({"w": 0.5, "W": 1.0}.get(digit, 0.18) for digit in digits))
        self.post(events.DigitsSent(at=time.time(), leg=attempt))

    async def _brief(self) -> Speech | None:
        if not self.policy.whisper:
            return None
        return await self._render(await self._briefer.brief())

    async def _whisper(self, attempt: int) -> None:
        leg = self._targets[attempt]
        speech = await self._briefings[attempt]
        if self._stands(attempt, LegPhase.BRIEFING):
            self._speak(leg, attempt, speech, events.WhisperFinished)

    async def _ask(self, attempt: int) -> None:
        leg = self._targets[attempt]
        speech = await self._render(self._question)
        if speech is None or not self._stands(attempt, LegPhase.SCREENING):
            return
        leg.jack.hears(leg.jack.say)

        def asked() -> None:
            if self._stands(attempt, LegPhase.SCREENING):
                leg.jack.hears(self.call.user_agent.comfort)

        self._say(leg, speech, asked)

    def _stands(self, attempt: int, phase: LegPhase) -> bool:
        """Whether the leg is still where its speech was asked for: a voice is late, and the cords may have moved."""
        standing = self.state.legs.get(attempt)
        return standing is not None and standing.phase is phase and not self._targets[attempt].over

    def _speak(self, leg: Leg, attempt: int, speech: Speech | None, done: type[events.WhisperFinished]) -> None:
        if speech is None:
            self.post(done(at=time.time(), leg=attempt, failed=True))
            return
        leg.jack.hears(leg.jack.say)

        def spoken() -> None:
            if self._stands(attempt, LegPhase.BRIEFING):
                leg.jack.hears(self.call.user_agent.comfort)
            self.post(done(at=time.time(), leg=attempt))

        self._say(leg, speech, spoken)

    def _plug(self, attempt: int) -> None:
        caller, target = self.call.caller, self._targets[attempt]
        target.jack.say.flush()
        caller.jack.hears(target.jack)
        target.jack.hears(caller.jack)

    async def _watch_media(self, attempt: int) -> None:
        """Look for the first packet of each leg after the bridge; the machine's timer is the limit."""
        caller, target = self.call.caller, self._targets[attempt]
        waiting = {leg.name: (leg, leg.jack.stats().packets_in + leg.jack.stats().rtcp_in) for leg in (caller, target)}
        while waiting and self.state.claim is None and self.state.joined == attempt:
            await asyncio.sleep(_MEDIA_POLL)
            for name, (leg, before) in list(waiting.items()):
                if leg.over:
                    del waiting[name]
                    continue
                stats = leg.jack.stats()
                if stats.packets_in + stats.rtcp_in > before:
                    del waiting[name]
                    if leg is caller:
                        self.post(events.CallerMediaSeen(at=time.time(), after_bridge=True))
                    else:
                        self.post(events.LegMediaSeen(at=time.time(), leg=attempt, after_bridge=True))

    async def _speak_to_both(self, attempt: int, text: str, *, introduce: bool) -> None:
        caller, target = self.call.caller, self._targets[attempt]
        speech = await self._render(text)
        if speech is None or caller.over or target.over or self.state.joined != attempt:
            if introduce:
                self.post(events.IntroductionFinished(at=time.time(), leg=attempt, failed=True))
            return
        mix = self.call.user_agent.board.mix()
        self._mixes.add(mix)
        for source in (caller.jack, target.jack, caller.jack.say):
            mix.add(source)
        caller.jack.hears(mix)
        target.jack.hears(mix)

        def said() -> None:
            if not caller.over and not target.over and self.state.joined == attempt:
                caller.jack.hears(target.jack)
                target.jack.hears(caller.jack)
            mix.close()
            self._mixes.discard(mix)
            if introduce:
                self.post(events.IntroductionFinished(at=time.time(), leg=attempt))

        self._say(caller, speech, said)
        self.call.said(text, speech.seconds)

    def _claim(self, claim: Claim) -> None:
        silence = 0
        caller = self.call.caller
        if self._silence_base is not None:
            silence = max(0, round(caller.jack.stats().unsent_ms - self._silence_base))
        self._sink(TransferClaimed(self.call.call_id, self.action_id, self.name, claim, silence))

    # Facts ----------------------------------------------------------------------------------------------------------

    def _from_caller(self, event: legs.LegEvent) -> None:
        if isinstance(event, legs.LegMark):
            self._played(event.id)
            return
        fact = from_caller(event, time.time())
        if fact is not None:
            self.post(fact)

    def _from_target(self, attempt: int, event: legs.LegEvent) -> None:
        leg = self._targets.get(attempt)
        match event:
            case legs.LegInvited(size=size, transport="udp") if size > _LARGEST_DATAGRAM:
                self.call.warn(
                    f"the INVITE of {leg_name(attempt)} has {size} bytes: over UDP more than"
                    f" {_LARGEST_DATAGRAM} may be cut into fragments and lost (RFC 3261 §18.1.1)"
                )
            case legs.LegAnswered(fault="") if leg is not None:
                leg.jack.hears(self.call.user_agent.comfort)
                self.call.record(leg)
            case legs.LegMark(id=mark):
                self._played(mark)
            case legs.LegKey(digit=digit):
                self._key(attempt, digit)
            case sip.ReferRequested() if leg is not None:
                leg.reject_refer(603)
            case _:
                pass
        fact = from_target(attempt, event, time.time(), closing=attempt in self._closing)
        if fact is not None:
            self.post(fact)

    def _key(self, attempt: int, digit: str) -> None:
        at = time.time()
        if attempt in self._screening:
            answer = {
                _KEYS_THAT_ACCEPT: events.ScreeningAnswer.ACCEPTED,
                _KEYS_THAT_DECLINE: events.ScreeningAnswer.DECLINED,
            }.get(digit)
            if answer is not None:
                self._screening.discard(attempt)
                self.post(events.ScreeningAnswered(at=at, leg=attempt, answer=answer))
            return
        before, self._stars[attempt] = self._stars.get(attempt, ""), digit
        if before == digit == "*" and self.state.joined == attempt:
            self._stars[attempt] = ""
            self.post(events.ReturnRequested(at=at, leg=attempt))

    # Helpers of this file -------------------------------------------------------------------------------------------

    def _say(self, leg: Leg, speech: Speech, done: Callable[[], None]) -> None:
        leg.jack.say.write(speech.data, speech.rate)
        mark = next(self._mark_ids)
        self._marks[mark] = done
        leg.jack.say.mark(mark)

    def _played(self, mark: int) -> None:
        done = self._marks.pop(mark, None)
        if done is not None:
            done()

    async def _render(self, text: str) -> Speech | None:
        if not text.strip():
            return None
        try:
            return await self._speaker.render(text)
        except Exception as error:
            self._note(f"the voice failed: {error}")
            return None

    def _report(self, report: TransferReport) -> None:
        if not self.report.done():
            self.report.set_result(report)

    def _timer_fired(self, timer: events.TimerName, attempt: int | None) -> None:
        self._timers.pop((timer, attempt), None)
        self.post(events.TimerFired(at=time.time(), timer=timer, leg=attempt))

    def _stop_timer(self, timer: events.TimerName, attempt: int | None) -> None:
        handle = self._timers.pop((timer, attempt), None)
        if handle is not None:
            handle.cancel()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self.call.spawn(work)

    def _note(self, text: str, attempt: int | None = None) -> None:
        self.call.note("transfer.note", leg_name(attempt), text=text)


def refer_uri(uri: Uri, headers: Sequence[tuple[str, str]]) -> Uri:
    """The URI of a Refer-To, with the action's headers in it (RFC 3261 §19.1.1)."""
    return replace(uri, headers=tuple((escape_header(name), escape_header(value)) for name, value in headers))
