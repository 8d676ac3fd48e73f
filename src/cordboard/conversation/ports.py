"""What a conversation asks of rooms that it does not know; they fit these structurally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from cordboard.calls.call import Call
from cordboard.directory.actions import LiveTransfer
from cordboard.directory.agents import Agent, AttachedAction

from .call_actions import CallActions
from .narrator import Narrator


class Report(Protocol):
    """How a transfer went. ``returned``: the caller is with the agent again; else the call is over."""

    @property
    def outcome(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def returned(self) -> bool: ...
    @property
    def message(self) -> str: ...


class Transfers(Protocol):
    """Runs transfer actions."""

    async def run(
        self,
        call: Call,
        agent: Agent,
        attached: AttachedAction,
        action: LiveTransfer,
        arguments: Mapping[str, object],
        narrator: Narrator,
        park: Callable[[], None],
        context: CallActions | None = None,
    ) -> Report:
        """Transfer the caller; answers when the caller is back or the call is over.

        ``context`` runs what the transfer waits for, reads headers out of the conversation and summarises it.
        """


class PreparedCall(Protocol):
    """A call announced by ``POST /v2/prepare_inbound``."""

    @property
    def prepared_id(self) -> str: ...
    @property
    def model_id(self) -> str: ...
    @property
    def custom_variables(self) -> Mapping[str, object]: ...


class ClaimAnswer(Protocol):
    """The prepared call, or a word for why there is none (``unknown``, ``used``, ``expired``, ``foreign``)."""

    @property
    def prepared(self) -> PreparedCall | None: ...
    @property
    def refusal(self) -> str | None: ...


class PreparedCalls(Protocol):
    """The prepared inbound calls, each of which one INVITE may take."""

    async def claim_prepared(self, prepared_id: str, *, workspace_id: str | None, call_id: str) -> ClaimAnswer: ...

    async def claim_matching(
        self, from_number: str, to_number: str, *, workspace_id: str | None, call_id: str
    ) -> ClaimAnswer: ...
