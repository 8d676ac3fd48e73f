"""The four transaction machines of RFC 3261 §17 with RFC 6026, as data.

Rules:

* A machine is a dictionary ``(state, input) -> (next state, actions)``. A pair that is not listed is an error
  (``UnlistedTransitionError``); an input that may come and has no effect is listed with no actions.
* A timer lives in the states of ``TIMER_STATES`` only: entering another state stops it. A timer that fires can
  therefore only meet a state in which it lives.
* ``TERMINATED`` is left by nothing: the layer has forgotten the transaction.

INVITE client (RFC 3261 figure 5, with Accepted of RFC 6026 figure 3)::

                        | INVITE from TU: send, start A, B
     Timer A fires      V
     send, restart A +-------+     Timer B fires, or transport error: tell TU
          +--------->|Calling|------------------------------------------+
          +----------|       |--+ 2xx: to TU                            |
                     +-------+  |                                       |
          300-699: send ACK,| | +------------------------+              |
          to TU      +------+ | 1xx: to TU               |              |
                     |        V                          |              |
                     |  +----------+  2xx: to TU         |              |
                     |  |Proceeding|-------------------->|              |
                     |  +----------+ <-1xx: to TU        |              |
                     |        | 300-699: send ACK, to TU |              |
                     V        V                          V              |
     300-699     +---------+                        +--------+ 2xx:     |
     send ACK -->|Completed|                        |Accepted| to TU    |
                 +---------+                        +--------+          |
                     | Timer D, transport error: to TU   | Timer M      |
                     V                                   V              V
                 +------------------------------------------------------+
                 |                      Terminated                      |
                 +------------------------------------------------------+

Non-INVITE client (figure 6)::

     Timer E: send       +------+  Timer F, transport error: tell TU
     restart E   +------>|Trying|--------------------------------+
                 +-------|      |----------------+ 200-699: to TU|
                         +------+                |               |
                            | 1xx: to TU         |               |
                            V                    |               |
     Timer E: send  +----------+  200-699: to TU |               |
     restart at T2->|Proceeding|---------------->|               |
                    +----------+  Timer F, transport error: tell TU
                                                 V               |
                                           +---------+  Timer K  V
                                           |Completed|------> Terminated
                                           +---------+

INVITE server (figure 7, with Accepted of RFC 6026 figure 5)::

                                | INVITE: to TU, send 100
     INVITE: send last response V
          +--------------->+----------+ 101-199 from TU: send
          +----------------|Proceeding|<-----+
                           |          |------+
     300-699 from TU: send +----------+ 2xx from TU: send
     start G, H  |                |
                 V                V
     INVITE or +---------+    +--------+ INVITE: absorb; 2xx from TU: send
     Timer G:  |Completed|    |Accepted| ACK: to TU
     send      +---------+    +--------+
       ACK: start I |    | Timer H: tell TU   | Timer L
                    V    +------------------+ |
               +---------+                  V V
               |Confirmed|---Timer I----> Terminated
               +---------+

Non-INVITE server (figure 8)::

                     | request: to TU
                     V
                 +------+  1xx from TU: send    +----------+  request: send last
                 |Trying|---------------------->|Proceeding|  1xx from TU: send
                 +------+                       +----------+
                     | 200-699 from TU: send, J      | 200-699 from TU: send, J
                     V                               V
                 +-------------------------------------+  request: send last
                 |              Completed              |
                 +-------------------------------------+
                     | Timer J
                     V
                 Terminated
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from cordboard.sip.config import TimerSettings
from cordboard.sip.errors import SipError


class State(StrEnum):
    """States of all four machines."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class Input(StrEnum):
    """What can happen to a transaction."""

    REQUEST = "request repeated"
    ACK = "ACK received"
    PROVISIONAL = "1xx received"
    SUCCESS = "2xx received"
    FAILURE = "300-699 received"
    SEND_PROVISIONAL = "1xx from the user"
    SEND_SUCCESS = "2xx from the user"
    SEND_FAILURE = "300-699 from the user"
    TRANSPORT_ERROR = "transport error"
    TIMER_A = "A"
    TIMER_B = "B"
    TIMER_D = "D"
    TIMER_E = "E"
    TIMER_F = "F"
    TIMER_G = "G"
    TIMER_H = "H"
    TIMER_I = "I"
    TIMER_J = "J"
    TIMER_K = "K"
    TIMER_L = "L"
    TIMER_M = "M"


class Action(StrEnum):
    """What a transition does, in order."""

    SEND = "send the request, or the response that the user gave"
    REPEAT = "send the last message again"
    ACKNOWLEDGE = "send the ACK of a 300-699"
    TELL_RESPONSE = "hand the response to the user"
    TELL_ACK = "hand the ACK to the user"
    TELL_TIMEOUT = "tell the user that nobody answered"
    TELL_TRANSPORT = "tell the user of the transport error"
    START_D = "start D"
    START_G = "start G"
    START_H = "start H"
    START_I = "start I"
    START_J = "start J"
    START_K = "start K"
    START_L = "start L"
    START_M = "start M"
    AGAIN_A = "start A with twice its time"
    AGAIN_E = "start E with twice its time, at most T2"
    AGAIN_E_T2 = "start E with T2"
    AGAIN_G = "start G with twice its time, at most T2"


class UnlistedTransitionError(SipError):
    """A state met an input that its machine does not list: a fault of ours, never of a peer."""


Transition = tuple[State, tuple[Action, ...]]
Machine = Mapping[tuple[State, Input], Transition]

S, I, A = State, Input, Action  # noqa: E741

# RFC 3261 §17.1.1.2, RFC 6026 §8.4
INVITE_CLIENT: Machine = {
    (S.CALLING, I.TIMER_A): (S.CALLING, (A.REPEAT, A.AGAIN_A)),
    (S.CALLING, I.TIMER_B): (S.TERMINATED, (A.TELL_TIMEOUT,)),
    (S.CALLING, I.TRANSPORT_ERROR): (S.TERMINATED, (A.TELL_TRANSPORT,)),
    (S.CALLING, I.PROVISIONAL): (S.PROCEEDING, (A.TELL_RESPONSE,)),
    (S.CALLING, I.SUCCESS): (S.ACCEPTED, (A.START_M, A.TELL_RESPONSE)),
    (S.CALLING, I.FAILURE): (S.COMPLETED, (A.START_D, A.ACKNOWLEDGE, A.TELL_RESPONSE)),
    (S.PROCEEDING, I.PROVISIONAL): (S.PROCEEDING, (A.TELL_RESPONSE,)),
    (S.PROCEEDING, I.SUCCESS): (S.ACCEPTED, (A.START_M, A.TELL_RESPONSE)),
    (S.PROCEEDING, I.FAILURE): (S.COMPLETED, (A.START_D, A.ACKNOWLEDGE, A.TELL_RESPONSE)),
    # The request has arrived: the peer may answer on another connection (RFC 3261 §18.2.2).
    (S.PROCEEDING, I.TRANSPORT_ERROR): (S.PROCEEDING, ()),
    (S.COMPLETED, I.PROVISIONAL): (S.COMPLETED, ()),
    (S.COMPLETED, I.SUCCESS): (S.COMPLETED, ()),
    (S.COMPLETED, I.FAILURE): (S.COMPLETED, (A.ACKNOWLEDGE,)),
    (S.COMPLETED, I.TRANSPORT_ERROR): (S.TERMINATED, ()),
    (S.COMPLETED, I.TIMER_D): (S.TERMINATED, ()),
    (S.ACCEPTED, I.PROVISIONAL): (S.ACCEPTED, ()),
    (S.ACCEPTED, I.SUCCESS): (S.ACCEPTED, (A.TELL_RESPONSE,)),
    (S.ACCEPTED, I.FAILURE): (S.ACCEPTED, ()),
    (S.ACCEPTED, I.TRANSPORT_ERROR): (S.ACCEPTED, ()),
    (S.ACCEPTED, I.TIMER_M): (S.TERMINATED, ()),
}

# RFC 3261 §17.1.2.2
NON_INVITE_CLIENT: Machine = {
    (S.TRYING, I.TIMER_E): (S.TRYING, (A.REPEAT, A.AGAIN_E)),
    (S.TRYING, I.TIMER_F): (S.TERMINATED, (A.TELL_TIMEOUT,)),
    (S.TRYING, I.TRANSPORT_ERROR): (S.TERMINATED, (A.TELL_TRANSPORT,)),
    (S.TRYING, I.PROVISIONAL): (S.PROCEEDING, (A.TELL_RESPONSE,)),
    (S.TRYING, I.SUCCESS): (S.COMPLETED, (A.START_K, A.TELL_RESPONSE)),
    (S.TRYING, I.FAILURE): (S.COMPLETED, (A.START_K, A.TELL_RESPONSE)),
    (S.PROCEEDING, I.TIMER_E): (S.PROCEEDING, (A.REPEAT, A.AGAIN_E_T2)),
    (S.PROCEEDING, I.TIMER_F): (S.TERMINATED, (A.TELL_TIMEOUT,)),
    (S.PROCEEDING, I.TRANSPORT_ERROR): (S.TERMINATED, (A.TELL_TRANSPORT,)),
    (S.PROCEEDING, I.PROVISIONAL): (S.PROCEEDING, (A.TELL_RESPONSE,)),
    (S.PROCEEDING, I.SUCCESS): (S.COMPLETED, (A.START_K, A.TELL_RESPONSE)),
    (S.PROCEEDING, I.FAILURE): (S.COMPLETED, (A.START_K, A.TELL_RESPONSE)),
    (S.COMPLETED, I.PROVISIONAL): (S.COMPLETED, ()),
    (S.COMPLETED, I.SUCCESS): (S.COMPLETED, ()),
    (S.COMPLETED, I.FAILURE): (S.COMPLETED, ()),
    (S.COMPLETED, I.TRANSPORT_ERROR): (S.COMPLETED, ()),
    (S.COMPLETED, I.TIMER_K): (S.TERMINATED, ()),
}

# RFC 3261 §17.2.1, RFC 6026 §8.7
INVITE_SERVER: Machine = {
    (S.PROCEEDING, I.REQUEST): (S.PROCEEDING, (A.REPEAT,)),
    (S.PROCEEDING, I.ACK): (S.PROCEEDING, ()),
    (S.PROCEEDING, I.SEND_PROVISIONAL): (S.PROCEEDING, (A.SEND,)),
    (S.PROCEEDING, I.SEND_SUCCESS): (S.ACCEPTED, (A.SEND, A.START_L)),
    (S.PROCEEDING, I.SEND_FAILURE): (S.COMPLETED, (A.SEND, A.START_G, A.START_H)),
    # The response may still reach the peer by the fallback of RFC 3261 §18.2.2; the caller's timers decide.
    (S.PROCEEDING, I.TRANSPORT_ERROR): (S.PROCEEDING, ()),
    (S.COMPLETED, I.REQUEST): (S.COMPLETED, (A.REPEAT,)),
    (S.COMPLETED, I.TIMER_G): (S.COMPLETED, (A.REPEAT, A.AGAIN_G)),
    (S.COMPLETED, I.ACK): (S.CONFIRMED, (A.START_I,)),
    (S.COMPLETED, I.TIMER_H): (S.TERMINATED, (A.TELL_TIMEOUT,)),
    (S.COMPLETED, I.TRANSPORT_ERROR): (S.COMPLETED, ()),
    (S.CONFIRMED, I.REQUEST): (S.CONFIRMED, ()),
    (S.CONFIRMED, I.ACK): (S.CONFIRMED, ()),
    (S.CONFIRMED, I.TRANSPORT_ERROR): (S.CONFIRMED, ()),
    (S.CONFIRMED, I.TIMER_I): (S.TERMINATED, ()),
    (S.ACCEPTED, I.REQUEST): (S.ACCEPTED, ()),
    (S.ACCEPTED, I.ACK): (S.ACCEPTED, (A.TELL_ACK,)),
    (S.ACCEPTED, I.SEND_SUCCESS): (S.ACCEPTED, (A.SEND,)),
    (S.ACCEPTED, I.TRANSPORT_ERROR): (S.ACCEPTED, ()),
    (S.ACCEPTED, I.TIMER_L): (S.TERMINATED, ()),
}

# RFC 3261 §17.2.2
NON_INVITE_SERVER: Machine = {
    (S.TRYING, I.REQUEST): (S.TRYING, ()),
    (S.TRYING, I.SEND_PROVISIONAL): (S.PROCEEDING, (A.SEND,)),
    (S.TRYING, I.SEND_SUCCESS): (S.COMPLETED, (A.SEND, A.START_J)),
    (S.TRYING, I.SEND_FAILURE): (S.COMPLETED, (A.SEND, A.START_J)),
    (S.TRYING, I.TRANSPORT_ERROR): (S.TRYING, ()),
    (S.PROCEEDING, I.REQUEST): (S.PROCEEDING, (A.REPEAT,)),
    (S.PROCEEDING, I.SEND_PROVISIONAL): (S.PROCEEDING, (A.SEND,)),
    (S.PROCEEDING, I.SEND_SUCCESS): (S.COMPLETED, (A.SEND, A.START_J)),
    (S.PROCEEDING, I.SEND_FAILURE): (S.COMPLETED, (A.SEND, A.START_J)),
    (S.PROCEEDING, I.TRANSPORT_ERROR): (S.PROCEEDING, ()),
    (S.COMPLETED, I.REQUEST): (S.COMPLETED, (A.REPEAT,)),
    (S.COMPLETED, I.SEND_PROVISIONAL): (S.COMPLETED, ()),
    (S.COMPLETED, I.SEND_SUCCESS): (S.COMPLETED, ()),
    (S.COMPLETED, I.SEND_FAILURE): (S.COMPLETED, ()),
    (S.COMPLETED, I.TRANSPORT_ERROR): (S.COMPLETED, ()),
    (S.COMPLETED, I.TIMER_J): (S.TERMINATED, ()),
}

#: The states in which each timer lives; entering any other state stops it.
TIMER_STATES: Mapping[Input, frozenset[State]] = {
    I.TIMER_A: frozenset({S.CALLING}),
    I.TIMER_B: frozenset({S.CALLING}),
    I.TIMER_D: frozenset({S.COMPLETED}),
    I.TIMER_E: frozenset({S.TRYING, S.PROCEEDING}),
    I.TIMER_F: frozenset({S.TRYING, S.PROCEEDING}),
    I.TIMER_G: frozenset({S.COMPLETED}),
    I.TIMER_H: frozenset({S.COMPLETED}),
    I.TIMER_I: frozenset({S.CONFIRMED}),
    I.TIMER_J: frozenset({S.COMPLETED}),
    I.TIMER_K: frozenset({S.COMPLETED}),
    I.TIMER_L: frozenset({S.ACCEPTED}),
    I.TIMER_M: frozenset({S.ACCEPTED}),
}

STARTS: Mapping[Action, Input] = {
    A.START_D: I.TIMER_D,
    A.START_G: I.TIMER_G,
    A.START_H: I.TIMER_H,
    A.START_I: I.TIMER_I,
    A.START_J: I.TIMER_J,
    A.START_K: I.TIMER_K,
    A.START_L: I.TIMER_L,
    A.START_M: I.TIMER_M,
}


def timer_values(settings: TimerSettings, *, reliable: bool) -> dict[Input, float | None]:
    """RFC 3261 Table 4 and RFC 6026 §8.4, §8.7: first value of each timer in seconds; None is never started."""
    t1, t4 = settings.t1, settings.t4
    return {
        I.TIMER_A: None if reliable else t1,
        I.TIMER_B: 64 * t1,
        I.TIMER_D: 0.0 if reliable else 64 * t1,
        I.TIMER_E: None if reliable else t1,
        I.TIMER_F: 64 * t1,
        I.TIMER_G: None if reliable else t1,
        I.TIMER_H: 64 * t1,
        I.TIMER_I: 0.0 if reliable else t4,
        I.TIMER_J: 0.0 if reliable else 64 * t1,
        I.TIMER_K: 0.0 if reliable else t4,
        I.TIMER_L: 64 * t1,
        I.TIMER_M: 64 * t1,
    }


def step(machine: Machine, state: State, what: Input) -> Transition:
    """The listed transition, or UnlistedTransitionError."""
    try:
        return machine[state, what]
    except KeyError:
        raise UnlistedTransitionError(f"no transition from {state} on {what}") from None
