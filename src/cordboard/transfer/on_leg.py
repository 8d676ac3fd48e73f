"""What the events and timers of a target leg do. The table in ``machine`` names when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import causes
from .causes import Row
from .draft import Draft, describe
from .effects import (
    AskScreening,
    Bridge,
    CallerId,
    CloseLeg,
    News,
    SendDigits,
    StartDetection,
    StopSpeaking,
)
from .events import (
    Event,
    Label,
    LegAnswered,
    LegFailed,
    LegInvited,
    LegMediaSeen,
    LegProgress,
    LocalCause,
    ScreeningAnswer,
    ScreeningAnswered,
    TimerName,
    Verdict,
    WhisperFinished,
)
from .policy import OnFailure, OnMenu
from .state import Leg, LegPhase

# --- a target leg: signalling -----------------------------------------------------------------------------------


def invited(draft: Draft, leg: Leg, event: LegInvited) -> None:
    draft.mark(leg.attempt, invite_bytes=event.size)


def progress(draft: Draft, leg: Leg, event: LegProgress) -> None:
    draft.mark(leg.attempt, sip_status=event.status, sip_text=event.text)
    if event.status > 100 and leg.phase is LegPhase.DIALING:
        draft.put(replace(leg, phase=LegPhase.EARLY))
        draft.mark(leg.attempt, ringing=draft.at)
        draft.emit(News("ringing", leg.attempt))
    if event.early_media and draft.policy.early_media_detection:
        draft.emit(StartDetection(leg.attempt, early=True))


def answered(draft: Draft, leg: Leg, event: LegAnswered) -> None:
    draft.stop_timers(TimerName.RING, attempt=leg.attempt)
    draft.mark(leg.attempt, sip_status=event.status, sip_text=event.text, answered=draft.at)
    draft.emit(News("answered", leg.attempt))
    if event.usable_media:
        draft.after_answer(leg)
    else:
        draft.fail_leg(leg, causes.LOCAL[LocalCause.UNUSABLE_ANSWER], alive=True)


def answered_closing(draft: Draft, leg: Leg, event: LegAnswered) -> None:
    # RFC 3261 §9.1: the CANCEL came too late; ACK and BYE (rule 6).
    draft.mark(leg.attempt, answered=draft.at)
    draft.log(f"{event.status} crossed our CANCEL; hung up", leg.attempt)
    draft.emit(CloseLeg(leg.attempt))


def failed(draft: Draft, leg: Leg, event: LegFailed) -> None:
    draft.mark(leg.attempt, sip_status=event.status, sip_text=event.text, q850=event.q850)
    attempt = draft.state.attempts[leg.attempt]
    if event.status in draft.target_of(leg.attempt).caller_id_refusals and attempt.caller_id != CallerId.AGENT:
        draft.mark(leg.attempt, result=causes.from_failure(event.status, event.q850, event.local).result)
        draft.log(f"{event.status} for this caller ID; trying once with the agent's number", leg.attempt)
        draft.drop(leg.attempt)
        draft.dial(leg.target, CallerId.AGENT)
        return
    draft.fail_leg(leg, causes.from_failure(event.status, event.q850, event.local), alive=False)


def hung_up(row: Row) -> Callable[[Draft, Leg, Event], None]:
    def handler(draft: Draft, leg: Leg, event: Event) -> None:
        draft.fail_leg(leg, row, alive=False, note=f"the person hung up in {leg.phase}")

    return handler


def hung_up_accepted(draft: Draft, leg: Leg, event: Event) -> None:
    if draft.state.joined != leg.attempt or not draft.succeed_as_heard():
        draft.fail_leg(leg, causes.HUNG_UP_BRIEFING, alive=False, note="the person hung up before the bridge")
        return
    draft.log("the bridge ended from the person's side", leg.attempt)
    draft.drop(leg.attempt)
    draft.part(draft.policy.on_person_left, causes.BRIDGED.result)


def closed(draft: Draft, leg: Leg, event: Event) -> None:
    draft.drop(leg.attempt)


def media(draft: Draft, leg: Leg, event: LegMediaSeen) -> None:
    joined = draft.state.joined == leg.attempt
    draft.put(replace(leg, media=True, bridge_media=leg.bridge_media or (joined and event.after_bridge)))
    if joined:
        draft.prove()


# --- a target leg: who answered, briefing, screening ------------------------------------------------------------


def digits_sent(draft: Draft, leg: Leg, event: Event) -> None:
    draft.listen(leg)


def note_verdict(draft: Draft, leg: Leg, event: Verdict) -> Leg:
    draft.mark(leg.attempt, verdict=event.label.value, scores=event.scores)
    draft.log(f"verdict {event.label}" + ("" if event.held else ", provisional"), leg.attempt)
    return draft.put(replace(leg, verdict=event.label))


def verdict_early(draft: Draft, leg: Leg, event: Verdict) -> None:
    leg = note_verdict(draft, leg, event)
    if event.label in (Label.SIT, Label.BUSY):
        draft.fail_leg(leg, causes.from_verdict(event.label, event.q850), alive=True)


def verdict_detecting(draft: Draft, leg: Leg, event: Verdict) -> None:
    leg = note_verdict(draft, leg, event)
    if event.label is Label.HUMAN:
        draft.emit(News("human_detected", leg.attempt))
        if event.held:
            draft.stop_timers(TimerName.HUMAN, attempt=leg.attempt)
        draft.open(draft.put(replace(leg, held=event.held)))
    elif draft.ends_attempt(event.label):
        draft.fail_leg(leg, causes.from_verdict(event.label, event.q850), alive=True)
    elif event.label is Label.PHONE_MENU and draft.policy.on_menu is OnMenu.KEYS and not leg.menu_answered:
        draft.put(replace(leg, menu_answered=True))
        draft.emit(SendDigits(leg.attempt, draft.policy.menu_keys))


def verdict_briefing(draft: Draft, leg: Leg, event: Verdict) -> None:
    leg = note_verdict(draft, leg, event)
    if event.label is Label.HUMAN:
        if event.held:
            draft.stop_timers(TimerName.HUMAN, TimerName.VERDICT_HOLD, attempt=leg.attempt)
            leg = draft.put(replace(leg, held=True))
            if leg.briefed and leg.phase is LegPhase.BRIEFING:
                draft.accept(leg)
    elif draft.ends_attempt(event.label):
        draft.emit(StopSpeaking(leg.attempt))
        draft.fail_leg(leg, causes.from_verdict(event.label, event.q850), alive=True)
    elif draft.policy.human_detection and not leg.held:
        back_to_detecting(draft, leg)


def verdict_accepted(draft: Draft, leg: Leg, event: Verdict) -> None:
    draft.log(f"after acceptance: verdict {event.label}", leg.attempt)


def revoked(draft: Draft, leg: Leg, event: Event) -> None:
    draft.log("verdict revoked", leg.attempt)
    if draft.policy.human_detection and not leg.held:
        back_to_detecting(draft, leg)


def back_to_detecting(draft: Draft, leg: Leg) -> None:
    draft.emit(StopSpeaking(leg.attempt))
    draft.stop_timers(
        TimerName.PAUSE_BEFORE,
        TimerName.WHISPER,
        TimerName.PAUSE_AFTER,
        TimerName.SCREENING,
        TimerName.VERDICT_HOLD,
        attempt=leg.attempt,
    )
    draft.mark(leg.attempt, human_connected=None)
    leg = draft.put(replace(leg, phase=LegPhase.DETECTING, briefed=False, asked=0))
    if leg.timed_out:
        draft.fail_leg(leg, causes.DETECTION_TIMEOUT[leg.verdict], alive=True)


def whispered(draft: Draft, leg: Leg, event: WhisperFinished) -> None:
    if (TimerName.WHISPER, leg.attempt) not in draft.state.timers:
        draft.log("a second end of the whisper", leg.attempt)
        return
    if event.failed:
        draft.log("the whisper could not be spoken", leg.attempt)
    draft.whispered(leg)


def screened(draft: Draft, leg: Leg, event: ScreeningAnswered) -> None:
    if not draft.policy.screening:
        draft.log("a screening answer where nothing was asked", leg.attempt)
        return
    draft.mark(leg.attempt, screening=event.answer.value)
    if event.answer is ScreeningAnswer.NO_ANSWER:
        if leg.phase is LegPhase.SCREENING:
            screening_silent(draft, leg)
        return
    draft.emit(StopSpeaking(leg.attempt))
    if event.answer is ScreeningAnswer.ACCEPTED:
        draft.accept(leg)
    else:
        draft.fail_leg(leg, causes.SCREENING[event.answer], alive=True, note=f"declined by {event.by}")


def screening_silent(draft: Draft, leg: Leg) -> None:
    draft.stop_timers(TimerName.SCREENING, attempt=leg.attempt)
    if leg.asked < 2:
        draft.put(replace(leg, asked=leg.asked + 1))
        draft.emit(AskScreening(leg.attempt, repeat=True))
        draft.start_timer(TimerName.SCREENING, draft.policy.timeouts.screening, leg.attempt)
        return
    draft.mark(leg.attempt, screening=ScreeningAnswer.NO_ANSWER.value)
    draft.fail_leg(leg, causes.SCREENING[ScreeningAnswer.NO_ANSWER], alive=True)


def introduced(draft: Draft, leg: Leg, event: Event) -> None:
    draft.stop_timers(TimerName.INTRODUCTION, attempt=leg.attempt)
    if draft.state.joined != leg.attempt or draft.state.bridged:
        draft.log("a second end of the introduction", leg.attempt)
        return
    draft.state = replace(draft.state, bridged=True)
    draft.emit(Bridge(leg.attempt))


def return_requested(draft: Draft, leg: Leg, event: Event) -> None:
    if draft.state.joined != leg.attempt or not draft.succeed_as_heard():
        draft.log("return asked for before the bridge: ignored", leg.attempt)
        return
    draft.log("the person gave the caller back", leg.attempt)
    draft.part(OnFailure.RETURN, causes.BRIDGED.result)
    draft.close(leg)


def late(draft: Draft, leg: Leg, event: Event) -> None:
    draft.log(f"late: {describe(event)}", leg.attempt)


def unheard(draft: Draft, leg: Leg, event: Event) -> None:
    """Media before the answer is not media since the answer (rule 12)."""


def rang_out(draft: Draft, leg: Leg) -> None:
    draft.fail_leg(leg, causes.LOCAL[LocalCause.RING_TIMEOUT], alive=True)


def digits_late(draft: Draft, leg: Leg) -> None:
    draft.log("the digits were not sent in time", leg.attempt)
    draft.listen(leg)


def nobody(draft: Draft, leg: Leg) -> None:
    if leg.phase is LegPhase.DETECTING:
        draft.fail_leg(leg, causes.DETECTION_TIMEOUT[leg.verdict], alive=True)
    else:
        draft.put(replace(leg, timed_out=True))


def whisper_late(draft: Draft, leg: Leg) -> None:
    draft.emit(StopSpeaking(leg.attempt))
    draft.log("the whisper did not end in time", leg.attempt)
    draft.whispered(leg)


def media_late(draft: Draft, leg: Leg) -> None:
    if draft.succeed_as_heard():
        draft.log("bridged, but not heard from both after the bridge", leg.attempt)
        return
    row = causes.LOCAL[LocalCause.NO_MEDIA]
    if leg.media:
        draft.log("no media from the caller", leg.attempt)
        draft.mark(leg.attempt, result=row.result)
        draft.fail_transfer(row.result, leg.attempt)  # another destination would not hear the caller either
    else:
        draft.fail_leg(leg, row, alive=True, note="no media from the person since the answer")


def introduction_late(draft: Draft, leg: Leg) -> None:
    draft.log("the introduction did not end in time", leg.attempt)
    draft.state = replace(draft.state, bridged=True)
    draft.emit(Bridge(leg.attempt))
