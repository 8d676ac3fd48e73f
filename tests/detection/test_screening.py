"""Screening: keys at once, yes and no only as whole utterances."""

from __future__ import annotations

import pytest

from cordboard.detection import SCREENING_GRAMMAR, Answer, Screening, answer_of
from cordboard.speech.grammar import compile_grammar, expansions, parse
from cordboard.speech.ports import SpeechTimeoutError, Utterance


def test_keys_answer_and_the_first_answer_stays() -> None:
    screening = Screening()
    assert screening.key("5") is None
    answered = screening.key("1")
    assert answered is not None
    assert (answered.answer, answered.by) == (Answer.ACCEPTED, "key")
    assert screening.key("2") is None
    assert screening.answered is answered


def test_two_declines() -> None:
    answered = Screening().key("2")
    assert answered is not None
    assert answered.answer is Answer.DECLINED


def test_a_long_an_unsure_and_a_failed_utterance_mean_nothing() -> None:
    screening = Screening()
    assert screening.utterance(Utterance("yes", "accepted", 1.0, 0.0, 2.3)) is None
    assert screening.utterance(Utterance("yes", "accepted", 0.2, 0.0, 0.5)) is None
    fault = SpeechTimeoutError("any", "decode", "late")
    assert screening.utterance(Utterance("", None, 1.0, 0.0, 0.5, fault=fault)) is None
    assert screening.utterance(Utterance("who is it", None, 1.0, 0.0, 1.0)) is None
    answered = screening.utterance(Utterance("yes", "accepted", 1.0, 0.0, 0.5))
    assert answered is not None
    assert answered.by == "voice"


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("Yes, please.", "en-GB", Answer.ACCEPTED),
        ("Put him through.", "en", Answer.ACCEPTED),
        ("No, thanks.", "en", Answer.DECLINED),
        ("Ja, gerne.", "de", Answer.ACCEPTED),
        ("Nein danke", "de-AT", Answer.DECLINED),
        ("Sí, claro.", "es", Answer.ACCEPTED),
        ("Ahora no", "es", Answer.DECLINED),
        ("Oui, bien sûr", "fr", Answer.ACCEPTED),
        ("Pas maintenant", "fr-CA", Answer.DECLINED),
        ("Yes, but who is it?", "en", None),
        ("In five minutes", "en", None),
        ("Ja, wer ist denn da?", "de", None),
        ("I know", "en", None),
        ("", "en", None),
    ],
)
def test_free_text_counts_only_as_a_whole(text: str, language: str, answer: Answer | None) -> None:
    assert answer_of(text, language) is answer


def test_no_competing_phrase_is_an_answer() -> None:
    """A sentence in both branches would be a matter of luck."""
    compiled = compile_grammar(SCREENING_GRAMMAR, lambda word: True)
    answers = {s for phrases in SCREENING_GRAMMAR.intents.values() for p in phrases for s in expansions(parse(p))}
    competing = {s for phrase in SCREENING_GRAMMAR.competing for s in expansions(parse(phrase))}
    assert not answers & competing
    assert all(compiled.intent(sentence) is not None for sentence in answers if sentence)
    assert len(competing) > 10 * len(SCREENING_GRAMMAR.intents)
