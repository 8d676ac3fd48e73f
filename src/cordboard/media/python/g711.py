"""G.711 by tables (ITU-T G.711): 16-bit linear to µ-law and A-law and back, and from one law to the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

_SEGMENT_ENDS_A = (0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF)


def _expand_ulaw(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def _expand_alaw(code: int) -> int:
    code ^= 0x55
    mantissa, segment = (code & 0x0F) << 4, (code & 0x70) >> 4
    magnitude = mantissa + 8 if segment == 0 else (mantissa + 0x108) << (segment - 1)
    return magnitude if code & 0x80 else -magnitude


def _compress_ulaw(sample: int) -> int:
    # The law has 14 bits; the bias is 33 of those (G.711 table 2).
    sample >>= 2
    sign = 0xFF
    if sample < 0:
        sample, sign = -sample, 0x7F
    biased = min(sample, 8158) + 33
    segment = max(0, biased.bit_length() - 6)
    return (segment << 4 | (biased >> (segment + 1)) & 0x0F) ^ sign


def _compress_alaw(sample: int) -> int:
    # The law has 13 bits (G.711 table 1); even bits are inverted on the line.
    sample >>= 3
    sign = 0xD5
    if sample < 0:
        sample, sign = -sample - 1, 0x55
    segment = next((i for i, end in enumerate(_SEGMENT_ENDS_A) if sample <= end), 7)
    mantissa = sample >> 1 if segment < 2 else sample >> segment
    return (segment << 4 | mantissa & 0x0F) ^ sign


_ULAW_TO_LINEAR = np.array([_expand_ulaw(code) for code in range(256)], dtype=np.int16)
_ALAW_TO_LINEAR = np.array([_expand_alaw(code) for code in range(256)], dtype=np.int16)


def _encoder(compress: list[int]) -> NDArray[np.uint8]:
    # Indexed by the sample read as unsigned, so that no addition is needed per packet.
    return np.array(compress[32768:] + compress[:32768], dtype=np.uint8)


_LINEAR_TO_ULAW = _encoder([_compress_ulaw(sample) for sample in range(-32768, 32768)])
_LINEAR_TO_ALAW = _encoder([_compress_alaw(sample) for sample in range(-32768, 32768)])

ULAW_TO_ALAW = bytes(_compress_alaw(_expand_ulaw(code)) for code in range(256))
ALAW_TO_ULAW = bytes(_compress_ulaw(_expand_alaw(code)) for code in range(256))

NAMES = ("PCMU", "PCMA")
SILENCE = {"PCMU": b"\xff", "PCMA": b"\xd5"}
_DECODE = {"PCMU": _ULAW_TO_LINEAR, "PCMA": _ALAW_TO_LINEAR}
_ENCODE = {"PCMU": _LINEAR_TO_ULAW, "PCMA": _LINEAR_TO_ALAW}
_BETWEEN = {("PCMU", "PCMA"): ULAW_TO_ALAW, ("PCMA", "PCMU"): ALAW_TO_ULAW}


def decode(name: str, payload: bytes) -> Samples:
    return _DECODE[name][np.frombuffer(payload, dtype=np.uint8)]


def encode(name: str, pcm: Samples) -> bytes:
    return _ENCODE[name][pcm.view(np.uint16)].tobytes()


def transcode(source: str, target: str, payload: bytes) -> bytes:
    """Octet by octet, without linear audio in between."""
    return payload if source == target else payload.translate(_BETWEEN[source, target])
