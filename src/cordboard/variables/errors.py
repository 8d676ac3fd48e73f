"""What can be wrong with variables and headers: an error where we are the author, a warning where a peer is."""

from __future__ import annotations

from dataclasses import dataclass


class HeaderRuleError(ValueError):
    """A header that must not be sent.

    ``header`` names it, ``rule`` says what it breaks, ``section`` where the rule stands.
    """

    def __init__(self, header: str, rule: str, section: str = "") -> None:
        self.header = header
        self.rule = rule
        self.section = section
        super().__init__(": ".join(part for part in (header, rule, section) if part))


@dataclass(frozen=True, slots=True)
class VariableWarning:
    """Something that did not stop the call and belongs on its record: what, and which rule it broke."""

    subject: str
    rule: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.rule}"
