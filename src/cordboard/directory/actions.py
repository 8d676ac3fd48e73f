"""Actions: what an agent can do besides talking. Names follow the v2 reference where it has one."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from cordboard.directory.values import (
    DEFAULT_WORKSPACE,
    E164,
    Destination,
    Digits,
    DynamicTemplate,
    HeaderName,
    HeaderText,
    Identifier,
    Key,
    Model,
    Name,
    PhoneTemplate,
    Seconds,
    SipUriTemplate,
    Text,
    check_timezone,
)

TransferMode = Literal["cold_transfer", "warm_transfer", "warm_transfer_with_context"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class ActionBase(Model):
    """What every action has."""

    action_id: Identifier
    workspace_id: Identifier = DEFAULT_WORKSPACE
    name: Name
    description: Text = ""
    instructions: Text = ""
    """When the agent should use it, in natural language; the model sees it as the tool's description."""
    phrases: tuple[Name, ...] = ()
    """What callers say when they want it; the embedded recogniser and the rules listen for these."""
    key: Key | None = None
    """The telephone key that asks for it."""


class HeaderExtractor(Model):
    """A header's value that the model reads out of the conversation when the transfer starts."""

    prompt: Text
    default: HeaderText = ""
    """What is sent when the model fails or is late (`timeouts.header_extractor`)."""


class SipHeader(Model):
    """One X-header of the INVITE or the Refer-To: a template, or an extractor."""

    name: HeaderName
    value: HeaderText | None = None
    extractor: HeaderExtractor | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.value is None) == (self.extractor is None):
            raise ValueError("a header must have exactly one of value and extractor")
        return self


class CallerId(Model):
    """Whose number the target sees."""

    mode: Literal["agent", "original", "fixed"] = "agent"
    number: E164 | None = None
    retry_when_refused: bool = True
    """A 403 for a foreign number is tried once more with the agent's."""

    @model_validator(mode="after")
    def _number(self) -> Self:
        if (self.mode == "fixed") != (self.number is not None):
            raise ValueError("number belongs to mode fixed, and mode fixed needs it")
        return self


class Interval(Model):
    """Hours of a day, 24-hour ``HH:MM``."""

    from_: str = Field(alias="from", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    to: str = Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.from_ >= self.to:
            raise ValueError("from must be earlier than to")
        return self


class Day(Model):
    """Office hours of one weekday."""

    weekday: Weekday
    interval: tuple[Interval, ...] = Field(min_length=1)


class HumanAvailability(Model):
    """Office hours: outside them nothing is dialled."""

    timezone: str
    schedule: tuple[Day, ...]
    unavailable_message: Text = ""
    active: bool = True

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_timezone(self.timezone)
        days = [day.weekday for day in self.schedule]
        if len(set(days)) < len(days):
            raise ValueError("a weekday must appear once in schedule")
        return self


class LiveTransfer(ActionBase):
    """Hands the call to a person. Exactly one of `phone`, `sip_uri`, `dynamic` and `phone_book_id` says where."""

    type: Literal["LIVE_TRANSFER"] = "LIVE_TRANSFER"
    transfer_mode: TransferMode
    phone: PhoneTemplate | None = None
    sip_uri: SipUriTemplate | None = None
    dynamic: DynamicTemplate | None = None
    """A template that becomes a number or a URI during the call."""
    phone_book_id: Identifier | None = None
    gateway: Identifier | None = None
    """Where the leg leaves; None: the gateway that carries the destination."""
    timeout: int | None = Field(default=None, ge=1, le=3600)
    """Seconds that the target may ring; None: `timeouts.ring`."""

    initiating_msg: Text = "Please hold while I transfer you."
    enable_background_music: bool = True
    """Hold music for the caller; false: ringback."""
    hold_music: Text | None = None
    """A WAV file; None: `media.hold_music`."""
    message_to_transfer_target: Text = ""
    summarization_prompt: Text = ""
    pause_before_message: Seconds = Field(default=0.0, le=30)
    pause_after_message: Seconds = Field(default=0.0, le=30)
    goodbye_msg: Text = ""
    failed_msg: Text = ""
    digits: Digits = ""

    sip_headers: tuple[SipHeader, ...] = Field(default=(), max_length=40)
    uui: HeaderText | None = None
    """User-to-User (RFC 7433), a template."""
    screen_pop_header: HeaderName | None = None
    """The X-header that carries a signed URL of the call's page."""
    caller_id: CallerId = CallerId()
    preserve_caller_id: bool = False
    """The reference's word for ``caller_id: {mode: original}``."""
    run_before: tuple[Identifier, ...] = ()
    """Actions whose results the destination or the headers need; the transfer waits for them."""

    human_detection: bool = False
    human_detection_timeout_seconds: int | None = Field(default=None, ge=1, le=1800)
    voicemail_detection: bool = False
    on_menu: Literal["wait", "fail", "keys"] = "wait"
    menu_keys: Digits = ""
    screened: bool = False
    screening_question: Text = ""
    human_availability: HumanAvailability | None = None

    retries: int = Field(default=0, ge=0, le=5)
    retry_delay: Seconds = Field(default=2.0, le=300)
    refer_fallback: Literal["none", "invite"] = "none"
    on_failure: Literal["end", "return"] | None = None
    """After a failed transfer; None: a cold one ends the call, a warm one returns the caller to the agent."""
    introduction: bool = False
    after_bridge: Literal["stay", "release"] = "stay"
    return_to_agent: bool = False
    stop_recording_after_transfer: bool = False

    @property
    def cold(self) -> bool:
        return self.transfer_mode == "cold_transfer"

    @property
    def destination(self) -> Destination:
        """The one destination that is given."""
        if self.phone is not None:
            return Destination("tel", self.phone)
        if self.sip_uri is not None:
            return Destination("sip", self.sip_uri)
        if self.dynamic is not None:
            return Destination("dynamic", self.dynamic)
        assert self.phone_book_id is not None
        return Destination("phonebook", self.phone_book_id)

    @property
    def failure(self) -> Literal["end", "return"]:
        """What follows a failure, with the default of the mode."""
        return self.on_failure or ("end" if self.cold else "return")

    @property
    def caller_id_mode(self) -> Literal["agent", "original", "fixed"]:
        return "original" if self.preserve_caller_id else self.caller_id.mode

    @model_validator(mode="after")
    def _checked(self) -> Self:
        given = [name for name in ("phone", "sip_uri", "dynamic", "phone_book_id") if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found none"
            raise ValueError(f"exactly one of phone, sip_uri, dynamic and phone_book_id must be given; {found}")
        names = [header.name.lower() for header in self.sip_headers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the header {name} is given twice in sip_headers")
        if self.screen_pop_header and self.screen_pop_header.lower() in names:
            raise ValueError(f"{self.screen_pop_header} is both screen_pop_header and one of sip_headers")
        if self.preserve_caller_id and self.caller_id.mode == "fixed":
            raise ValueError("preserve_caller_id contradicts caller_id mode fixed")
        if (self.on_menu == "keys") != bool(self.menu_keys):
            raise ValueError("menu_keys belongs to on_menu keys, and on_menu keys needs it")
        self._check_mode()
        return self

    def _check_mode(self) -> None:
        if self.cold:
            # After REFER the call is the peer's: whatever needs our own leg to the target cannot be done.
            for name in _WARM_ONLY:
                if getattr(self, name) != LiveTransfer.model_fields[name].default:
                    raise ValueError(f"{name} needs a warm transfer: a cold one is out of our hands after the REFER")
        elif self.refer_fallback != "none":
            raise ValueError("refer_fallback belongs to cold transfers")
        if self.summarization_prompt and self.transfer_mode != "warm_transfer_with_context":
            raise ValueError("summarization_prompt belongs to warm_transfer_with_context")


_WARM_ONLY = (
    "retries",
    "screened",
    "human_detection",
    "voicemail_detection",
    "digits",
    "introduction",
    "return_to_agent",
    "goodbye_msg",
)


class KeyValue(Model):
    """A pair of the v2 reference."""

    key: HeaderText
    value: Text = Field(repr=False)
    """May be a credential, and so is not shown."""


class CustomActionAuth(Model):
    """A credential of a custom action."""

    is_needed: bool = False
    location: Literal["header", "query"] = "header"
    key: HeaderText = "Bearer"
    value: SecretStr | None = None


class CustomActionVariable(Model):
    """What the model fills in when it runs a custom action."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", max_length=64)]
    description: Text = ""
    example: Text = ""
    type: Literal[
        "string", "int", "float", "bool", "list", "money", "phone_number", "email", "datetime", "utc_datetime"
    ] = "string"


class CustomAction(ActionBase):
    """An HTTP request before, during or after the call."""

    type: Literal["CUSTOM_ACTION"] = "CUSTOM_ACTION"
    http_mode: Literal["GET", "POST", "PATCH", "PUT", "DELETE"] = "GET"
    url: Annotated[str, Field(pattern=r"^https?://[^\s\x00-\x1f]+$", max_length=2000)]
    run_action_before_call_start: bool = False
    speech_while_using_the_tool: Text = ""
    action_sound: (
        Literal["", "typing", "ambient-background", "modern-jazz", "inspirational-symphony-classical-music"] | None
    ) = None
    failure_timeout: int | None = Field(default=None, ge=1, le=120)
    """Seconds; None: `timeouts.custom_action`."""
    custom_auth: CustomActionAuth = CustomActionAuth()
    variables_before_the_call: tuple[KeyValue, ...] = ()
    variables_during_the_call: tuple[CustomActionVariable, ...] = ()
    headers: tuple[KeyValue, ...] = ()
    query_parameters: tuple[KeyValue, ...] = ()
    json_body_stringified: Text = ""
    prompt: Text = ""
    """How the agent uses the result."""
    agent_speak_naturally: bool = True
    message_before_action_starts: Text = ""
    message_delay: Text = ""
    message_delay_time: int | None = Field(default=None, ge=0, le=120)
    message_error: Text = ""
    result_paths: tuple[Name, ...] = ()
    """What is kept of the answer; empty: all of it, within `http` limits."""


class InformationExtractor(ActionBase):
    """A question that the model answers from the conversation."""

    type: Literal["INFORMATION_EXTRACTOR"] = "INFORMATION_EXTRACTOR"
    kind: Literal["YES_NO", "SINGLE_CHOICE", "OPEN_QUESTION"]
    identifier: Identifier
    choices: tuple[Name, ...] = ()
    examples: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if (self.kind == "SINGLE_CHOICE") != bool(self.choices):
            raise ValueError("choices belongs to SINGLE_CHOICE, and SINGLE_CHOICE needs it")
        if self.examples and self.kind != "OPEN_QUESTION":
            raise ValueError("examples belongs to OPEN_QUESTION")
        return self


class EndCall(ActionBase):
    """Says goodbye and hangs up."""

    type: Literal["END_CALL"] = "END_CALL"
    message: Text = "Thank you for calling. Goodbye."


class SendDtmf(ActionBase):
    """Sends digits to the caller's side, for agents that call machines."""

    type: Literal["SEND_DTMF"] = "SEND_DTMF"
    digits: Digits = Field(min_length=1)


AnyAction = LiveTransfer | CustomAction | InformationExtractor | EndCall | SendDtmf
Action = Annotated[AnyAction, Field(discriminator="type")]
ACTION_TYPES = ("LIVE_TRANSFER", "CUSTOM_ACTION", "INFORMATION_EXTRACTOR", "END_CALL", "SEND_DTMF")
