"""The transfer machine: ``step(state, event, policy) -> (state, effects)``, pure.

The state is the caller's phase and a phase for each target leg, since legs ring while another is being screened and
an answer can come during the announcement::

    caller   Preparing -> Announcing -> Holding -> Joined ----------> Gone
                 |             |           |  ^      |  (bridge lost) /
                 |             |           |  +------+               /
                 |             +-> Referring ----------------------->
                 +----------------> Returned (back with the agent)

    leg      Dialing -> Early -> Answered -> Detecting <-> Briefing -> Screening -> Accepted -> Closing
             (any phase -> Closing when we end it; a leg that has ended leaves the state)

Rules (numbers as in the design): an ending is claimed once and at once (1); announcement and dialling overlap, and
a leg accepted during the announcement waits for its end (2); whisper and screening go to the leg only, and Bridge
comes only after Accepted (3); the agent is parked from the first effect on (4); the caller's leaving ends everything
(5); a 200 that crosses our CANCEL is closed again, and one without usable media is hung up (6); the first accepted leg
wins (7); a REFER is driven by its NOTIFYs, and each silence has its own transition (8); rounds are data (9); what
preparation refused is never dialled (10); success waits for media from both sides after the bridge, or, when the
limit comes, rests on media from both since their answers and is not verified (12); a cancelled transfer gives the
caller back (13); at the drain limit everything ends (15).

A pair of event and phase that the tables do not list raises UnlistedTransition: a fault of the driver. What a network
can produce late, twice or crossed is listed and noted. When the outcome is claimed, the caller parted with and every
leg ended, the state is done and absorbs everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import causes
from . import on_caller as caller
from . import on_leg as leg
from .draft import Draft, describe
from .effects import (
    Effect,
    Log,
)
from .events import (
    AnnouncementFinished,
    CallerGone,
    CallerMediaSeen,
    CallerReinvited,
    CancelRequested,
    DigitsSent,
    Event,
    IntroductionFinished,
    LegAnswered,
    LegClosed,
    LegEnded,
    LegEvent,
    LegFailed,
    LegInvited,
    LegMediaSeen,
    LegProgress,
    PreparationFailed,
    PreparationFinished,
    ReferAccepted,
    ReferEnded,
    ReferNotified,
    ReferRefused,
    ReturnRequested,
    ScreeningAnswered,
    ShutdownRequested,
    Started,
    TimerFired,
    TimerName,
    Verdict,
    VerdictRevoked,
    WhisperFinished,
)
from .policy import Policy
from .state import CallerPhase, Leg, LegPhase, State


class UnlistedTransition(Exception):  # noqa: N818 - the design's own word
    """An event that the tables do not list for the phase: a fault of the driver, never of a peer."""


# --- the tables -------------------------------------------------------------------------------------------------

_C = CallerPhase
_L = LegPhase
CallerHandler = Callable[[Draft, Any], None]
LegHandler = Callable[[Draft, Leg, Any], None]


def _caller_row(event: type[Event], **by_phase: CallerHandler) -> dict[tuple[type[Event], CallerPhase], CallerHandler]:
    return {(event, CallerPhase[phase]): handler for phase, handler in by_phase.items()}


def _leg_row(event: type[LegEvent], **by_phase: LegHandler) -> dict[tuple[type[LegEvent], LegPhase], LegHandler]:
    return {(event, LegPhase[phase]): handler for phase, handler in by_phase.items()}


_PENDING = ("PREPARING", "ANNOUNCING", "HOLDING")
_OVER = ("RETURNED", "GONE")


def _each(phases: tuple[str, ...], handler: Any) -> dict[str, Any]:
    return dict.fromkeys(phases, handler)


_AFTER_PREPARING = ("ANNOUNCING", "HOLDING", "JOINED", "REFERRING", *_OVER)
_AFTER_REFERRING = ("HOLDING", "JOINED", *_OVER)

CALLER_TABLE: dict[tuple[type[Event], CallerPhase], CallerHandler] = {
    **_caller_row(Started, PREPARING=caller.started),
    **_caller_row(PreparationFinished, PREPARING=caller.prepared, **_each(_AFTER_PREPARING, caller.late)),
    **_caller_row(PreparationFailed, PREPARING=caller.preparation_failed, **_each(_AFTER_PREPARING, caller.late)),
    **_caller_row(
        AnnouncementFinished,
        PREPARING=caller.announced,
        ANNOUNCING=caller.announced,
        **_each(("HOLDING", "JOINED", "REFERRING", *_OVER), caller.nothing),
    ),
    **_caller_row(
        CallerGone,
        **_each(_PENDING, caller.gone),
        JOINED=caller.gone_joined,
        REFERRING=caller.gone_referring,
        RETURNED=caller.gone_returned,
        GONE=caller.late,
    ),
    **_caller_row(CallerReinvited, **_each((*_PENDING, "JOINED", *_OVER), caller.nothing), REFERRING=caller.reinvited),
    **_caller_row(
        CancelRequested,
        **_each((*_PENDING, "REFERRING"), caller.cancelled),
        JOINED=caller.cancelled_joined,
        **_each(_OVER, caller.late),
    ),
    **_caller_row(
        ShutdownRequested,
        **_each((*_PENDING, "REFERRING"), caller.shutdown),
        JOINED=caller.shutdown_joined,
        **_each(_OVER, caller.late),
    ),
    **_caller_row(
        CallerMediaSeen,
        **_each((*_PENDING, "REFERRING"), caller.media),
        JOINED=caller.media_joined,
        **_each(_OVER, caller.nothing),
    ),
    **_caller_row(ReferAccepted, REFERRING=caller.refer_accepted, **_each(_AFTER_REFERRING, caller.late)),
    **_caller_row(ReferRefused, REFERRING=caller.refer_refused, **_each(_AFTER_REFERRING, caller.late)),
    **_caller_row(ReferNotified, REFERRING=caller.refer_notified, **_each(_AFTER_REFERRING, caller.late)),
    **_caller_row(ReferEnded, REFERRING=caller.refer_ended, **_each(_AFTER_REFERRING, caller.late)),
}

_ALL_LEG = tuple(phase.name for phase in LegPhase)
_RINGING = ("DIALING", "EARLY")
_ANSWERED = ("ANSWERED", "DETECTING", "BRIEFING", "SCREENING", "ACCEPTED")

LEG_TABLE: dict[tuple[type[LegEvent], LegPhase], LegHandler] = {
    **_leg_row(LegInvited, **_each(_ALL_LEG, leg.invited)),
    **_leg_row(LegProgress, **_each(_RINGING, leg.progress), **_each((*_ANSWERED, "CLOSING"), leg.late)),
    **_leg_row(
        LegAnswered,
        **_each(_RINGING, leg.answered),
        **_each(_ANSWERED, leg.late),
        CLOSING=leg.answered_closing,
    ),
    **_leg_row(
        LegFailed,
        **_each(_RINGING, leg.failed),
        ANSWERED=leg.hung_up(causes.HUNG_UP_BRIEFING),
        DETECTING=leg.hung_up(causes.HUNG_UP_DETECTING),
        BRIEFING=leg.hung_up(causes.HUNG_UP_BRIEFING),
        SCREENING=leg.hung_up(causes.HUNG_UP_SCREENING),
        ACCEPTED=leg.hung_up_accepted,
        CLOSING=leg.closed,
    ),
    **_leg_row(
        LegEnded,
        ANSWERED=leg.hung_up(causes.HUNG_UP_BRIEFING),
        DETECTING=leg.hung_up(causes.HUNG_UP_DETECTING),
        BRIEFING=leg.hung_up(causes.HUNG_UP_BRIEFING),
        SCREENING=leg.hung_up(causes.HUNG_UP_SCREENING),
        ACCEPTED=leg.hung_up_accepted,
        CLOSING=leg.closed,
    ),
    **_leg_row(LegClosed, CLOSING=leg.closed),
    **_leg_row(LegMediaSeen, **_each(_RINGING, leg.unheard), **_each(_ANSWERED, leg.media), CLOSING=leg.unheard),
    **_leg_row(
        DigitsSent,
        ANSWERED=leg.digits_sent,
        **_each(("DETECTING", "BRIEFING", "SCREENING", "ACCEPTED", "CLOSING"), leg.unheard),
    ),
    **_leg_row(
        Verdict,
        EARLY=leg.verdict_early,
        DETECTING=leg.verdict_detecting,
        BRIEFING=leg.verdict_briefing,
        SCREENING=leg.verdict_briefing,
        ACCEPTED=leg.verdict_accepted,
        **_each(("ANSWERED", "CLOSING"), leg.late),
    ),
    **_leg_row(
        VerdictRevoked,
        BRIEFING=leg.revoked,
        SCREENING=leg.revoked,
        **_each(("ANSWERED", "DETECTING", "ACCEPTED", "CLOSING"), leg.late),
    ),
    **_leg_row(
        WhisperFinished,
        BRIEFING=leg.whispered,
        **_each(("DETECTING", "SCREENING", "ACCEPTED", "CLOSING"), leg.late),
    ),
    **_leg_row(
        ScreeningAnswered,
        BRIEFING=leg.screened,
        SCREENING=leg.screened,
        **_each(("DETECTING", "ACCEPTED", "CLOSING"), leg.late),
    ),
    **_leg_row(IntroductionFinished, ACCEPTED=leg.introduced, CLOSING=leg.late),
    **_leg_row(ReturnRequested, ACCEPTED=leg.return_requested, CLOSING=leg.late),
}

CALLER_TIMERS: dict[TimerName, Callable[[Draft], None]] = {
    TimerName.PREPARATION: caller.preparation_late,
    TimerName.ANNOUNCEMENT: caller.announcement_late,
    TimerName.REFER_REPORT: caller.no_report,
    TimerName.REFER_AFTER_BYE: caller.no_report,
    TimerName.RETRY: caller.retry,
}
LEG_TIMERS: dict[TimerName, Callable[[Draft, Leg], None]] = {
    TimerName.RING: leg.rang_out,
    TimerName.DIGITS: leg.digits_late,
    TimerName.HUMAN: leg.nobody,
    TimerName.VERDICT_HOLD: Draft.accept,
    TimerName.PAUSE_BEFORE: Draft.whisper,
    TimerName.WHISPER: leg.whisper_late,
    TimerName.PAUSE_AFTER: Draft.ask,
    TimerName.SCREENING: leg.screening_silent,
    TimerName.INTRODUCTION: leg.introduction_late,
    TimerName.BRIDGE_MEDIA: leg.media_late,
}


# --- the step ---------------------------------------------------------------------------------------------------


def initial() -> State:
    """The state before :class:`~.events.Started`."""
    return State()


def step(state: State, event: Event, policy: Policy) -> tuple[State, tuple[Effect, ...]]:
    """The next state and what the driver must do, in order.

    Raises UnlistedTransition where the tables do not list the event for the phase, for a leg that was never dialled,
    and for anything before Started. A timer that no longer runs is ignored.
    """
    draft = Draft(state, policy, event.at)
    if state.done:
        return _absorb(draft, event)
    if not state.started and not isinstance(event, Started):
        raise UnlistedTransition(f"{type(event).__name__} before Started")
    if isinstance(event, TimerFired):
        _fire(draft, event)
    elif isinstance(event, LegEvent):
        _leg_event(draft, event)
    else:
        caller_handler = CALLER_TABLE.get((type(event), state.caller))
        if caller_handler is None or (state.started and isinstance(event, Started)):
            raise UnlistedTransition(f"{type(event).__name__} in {state.caller}")
        caller_handler(draft, event)
    draft.settle()
    return draft.state, tuple(draft.effects)


def _absorb(draft: Draft, event: Event) -> tuple[State, tuple[Effect, ...]]:
    if not isinstance(event, TimerFired):
        attempt = event.leg if isinstance(event, LegEvent) else None
        draft.log(f"after the end: {describe(event)}", attempt)
    assert all(isinstance(effect, Log) for effect in draft.effects)
    return draft.state, tuple(draft.effects)


def _fire(draft: Draft, event: TimerFired) -> None:
    running = (event.timer, event.leg)
    if running not in draft.state.timers:
        return
    draft.state = replace(draft.state, timers=draft.state.timers - {running})
    if event.leg is None:
        CALLER_TIMERS[event.timer](draft)
    else:
        LEG_TIMERS[event.timer](draft, draft.state.legs[event.leg])


def _leg_event(draft: Draft, event: LegEvent) -> None:
    standing = draft.state.legs.get(event.leg)
    if standing is None:
        if not 0 <= event.leg < len(draft.state.attempts):
            raise UnlistedTransition(f"{type(event).__name__} of leg {event.leg}, which was never dialled")
        draft.log(f"after the leg's end: {describe(event)}", event.leg)
        return
    handler = LEG_TABLE.get((type(event), standing.phase))
    if handler is None:
        raise UnlistedTransition(f"{type(event).__name__} in {standing.phase}")
    handler(draft, standing, event)
