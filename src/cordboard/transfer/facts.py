"""Facts: what happened on a leg, in the machine's words; and the machine's steps, in words for the timeline."""

from __future__ import annotations

from dataclasses import fields

from cordboard.calls import leg as legs
from cordboard.sip import events as sip
from cordboard.sip.message import Response

from . import effects, events
from .state import State

_LOCAL_CAUSES = {
    "ring_timeout": events.LocalCause.RING_TIMEOUT,
    "transaction_timeout": events.LocalCause.TRANSACTION_TIMEOUT,
    "transport": events.LocalCause.TRANSPORT_ERROR,
    "resolution": events.LocalCause.RESOLUTION_FAILED,
    "limit": events.LocalCause.GATEWAY_LIMIT,
}


def from_caller(event: legs.LegEvent, at: float) -> events.Event | None:
    """An event of the caller's leg; None for what the machine does not care about."""
    match event:
        case legs.LegEnded(cause=cause, q850=q850):
            return events.CallerGone(at=at, text=cause.upper(), q850=q850)
        case legs.LegFailed(reason=reason, q850=q850):
            return events.CallerGone(at=at, text=reason, q850=q850)
        case legs.LegMediaSeen():
            return events.CallerMediaSeen(at=at)
        case legs.LegHeld(held=held):
            return events.CallerReinvited(at=at, held=held)
        case sip.ReferAccepted(status=status, subscription=subscription):
            return events.ReferAccepted(at=at, status=status, subscription=subscription)
        case sip.ReferRefused(status=status, response=response):
            text = response.reason if response is not None else "no answer"
            return events.ReferRefused(at=at, status=status, text=text, q850=_q850(response), local=response is None)
        case sip.ReferNotified(status=status, text=text, subscription_state=subscription_state):
            final = subscription_state.partition(";")[0].strip().lower() == "terminated"
            return events.ReferNotified(at=at, status=status, text=text, final=final)
        case sip.ReferEnded(reason=reason):
            return events.ReferEnded(at=at, text=reason)
        case _:
            return None


def from_target(attempt: int, event: legs.LegEvent, at: float, *, closing: bool) -> events.Event | None:
    """An event of a target leg; ``closing``: we have cancelled it or hung it up."""
    match event:
        case legs.LegInvited(size=size, transport=transport):
            return events.LegInvited(at=at, leg=attempt, size=size, transport=transport)
        case legs.LegRinging(status=status, reason=reason, early_media=early):
            return events.LegProgress(at=at, leg=attempt, status=status, text=reason, early_media=early)
        case legs.LegAnswered(status=status, reason=reason, fault=fault):
            return events.LegAnswered(at=at, leg=attempt, status=status, text=fault or reason, usable_media=not fault)
        case legs.LegFailed() | legs.LegEnded() if closing:
            return events.LegClosed(at=at, leg=attempt)
        case legs.LegFailed(status=status, reason=reason, q850=q850, local=local, detail=detail):
            return events.LegFailed(
                at=at,
                leg=attempt,
                status=None if local else status,  # the evidence holds what was received
                text=detail if local else reason,
                q850=q850,
                local=_LOCAL_CAUSES.get(detail, events.LocalCause.INTERNAL_ERROR) if local else None,
            )
        case legs.LegEnded(cause=ending, q850=q850):
            return events.LegEnded(at=at, leg=attempt, text=ending.upper(), q850=q850)
        case legs.LegMediaSeen():
            return events.LegMediaSeen(at=at, leg=attempt)
        case _:
            return None


def _q850(response: Response | None) -> int | None:
    if response is None:
        return None
    return next((each.cause for each in response.reasons if each.protocol.upper() == "Q.850"), None)


def leg_name(attempt: int | None) -> str:
    """The leg's name in the record; empty for the transfer as a whole."""
    return "" if attempt is None else f"target-{attempt + 1}"


def told(event: events.Event) -> dict[str, object]:
    """An event's fields for the timeline, which has its time already."""
    return {field.name: getattr(event, field.name) for field in fields(event) if field.name != "at"}


def phases(state: State) -> str:
    """Where caller and legs are."""
    found = [str(state.caller)] + [f"{leg_name(leg.attempt)}:{leg.phase}" for leg in state.legs.values()]
    return " ".join(found) + (" Done" if state.done else "")


def shown(effect: effects.Effect) -> str:
    """An effect for the timeline."""
    if isinstance(effect, effects.SendDigits):  # a PIN may be among them
        return f"SendDigits(attempt={effect.attempt}, {len(effect.digits)} digits)"
    if isinstance(effect, effects.ClaimOutcome):
        return f"ClaimOutcome({effect.claim.outcome}, {effect.claim.reason})"
    parts = [f"{field.name}={getattr(effect, field.name)!s}" for field in fields(effect)]
    return f"{type(effect).__name__}({', '.join(parts)})"
