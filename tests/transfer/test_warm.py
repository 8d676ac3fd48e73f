"""Warm transfers through the machine: order, proof, failures, what the field got wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cordboard.transfer import effects as fx
from cordboard.transfer import events as ev
from cordboard.transfer.machine import UnlistedTransition, initial, step
from cordboard.transfer.outcome import Outcome, Proof
from cordboard.transfer.policy import OnFailure, OnMenu, Policy, Timeouts
from cordboard.transfer.state import CallerPhase, LegPhase

from .support import OTHER, PERSON, WARM, Bench

TIMER = ev.TimerName
DETECT = replace(WARM, human_detection=True, voicemail_detection=True)
SCREEN = replace(WARM, screening=True)
TWO = replace(WARM, targets=(PERSON, OTHER), rounds=((0,), (1,)))
TOGETHER = replace(WARM, targets=(PERSON, OTHER), rounds=((0, 1),))


def test_announcement_and_dialling_overlap_and_the_agent_is_parked_first() -> None:
    bench = Bench(WARM)
    kinds = [type(effect) for effect in bench.all]
    assert kinds.index(fx.ParkAgent) < kinds.index(fx.Announce) < kinds.index(fx.Dial)
    assert bench.state.caller.value == "Announcing"
    bench.post(ev.AnnouncementFinished())
    assert bench.these(fx.PlayHold, last=True)
    assert bench.state.caller.value == "Holding"


def test_success_is_claimed_with_media_both_ways_after_the_bridge() -> None:
    bench = Bench(WARM).bridged()
    assert bench.ended == ("transfer-success", "none")
    assert bench.claim.verified
    assert bench.claim.evidence.proof is Proof.MEDIA
    attempt = bench.claim.evidence.attempts[0]
    assert (attempt.started, attempt.ringing, attempt.answered) == (1.0, 3.0, 4.0)
    assert attempt.human_connected == 4.0
    assert attempt.bridged == 6.0
    assert attempt.sip_status == 200
    assert not bench.state.done


def test_lesson_22_an_answer_during_the_announcement_does_not_clip_it() -> None:
    bench = Bench(WARM).answered().post(ev.WhisperFinished(leg=0))
    assert bench.phase(0) is LegPhase.ACCEPTED
    assert not bench.these(fx.Bridge)
    bench.post(ev.AnnouncementFinished())
    assert bench.these(fx.Bridge, last=True) == [fx.Bridge(0)]
    assert not bench.these(fx.PlayHold)


def test_lesson_23_the_caller_hears_hold_music_from_the_end_of_the_announcement_and_without_one_at_once() -> None:
    assert Bench(replace(WARM, announcement="")).these(fx.PlayHold)
    preparing = Bench(replace(WARM, prepare=True)).post(ev.AnnouncementFinished())
    assert preparing.these(fx.PlayHold, last=True)
    assert preparing.state.caller is CallerPhase.PREPARING
    assert preparing.post(ev.PreparationFinished()).these(fx.Dial) == [fx.Dial(0, 0)]


def test_lesson_12_caller_hangs_up_while_the_person_rings() -> None:
    bench = Bench(WARM).post(ev.LegProgress(leg=0, status=180), ev.CallerGone())
    assert bench.ended == ("transfer-cancelled", "caller_hung_up")
    assert bench.these(fx.CloseLeg) == [fx.CloseLeg(0)]
    assert not bench.state.done
    bench.post(ev.LegFailed(leg=0, status=487))
    assert bench.state.done
    assert not bench.these(fx.ReturnCaller)


@pytest.mark.parametrize("briefed", [False, True])
def test_lesson_14_the_caller_is_gone_and_nobody_is_briefed_any_more(briefed: bool) -> None:
    bench = Bench(SCREEN).post(ev.AnnouncementFinished()).answered()
    if briefed:
        bench.post(ev.WhisperFinished(leg=0))
    bench.post(ev.CallerGone())
    assert bench.ended == ("transfer-cancelled", "caller_hung_up")
    assert bench.phase(0) is LegPhase.CLOSING
    bench.post(ev.WhisperFinished(leg=0), ev.ScreeningAnswered(leg=0, answer=ev.ScreeningAnswer.ACCEPTED))
    assert not bench.these(fx.Bridge)
    assert bench.post(ev.LegClosed(leg=0)).state.done


def test_a_200_that_crosses_our_cancel_is_closed_again() -> None:
    bench = Bench(WARM).fire(TIMER.RING, 0)
    assert bench.ended == ("transfer-failed-timeout", "no_answer")
    bench.post(ev.LegAnswered(leg=0))
    assert bench.these(fx.CloseLeg, last=True) == [fx.CloseLeg(0)]
    assert bench.post(ev.LegEnded(leg=0)).state.done
    assert bench.ended == ("transfer-failed-timeout", "no_answer")


def test_an_answer_without_usable_media_is_hung_up() -> None:
    bench = Bench(WARM).post(ev.LegAnswered(leg=0, usable_media=False))
    assert bench.ended == ("transfer-failed-connection-error", "media_negotiation_failed")
    assert bench.these(fx.CloseLeg)


@pytest.mark.parametrize(
    ("event", "ended"),
    [
        (ev.LegFailed(leg=0, status=486), ("transfer-failed-connection-error", "busy")),
        (ev.LegFailed(leg=0, status=603), ("transfer-failed-connection-error", "rejected_by_destination")),
        (ev.LegFailed(leg=0, status=480), ("transfer-failed-timeout", "no_answer")),
        (ev.LegFailed(leg=0, status=503, q850=17), ("transfer-failed-connection-error", "busy")),
        (
            ev.LegFailed(leg=0, status=408, local=ev.LocalCause.TRANSACTION_TIMEOUT),
            ("transfer-failed-connection-error", "unreachable"),
        ),
    ],
)
def test_lesson_08_failures_return_the_caller_at_once_with_the_reason(
    event: ev.LegFailed, ended: tuple[str, str]
) -> None:
    bench = Bench(WARM).post(ev.AnnouncementFinished(), event)
    assert bench.ended == ended
    assert [returned.message for returned in bench.these(fx.ReturnCaller, last=True)] == ["Sorry."]
    assert bench.state.done


def test_on_failure_can_end_the_call_instead() -> None:
    policy = replace(WARM, on_failure={Outcome.TIMEOUT: OnFailure.END})
    bench = Bench(policy).post(ev.AnnouncementFinished()).fire(TIMER.RING, 0)
    assert bench.these(fx.EndCall)
    assert not bench.these(fx.ReturnCaller)


def test_the_person_hangs_up_in_each_phase_with_its_reason() -> None:
    briefing = Bench(WARM).answered().post(ev.LegEnded(leg=0))
    assert briefing.ended == ("transfer-failed-connection-error", "target_hung_up")
    detecting = Bench(DETECT).answered().post(ev.LegEnded(leg=0))
    assert detecting.ended == ("transfer-failed-timeout", "no_human")
    screening = Bench(SCREEN).answered().post(ev.WhisperFinished(leg=0), ev.LegEnded(leg=0))
    assert screening.ended == ("transfer-screening-rejected", "declined")
    digits = Bench(replace(WARM, digits="123")).answered().post(ev.LegEnded(leg=0))
    assert digits.ended == ("transfer-failed-connection-error", "target_hung_up")
    accepted = Bench(WARM).answered().post(ev.WhisperFinished(leg=0), ev.LegEnded(leg=0))
    assert accepted.ended == ("transfer-failed-connection-error", "target_hung_up")


# --- the bridge -------------------------------------------------------------------------------------------------


def joined(policy: Policy = WARM, *, person: bool = True, caller: bool = True) -> Bench:
    bench = Bench(policy, caller_media=caller).post(ev.AnnouncementFinished(), ev.LegAnswered(leg=0))
    if person:
        bench.post(ev.LegMediaSeen(leg=0))
    return bench.post(ev.WhisperFinished(leg=0))


def test_no_media_from_the_person_is_not_a_bridge() -> None:
    bench = joined(person=False)
    assert bench.these(fx.Bridge) == [fx.Bridge(0)]
    bench.fire(TIMER.BRIDGE_MEDIA, 0)
    assert bench.ended == ("transfer-failed-connection-error", "media_negotiation_failed")
    kinds = [type(effect) for effect in bench.last]
    assert kinds.index(fx.Unbridge) < kinds.index(fx.CloseLeg)
    assert bench.these(fx.ReturnCaller, last=True)


def test_no_media_from_the_caller_is_not_tried_with_another_destination() -> None:
    bench = joined(TWO, caller=False).fire(TIMER.BRIDGE_MEDIA, 0)
    assert bench.ended == ("transfer-failed-connection-error", "media_negotiation_failed")
    assert len(bench.these(fx.Dial)) == 1


def test_a_muted_person_who_was_heard_before_is_a_success_that_is_not_verified() -> None:
    bench = joined().post(ev.CallerMediaSeen(after_bridge=True)).fire(TIMER.BRIDGE_MEDIA, 0)
    assert bench.ended == ("transfer-success", "none")
    assert not bench.claim.verified
    assert bench.claim.evidence.proof is Proof.MEDIA_BEFORE_BRIDGE


def test_the_caller_leaves_right_after_the_bridge() -> None:
    assert joined().post(ev.CallerGone()).ended == ("transfer-success", "none")
    unheard = joined(person=False).post(ev.CallerGone())
    assert unheard.ended == ("transfer-cancelled", "caller_hung_up")
    assert unheard.these(fx.CloseLeg, last=True)


def test_a_bye_of_either_side_is_carried_across_the_bridge() -> None:
    by_caller = Bench(WARM).bridged().post(ev.CallerGone())
    assert by_caller.these(fx.CloseLeg, last=True) == [fx.CloseLeg(0)]
    assert by_caller.post(ev.LegClosed(leg=0)).state.done
    by_person = Bench(WARM).bridged().post(ev.LegEnded(leg=0))
    assert by_person.these(fx.EndCall, last=True)
    assert by_person.state.done
    assert by_person.claim.outcome is Outcome.SUCCESS


def test_the_caller_comes_back_to_the_agent_when_the_person_leaves_or_asks() -> None:
    policy = replace(WARM, on_person_left=OnFailure.RETURN)
    left = Bench(policy).bridged().post(ev.LegEnded(leg=0))
    assert left.these(fx.ReturnCaller, last=True)
    asked = Bench(WARM).bridged().post(ev.ReturnRequested(leg=0))
    assert asked.these(fx.ReturnCaller, last=True)
    assert asked.these(fx.CloseLeg, last=True)
    assert asked.post(ev.CallerGone(), ev.LegClosed(leg=0)).state.done


def test_an_introduction_joins_three_and_then_two() -> None:
    bench = joined(replace(WARM, introduction="This is the caller."))
    assert bench.these(fx.Introduce)
    assert not bench.these(fx.Bridge)
    bench.post(ev.CallerMediaSeen(after_bridge=True), ev.LegMediaSeen(leg=0, after_bridge=True))
    assert bench.ended == ("transfer-success", "none")
    assert bench.post(ev.IntroductionFinished(leg=0)).these(fx.Bridge, last=True) == [fx.Bridge(0)]


def test_goodbye_and_recording_at_the_hand_off() -> None:
    bench = Bench(replace(WARM, goodbye="Goodbye.", stop_recording=True)).bridged()
    assert bench.these(fx.SayGoodbye) == [fx.SayGoodbye(0, "Goodbye.")]
    assert bench.these(fx.StopRecording)


# --- cancelled --------------------------------------------------------------------------------------------------


def test_operator_gives_the_caller_back_to_the_agent() -> None:
    bench = Bench(WARM).answered().post(ev.CancelRequested())
    assert bench.ended == ("transfer-cancelled", "cancelled_by_operator")
    assert [returned.message for returned in bench.these(fx.ReturnCaller)] == [""]
    assert bench.these(fx.CloseLeg)


def test_operator_comes_too_late_for_a_bridge() -> None:
    bench = joined().post(ev.CancelRequested())
    assert bench.ended == ("transfer-success", "none")
    assert not bench.these(fx.ReturnCaller)


def test_shutdown_ends_a_pending_transfer_and_a_bridge() -> None:
    pending = Bench(WARM).answered().post(ev.ShutdownRequested())
    assert pending.ended == ("transfer-cancelled", "shutdown")
    assert pending.these(fx.EndCall)
    bridge = Bench(WARM).bridged().post(ev.ShutdownRequested())
    assert bridge.ended == ("transfer-success", "none")
    assert bridge.these(fx.EndCall, last=True)
    assert bridge.these(fx.CloseLeg, last=True)


# --- preparation ------------------------------------------------------------------------------------------------


def test_nothing_is_dialled_before_preparation_has_finished_or_its_limit() -> None:
    bench = Bench(replace(WARM, prepare=True))
    assert bench.these(fx.Prepare)
    assert not bench.these(fx.Dial)
    bench.fire(TIMER.PREPARATION)
    assert bench.these(fx.Dial, last=True)
    bench.post(ev.PreparationFinished())
    assert len(bench.these(fx.Dial)) == 1


def test_what_preparation_refused_is_recorded_and_never_dialled() -> None:
    refused = ev.Refused(target=0, cause=ev.LocalCause.DIAL_POLICY, text="premium number")
    bench = Bench(replace(TWO, prepare=True)).post(ev.PreparationFinished(refused=(refused,)))
    assert bench.these(fx.Dial) == [fx.Dial(1, 1)]
    assert bench.state.attempts[0].notes == ("premium number",)
    alone = Bench(replace(WARM, prepare=True)).post(ev.PreparationFinished(refused=(refused,)))
    assert alone.ended == ("transfer-failed-connection-error", "invalid_destination")


def test_outside_hours_nothing_is_dialled() -> None:
    bench = Bench(replace(WARM, prepare=True))
    bench.post(ev.PreparationFailed(cause=ev.LocalCause.OUTSIDE_AVAILABILITY))
    assert bench.ended == ("transfer-failed-connection-error", "transfer_outside_availability")
    assert not bench.these(fx.Dial)
    assert bench.these(fx.ReturnCaller)


# --- several destinations ---------------------------------------------------------------------------------------


def test_next_destination_and_retries_are_separate_attempts() -> None:
    bench = Bench(replace(TWO, rounds=((0,), (0,), (1,)))).post(ev.LegFailed(leg=0, status=486))
    bench.post(ev.LegFailed(leg=1, status=486))
    assert bench.these(fx.Dial) == [fx.Dial(0, 0), fx.Dial(1, 0), fx.Dial(2, 1)]
    bench.post(ev.LegFailed(leg=2, status=404))
    assert bench.ended == ("transfer-failed-connection-error", "number_not_found")
    assert [a.result and a.result.reason.value for a in bench.claim.evidence.attempts] == [
        "busy",
        "busy",
        "number_not_found",
    ]


def test_a_retry_waits_for_its_delay_and_the_next_destination_does_not() -> None:
    bench = Bench(replace(TWO, rounds=((0,), (0,), (1,)), retry_delay=2.0)).post(ev.LegFailed(leg=0, status=486))
    assert len(bench.these(fx.Dial)) == 1
    assert bench.fire(TIMER.RETRY).these(fx.Dial, last=True) == [fx.Dial(1, 0)]
    assert bench.post(ev.LegFailed(leg=1, status=486)).these(fx.Dial, last=True) == [fx.Dial(2, 1)]
    waiting = Bench(replace(TWO, rounds=((0,), (0,)), retry_delay=2.0)).post(ev.LegFailed(leg=0, status=486))
    assert waiting.post(ev.CallerGone()).ended == ("transfer-cancelled", "caller_hung_up")
    assert waiting.state.done


def test_a_number_that_does_not_exist_is_not_retried() -> None:
    bench = Bench(replace(TWO, rounds=((0,), (0,), (1,)))).post(ev.LegFailed(leg=0, status=404))
    assert bench.these(fx.Dial) == [fx.Dial(0, 0), fx.Dial(1, 1)]


def test_first_accepted_leg_wins_and_the_others_are_told_so() -> None:
    bench = Bench(TOGETHER).post(ev.AnnouncementFinished(), ev.LegProgress(leg=1, status=180)).answered(0)
    assert not bench.these(fx.CloseLeg)
    bench.post(ev.WhisperFinished(leg=0))
    assert bench.these(fx.CloseLeg) == [fx.CloseLeg(1, 'SIP;cause=200;text="Call completed elsewhere"')]
    assert bench.these(fx.Bridge) == [fx.Bridge(0)]


def test_of_several_failures_the_one_that_got_furthest_speaks() -> None:
    bench = Bench(TOGETHER).fire(TIMER.RING, 0).post(ev.LegFailed(leg=1, status=404))
    assert bench.ended == ("transfer-failed-timeout", "no_answer")


def test_lesson_28_a_refused_caller_id_is_tried_once_with_the_agents_number() -> None:
    person = replace(PERSON, caller_id=fx.CallerId.ORIGINAL, caller_id_refusals=frozenset({403}))
    bench = Bench(replace(WARM, targets=(person,))).post(ev.LegFailed(leg=0, status=403))
    assert bench.these(fx.Dial) == [fx.Dial(0, 0, fx.CallerId.ORIGINAL), fx.Dial(1, 0, fx.CallerId.AGENT)]
    bench.post(ev.LegFailed(leg=1, status=403))
    assert bench.ended == ("transfer-failed-connection-error", "transfer_blocked_by_carrier")


# --- who answered -----------------------------------------------------------------------------------------------


def human(*, held: bool = True) -> ev.Verdict:
    return ev.Verdict(leg=0, label=ev.Label.HUMAN, held=held, scores=(("timing", 0.9),))


def test_lesson_25_a_voicemails_200_is_not_a_person() -> None:
    bench = Bench(DETECT).answered()
    assert bench.phase(0) is LegPhase.DETECTING
    assert not bench.these(fx.Whisper)
    bench.post(ev.Verdict(leg=0, label=ev.Label.VOICEMAIL))
    assert bench.ended == ("transfer-failed-timeout", "voicemail")


def test_a_person_until_the_beep_is_revoked() -> None:
    bench = Bench(DETECT).post(ev.AnnouncementFinished()).answered().post(human(held=False))
    assert bench.these(fx.Whisper)
    bench.post(ev.WhisperFinished(leg=0))
    assert not bench.these(fx.Bridge), "the bridge waits for the verdict to hold"
    bench.post(ev.Verdict(leg=0, label=ev.Label.VOICEMAIL))
    assert bench.ended == ("transfer-failed-timeout", "voicemail")


def test_a_provisional_person_who_is_never_revoked_is_bridged() -> None:
    bench = Bench(DETECT).post(ev.AnnouncementFinished()).answered()
    bench.post(human(held=False), ev.WhisperFinished(leg=0))
    assert bench.fire(TIMER.VERDICT_HOLD, 0).these(fx.Bridge, last=True)
    held = Bench(DETECT).post(ev.AnnouncementFinished()).answered().post(human(held=False), ev.WhisperFinished(leg=0))
    assert held.post(human()).these(fx.Bridge, last=True)


def test_a_revoked_person_is_waited_for_again_until_the_limit() -> None:
    bench = Bench(DETECT).answered().post(human(held=False), ev.VerdictRevoked(leg=0))
    assert bench.phase(0) is LegPhase.DETECTING
    assert bench.these(fx.StopSpeaking, last=True)
    bench.fire(TIMER.HUMAN, 0)
    assert bench.ended == ("transfer-failed-timeout", "no_human")


@pytest.mark.parametrize(
    ("label", "ended"),
    [
        (ev.Label.MUSIC, ("transfer-failed-timeout", "queue_timeout")),
        (ev.Label.PHONE_MENU, ("transfer-failed-timeout", "phone_menu")),
        (ev.Label.MACHINE, ("transfer-failed-timeout", "no_human")),
    ],
)
def test_music_menus_and_machines_are_waited_out(label: ev.Label, ended: tuple[str, str]) -> None:
    bench = Bench(DETECT).answered().post(ev.Verdict(leg=0, label=label))
    assert bench.phase(0) is LegPhase.DETECTING
    assert bench.fire(TIMER.HUMAN, 0).ended == ended


def test_a_person_after_the_queue_is_briefed() -> None:
    bench = Bench(DETECT).answered().post(ev.Verdict(leg=0, label=ev.Label.MUSIC), human())
    assert bench.these(fx.Whisper, last=True)


def test_on_menu() -> None:
    fails = Bench(replace(DETECT, on_menu=OnMenu.FAIL)).answered()
    assert fails.post(ev.Verdict(leg=0, label=ev.Label.PHONE_MENU)).ended == ("transfer-failed-timeout", "phone_menu")
    keys = Bench(replace(DETECT, on_menu=OnMenu.KEYS, menu_keys="w2")).answered()
    keys.post(ev.Verdict(leg=0, label=ev.Label.PHONE_MENU), ev.Verdict(leg=0, label=ev.Label.PHONE_MENU))
    assert keys.these(fx.SendDigits) == [fx.SendDigits(0, "w2")]


def test_tones_in_early_media_count_as_their_cause() -> None:
    policy = replace(WARM, early_media_detection=True)
    bench = Bench(policy).post(ev.LegProgress(leg=0, status=183, early_media=True))
    assert bench.these(fx.StartDetection) == [fx.StartDetection(0, early=True)]
    bench.post(ev.Verdict(leg=0, label=ev.Label.SIT, q850=1))
    assert bench.ended == ("transfer-failed-connection-error", "number_not_found")
    assert bench.these(fx.CloseLeg)


def test_lesson_32_extension_digits_go_out_before_detection() -> None:
    bench = Bench(replace(DETECT, digits="w12")).answered()
    assert bench.these(fx.SendDigits) == [fx.SendDigits(0, "w12")]
    assert not bench.these(fx.StartDetection)
    assert bench.post(ev.DigitsSent(leg=0)).these(fx.StartDetection, last=True)


# --- screening --------------------------------------------------------------------------------------------------


def test_screening_key_works_throughout_the_whisper() -> None:
    bench = Bench(SCREEN).post(ev.AnnouncementFinished()).answered()
    bench.post(ev.ScreeningAnswered(leg=0, answer=ev.ScreeningAnswer.ACCEPTED))
    assert bench.these(fx.StopSpeaking, last=True)
    assert bench.these(fx.Bridge, last=True)
    assert bench.state.attempts[0].screening == "accepted"


def test_screening_declined() -> None:
    bench = Bench(SCREEN).answered().post(ev.WhisperFinished(leg=0))
    bench.post(ev.ScreeningAnswered(leg=0, answer=ev.ScreeningAnswer.DECLINED, by="voice"))
    assert bench.ended == ("transfer-screening-rejected", "declined")


def test_screening_without_an_answer_repeats_once_then_declines() -> None:
    bench = Bench(SCREEN).answered().post(ev.WhisperFinished(leg=0)).fire(TIMER.SCREENING, 0)
    assert bench.these(fx.AskScreening) == [fx.AskScreening(0), fx.AskScreening(0, repeat=True)]
    assert bench.fire(TIMER.SCREENING, 0).ended == ("transfer-screening-rejected", "declined")
    assert bench.state.attempts[0].screening == "no_answer"


# --- voice, pauses, late things ---------------------------------------------------------------------------------


def test_pauses_before_and_after_the_whisper() -> None:
    bench = Bench(replace(WARM, pause_before=1, pause_after=0.5)).post(ev.AnnouncementFinished()).answered()
    assert not bench.these(fx.Whisper)
    assert bench.fire(TIMER.PAUSE_BEFORE, 0).these(fx.Whisper)
    assert not bench.post(ev.WhisperFinished(leg=0)).these(fx.Bridge)
    assert bench.fire(TIMER.PAUSE_AFTER, 0).these(fx.Bridge)


def test_a_voice_that_fails_does_not_stop_the_transfer() -> None:
    bench = Bench(WARM).post(ev.AnnouncementFinished(failed=True)).answered()
    assert bench.post(ev.WhisperFinished(leg=0, failed=True)).these(fx.Bridge)
    silent = Bench(WARM).answered().fire(TIMER.ANNOUNCEMENT).fire(TIMER.WHISPER, 0)
    assert silent.these(fx.Bridge)


def test_done_absorbs_and_only_notes() -> None:
    bench = Bench(WARM).post(ev.LegFailed(leg=0, status=486))
    assert bench.state.done
    bench.post(ev.CallerGone(), ev.LegAnswered(leg=0), ev.CancelRequested(), ev.Started())
    bench.post(ev.TimerFired(timer=TIMER.RING, leg=0))
    after = bench.all[bench.all.index(fx.News("ended")) + 1 :]
    assert after
    assert all(isinstance(effect, fx.Log) for effect in after)
    assert "after the end" in bench.state.evidence.attempts[0].notes[-1]


def test_what_no_network_can_produce_is_refused() -> None:
    with pytest.raises(UnlistedTransition):
        step(initial(), ev.CallerGone(), WARM)
    bench = Bench(WARM)
    for event in (ev.Started(), ev.WhisperFinished(leg=0), ev.LegAnswered(leg=7), ev.ReferAccepted()):
        with pytest.raises(UnlistedTransition):
            bench.post(event)


def test_lesson_09_every_wait_has_a_limit_from_the_policy() -> None:
    timeouts = Timeouts(announcement=7, whisper=8, bridge_media=9)
    bench = Bench(replace(WARM, timeouts=timeouts)).post(ev.AnnouncementFinished()).answered()
    bench.post(ev.WhisperFinished(leg=0))
    seconds = {started.timer: started.seconds for started in bench.these(fx.StartTimer)}
    assert seconds == {TIMER.ANNOUNCEMENT: 7, TIMER.RING: 20, TIMER.WHISPER: 8, TIMER.BRIDGE_MEDIA: 9}
