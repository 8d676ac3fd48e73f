"""SDES keys for SRTP: `a=crypto`. RFC 4568, RFC 7714 §14."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from cordboard.sdp.errors import MalformedDescriptionError, UnwritableDescriptionError

__all__ = ["SUITES", "KeyPair", "Keys"]

# Suite -> octets of master key and salt. RFC 4568 §6.2, RFC 7714 §14.2
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}


@dataclass(frozen=True, slots=True)
class Keys:
    """One SDES key. key_salt: master key and salt together, before base64. The repr does not show it."""

    suite: str
    key_salt: bytes
    tag: int = 1

    @classmethod
    def parse(cls, text: str) -> Keys:
        """Read the value of a=crypto. Session parameters and an MKI are not spoken: they raise (RFC 4568 §5.1.2)."""
        words = text.split()
        if len(words) < 3 or not words[0].isascii() or not words[0].isdigit() or len(words[0]) > 9:
            raise MalformedDescriptionError("a=crypto has a tag, a suite and a key (RFC 4568 §9.1)")
        suite = words[1].upper()
        if suite not in SUITES or len(words) > 3:
            raise MalformedDescriptionError("the suite or its session parameters are not spoken (RFC 4568 §6.2)")
        method, _, rest = words[2].partition(":")
        material, _, tail = rest.partition("|")
        if method.lower() != "inline" or ";" in words[2] or ":" in tail:
            raise MalformedDescriptionError("one inline key without MKI is expected (RFC 4568 §6.1)")
        try:
            key_salt = base64.b64decode(material + "=" * (-len(material) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise MalformedDescriptionError("the key is not base64 (RFC 4568 §6.1)") from None
        if len(key_salt) != SUITES[suite]:
            raise MalformedDescriptionError("the key has the wrong length (RFC 4568 §6.2)")
        return cls(suite, key_salt, int(words[0]))

    def __str__(self) -> str:
        """The value of a=crypto: it is a secret."""
        if self.suite not in SUITES or len(self.key_salt) != SUITES[self.suite]:
            raise UnwritableDescriptionError("the suite is not known or the key has the wrong length (RFC 4568 §6.2)")
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.key_salt).decode()}"

    def __repr__(self) -> str:
        return f"Keys({self.suite!r}, tag={self.tag})"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both keys of a session: the one we protect with, the one the peer protects with."""

    send: Keys
    receive: Keys
