"""Every order of events: one outcome, never two, nothing leaked, every leg bridged or closed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordboard.transfer import effects as fx
from cordboard.transfer import events as ev
from cordboard.transfer.machine import (
    CALLER_TABLE,
    CALLER_TIMERS,
    LEG_TABLE,
    LEG_TIMERS,
    UnlistedTransition,
    initial,
    step,
)
from cordboard.transfer.outcome import Method
from cordboard.transfer.policy import OnFailure, OnMenu, Policy, ReferSuccess, Target
from cordboard.transfer.state import CallerPhase, LegPhase, State

SECOND_PARTY_EFFECTS = (fx.Whisper, fx.AskScreening, fx.SendDigits, fx.ListenForScreening)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    cold = draw(st.booleans())
    if cold:
        success = draw(st.sampled_from(ReferSuccess))
        targets: tuple[Target, ...] = (Target("a", method=Method.REFER, refer_success=success), Target("a"))
        fallback = draw(st.booleans())
        rounds: tuple[tuple[int, ...], ...] = ((0,), (1,)) if fallback else ((0,),)
        fallback_round = 1 if fallback else None
    else:
        original = draw(st.booleans())
        refused = frozenset({403})
        caller_id = fx.CallerId.ORIGINAL if original else fx.CallerId.AGENT
        targets = (Target("a", caller_id=caller_id, caller_id_refusals=refused), Target("b"))
        rounds = draw(st.sampled_from([((0,),), ((0,), (1,)), ((0, 1),), ((0, 1), (0, 1)), ((0,), (0,), (1,))]))
        fallback_round = None
    flag = st.booleans()
    return Policy(
        targets=targets,
        rounds=rounds,
        fallback_round=fallback_round,
        retry_delay=draw(st.sampled_from([0.0, 2.0])),
        prepare=draw(flag),
        announcement=draw(st.sampled_from(["", "Please hold."])),
        digits=draw(st.sampled_from(["", "12"])),
        human_detection=draw(flag),
        voicemail_detection=draw(flag),
        early_media_detection=draw(flag),
        on_menu=draw(st.sampled_from(OnMenu)),
        menu_keys="1",
        whisper=draw(flag),
        pause_before=draw(st.sampled_from([0.0, 1.0])),
        pause_after=draw(st.sampled_from([0.0, 1.0])),
        screening=draw(flag),
        introduction=draw(st.sampled_from(["", "Hello both."])),
        goodbye=draw(st.sampled_from(["", "Goodbye."])),
        on_person_left=draw(st.sampled_from(OnFailure)),
    )


LEGS = st.integers(0, 3)
STATUSES = st.sampled_from([100, 180, 183, 200, 302, 401, 403, 404, 408, 480, 486, 503, 603, 699])
EVENTS: st.SearchStrategy[ev.Event] = st.one_of(
    st.just(ev.PreparationFinished()),
    st.builds(lambda t: ev.PreparationFinished(refused=(ev.Refused(target=t, cause=ev.LocalCause.DIAL_POLICY),)), LEGS),
    st.just(ev.PreparationFailed(cause=ev.LocalCause.OUTSIDE_AVAILABILITY)),
    st.builds(ev.AnnouncementFinished, failed=st.booleans()),
    st.just(ev.CallerGone()),
    st.builds(ev.CallerReinvited, held=st.booleans()),
    st.just(ev.CancelRequested()),
    st.just(ev.ShutdownRequested()),
    st.builds(ev.CallerMediaSeen, after_bridge=st.booleans()),
    st.builds(ev.ReferAccepted, subscription=st.booleans()),
    st.builds(ev.ReferRefused, status=STATUSES, local=st.booleans()),
    st.builds(ev.ReferNotified, status=STATUSES, final=st.booleans()),
    st.just(ev.ReferEnded()),
    st.builds(ev.LegProgress, leg=LEGS, status=st.sampled_from([100, 180, 183]), early_media=st.booleans()),
    st.builds(ev.LegAnswered, leg=LEGS, usable_media=st.sampled_from([True, True, True, False])),
    st.builds(ev.LegFailed, leg=LEGS, status=STATUSES),
    st.builds(ev.LegEnded, leg=LEGS),
    st.builds(ev.LegClosed, leg=LEGS),
    st.builds(ev.LegMediaSeen, leg=LEGS, after_bridge=st.booleans()),
    st.builds(ev.DigitsSent, leg=LEGS),
    st.builds(ev.Verdict, leg=LEGS, label=st.sampled_from(ev.Label), held=st.booleans()),
    st.builds(ev.VerdictRevoked, leg=LEGS),
    st.builds(ev.WhisperFinished, leg=LEGS, failed=st.booleans()),
    st.builds(ev.ScreeningAnswered, leg=LEGS, answer=st.sampled_from(ev.ScreeningAnswer)),
    st.builds(ev.IntroductionFinished, leg=LEGS),
    st.builds(ev.ReturnRequested, leg=LEGS),
    st.builds(ev.LegInvited, leg=LEGS, size=st.just(900)),
    st.builds(ev.TimerFired, timer=st.sampled_from(ev.TimerName), leg=st.one_of(st.none(), LEGS)),
)


class Watch:
    """Checks every step against the rules."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.state: State = initial()
        self.claims = 0
        self.dialled: set[int] = set()
        self.closed: set[int] = set()
        self.timers: set[tuple[ev.TimerName, int | None]] = set()

    def post(self, event: ev.Event) -> bool:
        before = self.state
        try:
            self.state, effects = step(before, event, self.policy)
        except UnlistedTransition:
            return False
        assert step(before, event, self.policy) == (self.state, effects), "step is pure"
        if isinstance(event, ev.TimerFired):
            self.timers.discard((event.timer, event.leg))
        for effect in effects:
            self.check(before, effect)
        assert self.timers == self.state.timers
        assert before.claim is None or self.state.claim == before.claim, "a claim never changes"
        if self.state.done:
            assert not self.state.legs
            assert not self.timers
        if isinstance(event, ev.CallerGone) and before.caller is not CallerPhase.REFERRING:
            assert self.state.claim is not None, "caller gone: claimed at once"
            assert all(leg.phase is LegPhase.CLOSING for leg in self.state.legs.values())
        return True

    def check(self, before: State, effect: fx.Effect) -> None:
        assert not before.done or isinstance(effect, fx.Log), "nothing but notes after the end"
        if isinstance(effect, fx.ClaimOutcome):
            self.claims += 1
            assert self.claims == 1
            if effect.claim.verified:
                assert self.state.caller_media
        elif isinstance(effect, fx.Dial):
            assert before.claim is None, "nothing is dialled after the outcome"
            assert before.prepared or self.state.prepared
            self.dialled.add(effect.attempt)
        elif isinstance(effect, fx.CloseLeg):
            assert effect.attempt in self.dialled
            self.closed.add(effect.attempt)
        elif isinstance(effect, fx.Bridge | fx.Introduce):
            assert before.claim is None or self.policy.introduction
            assert effect.attempt not in self.closed, "no cord to a leg that is being closed"
            assert self.state.legs[effect.attempt].phase is LegPhase.ACCEPTED
            assert self.state.joined == effect.attempt
        elif isinstance(effect, SECOND_PARTY_EFFECTS):
            # Rule 3: what is said to a person privately goes to a leg that the caller is not joined with.
            assert before.joined is None or before.joined != effect.attempt
            assert effect.attempt not in self.closed
        elif isinstance(effect, fx.Announce | fx.Prepare | fx.ParkAgent):
            assert not before.started
        elif isinstance(effect, fx.StartTimer):
            assert effect.seconds > 0
            self.timers.add((effect.timer, effect.attempt))
        elif isinstance(effect, fx.StopTimer):
            self.timers.remove((effect.timer, effect.attempt))

    def run_out(self) -> None:
        """Nothing more comes from outside: timers fire, closed legs end, a bridge is ended by the caller."""
        for _ in range(200):
            if self.state.done:
                return
            closing = [leg.attempt for leg in self.state.legs.values() if leg.phase is LegPhase.CLOSING]
            if closing:
                assert self.post(ev.LegClosed(leg=closing[0]))
            elif self.state.timers:
                timer, leg = min(self.state.timers, key=lambda running: (running[0].value, running[1] or 0))
                assert self.post(ev.TimerFired(timer=timer, leg=leg))
            elif self.state.caller in (CallerPhase.JOINED, CallerPhase.RETURNED):
                assert self.post(ev.CallerGone())
            else:
                break
        raise AssertionError(f"stuck in {self.state}")


@settings(max_examples=400, deadline=None)
@given(policy=policies(), events=st.lists(EVENTS, max_size=40))
def test_any_history_ends_in_exactly_one_outcome(policy: Policy, events: list[ev.Event]) -> None:
    watch = Watch(policy)
    assert watch.post(ev.Started())
    for event in events:
        watch.post(event)
    watch.run_out()
    assert watch.claims == 1
    for attempt in watch.state.attempts:
        assert attempt.result is not None
        assert attempt.ended is not None


@settings(max_examples=300, deadline=None)
@given(policy=policies(), data=st.data())
def test_histories_that_a_driver_can_produce_are_all_listed(policy: Policy, data: st.DataObject) -> None:
    """Facts about standing legs in an order that a network can produce never raise."""
    watch = Watch(policy)
    watch.post(ev.Started())
    asked: set[tuple[type[fx.Effect], int]] = set()
    for _ in range(25):
        choices: list[ev.Event] = [ev.CallerGone(), ev.CallerMediaSeen(after_bridge=True), ev.AnnouncementFinished()]
        choices += [ev.TimerFired(timer=timer, leg=leg) for timer, leg in sorted(watch.timers, key=str)]
        if watch.state.caller is CallerPhase.PREPARING:
            choices.append(ev.PreparationFinished())
        if watch.state.caller is CallerPhase.REFERRING:
            choices += [ev.ReferAccepted(), ev.ReferRefused(status=603), ev.ReferNotified(status=200, final=True)]
        for leg in watch.state.legs.values():
            index = leg.attempt
            choices += [ev.LegFailed(leg=index, status=486), ev.LegMediaSeen(leg=index, after_bridge=True)]
            choices += [ev.LegProgress(leg=index, status=180), ev.LegAnswered(leg=index)]
            if leg.phase not in (LegPhase.DIALING, LegPhase.EARLY):
                choices.append(ev.LegEnded(leg=index))
            if (fx.StartDetection, index) in asked and leg.phase is not LegPhase.DIALING:
                choices += [
                    ev.Verdict(leg=index, label=label, held=held) for label in ev.Label for held in (True, False)
                ]
            if (fx.Whisper, index) in asked:
                choices.append(ev.WhisperFinished(leg=index))
            if (fx.ListenForScreening, index) in asked:
                choices.append(ev.ScreeningAnswered(leg=index, answer=ev.ScreeningAnswer.ACCEPTED))
            if (fx.SendDigits, index) in asked:
                choices.append(ev.DigitsSent(leg=index))
            if leg.phase is LegPhase.CLOSING:
                choices.append(ev.LegClosed(leg=index))
        event = data.draw(st.sampled_from(choices))
        before = watch.state
        assert watch.post(event), f"{event} in {before}"
        _, effects = step(before, event, policy)
        asked |= {(type(effect), effect.attempt) for effect in effects if hasattr(effect, "attempt")}
    watch.run_out()


def in_phase(phase: CallerPhase) -> State:
    return State(caller=phase, started=True)


@pytest.mark.parametrize("phase", CallerPhase)
@pytest.mark.parametrize("kind", ev.CALLER_EVENTS)
def test_every_caller_pair_is_listed_or_refused(kind: type[ev.Event], phase: CallerPhase) -> None:
    if (kind, phase) in CALLER_TABLE:
        assert callable(CALLER_TABLE[kind, phase])
        return
    arguments: Mapping[str, object] = {
        "cause": ev.LocalCause.DIAL_POLICY,
        "status": 486,
    }
    wanted = {name: value for name, value in arguments.items() if name in kind.__dataclass_fields__}
    with pytest.raises(UnlistedTransition):
        step(in_phase(phase), kind(**wanted), Policy(targets=(Target("a"),), rounds=((0,),)))  # type: ignore[arg-type]


def test_what_can_come_from_outside_is_listed_for_every_phase() -> None:
    for kind in (ev.CallerGone, ev.CallerReinvited, ev.CancelRequested, ev.ShutdownRequested, ev.CallerMediaSeen):
        for phase in CallerPhase:
            assert (kind, phase) in CALLER_TABLE, (kind, phase)
    for leg_kind in (ev.LegInvited, ev.LegProgress, ev.LegAnswered, ev.LegFailed, ev.LegMediaSeen):
        for leg_phase in LegPhase:
            assert (leg_kind, leg_phase) in LEG_TABLE, (leg_kind, leg_phase)
    assert set(CALLER_TIMERS) | set(LEG_TIMERS) == set(ev.TimerName)
    assert {kind for kind, _ in LEG_TABLE} == set(ev.LEG_EVENTS)
    assert {kind for kind, _ in CALLER_TABLE} == set(ev.CALLER_EVENTS)


def test_whisper_and_screening_have_no_way_to_name_the_caller() -> None:
    for effect in SECOND_PARTY_EFFECTS:
        assert effect.__dataclass_fields__["attempt"].default is not None
