"""Legs, bridges, the leg reaper, gateway behaviour and the dial policy."""
