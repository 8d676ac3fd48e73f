"""Placeholders, X-header rules and escaping, without I/O."""
