"""Session descriptions and offer/answer, without I/O."""
