"""The faces that other rooms see of the record: what the server writes to and what the API reads from.

:class:`~cordboard.records.writer.RecordWriter` and :class:`~cordboard.records.store.RecordStore` satisfy them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Unpack

from cordboard.records.models import (
    CallChanges,
    CallDetails,
    CallRecord,
    CallStatus,
    Claim,
    Direction,
    DisconnectReason,
    Event,
    ExecutedAction,
    PreparedCall,
    SipMessage,
    Speaker,
    TelephonyHangup,
)


class CallSink(Protocol):
    """Where a live call is written down. Every method is called on the event loop, returns at once and never raises
    because the database is slow, locked or away. ``at`` defaults to now (epoch seconds)."""

    def open_call(self, call: CallRecord) -> None:
        """Begin the record. Everything else about a call that was never opened is counted and dropped."""

    def update_call(self, call_id: str, **changes: Unpack[CallChanges]) -> None: ...

    def event(
        self,
        call_id: str,
        kind: str,
        *,
        leg: str = "",
        data: Mapping[str, object] | None = None,
        at: float | None = None,
    ) -> None:
        """Add a line to the timeline."""

    def transcript(
        self, call_id: str, speaker: Speaker, text: str, *, started: float | None = None, ended: float | None = None
    ) -> None: ...

    def action(self, call_id: str, action: ExecutedAction) -> None:
        """Add an executed action, or replace the one with the same ``action_id``."""

    def warning(self, call_id: str, text: str) -> None:
        """Note on the record what was tolerated (X-header and X-EI notes); the same text is kept once."""

    def sip_message(
        self,
        call_id: str,
        direction: Direction,
        transport: str,
        local: str,
        remote: str,
        data: bytes,
        *,
        session: str = "",
        at: float | None = None,
    ) -> None:
        """Add a SIP message to the trace. Secrets are masked before it is queued. Late messages (ACK and BYE after
        the call was closed) are still taken."""

    def close_call(
        self,
        call_id: str,
        *,
        status: CallStatus,
        end_call_reason: str,
        telephony_hangup: TelephonyHangup | None = None,
        telephony_disconnect_reason: DisconnectReason | None = None,
        error_message: str | None = None,
        at: float | None = None,
    ) -> None:
        """End the record: sets the end and the duration. The first ending stands, a second one is ignored."""


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to list. Times are epoch seconds; durations seconds. ``workspace_id=None`` means every workspace."""

    workspace_id: str | None = None
    model_id: str | None = None
    status: str | None = None
    started_from: float | None = None
    started_to: float | None = None
    duration_min: int | None = None
    duration_max: int | None = None
    lead_phone_number: str | None = None
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True)
class CallPage:
    total: int
    calls: tuple[CallDetails, ...]


class CallReader(Protocol):
    """What the API and the pages read."""

    async def get_call(self, call_id: str) -> CallDetails | None:
        """The call of that id, or the call that used the prepared call of that id."""

    async def list_calls(self, criteria: CallFilter) -> CallPage:
        """Newest first."""

    async def timeline(self, call_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[Event]:
        """Events with ``seq > after``, in order."""

    async def sip_messages(self, call_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[SipMessage]: ...

    async def ping(self) -> None:
        """Raise when the database does not answer."""


class PreparedCalls(Protocol):
    """Calls announced before their INVITE."""

    async def prepare(
        self,
        *,
        workspace_id: str,
        model_id: str,
        from_number: str,
        to_number: str,
        custom_variables: Mapping[str, object],
    ) -> PreparedCall:
        """Register a call. Raises :class:`PreparedLimitError` when too many are waiting."""

    async def get_prepared(self, prepared_id: str) -> PreparedCall | None: ...

    async def claim_prepared(self, prepared_id: str, *, workspace_id: str | None, call_id: str) -> Claim:
        """Take a prepared call for `call_id`, once. `workspace_id` is that of the number's agent (``None``: any)."""

    async def claim_matching(
        self, from_number: str, to_number: str, *, workspace_id: str | None, call_id: str
    ) -> Claim:
        """For an INVITE without X-EI: take the only unexpired prepared call with the same numbers."""


class PreparedLimitError(Exception):
    """Too many prepared calls wait for their INVITE."""
