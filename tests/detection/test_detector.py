"""Who answered: what the detector says of made sounds, and when it takes it back."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from cordboard.detection import Detector, Event, Label, Revoked, Verdict
from cordboard.detection.tone_plans import Tone, shapes
from cordboard.transfer import events as transfer

from .sounds import Sound, babbling, cadence, frames, quiet, tone


def listen(*pieces: Sound, detector: Detector | None = None, noise: float = 0.0005) -> list[Event]:
    detector = detector or Detector()
    return [event for frame in frames(*pieces, noise=noise) for event in detector.feed(frame)]


def verdicts(events: list[Event]) -> list[tuple[str, bool]]:
    return [(event.label.value, event.held) for event in events if isinstance(event, Verdict)]


def test_labels_are_those_of_transfers() -> None:
    """The driver passes labels on by name."""
    assert {label.value for label in Label} == {label.value for label in transfer.Label}


@pytest.mark.parametrize("shape", shapes(), ids=lambda s: f"{s.country}-{s.kind}-{s.cadence}")
def test_every_tone_of_the_world_plans_is_recognised(shape: Tone) -> None:
    sound = cadence(shape.frequencies, shape.cadence, max(4.0, 1.3 * sum(shape.cadence)), shape.modulation)
    events = listen(quiet(0.5), sound)
    last = [event for event in events if isinstance(event, Verdict)][-1]
    assert (last.label, last.held) == (shape.kind, True)


@pytest.mark.parametrize(
    ("frequencies", "lengths", "cause"),
    [
        ((950, 1400, 1800), (0.33, 0.33, 0.33), 4),
        ((913.8, 1370.6, 1776.7), (0.274, 0.274, 0.38), 22),
        ((985.2, 1370.6, 1776.7), (0.38, 0.274, 0.38), 1),
        ((913.8, 1428.5, 1776.7), (0.274, 0.38, 0.38), 42),
        ((985.2, 1428.5, 1776.7), (0.38, 0.38, 0.38), 34),
    ],
)
def test_special_information_tones_carry_their_q850_cause(
    frequencies: tuple[float, ...], lengths: tuple[float, ...], cause: int
) -> None:
    pieces = [tone((frequency,), length) for frequency, length in zip(frequencies, lengths, strict=True)]
    events = listen(quiet(0.4), *pieces, quiet(1))
    held = [event for event in events if isinstance(event, Verdict) and event.held]
    assert [(event.label, event.q850) for event in held] == [(Label.SIT, cause)]


def test_a_short_greeting_is_a_person_provisionally_then_for_good() -> None:
    events = listen(quiet(0.5), babbling(0.8), quiet(4))
    assert verdicts(events) == [("human", False), ("human", True)]
    assert 0.4 <= events[0].at - 1.3 <= 0.8
    assert not any(isinstance(event, Revoked) for event in events)


def test_a_beep_revokes_a_person() -> None:
    """Lesson 25: a voicemail's 200 OK is not a human."""
    events = listen(quiet(0.5), babbling(1.2), quiet(1.2), tone((1000,), 0.5), quiet(2))
    assert [type(event) for event in events] == [Verdict, Revoked, Verdict]
    assert verdicts(events) == [("human", False), ("voicemail", True)]
    assert events[-1].at - 2.9 <= 0.7


def test_continued_speech_revokes_a_person_and_says_machine() -> None:
    events = listen(quiet(0.5), babbling(1.0), quiet(0.85), babbling(5.0, 2), quiet(1))
    assert isinstance(events[1], Revoked)
    assert verdicts(events)[0] == ("human", False)
    assert ("machine", False) in verdicts(events)


def test_hello_said_twice_stays_a_person() -> None:
    """Lesson 26: a person who asks again is not a voicemail."""
    events = listen(quiet(0.4), babbling(0.5), quiet(2.0), babbling(0.5, 3), quiet(4))
    assert verdicts(events)[-1] == ("human", True)
    assert not any(isinstance(event, Revoked) for event in events)


def test_a_long_recording_is_a_machine_within_three_and_a_half_seconds() -> None:
    events = listen(quiet(0.2), babbling(7), quiet(1))
    assert verdicts(events) == [("machine", False), ("machine", True)]
    assert events[0].at <= 3.7


def test_a_person_after_ringing_behind_the_answer() -> None:
    """A PBX answers, rings on, and then somebody says hello."""
    events = listen(quiet(0.2), cadence((440, 480), (2, 4), 6), babbling(0.7), quiet(4))
    assert verdicts(events)[-1] == ("human", True)
    assert ("ringback", True) in verdicts(events)


def test_fax_tones() -> None:
    assert verdicts(listen(quiet(0.3), tone((2100,), 3.0), quiet(1)))[-1] == ("fax", True)
    calling = verdicts(listen(quiet(0.3), cadence((1100,), (0.5, 3.0), 7.2)))
    assert calling == [("fax", False), ("fax", True)]


def test_nothing_is_silence_and_a_late_hello_is_still_a_person() -> None:
    events = listen(quiet(5), babbling(0.6), quiet(1.5))
    assert [label for label, _ in verdicts(events)] == ["silence", "human"]


def test_held_notes_are_music() -> None:
    chords = [tone((f, 1.25 * f, 1.5 * f, 3 * f), 0.5) for f in (262, 294, 349, 330, 262, 392, 349, 294)]
    events = listen(quiet(0.2), *chords, *chords)
    assert events
    assert verdicts(events)[-1][0] == "music"
    assert all(label == "music" for label, _ in verdicts(events))


def test_a_person_after_a_menu_and_music() -> None:
    """A queue ends with somebody who says hello; until then nobody is there."""
    chords = [tone((f, 1.25 * f, 1.5 * f, 3 * f), 0.5) for f in (262, 294, 349, 330, 262, 392, 349, 294)]
    detector = Detector()
    listen(quiet(0.3), babbling(2.5), quiet(0.5), detector=detector)
    assert verdicts(detector.heard("For sales, press one."))[-1] == ("phone_menu", True)
    waiting = listen(quiet(1.0), *chords, *chords, detector=detector)
    assert "human" not in {label for label, _ in verdicts(waiting)}
    events = listen(quiet(0.6), babbling(0.8, 4), quiet(4), detector=detector)
    assert verdicts(events)[-1] == ("human", True)


def test_before_the_answer_only_sure_tones_are_told() -> None:
    """A verdict ends the attempt there, so a provisional one must not be given."""
    busy = listen(quiet(0.3), cadence((480, 620), (0.5, 0.5), 4), detector=Detector(early=True))
    assert verdicts(busy) == [("busy", True)]
    assert not listen(quiet(0.3), babbling(1), quiet(6), detector=Detector(early=True))


def test_the_answer_starts_the_time() -> None:
    detector = Detector(early=True)
    assert verdicts(listen(cadence((440, 480), (2, 4), 9), detector=detector)) == [("ringback", True)]
    detector.answered()
    assert detector.seconds == 0
    assert detector.label is None
    events = listen(quiet(0.5), babbling(0.7), quiet(1.2), detector=detector)
    assert verdicts(events)[0] == ("human", False)
    assert events[0].at < 2.2


@pytest.mark.parametrize(
    ("text", "language", "label"),
    [
        ("Please leave a message after the beep.", "en-US", Label.VOICEMAIL),
        ("For sales, press one", None, Label.PHONE_MENU),
        ("Für den Vertrieb drücken Sie die eins", "de", Label.PHONE_MENU),
        ("Bitte hinterlassen Sie eine Nachricht nach dem Signalton", "de-DE", Label.VOICEMAIL),
        ("Deje su mensaje después de la señal", "es", Label.VOICEMAIL),
        ("Laissez-moi un message après le bip", "fr", Label.VOICEMAIL),
        ("Le numéro que vous avez demandé n'est plus attribué", "fr", Label.MACHINE),
    ],
)
def test_phrases_decide_at_once(text: str, language: str | None, label: Label) -> None:
    detector = Detector()
    listen(quiet(0.3), babbling(1.0), quiet(1.0), detector=detector)
    events = detector.heard(text, language)
    assert isinstance(events[0], Revoked)
    assert verdicts(events) == [(label.value, True)]


def test_a_persons_words_are_no_machines() -> None:
    detector = Detector()
    listen(quiet(0.3), babbling(0.5), quiet(0.4), detector=detector)
    assert verdicts(detector.heard("Hello?")) == [("human", False)]


def test_noise_is_not_speech() -> None:
    assert [label for label, _ in verdicts(listen(quiet(6), noise=0.01))] == ["silence"]


def test_a_lost_packet_does_not_tear_a_ringing_tone() -> None:
    sound = cadence((425,), (1.0, 4.0), 7)
    for start in (4000, 12_000, 85_000):
        sound[start : start + 640] = 0
    assert verdicts(listen(quiet(0.5), sound))[-1] == ("ringback", True)


def test_any_sound_in_any_pieces_gives_bounded_memory_and_no_error() -> None:
    random = np.random.default_rng(5)
    detector = Detector()
    tracemalloc.start()
    for _ in range(40):
        samples = (random.normal(size=int(random.integers(1, 4000))) * random.choice((0, 5, 3000, 60000))).clip(
            -32768, 32767
        )
        detector.feed(samples.astype(np.int16).tobytes())
    before = tracemalloc.get_traced_memory()[0]
    for frame in frames(babbling(20), cadence((425,), (0.5, 0.5), 10)):
        detector.feed(frame)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000


def test_costs_little() -> None:
    """The figure (5 ms of CPU for a second of sound) is measured alone; this catches a change of its order."""
    detector = Detector()
    pieces = list(frames(quiet(0.5), babbling(4), cadence((425,), (0.5, 0.5), 4), quiet(1.5)))
    best = 1.0
    for _ in range(5):
        before = time.process_time()
        for frame in pieces:
            detector.feed(frame)
        best = min(best, (time.process_time() - before) / (len(pieces) * 0.02))
    assert best <= 0.015


def test_digital_silence_between_bursts_is_not_a_lost_packet() -> None:
    """Silence suppression and made tones have exact zeros in their gaps."""
    events = listen(quiet(0.3), cadence((480, 620), (0.25, 0.25), 3), noise=0.0)
    assert verdicts(events)[-1] == ("busy", True)
