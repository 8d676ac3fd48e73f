"""Reception: every new INVITE becomes a call with an agent on the line, or a refusal with its status."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

import structlog

from cordboard.calls.call import Call
from cordboard.calls.errors import MediaNegotiationError
from cordboard.calls.events import CallClosed, CallEventSink, CallOpened, Party
from cordboard.calls.identity import identity_of
from cordboard.calls.leg import Leg, LegEnded, LegEvent, LegFailed
from cordboard.calls.user_agent import UserAgent
from cordboard.directory.agents import Agent, AttachedAction
from cordboard.directory.directory import DirectoryLookups
from cordboard.media import MediaError
from cordboard.sip import events as sip
from cordboard.sip.message import Request
from cordboard.sip.uri import Uri
from cordboard.variables import ExternalIdentifiers, Scope, Variables, parse_external_identifiers

from .agent import AgentOnLine
from .inbound_webhook import InboundWebhook, WebhookChoice
from .ports import ClaimAnswer, PreparedCall, PreparedCalls

log = structlog.get_logger(__name__)

OPERATOR = "an operator hung up"
SHUTDOWN = "the server was shut down"
T = TypeVar("T")


class AgentFactory(Protocol):
    """Puts an agent on a call's line."""

    def __call__(self, call: Call, agent: Agent, actions: tuple[AttachedAction, ...]) -> AgentOnLine: ...


@dataclass(frozen=True, slots=True)
class ReceptionSettings:
    """Seconds and counts from the settings of the same names."""

    max_calls: int
    max_calls_per_source: int
    calls_per_second: int
    retry_after: float
    prepared_claim: float
    longest_call: float
    recordings: Path
    records_ready: Callable[[], bool]
    """Whether another call can be written down; where not, it is refused with 503."""


@dataclass(slots=True)
class _Live:
    call: Call
    agent: AgentOnLine | None
    source: str
    number: str
    cut: str = ""
    """Who ended the call where it was neither the caller nor the agent."""


class Reception:
    """``directory`` is asked anew for each call, so that a reload takes effect with the next one."""

    def __init__(
        self,
        user_agent: UserAgent,
        directory: Callable[[], DirectoryLookups],
        prepared: PreparedCalls,
        put_on_line: AgentFactory,
        sink: CallEventSink,
        settings: ReceptionSettings,
        webhook: InboundWebhook | None = None,
    ) -> None:
        self._user_agent = user_agent
        self._directory = directory
        self._prepared = prepared
        self._put_on_line = put_on_line
        self._sink = sink
        self._settings = settings
        self._webhook = webhook
        self._calls: dict[str, _Live] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._recent: list[float] = []
        self._idle = asyncio.Event()
        self._idle.set()
        user_agent.on_incoming = self._incoming

    # Control --------------------------------------------------------------------------------------------------------

    def live_calls(self) -> int:
        return len(self._calls)

    def calls_to(self, number: str) -> list[str]:
        """Ids of live calls to one of our numbers."""
        return [call_id for call_id, live in self._calls.items() if live.number == number]

    def typed(self, call_id: str, text: str) -> bool:
        """Typed caller text for a live call; False where there is none, or its agent is off the line."""
        live = self._calls.get(call_id)
        return live is not None and live.agent is not None and live.agent.typed(text)

    def hang_up(self, call_id: str) -> bool:
        live = self._calls.get(call_id)
        if live is None:
            return False
        live.cut = live.cut or OPERATOR
        live.call.note("hang_up", by="operator")
        live.call.caller.hangup()
        return True

    async def idle(self, limit: float) -> bool:
        """Wait until no call is live, at most ``limit`` seconds; whether it came to that."""
        try:
            async with asyncio.timeout(limit):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def end_calls(self, limit: float) -> None:
        """Hang up every call; what has not ended after ``limit`` seconds is cut off."""
        for live in list(self._calls.values()):
            live.cut = live.cut or SHUTDOWN
            live.call.note("shutdown")
            live.call.caller.hangup()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=limit)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # An INVITE ------------------------------------------------------------------------------------------------------

    def _incoming(self, incoming: sip.IncomingCall) -> None:
        """Decide what can be decided at once; the rest runs as the call's own task."""
        source = incoming.source or incoming.flow.remote[0]
        refusal = self._overload(source)
        if refusal:
            log.warning("call_refused", status=503, rule=refusal)
            self._user_agent.refuse(incoming, 503, refusal, [("Retry-After", str(round(self._settings.retry_after)))])
            return
        directory = self._directory()
        number = _number(incoming.request.uri)
        identity = _identity(incoming.request)
        agent = directory.agent_by_number(number)
        if agent is None:
            log.info("call_refused", status=404, rule="no agent answers this number", number=number)
            self._user_agent.refuse(incoming, 404)
            return
        if not self._user_agent.may_call(number, source):
            log.info("call_refused", status=403, rule="the number takes calls from its own gateway only", number=number)
            self._user_agent.refuse(incoming, 403)
            return
        if not agent.active and identity.synthflow_call_id is None:
            log.info("call_refused", status=480, rule="the agent is inactive", model_id=agent.model_id)
            self._user_agent.refuse(incoming, 480)
            return
        call_id = str(uuid.uuid4())
        try:
            leg = self._user_agent.receive(incoming, call_id=call_id, name="caller")
        except MediaNegotiationError as error:
            log.info("call_refused", status=error.status, rule=str(error))
            self._user_agent.refuse(incoming, error.status)
            return
        except MediaError as error:
            log.error("call_refused", status=503, rule=str(error))
            retry = [("Retry-After", str(round(self._settings.retry_after)))]
            self._user_agent.refuse(incoming, 503, "No Media Port", retry)
            return
        ending = _Ending(leg)  # before anything else can happen to the leg
        recordings = self._settings.recordings if agent.is_recording else None
        call = Call(call_id, leg, Variables(), self._sink, recordings=recordings)
        live = _Live(call, None, source, number)
        self._calls[call_id] = live
        self._idle.clear()
        task = asyncio.get_running_loop().create_task(
            self._serve(incoming, live, ending, agent, identity, directory), name=f"call {call_id}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _overload(self, source: str) -> str:
        now = time.monotonic()
        self._recent = [at for at in self._recent if now - at < 1.0]
        if len(self._recent) >= self._settings.calls_per_second:
            return "Too Many Calls Per Second"
        if len(self._calls) >= self._settings.max_calls:
            return "Too Many Calls"
        if sum(live.source == source for live in self._calls.values()) >= self._settings.max_calls_per_source:
            return "Too Many Calls From Here"
        if not self._settings.records_ready():
            return "Records Not Ready"
        self._recent.append(now)
        return ""

    async def _serve(
        self,
        incoming: sip.IncomingCall,
        live: _Live,
        ending: _Ending,
        agent: Agent,
        identity: ExternalIdentifiers,
        directory: DirectoryLookups,
    ) -> None:
        request, call, number, source = incoming.request, live.call, live.number, live.source
        leg, variables, call_id = call.caller, call.variables, call.call_id
        try:
            variables.collect_headers(request.headers.items())
            # RFC 3325 §9.1: the asserted number, where its gateway is in our trust domain
            caller_number = identity_of(request, self._user_agent.trusts(source)).number
            claim = await self._claim(identity, caller_number, number, agent, call_id)
            prepared = claim.prepared if claim is not None else None
            if prepared is not None and identity.synthflow_call_id is not None:
                call_id = self._rename(call_id, prepared.prepared_id)
            chosen = agent
            notes = [str(warning) for warning in (*variables.warnings, *identity.warnings)]
            named = identity.synthflow_call_id
            if named and claim is not None and claim.prepared is None:
                notes.append(f"X-EI: the prepared call {named} is {claim.refusal}; the call goes on without it")
            elif claim is not None and claim.refusal == "ambiguous":
                notes.append("several prepared calls have these numbers, so none was taken")
            if prepared is not None:
                wanted = directory.agent(prepared.model_id, agent.workspace_id)
                if wanted is None:
                    notes.append(f"X-EI: the prepared model_id {prepared.model_id} is unknown in this workspace")
                else:
                    chosen = wanted
                    call.recordings = self._settings.recordings if chosen.is_recording else None
            choice = WebhookChoice()
            if prepared is None and chosen.active:
                choice = await self._ask_webhook(chosen, leg, caller_number, number)
                if choice.error:
                    notes.append(f"the inbound webhook: {choice.error}; the agent of the number answers")
                wanted = directory.agent(choice.model_id, agent.workspace_id) if choice.model_id else None
                if wanted is not None:
                    chosen = wanted
                    call.recordings = self._settings.recordings if chosen.is_recording else None
                elif choice.model_id:
                    notes.append(f"the inbound webhook: the model_id {choice.model_id} is unknown in this workspace")
                variables.update(Scope.PREPARED, choice.custom_variables)
            _fill(variables, chosen, prepared, call_id, caller_number, number)
            self._sink(
                CallOpened(
                    call_id,
                    chosen.model_id,
                    chosen.workspace_id,
                    "inbound",
                    caller_number,
                    number,
                    request.call_id,
                    timezone=chosen.timezone,
                    variables=variables.headers(),
                    custom_variables=dict(
                        prepared.custom_variables if prepared is not None else choice.custom_variables
                    ),
                    prepared_id=prepared.prepared_id if prepared is not None else None,
                    external_id=identity.external_id,
                    diversion=identity.diversion or request.headers.get("Diversion"),
                )
            )
            self._user_agent.claim_traces(leg)
            for note in notes:
                call.warn(note)
            if choice.refuse and not leg.over:
                leg.reject(603)
                self._close(call, ending, "failed", "error", error="the inbound webhook refused the call")
                return
            if leg.over:  # while the prepared call was looked up
                self._close_unanswered(live, ending)
                return
            if not chosen.active:
                leg.reject(480)
                self._close(call, ending, "failed", "error", error="the agent is inactive")
                return
            await self._talk(call, live, chosen, directory, ending)
        except Exception as error:
            log.exception("call_failed", call_id=call_id)
            if leg.state == "new":
                leg.reject(500)
            self._close(call, ending, "failed", "error", error=f"{type(error).__name__}: {error}")
        finally:
            self._close(call, ending, "failed", "error", error="the call was cut off")
            self._user_agent.reaper.take(leg)
            self._calls.pop(call_id, None)
            if not self._calls:
                self._idle.set()

    async def _talk(self, call: Call, live: _Live, agent: Agent, directory: DirectoryLookups, ending: _Ending) -> None:
        leg = call.caller
        async with call:
            online = self._put_on_line(call, agent, directory.actions_of(agent))
            await _while_ringing(leg, online.before_call())
            if leg.over:
                self._close_unanswered(live, ending)
                return
            leg.answer()
            call.answered()
            call.record(leg)
            live.agent = online
            limit = asyncio.timeout(self._limit(agent))
            try:
                async with limit:
                    await online.run()
            except TimeoutError:
                if not limit.expired():
                    raise
                call.note("longest_call", "caller")
        if limit.expired():
            self._close(call, ending, "completed", "timeout")
        elif leg.fault:
            self._close(call, ending, "failed", "error", error=leg.fault)
        elif ending.by_caller and not online.ended_by_agent:
            self._close(call, ending, "completed", "human_ended_call")
        elif ending.cause == "cancelled":
            self._close(call, ending, "canceled", "user_canceled")
        elif ending.cause in ("no_ack", "session_expired", "dialog_gone"):
            self._close(call, ending, "failed", "error", error=f"the caller's dialog ended: {ending.cause}")
        elif live.cut == SHUTDOWN and not online.ended_by_agent:
            self._close(call, ending, "completed", "error", error=SHUTDOWN)
        else:
            self._close(call, ending, "completed", online.reason or "agent_ended_call")
        await online.after_call()

    async def _ask_webhook(self, agent: Agent, leg: Leg, from_number: str, to_number: str) -> WebhookChoice:
        url = agent.inbound_call_webhook_url
        if url is None or self._webhook is None:
            return WebhookChoice()
        asking = self._webhook.choose(url, model_id=agent.model_id, from_number=from_number, to_number=to_number)
        return await _while_ringing(leg, asking) or WebhookChoice()

    def _close_unanswered(self, live: _Live, ending: _Ending) -> None:
        """Only the caller cancels; what we refused ourselves is our failure."""
        if ending.by_caller or ending.cause == "cancelled":
            self._close(live.call, ending, "canceled", "user_canceled")
        else:
            self._close(live.call, ending, "failed", "error", error=live.cut or "ended before the answer")

    def _limit(self, agent: Agent) -> float:
        if agent.max_duration.is_enabled:
            return min(self._settings.longest_call, agent.max_duration.duration_seconds)
        return self._settings.longest_call

    def _close(
        self,
        call: Call,
        ending: _Ending,
        status: Literal["completed", "failed", "canceled"],
        reason: str,
        *,
        error: str | None = None,
    ) -> None:
        if ending.written:
            return
        ending.written = True
        party = ending.party if error is None or ending.by_caller else None
        self._sink(CallClosed(call.call_id, status, reason, party, error))

    def _rename(self, call_id: str, prepared_id: str) -> str:
        """The id of the prepared call becomes the call's; only a claim that succeeded may choose an id."""
        live = self._calls.pop(call_id)
        live.call.call_id = live.call.caller.call_id = prepared_id
        self._calls[prepared_id] = live
        return prepared_id

    async def _claim(
        self, identity: ExternalIdentifiers, from_number: str, to_number: str, agent: Agent, call_id: str
    ) -> ClaimAnswer | None:
        try:
            async with asyncio.timeout(self._settings.prepared_claim):
                if identity.synthflow_call_id is not None:
                    return await self._prepared.claim_prepared(
                        identity.synthflow_call_id,
                        workspace_id=agent.workspace_id,
                        call_id=identity.synthflow_call_id,
                    )
                if identity == ExternalIdentifiers():
                    return await self._prepared.claim_matching(
                        from_number, to_number, workspace_id=agent.workspace_id, call_id=call_id
                    )
        except Exception as error:
            log.warning("prepared_call_lookup_failed", call_id=call_id, error=str(error) or "time limit")
            return _Unavailable()
        return None


async def _while_ringing(leg: Leg, work: Coroutine[Any, Any, T]) -> T | None:
    """Do something before the answer; None where the caller gives up first."""
    task = asyncio.get_running_loop().create_task(work)
    over = asyncio.get_running_loop().create_future()
    stop = leg.subscribe(lambda event: None if over.done() or not leg.over else over.set_result(None))
    try:
        if not leg.over:
            await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        stop()
        task.cancel()
        over.cancel()


@dataclass(frozen=True, slots=True)
class _Unavailable:
    prepared: None = None
    refusal: str = "not available: the store did not answer"


class _Ending:
    """How the caller's leg ended."""

    def __init__(self, leg: Leg) -> None:
        self.cause = ""
        self.local = False
        self.written = False
        leg.subscribe(self._watch)

    def _watch(self, event: LegEvent) -> None:
        if isinstance(event, LegEnded):
            self.cause, self.local = event.cause, event.local
        elif isinstance(event, LegFailed):
            self.cause, self.local = "failed", event.local

    @property
    def by_caller(self) -> bool:
        return self.cause == "bye" and not self.local

    @property
    def party(self) -> Party | None:
        """Who hung up: the caller, or our side (the callee); None where the dialog just died."""
        if self.cause in ("bye", "cancelled"):
            return "callee" if self.local else "caller"
        return None


def _fill(
    variables: Variables,
    agent: Agent,
    prepared: PreparedCall | None,
    call_id: str,
    from_number: str,
    to_number: str,
) -> None:
    variables.update(
        Scope.SYSTEM,
        {
            "call_id": call_id,
            "from_phone_number": from_number,
            "to_phone_number": to_number,
            "user_phone_number": from_number,
            "current_time": datetime.now(ZoneInfo(agent.timezone)).isoformat(timespec="minutes"),
            "timezone": agent.timezone,
        },
    )
    if prepared is not None:
        variables.update(Scope.PREPARED, prepared.custom_variables)
    for name, value in agent.variables.items():
        if not variables.known(name):
            variables.set(Scope.PREPARED, name, value)


def _identity(request: Request) -> ExternalIdentifiers:
    value = request.headers.get("X-EI")
    return ExternalIdentifiers() if value is None else parse_external_identifiers(value)


def _number(uri: Uri) -> str:
    """The number that was called: the user part without its parameters (RFC 3261 §19.1.6)."""
    return uri.user_text.partition(";")[0]
