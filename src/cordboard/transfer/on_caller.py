"""What the caller's events, the REFER's reports and the caller's timers do. The table in ``machine`` names when."""

from __future__ import annotations

from dataclasses import replace

from . import causes
from .draft import NO_REPORT_NOTE, Draft, describe
from .effects import (
    Announce,
    News,
    ParkAgent,
    PlayHold,
    Prepare,
    StopHold,
)
from .events import (
    AnnouncementFinished,
    CallerGone,
    CallerMediaSeen,
    CallerReinvited,
    CancelRequested,
    Event,
    PreparationFailed,
    PreparationFinished,
    ReferAccepted,
    ReferEnded,
    ReferNotified,
    ReferRefused,
    ShutdownRequested,
    Started,
    TimerName,
)
from .outcome import Proof
from .policy import OnFailure, ReferSuccess
from .state import CallerPhase, LegPhase

# --- the caller -------------------------------------------------------------------------------------------------


def started(draft: Draft, event: Started) -> None:
    policy = draft.policy
    draft.state = replace(draft.state, started=True, caller_media=event.caller_media)
    draft.emit(ParkAgent(), News("started"))
    if policy.announcement:
        draft.emit(Announce(policy.announcement))
        draft.start_timer(TimerName.ANNOUNCEMENT, policy.timeouts.announcement)
    else:
        draft.state = replace(draft.state, announced=True)
        draft.emit(PlayHold())
    if policy.prepare:
        draft.emit(Prepare())
        draft.start_timer(TimerName.PREPARATION, policy.timeouts.preparation)
    else:
        draft.begin_dialling()


def prepared(draft: Draft, event: PreparationFinished) -> None:
    draft.stop_timers(TimerName.PREPARATION)
    draft.refuse(event.refused)
    draft.begin_dialling()


def preparation_failed(draft: Draft, event: PreparationFailed) -> None:
    row = causes.LOCAL[event.cause]
    draft.log(event.text or row.meaning)
    draft.fail_transfer(row.result, None)


def announced(draft: Draft, event: AnnouncementFinished) -> None:
    draft.stop_timers(TimerName.ANNOUNCEMENT)
    if event.failed:
        draft.log("the announcement could not be spoken")
    after_announcement(draft)


def after_announcement(draft: Draft) -> None:
    draft.state = replace(draft.state, announced=True)
    if draft.state.caller is CallerPhase.PREPARING:
        draft.emit(PlayHold())
        return
    draft.state = replace(draft.state, caller=CallerPhase.HOLDING)
    for leg in draft.state.legs.values():
        if leg.phase is LegPhase.ACCEPTED:
            draft.join(leg.attempt)
            return
    if not draft.refer_if_due():
        draft.emit(PlayHold())


def gone(draft: Draft, event: CallerGone) -> None:
    draft.log(f"the caller's leg ended: {event.text}")
    draft.finish(causes.CALLER_HUNG_UP.result, None, None)


def gone_joined(draft: Draft, event: CallerGone) -> None:
    leg = draft.joined_leg
    assert leg is not None
    if not draft.succeed_as_heard():
        gone(draft, event)
        return
    draft.log(f"the bridge ended: {event.text} from the caller's side", leg.attempt)
    draft.close(leg)
    draft.state = replace(draft.state, caller=CallerPhase.GONE, joined=None, bridged=False)


def gone_returned(draft: Draft, event: CallerGone) -> None:
    draft.log(f"after the outcome: the caller's leg ended: {event.text}")
    draft.state = replace(draft.state, caller=CallerPhase.GONE)


def reinvited(draft: Draft, event: CallerReinvited) -> None:
    refer = draft.state.refer
    assert refer is not None
    if event.held:
        draft.emit(StopHold())
        draft.log("the caller's side put us on hold", refer.attempt)
    else:
        draft.emit(PlayHold())
        draft.log("the caller's side took the call back; hold music until the report", refer.attempt)


def cancelled(draft: Draft, event: CancelRequested) -> None:
    draft.log(f"cancelled by {event.by}")
    if draft.state.refer is not None and draft.state.refer.accepted:
        draft.log(NO_REPORT_NOTE, draft.state.refer.attempt)
    draft.finish(causes.CANCELLED_BY_OPERATOR.result, None, OnFailure.RETURN)


def cancelled_joined(draft: Draft, event: CancelRequested) -> None:
    if draft.succeed_as_heard():
        draft.log(f"cancelled by {event.by} after the bridge: nothing to cancel", draft.state.joined)
    else:
        cancelled(draft, event)


def shutdown(draft: Draft, event: ShutdownRequested) -> None:
    draft.log(event.because or "shutdown: the drain limit came")
    row = causes.CANCELLED_BY_OPERATOR if event.because else causes.SHUTDOWN
    draft.finish(row.result, None, OnFailure.END)


def shutdown_joined(draft: Draft, event: ShutdownRequested) -> None:
    leg = draft.joined_leg
    assert leg is not None
    if not draft.succeed_as_heard():
        shutdown(draft, event)
        return
    draft.log(event.because or "shutdown: the drain limit ended the bridge", leg.attempt)
    draft.part(OnFailure.END, causes.BRIDGED.result)
    draft.close(leg)


def media(draft: Draft, event: CallerMediaSeen) -> None:
    draft.state = replace(draft.state, caller_media=True)


def media_joined(draft: Draft, event: CallerMediaSeen) -> None:
    bridge_media = draft.state.caller_bridge_media or event.after_bridge
    draft.state = replace(draft.state, caller_media=True, caller_bridge_media=bridge_media)
    draft.prove()


def late(draft: Draft, event: Event) -> None:
    draft.log(f"late: {describe(event)}")


def nothing(draft: Draft, event: Event) -> None:
    """Listed, and without meaning here."""


# --- REFER ------------------------------------------------------------------------------------------------------


def refer_accepted(draft: Draft, event: ReferAccepted) -> None:
    refer = draft.state.refer
    assert refer is not None
    # RFC 3515 §2.4.2: a 2xx says only that the REFER was understood.
    draft.state = replace(draft.state, refer=replace(refer, accepted=True))
    draft.mark(refer.attempt, sip_status=event.status, sip_text="REFER accepted")
    if event.subscription:
        return
    # RFC 4488 §4: Refer-Sub: false in the 2xx means that no NOTIFY will ever come.
    if draft.target_of(refer.attempt).refer_success is ReferSuccess.BYE:
        draft.log("Refer-Sub: false; waiting for the BYE", refer.attempt)
    else:
        draft.finish_refer(causes.REFER_NO_REPORT, f"Refer-Sub: false; {NO_REPORT_NOTE}")


def refer_refused(draft: Draft, event: ReferRefused) -> None:
    refer = draft.state.refer
    assert refer is not None
    draft.mark(refer.attempt, sip_status=event.status, sip_text=event.text, q850=event.q850)
    row = causes.from_refer_refusal(event.status, event.q850, event.local)
    fallback = draft.policy.fallback_round
    if fallback is not None and not refer.caller_left and not event.local:
        draft.stop_timers()
        draft.mark(refer.attempt, result=row.result, ended=draft.at)
        draft.log(f"REFER refused with {event.status}; going on as a bridge", refer.attempt)
        draft.state = replace(draft.state, caller=CallerPhase.HOLDING, refer=None)
        draft.next_round(fallback)
        return
    note = f"the REFER was never answered; {NO_REPORT_NOTE}" if event.local else ""
    draft.finish_refer(row, note)


def refer_notified(draft: Draft, event: ReferNotified) -> None:
    refer = draft.state.refer
    assert refer is not None
    draft.state = replace(draft.state, refer=replace(refer, accepted=True, last_status=event.status))
    draft.mark(refer.attempt, sip_status=event.status, sip_text=event.text)
    draft.log(f"NOTIFY {event.status} {event.text}".rstrip(), refer.attempt)
    if event.status < 200:
        if event.status >= 180 and draft.state.attempts[refer.attempt].ringing is None:
            draft.mark(refer.attempt, ringing=draft.at)
            draft.emit(News("ringing", refer.attempt))
        if event.final:
            draft.finish_refer(causes.REFER_NO_REPORT, f"the subscription ended on {event.status}; {NO_REPORT_NOTE}")
    elif event.status < 300:
        weak = draft.target_of(refer.attempt).refer_success is ReferSuccess.WEAK_200
        if weak:
            draft.log("this gateway reports 200 before a person has answered", refer.attempt)
        draft.mark(refer.attempt, answered=draft.at)
        draft.succeed_refer(Proof.WEAK_200 if weak else Proof.FINAL_NOTIFY, caller_left=refer.caller_left)
    else:
        draft.finish_refer(causes.from_sip_status(event.status))


def refer_ended(draft: Draft, event: ReferEnded) -> None:
    draft.finish_refer(causes.REFER_NO_REPORT, f"the subscription ended without a status; {NO_REPORT_NOTE}")


def gone_referring(draft: Draft, event: CallerGone) -> None:
    refer = draft.state.refer
    assert refer is not None
    if refer.caller_left:
        draft.log(f"{event.text} again", refer.attempt)
        return
    if not refer.accepted:
        gone(draft, event)
        return
    if draft.target_of(refer.attempt).refer_success is ReferSuccess.BYE:
        draft.log("the gateway ended our leg: its report of success", refer.attempt)
        draft.succeed_refer(Proof.BYE, caller_left=True)
        return
    # RFC 5057 §4.1: the subscription may outlive the session, so a report can still be on its way.
    draft.log(f"{event.text} before the report", refer.attempt)
    draft.stop_timers(TimerName.REFER_REPORT)
    draft.state = replace(draft.state, refer=replace(refer, caller_left=True))
    if draft.policy.timeouts.refer_after_bye > 0:
        draft.start_timer(TimerName.REFER_AFTER_BYE, draft.policy.timeouts.refer_after_bye)
    else:
        draft.finish_refer(causes.REFER_NO_REPORT, NO_REPORT_NOTE)


# --- timers -----------------------------------------------------------------------------------------------------


def preparation_late(draft: Draft) -> None:
    draft.log("preparation was not ready in time; going on with what there is")
    draft.begin_dialling()


def announcement_late(draft: Draft) -> None:
    draft.log("the announcement did not end in time")
    after_announcement(draft)


def no_report(draft: Draft) -> None:
    refer = draft.state.refer
    assert refer is not None
    last = "no NOTIFY" if refer.last_status is None else f"only {refer.last_status}"
    draft.finish_refer(causes.REFER_NO_REPORT, f"{last}; {NO_REPORT_NOTE}")


def retry(draft: Draft) -> None:
    draft.next_round()
