"""Agents: who answers, what it says first, and what it may do."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from cordboard.directory.actions import AnyAction
from cordboard.directory.values import (
    DEFAULT_WORKSPACE,
    DialledNumber,
    Identifier,
    Model,
    Name,
    Seconds,
    Text,
    check_timezone,
)

GreetingMode = Literal["agent_static", "agent_dynamic", "human"]
"""Spoken as written, made by the model, or the caller speaks first."""
InputSource = Literal["hardcoded", "llm", "system_vars", "prompt_variables", "fsm_variables", "action_results"]


class LlmConfig(Model):
    """How the model fills an input variable."""

    description: Text = ""
    example: Text = ""
    required: bool = False


class InputMapping(Model):
    """Binds one ``<name>`` of an action: to a fixed value, or to a variable, whose name is then `hardcoded_value`."""

    variable_name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=64)
    source: InputSource
    hardcoded_value: Text | None = None
    llm_config: LlmConfig | None = None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.source != "llm" and self.hardcoded_value is None:
            raise ValueError(f"source {self.source} needs hardcoded_value")
        return self


class Attachment(Model):
    """An action as one agent uses it."""

    action_id: Identifier
    attachment_type: Literal["before", "during", "after"] = "during"
    trigger_condition: Text = ""
    """This agent's own "when to use"; empty: the action's instructions."""
    input_variables_mapping: tuple[InputMapping, ...] = ()


class AttachedAction(NamedTuple):
    """An attachment with its action, as `Directory.actions_of` gives it."""

    action: AnyAction
    attachment: Attachment

    @property
    def instructions(self) -> str:
        return self.attachment.trigger_condition or self.action.instructions or self.action.description


class MaxDuration(Model):
    """The longest call of an agent."""

    duration_seconds: int = Field(default=3600, ge=10, le=86400)
    is_enabled: bool = False


class Agent(Model):
    """An agent. `actions` are in the order in which they are offered."""

    model_id: Identifier
    workspace_id: Identifier = DEFAULT_WORKSPACE
    name: Name
    description: Text = ""
    type: Literal["inbound", "outbound"] = "inbound"
    active: bool = True
    """An inactive agent's number answers 480."""
    phone_numbers: tuple[DialledNumber, ...] = ()
    """The numbers that it answers; the first is its caller ID."""

    prompt: Text = ""
    greeting_message: Text = ""
    greeting_message_mode: GreetingMode = "agent_static"
    greeting_message_human_talk_timeout: Seconds | None = Field(default=None, le=60)
    """Seconds that it waits for the caller in mode ``human``; None: `timeouts.greeting`."""
    language: str = Field(default="en-US", pattern=r"^([a-z]{2,3}(-[A-Z]{2})?|multi)$")
    voice_id: Name | None = None
    """The voice's name; None: `speech.voice`."""
    recogniser: Name | None = None
    """None: `speech.recogniser`."""
    llm: Name = "rules"
    """The model's name; ``rules`` needs none."""
    patience_level: Literal["low", "medium", "high"] = "medium"
    timezone: str = "Europe/Berlin"
    is_recording: bool = True
    max_duration: MaxDuration = MaxDuration()
    variables: dict[str, Text] = Field(default_factory=dict)
    """Variables with fixed values, under those of the call."""
    external_webhook_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    inbound_call_webhook_url: str | None = Field(default=None, pattern=r"^https?://\S+$")

    actions: tuple[Attachment, ...] = Field(default=(), max_length=100)

    @property
    def caller_id(self) -> str | None:
        return self.phone_numbers[0] if self.phone_numbers else None

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_timezone(self.timezone)
        for name in self.variables:
            if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
                raise ValueError(f"variables: {name} is not a name that a placeholder can hold")
        if self.greeting_message_mode == "agent_static" and not self.greeting_message.strip():
            raise ValueError("greeting_message_mode agent_static needs a greeting_message")
        ids = [attachment.action_id for attachment in self.actions]
        for each in ids:
            if ids.count(each) > 1:
                raise ValueError(f"the action {each} is attached twice")
        return self
