"""What a transfer needs of the rooms that it does not know: declared here, fitted by them without an import."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cordboard.directory.actions import HeaderExtractor
from cordboard.sip.address import Address
from cordboard.sip.config import Credentials
from cordboard.sip.uri import Uri

from .effects import CallerId
from .events import Refused
from .outcome import Claim, Outcome, Reason


class Speech(Protocol):
    """Rendered speech: 16-bit signed native samples, one channel, ``rate`` Hz."""

    @property
    def rate(self) -> int: ...
    @property
    def data(self) -> bytes: ...
    @property
    def seconds(self) -> float: ...


class Speaker(Protocol):
    """The agent's voice."""

    async def render(self, text: str) -> Speech:
        """All of ``text``. Raises within a time limit of its own; the transfer then goes on without it."""


class Briefer(Protocol):
    """Writes what the person is told before the caller comes."""

    async def brief(self) -> str:
        """The whisper. Where the model is late or fails, the message template."""


class Preparer(Protocol):
    """Runs what must precede the dialling: custom actions, header extractors."""

    async def prepare(self) -> Sequence[Refused]:
        """The targets found unfit. Raises PreparationError where nothing can be dialled."""


class Context(Protocol):
    """What the conversation knows and a transfer needs. Each answers within a limit of its own and never raises."""

    async def run_before(self, action_ids: Sequence[str]) -> None:
        """Run these actions; their results are variables of the call afterwards."""

    async def header(self, name: str, extractor: HeaderExtractor) -> str:
        """The value of a header, read out of the conversation, or its default."""

    async def summary(self, prompt: str, template: str) -> str:
        """The briefing, written from the conversation, or the template."""


class PreparationError(Exception):
    """Nothing can be dialled. ``cause`` is a ``LocalCause`` value."""

    def __init__(self, cause: str, text: str) -> None:
        super().__init__(text)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Route:
    """How one target is reached: everything of its INVITE or REFER but the media."""

    uri: Uri
    from_: Callable[[CallerId], Address]
    headers: Callable[[CallerId], Sequence[tuple[str, str]]]
    next_hop: Uri | None = None
    credentials: Credentials | None = None
    referred_by: Address | None = None
    secure: bool = False
    """Offer SRTP only."""
    take: Callable[[], Callable[[], None]] = lambda: lambda: None
    """Counts the leg against its gateway's limits; the result gives it back. Raises DialRefusedError."""


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What the conversation is told. ``returned``: the caller is with the agent again; else the call is over."""

    outcome: Outcome
    reason: Reason
    returned: bool
    message: str = ""
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """A transfer action has begun to run."""

    call_id: str
    action_id: str
    name: str
    mode: str
    description: str = ""
    parameters: dict[str, object] = field(default_factory=dict)
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class TransferStep:
    """One line of the attempt's timeline: what came in, where the machine went, what it asked for. Replayable."""

    call_id: str
    action_id: str
    event: str
    detail: dict[str, object]
    state: str
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TransferNews:
    """Progress for people: ringing, answered, bridged, ..."""

    call_id: str
    action_id: str
    name: str
    leg: str = ""


@dataclass(frozen=True, slots=True)
class TransferClaimed:
    """The outcome, once."""

    call_id: str
    action_id: str
    name: str
    claim: Claim
    caller_silence_ms: int


@dataclass(frozen=True, slots=True)
class TransferFinished:
    """Every leg has ended; ``claim`` holds the evidence as it stands at the end."""

    call_id: str
    action_id: str
    name: str
    claim: Claim


TransferEvent = TransferStarted | TransferStep | TransferNews | TransferClaimed | TransferFinished
TransferSink = Callable[[TransferEvent], None]
