"""Who hears whom: the one switch, and the late break. Shared by parties with RTP and parties without."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from cordboard.media.face import LATE_BREAK_MS, Cut
from cordboard.media.python import g711
from cordboard.media.python.g711 import Samples
from cordboard.media.python.timeline import Relay


class Player(Protocol):
    """A source that gives a frame of 20 ms at 8 kHz on each tick, or nothing."""

    @property
    def ended(self) -> bool: ...
    def pull(self, tick: int) -> Samples | None: ...
    def pull_encoded(self, codec: str, tick: int) -> bytes | None: ...


class Inbound:
    """A packet that a party may be heard by."""

    __slots__ = ("_pcm", "at", "codec", "event", "marker", "number", "payload")

    def __init__(self, codec: str, payload: bytes, number: int, at: int, marker: bool, event: bool) -> None:
        self.codec = codec
        self.payload = payload
        self.number = number  # extended sequence number, packets left out that cannot be relayed
        self.at = at
        self.marker = marker
        self.event = event
        self._pcm: Samples | None = None

    @property
    def pcm(self) -> Samples:
        if self._pcm is None:
            self._pcm = g711.decode(self.codec, self.payload)
        return self._pcm


class Listener(Protocol):
    def packet(self, source: PacketSource, inbound: Inbound, now: float) -> None: ...
    def source_closed(self, source: object) -> None: ...


class PacketSource:
    """A party whose audio comes in packets, and those who wait for them."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        if listener not in self.listeners:
            self.listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        if listener in self.listeners:
            self.listeners.remove(listener)


class Cord:
    """What is plugged: a player, or the packets of a party."""

    __slots__ = ("deadline", "player", "relay", "source")

    def __init__(self, source: object, player: Player | None, deadline: float) -> None:
        self.source = source
        self.player = player
        self.relay = Relay()
        self.deadline = deadline


class Ear(ABC):
    """What one party hears. At most two cords: the one that plays, and the one that waits for its first packet."""

    def __init__(self) -> None:
        self.cord: Cord | None = None
        self.waiting: Cord | None = None

    def plug(self, source: object | None, player: Player | None, cut: Cut, now: float) -> None:
        if source is None:
            self._drop_waiting()
            self._cut(None)
            return
        if self.waiting is not None and self.waiting.source is source:
            if cut == "now":
                self._cut_over()
            return
        self._drop_waiting()
        if self.cord is not None and self.cord.source is source:
            return
        cord = Cord(source, player, now + LATE_BREAK_MS / 1000)
        if isinstance(source, PacketSource):
            source.listen(self)
        if cut == "now" or self.cord is None:
            self._cut(cord)
        else:
            self.waiting = cord

    def packet(self, source: PacketSource, inbound: Inbound, now: float) -> None:
        if self.waiting is not None and self.waiting.source is source:
            self._cut_over()
        if self.cord is not None and self.cord.source is source:
            self.hear_packet(self.cord, inbound, now)

    def source_closed(self, source: object) -> None:
        if self.waiting is not None and self.waiting.source is source:
            self.waiting = None
        if self.cord is not None and self.cord.source is source:
            self.cord = None
            if self.waiting is not None:
                self._cut_over()
            self.switched()

    def listen_on_tick(self, tick: int, now: float) -> None:
        waiting = self.waiting
        if waiting is not None:
            if waiting.player is not None and self.hear_player(waiting.player, tick, now, first=True):
                self.waiting = None
                self._leave_for(waiting)
                return
            if now >= waiting.deadline:
                self._cut_over()
        cord = self.cord
        if cord is not None and cord.player is not None:
            self.hear_player(cord.player, tick, now, first=False)
            if cord.player.ended and cord is self.cord:
                self.cord = None
                self.switched()
                self.player_ended(cord)

    def unplug(self) -> None:
        self._drop_waiting()
        self._cut(None)

    def _drop_waiting(self) -> None:
        waiting, self.waiting = self.waiting, None
        self._leave(waiting)

    def _cut_over(self) -> None:
        cord, self.waiting = self.waiting, None
        self._cut(cord)

    def _cut(self, cord: Cord | None) -> None:
        self._leave_for(cord)
        self.switched()

    def _leave_for(self, cord: Cord | None) -> None:
        old, self.cord = self.cord, cord
        self._leave(old)

    def _leave(self, cord: Cord | None) -> None:
        if cord is None or not isinstance(cord.source, PacketSource):
            return
        if all(other is None or other.source is not cord.source for other in (self.cord, self.waiting)):
            cord.source.unlisten(self)

    @abstractmethod
    def switched(self) -> None:
        """Another cord, or none, plays from now on."""

    @abstractmethod
    def hear_packet(self, cord: Cord, inbound: Inbound, now: float) -> None: ...

    @abstractmethod
    def hear_player(self, player: Player, tick: int, now: float, first: bool) -> bool:
        """Play one frame, if the player has one. `first`: it has just been plugged in."""

    @abstractmethod
    def player_ended(self, cord: Cord) -> None: ...
