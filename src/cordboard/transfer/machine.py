"""The transfer machine: pure, published face; the table follows."""

from __future__ import annotations

from .effects import Effect
from .events import Event
from .policy import Policy
from .state import State


class UnlistedTransition(Exception):
    """An event that the table does not list for the phase: a fault of the driver, never of a peer."""


def initial() -> State:
    """The state before :class:`~.events.Started`."""
    return State()


def step(state: State, event: Event, policy: Policy) -> tuple[State, tuple[Effect, ...]]:
    """The next state and what the driver must do, in order. Raises UnlistedTransition."""
    raise NotImplementedError
