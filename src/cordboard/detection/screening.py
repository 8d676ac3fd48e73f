# ruff: noqa: E501  phrases are not broken
"""Screening: does the person take the call? Keys 1 and 2 at once, yes and no only through the full grammar.

A grammar of nothing but yes and no hears one of them in half of all sentences. So the answers compete with what
people say besides, and an utterance longer than an answer is never one. Recognisers that give free text are read
by tables of whole utterances.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cordboard.speech.ports import Grammar, Utterance

from .phrases import plain

UTTERANCE_LIMIT = 2.2
"""Seconds; whoever speaks longer has not simply said yes or no."""

CONFIDENCE = 0.5
"""Less sure results of a recogniser are no answer."""


class Answer(StrEnum):
    """What the screened person has decided."""

    ACCEPTED = "accepted"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Answered:
    """The decision: `by` is ``key`` or ``voice``, `text` the key or the words."""

    answer: Answer
    by: str
    text: str


# In the notation of `Grammar`. Words of one syllable that sound like others only count alone or with company.
ACCEPT = (
    "yes [please | sure | of course | i will]",
    "(yeah | yes) sure",
    "yeah",
    "(sure | absolutely | certainly | of course)",
    "[yes | sure] go ahead [please]",
    "[yes | okay | sure] put (them | him | her) through [please]",
    # Without a yes before it "I will take it" is heard in too much.
    "yes connect (them | him | her) [please]",
    "yes (i'll | i will) take (it | the call)",
    "yes i accept [the call]",
)
DECLINE = (
    "(no | nope) [thanks | thank you | sorry | not now | i can't | i cannot]",
    "[sorry | no] not (now | right now | today | at the moment)",
    "(sorry | no) i (can't | cannot | can not) [take it | talk | talk now | right now | take the call]",
    "i (can't | cannot) talk (now | right now)",
    "[sorry | no] i (am | have | do) (busy | no time | not have time)",
    "[sorry | no] (i'm | i am) (busy | in a meeting | not available)",
    "[please] (take a message | tell them to call back | tell them i will call back)",
    "no i (decline | don't want to | do not want to)",
    "[maybe | call back] later",
    "no i don't [have time | want to]",
)
COMPETING = tuple(
    line.strip()
    for line in """
    (hello | hi | hey) [there | hello | who is this | who is it]
    (who | what) (is | was) (this | that | it | calling) [please | about | again]
    what is (this | it | the call) about
    what do (they | you) want
    [i'm] sorry [what | i did not hear | i didn't understand | could you repeat that]
    (what | pardon | excuse me | huh) [was that | did you say]
    (say | repeat) that [again] [please]
    (just | hold on) [a] (moment | minute | second) [please]
    (wait | hold on | hang on) [please | a moment | a minute | a second | let me see | let me think]
    one (moment | minute | second) [please]
    let me (think | see | check | ask | look)
    [well] it depends [who it is | on what they want]
    i (don't | do not) know [yet | who that is | what you mean | this person]
    i (think | guess | suppose) [so | not] [that is right]
    (maybe | perhaps | possibly) [in a minute | in five minutes | tomorrow]
    in (five | ten | two | a few) minutes
    is (this | that | it) (important | urgent | a joke | a robot | a recording | about the order)
    (are you | is this) [a] (robot | machine | computer | person | real)
    (can | could) you (tell me more | ask them | ask who it is | hear me | speak up)
    i (can't | cannot) hear you [very well]
    (he | she) is (not here | in a meeting | at lunch | on another call)
    (this | it) is (me | mike | john | not me | the wrong number)
    you have the wrong number
    (good | nice) (morning | afternoon | evening | to hear)
    how (are you | much | long | many) [today | is it]
    where are (you | they) calling from
    when (did | will) (they | he | she) (call | come)
    (thank you | thanks) [very much | so much | a lot]
    (yesterday | tomorrow | today | tonight | monday | tuesday | friday) [morning | afternoon]
    (the | a | my | your) (meeting | house | office | door | dog | car | phone | order) [is | was] [here | open | late | broken]
    i (was | am) (eating | driving | walking | talking | waiting | going) [home | lunch | now]
    (did | do) you (see | know | hear | have) (the news | that | it | him | her)
    (turn | put) (it | that | the radio | the tv) (on | off | down)
    yes (but | and) (who | what | when | where) is (it | that | this)
    yes i (know | heard | see | said | was) [that | it]
    yes (and | but) no
    (know | knows) [that | it]
    (note | nose | now | new | north | none | nothing | never | next | nice)
    (yesterday | yet | yellow | guess | less | chess | press | dress | mess)
    (shore | sir | shirt | chair | share | show)
    (one | two | three | four | five | six | seven | eight | nine | ten) [o'clock | dollars | people | hundred]
    (okay | alright | all right | right | well | so | um | uh)
    """.splitlines()
    if line.strip()
)

GRAMMAR = Grammar({Answer.ACCEPTED.value: ACCEPT, Answer.DECLINED.value: DECLINE}, COMPETING, "en-US")
"""Give this to a recogniser's `listen`. English, as the embedded recogniser is."""

# Whole utterances, as recognisers write them; the group around makes each of them exclusive.
_ACCEPT: Mapping[str, str] = {
    "en": r"(yes|yeah|yep|sure|of course|absolutely|certainly|okay yes|yes okay)( (please|sure|of course|okay|thanks))?"
    r"|((yes|yeah|okay|sure|ok) )?(put|patch) (them|him|her|it|the call) through( please)?"
    r"|((yes|yeah|okay|sure|ok) )?(connect (them|him|her|us|me|the call)|go ahead|i accept)( please| now| the call)?"
    r"|((yes|yeah|okay|sure|ok) )?(i'll|i will|i can) take (it|the call|this call|that call)",
    "de": r"(ja|jawohl|ja gerne?|gerne?|ja bitte|ja klar|klar|na klar|naturlich|selbstverstandlich|ja naturlich)( bitte)?"
    r"|((ja|okay|gut) )?(bitte )?(verbinden|durchstellen)( sie)?( mich| ihn| sie)?( bitte)?"
    r"|((ja|okay|gut) )?(stellen sie|stell) (ihn |sie |den anruf |bitte )*durch"
    r"|((ja|okay|gut) )?ich (nehme|ubernehme) (das gesprach|den anruf|an|ihn|es)( an)?",
    "es": r"(si|claro|por supuesto|desde luego|vale si|si vale|si claro|adelante|de acuerdo si)( por favor| gracias)?"
    r"|((si|vale) )?(paseme(lo|la)?|conecteme|pongame(lo|la)?|acepto|lo cojo|la cojo)( la llamada)?( por favor)?",
    "fr": r"(oui|ouais|bien sur|oui bien sur|d'accord oui|oui d'accord|volontiers|oui volontiers|certainement|oui allez y)"
    r"( s'il vous plait| merci)?"
    r"|((oui|d'accord) )?(passez (le |la |moi )?(moi|l'appel)?|je (le |la )?prends( l'appel)?|j'accepte|connectez moi)( s'il vous plait)?",
}
_DECLINE: Mapping[str, str] = {
    "en": r"(no|nope|no thanks|no thank you|no sorry|sorry no)|((no|sorry) )?not (now|right now|today|at the moment)"
    r"|((no|sorry) )*(i (can't|cannot|can not)|i'm busy|i am busy|i'm in a meeting|i have no time|i don't have time|i decline)"
    r"( right now| now| talk( now)?| take (it|the call))?|(please )?take a message|(call back |maybe )?later",
    "de": r"(nein|ne|nee|nein danke|leider nein|nein leider nicht)|((nein|leider) )?(jetzt )?(gerade )?(nicht|geht nicht|passt nicht)"
    r"|((nein|leider) )?(ich (habe|hab) (jetzt |gerade )?keine zeit|ich bin (gerade )?beschaftigt|ich kann (jetzt |gerade )?nicht)"
    r"|spater( bitte)?",
    "es": r"(no|no gracias|no puedo|ahora no|lo siento no|no lo siento)( gracias)?"
    r"|((no|ahora) )*(no (tengo tiempo|puedo)|estoy ocupad[oa]|estoy en una reunion)( ahora)?|mas tarde",
    "fr": r"(non|non merci|pas maintenant|desole non|non desole|non pas maintenant)"
    r"|((non|desolee?) )*(je (ne )?(peux|suis) pas( disponible)?|je suis occupee?|je n'ai pas le temps)( maintenant)?|plus tard",
}
_PATTERNS = tuple(
    (answer, {language: re.compile(pattern) for language, pattern in tables.items()})
    for answer, tables in ((Answer.ACCEPTED, _ACCEPT), (Answer.DECLINED, _DECLINE))
)


def answer_of(text: str, language: str = "en-US") -> Answer | None:
    """What a whole utterance says; None where it is anything but a plain yes or no."""
    words = plain(text).replace("-", " ")
    code = language.lower().split("-")[0]
    for answer, patterns in _PATTERNS:
        pattern = patterns.get(code, patterns["en"])
        if pattern.fullmatch(words):
            return answer
    return None


class Screening:
    """One person's screening: the first answer counts, and nothing after it.

    `language` is a BCP 47 tag, for recognisers that give free text. :data:`GRAMMAR` is for those that take one.
    """

    def __init__(self, language: str = "en-US") -> None:
        self.language = language
        self.answered: Answered | None = None

    def key(self, digit: str) -> Answered | None:
        """A key of the keypad: 1 accepts, 2 declines, anything else means nothing."""
        answer = {"1": Answer.ACCEPTED, "2": Answer.DECLINED}.get(digit)
        return self._take(answer, "key", digit)

    def utterance(self, utterance: Utterance) -> Answered | None:
        """A stretch of speech; longer than UTTERANCE_LIMIT, unsure or failed ones mean nothing."""
        length = utterance.ended - utterance.started
        if utterance.fault is not None or length > UTTERANCE_LIMIT or utterance.confidence < CONFIDENCE:
            return None
        if utterance.intent is not None:
            found = Answer(utterance.intent) if utterance.intent in (Answer.ACCEPTED, Answer.DECLINED) else None
        else:
            found = answer_of(utterance.text, self.language)
        return self._take(found, "voice", utterance.text)

    def _take(self, answer: Answer | None, by: str, text: str) -> Answered | None:
        if answer is None or self.answered is not None:
            return None
        self.answered = Answered(answer, by, text)
        return self.answered
