"""Checks docs/rfc.md: every file and every test that it names exists, every state is one of three words, and the
checklist of the signalling core is there in full.

A row of its tables is: section | what | state | code | tests. Code and tests are paths in backquotes; a test names a
function behind ``::``. In the table of the checklist the first cell is the number of the line, 1 to 46.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
STATES = ("implemented", "partial", "absent")
HEADS = ("line", "section", "rfc")
CHECKLIST = range(1, 47)


def faults(text: str) -> list[str]:
    """What is wrong, a line each."""
    found: list[str] = []
    rows = 0
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or set(line) <= set("|-: ") or cells[0].lower() in HEADS:
            continue
        rows += 1
        if len(cells) != 5:
            found.append(f"docs/rfc.md:{number}: a row has five cells: section, what, state, code, tests")
            continue
        state, code, tests = cells[2].lower(), cells[3], cells[4]
        if cells[0].isdecimal():
            lines.append(int(cells[0]))
            if "::" not in tests:
                found.append(f"docs/rfc.md:{number}: line {cells[0]} of the checklist names no test function")
        if state not in STATES:
            found.append(f"docs/rfc.md:{number}: the state {cells[2]!r} is none of {', '.join(STATES)}")
        if state != "absent" and not re.search(r"`[^`]+`", code):
            found.append(f"docs/rfc.md:{number}: {cells[0]} names no code")
        if state == "implemented" and not re.search(r"`[^`]+::[^`]+`", tests):
            found.append(f"docs/rfc.md:{number}: {cells[0]} names no test function")
        for reference in re.findall(r"`([^`]+)`", f"{code} {tests}"):
            path, _, function = reference.partition("::")
            file = ROOT / path
            if not file.exists():
                found.append(f"docs/rfc.md:{number}: there is no {path}")
            elif function and not re.search(
                rf"^\s*(async )?(def|class) {re.escape(function)}\b", file.read_text(), re.M
            ):
                found.append(f"docs/rfc.md:{number}: {path} has no {function}")
    found += [f"docs/rfc.md: line {line} of the checklist is missing" for line in CHECKLIST if line not in lines]
    found += [f"docs/rfc.md: there is no line {line}" for line in lines if line not in CHECKLIST]
    found += [f"docs/rfc.md: line {line} is there twice" for line in sorted(set(lines)) if lines.count(line) > 1]
    if not rows:
        found.append("docs/rfc.md: no rows")
    return found


def main() -> int:
    found = faults((ROOT / "docs/rfc.md").read_text())
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
