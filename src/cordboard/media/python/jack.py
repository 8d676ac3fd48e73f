"""Jacks, taps, mixes and recordings as their users hold them; the work is done by the engine on its own thread."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal

from cordboard.media.face import (
    TAP_RATE,
    Address,
    CodecLike,
    Cut,
    Direction,
    JackClosedError,
    JackStats,
    KeyPair,
    Keys,
    NotNegotiatedError,
    Pcm,
    Source,
    UnsupportedCodecError,
)
from cordboard.media.python import dtmf, g711
from cordboard.media.python.mix import Mixer, player_of
from cordboard.media.python.pcm import PcmParty
from cordboard.media.python.record import Tape
from cordboard.media.python.session import EVENT, NOISE, Session, Terms
from cordboard.media.python.speech import PythonSay, samples
from cordboard.media.python.tap import TapStream

if TYPE_CHECKING:
    from cordboard.media.python.board import PythonBoard

Party = Session | PcmParty


class PythonRecordable:
    def __init__(self, party: Party, side: Literal["said", "heard"]) -> None:
        self.party = party
        self._side: Literal["said", "heard"] = side

    @property
    def side(self) -> Literal["said", "heard"]:
        return self._side


class PythonTap:
    def __init__(self, board: PythonBoard, stream: TapStream, party: Party) -> None:
        self._board = board
        self._stream = stream
        self._party = party
        self._closed = False

    @property
    def id(self) -> int:
        return self._stream.id

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._board.submit(self._remove)

    def _remove(self) -> None:
        if self._stream in self._party.taps:
            self._party.taps.remove(self._stream)
            self._board.tap_count -= 1


class _Holder:
    """What both kinds of jack do alike."""

    def __init__(self, board: PythonBoard, id: int, party: Party, say: PythonSay) -> None:
        self.board = board
        self._id = id
        self._party = party
        self._say = say
        self._closed = False
        self._said = PythonRecordable(party, "said")
        self._heard = PythonRecordable(party, "heard")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id}>"

    @property
    def id(self) -> int:
        return self._id

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def say(self) -> PythonSay:
        return self._say

    @property
    def said(self) -> PythonRecordable:
        return self._said

    @property
    def heard(self) -> PythonRecordable:
        return self._heard

    @property
    def party(self) -> Party:
        return self._party

    def _check(self) -> None:
        if self._closed:
            raise JackClosedError(f"jack {self._id} is closed")

    def hears(self, source: Source | None, cut: Cut = "late") -> None:
        self._check()
        if cut not in ("late", "now"):
            raise ValueError(f"cut is late or now, not {cut!r}")
        inner = None if source is None else self.board.inner(source)
        party, board = self._party, self.board

        def plug() -> None:
            if party.closed:
                return
            gone = inner is not None and not board.alive(inner)
            player = None if inner is None or gone else player_of(inner, party)
            party.plug(None if gone else inner, player, cut, board.now)

        board.submit(plug)

    def tap(self, rate: int = TAP_RATE) -> PythonTap:
        self._check()
        if rate != TAP_RATE:
            raise ValueError(f"a tap has {TAP_RATE} Hz, not {rate}")
        board, party = self.board, self._party
        stream = TapStream(board.next_tap(), board.collect)

        def add() -> None:
            if not party.closed:
                party.taps.append(stream)
                board.tap_count += 1

        board.submit(add)
        return PythonTap(board, stream, party)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._say.close()
            self.board.submit(lambda: self.board.remove(self._id))


class PythonJack(_Holder):
    def __init__(self, board: PythonBoard, id: int, session: Session, say: PythonSay, local: Address) -> None:
        super().__init__(board, id, session, say)
        self._session = session
        self._local = local
        self._takes_keys = False

    @property
    def address(self) -> str:
        return self._local[0]

    @property
    def port(self) -> int:
        return self._local[1]

    @property
    def keys(self) -> tuple[Keys, ...]:
        return ()

    def negotiated(
        self,
        *,
        receive: Mapping[int, CodecLike],
        send: int,
        remote: Address,
        ptime: int = 20,
        direction: Direction = "sendrecv",
        dtmf: int | None = None,
        send_codec: CodecLike | None = None,
        rtcp: Address | None = None,
        rtcp_mux: bool = False,
        keys: KeyPair | None = None,
    ) -> None:
        self._check()
        if keys is not None:
            raise UnsupportedCodecError("SRTP")
        if not 10 <= ptime <= 60:
            raise ValueError(f"ptime {ptime}: 10 to 60 ms")
        if direction not in ("sendrecv", "sendonly", "recvonly", "inactive"):
            raise ValueError(f"direction {direction!r}")
        for payload_type in (*receive, send, *(() if dtmf is None else (dtmf,))):
            if not 0 <= payload_type <= 127:
                raise ValueError(f"payload type {payload_type}: 0 to 127")
        sending = send_codec or receive.get(send)
        if sending is None:
            raise ValueError(f"payload type {send} is to be sent and its codec is not known")
        codec = _codec(sending)
        if codec not in g711.NAMES:
            raise UnsupportedCodecError(sending.name)
        terms = Terms(
            receive={payload_type: _codec(each) for payload_type, each in receive.items()},
            send=send,
            codec=codec,
            dtmf=dtmf,
            ptime=ptime,
            direction=direction,
            remote=_numeric(remote),
            rtcp=None if rtcp is None else _numeric(rtcp),
            rtcp_mux=rtcp_mux,
        )
        self._takes_keys = dtmf is not None
        self.board.submit(lambda: self._session.negotiated(terms, self.board.now))

    def send_dtmf(self, digits: str, duration_ms: int = 100, gap_ms: int = 80) -> None:
        self._check()
        dtmf.check(digits)
        if not self._takes_keys:
            raise NotNegotiatedError("the far end takes no telephone-event")
        if len(digits) + len(self._session.keys_out) > dtmf.QUEUE_LIMIT:
            raise ValueError(f"more than {dtmf.QUEUE_LIMIT} keys are waiting")
        if not (40 <= duration_ms <= 6000 and 0 <= gap_ms <= 6000):
            raise ValueError("a key lasts 40 to 6000 ms, the gap behind it up to 6000 ms")
        self.board.submit(lambda: self._session.keys_out.add(digits, duration_ms, gap_ms))

    def silent_after(self, seconds: float | None) -> None:
        def change() -> None:
            self._session.silent_after = seconds

        self.board.submit(change)

    def stats(self) -> JackStats:
        return self._session.stats(self.board.clock())


class PythonPcmJack(_Holder):
    def __init__(self, board: PythonBoard, id: int, party: PcmParty, say: PythonSay) -> None:
        super().__init__(board, id, party, say)
        self._pcm = party

    @property
    def rate(self) -> int:
        return self._pcm.rate

    def write(self, pcm16: Pcm) -> float:
        return 0.0 if self._closed else self._pcm.said.write(samples(pcm16), self._pcm.rate)

    def read(self) -> bytes:
        return self._pcm.read()


class PythonMix:
    def __init__(self, board: PythonBoard) -> None:
        self.board = board
        self.mixer = Mixer()
        self._closed = False

    def add(self, source: Source, gain: float = 1.0) -> None:
        if isinstance(source, PythonMix):
            raise ValueError("a mix takes no other mix")
        if not 0.0 <= gain <= 16.0:
            raise ValueError(f"gain {gain}: 0 to 16")
        inner, board, mixer = self.board.inner(source), self.board, self.mixer

        def plug() -> None:
            if not self._closed and board.alive(inner):
                mixer.add(inner, player_of(inner, mixer), gain)

        board.submit(plug)

    def remove(self, source: Source) -> None:
        inner = self.board.inner(source)
        self.board.submit(lambda: self.mixer.remove(inner))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.board.submit(lambda: self.board.remove_mixer(self.mixer))


class PythonRecording:
    def __init__(self, board: PythonBoard, path: str) -> None:
        self._board = board
        self._path = path
        self._paused = False
        self._closed = False
        self.tape: Tape | None = None  # the engine's

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
        if self._closed or paused == self._paused:
            return
        self._paused = paused

        def turn() -> None:
            if self.tape is not None:
                clock = self._board.position(self._board.now)
                self.tape.pause(clock) if paused else self.tape.resume(clock)

        self._board.submit(turn)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._board.submit(lambda: self._board.finish(self))


def _codec(codec: CodecLike) -> str:
    name = codec.name.upper()
    if name not in (*g711.NAMES, EVENT, NOISE) or codec.clock_rate != 8000 or codec.channels not in (0, 1):
        raise UnsupportedCodecError(codec.name)
    return name


def _numeric(address: Address) -> Address | None:
    """As the kernel writes it; None where there is nowhere to send to. Raises ValueError for a host name."""
    host, port = address
    ip = ip_address(host)
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port}")
    return None if port == 0 or ip.is_unspecified else (ip.compressed, port)
