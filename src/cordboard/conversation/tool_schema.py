"""Checks a tool call's arguments against the tool's JSON schema: what a model says is data until it fits.

The part of JSON Schema that our tools use: type, enum, const, properties, required, additionalProperties, items,
minimum, maximum, minLength, maxLength, minItems, maxItems, pattern, anyOf. Anything else in a schema is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

MAXIMUM_DEPTH = 16
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}


def violations(schema: Mapping[str, object], value: object, at: str = "", depth: int = 0) -> Iterator[str]:
    """What is wrong with `value`, each as ``field: rule``; nothing where it fits. Values are not quoted."""
    name = at or "arguments"
    if depth > MAXIMUM_DEPTH:
        yield f"{name}: nested too deeply"
        return
    kinds = schema.get("type")
    wanted = [kinds] if isinstance(kinds, str) else list(kinds) if isinstance(kinds, Sequence) else []
    if wanted and not any(_is(value, str(kind)) for kind in wanted):
        yield f"{name}: must be {' or '.join(map(str, wanted))}"
        return
    allowed = schema.get("enum")
    if isinstance(allowed, Sequence) and value not in allowed:
        yield f"{name}: must be one of {', '.join(map(str, allowed))}"
    if "const" in schema and value != schema["const"]:
        yield f"{name}: must be {schema['const']}"
    options = schema.get("anyOf")
    if isinstance(options, Sequence) and not any(
        isinstance(option, Mapping) and not list(violations(option, value, at, depth + 1)) for option in options
    ):
        yield f"{name}: fits none of the allowed forms"
    if isinstance(value, str):
        yield from _text(schema, value, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _range(schema, value, name, "minimum", "maximum", "")
    elif isinstance(value, list | tuple):
        yield from _range(schema, len(value), name, "minItems", "maxItems", " items")
        items = schema.get("items")
        if isinstance(items, Mapping):
            for index, each in enumerate(value):
                yield from violations(items, each, f"{at}[{index}]", depth + 1)
    elif isinstance(value, Mapping):
        yield from _object(schema, value, at, depth)


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, (object,)))


def _text(schema: Mapping[str, object], value: str, name: str) -> Iterator[str]:
    yield from _range(schema, len(value), name, "minLength", "maxLength", " characters")
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not re.search(pattern, value):
        yield f"{name}: must match {pattern}"


def _range(schema: Mapping[str, object], size: float, name: str, lowest: str, highest: str, unit: str) -> Iterator[str]:
    low, high = schema.get(lowest), schema.get(highest)
    if isinstance(low, int | float) and size < low:
        yield f"{name}: must be at least {low}{unit}"
    if isinstance(high, int | float) and size > high:
        yield f"{name}: must be at most {high}{unit}"


def _object(schema: Mapping[str, object], value: Mapping[str, object], at: str, depth: int) -> Iterator[str]:
    properties = schema.get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required")
    for key in required if isinstance(required, Sequence) else ():
        if key not in value:
            yield f"{_join(at, str(key))}: is required"
    for key, each in value.items():
        inner = known.get(key)
        if isinstance(inner, Mapping):
            yield from violations(inner, each, _join(at, key), depth + 1)
        elif schema.get("additionalProperties") is False and key not in known:
            yield f"{_join(at, str(key)[:64])}: is unknown"


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key
