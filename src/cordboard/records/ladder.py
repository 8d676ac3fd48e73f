"""The SIP messages of one call as a ladder in plain text: a column for each address, an arrow for each message.

The text comes from peers, so control characters are shown as ``?``: it is safe in a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from cordboard.records.models import SipMessage

GAP = 34
MAX_COLUMNS = 8


def summary(data: bytes) -> str:
    """What an arrow says: the method and its target's user, or the status with the method it answers."""
    first, _, rest = data.partition(b"\n")
    line = printable(first.decode("utf-8", "replace").strip())
    if not line.startswith("SIP/2.0 "):
        method, _, remainder = line.partition(" ")
        target = remainder.partition(" ")[0]
        return f"{method} {target}".strip()
    status = line.removeprefix("SIP/2.0 ")
    for header in rest.split(b"\n"):
        name, colon, value = header.partition(b":")
        if not header.strip():
            break
        if colon and name.strip().lower() == b"cseq":
            words = printable(value.decode("utf-8", "replace").strip()).split()
            if len(words) == 2:
                return f"{status} ({words[1]})"
    return status


def printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def columns(messages: Sequence[SipMessage]) -> list[str]:
    """Addresses in the order in which they first appear; beyond a few they share the last column, named ``…``."""
    found: list[str] = []
    for message in messages:
        for address in (message.source, message.destination):
            if address not in found:
                found.append(address)
    if len(found) > MAX_COLUMNS:
        found = [*found[: MAX_COLUMNS - 1], "…"]
    return found


def place(names: Sequence[str], address: str) -> int:
    """The column of `address`."""
    return names.index(address) if address in names else len(names) - 1


def render(messages: Sequence[SipMessage], *, truncated: bool = False, gap: int = GAP) -> str:
    """The ladder, one message a line, with seconds since the first. ``gap`` is the width between columns."""
    if not messages:
        return "No SIP messages were recorded.\n"
    names = [printable(name) for name in columns(messages)]
    start = messages[0].at
    margin = 10
    last = margin + gap * (len(names) - 1)
    head = [" "] * (last + gap)
    for index, name in enumerate(names):
        _put(head, margin + index * gap, name[: gap - 2])
    lines = ["".join(head).rstrip()]
    for message in messages:
        row = [" "] * (last + 1)
        for index in range(len(names)):
            row[margin + index * gap] = "|"
        _put(row, 0, f"{message.at - start:8.3f}")
        left = place(names, printable(message.source))
        right = place(names, printable(message.destination))
        label = summary(message.data)
        if left == right:
            lines.append("".join(row).rstrip() + f" {label} (to itself)")
            continue
        low, high = sorted((left, right))
        begin, end = margin + low * gap + 1, margin + high * gap
        for column in range(begin, end):
            row[column] = "-"
        row[end - 1 if right > left else begin] = ">" if right > left else "<"
        room = end - begin - 4
        text = f" {_shorten(label, room - 2)} "
        _put(row, begin + 2 + max(0, (room - len(text)) // 2), text)
        lines.append("".join(row).rstrip())
    if truncated:
        lines.append("(truncated: the trace of this call reached its size limit)")
    return "\n".join(lines) + "\n"


def _shorten(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 1)] + "…"


def _put(row: list[str], at: int, text: str) -> None:
    for offset, character in enumerate(text):
        if at + offset < len(row):
            row[at + offset] = character
