"""Runs the detector, and the rules beside it, over one half of the corpus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cordboard.detection import Detector, Event, Label, Verdict

from .baselines import Opinion, asterisk_amd, timing_only
from .corpus import Clip
from .sounds import resample

NOT_PEOPLE = ("voicemail", "phone_menu", "machine", "music", "busy", "ringback", "sit", "fax", "silence")
TONES = {"voicemail": "voicemail", "sit": "sit", "fax": "fax", "busy": "busy", "ringback": "ringback"}
TRANSCRIPT_DELAY = 0.6
"""Seconds after the end of a sentence at which the transcript in question arrives."""


def frames(samples: NDArray[np.int16]) -> Iterable[bytes]:
    """20 ms at 16 kHz, as a tap gives them."""
    wide = np.clip(resample(samples.astype(np.float64), 8000, 16000), -32768, 32767).astype(np.int16)
    for start in range(0, len(wide) - 319, 320):
        yield wide[start : start + 320].tobytes()


@dataclass(slots=True)
class Result:
    """What the detector said of one clip."""

    clip: Clip
    events: list[Event] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0
    amd: Opinion = field(default_factory=lambda: Opinion("unsure", 0))
    timing: Opinion = field(default_factory=lambda: Opinion("unsure", 0))

    def label_at(self, at: float) -> tuple[str, bool]:
        """The verdict that stood at that moment ("none" without one), and whether it was held."""
        found, held = "none", False
        for event in self.events:
            if event.at > at:
                break
            found, held = (event.label.value, event.held) if isinstance(event, Verdict) else ("none", False)
        return found, held

    @property
    def final(self) -> str:
        return self.label_at(1e9)[0]

    def first(self, label: str, after: float = 0.0) -> float | None:
        """When the label was said first, in seconds."""
        for event in self.events:
            if isinstance(event, Verdict) and event.label == label and event.at >= after:
                return event.at
        return None

    @property
    def ever_held_human(self) -> bool:
        return any(isinstance(e, Verdict) and e.held and e.label is Label.HUMAN for e in self.events)


def run(clip: Clip, *, transcript: bool = False, rules: bool = True) -> Result:
    """Feeds a clip; with `transcript` each sentence's true text comes TRANSCRIPT_DELAY after its end."""
    result = Result(clip)
    detector = Detector()
    waiting = [(said.ended + TRANSCRIPT_DELAY, said) for said in clip.said] if transcript else []
    pieces = list(frames(clip.samples))
    before = time.process_time()
    for index, frame in enumerate(pieces):
        result.events += detector.feed(frame)
        while waiting and (index + 1) * 0.02 >= waiting[0][0]:
            said = waiting.pop(0)[1]
            result.events += detector.heard(said.text, said.language)
    result.cpu = time.process_time() - before
    result.seconds = len(pieces) * 0.02
    if rules:
        result.amd = asterisk_amd(clip.samples)
        result.timing = timing_only(clip.samples)
    return result


# --- figures ----------------------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    return float(np.percentile(values, share * 100)) if values else float("nan")


def share(results: Sequence[Result], wanted: Iterable[Result]) -> tuple[int, int]:
    return sum(1 for _ in wanted), len(results)


def people(results: Iterable[Result]) -> list[Result]:
    return [r for r in results if r.clip.label == "human"]


def machines(results: Iterable[Result]) -> list[Result]:
    return [r for r in results if r.clip.label != "human"]


def recalled(result: Result) -> bool:
    """A person was found, and the verdict stood at the clip's end."""
    return result.final == "human"


def fooled_at_3(result: Result) -> bool:
    """A verdict for a person, provisional or held, stood 3 s after the answer."""
    return result.label_at(3.0)[0] == "human"


def decision_delays(results: Iterable[Result]) -> list[float]:
    """Seconds from the end of a person's greeting to the first verdict that stood then or came later."""
    found = []
    for result in people(results):
        ended = result.clip.greeting_ended or 0.0
        if result.label_at(ended)[0] == "human":
            found.append(0.0)
            continue
        at = result.first("human", ended)
        if at is not None:
            found.append(at - ended)
    return found


def tone_delays(results: Iterable[Result], label: str) -> list[float]:
    """Seconds from the tone's start to the first right verdict."""
    found = []
    for result in results:
        if result.clip.label == label and result.clip.tone_started is not None:
            at = result.first(TONES[label], result.clip.tone_started)
            if at is not None:
                found.append(at - result.clip.tone_started)
    return found


def confusion(results: Iterable[Result]) -> dict[str, Counter[str]]:
    """True label -> last verdict -> clips."""
    table: dict[str, Counter[str]] = {}
    for result in results:
        table.setdefault(result.clip.label, Counter())[result.final] += 1
    return table
