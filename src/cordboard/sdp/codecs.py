"""Codecs and their payload types. RFC 3551 §6, RFC 4733, RFC 7587, RFC 3389."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "CN",
    "G722",
    "OPUS",
    "PCMA",
    "PCMU",
    "STATIC_PAYLOAD_TYPES",
    "TELEPHONE_EVENT",
    "TELEPHONE_EVENT_48000",
    "Codec",
    "codec_named",
    "with_telephone_events",
]


@dataclass(frozen=True, slots=True)
class Codec:
    """What `a=rtpmap` and `a=fmtp` say of a payload type. clock_rate in Hz, as on the wire."""

    name: str
    clock_rate: int = 8000
    channels: int = 1
    fmtp: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        """What two sides compare: name without regard to case, rate and channels. RFC 3264 §6.1, RFC 4855 §3"""
        return self.name.lower(), self.clock_rate, self.channels

    @property
    def is_telephone_event(self) -> bool:
        """RFC 4733 §2"""
        return self.name.lower() == "telephone-event"

    @property
    def is_comfort_noise(self) -> bool:
        """RFC 3389"""
        return self.name.lower() == "cn"

    @property
    def is_audio(self) -> bool:
        """Carries speech: neither events nor comfort noise."""
        return not self.is_telephone_event and not self.is_comfort_noise

    @property
    def rtpmap(self) -> str:
        """`PCMU/8000`, `opus/48000/2`."""
        return f"{self.name}/{self.clock_rate}" + (f"/{self.channels}" if self.channels != 1 else "")


PCMU = Codec("PCMU")
PCMA = Codec("PCMA")
G722 = Codec("G722")
"""16 kHz audio; its RTP clock is 8000 by history. RFC 3551 §4.5.2"""
OPUS = Codec("opus", 48000, 2, "useinbandfec=1")
"""Always 48000/2 on the wire. RFC 7587 §7"""
TELEPHONE_EVENT = Codec("telephone-event", 8000, 1, "0-16")
TELEPHONE_EVENT_48000 = Codec("telephone-event", 48000, 1, "0-16")
CN = Codec("CN")

# RFC 3551 table 4, the audio types with one meaning.
STATIC_PAYLOAD_TYPES: dict[int, Codec] = {
    0: PCMU,
    3: Codec("GSM"),
    4: Codec("G723"),
    5: Codec("DVI4"),
    7: Codec("LPC"),
    8: PCMA,
    9: G722,
    12: Codec("QCELP"),
    13: CN,
    15: Codec("G728"),
    18: Codec("G729"),
}

_NAMED = {"pcmu": PCMU, "pcma": PCMA, "g722": G722, "opus": OPUS, "cn": CN, "telephone-event": TELEPHONE_EVENT}

# Where our offers put dynamic types: the same in every offer, so that a type never changes its meaning in a session.
_DYNAMIC = {OPUS.key: 111, TELEPHONE_EVENT.key: 101, TELEPHONE_EVENT_48000.key: 110}
_STATIC_BY_KEY = {codec.key: number for number, codec in STATIC_PAYLOAD_TYPES.items()}


def codec_named(name: str) -> Codec:
    """A codec by the name in a setting, without regard to case. Raises KeyError."""
    return _NAMED[name.lower()]


def with_telephone_events(codecs: Iterable[Codec]) -> tuple[Codec, ...]:
    """Add telephone-event at the rate of every audio codec, where none is listed. RFC 4733 §2.1"""
    listed = tuple(codecs)
    if any(codec.is_telephone_event for codec in listed):
        return listed
    rates = dict.fromkeys(codec.clock_rate for codec in listed if codec.is_audio)
    return (*listed, *(Codec("telephone-event", rate, 1, "0-16") for rate in rates))


def assign_payload_types(codecs: Iterable[Codec], kept: dict[tuple[str, int, int], int]) -> dict[int, Codec]:
    """Payload types for an offer, in order. kept: what the session uses already (RFC 3264 §8.3.2)."""
    assigned: dict[int, Codec] = {}
    reserved = set(kept.values())
    for codec in codecs:
        number = kept.get(codec.key)
        if number is None:
            number = _STATIC_BY_KEY.get(codec.key, _DYNAMIC.get(codec.key, 96))
            while number in assigned or (number in reserved and number >= 96):
                number = number + 1 if 96 <= number < 127 else 96
        if codec.key not in {other.key for other in assigned.values()}:
            assigned[number] = codec
    return assigned
