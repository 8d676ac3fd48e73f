"""The program that recognises: pocketsphinx behind a pipe (see pipe.py).

Run as ``python -m cordboard.speech.pocketsphinx_worker``. pocketsphinx keeps the interpreter's lock while it
decodes, so that a thread would stop the loop for the whole utterance; hence a process.

    G <json: key, intents, competing>      ->  D <json: dropped>
    U <16 bytes of key><int16 at 16 kHz>   ->  D <json: text, intent, confidence>  |  N (no such grammar here)
    either                                 ->  E <what went wrong>
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from typing import Any

from .grammar import FILLER_PREFIX, Compiled, compile_grammar
from .pipe import ERROR, READY, claim_output, read_frame, write_frame
from .ports import RECOGNISER_RATE, Grammar

GRAMMAR = b"G"
UTTERANCE = b"U"
DONE = b"D"
UNKNOWN = b"N"

KEY_BYTES = 16
FILLER_WEIGHT = 1e-24
"""Weight of "some other sounds" against one phrase. Heavier refuses more strangers' sentences and more phrases."""

# The phones of the English model, whose free succession explains any speech.
_PHONES = tuple(
    phone
    for row in (
        "AA AE AH AO AW AY B CH D DH EH ER EY",
        "F G HH IH IY JH K L M N NG OW OY P",
        "R S SH T TH UH UW V W Y Z ZH",
    )
    for phone in row.split()
)

MAX_GRAMMARS = 32
"""Grammars that stay compiled; the least recently used goes first."""


class Engine:
    """One decoder with the wheel's English model and several grammars."""

    def __init__(self) -> None:
        import pocketsphinx

        self._decoder: Any = pocketsphinx.Decoder(lm=None, samprate=RECOGNISER_RATE, loglevel="FATAL", bestpath=False)
        self._grammars: OrderedDict[bytes, Compiled] = OrderedDict()
        for phone in _PHONES:
            self._decoder.add_word(f"{FILLER_PREFIX}{phone}", phone, phone == _PHONES[-1])
        self._filler = "(" + " | ".join(f"{FILLER_PREFIX}{phone}" for phone in _PHONES) + ")+"

    def knows(self, word: str) -> bool:
        return self._decoder.lookup_word(word) is not None

    def learn(self, key: bytes, grammar: Grammar) -> Compiled:
        """Compiles a grammar. Raises GrammarError."""
        compiled = compile_grammar(grammar, self.knows, filler=self._filler, filler_weight=FILLER_WEIGHT)
        name = key.hex()
        if compiled.jsgf:
            self._decoder.add_jsgf_string(name, compiled.jsgf)
        self._grammars[key] = compiled
        if len(self._grammars) > MAX_GRAMMARS:
            old, dropped = self._grammars.popitem(last=False)
            if dropped.jsgf:
                # The active search cannot be the oldest: it was used last.
                self._decoder.remove_search(old.hex())
        return compiled

    def decode(self, key: bytes, sound: bytes) -> dict[str, Any] | None:
        """What was said; None when the grammar is not here (any more)."""
        compiled = self._grammars.get(key)
        if compiled is None:
            return None
        self._grammars.move_to_end(key)
        nothing = {"text": "", "intent": None, "confidence": 0.0}
        if not compiled.jsgf or not sound:
            return nothing
        self._decoder.activate_search(key.hex())
        self._decoder.start_utt()
        try:
            # The whole utterance at once lets the decoder normalise by its true mean, which a telephone line needs.
            self._decoder.process_raw(sound, full_utt=True)
        finally:
            self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        if hypothesis is None or not hypothesis.hypstr:
            return nothing
        text = compiled.spoken(hypothesis.hypstr)
        intent = compiled.intent(text) if text else None
        return {"text": text, "intent": intent, "confidence": 1.0 if text else 0.0}


def main() -> int:
    source = sys.stdin.buffer
    output = claim_output()
    try:
        engine = Engine()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        write_frame(output, ERROR, str(error).encode())
        return 1
    write_frame(output, READY)
    while (frame := read_frame(source)) is not None:
        kind, payload = frame
        try:
            if kind == GRAMMAR:
                request = json.loads(payload)
                intents = {intent: tuple(phrases) for intent, phrases in request["intents"].items()}
                compiled = engine.learn(bytes.fromhex(request["key"]), Grammar(intents, tuple(request["competing"])))
                write_frame(output, DONE, json.dumps({"dropped": compiled.dropped}).encode())
            elif kind == UTTERANCE:
                result = engine.decode(payload[:KEY_BYTES], payload[KEY_BYTES:])
                if result is None:
                    write_frame(output, UNKNOWN)
                else:
                    write_frame(output, DONE, json.dumps(result).encode())
            else:
                write_frame(output, ERROR, b"no such request")
        except BrokenPipeError:
            return 0
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            write_frame(output, ERROR, str(error).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
