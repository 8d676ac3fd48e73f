# ruff: noqa: E501  text of the page
"""Writes ``docs/reference/detection.md`` from one measured run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure
from cordboard.detection import Label

from . import measure as m
from .corpus import CODECS, NOISES
from .measure import Result
from .screened import Heard

COMMAND = "python -m benchmarks.detection"
SPEAKING = ("voicemail", "phone_menu", "machine")


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that was measured."""

    test: Sequence[Result]
    transcript: Sequence[Result]
    tuning: int
    """Clips of the tuning half."""
    screening: Heard
    seed: int


def _part(count: int, total: int) -> str:
    return f"{count} of {total} ({count / total:.1%})" if total else "-"


def _recall(results: Sequence[Result]) -> tuple[int, int]:
    people = m.people(results)
    return sum(map(m.recalled, people)), len(people)


def _fooled(results: Iterable[Result]) -> tuple[int, int]:
    machines = m.machines(results)
    return sum(map(m.fooled_at_3, machines)), len(machines)


def _held(results: Iterable[Result], at: float = 1e9) -> tuple[int, int]:
    machines = m.machines(results)
    return sum(result.label_at(at) == ("human", True) for result in machines), len(machines)


def _tones(results: Sequence[Result]) -> list[float]:
    return [delay for label in m.TONES for delay in m.tone_delays(results, label)]


def _cpu(results: Sequence[Result]) -> float:
    return 1000 * sum(result.cpu for result in results) / sum(result.seconds for result in results)


def figures(run: Run) -> list[Figure]:
    """The goals, and whether they are met."""
    recalled, people = _recall(run.test)
    fooled, machines = _fooled(run.test)
    delay = m.percentile(m.decision_delays(run.test), 0.95)
    tones = m.percentile(_tones(run.test), 0.95)
    cpu = _cpu(run.test)
    false_yes, unrelated = run.screening.false_yes
    rows = (
        ("people found", 100 * recalled / people, "%", "≥ 98", recalled / people >= 0.98, _part(recalled, people)),
        ("machines taken for people 3 s after the answer", 100 * fooled / machines, "%", "≤ 1", fooled / machines <= 0.01,
         _part(fooled, machines)),
        ("person decided after the greeting ends, p95", delay, "s", "≤ 0.8", delay <= 0.8, ""),
        ("tones, from their start, p95", tones, "s", "≤ 0.7", tones <= 0.7, ""),
        ("CPU for a second of sound", cpu, "ms", "≤ 5", cpu <= 5, ""),
        ("screening: yes heard in something else", 100 * false_yes / unrelated, "%", "≤ 1", false_yes / unrelated <= 0.01,
         _part(false_yes, unrelated)),
    )  # fmt: skip
    return [
        Figure(f"detection: {name}", value, unit, gate=gate, met=met, note=note)
        for name, value, unit, gate, met, note in rows
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows] + [""]


def _confusion(results: Sequence[Result]) -> list[str]:
    confusion = m.confusion(results)
    said = [label.value for label in Label if any(row[label.value] for row in confusion.values())] + ["none"]
    rows = [
        (f"**{label}**", *(row[name] or "" for name in said), row.total(), f"{row[label] / row.total():.1%}")
        for label, row in confusion.items()
    ]
    return _table(("true \\ last verdict", *said, "clips", "right"), rows)


def _condition(name: str, results: Sequence[Result]) -> tuple[object, ...]:
    recalled, people = _recall(results)
    fooled, machines = _fooled(results)
    delays = m.decision_delays(results)
    tones = _tones(results)
    return (
        name,
        len(results),
        _part(recalled, people),
        _part(fooled, machines),
        f"{m.percentile(delays, 0.5):.2f} / {m.percentile(delays, 0.95):.2f}",
        f"{m.percentile(tones, 0.5):.2f} / {m.percentile(tones, 0.95):.2f}",
    )


def _rules(results: Sequence[Result]) -> list[str]:
    people, machines = m.people(results), m.machines(results)
    speaking = [result for result in machines if result.clip.label in SPEAKING]

    def row(name: str, human: Callable[[Result], bool], at_3: Callable[[Result], bool]) -> tuple[object, ...]:
        return (
            name,
            _part(sum(map(human, people)), len(people)),
            _part(sum(map(at_3, machines)), len(machines)),
            _part(sum(map(at_3, speaking)), len(speaking)),
            _part(sum(map(human, machines)), len(machines)),
        )

    return _table(
        ("rule", "people found", "machines called human at 3 s", "of these, machines that speak", "called human in the end"),
        [
            row("Cordboard", m.recalled, m.fooled_at_3),
            row("Cordboard, held verdicts only", lambda r: r.label_at(1e9) == ("human", True), lambda r: r.label_at(3.0) == ("human", True)),
            row("Asterisk AMD, defaults", lambda r: r.amd.label == "human", lambda r: r.amd.label == "human" and r.amd.at <= 3.0),
            row("timing only", lambda r: r.timing.label == "human", lambda r: r.timing.label == "human" and r.timing.at <= 3.0),
        ],
    )  # fmt: skip


def markdown(run: Run) -> str:
    """The page."""
    results = run.test
    goals = figures(run)
    missed = [figure.name.removeprefix("detection: ") for figure in goals if not figure.met]
    lines = [
        "# Who answered: what was measured",
        "",
        f"<!-- Generated by `{COMMAND}`; do not edit. -->",
        "",
        f"Every figure on this page comes from one run of `{COMMAND}` (seed {run.seed}), on synthetic telephone sound:",
        f"{run.tuning + len(results)} clips in ten classes, spoken by espeak-ng and flite in English, German, Spanish and French",
        "(the test half also in Italian, Dutch and Portuguese), through noise, babble, µ-law, A-law, GSM and a narrow band, and",
        f"up to 5 % packet loss in bursts. The thresholds were set on the tuning half ({run.tuning} clips); the figures are of the test half",
        f"({len(results)} clips), which was not looked at for that. The halves share no voice, no sentence, no country's tone plan, no style of music",
        "and no beep frequency. Many countries have the same tones, so for ringing and busy the split is weaker than it sounds.",
        "",
        "The test half was measured twice. The first time melodies of single notes were taken for beeps (26 of 100 clips of music), 94.6 % of the",
        "people were found, and yes was heard in 3 of 179 other sentences; melodies and the grammar were then mended on other draws of the",
        "same kinds, nothing else was changed, and everything was measured again. The row for music is therefore not untouched.",
        "",
        "Synthetic voices are not people, and these pauses were chosen by us. Expect other figures on real calls:",
        "`cordboard detect FOLDER` measures your own recordings, where folders name the labels.",
        "",
        "## Goals",
        "",
        *_table(
            ("", "measured", "goal", "met", ""),
            [(f.name.removeprefix("detection: "), f"{f.value:.2f} {f.unit}", f"{f.gate} {f.unit}", "yes" if f.met else "**no**", f.note) for f in goals],
        ),
    ]  # fmt: skip
    if missed:
        lines += [f"Not met: {'; '.join(missed)}.", ""]
    held, machines = _held(results)
    held_at_3, _ = _held(results, 3.0)
    lines += [
        "A person counts as found when the verdict stands at the end of the clip. A machine counts as taken for a person when a verdict for a",
        "person, provisional or held, stands 3 s after the answer. Such a provisional verdict only chooses how the call is opened:",
        f"held by then were {_part(held_at_3, machines)}, held by the end of the clip {_part(held, machines)}. A sentence that is followed by a pause as long as a",
        "listener's sounds like a greeting; only what comes next tells, and then the verdict is revoked. Tones are timed from",
        "their first sound: beep, special information tones, fax, and the first burst of a cadence.",
        "",
        "## Last verdicts on the test half",
        "",
        *_confusion(results),
        "Timing cannot tell a menu from an announcement or a voicemail whose beep has not come: `machine` is the honest answer",
        "without a transcript.",
        "",
        "## Beside other rules, on the same clips",
        "",
        *_rules(results),
        "Asterisk's AMD is written from its documentation with its documented defaults. It gives up after 5 s, and knows no tones and no",
        "music: most of those that it calls human are such. *Timing only* is a fixed rule on loudness.",
        "",
        "## By condition",
        "",
        "Times in seconds, median / p95: a person's verdict after the end of the greeting; a tone's after its start.",
        "",
        *_table(
            ("condition", "clips", "people found", "machines called human at 3 s", "person decided", "tone decided"),
            [_condition("all", results)]
            + [_condition(f"noise: {n}", [r for r in results if r.clip.noise == n]) for n in NOISES]
            + [_condition(f"codec: {c}", [r for r in results if r.clip.codec == c]) for c in CODECS]
            + [_condition(f"loss: {x:.0%}", [r for r in results if r.clip.loss == x]) for x in (0.0, 0.01, 0.03, 0.05)],
        ),
        "Noise is 15 to 32 dB (line), 12 to 25 dB (car) or 12 to 22 dB (babble) under the speech.",
        "",
        "## Times of tones",
        "",
        *_table(
            ("tone", "found", "median", "p95"),
            [
                (label, _part(len(d), sum(r.clip.label == label for r in results)), f"{m.percentile(d, 0.5):.2f} s", f"{m.percentile(d, 0.95):.2f} s")
                for label in m.TONES
                for d in [m.tone_delays(results, label)]
            ],
        ),
        "## With a transcript",
        "",
        f"The same clips, with the true text of each sentence {m.TRANSCRIPT_DELAY:g} s after its end, as a perfect recogniser would give it: an upper bound.",
        "",
        *_confusion(run.transcript),
        *_table(
            ("", "people found", "machines called human at 3 s", "held human in the end"),
            [("with transcript", _part(*_recall(run.transcript)), _part(*_fooled(run.transcript)), _part(*_held(run.transcript)))],
        ),
        "## Screening by voice",
        "",
        "Through the embedded recogniser (English) with the full grammar, synthetic voices of both halves, µ-law or A-law, noise 18 to 35 dB down.",
        "Keys are exact and not measured.",
        "",
        *_table(
            ("said \\ understood", "accepted", "declined", "none"),
            [(f"**{kind}**", row["accepted"], row["declined"], row["none"]) for kind, row in run.screening.table.items()],
        ),
        "An answer that is not understood is asked for again; keys always work. The grammar was mended on the same sentences and",
        "voices in other pairings, pitches and noise than in this run; a run with another seed gave 2 of 179.",
        "",
        "## Cost",
        "",
        f"{_cpu(results):.2f} ms of CPU for a second of sound, one call, Python and numpy, without a recogniser.",
        "",
        "## Labelled captures",
        "",
        "Every answered leg can be kept as a capture: a WAV of what came from it, with the verdicts beside it as JSON. Captures are off by default. A capture",
        "is a recording of a person who has not been asked. Turn it on only where the law of both ends allows it, or where everybody",
        "who may be heard has agreed; say so in the announcement, for example: *“This call may be recorded to improve our service.”*",
        "Delete captures when they have been measured. Files are readable by the server's user only.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)
