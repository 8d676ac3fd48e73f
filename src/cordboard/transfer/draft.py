"""One step in the making: the next state and its effects, and the moves that handlers share.

A draft lives for one call of ``machine.step``. Nothing here decides by event; the table in ``machine`` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from . import causes
from .causes import Row
from .effects import (
    AskScreening,
    Bridge,
    CallerId,
    ClaimOutcome,
    CloseLeg,
    Dial,
    Effect,
    EndCall,
    Introduce,
    ListenForScreening,
    Log,
    News,
    PlayHold,
    ReturnCaller,
    SayGoodbye,
    SendDigits,
    SendRefer,
    StartDetection,
    StartTimer,
    StopDetection,
    StopRecording,
    StopTimer,
    Unbridge,
    WatchMedia,
    Whisper,
)
from .events import Event, Label, LocalCause, Refused, TimerName
from .outcome import Attempt, AttemptResult, Claim, Evidence, Method, Outcome, Proof
from .policy import OnFailure, OnMenu, Policy, Target
from .state import CallerPhase, Leg, LegPhase, Refer, State

MAXIMUM_NOTES = 64

# RFC 3326 §2, RFC 3261 §9.1: a leg that lost to another one was completed elsewhere.
COMPLETED_ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'

# Which attempt of a round speaks for the transfer: the one that got furthest.
_RANK = {Outcome.CANCELLED: -1, Outcome.CONNECTION_ERROR: 0, Outcome.TIMEOUT: 1, Outcome.SCREENING_REJECTED: 2}


class Draft:
    """The mutable side of a pure step."""

    def __init__(self, state: State, policy: Policy, at: float) -> None:
        self.state = state
        self.policy = policy
        self.at = at
        self.effects: list[Effect] = []

    def emit(self, *effects: Effect) -> None:
        """Append effects in order."""
        self.effects.extend(effects)

    # --- records ------------------------------------------------------------------------------------------------

    def log(self, text: str, attempt: int | None = None) -> None:
        """Note it on the attempt, or on the transfer where there is none."""
        self.emit(Log(text, attempt))
        if attempt is not None and attempt < len(self.state.attempts):
            notes = self.state.attempts[attempt].notes
            if len(notes) < MAXIMUM_NOTES:
                self.mark(attempt, notes=(*notes, text))
        elif len(self.state.notes) < MAXIMUM_NOTES:
            self.state = replace(self.state, notes=(*self.state.notes, text))

    def mark(self, attempt: int, **changes: Any) -> None:
        """Write evidence on an attempt."""
        attempts = list(self.state.attempts)
        attempts[attempt] = replace(attempts[attempt], **changes)
        self.state = replace(self.state, attempts=tuple(attempts))

    def _record(self, target: int, caller_id: CallerId, method: Method) -> int:
        about = self.policy.targets[target]
        index = len(self.state.attempts)
        attempt = Attempt(
            index=index,
            target=target,
            destination=about.destination,
            gateway=about.gateway,
            method=method,
            caller_id=caller_id.value,
            started=self.at,
        )
        self.state = replace(self.state, attempts=(*self.state.attempts, attempt))
        return index

    def put(self, leg: Leg) -> Leg:
        """Store a leg."""
        self.state = replace(self.state, legs={**self.state.legs, leg.attempt: leg})
        return leg

    def target_of(self, attempt: int) -> Target:
        """The policy's target that the attempt went to."""
        return self.policy.targets[self.state.attempts[attempt].target]

    # --- timers -------------------------------------------------------------------------------------------------

    def start_timer(self, timer: TimerName, seconds: float, attempt: int | None = None) -> None:
        """Start or restart a timer."""
        self.emit(StartTimer(timer, seconds, attempt))
        self.state = replace(self.state, timers=self.state.timers | {(timer, attempt)})

    def stop_timers(self, *timers: TimerName, attempt: int | None = None) -> None:
        """Stop those that run; without names, all of the attempt (or of the caller)."""
        for running in sorted(
            self.state.timers, key=lambda entry: (entry[0].value, -1 if entry[1] is None else entry[1])
        ):
            if running[1] == attempt and (not timers or running[0] in timers):
                self.emit(StopTimer(*running))
                self.state = replace(self.state, timers=self.state.timers - {running})

    # --- rounds -------------------------------------------------------------------------------------------------

    def refuse(self, refused: Iterable[Refused]) -> None:
        """Record targets that must not be dialled (rule 10)."""
        for entry in refused:
            if entry.target in self.state.unfit or not 0 <= entry.target < len(self.policy.targets):
                continue
            method = self.policy.targets[entry.target].method
            index = self._record(entry.target, self.policy.targets[entry.target].caller_id, method)
            self.mark(index, started=None, ended=self.at, result=causes.LOCAL[entry.cause].result)
            self.log(entry.text or causes.LOCAL[entry.cause].meaning, index)
            self.state = replace(self.state, unfit=self.state.unfit | {entry.target})

    def begin_dialling(self) -> None:
        """Preparation is over: leave Preparing and start the first round."""
        phase = CallerPhase.HOLDING if self.state.announced else CallerPhase.ANNOUNCING
        self.state = replace(self.state, caller=phase, prepared=True)
        self.next_round()

    def next_round(self, first: int | None = None) -> None:
        """Dial the next round that has a target left; where there is none, the last attempts decide the outcome."""
        number = self.state.round + 1 if first is None else first
        while number < len(self.policy.rounds):
            fit = [target for target in self.policy.rounds[number] if target not in self.state.unfit]
            if fit and self.policy.targets[fit[0]].method is Method.REFER:
                self.state = replace(self.state, round=number, round_start=len(self.state.attempts))
                # Rule 2, and field lesson 22: a REFER may end our leg at once, so the announcement is let out first.
                if self.state.announced:
                    self.send_refer(fit[0])
                return
            if fit:
                self.state = replace(self.state, round=number, round_start=len(self.state.attempts))
                for target in fit:
                    self.dial(target, self.policy.targets[target].caller_id)
                return
            number += 1
        self.state = replace(self.state, round=number)
        self._exhausted()

    def refer_if_due(self) -> bool:
        """Send the REFER that waited for the end of the announcement; whether there was one."""
        fit = [target for target in self.policy.rounds[self.state.round] if target not in self.state.unfit]
        if self.state.legs or not fit or self.policy.targets[fit[0]].method is not Method.REFER:
            return False
        self.send_refer(fit[0])
        return True

    def _exhausted(self) -> None:
        tried = [a for a in self.state.attempts[self.state.round_start :] if a.result is not None]
        if not tried:
            self.fail_transfer(causes.LOCAL[LocalCause.INVALID_DESTINATION].result, None)
            return
        best = max(tried, key=lambda a: (_RANK[a.result.outcome] if a.result else 0, a.index))
        assert best.result is not None
        self.fail_transfer(best.result, best.index)

    def dial(self, target: int, caller_id: CallerId) -> None:
        """Start one INVITE leg."""
        index = self._record(target, caller_id, Method.INVITE)
        self.put(Leg(attempt=index, target=target))
        self.emit(Dial(index, target, caller_id))
        self.start_timer(TimerName.RING, self.policy.targets[target].ring_timeout, index)

    def send_refer(self, target: int) -> None:
        """REFER the caller under hold music."""
        index = self._record(target, self.policy.targets[target].caller_id, Method.REFER)
        self.state = replace(self.state, caller=CallerPhase.REFERRING, refer=Refer(attempt=index))
        self.emit(PlayHold(), SendRefer(index, target))
        self.start_timer(TimerName.REFER_REPORT, self.policy.timeouts.refer_report)

    def advance(self) -> None:
        """After an attempt has failed: wait for the round's other legs, or go on."""
        if self.state.claim is not None or any(leg.phase is not LegPhase.CLOSING for leg in self.state.legs.values()):
            return
        if self.policy.retry_delay > 0 and self._next_is_a_retry():
            self.start_timer(TimerName.RETRY, self.policy.retry_delay)
        else:
            self.next_round()

    def _next_is_a_retry(self) -> bool:
        dialled = {attempt.target for attempt in self.state.attempts}
        for targets in self.policy.rounds[self.state.round + 1 :]:
            fit = [target for target in targets if target not in self.state.unfit]
            if fit:
                return any(target in dialled for target in fit)
        return False

    # --- a leg's way from answer to acceptance -----------------------------------------------------------------

    def after_answer(self, leg: Leg) -> None:
        """Extension digits, then detection, then the briefing."""
        leg = self.put(replace(leg, phase=LegPhase.ANSWERED))
        if self.policy.digits:
            self.emit(SendDigits(leg.attempt, self.policy.digits))
            self.start_timer(TimerName.DIGITS, self.policy.timeouts.digits, leg.attempt)
        else:
            self.listen(leg)

    def listen(self, leg: Leg) -> None:
        """Find out who answered, where the policy asks for it."""
        self.stop_timers(TimerName.DIGITS, attempt=leg.attempt)
        if self.policy.detects:
            self.emit(StartDetection(leg.attempt))
        if self.policy.human_detection:
            self.put(replace(leg, phase=LegPhase.DETECTING))
            self.start_timer(TimerName.HUMAN, self.policy.human_timeout, leg.attempt)
        else:
            self.open(leg)

    def open(self, leg: Leg) -> None:
        """A person is there, as far as we know: brief."""
        leg = self.put(replace(leg, phase=LegPhase.BRIEFING, briefed=False, asked=0))
        self.mark(leg.attempt, human_connected=self.at)
        if self.policy.screening:
            self.emit(ListenForScreening(leg.attempt))
        if self.policy.whisper:
            self.emit(News("briefing", leg.attempt))
        if self.policy.whisper and self.policy.pause_before > 0:
            self.start_timer(TimerName.PAUSE_BEFORE, self.policy.pause_before, leg.attempt)
        else:
            self.whisper(leg)

    def whisper(self, leg: Leg) -> None:
        """Speak to the person only (rule 3)."""
        if self.policy.whisper:
            self.emit(Whisper(leg.attempt))
            self.start_timer(TimerName.WHISPER, self.policy.timeouts.whisper, leg.attempt)
        else:
            self.ask(leg)

    def whispered(self, leg: Leg) -> None:
        """The whisper is over."""
        self.stop_timers(TimerName.WHISPER, attempt=leg.attempt)
        if self.policy.pause_after > 0:
            self.start_timer(TimerName.PAUSE_AFTER, self.policy.pause_after, leg.attempt)
        else:
            self.ask(leg)

    def ask(self, leg: Leg) -> None:
        """Put the screening question, or let the verdict decide."""
        leg = self.put(replace(leg, briefed=True))
        if self.policy.screening:
            self.put(replace(leg, phase=LegPhase.SCREENING, asked=1))
            self.emit(AskScreening(leg.attempt), News("screening", leg.attempt))
            self.start_timer(TimerName.SCREENING, self.policy.timeouts.screening, leg.attempt)
        elif self.policy.human_detection and not leg.held:
            self.start_timer(TimerName.VERDICT_HOLD, self.policy.timeouts.verdict_hold, leg.attempt)
        else:
            self.accept(leg)

    def accept(self, leg: Leg) -> None:
        """The first accepted leg wins; the others are cancelled (rule 7)."""
        self.stop_timers(attempt=leg.attempt)
        if self.policy.detects:
            self.emit(StopDetection(leg.attempt))
        self.put(replace(leg, phase=LegPhase.ACCEPTED))
        for other in list(self.state.legs.values()):
            if other.attempt != leg.attempt and other.phase is not LegPhase.CLOSING:
                self.close(other, COMPLETED_ELSEWHERE)
                self.mark(other.attempt, result=causes.COMPLETED_ELSEWHERE.result)
                self.log(causes.COMPLETED_ELSEWHERE.meaning, other.attempt)
        if self.state.caller is CallerPhase.HOLDING:
            self.join(leg.attempt)

    # --- together -----------------------------------------------------------------------------------------------

    def join(self, attempt: int) -> None:
        """Plug the cords; the outcome waits for media from both sides (rule 12)."""
        self.put(replace(self.state.legs[attempt], bridge_media=False))
        introduced = bool(self.policy.introduction)
        self.state = replace(
            self.state,
            caller=CallerPhase.JOINED,
            joined=attempt,
            bridged=not introduced,
            caller_bridge_media=False,
        )
        if introduced:
            self.emit(Introduce(attempt, self.policy.introduction))
            self.start_timer(TimerName.INTRODUCTION, self.policy.timeouts.introduction, attempt)
        else:
            self.emit(Bridge(attempt))
        self.emit(WatchMedia(attempt))
        self.mark(attempt, bridged=self.at)
        self.start_timer(TimerName.BRIDGE_MEDIA, self.policy.timeouts.bridge_media, attempt)
        if self.policy.goodbye:
            self.emit(SayGoodbye(attempt, self.policy.goodbye))

    @property
    def joined_leg(self) -> Leg | None:
        """The leg that the caller is joined with, while it stands."""
        return None if self.state.joined is None else self.state.legs.get(self.state.joined)

    def both_heard(self) -> bool:
        """Media from each leg since its answer: what rule 12 calls bridged."""
        leg = self.joined_leg
        return leg is not None and leg.media and self.state.caller_media

    def prove(self) -> None:
        """Claim success as soon as both were heard after the bridge."""
        leg = self.joined_leg
        if self.state.claim is None and leg is not None and leg.bridge_media and self.state.caller_bridge_media:
            self.succeed(verified=True, proof=Proof.MEDIA)

    def succeed_as_heard(self) -> bool:
        """Something ends the bridge before the proof is complete: it was a bridge if both had been heard."""
        if self.state.claim is None and self.both_heard():
            self.succeed(verified=False, proof=Proof.MEDIA_BEFORE_BRIDGE)
        return self.state.claim is not None

    def succeed(self, *, verified: bool, proof: Proof) -> None:
        """Claim transfer-success for the joined leg."""
        assert self.state.joined is not None
        self.stop_timers(TimerName.BRIDGE_MEDIA, attempt=self.state.joined)
        self.mark(self.state.joined, result=causes.BRIDGED.result)
        self.claim(causes.BRIDGED.result, self.state.joined, verified=verified, proof=proof)
        self.emit(News("bridged", self.state.joined))
        if self.policy.stop_recording:
            self.emit(StopRecording())

    def unjoin(self) -> None:
        """The caller goes back on hold."""
        assert self.state.joined is not None
        self.emit(Unbridge(self.state.joined), PlayHold())
        self.state = replace(self.state, caller=CallerPhase.HOLDING, joined=None, bridged=False)

    # --- endings ------------------------------------------------------------------------------------------------

    def close(self, leg: Leg, reason: str = "") -> None:
        """CANCEL or hang up a leg and wait for its end; once only."""
        if leg.phase is LegPhase.CLOSING:
            return
        self.stop_timers(attempt=leg.attempt)
        if self.policy.detects or self.policy.early_media_detection:
            self.emit(StopDetection(leg.attempt))
        self.put(replace(leg, phase=LegPhase.CLOSING))
        self.emit(CloseLeg(leg.attempt, reason))

    def drop(self, attempt: int) -> None:
        """The leg has ended."""
        self.stop_timers(attempt=attempt)
        legs = dict(self.state.legs)
        del legs[attempt]
        self.state = replace(self.state, legs=legs)
        if self.state.attempts[attempt].ended is None:
            self.mark(attempt, ended=self.at)

    def fail_leg(self, leg: Leg, row: Row, *, alive: bool, note: str = "") -> None:
        """An attempt has failed; the plan goes on. ``alive``: the leg must still be closed."""
        self.mark(leg.attempt, result=row.result)
        if note:
            self.log(note, leg.attempt)
        if not causes.retryable(row.reason):
            self.state = replace(self.state, unfit=self.state.unfit | {leg.target})
        if self.state.joined == leg.attempt:
            self.unjoin()
        if alive:
            self.close(leg)
        else:
            self.drop(leg.attempt)
        self.advance()

    def claim(
        self, result: AttemptResult, attempt: int | None, *, verified: bool = False, proof: Proof | None = None
    ) -> None:
        """The one ending (rule 1)."""
        assert self.state.claim is None, "an ending is claimed once"
        evidence = Evidence(attempts=self.state.attempts, verified=verified, proof=proof, notes=self.state.notes)
        claim = Claim(result.outcome, result.reason, verified, attempt, self.at, evidence)
        self.state = replace(self.state, claim=claim, proof=proof)
        self.emit(ClaimOutcome(claim))

    def fail_transfer(self, result: AttemptResult, attempt: int | None) -> None:
        """Claim a failure, close what stands, and send the caller where the policy says."""
        cold = self.state.refer is not None
        where = self.policy.on_failure.get(result.outcome, OnFailure.END if cold else OnFailure.RETURN)
        self.finish(result, attempt, where)

    def finish(self, result: AttemptResult, attempt: int | None, where: OnFailure | None) -> None:
        """Claim, close all legs and part with the caller: RETURN, END, or None for a caller who is gone."""
        caller_left = self.state.refer is not None and self.state.refer.caller_left
        if self.state.refer is not None:
            self.mark(self.state.refer.attempt, ended=self.at, result=result)
        for leg in self.state.legs.values():
            if self.state.attempts[leg.attempt].result is None:
                self.mark(leg.attempt, result=result)
        self.claim(result, attempt)
        self.emit(News("cancelled" if result.outcome is Outcome.CANCELLED else "failed", attempt))
        self.stop_timers()
        self.part(None if caller_left else where, result)
        for leg in list(self.state.legs.values()):
            self.close(leg)

    def part(self, where: OnFailure | None, result: AttemptResult) -> None:
        """The caller leaves the transfer: RETURN to the agent, END of the call, or None where already gone."""
        if self.state.joined is not None:
            self.emit(Unbridge(self.state.joined))
        failed = result.outcome is not Outcome.SUCCESS
        words = self.policy.failed_message if failed and result.outcome is not Outcome.CANCELLED else ""
        if where is OnFailure.RETURN:
            fallback = self.policy.fallback.get(result.outcome, "")
            self.emit(ReturnCaller(result.outcome, result.reason, words, fallback))
            phase = CallerPhase.RETURNED
        else:
            phase = CallerPhase.GONE
            if where is OnFailure.END:
                self.emit(EndCall(f"{result.outcome}: {result.reason}" if failed else "", words))
        self.state = replace(self.state, caller=phase, joined=None, bridged=False)

    def finish_refer(self, row: Row, note: str = "") -> None:
        """The REFER has failed; cold ends the call unless the action says otherwise (rule 8)."""
        refer = self.state.refer
        assert refer is not None
        if note:
            self.log(note, refer.attempt)
        self.fail_transfer(row.result, refer.attempt)

    def succeed_refer(self, proof: Proof, *, caller_left: bool) -> None:
        """The other side says that the referred call went through; we have not heard it: never verified."""
        refer = self.state.refer
        assert refer is not None
        self.mark(refer.attempt, result=causes.REFERRED.result, ended=self.at)
        self.claim(causes.REFERRED.result, refer.attempt, verified=False, proof=proof)
        self.stop_timers()
        if not caller_left:
            self.emit(EndCall("transferred"))
        self.state = replace(self.state, caller=CallerPhase.GONE)

    def settle(self) -> None:
        """Done: claimed, the caller parted with, every leg ended."""
        over = self.state.caller in (CallerPhase.RETURNED, CallerPhase.GONE)
        if self.state.claim is not None and over and not self.state.legs and not self.state.done:
            self.stop_timers()
            self.emit(News("ended"))
            self.state = replace(self.state, done=True)

    # --- small questions ----------------------------------------------------------------------------------------

    def ends_attempt(self, label: Label) -> bool:
        """Only a beep or voicemail phrase, a fax tone, or a menu where the policy says so, end an attempt early."""
        if label is Label.PHONE_MENU:
            return self.policy.human_detection and self.policy.on_menu is OnMenu.FAIL
        return label is Label.FAX or (label is Label.VOICEMAIL and self.policy.voicemail_detection)


NO_REPORT_NOTE = "no final report came; the referred call may still ring"


def describe(event: Event) -> str:
    """One line for the notes."""
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__ if name not in ("at", "leg")}
    told = ", ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, "", ()))
    return f"{type(event).__name__}({told})"
