"""Several voices at once, each ear without its own."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from cordboard.media.python import g711
from cordboard.media.python.clip import ClipPlayer, PythonClip
from cordboard.media.python.ear import Inbound, PacketSource, Player
from cordboard.media.python.g711 import Samples
from cordboard.media.python.speech import PythonSay
from cordboard.media.python.timeline import FRAME

BUFFER_START = 2 * FRAME  # a party's RTP is held this long before it is mixed
BUFFER_LIMIT = 6 * FRAME
_SILENCE: Samples = np.zeros(FRAME, dtype=np.int16)


class _Buffer:
    """A party's packets, evened out: 40 ms at the start and after a pause, 120 ms at most."""

    def __init__(self) -> None:
        self._pieces: deque[Samples] = deque()
        self._queued = 0
        self._playing = False

    def packet(self, source: PacketSource, inbound: Inbound, now: float) -> None:
        if inbound.event:
            return
        self._pieces.append(inbound.pcm)
        self._queued += len(inbound.pcm)
        while self._queued > BUFFER_LIMIT and len(self._pieces) > 1:
            self._queued -= len(self._pieces.popleft())

    def source_closed(self, source: object) -> None:
        self._pieces.clear()
        self._queued = 0

    def pull(self) -> Samples | None:
        if not self._queued or (not self._playing and self._queued < BUFFER_START):
            self._playing = False
            return None
        self._playing = True
        pcm = self._pieces[0] if len(self._pieces[0]) == FRAME else np.concatenate(tuple(self._pieces))
        if len(pcm) == FRAME:
            self._queued -= FRAME
            self._pieces.popleft()
            return pcm
        self._pieces.clear()
        rest = pcm[FRAME:]
        if len(rest):
            self._pieces.append(rest)
        self._queued = len(rest)
        pcm = pcm[:FRAME]
        return pcm if len(pcm) == FRAME else np.concatenate((pcm, _SILENCE[len(pcm) :]))


class _Member:
    def __init__(self, source: object, gain: float, player: Player | None) -> None:
        self.gain = gain
        self.player = player
        self.buffer: _Buffer | None = None
        if isinstance(source, PacketSource):
            self.buffer = _Buffer()
            source.listen(self.buffer)

    def pull(self, tick: int) -> Samples | None:
        if self.buffer is not None:
            return self.buffer.pull()
        return self.player.pull(tick) if self.player is not None else None


class Mixer:
    """Computed once per tick, for all who hear it. It speaks as long as it has members, silence included, so that
    nobody in a conference hears the line go dead."""

    def __init__(self) -> None:
        self._members: dict[object, _Member] = {}
        self.closed = False
        self._tick = -1
        self._sum: NDArray[np.int32] = np.zeros(FRAME, dtype=np.int32)
        self._parts: dict[object, NDArray[np.int32]] = {}

    def add(self, source: object, player: Player | None, gain: float) -> None:
        member = self._members.get(source)
        if member is not None:
            member.gain = gain
        else:
            self._members[source] = _Member(source, gain, player)

    def remove(self, source: object) -> None:
        member = self._members.pop(source, None)
        if member is not None and member.buffer is not None and isinstance(source, PacketSource):
            source.unlisten(member.buffer)

    def close(self) -> None:
        self.closed = True
        for source in tuple(self._members):
            self.remove(source)

    def pull(self, tick: int, without: object) -> Samples | None:
        if tick != self._tick:
            self._mix(tick)
        if not self._members:
            return None
        own = self._parts.get(without)
        total = self._sum if own is None else self._sum - own
        return np.clip(total, -32768, 32767).astype(np.int16)

    def _mix(self, tick: int) -> None:
        self._tick = tick
        self._sum = np.zeros(FRAME, dtype=np.int32)
        self._parts.clear()
        for source, member in self._members.items():
            pcm = member.pull(tick)
            if pcm is None:
                continue
            part = pcm.astype(np.int32) if member.gain == 1.0 else np.rint(pcm * member.gain).astype(np.int32)
            self._parts[source] = part
            self._sum += part


class MixPlayer:
    """The mix as one party hears it."""

    def __init__(self, mixer: Mixer, listener: object) -> None:
        self._mixer = mixer
        self._listener = listener

    @property
    def ended(self) -> bool:
        return self._mixer.closed

    def pull(self, tick: int) -> Samples | None:
        return self._mixer.pull(tick, self._listener)

    def pull_encoded(self, codec: str, tick: int) -> bytes | None:
        frame = self.pull(tick)
        return None if frame is None else g711.encode(codec, frame)


def player_of(source: object, listener: object) -> Player | None:
    """What gives frames for a source of the engine; None for a party whose audio comes in packets."""
    if isinstance(source, PacketSource):
        return None
    if isinstance(source, PythonClip):
        return ClipPlayer(source)
    if isinstance(source, Mixer):
        return MixPlayer(source, listener)
    if isinstance(source, PythonSay):
        return source
    from cordboard.media.python.pcm import PcmParty

    assert isinstance(source, PcmParty)
    return source.voice
