"""The four transaction machines: every state and input is listed or refused; timers live where they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.sip.config import TimerSettings
from cordboard.sip.transaction_tables import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    STARTS,
    TIMER_STATES,
    Action,
    Input,
    Machine,
    State,
    UnlistedTransitionError,
    step,
    timer_values,
)

MACHINES: dict[str, tuple[Machine, State, frozenset[Input]]] = {
    "INVITE client": (INVITE_CLIENT, State.CALLING, frozenset({Input.TIMER_A, Input.TIMER_B})),
    "non-INVITE client": (NON_INVITE_CLIENT, State.TRYING, frozenset({Input.TIMER_E, Input.TIMER_F})),
    "INVITE server": (INVITE_SERVER, State.PROCEEDING, frozenset()),
    "non-INVITE server": (NON_INVITE_SERVER, State.TRYING, frozenset()),
}
NAMES = sorted(MACHINES)
RESPONSES = {Input.PROVISIONAL, Input.SUCCESS, Input.FAILURE}
AGAIN = {
    Action.AGAIN_A: Input.TIMER_A,
    Action.AGAIN_E: Input.TIMER_E,
    Action.AGAIN_E_T2: Input.TIMER_E,
    Action.AGAIN_G: Input.TIMER_G,
}


def reachable(name: str) -> set[State]:
    machine, first, _ = MACHINES[name]
    found, left = {first}, [first]
    while left:
        state = left.pop()
        for (at, _), (to, _) in machine.items():
            if at is state and to not in found:
                found.add(to)
                left.append(to)
    return found


@given(name=st.sampled_from(NAMES), state=st.sampled_from(list(State)), what=st.sampled_from(list(Input)))
def test_every_pair_is_listed_or_refused(name: str, state: State, what: Input) -> None:
    machine = MACHINES[name][0]
    if (state, what) in machine:
        following, actions = step(machine, state, what)
        assert isinstance(following, State)
        assert all(isinstance(action, Action) for action in actions)
    else:
        with pytest.raises(UnlistedTransitionError):
            step(machine, state, what)


@pytest.mark.parametrize("name", NAMES)
def test_terminated_is_reached_and_never_left(name: str) -> None:
    assert State.TERMINATED in reachable(name)
    assert not any(state is State.TERMINATED for state, _ in MACHINES[name][0])


@pytest.mark.parametrize("name", NAMES)
def test_what_the_network_can_bring_is_listed_in_every_state(name: str) -> None:
    machine = MACHINES[name][0]
    brought = {Input.TRANSPORT_ERROR} | (RESPONSES if "client" in name else {Input.REQUEST})
    if name == "INVITE server":
        brought = brought | {Input.ACK}
    for state in reachable(name) - {State.TERMINATED}:
        for what in brought:
            assert (state, what) in machine, (state, what)


@given(name=st.sampled_from(NAMES), data=st.data())
def test_no_walk_meets_a_timer_outside_its_states_and_every_walk_can_end(name: str, data: st.DataObject) -> None:
    machine, state, begun = MACHINES[name]
    running = set(begun)
    for _ in range(30):
        if state is State.TERMINATED:
            break
        choices = [
            what for (at, what) in machine if at is state and (not what.name.startswith("TIMER_") or what in running)
        ]
        # No state is a trap without a timer, except the server's wait for its own user.
        assert running or state in (State.PROCEEDING, State.TRYING)
        what = data.draw(st.sampled_from(sorted(choices)))
        running.discard(what)
        state, actions = step(machine, state, what)
        running = {timer for timer in running if state in TIMER_STATES[timer]}
        for action in actions:
            timer = STARTS.get(action) or AGAIN.get(action)
            if timer is not None:
                assert state in TIMER_STATES[timer]
                running.add(timer)
        for timer in running:
            assert (state, timer) in machine, (state, timer)


@given(name=st.sampled_from(NAMES), data=st.data())
def test_the_user_hears_of_one_end_only(name: str, data: st.DataObject) -> None:
    machine, state, _ = MACHINES[name]
    told = 0
    for _ in range(30):
        choices = sorted(what for (at, what) in machine if at is state)
        if not choices:
            break
        what = data.draw(st.sampled_from(choices))
        state, actions = step(machine, state, what)
        told += Action.TELL_TIMEOUT in actions or Action.TELL_TRANSPORT in actions
        told += what is Input.FAILURE and Action.TELL_RESPONSE in actions
    assert told <= 1


def test_the_values_are_those_of_rfc_3261_table_4_and_rfc_6026() -> None:
    values = timer_values(TimerSettings(), reliable=False)
    assert [values[timer] for timer in TIMER_STATES] == [0.5, 32, 32, 0.5, 32, 0.5, 32, 5, 32, 5, 32, 32]
    reliable = timer_values(TimerSettings(), reliable=True)
    assert [reliable[timer] for timer in TIMER_STATES] == [None, 32, 0, None, 32, None, 32, 0, 0, 0, 32, 32]
