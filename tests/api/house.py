"""An API over a real database, with keys of two workspaces and a recorded call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from cordboard.api import ApiSettings, HashedKeys, Key, RecordCollector, Scope, create_app, digest
from cordboard.records import (
    TRANSFER_ACTION,
    CallRecord,
    CallStatus,
    CallType,
    DisconnectReason,
    ExecutedAction,
    Recording,
    RecordSettings,
    RecordStore,
    RecordWriter,
    TelephonyHangup,
    TransferReturnValue,
)

KEYS = HashedKeys(
    [
        Key("k1", "space-1", digest("key-one"), (Scope.READ, Scope.WRITE)),
        Key("k2", "space-2", digest("key-two"), (Scope.READ, Scope.WRITE, Scope.TRACE)),
        Key("k3", "space-1", digest("key-trace"), (Scope.TRACE,)),
        Key("k4", "*", digest("key-operator"), (Scope.ADMIN,)),
    ]
)
ONE = {"Authorization": "Bearer key-one"}
TWO = {"Authorization": "Bearer key-two"}
TRACE = {"Authorization": "Bearer key-trace"}
OPERATOR = {"Authorization": "Bearer key-operator"}


@dataclass
class FakeAgent:
    model_id: str
    workspace_id: str


class FakeAgents:
    agents = (FakeAgent("model-1", "space-1"), FakeAgent("model-2", "space-2"))

    def agent(self, model_id: str, /) -> FakeAgent | None:
        return next((agent for agent in self.agents if agent.model_id == model_id), None)

    def agent_by_number(self, number: str, /) -> FakeAgent | None:
        return self.agents[0] if number == "+15550100" else None


@dataclass
class FakeControl:
    heard: list[tuple[str, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    listening: bool = True
    drains: bool = False

    def typed(self, call_id: str, text: str) -> bool:
        self.heard.append((call_id, text))
        return self.listening

    def hang_up(self, call_id: str) -> bool:
        self.ended.append(call_id)
        return True

    def live_calls(self) -> int:
        return 3

    def draining(self) -> bool:
        return self.drains


@dataclass
class House:
    store: RecordStore
    writer: RecordWriter
    control: FakeControl
    app: FastAPI
    client: httpx.AsyncClient
    folder: Path

    async def record_calls(self) -> None:
        """``done`` of space-1 (a warm transfer, all of it), ``live`` of space-1, ``foreign`` of space-2."""
        call = CallRecord(
            "done", "model-1", "space-1", CallType.INBOUND, "+15550001", "+15550100", 1_700_000_000.25, name="Desk"
        )
        writer = self.writer
        writer.open_call(call)
        writer.update_call(
            "done",
            status=CallStatus.IN_PROGRESS,
            answered_at=1_700_000_001.25,
            prompt_variables={"X-Account": "<b>7</b>"},
            recordings=(Recording("caller.wav", "done/caller.wav"), Recording("evil", "../secret")),
        )
        writer.transcript("done", "bot", "Good\nmorning", started=1_700_000_001.5)
        writer.transcript("done", "human", "<script>alert(1)</script>", started=1_700_000_003.0)
        writer.event("done", "leg.answered", leg="caller", data={"status": 200}, at=1_700_000_001.25)
        writer.event("done", "transfer.step", data={"html": "</code><img src=x>"}, at=1_700_000_002.0)
        writer.sip_message(
            "done", "in", "udp", "10.0.0.1:5060", "10.0.0.2:5060",
            b"INVITE sip:+15550100@10.0.0.1 SIP/2.0\r\nAuthorization: Digest response=\"secret\"\r\n\r\n",
        )  # fmt: skip
        transfer = ExecutedAction(
            "a1", "action_transfer_call", TRANSFER_ACTION, 1_700_000_002.0, 1_700_000_020.0,
            return_value=TransferReturnValue("transfer-success", "none", 1_700_000_010.5),
            attempts=({"destination": "sip:bob@example.com", "sip_status": 200},), verified=True,
        )  # fmt: skip
        failed = replace(
            transfer, action_id="a0", return_value=TransferReturnValue("transfer-failed-timeout", "no_answer")
        )
        writer.action("done", failed)
        writer.action("done", transfer)
        writer.action("done", ExecutedAction("a2", "look_up", "custom_function_action_type", 1.0))
        writer.warning("done", "header ignored: X-Bad Name")
        writer.close_call(
            "done",
            status=CallStatus.COMPLETED,
            end_call_reason="human_ended_call",
            telephony_hangup=TelephonyHangup.CALLER,
            telephony_disconnect_reason=DisconnectReason.CALLER_HANGUP,
            at=1_700_000_031.25,
        )
        writer.open_call(replace(call, call_id="live", started_at=1_700_000_100.0, from_number="+15550002"))
        writer.open_call(replace(call, call_id="foreign", workspace_id="space-2", model_id="model-2"))
        await writer.flush()
        (self.folder / "recordings" / "done").mkdir(parents=True)
        (self.folder / "recordings" / "done" / "caller.wav").write_bytes(b"RIFF0123456789")
        (self.folder / "secret").write_bytes(b"secret")


def with_house(
    folder: Path,
    body: Callable[[House], Awaitable[None]],
    agents: FakeAgents | None = None,
    **settings: object,
) -> None:
    async def run() -> None:
        limits = RecordSettings(flush=0.01, prepared_limit=5)
        store = await RecordStore.open(f"sqlite:///{folder}/records.db", limits)
        writer = RecordWriter(store.engine, limits)
        await writer.start()
        control = FakeControl()
        registry = CollectorRegistry()
        registry.register(RecordCollector(writer.counts))
        values = ApiSettings(version="9.9", recordings=folder / "recordings")
        app = create_app(
            store, KEYS, store, control, replace(values, **settings),  # type: ignore[arg-type]
            agents=agents, metrics=registry,
        )  # fmt: skip
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            house = House(store, writer, control, app, client, folder)
            await house.record_calls()
            try:
                await body(house)
            finally:
                await writer.aclose()
                await store.aclose()

    asyncio.run(run())
