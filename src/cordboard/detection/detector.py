"""Who answered? Sound in, provisional and revocable verdicts out.

Three streams of evidence: speech activity (how long the first utterances are, and whether they go on), tones
(beeps, cadences, special information tones, fax), and phrases where somebody supplies a transcript. A short
utterance and then quiet is a person until a beep or more speech says otherwise: that verdict is provisional and chooses
only how we open. It is held once a machine would have gone on.

Not thread-safe, no clock, no waiting: time is the number of samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import phrases
from .activity import SpeechActivity
from .spectrum import STEP, Row, Spectrum
from .tones import MELODY, Heard, ToneEar
from .verdicts import Event, Label, Revoked, Verdict

_FINAL = frozenset({Label.VOICEMAIL, Label.FAX, Label.SIT, Label.BUSY})
"""What speech after it does not change, once held. A menu or a queue may lead to a person."""

_EARLY = frozenset({Label.RINGBACK, Label.BUSY, Label.SIT})
"""What can be said before the answer."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Thresholds of the detector: seconds, unless they say otherwise. Set on the tuning half of the corpus."""

    pause: float = 0.70
    """Quiet after a short greeting that makes it a person's."""
    pause_per_second: float = 0.01
    """More of it for each second spoken."""
    shortest: float = 0.16
    """Less is a click."""
    short: float = 3.3
    """Speech up to this long may be a person's greeting."""
    recording: float = 2.9
    """Speech of this length is a machine's until it ends like a person's."""
    long: float = 3.6
    """Speech up to this long may still be, in one breath and with `long_pause` of quiet after it."""
    long_pause: float = 1.2
    breath: float = 0.42
    """A longer pause than that is between sentences."""
    pure: float = 0.5
    """Share of moments with a single partial from which a sound is whistled or blown, not spoken."""
    doubtful: float = 0.22
    """Share of held notes from which `long_pause` of quiet is waited for."""
    hold: float = 2.5
    """Quiet after which a person's verdict is held: a machine would have gone on, or beeped."""
    hold_long: float = 4.0
    """The same after a greeting longer than `recording`."""
    after_tone: float = 4.0
    """A person is not believed in so soon after a fax or busy tone."""
    resumed: float = 0.5
    """Speech that revokes a person's verdict when it goes on within `resumed_within` after the greeting."""
    resumed_within: float = 1.3
    resumed_later: float = 1.6
    """Unbroken speech that revokes it when it comes later."""
    turn: float = 1.6
    """Quiet after which what was said before does not count any more."""
    certain: float = 6.0
    """Speech after which a machine's verdict is held."""
    late: float = 1.0
    """The longest utterance of a person who comes after a machine."""
    silence: float = 4.0
    """Nothing at all for this long is silence."""
    silence_held: float = 10.0
    spoken_recently: float = 6.0
    """A tone within this time after speech may be a voicemail's beep."""
    music: float = 0.34
    """Share of held notes (0 to 1) from which sound is music."""
    music_time: float = 1.3
    notes: float = 0.5
    """Share of held notes from which a short sound is no greeting."""


class Detector:
    """One leg's detector: feed it what comes from the other side from the answer on.

    `early`: the leg has not been answered yet; only ringing, busy and special information tones are reported, and only
    once they are sure. :meth:`answered` then starts the time and everything else.
    """

    def __init__(self, *, early: bool = False, parameters: Parameters | None = None) -> None:
        self.parameters = parameters or Parameters()
        self.early = early
        self._spectrum = Spectrum()
        self._tones = ToneEar()
        self._speech = SpeechActivity()
        self._rows = 0
        self._offset = 0.0
        self._label: Label | None = None
        self._held = False
        self._evidence = ""
        self._events: list[Event] = []
        self._phrase: phrases.Phrase | None = None
        self._decided_at = 0.0
        self._spoken_at_verdict = 0.0
        self._after: Label | None = None  # what the present turn of speech came after
        self._last_speech = -100.0
        self._all_spoken = 0.0
        self._music = 0.0  # average share of held notes
        self._music_for = 0.0
        self._silent_since = 0.0
        self._tone_score = 0.0

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Seconds of sound since the start, or since `answered`."""
        return self._rows * STEP - self._offset

    @property
    def label(self) -> Label | None:
        """The verdict that stands; None before the first and after a revocation."""
        return self._label

    @property
    def held(self) -> bool:
        return self._held

    @property
    def speaking(self) -> bool:
        """Somebody, or some machine, speaks now."""
        return self._speech.speaking

    @property
    def scores(self) -> tuple[tuple[str, float], ...]:
        """Each stream of evidence between 0 (against a person) and 1; tones and music: how surely they are there."""
        spoken = self._speech.spoken
        timing = 0.5 if not self._speech.utterances else 1 / (1 + math.exp((spoken - self.parameters.recording) / 0.45))
        found = [
            ("timing", timing),
            ("first_utterance", self._speech.first_length),
            ("tones", self._tone_score),
            ("music", self._music),
        ]
        if self._phrase is not None:
            found.append(("phrases", 1.0 if self._phrase.label is Label.HUMAN else 0.0))
        return tuple((name, round(value, 3)) for name, value in found)

    # --- input ------------------------------------------------------------------------------------------------------

    def feed(self, frame: bytes | memoryview) -> list[Event]:
        """Sound at 16 kHz, int16 native, any number of whole samples; frames of 20 ms are usual. What it changes."""
        samples = np.frombuffer(frame, dtype=np.int16)
        for row in self._spectrum.feed(samples):
            self._rows += 1
            self._hear(row)
        return self._taken()

    def heard(self, text: str, language: str | None = None) -> list[Event]:
        """Words that were recognised on this leg so far unreported; `language` is a BCP 47 tag where it is known."""
        phrase = phrases.find(text, language)
        if phrase is not None and not self.early and not self._final:
            self._phrase = phrase
            evidence = f"heard {phrase.words!r}"
            if phrase.label is not Label.HUMAN:
                self._say(phrase.label, held=True, evidence=evidence)
            elif self._label is not Label.HUMAN and self._quiet > 0.25 and self._speech.spoken <= self.parameters.short:
                self._say(Label.HUMAN, held=False, evidence=evidence)
        return self._taken()

    def answered(self) -> None:
        """The leg was answered: time starts, and everything may be said."""
        self.early = False
        self._offset = self._rows * STEP
        self._label = None
        self._held = False
        self._tones.forget()
        self._restart(None)
        self._silent_since = 0.0
        self._last_speech = -100.0

    # --- inside -----------------------------------------------------------------------------------------------------

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    @property
    def _quiet(self) -> float:
        """Seconds since the last voice; 0 before the first and while there is one."""
        speech = self._speech
        return self.seconds - speech.ended if speech.utterances and not speech.voiced else 0.0

    @property
    def _final(self) -> bool:
        return self._held and self._label in _FINAL

    def _say(self, label: Label, *, held: bool, evidence: str, q850: int | None = None) -> None:
        if self.early and (label not in _EARLY or not held):
            return
        if label is self._label and (self._held or not held):
            return
        if self._label is Label.HUMAN and label is not Label.HUMAN:
            self._revoke(evidence)
        if label is not self._label:
            self._decided_at = self.seconds
            self._spoken_at_verdict = self._speech.spoken
        self._label, self._held, self._evidence = label, held, evidence
        at = round(self.seconds, 3)
        self._events.append(Verdict(label, held, at, self.scores, q850, evidence))

    def _revoke(self, evidence: str) -> None:
        assert self._label is not None
        self._events.append(Revoked(self._label, round(self.seconds, 3), evidence))
        self._label, self._held = None, False

    def _restart(self, after: Label | None) -> None:
        self._all_spoken += self._speech.spoken
        self._speech.restart()
        self._after = after
        if after in (Label.MUSIC, Label.RINGBACK):
            self._phrase = None  # somebody else speaks now
        self._spoken_at_verdict = 0.0

    def _hear(self, row: Row) -> None:
        now = self._rows * STEP
        recently = now - self._last_speech < self.parameters.spoken_recently
        musical = self._music > self.parameters.music or self._tones.notes(now) >= MELODY
        for tone in self._tones.feed(row, now, spoken=recently, musical=musical):
            self._tone(tone)
        sounding = self._tones.sounding
        speech = self._speech
        torn = self._label in (Label.RINGBACK, Label.BUSY) and self._tones.resembles(row, now)
        speech.feed(row, self.seconds, tone=sounding or torn, pending=self._tones.pending)
        limits = self.parameters
        if speech.speaking and not sounding and speech.length > 0.3 and speech.purity < limits.pure:
            self._last_speech = now
        if self.early:
            return
        self._listen_for_music(row, now, sounding)
        if not self._final:
            self._judge(now, sounding)

    def _tone(self, tone: Heard) -> None:
        self._tone_score = 1.0 if tone.sure else 0.5
        if self.early or not self._final or tone.kind in ("busy", "sit", "fax"):
            label = Label.VOICEMAIL if tone.kind == "beep" else Label(tone.kind)
            self._say(label, held=tone.sure, evidence=tone.text, q850=tone.q850)
        if label_needs_new_turn(tone):
            self._restart(Label.RINGBACK)

    def _listen_for_music(self, row: Row, now: float, sounding: bool) -> None:
        melody = self._tones.notes(now) >= MELODY
        if row.level > -50.0 and not row.lost:
            steady = 1.0 if melody else (0.0 if sounding else row.steady)
            self._music += (steady - self._music) * 0.03
        elif not row.lost:
            self._music *= 0.985
        self._music_for = self._music_for + STEP if self._music > self.parameters.music else 0.0
        if self._music_for >= self.parameters.music_time and not self._final:
            self._say(Label.MUSIC, held=self._music_for > 4.0, evidence=f"held notes {self._music:.2f}")

    def _judge(self, now: float, sounding: bool) -> None:
        at = self.seconds
        limits = self.parameters
        speech = self._speech
        musical = self._music > limits.music
        if musical or (self._label is Label.MUSIC and self._music > 0.7 * limits.music):
            # Music goes on: what sounds is not a turn of speech.
            if self._label is Label.MUSIC:
                self._restart(Label.MUSIC)
            return
        if not speech.utterances:
            quiet = at - max(self._tones.last_tone - self._offset, 0.0)
            if self._label in (None, Label.SILENCE) and quiet > limits.silence and not sounding:
                self._say(Label.SILENCE, held=quiet > limits.silence_held, evidence=f"nothing for {quiet:.1f} s")
            return
        if self._label is Label.HUMAN:
            self._doubt(at)
        if speech.voiced and self._label is not Label.HUMAN:
            if speech.spoken >= limits.recording and self._label not in (Label.MACHINE, Label.PHONE_MENU):
                self._say(Label.MACHINE, held=False, evidence=f"{speech.spoken:.1f} s of speech")
            elif speech.spoken >= limits.certain and self._label is Label.MACHINE:
                self._say(Label.MACHINE, held=True, evidence=f"{speech.spoken:.1f} s of speech")
        elif not speech.voiced:
            self._consider_person(at, at - speech.ended)

    def _doubt(self, at: float) -> None:
        """A person's verdict stands: does it hold, or is it revoked?"""
        limits = self.parameters
        speech = self._speech
        if self._held:
            return
        if speech.voiced:
            more = speech.spoken - self._spoken_at_verdict
            limit = limits.resumed if speech.last_gap < limits.resumed_within else limits.resumed_later
            if more >= limit and speech.length >= 0.8 * limit:
                self._revoke(f"speech went on for {more:.1f} s")
        else:
            hold = limits.hold_long if self._spoken_at_verdict > limits.recording else limits.hold
            if at - speech.ended >= hold:
                self._say(Label.HUMAN, held=True, evidence=f"quiet for {hold:g} s after the greeting")

    def _consider_person(self, at: float, quiet: float) -> None:
        limits = self.parameters
        speech = self._speech
        spoken = speech.spoken
        tone = (
            self._label in (Label.FAX, Label.BUSY) and at - (self._tones.last_tone - self._offset) < limits.after_tone
        )
        if (
            self._label is not Label.HUMAN
            and not tone
            and speech.steadiness < limits.notes
            and speech.purity < limits.pure
            and spoken >= limits.shortest
        ):
            person = self._phrase is not None and self._phrase.label is Label.HUMAN
            machine = self._phrase is not None and not person
            if self._after is Label.MACHINE:
                fits = spoken <= limits.late and quiet >= 1.0 and not machine
            elif machine:
                fits = False
            elif spoken <= limits.short:
                fits = quiet >= limits.pause + limits.pause_per_second * spoken
            elif person:
                fits = spoken <= 2 * limits.long and quiet >= limits.pause
            else:
                breath = speech.longest_gap <= limits.breath
                fits = spoken <= limits.long and breath and quiet >= limits.long_pause
            if fits and self._music > limits.doubtful and quiet < limits.long_pause:
                fits = False
            if fits:
                self._say(Label.HUMAN, held=False, evidence=f"{spoken:.1f} s of speech, then quiet")
                return
        if quiet >= limits.turn and speech.utterances:
            if self._label is Label.HUMAN:
                if self._held:
                    self._restart(None)
            else:
                self._restart(Label.MACHINE)


def label_needs_new_turn(tone: Heard) -> bool:
    """After ringing, whoever speaks has only now answered."""
    return tone.kind == "ringback"
