"""Removing secrets from SIP messages before they are written down (security.md).

Masked: the credentials of Authorization and Proxy-Authorization (RFC 3261 §20.7, §20.28), passwords in SIP URIs
(§19.1.1), media keys in SDP (`a=crypto` RFC 4568, `a=key-mgmt` RFC 4567, `k=` RFC 4566 §5.12), digits in INFO and KPML
bodies, and the values of configured headers, in header lines and as URI headers. The patterns run over the whole
message, so that they also hold inside multipart and message/sip bodies. Masking too much is safe, too little is not.
"""

from __future__ import annotations

import re

MASK = b"[masked]"

_LINE = rb"(?:^|(?<=[\r\n]))"
# A value goes on over folded lines. RFC 3261 §7.3.1
_VALUE = rb"[^\r\n]*(?:(?:\r\n|\n|\r)[ \t]+[^\r\n]*)*"

_CREDENTIALS = re.compile(
    _LINE + rb"((?:Proxy-)?Authorization[ \t]*:[ \t]*(?:[A-Za-z0-9!%*_+`'~.-]{1,32}(?=[ \t]))?)" + _VALUE,
    re.IGNORECASE,
)
# The lengths are bounded so that a hostile message cannot make the search quadratic.
_PASSWORD = re.compile(rb"(sips?:[^\s@<>:;?]{0,128}:)[^\s@<>;?]{0,128}@", re.IGNORECASE)
_CRYPTO = re.compile(_LINE + rb"(a=crypto:[^\r\n]{0,128}?inline:)[^\r\n]*", re.IGNORECASE)
_CRYPTO_OTHER = re.compile(_LINE + rb"(a=crypto:(?![^\r\n]{0,128}?inline:\[masked\]))[^\r\n]*", re.IGNORECASE)
_KEYS = re.compile(_LINE + rb"(a=key-mgmt:|k=|a=ice-pwd:)[^\r\n]*", re.IGNORECASE)
_SIGNAL = re.compile(_LINE + rb"([ \t]*(?:Signal|Digit|d)[ \t]*=[ \t]*)[^\r\n]*", re.IGNORECASE)
_KPML = re.compile(rb"(\bdigits[ \t]*=[ \t]*)(?:\"[^\"]{0,256}\"|'[^']{0,256}')", re.IGNORECASE)
_DTMF_TYPE = re.compile(_LINE + rb"(?:Content-Type|c)[ \t]*:[^\r\n]*(?:dtmf|telephone-event|kpml)", re.IGNORECASE)
_BODY = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class TraceMask:
    """The masking of one server. `headers` are further header names whose values are hidden."""

    def __init__(self, headers: tuple[str, ...] = ()) -> None:
        self._header: re.Pattern[bytes] | None = None
        self._parameter: re.Pattern[bytes] | None = None
        names = b"|".join(re.escape(name.strip().encode()) for name in headers if name.strip())
        if names:
            self._header = re.compile(_LINE + rb"((?:" + names + rb")[ \t]*:[ \t]*)" + _VALUE, re.IGNORECASE)
            # The same header as a URI header, as in Refer-To. RFC 3261 §19.1.1
            self._parameter = re.compile(rb"([?&](?:" + names + rb")=)[^&>\s\";]*", re.IGNORECASE)

    def __call__(self, data: bytes) -> bytes:
        """`data` with every secret replaced; the length may change."""
        lower = data.lower()
        if b"authorization" in lower:
            data = _CREDENTIALS.sub(lambda found: found[1] + b" " + MASK, data)
        if b"@" in data:
            data = _PASSWORD.sub(lambda found: found[1] + MASK + b"@", data)
        if b"a=" in lower or b"k=" in lower:
            data = _CRYPTO.sub(lambda found: found[1] + MASK, data)
            data = _CRYPTO_OTHER.sub(lambda found: found[1] + MASK, data)
            data = _KEYS.sub(lambda found: found[1] + MASK, data)
        if lower.startswith(b"info ") or _DTMF_TYPE.search(data):
            data = _mask_digits(data)
        if self._header is not None and self._parameter is not None:
            data = self._header.sub(lambda found: found[1] + MASK, data)
            data = self._parameter.sub(lambda found: found[1] + MASK, data)
        return data


def _mask_digits(data: bytes) -> bytes:
    found = _BODY.search(data)
    if found is None:
        return data
    head, body = data[: found.end()], data[found.end() :]
    masked = _KPML.sub(lambda match: match[1] + b'"' + MASK + b'"', _SIGNAL.sub(lambda match: match[1] + MASK, body))
    # application/dtmf carries nothing but the digits.
    if masked == body and body.strip() and len(body.strip()) <= 32:
        masked = MASK
    return head + masked
