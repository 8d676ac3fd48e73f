"""A value made safe for the place where it is put. Values are data: none can end the place it stands in."""

from __future__ import annotations

import json
from enum import StrEnum
from urllib.parse import quote

from .errors import HeaderRuleError


class Place(StrEnum):
    """Where a value goes."""

    TEXT = "text"  # prompts and speech: nothing to end, control characters become spaces
    HEADER = "header"  # a SIP header value
    URI = "uri"  # a component of a SIP URI or of an HTTP query
    JSON = "json"  # inside a string of a JSON body, between its quotes


# RFC 3986 §2.3: what never needs escaping in any component. Everything else is percent-encoded, so that no value
# can add a parameter, a header or a host to a URI (RFC 3261 §19.1.2).
_UNRESERVED = "-._~"
_FORBIDDEN = {"\r": "CR", "\n": "LF", "\0": "NUL"}


def escape(value: str, place: Place) -> str:
    """The value for its place. Raises HeaderRuleError for CR, LF or NUL in a header value."""
    if place is Place.URI:
        return quote(value, safe=_UNRESERVED, errors="replace")
    if place is Place.JSON:
        return json.dumps(value)[1:-1]
    if place is Place.HEADER:
        for character, name in _FORBIDDEN.items():
            if character in value:
                raise HeaderRuleError("", f"{name} is not allowed in a header value", "RFC 3261 §25.1")
        return value
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in value)
