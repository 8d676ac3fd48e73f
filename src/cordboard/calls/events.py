"""What calls report while they live: frozen facts for whoever stores or shows them, received through a sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cordboard.sip.events import Trace

Party = Literal["caller", "callee"]


@dataclass(frozen=True, slots=True)
class CallOpened:
    """A call has been admitted; nothing about it has been sent yet but 100 Trying."""

    call_id: str
    model_id: str
    workspace_id: str
    direction: Literal["inbound", "outbound"]
    from_number: str
    to_number: str
    sip_call_id: str
    timezone: str = "UTC"
    variables: Mapping[str, object] = field(default_factory=dict)
    custom_variables: Mapping[str, object] = field(default_factory=dict)
    prepared_id: str | None = None
    external_id: str | None = None
    diversion: str | None = None
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """Our 200 has been sent."""

    call_id: str
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Noted:
    """One line of the call's timeline. ``kind`` is dotted: ``leg.answered``, ``dtmf``, ``transfer.step``."""

    call_id: str
    kind: str
    leg: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Warned:
    """Something was tolerated that the user should mend."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """One line of the transcript. Epoch seconds."""

    call_id: str
    speaker: Literal["bot", "human"]
    text: str
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class SipSeen:
    """A SIP message of one of the call's legs crossed the wire."""

    call_id: str
    leg: str
    trace: Trace


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    """``name`` within the call (``caller.wav``); ``path`` relative to the recordings folder."""

    call_id: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class CallClosed:
    """The last fact about a call. ``hung_up_by`` is None where neither party did (an error, a shutdown)."""

    call_id: str
    status: Literal["completed", "failed", "canceled", "user-canceled", "no-answer", "busy"]
    reason: str
    hung_up_by: Party | None = None
    error: str | None = None


CallEvent = CallOpened | CallAnswered | Noted | Warned | Spoken | SipSeen | RecordingStarted | CallClosed
CallEventSink = Callable[[CallEvent], None]
