"""A small bench for the machine: keeps the state, the effects and a clock that only counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from cordboard.transfer import effects as fx
from cordboard.transfer import events as ev
from cordboard.transfer.machine import initial, step
from cordboard.transfer.outcome import Claim, Method
from cordboard.transfer.policy import Policy, ReferSuccess, Target
from cordboard.transfer.state import LegPhase, State

E = TypeVar("E", bound=fx.Effect)

PERSON = Target("sip:person@192.0.2.1", "office", ring_timeout=20)
OTHER = Target("+15550101", "carrier")
REFERRED = Target("+15550102", "carrier", method=Method.REFER)
WARM = Policy(targets=(PERSON,), rounds=((0,),), announcement="Please hold.", whisper=True, failed_message="Sorry.")
COLD = Policy(targets=(REFERRED,), rounds=((0,),), announcement="Please hold.")


def cold(success: ReferSuccess) -> Policy:
    """A cold policy through a gateway that shows success in its own way."""
    return replace(COLD, targets=(replace(REFERRED, refer_success=success),))


class Bench:
    """Feeds events; ``all`` holds every effect so far, ``last`` those of the last step."""

    def __init__(self, policy: Policy, *, caller_media: bool = True) -> None:
        self.policy = policy
        self.state: State = initial()
        self.all: list[fx.Effect] = []
        self.last: tuple[fx.Effect, ...] = ()
        self.clock = 0.0
        self.post(ev.Started(caller_media=caller_media))

    def post(self, *events: ev.Event) -> Bench:
        """Step through events."""
        for event in events:
            self.clock += 1.0
            self.state, self.last = step(self.state, replace(event, at=self.clock), self.policy)
            self.all.extend(self.last)
        return self

    def fire(self, timer: ev.TimerName, leg: int | None = None) -> Bench:
        """Let a running timer run out."""
        assert (timer, leg) in self.state.timers, f"{timer} of {leg} does not run"
        return self.post(ev.TimerFired(timer=timer, leg=leg))

    def these(self, kind: type[E], *, last: bool = False) -> list[E]:
        """The effects of a kind."""
        return [effect for effect in (self.last if last else self.all) if isinstance(effect, kind)]

    @property
    def claim(self) -> Claim:
        """The one claim."""
        claims = self.these(fx.ClaimOutcome)
        assert len(claims) == 1, claims
        assert self.state.claim == claims[0].claim
        return claims[0].claim

    @property
    def ended(self) -> tuple[str, str]:
        """Outcome and reason in the wire spelling."""
        return self.claim.outcome.value, self.claim.reason.value

    def phase(self, leg: int) -> LegPhase:
        """The phase of a standing leg."""
        return self.state.legs[leg].phase

    # --- shorthands ---------------------------------------------------------------------------------------------

    def answered(self, leg: int = 0) -> Bench:
        """Rings, is answered, media comes."""
        return self.post(
            ev.LegProgress(leg=leg, status=180, text="Ringing"), ev.LegAnswered(leg=leg), ev.LegMediaSeen(leg=leg)
        )

    def bridged(self, leg: int = 0) -> Bench:
        """To the bridge with everything proved (a message whisper, no detection)."""
        self.post(ev.AnnouncementFinished())
        self.answered(leg).post(ev.WhisperFinished(leg=leg))
        return self.post(ev.CallerMediaSeen(after_bridge=True), ev.LegMediaSeen(leg=leg, after_bridge=True))
