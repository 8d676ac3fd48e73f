"""What the API asks of the rooms that it does not import. The composition root hands in whatever satisfies these."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ALL = "*"
"""As a key's workspace: every workspace (an operator's key)."""


class Scope:
    """The scopes of keys that the API asks for. ``admin`` stands for every one."""

    READ = "calls:read"
    WRITE = "calls:write"
    TRACE = "traces:read"
    ADMIN = "admin"


class Principal(Protocol):
    """Who a key belongs to."""

    @property
    def key_id(self) -> str: ...
    @property
    def workspace_id(self) -> str: ...
    @property
    def scopes(self) -> Collection[str]: ...


class KeyDirectory(Protocol):
    """Looks a bearer key up by its hash, in constant time for the key's content."""

    async def verify(self, text: str, /) -> Principal | None: ...


class Agent(Protocol):
    """As much of an agent as the API needs."""

    @property
    def model_id(self) -> str: ...
    @property
    def workspace_id(self) -> str: ...


class AgentDirectory(Protocol):
    """Finds agents. ``None`` means unknown."""

    def agent(self, model_id: str, /) -> Agent | None: ...
    def agent_by_number(self, number: str, /) -> Agent | None: ...


class CallControl(Protocol):
    """What the API may do to a live call. Called on the event loop; False means that the call is not live here or
    cannot take it now."""

    def typed(self, call_id: str, text: str) -> bool:
        """Feed typed caller text into the conversation."""

    def hang_up(self, call_id: str) -> bool:
        """End the call."""

    def live_calls(self) -> int: ...

    def draining(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Times in seconds, sizes in bytes."""

    version: str = "0"
    public_url: str = ""
    """Base of the links in records, without a trailing slash; empty means the address that the client used."""
    recordings: Path = Path("var/recordings")
    body_limit: int = 64 * 1024
    body_timeout: float = 10.0
    rate: float = 50.0
    """Requests a second for each key, and for each address that presents no valid key."""
    burst: int = 100
    rate_table: int = 10_000
    page_limit: int = 100
    text_limit: int = 2_000
    allowed_hosts: tuple[str, ...] = ("*",)
    """Host names that requests may name; anything but ``*`` protects a loopback listener from DNS rebinding."""
