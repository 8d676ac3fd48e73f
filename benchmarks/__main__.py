"""``python -m benchmarks [NAMES…]``: run the parts, print one table, write var/bench.json.

Without names every part runs. `--full` takes each part's own gate at its word (200 calls/s for 60 s, more rounds).
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Callable

from benchmarks import calls, figures, sip_parse
from benchmarks.figures import Figure


def parse(full: bool) -> list[Figure]:
    """Parsing and writing one message."""
    return [
        Figure(
            each["name"].replace("sip ", "sip.", 1),
            each["value"],
            each["unit"],
            gate="" if each["gate"] is None else f"≤ {each['gate']:g} µs",
            met=None if each["gate"] is None else each["value"] <= each["gate"],
            note="with header values that were seen before" if "," in each["name"] and "parse" in each["name"] else "",
        )
        for each in sip_parse.measure()
    ]


def signalling(full: bool) -> list[Figure]:
    """Calls, transfers, rate and memory."""
    return calls.measure(full=full)


def media(full: bool) -> list[Figure]:
    """The media engine: a program of its own that writes its figures into the same file."""
    try:
        importlib.import_module("benchmarks.media.__main__")
    except ImportError as error:
        return [Figure("media", None, "", note=f"cannot be measured here: {error}")]
    rounds = ("--rounds", "5") if full else ("--rounds", "2", "--seconds", "2")
    status = subprocess.run([sys.executable, "-m", "benchmarks.media", *rounds], check=False).returncode
    found = [figure for figure in figures.read() if figure.name.startswith("media.")]
    if status not in (0, 1) or not found:
        return [Figure("media", None, "", note=f"ended with status {status}")]
    return found


PARTS: dict[str, Callable[[bool], list[Figure]]] = {"parse": parse, "calls": signalling, "media": media}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PARTS)}; all of them where none is named")
    parser.add_argument("--full", action="store_true", help="longer runs and more rounds")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in PARTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(PARTS)}")
    found: list[Figure] = []
    for name in given.names or PARTS:
        print(f"{name} …", flush=True)
        made = PARTS[name](given.full)
        figures.write(made)
        found += made
    print()
    print(figures.table(found))
    print(f"\nwritten to {figures.OUTPUT}")
    return 0 if all(figure.met is not False for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
