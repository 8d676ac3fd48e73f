"""Tags, branches and Call-IDs from the system's secure source of chance."""

from __future__ import annotations

from secrets import token_hex

from cordboard.sip.via import MAGIC_COOKIE


class RandomIdentifiers:
    """What the core takes as its Identifiers (RFC 3261 §19.3: at least 32 bits of chance)."""

    def tag(self) -> str:
        """80 bits."""
        return token_hex(10)

    def branch(self) -> str:
        """The cookie and 80 bits (RFC 3261 §8.1.1.7)."""
        return MAGIC_COOKIE + token_hex(10)

    def call_id(self) -> str:
        """128 bits, without a host: the name of a machine is nobody's business (RFC 3261 §20.8)."""
        return token_hex(16)
