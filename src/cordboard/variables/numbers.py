"""Telephone numbers: E.164 and what people write instead."""

from __future__ import annotations

_SEPARATORS = frozenset(" \t-.()/")
_DIGITS = frozenset("0123456789")


def is_e164(number: str) -> bool:
    """``+`` and 7 to 15 digits, the first not 0 (ITU-T E.164 §6; shorter ones are no international numbers)."""
    digits = number[1:]
    return number[:1] == "+" and 7 <= len(digits) <= 15 and digits[0] != "0" and all(c in _DIGITS for c in digits)


def normalise(text: str) -> str | None:
    """E.164 from what carriers and people write (visual separators, ``tel:``, ``00``, no plus); None where unclear.

    A number without ``+`` or ``00`` counts only where it is long enough (10 digits) to be an international one.
    """
    number = text.strip()
    if number[:4].lower() == "tel:":
        number = number[4:].partition(";")[0]
    number = "".join(c for c in number if c not in _SEPARATORS)
    if number.startswith("00"):
        number = "+" + number[2:]
    elif not number.startswith("+"):
        if len(number) < 10:
            return None
        number = "+" + number
    return number if is_e164(number) else None


def without_plus(number: str) -> str:
    """For gateways that refuse the plus."""
    return number.removeprefix("+")


def same(left: str, right: str) -> bool:
    """Whether two spellings name one number; text that is no number is compared as it is."""
    return (normalise(left) or left.strip()) == (normalise(right) or right.strip())
