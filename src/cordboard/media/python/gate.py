"""Who may be heard: the source rules of symmetric RTP, so that strangers reach no ear (RTP bleed, AST-2017-005/008).

* Packets from the address of the session description pass from the first one.
* Another port of the same IP must show `PROBATION` packets of one SSRC in sequence; another IP never passes.
* The first address that passes is latched, once per offer/answer, and silence never opens it again.
* From the latched address another SSRC passes only in place of the first: once that has paused, and after
  `SSRC_PROBATION` packets in sequence, so that injected packets cannot take turns with the party's own.
"""

from __future__ import annotations

from typing import NamedTuple

from cordboard.media.face import Address
from cordboard.media.python.rtp import distance16

PROBATION = 4
SSRC_PROBATION = 3
SSRC_PAUSE = 0.05
MAX_CANDIDATES = 4


class _Candidate(NamedTuple):
    sequence: int
    shown: int


class Verdict(NamedTuple):
    accepted: bool
    latched: bool = False  # the first accepted packet since the last negotiation
    switched: bool = False  # another SSRC than before


REFUSED = Verdict(False)


class Gate:
    def __init__(self) -> None:
        self.remote: Address | None = None
        self.source: Address | None = None  # where packets come from, once some have been accepted
        self.ssrc: int | None = None
        self.latched = False
        self.answered = False  # something has come from the address that we send to
        self._heard_at = 0.0
        self._candidates: dict[tuple[Address, int], _Candidate] = {}

    def negotiated(self, remote: Address | None) -> None:
        """A new offer/answer. The same address keeps what was accepted; another one begins anew."""
        if remote != self.remote:
            self.remote, self.source, self.ssrc, self.answered = remote, None, None, False
        self.latched = False
        self._candidates.clear()

    @property
    def target(self) -> Address | None:
        """Where we send."""
        return self.source or self.remote

    def admit(self, sender: Address, ssrc: int, sequence: int, now: float) -> Verdict:
        if self.remote is None or sender[0] != self.remote[0]:
            return REFUSED
        known = sender == self.source or (not self.latched and sender == self.remote)
        if not known:
            if self.latched or not self._prove(sender, ssrc, sequence, PROBATION):
                return REFUSED
        elif (
            self.ssrc is not None
            and ssrc != self.ssrc
            and sender == self.source
            and (now - self._heard_at < SSRC_PAUSE or not self._prove(sender, ssrc, sequence, SSRC_PROBATION))
        ):
            return REFUSED
        first, switched = not self.latched, ssrc != self.ssrc
        self.source, self.ssrc, self.latched, self.answered = sender, ssrc, True, True
        self._heard_at = now
        if self._candidates and (first or switched):
            self._candidates.clear()
        return Verdict(True, first, switched)

    def _prove(self, sender: Address, ssrc: int, sequence: int, needed: int) -> bool:
        key = (sender, ssrc)
        candidate = self._candidates.pop(key, None)
        shown = 1
        if candidate is not None:
            step = distance16(sequence, candidate.sequence)
            if step <= 0:
                self._candidates[key] = candidate
                return False
            shown = candidate.shown + 1 if step <= 3 else 1
        if shown >= needed:
            return True
        if len(self._candidates) >= MAX_CANDIDATES:
            self._candidates.pop(next(iter(self._candidates)))
        self._candidates[key] = _Candidate(sequence, shown)
        return False
