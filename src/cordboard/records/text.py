"""Making untrusted text and data storable: what a database or JSON cannot hold becomes U+FFFD or ``null``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum

from cordboard.records.models import Json

# Deeper data is a mistake or an attack; it is cut rather than followed.
MAX_DEPTH = 32


def clean(text: str) -> str:
    """`text` without NUL (PostgreSQL refuses it) and without lone surrogates (bytes that were not UTF-8)."""
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\x00", "\ufffd")


def to_json(value: object, depth: int = 0) -> Json:
    """`value` as strict JSON: tuples become lists, dataclasses objects, NaN and infinities null, the rest text."""
    if isinstance(value, Enum):
        return to_json(value.value, depth)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= MAX_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {clean(str(key)): to_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item, depth + 1) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value), depth)
    if isinstance(value, bytes):
        return clean(value.decode("utf-8", "replace"))
    return clean(str(value))


def to_object(value: Mapping[str, object] | None) -> dict[str, Json]:
    """`value` as a JSON object; ``None`` is the empty one."""
    result = to_json(value or {})
    assert isinstance(result, dict)
    return result
