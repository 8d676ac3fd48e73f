"""The state of one transfer: the caller's phase, a phase for each target leg, the attempts, the claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .events import Label, TimerName
from .outcome import Attempt, Claim, Evidence, Proof


class CallerPhase(StrEnum):
    """Where the caller is. ``done`` on the state absorbs all of them."""

    PREPARING = "Preparing"
    ANNOUNCING = "Announcing"
    HOLDING = "Holding"
    JOINED = "Joined"
    REFERRING = "Referring"
    RETURNED = "Returned"
    GONE = "Gone"


class LegPhase(StrEnum):
    """Where a target leg is. A leg that has ended is no longer in the state; its attempt stays."""

    DIALING = "Dialing"
    EARLY = "Early"
    ANSWERED = "Answered"
    DETECTING = "Detecting"
    BRIEFING = "Briefing"
    SCREENING = "Screening"
    ACCEPTED = "Accepted"
    CLOSING = "Closing"


@dataclass(frozen=True, slots=True)
class Leg:
    """A target leg that has been dialled and has not ended."""

    attempt: int
    target: int
    phase: LegPhase = LegPhase.DIALING
    media: bool = False  # seen since its answer
    bridge_media: bool = False  # seen since the bridge
    verdict: Label | None = None
    held: bool = False  # the verdict will not be revoked any more
    timed_out: bool = False  # the time for finding a person has run while a provisional one was being briefed
    briefed: bool = False
    asked: int = 0
    menu_answered: bool = False


@dataclass(frozen=True, slots=True)
class Refer:
    """The REFER in progress."""

    attempt: int
    accepted: bool = False
    last_status: int | None = None
    caller_left: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Immutable; ``step`` gives the next one. ``legs`` and ``attempts`` are keyed by attempt index."""

    caller: CallerPhase = CallerPhase.PREPARING
    done: bool = False
    started: bool = False
    prepared: bool = False
    announced: bool = False
    caller_media: bool = False
    caller_bridge_media: bool = False
    round: int = -1
    round_start: int = 0  # the first attempt of the latest round
    legs: Mapping[int, Leg] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    unfit: frozenset[int] = frozenset()  # targets that are not dialled again
    joined: int | None = None
    bridged: bool = False
    refer: Refer | None = None
    timers: frozenset[tuple[TimerName, int | None]] = frozenset()  # running, with their attempt
    claim: Claim | None = None
    proof: Proof | None = None
    notes: tuple[str, ...] = ()

    @property
    def evidence(self) -> Evidence:
        """The evidence as it stands, with what came after the claim."""
        return Evidence(
            attempts=self.attempts,
            verified=self.claim is not None and self.claim.verified,
            proof=self.proof,
            notes=self.notes,
        )
