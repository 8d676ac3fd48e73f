"""The leg reaper: what must outlive a call.

A call's task group ends with the call. The ACK and BYE for a late 200, and repeated messages, belong to the
transactions (RFC 3261 §17), which run on in the core; the reaper keeps a dead leg's name so that these messages still
reach the call's trace, and sees that no jack stays open.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from cordboard.sip.fields import Reason

if TYPE_CHECKING:
    from cordboard.calls.leg import Leg


class LegReaper:
    """``keep`` is how long an ended leg is remembered, in seconds; at most ``limit`` are."""

    def __init__(self, keep: float, limit: int = 4096) -> None:
        self._keep = keep
        self._limit = limit
        self._remembered: OrderedDict[str, tuple[Leg, asyncio.TimerHandle]] = OrderedDict()

    def take(self, leg: Leg, reason: Reason | None = None) -> None:
        """Hang the leg up if it still lives, close its jack, and remember it until its transactions are done."""
        if leg.session in self._remembered:
            return
        if not leg.over:
            leg.hangup(reason)
            if leg.session in self._remembered:
                return
        timer = asyncio.get_running_loop().call_later(self._keep, self._forget, leg.session)
        self._remembered[leg.session] = (leg, timer)
        leg.release()
        while len(self._remembered) > self._limit:
            _, (oldest, handle) = self._remembered.popitem(last=False)
            handle.cancel()
            oldest.user_agent.forget_leg(oldest)

    def _forget(self, session: str) -> None:
        entry = self._remembered.pop(session, None)
        if entry is not None:
            entry[0].user_agent.forget_leg(entry[0])

    def __len__(self) -> int:
        return len(self._remembered)

    def close(self) -> None:
        for session in list(self._remembered):
            self._remembered[session][1].cancel()
            self._forget(session)
