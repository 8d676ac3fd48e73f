"""Cold transfers: a REFER is driven by its NOTIFYs, and each silence has its own transition."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cordboard.transfer import effects as fx
from cordboard.transfer import events as ev
from cordboard.transfer.outcome import Outcome, Proof
from cordboard.transfer.policy import OnFailure, ReferSuccess, Timeouts
from cordboard.transfer.state import CallerPhase

from .support import COLD, PERSON, REFERRED, Bench, cold

TIMER = ev.TimerName
NO_REPORT = ("transfer-failed-connection-error", "refer_no_report")


def sent(policy: object = None) -> Bench:
    bench = Bench(COLD if policy is None else policy)  # type: ignore[arg-type]
    return bench.post(ev.AnnouncementFinished())


def notes(bench: Bench) -> str:
    return " | ".join(bench.state.evidence.attempts[0].notes)


def test_refer_goes_out_under_hold_music_after_the_announcement() -> None:
    bench = Bench(COLD)
    assert not bench.these(fx.SendRefer)
    bench.post(ev.AnnouncementFinished())
    kinds = [type(effect) for effect in bench.last]
    assert kinds.index(fx.PlayHold) < kinds.index(fx.SendRefer)
    assert bench.state.caller is CallerPhase.REFERRING


def test_lesson_06_202_is_not_a_success() -> None:
    bench = sent().post(ev.ReferAccepted())
    assert bench.state.claim is None
    bench.post(ev.ReferNotified(status=100), ev.ReferNotified(status=180), ev.ReferNotified(status=486, final=True))
    assert bench.ended == ("transfer-failed-connection-error", "busy")
    assert bench.these(fx.EndCall)
    assert bench.state.done


def test_final_notify_is_a_success_that_we_did_not_see() -> None:
    bench = sent().post(ev.ReferAccepted(), ev.ReferNotified(status=200, text="OK", final=True))
    assert bench.ended == ("transfer-success", "none")
    assert not bench.claim.verified
    assert bench.claim.evidence.proof is Proof.FINAL_NOTIFY
    assert bench.claim.evidence.attempts[0].sip_status == 200
    assert bench.these(fx.EndCall, last=True)
    assert bench.state.done


def test_a_gateway_that_says_200_too_early_is_marked() -> None:
    bench = sent(cold(ReferSuccess.WEAK_200)).post(ev.ReferAccepted(), ev.ReferNotified(status=200, final=True))
    assert bench.claim.evidence.proof is Proof.WEAK_200
    assert "before a person" in notes(bench)


def test_a_notify_before_the_202_counts() -> None:
    bench = sent().post(ev.ReferNotified(status=200, final=True), ev.ReferAccepted())
    assert bench.ended == ("transfer-success", "none")


def test_lesson_04_202_and_then_no_notify() -> None:
    bench = sent().post(ev.ReferAccepted()).fire(TIMER.REFER_REPORT)
    assert bench.ended == NO_REPORT
    assert "the referred call may still ring" in notes(bench)


def test_lesson_04_100_only() -> None:
    bench = sent().post(ev.ReferAccepted(), ev.ReferNotified(status=100)).fire(TIMER.REFER_REPORT)
    assert bench.ended == NO_REPORT
    assert "only 100" in notes(bench)
    ended = sent().post(ev.ReferAccepted(), ev.ReferNotified(status=100, final=True))
    assert ended.ended == NO_REPORT


def test_lesson_04_bye_before_the_report() -> None:
    bench = sent().post(ev.ReferAccepted(), ev.CallerGone())
    assert bench.state.claim is None, "the report may cross the BYE"
    bench.fire(TIMER.REFER_AFTER_BYE)
    assert bench.ended == NO_REPORT
    assert "BYE before the report" in notes(bench)
    assert not bench.these(fx.EndCall)
    crossed = sent().post(ev.ReferAccepted(), ev.CallerGone(), ev.ReferNotified(status=200, final=True))
    assert crossed.ended == ("transfer-success", "none")
    at_once = sent(replace(COLD, timeouts=Timeouts(refer_after_bye=0))).post(ev.ReferAccepted(), ev.CallerGone())
    assert at_once.ended == NO_REPORT


def test_a_gateway_whose_bye_is_its_report() -> None:
    bench = sent(cold(ReferSuccess.BYE)).post(ev.ReferAccepted(subscription=False), ev.CallerGone())
    assert bench.ended == ("transfer-success", "none")
    assert not bench.claim.verified
    assert bench.claim.evidence.proof is Proof.BYE


def test_caller_hangs_up_before_the_refer_was_accepted() -> None:
    assert sent().post(ev.CallerGone()).ended == ("transfer-cancelled", "caller_hung_up")
    assert Bench(COLD).post(ev.CallerGone()).ended == ("transfer-cancelled", "caller_hung_up")


def test_refer_sub_false_is_not_waited_for() -> None:
    assert sent().post(ev.ReferAccepted(subscription=False)).ended == NO_REPORT


def test_a_subscription_that_ends_without_a_status() -> None:
    assert sent().post(ev.ReferAccepted(), ev.ReferEnded(text="noresource")).ended == NO_REPORT


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (603, "refer_rejected"),
        (403, "refer_rejected"),
        (405, "transfer_method_unsupported"),
        (501, "transfer_method_unsupported"),
    ],
)
def test_lesson_01_a_refused_refer_is_told(status: int, reason: str) -> None:
    bench = sent().post(ev.ReferRefused(status=status))
    assert bench.ended == ("transfer-failed-connection-error", reason)
    assert bench.these(fx.EndCall)


@pytest.mark.parametrize("status", [401, 407])
def test_lesson_03_a_challenge_that_we_cannot_answer_is_told(status: int) -> None:
    assert sent().post(ev.ReferRefused(status=status)).ended == (
        "transfer-failed-connection-error",
        "authentication_failed",
    )


def test_lesson_07_a_failed_referral_can_give_the_caller_back() -> None:
    policy = replace(COLD, on_failure={Outcome.CONNECTION_ERROR: OnFailure.RETURN})
    bench = sent(policy).post(ev.ReferRefused(status=603))
    assert bench.these(fx.ReturnCaller)
    assert not bench.these(fx.EndCall)


def test_a_refused_refer_goes_on_as_a_bridge_where_the_plan_says_so() -> None:
    policy = replace(COLD, targets=(REFERRED, PERSON), rounds=((0,), (1,)), fallback_round=1)
    bench = sent(policy).post(ev.ReferRefused(status=603))
    assert bench.these(fx.Dial) == [fx.Dial(1, 1)]
    assert bench.state.caller is CallerPhase.HOLDING
    unanswered = sent(policy).post(ev.ReferRefused(status=408, local=True))
    assert unanswered.ended == NO_REPORT
    assert not unanswered.these(fx.Dial)


def test_a_reinvite_during_the_referral_changes_the_music_only() -> None:
    bench = sent().post(ev.ReferAccepted(), ev.CallerReinvited(held=True))
    assert bench.these(fx.StopHold, last=True)
    bench.post(ev.CallerReinvited(held=False))
    assert bench.these(fx.PlayHold, last=True)
    assert bench.state.claim is None


def test_operator_during_the_referral() -> None:
    bench = sent().post(ev.ReferAccepted(), ev.CancelRequested())
    assert bench.ended == ("transfer-cancelled", "cancelled_by_operator")
    assert bench.these(fx.ReturnCaller)
    assert "may still ring" in notes(bench)
