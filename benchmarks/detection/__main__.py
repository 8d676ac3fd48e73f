"""``python -m benchmarks.detection``: make the corpus, measure both halves, write the page and the figures.

``--tuning`` measures the tuning half only and prints it: for work on the detector, which must not look at the other.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks import figures

from . import corpus, measure, report, screened
from .measure import Result

FOLDER = Path("var/detection")
PAGE = Path("docs/reference/detection.md")


def results(half: str, *, transcript: bool = False) -> list[Result]:
    return [measure.run(clip, transcript=transcript, rules=not transcript) for clip in clips(half)]


def clips(half: str) -> Iterable[corpus.Clip]:
    return corpus.read(FOLDER, half)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--keep", action="store_true", help="use the corpus that is there")
    arguments = parser.parse_args()
    if not arguments.keep or not (FOLDER / "test" / "clips.json").exists():
        print(f"{corpus.write(FOLDER, arguments.seed)} clips in {FOLDER}")
    if arguments.tuning:
        tuning = results("tuning")
        empty = report.Run(tuning, tuning, len(tuning), screened.Heard({"unrelated": Counter(none=1)}), arguments.seed)
        print(report.markdown(empty))
        return 0
    run = report.Run(
        results("test"),
        results("test", transcript=True),
        sum(1 for _ in clips("tuning")),
        screened.measure(FOLDER / "speech", seed=arguments.seed + 200),
        arguments.seed,
    )
    PAGE.write_text(report.markdown(run))
    found = report.figures(run)
    figures.write(found)
    print(figures.table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
