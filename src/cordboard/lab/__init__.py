"""Simulated people and machines as real SIP endpoints."""
