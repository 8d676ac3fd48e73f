"""The actions of one call that are neither talk nor transfer: before it, during it, for a transfer, and after it.

`ActionDesk` is the server's; it gives each call a `CallActions`, which the agent uses, and which fits the transfer's
`Context` structurally: a transfer asks it for the results that it waits for, its headers' extracted values and its
summary.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cordboard.calls.call import Call
from cordboard.directory.actions import CustomAction, HeaderExtractor, InformationExtractor, LiveTransfer
from cordboard.directory.agents import Agent, AttachedAction
from cordboard.egress import HttpClient
from cordboard.variables import Scope

from .action_values import NO_ENTRIES, tool_of
from .custom_action import ActionResult, CustomActions, Say
from .extractors import Finding, extract, header_value
from .model import Message, Model, Tool
from .summaries import summarise

Entries = Callable[[LiveTransfer], Mapping[str, str]]
"""The entries of a transfer's phone book, each name with its condition; none where it has no book."""


@dataclass(frozen=True, slots=True)
class ActionExecuted:
    """An action has run: what the record's `executed_actions` shows of it. Epoch seconds."""

    call_id: str
    execution_id: str
    name: str
    type: str
    """``CUSTOM_ACTION`` or ``INFORMATION_EXTRACTOR``."""
    description: str
    started: float
    ended: float
    parameters_hard_coded: Mapping[str, object] = field(default_factory=dict)
    parameters_from_llm: Mapping[str, object] = field(default_factory=dict)
    return_value: object = None
    error: str | None = None


ActionSink = Callable[[ActionExecuted], None]


@dataclass(frozen=True, slots=True)
class ActionLimits:
    """Seconds, from the settings of the same names; ``model_turn`` also limits one extractor after the call."""

    custom_action: float
    header_extractor: float
    summary: float
    model_turn: float


class ActionDesk:
    """What the calls of a server share."""

    def __init__(self, http: HttpClient, limits: ActionLimits, sink: ActionSink) -> None:
        self.http = http
        self.limits = limits
        self.sink = sink

    def for_call(
        self,
        call: Call,
        agent: Agent,
        actions: Sequence[AttachedAction],
        model: Model | None,
        *,
        entries: Entries = lambda transfer: NO_ENTRIES,
    ) -> CallActions:
        """The actions of one call. ``model`` None: the rules decide, and nothing is extracted or summarised."""
        return CallActions(self, call, agent, actions, model, entries)


class CallActions:
    """See the module. ``messages`` is the conversation as the agent keeps it; it must be set before it is read."""

    def __init__(
        self,
        desk: ActionDesk,
        call: Call,
        agent: Agent,
        actions: Sequence[AttachedAction],
        model: Model | None,
        entries: Entries,
    ) -> None:
        self.messages: Sequence[Message] = ()
        self.model = model
        self._desk = desk
        self._call = call
        self._actions = tuple(actions)
        self._entries = entries
        self._prepared: asyncio.Task[None] | None = None
        self._custom = CustomActions(
            desk.http,
            call.variables,
            limit=desk.limits.custom_action,
            timezone=agent.timezone,
            report=self._report_action,
        )

    # The agent's side -----------------------------------------------------------------------------------------------

    def tools(self) -> list[Tool]:
        """What the model may run during the call."""
        tools = []
        for attached in self._actions:
            action = attached.action
            tool = tool_of(attached, self._entries(action) if isinstance(action, LiveTransfer) else NO_ENTRIES)
            if tool is not None:
                tools.append(tool)
        return tools

    async def before_call(self) -> None:
        """Run what runs before the call, in order; once, however often it is asked for."""
        if self._prepared is None:
            self._prepared = asyncio.get_running_loop().create_task(self._before())
        await self._prepared

    async def _before(self) -> None:
        await self._custom.run_before_call(
            (action, attachment)
            for action, attachment in self._actions
            if isinstance(action, CustomAction)
            and (action.run_action_before_call_start or attachment.attachment_type == "before")
        )

    async def during(self, attached: AttachedAction, arguments: Mapping[str, object], say: Say) -> ActionResult:
        """Run a custom action while its own words are spoken."""
        action, attachment = attached
        assert isinstance(action, CustomAction)
        return await self._custom.run_spoken(action, attachment, arguments, say)

    async def after_call(self) -> None:
        """Extract, then run what runs after the call, in order; extracted values are variables for what follows."""
        for attached in self._actions:
            if isinstance(attached.action, InformationExtractor):
                await self._extract(attached.action)
        for attached in self._actions:
            action, attachment = attached
            if isinstance(action, CustomAction) and attachment.attachment_type == "after":
                await self._custom.run(action, attachment)

    # The transfer's side --------------------------------------------------------------------------------------------

    async def run_before(self, action_ids: Sequence[str]) -> None:
        """Run these, in order: their results are variables when the headers and the destination are filled."""
        by_id = {attached.action.action_id: attached for attached in self._actions}
        for action_id in action_ids:
            attached = by_id.get(action_id)
            if attached is None:
                self._call.warn(f"{action_id} must run before a transfer and is not attached to the agent")
            elif isinstance(attached.action, CustomAction):
                result = await self._custom.run(attached.action, attached.attachment, self._from_results(attached))
                if not result.ok:
                    self._call.warn(f"{attached.action.name}: {result.error}")
            elif isinstance(attached.action, InformationExtractor):
                await self._extract(attached.action)

    def _from_results(self, attached: AttachedAction) -> dict[str, object]:
        """What the model would have given, from the call's variables of the same names, where there are any."""
        action = attached.action
        assert isinstance(action, CustomAction)
        variables = self._call.variables
        return {
            each.name: variables.get(each.name)
            for each in action.variables_during_the_call
            if variables.known(each.name)
        }

    async def header(self, name: str, extractor: HeaderExtractor) -> str:
        """A header's value from the conversation, or its default. Never raises."""
        prompt = self._call.variables.render(extractor.prompt)
        found = await header_value(extractor, prompt, self.messages, self.model, self._desk.limits.header_extractor)
        self._call.note("header.extracted", name=name, source=found.source, error=found.error)
        if found.error:
            self._call.warn(f"{name}: the default was sent: {found.error}")
        return str(found.value)

    async def summary(self, prompt: str, template: str) -> str:
        """The briefing from the conversation, or the template. Never raises."""
        found = await summarise(
            self.messages, self.model, prompt=prompt, template=template, limit=self._desk.limits.summary
        )
        self._call.note("summary", source=found.source, error=found.error)
        if found.error:
            self._call.warn(f"the message template was spoken instead of a summary: {found.error}")
        return found.text

    # The record -----------------------------------------------------------------------------------------------------

    async def _extract(self, extractor: InformationExtractor) -> Finding:
        started = time.time()
        found = await extract(extractor, self.messages, self.model, self._desk.limits.model_turn)
        if found.ok:
            self._call.variables.set(Scope.COLLECTED, extractor.identifier, found.value)
            self._call.variables.add_result(extractor.action_id, {extractor.identifier: found.value})
        self._desk.sink(
            ActionExecuted(
                self._call.call_id,
                str(uuid.uuid4()),
                f"info_extractor_{extractor.identifier}",
                "INFORMATION_EXTRACTOR",
                extractor.description,
                started,
                time.time(),
                {
                    "type": extractor.kind,
                    "identifier": extractor.identifier,
                    "condition": extractor.description,
                    "choices": list(extractor.choices),
                    "examples": list(extractor.examples),
                },
                return_value={extractor.identifier: found.value},
                error=found.error or None,
            )
        )
        return found

    def _report_action(self, action: CustomAction, result: ActionResult) -> None:
        self._desk.sink(
            ActionExecuted(
                self._call.call_id,
                str(uuid.uuid4()),
                action.name,
                "CUSTOM_ACTION",
                action.description or action.instructions,
                result.started,
                result.started + result.seconds,
                dict(result.request),
                dict(result.arguments),
                {"status": result.status, "answer": _bounded(result.value)},
                result.error or None,
            )
        )


def _bounded(value: object) -> object:
    """An answer as the record keeps it: whole, or the beginning of its text."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= _RECORDED else f"{text[:_RECORDED]} ..."


_RECORDED = 16 * 1024
