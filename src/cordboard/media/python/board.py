"""The board over the pure-Python engine: one thread with a selector, a clock of 20 ms, and two queues.

Commands come in by a queue and a descriptor that wakes the thread; events and tap frames go out by two lists and a
descriptor that wakes the loop. Without the thread (`threaded=False`) the same engine is driven step by step by whoever
calls `advance` and `arrived` with a clock of their own, which is how its tests run in virtual time.
"""

from __future__ import annotations

import logging
import os
import random
import selectors
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from os import PathLike
from threading import Lock, Thread
from typing import Literal, Protocol

from cordboard.media import face
from cordboard.media.face import (
    PCMA,
    PCMU,
    Address,
    BoardClosedError,
    BoardSettings,
    BoardStats,
    Codec,
    Event,
    Pcm,
    Recordable,
    Source,
)
from cordboard.media.python import rtp
from cordboard.media.python.clip import PythonClip
from cordboard.media.python.jack import (
    Party,
    PythonJack,
    PythonMix,
    PythonPcmJack,
    PythonRecordable,
    PythonRecording,
)
from cordboard.media.python.mix import Mixer
from cordboard.media.python.pcm import PcmParty
from cordboard.media.python.ports import Pair, PortRange
from cordboard.media.python.record import Tape, WavFile, Writer
from cordboard.media.python.resample import resample
from cordboard.media.python.session import Session
from cordboard.media.python.speech import PythonSay, samples
from cordboard.media.python.timeline import FRAME, RATE

log = logging.getLogger(__name__)

TICK = FRAME / RATE
DATAGRAMS_PER_WAKE_UP = 16  # of one socket
CATCH_UP = 10  # frames; what is later than that is left out
FRAMES_LIMIT = 100  # of each tap: two seconds
EVENTS_LIMIT = 100_000
HOUSE_KEEPING = 5  # ticks


class Ports(Protocol):
    def open(self) -> Pair: ...
    def release(self, port: int) -> None: ...
    @property
    def counts(self) -> tuple[int, int]: ...


class Signal:
    """A descriptor that is readable between `set` and `clear`."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._lock = Lock()
        self._is_set = False
        self._closed = False

    def fileno(self) -> int:
        return self._read

    def set(self) -> None:
        with self._lock:
            if not self._is_set and not self._closed:
                self._is_set = True
                os.write(self._write, b"\0")

    def clear(self) -> None:
        with self._lock:
            if self._is_set and not self._closed:
                self._is_set = False
                os.read(self._read, 16)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._read)
                os.close(self._write)


class _Voice:
    """Turns what a party tells into events of the face."""

    def __init__(self, board: PythonBoard, id: int) -> None:
        self._board = board
        self._id = id

    def pressed(self, digit: str, duration: int) -> None:
        if isinstance(jack := self._board.holders.get(self._id), PythonJack):
            self._board.emit(face.Dtmf(jack, digit, duration))

    def latched(self, remote: Address) -> None:
        if isinstance(jack := self._board.holders.get(self._id), PythonJack):
            self._board.emit(face.Latched(jack, remote))

    def silent(self, seconds: float) -> None:
        if isinstance(jack := self._board.holders.get(self._id), PythonJack):
            self._board.emit(face.Silent(jack, seconds))

    def ended(self, source: object) -> None:
        jack = self._board.holders.get(self._id)
        if jack is not None and isinstance(source, PythonClip):
            self._board.emit(face.Ended(jack, source))

    def marked(self, id: int) -> None:
        jack = self._board.holders.get(self._id)
        if jack is not None:
            self._board.emit(face.Mark(jack, id))


class PythonBoard:
    def __init__(
        self,
        settings: BoardSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        ports: Ports | None = None,
        chance: random.Random | None = None,
        threaded: bool = True,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._chance = chance or random.SystemRandom()
        self._ports = ports or PortRange(settings.ip, settings.ports, settings.quarantine, clock, self._chance)
        self._epoch = self.now = clock()
        self._wall_offset = wall() - self._epoch
        self._tick = 0
        self._closed = False
        self._commands: deque[Callable[[], None]] = deque()
        self._ids = count(1)
        self._tap_ids = count(1)
        self.holders: dict[int, PythonJack | PythonPcmJack] = {}
        self._sessions: dict[int, Session] = {}
        self._parties: dict[int, PcmParty] = {}
        self._pairs: dict[int, Pair] = {}
        self._mixers: set[Mixer] = set()
        self._recordings: set[PythonRecording] = set()
        self._clips: set[int] = set()
        self.tap_count = 0
        self._packets = [0, 0]
        self._ticks = self._late_ticks = self._skipped_ticks = 0
        self._dropped_frames = self._dropped_events = 0
        self._out_lock = Lock()
        self._fresh: list[tuple[int, bytes]] = []  # of this tick
        self._frames: deque[tuple[int, bytes]] = deque()
        self._events: deque[Event] = deque()
        self._ready = Signal()
        self._wake = Signal()
        self._writer = Writer()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._stopping = False
        self._thread: Thread | None = None
        if threaded:
            self._writer.start()
            self._thread = Thread(target=self._run, name="cordboard-media", daemon=True)
            self._thread.start()

    # --- the face ----------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Literal["c", "python"]:
        return "python"

    @property
    def notices(self) -> Sequence[str]:
        told = ["media: the Python engine serves; G.711 only, no SRTP"]
        if self.settings.rt_priority:
            told.append("media: the Python engine has no real-time priority")
        return told

    @property
    def codecs(self) -> Sequence[Codec]:
        return (PCMU, PCMA)

    @property
    def closed(self) -> bool:
        return self._closed

    def _check(self) -> None:
        if self._closed:
            raise BoardClosedError("the media board is closed")

    def jack(self, beside: face.Jack | None = None) -> PythonJack:
        self._check()
        pair = self._ports.open()
        id = next(self._ids)
        voice = _Voice(self, id)
        session = Session(
            pair.rtp,
            pair.rtcp,
            self,
            voice,
            self._chance,
            f"{self.settings.name}-{self._chance.getrandbits(64):016x}",
            self.settings.silent_after,
        )
        say = PythonSay(self.settings.say_limit, voice.marked)
        jack = self.holders[id] = PythonJack(self, id, session, say, (self.settings.ip, pair.port))

        def add() -> None:
            self._sessions[id], self._pairs[id] = session, pair
            if self._thread is not None:
                self._selector.register(pair.rtp, selectors.EVENT_READ, session.datagram)
                self._selector.register(pair.rtcp, selectors.EVENT_READ, session.report)

        self.submit(add)
        return jack

    def pcm_jack(self, rate: int = 16000) -> PythonPcmJack:
        self._check()
        if rate not in (8000, 16000, 24000, 48000):
            raise ValueError(f"a PCM jack has 8000, 16000, 24000 or 48000 Hz, not {rate}")
        id = next(self._ids)
        voice = _Voice(self, id)
        party = PcmParty(rate, self, voice)
        say = PythonSay(self.settings.say_limit, voice.marked)
        jack = self.holders[id] = PythonPcmJack(self, id, party, say)

        def add() -> None:
            self._parties[id] = party

        self.submit(add)
        return jack

    def clip(self, pcm16: Pcm, rate: int, loop: bool = True) -> PythonClip:
        self._check()
        if not 8000 <= rate <= 48000:
            raise ValueError(f"a clip has 8000 to 48000 Hz, not {rate}")
        pcm = samples(pcm16)
        if not 0 < len(pcm) <= self.settings.clip_limit * rate:
            raise ValueError(f"a clip lasts up to {self.settings.clip_limit} s, and is not empty")
        key = next(self._ids)
        self._clips.add(key)
        return PythonClip(resample(pcm, rate, RATE), loop, lambda: self._clips.discard(key))

    def mix(self) -> PythonMix:
        self._check()
        mix = PythonMix(self)
        self.submit(lambda: self._mixers.add(mix.mixer))
        return mix

    def record(
        self, path: str | PathLike[str], left: Recordable | None, right: Recordable | None, rate: int = RATE
    ) -> PythonRecording:
        self._check()
        if rate != RATE:
            raise ValueError(f"a recording has {RATE} Hz, not {rate}")
        sides: list[PythonRecordable | None] = []
        for side in (left, right):
            if side is not None and not isinstance(side, PythonRecordable):
                raise TypeError("a recording takes jack.said and jack.heard of its own board")
            sides.append(side)
        recording = PythonRecording(self, os.fspath(path))

        def add() -> None:
            tape = recording.tape = Tape(WavFile(recording.path), self._writer, self.position(self.now))
            self._recordings.add(recording)
            for index, side in enumerate(sides):
                if side is not None and not side.party.closed:
                    party = side.party
                    channels = party.said_channels if side.side == "said" else party.heard_channels
                    channels.append(tape.channel(index))

        self.submit(add)
        return recording

    def fileno(self) -> int:
        return self._ready.fileno()

    def frames(self) -> tuple[array[int], memoryview]:
        with self._out_lock:
            frames = list(self._frames)
            self._frames.clear()
            self._clear_if_empty()
        ids = array("i", [id for id, _ in frames])
        return ids, memoryview(b"".join(data for _, data in frames)).cast("h")

    def events(self) -> list[Event]:
        with self._out_lock:
            events = list(self._events)
            self._events.clear()
            self._clear_if_empty()
        return events

    def _clear_if_empty(self) -> None:
        if not self._frames and not self._events:
            self._ready.clear()

    def stats(self) -> BoardStats:
        open_ports, held_ports = self._ports.counts
        return BoardStats(
            jacks=len(self._sessions),
            pcm_jacks=len(self._parties),
            clips=len(self._clips),
            taps=self.tap_count,
            mixes=len(self._mixers),
            recordings=len(self._recordings),
            ports_open=open_ports,
            ports_quarantined=held_ports,
            packets_in=self._packets[0] + sum(each.count.packets_in for each in list(self._sessions.values())),
            packets_out=self._packets[1] + sum(each.count.packets_out for each in list(self._sessions.values())),
            ticks=self._ticks,
            late_ticks=self._late_ticks,
            skipped_ticks=self._skipped_ticks,
            dropped_frames=self._dropped_frames,
            dropped_events=self._dropped_events,
        )

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.submit(self._end)
        if self._thread is None:
            self.advance(self.clock())
        else:
            self._thread.join(1.0)
        self._writer.stop(1.0)
        if self._thread is None or not self._thread.is_alive():
            self._selector.close()
            self._wake.close()
            self._ready.close()

    # --- for the faces of jacks, on the users' thread ---

    def submit(self, command: Callable[[], None]) -> None:
        """To be done by the engine, in order."""
        self._commands.append(command)
        self._wake.set()

    def next_tap(self) -> int:
        return next(self._tap_ids)

    def inner(self, source: Source) -> object:
        """The engine's object for a source of the face."""
        if isinstance(source, PythonJack | PythonPcmJack) and source.board is self:
            return source.party
        if isinstance(source, PythonMix) and source.board is self:
            return source.mixer
        if isinstance(source, PythonClip | PythonSay):
            return source
        raise TypeError(f"{type(source).__name__} is no source of this board")

    # --- the engine, on its own thread --------------------------------------------------------------------------------

    def position(self, now: float) -> int:
        return round((now - self._epoch) * RATE)

    def wall(self, now: float) -> float:
        return now + self._wall_offset

    def alive(self, source: object) -> bool:
        if isinstance(source, Session | PcmParty):
            return not source.closed
        return source in self._mixers if isinstance(source, Mixer) else True

    def emit(self, event: Event) -> None:
        """From any thread."""
        with self._out_lock:
            if len(self._events) >= EVENTS_LIMIT:
                self._events.popleft()
                self._dropped_events += 1
            self._events.append(event)
            self._ready.set()

    def collect(self, tap: int, data: bytes) -> None:
        self._fresh.append((tap, data))

    def arrived(self, receive: Callable[[bytes, Address, float], None], data: bytes, sender: Address) -> None:
        """A datagram, for `session.datagram` or `session.report`."""
        self.now = self.clock()
        receive(data, sender, self.now)

    def run_commands(self) -> None:
        commands = self._commands
        while commands:
            command = commands.popleft()
            try:
                command()
            except Exception:  # one fault must not silence every other call
                log.exception("a media command failed")

    def advance(self, now: float) -> None:
        """Do what has been asked for, and every frame of the clock that is due at `now`."""
        self.now = now
        self.run_commands()
        due = int((now - self._epoch) / TICK + 1e-6)
        if due - self._tick > CATCH_UP:
            self._skipped_ticks += due - self._tick - 1
            self._tick = due - 1
        while self._tick < due:
            self._tick += 1
            self._one_tick(self._tick, self._epoch + self._tick * TICK, now)
            if self._fresh:
                self._publish()

    def next_tick(self) -> float:
        return self._epoch + (self._tick + 1) * TICK

    def _one_tick(self, tick: int, nominal: float, now: float) -> None:
        self._ticks += 1
        if now - nominal > 0.005:
            self._late_ticks += 1
        for party in self._parties.values():
            party.speak(tick, nominal)
        for party in self._parties.values():
            party.tick(tick, nominal)
        for session in self._sessions.values():
            session.tick(tick, nominal)
        if tick % HOUSE_KEEPING == 0:
            for session in self._sessions.values():
                session.house_keeping(now)
        if tick % 25 == 0:
            clock = self.position(nominal)
            for recording in self._recordings:
                if recording.tape is not None:
                    recording.tape.flush(clock)

    def _publish(self) -> None:
        with self._out_lock:
            self._frames.extend(self._fresh)
            limit = FRAMES_LIMIT * max(1, self.tap_count)
            while len(self._frames) > limit:
                self._frames.popleft()
                self._dropped_frames += 1
            self._ready.set()
        self._fresh.clear()

    def remove(self, id: int) -> None:
        holder = self.holders.pop(id, None)
        if holder is None:
            return
        party = holder.party
        self.tap_count -= len(party.taps)
        if isinstance(party, Session):
            party.close(self.now)
            self._packets[0] += party.count.packets_in
            self._packets[1] += party.count.packets_out
            del self._sessions[id]
            pair = self._pairs.pop(id)
            if self._thread is not None:
                self._selector.unregister(pair.rtp)
                self._selector.unregister(pair.rtcp)
            pair.close()
            self._ports.release(pair.port)
        else:
            party.close()
            del self._parties[id]
        for mixer in self._mixers:
            mixer.remove(party)
            mixer.remove(holder.say)

    def remove_mixer(self, mixer: Mixer) -> None:
        self._mixers.discard(mixer)
        mixer.close()

    def finish(self, recording: PythonRecording) -> None:
        tape = recording.tape
        if recording not in self._recordings or tape is None:
            return
        self._recordings.discard(recording)
        parties: tuple[Party, ...] = (*self._sessions.values(), *self._parties.values())
        for party in parties:
            for channels in (party.said_channels, party.heard_channels):
                channels[:] = [channel for channel in channels if channel.tape is not tape]
        tape.close(
            self.position(self.now),
            lambda seconds, error: self.emit(face.Recorded(recording, recording.path, seconds, error)),
        )

    def _end(self) -> None:
        for recording in tuple(self._recordings):
            self.finish(recording)
        for id in tuple(self.holders):
            self.remove(id)
        for mixer in tuple(self._mixers):
            self.remove_mixer(mixer)
        self._clips.clear()
        self._stopping = True

    def _run(self) -> None:
        buffer = rtp.MAX_DATAGRAM
        while not self._stopping:
            timeout = max(0.0, self.next_tick() - self.clock())
            for key, _ in self._selector.select(timeout):
                if key.data is None:
                    self._wake.clear()
                    continue
                for _ in range(DATAGRAMS_PER_WAKE_UP):
                    try:
                        data, sender = key.fileobj.recvfrom(buffer)  # type: ignore[union-attr]
                    except BlockingIOError:
                        break
                    except OSError:
                        continue  # an ICMP error of something sent before, or closed by a command
                    if self._commands:  # what was asked for before a packet was sent holds for that packet
                        self.now = self.clock()
                        self.run_commands()
                    try:
                        self.arrived(key.data, data, sender[:2])
                    except Exception:
                        log.exception("a datagram could not be handled")
            try:
                self.advance(self.clock())
            except Exception:
                log.exception("a frame of the media clock failed")
