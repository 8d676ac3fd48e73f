"""Pages for people: what the record holds, readable in any browser."""

from cordboard.web.pages import install

__all__ = ["install"]
