"""Figures: what a benchmark measured, beside what it was measured against and what it is held to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

OUTPUT = Path("var/bench.json")


@dataclass(frozen=True, slots=True)
class Figure:
    """``baseline`` names and values what ran beside it in the same minute; ``ratio`` is value by baseline.

    ``met`` is None where there is no gate, or where it could not be measured; ``note`` then says why.
    """

    name: str
    value: float | None
    unit: str
    baseline: str = ""
    ratio: float | None = None
    gate: str = ""
    met: bool | None = None
    note: str = ""


def write(figures: Iterable[Figure], path: Path = OUTPUT) -> None:
    """Merge into the file: a figure measured again replaces the one of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {}
    if path.exists():
        known = {each["name"]: each for each in json.loads(path.read_text())}
    known |= {each.name: asdict(each) for each in figures}
    path.write_text(json.dumps(list(known.values()), indent=1) + "\n")


def read(path: Path = OUTPUT) -> list[Figure]:
    """What the file holds."""
    return [Figure(**each) for each in json.loads(path.read_text())] if path.exists() else []


def table(figures: Iterable[Figure]) -> str:
    """The figures for a terminal."""
    rows = [("figure", "value", "unit", "against", "ratio", "gate", "met")]
    for each in figures:
        rows.append(
            (
                each.name,
                "-" if each.value is None else f"{each.value:.4g}",
                each.unit,
                each.baseline,
                "" if each.ratio is None else f"{each.ratio:.3g}",
                each.gate,
                {True: "yes", False: "NO", None: each.note or ""}[each.met],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
