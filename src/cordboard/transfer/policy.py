"""What the machine needs of a plan, and nothing more. ``plan.Plan.policy()`` makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .effects import CallerId
from .outcome import Method, Outcome


class ReferSuccess(StrEnum):
    """How a gateway shows that a referred call went through (its profile's ``success``)."""

    FINAL_NOTIFY = "final_notify"
    WEAK_200 = "weak_200"  # reports 200 before a person answered
    BYE = "bye"  # ends our leg and reports nothing
    UNKNOWN = "unknown"  # as final_notify


class OnMenu(StrEnum):
    """What to do when a phone menu answers."""

    WAIT = "wait"
    FAIL = "fail"
    KEYS = "keys"


class OnFailure(StrEnum):
    """Where the caller goes when the transfer has failed."""

    RETURN = "return"  # back to the agent
    END = "end"  # the call ends


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds for every wait that is not a choice of the action."""

    preparation: float = 10.0
    announcement: float = 30.0
    digits: float = 60.0
    verdict_hold: float = 3.0
    whisper: float = 120.0
    screening: float = 10.0
    introduction: float = 60.0
    bridge_media: float = 5.0
    refer_report: float = 60.0
    refer_after_bye: float = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """One destination as the machine sees it. ``ring_timeout`` in seconds from the INVITE (or REFER) on."""

    destination: str
    gateway: str = ""
    method: Method = Method.INVITE
    ring_timeout: float = 30.0
    caller_id: CallerId = CallerId.AGENT
    caller_id_refusals: frozenset[int] = frozenset()  # statuses after which the agent's number is tried once
    refer_success: ReferSuccess = ReferSuccess.FINAL_NOTIFY


@dataclass(frozen=True, slots=True)
class Policy:
    """``rounds`` lists target indexes: the targets of one round are dialled together, rounds follow each other.

    ``fallback_round`` is the round to go on with when a REFER is refused (``refer_fallback: invite``); REFER rounds
    are followed by nothing else. ``on_failure`` without an entry: RETURN after an INVITE, END after a REFER.
    """

    targets: tuple[Target, ...]
    rounds: tuple[tuple[int, ...], ...]
    fallback_round: int | None = None
    retry_delay: float = 0.0  # seconds before a destination is dialled again
    prepare: bool = False
    announcement: str = ""
    digits: str = ""
    human_detection: bool = False
    human_timeout: float = 60.0
    voicemail_detection: bool = False
    early_media_detection: bool = False
    on_menu: OnMenu = OnMenu.WAIT
    menu_keys: str = ""
    whisper: bool = False
    pause_before: float = 0.0
    pause_after: float = 0.0
    screening: bool = False
    introduction: str = ""
    goodbye: str = ""
    failed_message: str = ""
    stop_recording: bool = False
    on_failure: Mapping[Outcome, OnFailure] = field(default_factory=dict)
    fallback: Mapping[Outcome, str] = field(default_factory=dict)  # words for the agent, not for the machine
    on_person_left: OnFailure = OnFailure.END
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def detects(self) -> bool:
        """Whether an answered leg is listened to by the detector."""
        return self.human_detection or self.voicemail_detection
