"""The board over the C engine: the face of `cordboard.media.face`, one call of `engine/engine.h` for each command.

Nothing here decides anything. Every call into the engine gives up the GIL and takes microseconds; what the engine has
to tell waits in its outbox until `events()` and `frames()` fetch it.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Literal
from weakref import WeakValueDictionary

from cordboard.media._engine import ffi, lib
from cordboard.media.face import (
    FRAME_MS,
    G722,
    OPUS,
    PCMA,
    PCMU,
    TAP_RATE,
    TAP_SAMPLES,
    Address,
    BoardClosedError,
    BoardSettings,
    BoardStats,
    Codec,
    CodecLike,
    Cut,
    Direction,
    Dtmf,
    Ended,
    Event,
    JackClosedError,
    JackStats,
    KeyPair,
    Keys,
    Latched,
    Mark,
    MediaError,
    NoPortError,
    NotNegotiatedError,
    Pcm,
    Recordable,
    Recorded,
    Silent,
    UnsupportedCodecError,
)

_CODECS = {
    ("PCMU", 8000): lib.PCMU,
    ("PCMA", 8000): lib.PCMA,
    ("G722", 8000): lib.G722,
    ("OPUS", 48000): lib.OPUS,
    ("CN", 8000): lib.COMFORT_NOISE,
}
_DIRECTIONS = {"inactive": lib.INACTIVE, "sendonly": lib.SENDONLY, "recvonly": lib.RECVONLY, "sendrecv": lib.SENDRECV}
_SUITES = {"AES_CM_128_HMAC_SHA1_80": 1, "AES_CM_128_HMAC_SHA1_32": 2}
_KEY_SALT = 30
_PORTS = (20000, 60999)
_EVENTS = 256
_OTHER_THREAD = "the two are served by different engine threads; open one beside the other"


def _failed(code: int, codec: str = "") -> MediaError | ValueError | OSError:
    if code == lib.NO_PORT:
        return NoPortError("every media port is taken or held back after its last use")
    if code == lib.BAD_ARGUMENT:
        return ValueError("the media engine does not take this")
    if code == lib.NO_CODEC_FOR_IT:
        return UnsupportedCodecError(codec)
    if code == lib.NO_SRTP:
        return UnsupportedCodecError("SRTP")
    if code == lib.NO_EVENTS:
        return NotNegotiatedError("the far end takes no telephone-event")
    if code == lib.OTHER_THREAD:
        return MediaError(_OTHER_THREAD)
    if code == lib.SYSTEM:
        return MediaError("the system refuses more sockets or threads")
    return MediaError("the media engine has no memory left")


def _samples(pcm16: Pcm) -> tuple[Any, int]:
    view = memoryview(pcm16).cast("B")
    if len(view) % 2:
        raise ValueError("PCM is 16 bits a sample: an even number of octets")
    return ffi.from_buffer("int16_t[]", view), len(view) // 2


def _codec(codec: CodecLike) -> int:
    if codec.name.lower() == "telephone-event":
        return int(lib.TELEPHONE_EVENT)
    known = _CODECS.get((codec.name.upper(), codec.clock_rate))
    if known is None or (known == lib.OPUS and not lib.board_has(known)):
        raise UnsupportedCodecError(codec.name)
    return int(known)


class NativeClip:
    def __init__(self, board: NativeBoard, pcm16: Pcm, rate: int, loop: bool) -> None:
        data, count = _samples(pcm16)
        failure = ffi.new("int *")
        self._loop = loop
        self._duration_ms = count * 1000 // rate
        self.board = board
        self.handle = lib.clip_open(board.handle, data, count, rate, loop, failure)
        if not self.handle:
            raise _failed(failure[0])
        self.id = int(lib.clip_id(self.handle))
        board.clips[self.id] = self

    @property
    def loop(self) -> bool:
        return self._loop

    @property
    def duration_ms(self) -> int:
        return self._duration_ms

    def close(self) -> None:
        if self.handle:
            handle, self.handle = self.handle, None
            if self.board.handle:
                lib.clip_close(handle)


class NativeSay:
    def __init__(self, jack: _Jack) -> None:
        self.jack = jack

    @property
    def queued_ms(self) -> float:
        return float(lib.say_queued(self.jack.handle)) if self.jack.handle else 0.0

    def write(self, pcm16: Pcm, rate: int) -> float:
        if not 4000 <= rate <= 192000:
            raise ValueError(f"a sample rate of {rate} Hz")
        data, count = _samples(pcm16)
        if not self.jack.handle:
            return 0.0
        queued = float(lib.say_write(self.jack.handle, data, count, rate))
        if queued == lib.FULL:
            raise MediaError(f"more than {self.jack.board.settings.say_limit:g} s of speech are queued")
        if queued < 0:
            raise _failed(int(queued))
        return queued

    def mark(self, id: int) -> None:
        if self.jack.handle:
            lib.say_mark(self.jack.handle, id)

    def flush(self) -> float:
        return float(lib.say_flush(self.jack.handle)) if self.jack.handle else 0.0


class NativeRecordable:
    def __init__(self, jack: _Jack, side: Literal["said", "heard"]) -> None:
        self.jack = jack
        self._side: Literal["said", "heard"] = side

    @property
    def side(self) -> Literal["said", "heard"]:
        return self._side


class NativeTap:
    def __init__(self, jack: _Jack) -> None:
        failure = ffi.new("int *")
        self._board = jack.board
        self._handle = lib.tap_open(jack.handle, failure)
        if not self._handle:
            raise _failed(failure[0])
        self._id = int(lib.tap_id(self._handle))
        self._board.taps[self._id] = self

    @property
    def id(self) -> int:
        return self._id

    def close(self) -> None:
        if self._handle:
            handle, self._handle = self._handle, None
            self._board.taps.pop(self._id, None)
            if self._board.handle:
                lib.tap_close(handle)


class _Jack:
    """What a jack with a socket and a jack without one share."""

    def __init__(self, board: NativeBoard, handle: Any) -> None:
        self.board = board
        self.handle = handle
        self._id = int(lib.jack_id(handle))
        self._say = NativeSay(self)
        self._said = NativeRecordable(self, "said")
        self._heard = NativeRecordable(self, "heard")
        board.jacks[self._id] = self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id}>"

    @property
    def id(self) -> int:
        return self._id

    @property
    def closed(self) -> bool:
        return self.handle is None

    @property
    def say(self) -> NativeSay:
        return self._say

    @property
    def said(self) -> NativeRecordable:
        return self._said

    @property
    def heard(self) -> NativeRecordable:
        return self._heard

    def _check(self) -> None:
        if not self.handle:
            raise JackClosedError(f"jack {self._id} is closed")

    def hears(self, source: object, cut: Cut = "late") -> None:
        self._check()
        if cut not in ("late", "now"):
            raise ValueError(f"cut is late or now, not {cut!r}")
        at_once = cut == "now"
        if not self.board.has(source):  # nothing, or something that is closed
            lib.jack_hears_nothing(self.handle)
            return
        if isinstance(source, NativeSay):
            result = lib.jack_hears_say(self.handle, source.jack.handle, at_once)
        elif isinstance(source, NativeClip):
            result = lib.jack_hears_clip(self.handle, source.handle, at_once)
        elif isinstance(source, NativeMix):
            result = lib.jack_hears_mix(self.handle, source.handle, at_once)
        else:
            assert isinstance(source, _Jack)
            result = lib.jack_hears_jack(self.handle, source.handle, at_once)
        if result < 0:
            raise _failed(result)

    def tap(self, rate: int = TAP_RATE) -> NativeTap:
        self._check()
        if rate != TAP_RATE:
            raise ValueError(f"a tap has {TAP_RATE} Hz, not {rate}")
        return NativeTap(self)

    def close(self) -> None:
        if self.handle:
            handle, self.handle = self.handle, None
            self.board.forget(self._id)
            if self.board.handle:
                lib.jack_close(handle)


class NativeJack(_Jack):
    def __init__(self, board: NativeBoard, handle: Any) -> None:
        super().__init__(board, handle)
        self._port = int(lib.jack_port(handle))
        self._keys: tuple[Keys, ...] | None = None

    @property
    def address(self) -> str:
        return self.board.settings.ip

    @property
    def port(self) -> int:
        return self._port

    @property
    def keys(self) -> tuple[Keys, ...]:
        if self._keys is None:  # RFC 4568 §6.1: unique for every session
            suites = _SUITES if lib.board_has_srtp() else ()
            self._keys = tuple(Keys(suite, os.urandom(_KEY_SALT), tag) for tag, suite in enumerate(suites, 1))
        return self._keys

    def negotiated(
        self,
        *,
        receive: Mapping[int, CodecLike],
        send: int,
        remote: Address,
        ptime: int = FRAME_MS,
        direction: Direction = "sendrecv",
        dtmf: int | None = None,
        send_codec: CodecLike | None = None,
        rtcp: Address | None = None,
        rtcp_mux: bool = False,
        keys: KeyPair | None = None,
    ) -> None:
        self._check()
        if not 10 <= ptime <= 60:
            raise ValueError(f"ptime {ptime}: 10 to 60 ms")
        if direction not in _DIRECTIONS:
            raise ValueError(f"direction {direction!r}")
        for payload_type in (*receive, send, *(() if dtmf is None else (dtmf,))):
            if not 0 <= payload_type <= 127:
                raise ValueError(f"payload type {payload_type}: 0 to 127")
        sending = send_codec or receive.get(send)
        if sending is None:
            raise ValueError(f"payload type {send} is to be sent and its codec is not known")
        terms = ffi.new("struct terms *")
        for payload_type, codec in receive.items():
            terms.receive[payload_type] = _codec(codec)
        terms.send, terms.send_codec = send, _codec(sending)
        if terms.send_codec > lib.OPUS:
            raise UnsupportedCodecError(sending.name)
        terms.dtmf = -1 if dtmf is None else dtmf
        terms.ptime, terms.direction = ptime, _DIRECTIONS[direction]
        host = ffi.new("char[]", self._host(remote))
        terms.host, terms.port = host, remote[1]
        if rtcp is not None:
            rtcp_host = ffi.new("char[]", self._host(rtcp))
            terms.rtcp_host, terms.rtcp_port = rtcp_host, rtcp[1]
        terms.rtcp_mux = rtcp_mux
        if keys is not None:
            self._set_keys(terms, keys)
        result = lib.jack_negotiated(self.handle, terms)
        if result < 0:
            raise _failed(result, sending.name)

    def _host(self, address: Address) -> bytes:
        ip, port = ip_address(address[0]), address[1]
        if not 0 <= port <= 65535:
            raise ValueError(f"port {port}")
        if ip.is_unspecified:
            return b"0.0.0.0" if ip_address(self.board.settings.ip).version == 4 else b"::"
        return ip.compressed.encode()

    @staticmethod
    def _set_keys(terms: Any, keys: KeyPair) -> None:
        suite = _SUITES.get(keys.send.suite)
        if suite is None or keys.receive.suite != keys.send.suite:
            raise UnsupportedCodecError(keys.send.suite)
        if len(keys.send.key_salt) != _KEY_SALT or len(keys.receive.key_salt) != _KEY_SALT:
            raise ValueError(f"an SDES key and salt have {_KEY_SALT} octets")
        terms.suite = suite
        ffi.memmove(terms.send_key, keys.send.key_salt, _KEY_SALT)
        ffi.memmove(terms.receive_key, keys.receive.key_salt, _KEY_SALT)

    def send_dtmf(self, digits: str, duration_ms: int = 100, gap_ms: int = 80) -> None:
        self._check()
        if not (40 <= duration_ms <= 6000 and 0 <= gap_ms <= 6000):
            raise ValueError("a key lasts 40 to 6000 ms, the gap behind it up to 6000 ms")
        if not digits.isascii() or "\0" in digits:
            raise ValueError("keys are 0-9, *, #, A-D, w and W")
        result = lib.jack_send_dtmf(self.handle, digits.encode(), duration_ms, gap_ms)
        if result == lib.FULL:
            raise ValueError("more than 64 keys are waiting")
        if result == lib.BAD_ARGUMENT:
            raise ValueError("keys are 0-9, *, #, A-D, w and W")
        if result < 0:
            raise _failed(result)

    def silent_after(self, seconds: float | None) -> None:
        if self.handle:
            lib.jack_silent_after(self.handle, seconds or 0.0)

    def stats(self) -> JackStats:
        if not self.handle:
            return JackStats()
        s = ffi.new("struct jack_stats *")
        lib.jack_read_stats(self.handle, s)

        def age(moment: int) -> float | None:
            return (s.now - moment) / 1e6 if moment else None

        return JackStats(
            packets_in=s.packets_in,
            octets_in=s.octets_in,
            packets_out=s.packets_out,
            octets_out=s.octets_out,
            lost=s.lost,
            duplicates=s.duplicates,
            reordered=s.reordered,
            rejected=s.rejected,
            malformed=s.malformed,
            held_back=s.held_back,
            jitter_ms=s.jitter_ms,
            first_received_at=s.first_received / 1e9 if s.first_received else None,
            last_received_age_ms=age(s.last_received),
            remote=(ffi.string(s.host).decode(), s.port) if s.port else None,
            latched=bool(s.latched),
            ssrc_in=s.ssrc_in if s.has_ssrc_in else None,
            ssrc_out=s.ssrc_out,
            rtcp_in=s.rtcp_in,
            rtcp_out=s.rtcp_out,
            rtcp_seen=bool(s.rtcp_seen),
            last_rtcp_age_ms=age(s.last_rtcp),
            round_trip_ms=s.round_trip_ms if s.round_trip_ms >= 0 else None,
            remote_lost=s.remote_lost if s.remote_lost >= 0 else None,
            mos=s.mos if s.mos >= 0 else None,
            dtmf_in=s.dtmf_in,
            dtmf_out=s.dtmf_out,
            largest_gap_out_ms=s.largest_gap_out_ms,
            unsent_ms=s.unsent_ms,
        )


class NativePcmJack(_Jack):
    def __init__(self, board: NativeBoard, handle: Any, rate: int) -> None:
        super().__init__(board, handle)
        self._rate = rate
        self._buffer = ffi.new("int16_t[]", rate)

    @property
    def rate(self) -> int:
        return self._rate

    def write(self, pcm16: Pcm) -> float:
        data, count = _samples(pcm16)
        return float(lib.jack_write(self.handle, data, count)) if self.handle else 0.0

    def read(self) -> bytes:
        if not self.handle:
            return b""
        count = lib.jack_read(self.handle, self._buffer, self._rate)
        return bytes(ffi.buffer(self._buffer, count * 2))


class NativeMix:
    def __init__(self, board: NativeBoard) -> None:
        failure = ffi.new("int *")
        self.board = board
        self.handle = lib.mix_open(board.handle, failure)
        if not self.handle:
            raise _failed(failure[0])
        board.mixes.add(self)

    def add(self, source: object, gain: float = 1.0) -> None:
        if isinstance(source, NativeMix):
            raise ValueError("a mix takes no other mix")
        if not 0.0 <= gain <= 16.0:
            raise ValueError(f"gain {gain}: 0 to 16")
        if not self.handle or not self.board.has(source):
            return
        if isinstance(source, NativeSay):
            result = lib.mix_add_say(self.handle, source.jack.handle, gain)
        elif isinstance(source, NativeClip):
            result = lib.mix_add_clip(self.handle, source.handle, gain)
        else:
            assert isinstance(source, _Jack)
            result = lib.mix_add_jack(self.handle, source.handle, gain)
        if result < 0:
            raise _failed(result)

    def remove(self, source: object) -> None:
        if not self.handle or not self.board.has(source):
            return
        if isinstance(source, NativeSay):
            lib.mix_remove_say(self.handle, source.jack.handle)
        elif isinstance(source, NativeClip):
            lib.mix_remove_clip(self.handle, source.handle)
        elif isinstance(source, _Jack):
            lib.mix_remove_jack(self.handle, source.handle)

    def close(self) -> None:
        if self.handle:
            handle, self.handle = self.handle, None
            self.board.mixes.discard(self)
            if self.board.handle:
                lib.mix_close(handle)


class NativeRecording:
    def __init__(self, board: NativeBoard, path: str, left: Recordable | None, right: Recordable | None) -> None:
        failure = ffi.new("int *")
        sides = [_side(side) for side in (left, right)]
        self._board = board
        self._path = path
        self._paused = False
        self._handle = lib.recording_open(board.handle, os.fsencode(path), *sides[0], *sides[1], failure)
        if not self._handle:
            raise _failed(failure[0])
        self.id = int(lib.recording_id(self._handle))

    @property
    def path(self) -> str:
        return self._path

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self) -> None:
        self._turn(True)

    def resume(self) -> None:
        self._turn(False)

    def _turn(self, paused: bool) -> None:
        if self._handle and self._board.handle:
            self._paused = paused
            lib.recording_pause(self._handle, paused)

    def close(self) -> None:
        if self._handle:
            handle, self._handle = self._handle, None
            if self._board.handle:
                lib.recording_close(handle)

    def over(self) -> None:
        """The engine has closed it."""
        self._handle = None


def _side(side: Recordable | None) -> tuple[Any, bool]:
    if side is None:
        return ffi.NULL, False
    if not isinstance(side, NativeRecordable):
        raise TypeError("a recording takes jack.said and jack.heard of its own board")
    return side.jack.handle or ffi.NULL, side.side == "heard"


class NativeBoard:
    def __init__(self, settings: BoardSettings) -> None:
        self.settings = settings
        self.handle: Any = None
        low, high = settings.ports if settings.ports != (0, 0) else _PORTS
        if not (0 < low < high <= 65535):
            raise ValueError(f"ports {settings.ports}: lowest and highest, of 1 to 65535")
        self._name = ffi.new("char[]", settings.name.encode()[:40])
        self._ip = ffi.new("char[]", ip_address(settings.ip).compressed.encode())
        given = ffi.new("struct board_settings *")
        given.ip, given.name = self._ip, self._name
        given.low_port, given.high_port = low, high
        given.threads, given.rt_priority = settings.threads, settings.rt_priority
        given.quarantine, given.silent_after = settings.quarantine, settings.silent_after or 0.0
        given.say_limit = settings.say_limit
        failure = ffi.new("int *")
        handle = lib.board_open(given, failure)
        if not handle:
            raise _failed(failure[0])
        self.handle = handle
        self.jacks: dict[int, _Jack] = {}
        self.clips: WeakValueDictionary[int, NativeClip] = WeakValueDictionary()
        self.taps: dict[int, NativeTap] = {}
        self.mixes: set[NativeMix] = set()
        self._recordings: dict[int, NativeRecording] = {}
        self._gone: WeakValueDictionary[int, _Jack] = WeakValueDictionary()  # closed, and events of theirs may wait
        self._buffer = ffi.new("struct event[]", _EVENTS)
        self._ids, self._pcm = ffi.new("int32_t **"), ffi.new("int16_t **")
        self._left: list[Event] = []
        self._fileno = int(lib.board_fileno(handle))
        self._notices = self._tell(settings)

    def _tell(self, settings: BoardSettings) -> list[str]:
        told = ["media: the C engine serves"]
        if not lib.board_has_srtp():
            told.append("media: libcrypto is not found; SRTP is not offered")
        if not lib.board_has(lib.OPUS):
            told.append("media: libopus is not found; Opus is not offered")
        if settings.rt_priority and not lib.board_has_priority(self.handle):
            told.append("media: real-time priority is not permitted; the engine runs at the normal one")
        return told

    @property
    def engine(self) -> Literal["c", "python"]:
        return "c"

    @property
    def notices(self) -> Sequence[str]:
        return self._notices

    @property
    def codecs(self) -> Sequence[Codec]:
        return (*((OPUS,) if lib.board_has(lib.OPUS) else ()), G722, PCMU, PCMA)

    @property
    def closed(self) -> bool:
        return self.handle is None

    def _check(self) -> None:
        if not self.handle:
            raise BoardClosedError("the media board is closed")

    def has(self, source: object) -> bool:
        """Whether a source is this board's and open; anything that is no source at all raises TypeError."""
        if source is None:
            return False
        holder = source.jack if isinstance(source, NativeSay) else source
        if not isinstance(holder, _Jack | NativeClip | NativeMix) or holder.board is not self:
            raise TypeError(f"{type(source).__name__} is no source of this board")
        return holder.handle is not None

    def forget(self, id: int) -> None:
        jack = self.jacks.pop(id, None)
        if jack is not None:
            self._gone[id] = jack

    def jack(self, beside: object = None) -> NativeJack:
        self._check()
        failure = ffi.new("int *")
        neighbour = beside.handle if isinstance(beside, _Jack) and beside.handle else ffi.NULL
        handle = lib.jack_open(self.handle, neighbour, failure)
        if not handle:
            raise _failed(failure[0])
        return NativeJack(self, handle)

    def pcm_jack(self, rate: int = 16000) -> NativePcmJack:
        self._check()
        if rate not in (8000, 16000, 24000, 48000):
            raise ValueError(f"a PCM jack has 8000, 16000, 24000 or 48000 Hz, not {rate}")
        failure = ffi.new("int *")
        handle = lib.jack_open_pcm(self.handle, rate, failure)
        if not handle:
            raise _failed(failure[0])
        return NativePcmJack(self, handle, rate)

    def clip(self, pcm16: Pcm, rate: int, loop: bool = True) -> NativeClip:
        self._check()
        if not 8000 <= rate <= 48000:
            raise ValueError(f"a clip has 8000 to 48000 Hz, not {rate}")
        if not 0 < len(memoryview(pcm16).cast("B")) // 2 <= self.settings.clip_limit * rate:
            raise ValueError(f"a clip lasts up to {self.settings.clip_limit} s, and is not empty")
        return NativeClip(self, pcm16, rate, loop)

    def mix(self) -> NativeMix:
        self._check()
        return NativeMix(self)

    def record(
        self, path: str | os.PathLike[str], left: Recordable | None, right: Recordable | None, rate: int = 8000
    ) -> NativeRecording:
        self._check()
        if rate != 8000:
            raise ValueError(f"a recording has 8000 Hz, not {rate}")
        recording = NativeRecording(self, os.fspath(path), left, right)
        self._recordings[recording.id] = recording
        return recording

    def fileno(self) -> int:
        return self._fileno

    def frames(self) -> tuple[array[int], memoryview]:
        if not self.handle:
            return array("i"), memoryview(b"").cast("h")
        count = lib.board_frames(self.handle, self._ids, self._pcm)
        ids = array("i")
        if not count:
            return ids, memoryview(b"").cast("h")
        ids.frombytes(ffi.buffer(self._ids[0], count * 4))
        return ids, memoryview(ffi.buffer(self._pcm[0], count * TAP_SAMPLES * 2)).cast("B").cast("h")

    def events(self) -> list[Event]:
        told, self._left = self._left, []
        while self.handle:
            count = lib.board_events(self.handle, self._buffer, _EVENTS)
            told += [event for i in range(count) if (event := self._event(self._buffer[i])) is not None]
            if count < _EVENTS:
                break
        return told

    def _event(self, e: Any) -> Event | None:
        if e.kind == lib.EVENT_RECORDED:
            recording = self._recordings.pop(e.subject, None)
            if recording is None:
                return None
            recording.over()
            return Recorded(recording, recording.path, e.seconds, ffi.string(e.text).decode(errors="replace"))
        jack = self.jacks.get(e.jack) or self._gone.get(e.jack)
        if jack is None:
            return None
        if e.kind == lib.EVENT_MARK:
            return Mark(jack, e.number)
        if e.kind == lib.EVENT_ENDED:
            clip = self.clips.get(e.subject)
            return None if clip is None else Ended(jack, clip)
        if not isinstance(jack, NativeJack):
            return None
        if e.kind == lib.EVENT_DTMF:
            return Dtmf(jack, ffi.string(e.text).decode(), e.number)
        if e.kind == lib.EVENT_LATCHED:
            return Latched(jack, (ffi.string(e.text).decode(), e.port))
        return Silent(jack, e.seconds)

    def stats(self) -> BoardStats:
        if not self.handle:
            return BoardStats()
        s = ffi.new("struct board_stats *")
        lib.board_read_stats(self.handle, s)
        return BoardStats(**{name: getattr(s, name) for name in BoardStats.__dataclass_fields__})

    def close(self) -> None:
        if not self.handle:
            return
        for tap in list(self.taps.values()):
            tap.close()
        for mix in list(self.mixes):
            mix.close()
        lib.board_stop(self.handle)
        self._left = self.events()
        for clip in list(self.clips.values()):
            clip.close()
        handle, self.handle = self.handle, None
        for jack in list(self.jacks.values()):
            jack.handle = None
        self.jacks.clear()
        lib.board_close(handle)


def open(settings: BoardSettings) -> NativeBoard:
    """Open a board over the C engine."""
    if sys.platform != "linux":
        raise ImportError("the C media engine is for Linux")
    return NativeBoard(settings)
