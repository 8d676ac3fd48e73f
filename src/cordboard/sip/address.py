"""Addresses by their own name: they are defined beside `Uri`. RFC 3261 §20.10"""

from __future__ import annotations

from cordboard.sip.uri import Address, parse_refer_to

__all__ = ["Address", "parse_refer_to"]
