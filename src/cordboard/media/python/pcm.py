"""A party without a socket: what it says is written, what it hears is read."""

from __future__ import annotations

from collections import deque
from threading import Lock

import numpy as np

from cordboard.media.face import TAP_RATE
from cordboard.media.python import g711
from cordboard.media.python.ear import Cord, Ear, Inbound, Player
from cordboard.media.python.g711 import Samples
from cordboard.media.python.record import Channel
from cordboard.media.python.resample import Resampler
from cordboard.media.python.session import Clocks, Notices
from cordboard.media.python.speech import Queue
from cordboard.media.python.tap import TapStream
from cordboard.media.python.timeline import FRAME, RATE

HEARD_LIMIT = 1.0
SAID_LIMIT = 1.0


class PcmVoice:
    """What the party says, as others hear it."""

    def __init__(self) -> None:
        self.ended = False
        self.frame: Samples | None = None

    def pull(self, tick: int) -> Samples | None:
        return self.frame

    def pull_encoded(self, codec: str, tick: int) -> bytes | None:
        return None if self.frame is None else g711.encode(codec, self.frame)


class PcmParty(Ear):
    def __init__(self, rate: int, clocks: Clocks, notices: Notices) -> None:
        super().__init__()
        self.rate = rate
        self._clocks = clocks
        self._notices = notices
        self.closed = False
        self.voice = PcmVoice()
        self.taps: list[TapStream] = []
        self.said_channels: list[Channel] = []
        self.heard_channels: list[Channel] = []
        self.said = Queue(TAP_RATE, SAID_LIMIT, drop_oldest=True)
        self._down = Resampler(TAP_RATE, RATE)
        self._up = Resampler(RATE, rate)
        self._lock = Lock()
        self._heard: deque[bytes] = deque()
        self._heard_octets = 0
        self._at: int | None = None

    def read(self) -> bytes:
        with self._lock:
            data = b"".join(self._heard)
            self._heard.clear()
            self._heard_octets = 0
            return data

    def speak(self, tick: int, now: float) -> None:
        """At the start of a tick, before anybody listens."""
        wide, _ = self.said.pull(tick)
        if wide is None:
            self.voice.frame = None
            return
        self.voice.frame = frame = self._down.feed(wide)
        for tap in self.taps:
            tap.frame(wide)
        at = self._clocks.position(now)
        for channel in self.said_channels:
            channel.write(at, frame)

    def tick(self, tick: int, now: float) -> None:
        self.listen_on_tick(tick, now)

    def switched(self) -> None:
        """Nothing to renumber."""

    def hear_packet(self, cord: Cord, inbound: Inbound, now: float) -> None:
        if not inbound.event:
            self._hear(inbound.pcm, now)

    def hear_player(self, player: Player, tick: int, now: float, first: bool) -> bool:
        pcm = player.pull(tick)
        if pcm is None:
            return False
        self._hear(pcm, now)
        return True

    def player_ended(self, cord: Cord) -> None:
        self._notices.ended(cord.source)

    def _hear(self, pcm: Samples, now: float) -> None:
        clock = self._clocks.position(now)
        at = self._at if self._at is not None and abs(self._at - clock) <= 5 * FRAME else clock
        self._at = at + len(pcm)
        for channel in self.heard_channels:
            channel.write(at, pcm)
        data = np.ascontiguousarray(self._up.feed(pcm)).tobytes()
        with self._lock:
            self._heard.append(data)
            self._heard_octets += len(data)
            while self._heard_octets > 2 * self.rate * HEARD_LIMIT:
                self._heard_octets -= len(self._heard.popleft())

    def close(self) -> None:
        self.closed = self.voice.ended = True
        self.voice.frame = None
        self.unplug()
        self.taps.clear()
        self.said_channels.clear()
        self.heard_channels.clear()
