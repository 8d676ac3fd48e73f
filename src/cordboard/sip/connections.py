"""Connections that say nothing, or too slowly: keep-alive of RFC 5626 §3.5.1, and limits against half-open streams.

Rules, applied by one timer that runs only while there are connections:

* a connection of ours on which nothing came for ``keep_alive`` seconds is sent a ping; without a pong within
  ``pong_timeout`` (RFC 5626 §4.4.1: 10 s) it is given up, and whoever waits on it is told;
* an accepted connection must bring its first message, and every message its end, within ``stream_slow`` seconds;
* a connection on which nothing came for ``stream_idle`` seconds, and that no dialog or transaction uses, is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordboard.sip.flow import Close, Flow
from cordboard.sip.framing import PING
from cordboard.sip.timers import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from cordboard.sip.core import Core

SWEEP = 2.0
"""Seconds between two looks at all connections: the limits are exact to this."""


class _Watched:
    """What is known of one connection; times in seconds."""

    __slots__ = ("heard", "partial", "pinged", "spoken")

    def __init__(self, now: float) -> None:
        self.heard = now
        self.partial: float | None = now
        """Since when a message is due: from the start, and while one has begun and not ended."""
        self.pinged: float | None = None
        self.spoken = False


class Connections:
    """Watches the streams of one endpoint; see `transport.Keeper`."""

    __slots__ = ("_core", "_gone", "_now", "_timer", "_watched")

    def __init__(self, core: Core, gone: Callable[[Flow, float], None]) -> None:
        """``gone`` is told of a connection that was given up."""
        self._core = core
        self._gone = gone
        self._watched: dict[Flow, _Watched] = {}
        self._timer: Timer | None = None
        self._now = 0.0

    def at(self, now: float) -> None:
        """The time of what follows."""
        self._now = now

    def opened(self, flow: Flow) -> None:
        """A connection carries bytes now."""
        watched = self._watched[flow] = _Watched(self._now)
        if flow.connection is not None and flow.connection < 0:
            watched.partial = None  # we speak first
        if self._timer is None:
            self._timer = self._core.timers.start(self._now + SWEEP, self._sweep)

    def lost(self, flow: Flow) -> None:
        """A connection is gone."""
        self._watched.pop(flow, None)
        if not self._watched and self._timer is not None:
            self._timer.stop()
            self._timer = None

    def heard(self, flow: Flow, now: float, *, pending: bool, messages: bool) -> None:
        """Bytes came; ``pending``: an unfinished message is left, ``messages``: at least one was finished."""
        watched = self._watched.get(flow)
        if watched is None:
            return
        watched.heard = now
        watched.pinged = None
        if messages:
            watched.spoken = True
            watched.partial = None
        if pending and watched.partial is None:
            watched.partial = now
        elif not pending and watched.spoken:
            watched.partial = None

    def _sweep(self, now: float) -> None:
        self._timer = None
        config = self._core.config
        used: set[Flow] | None = None
        for flow, watched in list(self._watched.items()):
            silent = now - watched.heard
            ours = flow.connection is not None and flow.connection < 0
            if watched.partial is not None and now - watched.partial > config.stream_slow:
                self._give_up(flow, now)
            elif watched.pinged is not None and now - watched.pinged >= config.pong_timeout:
                self._give_up(flow, now)  # RFC 5626 §4.4.1: no pong, the flow has failed
            elif silent >= config.stream_idle:
                if used is None:
                    used = self._used()
                if flow not in used:
                    self._give_up(flow, now)
                    continue
            if ours and flow in self._watched and 0 < config.keep_alive <= silent and watched.pinged is None:
                watched.pinged = now
                self._core.transport.send(flow, PING, "", None)  # RFC 5626 §3.5.1
        if self._watched and self._timer is None:
            self._timer = self._core.timers.start(now + SWEEP, self._sweep)

    def _used(self) -> set[Flow]:
        core = self._core
        flows = {dialog.flow for dialog in core.dialogs.values()}
        flows.update(transaction.flow for transaction in core.transactions.clients.values())
        flows.update(transaction.flow for transaction in core.transactions.servers.values())
        return flows

    def _give_up(self, flow: Flow, now: float) -> None:
        self._core.transport.outgoing.append(Close(flow))
        self._gone(flow, now)
