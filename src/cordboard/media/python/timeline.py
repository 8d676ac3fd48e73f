"""Positions on the board's clock: where a party's RTP timestamps lie on it, and where what we send lies.

A position counts samples of 8 kHz since the board was opened; every jack's RTP timestamps are positions plus a random
base, so that they stay on the clock whatever the jack hears.
"""

from __future__ import annotations

from cordboard.media.python.rtp import distance32

RATE = 8000
FRAME = 160
HALF = FRAME // 2
_AHEAD_LIMIT = 1600
_BEHIND_LIMIT = RATE
_DRIFT_WINDOW = 100  # packets
_DRIFT_LIMIT = FRAME // 2
_EARLY_PACKETS = 5  # the network delays, it does not hasten: our first packet of the source was late


class Placement:
    """One SSRC's timestamps on the clock: constant through jitter, corrected when the two clocks drift apart."""

    def __init__(self) -> None:
        self._timestamp: int | None = None
        self._unwrapped = 0
        self._offset = 0
        self._least: int | None = None
        self._seen = 0
        self._early = 0

    def place(self, timestamp: int, clock: int) -> int:
        """The position of an audio packet that arrives at `clock`."""
        if self._timestamp is None:
            self._timestamp = timestamp
            self._offset = clock
            return clock
        unwrapped = self._unwrapped + distance32(timestamp, self._timestamp)
        late = clock - (unwrapped + self._offset)
        if unwrapped > self._unwrapped:
            self._timestamp, self._unwrapped = timestamp, unwrapped
        if not -_AHEAD_LIMIT <= late <= _BEHIND_LIMIT:  # the source has set its timestamps anew
            self._timestamp, self._unwrapped = timestamp, unwrapped
            self._offset += late
            self._least, self._seen, self._early = None, 0, 0
            return clock
        self._early = self._early + 1 if late < -FRAME else 0
        if self._early >= _EARLY_PACKETS:
            self._offset += late
            self._least, self._seen, self._early = None, 0, 0
            return clock
        self._least = late if self._least is None else min(self._least, late)
        self._seen += 1
        if self._seen >= _DRIFT_WINDOW:
            if abs(self._least) > _DRIFT_LIMIT:
                self._offset += self._least
            self._least, self._seen = None, 0
        return unwrapped + self._offset

    def event(self, timestamp: int, clock: int) -> int:
        """The position of a telephone-event, whose timestamp stands still while the clock goes on."""
        if self._timestamp is None:
            return self.place(timestamp, clock)
        at = self._unwrapped + distance32(timestamp, self._timestamp) + self._offset
        return at if abs(clock - at) <= 10 * RATE else clock


class Relay:
    """How one listener renumbers one source's packets. Not anchored: the next packet joins on to what was sent."""

    __slots__ = ("anchored", "first", "highest", "number", "position")

    def __init__(self) -> None:
        self.anchored = False
        self.first = self.highest = 0
        self.number = self.position = 0


class Sequence:
    """Numbers and positions of what one jack sends; they go on across every switch."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence  # of the last packet, extended
        self.last: int | None = None  # position of the last packet
        self.length = 0

    def start(self, clock: int) -> int:
        """Where the next packet belongs after a switch or a pause: right behind the last one, but on the clock.

        Sources out of phase send up to a frame more than real time at each round of switches. Half a frame on both
        sides of the clock takes that up; what would lie further ahead is put back, since a gap would be heard.
        """
        if self.last is None:
            return clock
        natural = self.last + self.length
        if natural < clock - HALF:
            return clock
        if natural <= clock + HALF:
            return natural
        return max(self.last + 1, clock - HALF)

    def own(self, at: int, length: int) -> int:
        """Number a packet that we make ourselves."""
        self.sequence += 1
        self.last, self.length = at, length
        return self.sequence

    def relayed(
        self, relay: Relay, number: int, source_at: int, clock: int, length: int, event: bool
    ) -> tuple[int, int, bool] | None:
        """Sequence, position and whether it is the first after a switch; None for a packet from before the switch."""
        newer = number > relay.highest
        if relay.anchored and newer:
            back = not event and self.last is not None and source_at + relay.position <= self.last
            if back or number - relay.highest > 100:
                relay.anchored = False
        first = not relay.anchored
        if first:
            relay.anchored = True
            relay.first = number
            relay.number = self.sequence + 1 - number
            relay.position = self.start(clock) - source_at
            newer = True
        elif number < relay.first:
            return None
        sequence, at = number + relay.number, source_at + relay.position
        if newer:
            relay.highest = number
            self.sequence = sequence
            if self.last is None or at >= self.last:
                self.last, self.length = at, length
        return sequence, at, first
