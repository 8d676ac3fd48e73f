"""G.722 and Opus against another implementation, both ways, and resampling, measured by signal-to-noise."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("cordboard.media._engine", reason="the C media engine is not built")
av = pytest.importorskip("av", reason="PyAV is not installed: pip install av")

from cordboard.media._engine import ffi, lib  # noqa: E402

lib.g711_prepare()
lib.resample_prepare()

Samples = NDArray[np.int16]


def speech_like(rate: int, seconds: float = 2.0, glide: float = 40) -> Samples:
    """Tones that glide within the telephone's band and swell as syllables do."""
    t = np.arange(int(rate * seconds)) / rate
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    tones = sum(
        np.sin(2 * np.pi * (f * t + glide * np.sin(2 * np.pi * t))) / n for n, f in enumerate((310, 730, 1900), 1)
    )
    return np.asarray(swell * tones * 6000, dtype=np.int16)


def signal_to_noise(reference: Samples, found: Samples, most_delay: int = 2400) -> float:
    """In dB, at the delay at which the two fit best, without the ends."""
    a = reference.astype(float)
    b = found.astype(float)
    size = min(len(a), len(b)) - most_delay
    edge = size // 8
    spectrum = np.fft.rfft(a, 2 * len(a)), np.fft.rfft(b, 2 * len(a))
    delay = int(np.argmax(np.fft.irfft(spectrum[1] * np.conj(spectrum[0]))[:most_delay]))
    x, y = a[edge:size], b[edge + delay : size + delay]
    return float(10 * np.log10(np.sum(x**2) / (np.sum((x - y) ** 2) + 1e-9)))


def our_encode(codec: int, pcm: Samples, frame: int) -> list[bytes]:
    e = ffi.new("struct encoder *")
    assert lib.encoder_open(e, codec)
    room = ffi.new("uint8_t[]", 1500)
    made = []
    for at in range(0, len(pcm) - frame + 1, frame):
        data = ffi.from_buffer("int16_t[]", pcm[at : at + frame].tobytes())
        size = lib.encode(e, data, frame, room, 1500)
        made.append(bytes(ffi.buffer(room, size)))
    lib.encoder_close(e)
    return made


def our_decode(codec: int, payloads: list[bytes]) -> Samples:
    d = ffi.new("struct decoder *")
    assert lib.decoder_open(d, codec)
    room = ffi.new("int16_t[]", 5760)
    made = [bytes(ffi.buffer(room, lib.decode(d, payload, len(payload), room) * 2)) for payload in payloads]
    lib.decoder_close(d)
    return np.frombuffer(b"".join(made), dtype=np.int16)


def their_encode(name: str, pcm: Samples, rate: int, frame: int) -> list[bytes]:
    context: Any = av.CodecContext.create(name, "w")
    context.sample_rate, context.layout, context.format = rate, "mono", "s16"
    context.time_base = Fraction(1, rate)
    if name == "libopus":
        context.bit_rate = 32000
        context.options = {"frame_duration": "20", "application": "voip"}
    payloads = []
    for at in range(0, len(pcm) - frame + 1, frame):
        piece = av.AudioFrame.from_ndarray(pcm[at : at + frame].reshape(1, -1), format="s16", layout="mono")
        piece.sample_rate, piece.pts = rate, at
        payloads += [bytes(packet) for packet in context.encode(piece)]
    return payloads + [bytes(packet) for packet in context.encode(None)]


def their_decode(name: str, payloads: list[bytes], rate: int) -> Samples:
    context: Any = av.CodecContext.create(name, "r")
    context.sample_rate, context.layout = rate, "mono"
    made = []
    for payload in payloads:
        for frame in context.decode(av.Packet(payload)):
            pcm = frame.to_ndarray().reshape(-1)
            made.append(pcm if pcm.dtype == np.int16 else np.clip(pcm * 32768, -32768, 32767).astype(np.int16))
    return np.concatenate(made)


CASES = [
    # name there, codec here, rate, what is expected of the codec itself
    pytest.param("g722", "g722", lib.G722, 16000, 20.0, id="G722"),
    pytest.param("libopus", "libopus", lib.OPUS, 48000, 12.0, id="Opus"),
]


@pytest.mark.parametrize(("encoder", "decoder", "codec", "rate", "least"), CASES)
def test_both_ways(encoder: str, decoder: str, codec: int, rate: int, least: float) -> None:
    if not lib.board_has(codec):
        pytest.skip("the library of this codec is not installed")
    # Opus keeps what is heard, not the wave: of tones that stand still the wave is kept too.
    pcm, frame = speech_like(rate, glide=0 if codec == lib.OPUS else 40), rate // 50
    decode_there: Callable[[list[bytes]], Samples] = lambda payloads: their_decode(decoder, payloads, rate)  # noqa: E731
    ours = our_encode(codec, pcm, frame)
    found = {
        "ours, ours": signal_to_noise(pcm, our_decode(codec, ours)),
        "ours, theirs": signal_to_noise(pcm, decode_there(ours)),
        "theirs, ours": signal_to_noise(pcm, our_decode(codec, their_encode(encoder, pcm, rate, frame))),
    }
    print({key: round(value, 1) for key, value in found.items()})
    assert min(found.values()) > least


def test_g722_decodes_bit_for_bit() -> None:
    """Both decoders are the Recommendation's arithmetic: the same octets give the same samples."""
    payloads = our_encode(lib.G722, speech_like(16000), 320)
    ours, theirs = our_decode(lib.G722, payloads), their_decode("g722", payloads, 16000)
    assert np.array_equal(ours[: len(theirs)], theirs[: len(ours)])


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("to", [8000, 16000, 24000, 48000])
def test_resampling_keeps_speech(rate: int, to: int) -> None:
    pcm = speech_like(rate)
    there, back = ffi.new("struct resampler *"), ffi.new("struct resampler *")
    assert lib.resampler_open(there, rate, to)
    assert lib.resampler_open(back, to, rate)
    middle = ffi.new("int16_t[]", len(pcm) * 6 + 8)
    count = lib.resample(there, ffi.from_buffer("int16_t[]", pcm.tobytes()), len(pcm), middle)
    out = ffi.new("int16_t[]", len(pcm) * 2 + 8)
    size = lib.resample(back, middle, count, out)
    assert abs(count - len(pcm) * to / rate) <= 1
    found = np.frombuffer(bytes(ffi.buffer(out, size * 2)), dtype=np.int16)
    assert signal_to_noise(pcm, found, 400) > 30
