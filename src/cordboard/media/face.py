"""The face of the media plane: a board of jacks, and what each jack hears.

Two engines wear this face, one in C and one in Python, and a caller cannot tell them apart except by ``board.engine``.

Units. PCM is 16-bit signed, native byte order, one channel. Rates are in Hz. Times that users give or receive are
milliseconds where the name ends in ``_ms`` and seconds otherwise. Moments are seconds of ``time.monotonic()``.
An address is ``(host, port)`` with the host as a numeric string.

Threads. A board owns its threads. Every method here may be called from the thread of the asyncio loop and returns
without waiting for the network, for a disk or for the engine; commands of one caller take effect in the order in which
they were given. ``board.fileno()`` is readable, level-triggered, while a frame or an event waits; the loop then calls
``frames()`` and ``events()``, and both must be called, since the descriptor stays readable until both are empty.

Closing is idempotent everywhere. A command on something closed does nothing, except that the constructors of a board
(``jack``, ``pcm_jack``, ``clip``, ``mix``, ``record``) raise ``BoardClosedError``, and that a closed jack refuses
``negotiated``, ``hears``, ``tap`` and ``send_dtmf`` with ``JackClosedError``.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Literal, Protocol, TypeAlias, runtime_checkable

Address: TypeAlias = tuple[str, int]
Direction: TypeAlias = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
"""As we see it (RFC 3264 §5.1, §6.1): ``sendonly`` means that we send and do not listen."""

Cut: TypeAlias = Literal["late", "now"]
"""``late``: the old source goes on until the new one's first packet, at most ``LATE_BREAK_MS``. ``now``: at once."""

Pcm: TypeAlias = bytes | bytearray | memoryview
"""16-bit signed native samples, one channel."""

FRAME_MS = 20
LATE_BREAK_MS = 200
UNANSWERED_PACKETS = 50
"""At most this many packets leave to an address before one has come back from it."""

TAP_RATE = 16000
TAP_SAMPLES = 320


# --- errors -----------------------------------------------------------------------------------------------------------


class MediaError(Exception):
    """Whatever the media plane refuses."""


class BoardClosedError(MediaError):
    """The board is closed."""


class JackClosedError(MediaError):
    """The jack is closed."""


class NoPortError(MediaError):
    """Every port of the range is taken or held back after its last use."""


class UnsupportedCodecError(MediaError):
    """The engine cannot send or receive the codec that was negotiated. ``codec`` names it."""

    def __init__(self, codec: str) -> None:
        super().__init__(f"the media engine has no codec {codec!r}")
        self.codec = codec


class NotNegotiatedError(MediaError):
    """The far end has not offered what is asked for: DTMF before a telephone-event payload type is known."""


# --- codecs -----------------------------------------------------------------------------------------------------------


class CodecLike(Protocol):
    """What the media plane reads of a codec; the codecs of offer/answer fit as they are."""

    @property
    def name(self) -> str: ...
    @property
    def clock_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Codec:
    """One line of ``a=rtpmap``, without its payload type. ``name`` is compared without regard to case."""

    name: str
    clock_rate: int = 8000
    channels: int = 1
    fmtp: str = ""


PCMU = Codec("PCMU")
PCMA = Codec("PCMA")
G722 = Codec("G722")  # RFC 3551 §4.5.2: the RTP clock is 8000 although the audio is 16 kHz
OPUS = Codec("opus", 48000, 2)  # RFC 7587 §4.1, §7
DTMF = Codec("telephone-event", fmtp="0-16")  # RFC 4733 §2.4.1
COMFORT_NOISE = Codec("CN")  # RFC 3389


@dataclass(frozen=True, slots=True)
class Keys:
    """One SDES key (RFC 4568 §9.1). ``key_salt`` is master key and salt, 30 octets, before base64."""

    suite: str
    key_salt: bytes
    tag: int = 1


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both keys of a negotiated SRTP session: the one we protect with, the one the peer protects with."""

    send: Keys
    receive: Keys


# --- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dtmf:
    """The party of ``jack`` has pressed a key (RFC 4733): once per key, when the key is released.

    ``digit`` is one of ``0-9 * # A-D``; ``duration`` is in milliseconds.
    """

    jack: Jack
    digit: str
    duration: int


@dataclass(frozen=True, slots=True)
class Latched:
    """The first RTP packet has been accepted since the last ``negotiated()``: our evidence of media from that side."""

    jack: Jack
    remote: Address


@dataclass(frozen=True, slots=True)
class Silent:
    """No RTP has come for ``seconds``. Raised once per silence, and only where the direction lets us receive."""

    jack: Jack
    seconds: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything that was written to ``jack.say`` before ``mark(id)`` has been sent."""

    jack: AnyJack
    id: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A clip that does not loop has been sent to its end. Not raised where it was cut off."""

    jack: AnyJack
    clip: Clip


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording is complete and its file closed; ``error`` is empty, or says why the file stops before that."""

    recording: Recording
    path: str
    seconds: float
    error: str = ""


Event: TypeAlias = Dtmf | Latched | Silent | Mark | Ended | Recorded


# --- statistics -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JackStats:
    """One jack's counters since it was opened; a snapshot, at most one frame old. Octets are of RTP payload."""

    packets_in: int = 0
    octets_in: int = 0
    packets_out: int = 0
    octets_out: int = 0
    lost: int = 0
    """Packets that did not come, by sequence number (RFC 3550 §A.3); never below zero."""
    duplicates: int = 0
    reordered: int = 0
    rejected: int = 0
    """Packets from an address, a port or an SSRC that is not the party's."""
    malformed: int = 0
    """Datagrams that are not RTP, or whose payload type was not negotiated."""
    held_back: int = 0
    """Packets not sent, because nothing has come back from the address yet."""
    jitter_ms: float = 0.0
    """Interarrival jitter (RFC 3550 §6.4.1)."""
    first_received_at: float | None = None
    last_received_age_ms: float | None = None
    remote: Address | None = None
    """Where we send: the address of the session description, or the one that was latched."""
    latched: bool = False
    """A packet has been accepted since the last ``negotiated()``."""
    ssrc_in: int | None = None
    ssrc_out: int | None = None
    rtcp_in: int = 0
    rtcp_out: int = 0
    rtcp_seen: bool = False
    """RTCP has come since the last ``negotiated()``: evidence that a party which sends no audio is there."""
    last_rtcp_age_ms: float | None = None
    round_trip_ms: float | None = None
    remote_lost: int | None = None
    """What the peer reports as lost of what we sent."""
    mos: float | None = None
    """An estimate by the E-model (ITU-T G.107) from loss, jitter and round trip; None before ten packets."""
    dtmf_in: int = 0
    dtmf_out: int = 0
    largest_gap_out_ms: float = 0.0
    """The longest time between two packets that we sent, since the last ``negotiated()``."""
    unsent_ms: float = 0.0
    """All time beyond a frame in which nothing was sent, between our first packet and our last."""


@dataclass(frozen=True, slots=True)
class BoardStats:
    """Sizes of the board's tables, all of which return to zero, and counters since it was opened."""

    jacks: int = 0
    pcm_jacks: int = 0
    clips: int = 0
    taps: int = 0
    mixes: int = 0
    recordings: int = 0
    ports_open: int = 0
    ports_quarantined: int = 0
    packets_in: int = 0
    packets_out: int = 0
    ticks: int = 0
    late_ticks: int = 0
    """Frames of the clock that began more than 5 ms late."""
    skipped_ticks: int = 0
    """Frames of the clock that were left out, because the process had been stopped for longer."""
    dropped_frames: int = 0
    """Tap frames thrown away because nobody fetched them."""
    dropped_events: int = 0


# --- the things on the board ------------------------------------------------------------------------------------------


@runtime_checkable
class Clip(Protocol):
    """Audio prepared once for every codec. Each jack that hears it hears it from its beginning."""

    @property
    def loop(self) -> bool: ...
    @property
    def duration_ms(self) -> int: ...

    def close(self) -> None:
        """Give its memory back. Jacks that still hear it go on until they hear something else."""


@runtime_checkable
class Say(Protocol):
    """Speech ahead of time: a queue that plays only while a jack or a mix hears it.

    An empty queue sends nothing. Speech that comes in pieces is played without a gap as long as the queue is not empty.
    """

    @property
    def queued_ms(self) -> float:
        """Speech that has been written and not yet sent."""

    def write(self, pcm16: Pcm, rate: int) -> float:
        """Append speech; answers the milliseconds then queued. At most ``BoardSettings.say_limit`` seconds are kept:
        what goes beyond is refused as a whole with ``MediaError``."""

    def mark(self, id: int) -> None:
        """Ask for a ``Mark`` event once everything written so far has been sent."""

    def flush(self) -> float:
        """Forget what has not been sent, marks included (they are never raised); answers the milliseconds forgotten.

        Barge-in: nothing written before goes out after the frame that is already on its way.
        """


@runtime_checkable
class Tap(Protocol):
    """What a party says, 16 kHz, put back in order and never stretched; lost packets and pauses are silence.

    Frames come by ``board.frames()`` under ``id``.
    """

    @property
    def id(self) -> int: ...

    def close(self) -> None: ...


@runtime_checkable
class Recordable(Protocol):
    """One side of a jack, as a channel of a recording. Obtained from ``jack.said`` and ``jack.heard``."""

    @property
    def side(self) -> Literal["said", "heard"]: ...


@runtime_checkable
class Recording(Protocol):
    """A WAV file with two channels, placed by RTP time: a moment of the call is at the same place in both."""

    @property
    def path(self) -> str: ...
    @property
    def paused(self) -> bool: ...

    def pause(self) -> None:
        """From now on silence is written; the timeline goes on."""

    def resume(self) -> None: ...

    def close(self) -> None:
        """Complete the file. It is complete when ``Recorded`` is raised, not when this returns."""


@runtime_checkable
class Mix(Protocol):
    """Several sources at once. A jack that hears a mix never hears itself in it."""

    def add(self, source: Source, gain: float = 1.0) -> None:
        """Add a source or change its gain (linear). A jack's RTP passes a jitter buffer here, and only here."""

    def remove(self, source: Source) -> None: ...

    def close(self) -> None: ...


class AnyJack(Protocol):
    """What a jack with a socket and a jack without one share."""

    @property
    def id(self) -> int:
        """Never used twice by one board."""

    @property
    def closed(self) -> bool: ...
    @property
    def say(self) -> Say: ...
    @property
    def said(self) -> Recordable:
        """Audio that came from this party."""

    @property
    def heard(self) -> Recordable:
        """Audio that was sent to this party."""

    def hears(self, source: Source | None, cut: Cut = "late") -> None:
        """Plug the cord: from now on this party hears ``source`` and nothing else. The only switch.

        ``None`` sends nothing, at once. Sequence numbers, SSRC and timestamps go on across every switch. Hearing the
        same source again changes nothing. When a source closes, its listeners hear nothing.
        """

    def tap(self, rate: int = TAP_RATE) -> Tap:
        """Frames of what this party says. Only 16000 is offered. Several taps on one jack are several ids."""

    def close(self) -> None: ...


@runtime_checkable
class Jack(AnyJack, Protocol):
    """One party's RTP session: a socket, a codec, a clock of its own."""

    @property
    def address(self) -> str:
        """The local address, for the offer's ``c=`` (unless an external address is configured)."""

    @property
    def port(self) -> int:
        """The local RTP port, even, for the offer's ``m=``. RTCP is on the next port (RFC 3550 §11), or on the same
        one where multiplexed (RFC 5761)."""

    @property
    def keys(self) -> tuple[Keys, ...]:
        """Fresh keys to offer, one per SRTP suite; empty where the engine has no SRTP."""

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
        """Apply the result of an offer/answer; may be repeated, and every offer/answer ends here.

        ``receive``: payload types on which the peer may send to us, telephone-event and CN included.
        ``send``: the payload type that we send. Its codec is ``send_codec``, by default ``receive[send]``, and it is
        needed only where the two sides number dynamic types differently (RFC 3264 §5.1).
        ``dtmf``: the payload type on which the peer takes telephone-event; None: it takes none. Where ``receive``
        holds telephone-event under a type and ``dtmf`` is None, DTMF from the peer is still understood.
        ``ptime``: milliseconds per packet that we make ourselves, 10 to 60; relayed packets keep their own.
        ``remote`` with port 0 or host ``0.0.0.0``: there is nowhere to send to yet; packets are not accepted either.

        Repeated with the same ``remote``, sources that were accepted stay accepted and no audio is lost; the next
        accepted packet raises ``Latched`` again. Raises ``UnsupportedCodecError``, ``ValueError`` (ptime, types).
        """

    def send_dtmf(self, digits: str, duration_ms: int = 100, gap_ms: int = 80) -> None:
        """Queue keys ``0-9 * # A-D``; ``w`` waits 0.5 s and ``W`` 1 s. What the party hears pauses for each key.

        Raises ``NotNegotiatedError`` where the peer takes no telephone-event, ``ValueError`` for another character
        or for more than 64 characters in the queue.
        """

    def silent_after(self, seconds: float | None) -> None:
        """Change for this jack after how much silence ``Silent`` is raised; None: never."""

    def stats(self) -> JackStats: ...


@runtime_checkable
class PcmJack(AnyJack, Protocol):
    """A party without a socket: a browser, a stream agent, the lab."""

    @property
    def rate(self) -> int:
        """Of ``write`` and of ``read``: 8000, 16000, 24000 or 48000."""

    def write(self, pcm16: Pcm) -> float:
        """What the party says, at ``rate``; it is played in real time. Answers the milliseconds then queued.
        Beyond one second the oldest is dropped: a party cannot speak ahead of time."""

    def read(self) -> bytes:
        """What the party has heard since the last call, at ``rate``. Beyond one second the oldest is dropped.
        Nothing comes while it hears nothing. The board's descriptor does not announce it: read once a frame."""


Source: TypeAlias = Jack | PcmJack | Clip | Say | Mix


@runtime_checkable
class Board(Protocol):
    """All jacks of one process, and the threads that serve them."""

    @property
    def engine(self) -> Literal["c", "python"]: ...
    @property
    def notices(self) -> Sequence[str]:
        """What start-up should tell the operator once: the engine that serves, and what it cannot offer."""

    @property
    def codecs(self) -> Sequence[Codec]:
        """The audio codecs that may be offered, best first."""

    @property
    def closed(self) -> bool: ...

    def jack(self, beside: Jack | None = None) -> Jack:
        """Open a port. ``beside`` puts the jack on the thread of another one, as both legs of a call should be.
        Raises ``NoPortError``."""

    def pcm_jack(self, rate: int = 16000) -> PcmJack:
        """Raises ``ValueError`` for a rate that is not 8000, 16000, 24000 or 48000."""

    def clip(self, pcm16: Pcm, rate: int, loop: bool = True) -> Clip:
        """Raises ``ValueError`` for no audio, or for a rate outside 8000 to 48000."""

    def mix(self) -> Mix: ...

    def record(
        self, path: str | PathLike[str], left: Recordable | None, right: Recordable | None, rate: int = 8000
    ) -> Recording:
        """Record from now on; None leaves a channel silent. ``rate`` is 8000. When a side's jack closes, that channel
        goes on as silence. A file that cannot be written is told by ``Recorded(error=...)``."""

    def fileno(self) -> int:
        """One pollable descriptor, readable while ``frames()`` or ``events()`` has something."""

    def frames(self) -> tuple[array[int], memoryview]:
        """All frames of all taps since the last call: ids, ``array("i")`` of n, and a memoryview of native int16
        with n * 320 samples (20 ms at 16 kHz each), in order for each tap. Copy what is kept after the next call."""

    def events(self) -> list[Event]:
        """All events since the last call, oldest first."""

    def stats(self) -> BoardStats: ...

    def close(self) -> None:
        """Close everything and end the threads; waits for them, at most a second, and completes the recordings."""


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """How a board is opened."""

    ip: str = "127.0.0.1"
    """The local address that sockets are bound to, IPv4 or IPv6."""
    ports: tuple[int, int] = (0, 0)
    """Lowest and highest local port; (0, 0): anywhere from 20000 to 60999."""
    threads: int = 1
    """Engine threads; the Python engine has one whatever is asked."""
    rt_priority: int = 0
    """SCHED_FIFO priority, 0: none. Where it is not permitted a notice says so."""
    quarantine: float = 10.0
    """Seconds for which a closed port is held back."""
    silent_after: float | None = 10.0
    """Seconds without RTP after which ``Silent`` is raised; None: never."""
    say_limit: float = 300.0
    """Seconds of speech that one say may hold."""
    clip_limit: float = 600.0
    """Seconds that one clip may last."""
    name: str = "cordboard"
    """RTCP CNAME prefix (RFC 3550 §6.5.1); it must not identify a person."""
