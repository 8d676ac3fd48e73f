"""The ear: listens to a leg for the machine, and tells it who answered."""

from __future__ import annotations

import time
from collections.abc import Callable

from cordboard.calls.leg import Leg
from cordboard.detection import Detector, Event, Revoked

from . import events


class Ear:
    """One detector on one leg. ``early``: before the answer, when only tones count."""

    def __init__(self, leg: Leg, attempt: int, post: Callable[[events.Event], None], *, early: bool) -> None:
        self._attempt = attempt
        self._post = post
        self._detector = Detector(early=early)
        self._stop = leg.user_agent.listen(leg, self._hear)

    def answered(self) -> None:
        """The leg was answered: from here on a person or a machine may speak."""
        self._detector.answered()

    def close(self) -> None:
        """No verdict is wanted any more."""
        self._stop()

    def _hear(self, frame: memoryview) -> None:
        for event in self._detector.feed(frame):
            self._post(_told(event, self._attempt))


def _told(event: Event, attempt: int) -> events.Event:
    at = time.time()
    if isinstance(event, Revoked):
        return events.VerdictRevoked(at=at, leg=attempt)
    return events.Verdict(
        at=at,
        leg=attempt,
        label=events.Label(event.label.value),
        held=event.held,
        scores=event.scores,
        q850=event.q850,
    )
