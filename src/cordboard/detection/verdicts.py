"""What a detector says: labels, verdicts, revocations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Label(StrEnum):
    """Who or what answered."""

    HUMAN = "human"
    VOICEMAIL = "voicemail"
    """A beep or a voicemail phrase."""
    PHONE_MENU = "phone_menu"
    """A menu phrase; timing alone says MACHINE."""
    FAX = "fax"
    SILENCE = "silence"
    RINGBACK = "ringback"
    BUSY = "busy"
    """Busy or reorder tone."""
    MUSIC = "music"
    SIT = "sit"
    """Special information tones (ITU-T E.180)."""
    MACHINE = "machine"
    """Recorded speech, unsure which."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An opinion, valid until the next :class:`Verdict` or :class:`Revoked`.

    `held` False is provisional: good enough to choose how to open, and it may still be revoked. `at` is in seconds
    of sound since the detector's first sample (since ``answered()`` where that was called). `scores` has each
    evidence stream between 0 and 1. `q850` is the cause of special information tones. `evidence` says why, in words
    for the record.
    """

    label: Label
    held: bool
    at: float
    scores: tuple[tuple[str, float], ...] = ()
    q850: int | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Revoked:
    """The last verdict no longer stands. `label` is the one that is taken back, `evidence` why."""

    label: Label
    at: float
    evidence: str = ""


Event = Verdict | Revoked
