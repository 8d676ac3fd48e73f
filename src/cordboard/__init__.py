"""Cordboard: AI voice agents that answer SIP calls and hand live calls to people."""

__version__ = "0.1.0"
