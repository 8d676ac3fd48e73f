"""The program that speaks: espeak-ng behind a pipe (see pipe.py). Run as ``python -m cordboard.speech.espeak_worker``.

espeak-ng is under the GPL, version 3, and keeps its state in globals. It is loaded here, in a program of its own, and nowhere else.

    S <json: text, voices, words_per_minute>  ->  A <int16 little endian>..., D <json: rate, voice>  |  E <what went wrong>
"""  # noqa: E501

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any, BinaryIO

from .pipe import ERROR, READY, claim_output, read_frame, write_frame

SPEAK = b"S"
AUDIO = b"A"
DONE = b"D"

# From espeak-ng's speak_lib.h, whose names these are.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_RATE = 1
_BUFFER_MILLISECONDS = 200

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Engine:
    """espeak-ng with its own data. Raises OSError or ImportError where the wheel is missing."""

    def __init__(self, output: BinaryIO) -> None:
        import espeakng_loader

        self._output = output
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        path = str(espeakng_loader.get_data_path()).encode()
        self.rate = int(
            self._library.espeak_Initialize(
                _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MILLISECONDS, path, _INITIALIZE_DONT_EXIT
            )
        )
        if self.rate <= 0:
            raise OSError("espeak-ng does not start with the data of its wheel")
        self._callback = _Callback(self._sound)
        self._library.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def _sound(self, samples: Any, count: int, _events: int | None) -> int:
        if samples and count > 0:
            write_frame(self._output, AUDIO, ctypes.string_at(samples, count * 2))
        return 0

    def speak(self, text: str, voices: list[str], words_per_minute: int) -> str:
        """Speaks with the first of `voices` that exists; returns its name. Raises ValueError, OSError."""
        if self._voice not in voices[:1]:
            for voice in voices:
                if self._library.espeak_SetVoiceByName(voice.encode()) == 0:
                    self._voice = voice
                    break
            else:
                raise ValueError(f"no voice {voices[0]!r}" if voices else "no voice")
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        data = text.encode() + b"\0"
        result = self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        if result != 0:
            raise OSError(f"espeak_Synth answers {result}")
        self._library.espeak_Synchronize()
        return self._voice


def main() -> int:
    source = sys.stdin.buffer
    output = claim_output()
    try:
        engine = Engine(output)
    except (OSError, ImportError) as error:
        write_frame(output, ERROR, str(error).encode())
        return 1
    write_frame(output, READY)
    while (frame := read_frame(source)) is not None:
        try:
            request = json.loads(frame[1])
            voice = engine.speak(request["text"], request["voices"], int(request["words_per_minute"]))
            write_frame(output, DONE, json.dumps({"rate": engine.rate, "voice": voice}).encode())
        except BrokenPipeError:
            return 0
        except (ValueError, KeyError, TypeError, OSError) as error:
            write_frame(output, ERROR, str(error).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
