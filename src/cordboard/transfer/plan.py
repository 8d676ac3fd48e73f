"""A plan: what one transfer action may try, in order, as data; checked when it is saved and again before it runs.

A plan that does not hold is refused with the field and the rule named. An option that the installation cannot carry
out is refused by the same means, so that no option is ever accepted and then ignored: ``validate`` is told what is
supported, and ``SUPPORTED`` is what this release does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cordboard.variables import HeaderRuleError, Variables, check_name, check_value, is_e164, names
from cordboard.variables.placeholders import Literal, scan

from .effects import CallerId
from .outcome import Method, Outcome
from .policy import OnFailure, OnMenu, Policy, ReferSuccess, Target, Timeouts

MAXIMUM_DESTINATIONS = 16
MAXIMUM_RETRIES = 5
MAXIMUM_HEADERS = 40
LONGEST_RING = 3600.0
LONGEST_HUMAN_WAIT = 1800.0  # queues: half an hour
LONGEST_PAUSE = 30.0
LONGEST_RETRY_DELAY = 300.0
_DIGITS = frozenset("0123456789*#ABCDabcdwW")


class Mode(StrEnum):
    """How the person gets the caller."""

    COLD = "cold"
    WARM_MESSAGE = "warm_message"
    WARM_SUMMARY = "warm_summary"


class Kind(StrEnum):
    """What a destination is."""

    TEL = "tel"
    SIP = "sip"
    DYNAMIC = "dynamic"  # a template that gives a number or a URI during the call
    PHONEBOOK = "phonebook"  # the id of a phone book whose conditions choose


class Fallback(StrEnum):
    """What follows a failure, for one outcome."""

    RETURN = "return"
    END = "end"
    TAKE_MESSAGE = "take_message"
    SCHEDULE_CALLBACK = "schedule_callback"


class Option(StrEnum):
    """What an installation may or may not be able to carry out."""

    WARM_SUMMARY = "warm_summary"
    HUMAN_DETECTION = "human_detection"
    VOICEMAIL_DETECTION = "voicemail_detection"
    EARLY_MEDIA_DETECTION = "early_media_detection"
    HEADER_EXTRACTORS = "header_extractors"
    RELEASE = "after_bridge: release"
    TAKE_MESSAGE = "on_failure: take_message"
    SCHEDULE_CALLBACK = "on_failure: schedule_callback"


SUPPORTED: frozenset[Option] = frozenset(
    {Option.HUMAN_DETECTION, Option.VOICEMAIL_DETECTION, Option.EARLY_MEDIA_DETECTION}
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule. ``field`` is a path (``destinations[0].value``), ``rule`` its stable name."""

    field: str
    rule: str
    message: str


class PlanError(ValueError):
    """A plan that cannot be saved or run; ``faults`` names every one."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{fault.field}: {fault.rule}: {fault.message}" for fault in faults))


@dataclass(frozen=True, slots=True)
class Destination:
    """One destination; ``gateway`` and what follows come from its gateway's profile. Seconds."""

    kind: Kind
    value: str
    gateway: str = ""
    ring_timeout: float = 30.0
    caller_id_refusals: frozenset[int] = frozenset({403})
    refer_success: ReferSuccess = ReferSuccess.FINAL_NOTIFY


@dataclass(frozen=True, slots=True)
class Header:
    """An X-header: a template, or a prompt that the model evaluates at transfer time."""

    name: str
    value: str = ""
    extractor: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """See the module. Times in seconds; texts are rendered before :meth:`policy` is called."""

    mode: Mode
    destinations: tuple[Destination, ...]
    simultaneous: bool = False
    retries: int = 0
    retry_delay: float = 0.0
    announcement: str = "Please hold while I transfer you."
    prepare: bool = True
    headers: tuple[Header, ...] = ()
    digits: str = ""
    whisper: str = ""
    pause_before: float = 0.0
    pause_after: float = 0.0
    human_detection: bool = False
    human_timeout: float = 60.0
    voicemail_detection: bool = False
    early_media_detection: bool = False
    on_menu: OnMenu = OnMenu.WAIT
    menu_keys: str = ""
    screening: bool = False
    introduction: str = ""
    goodbye: str = ""
    failed_message: str = ""
    caller_id: CallerId = CallerId.AGENT
    caller_id_retry: bool = True
    refer_fallback: bool = False  # a refused REFER goes on as a bridge
    on_failure: Mapping[Outcome, Fallback] = field(default_factory=dict)
    return_to_agent: bool = False
    stop_recording: bool = False
    release_after_bridge: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def cold(self) -> bool:
        """Whether the caller is handed over by REFER."""
        return self.mode is Mode.COLD

    def validate(self, supported: frozenset[Option] = SUPPORTED) -> None:
        """Raise PlanError with every fault."""
        faults = tuple(_Check(self, supported).faults())
        if faults:
            raise PlanError(faults)

    def policy(self, supported: frozenset[Option] = SUPPORTED) -> Policy:
        """What the machine needs. Raises PlanError."""
        self.validate(supported)
        method = Method.REFER if self.cold else Method.INVITE
        targets = [self._target(destination, method) for destination in self.destinations]
        everyone = tuple(range(len(targets)))
        if self.simultaneous:
            rounds = [everyone] * (1 + self.retries)
        else:
            rounds = [(index,) for index in everyone for _ in range(1 + self.retries)]
        fallback_round = None
        if self.refer_fallback:
            fallback_round = len(rounds)
            rounds.append((len(targets),))
            targets.append(self._target(self.destinations[0], Method.INVITE))
        return Policy(
            targets=tuple(targets),
            rounds=tuple(rounds),
            fallback_round=fallback_round,
            retry_delay=self.retry_delay,
            prepare=self.prepare,
            announcement=self.announcement,
            digits=self.digits,
            human_detection=self.human_detection,
            human_timeout=self.human_timeout,
            voicemail_detection=self.voicemail_detection,
            early_media_detection=self.early_media_detection,
            on_menu=self.on_menu,
            menu_keys=self.menu_keys,
            whisper=self.mode is Mode.WARM_SUMMARY or bool(self.whisper.strip()),
            pause_before=self.pause_before,
            pause_after=self.pause_after,
            screening=self.screening,
            introduction=self.introduction,
            goodbye=self.goodbye,
            failed_message=self.failed_message,
            stop_recording=self.stop_recording,
            on_failure={
                outcome: OnFailure.END if chosen is Fallback.END else OnFailure.RETURN
                for outcome, chosen in self.on_failure.items()
            },
            fallback={
                outcome: chosen.value
                for outcome, chosen in self.on_failure.items()
                if chosen in (Fallback.TAKE_MESSAGE, Fallback.SCHEDULE_CALLBACK)
            },
            on_person_left=OnFailure.RETURN if self.return_to_agent else OnFailure.END,
            timeouts=self.timeouts,
        )

    def _target(self, destination: Destination, method: Method) -> Target:
        retry = self.caller_id_retry and self.caller_id is not CallerId.AGENT
        return Target(
            destination=destination.value,
            gateway=destination.gateway,
            method=method,
            ring_timeout=destination.ring_timeout,
            caller_id=self.caller_id,
            caller_id_refusals=destination.caller_id_refusals if retry else frozenset(),
            refer_success=destination.refer_success,
        )


class _Check:
    """Collects every fault of a plan."""

    def __init__(self, plan: Plan, supported: frozenset[Option]) -> None:
        self.plan = plan
        self.supported = supported
        self.found: list[Fault] = []

    def fault(self, where: str, rule: str, message: str) -> None:
        self.found.append(Fault(where, rule, message))

    def faults(self) -> list[Fault]:
        self._destinations()
        self._headers()
        self._ranges()
        self._digits()
        self._mode()
        self._supported()
        return self.found

    def _destinations(self) -> None:
        destinations = self.plan.destinations
        if not destinations:
            self.fault("destinations", "destination_required", "a plan needs a destination")
        if len(destinations) > MAXIMUM_DESTINATIONS:
            self.fault("destinations", "too_many", f"at most {MAXIMUM_DESTINATIONS}")
        for index, destination in enumerate(destinations):
            where = f"destinations[{index}]"
            if not 0 < destination.ring_timeout <= LONGEST_RING:
                self.fault(f"{where}.ring_timeout", "out_of_range", f"more than 0, at most {LONGEST_RING:g} s")
            message = _destination_fault(destination)
            if message:
                self.fault(f"{where}.value", "invalid_destination", message)

    def _headers(self) -> None:
        if len(self.plan.headers) > MAXIMUM_HEADERS:
            self.fault("headers", "too_many", f"at most {MAXIMUM_HEADERS}")
        seen: set[str] = set()
        for index, header in enumerate(self.plan.headers):
            where = f"headers[{index}]"
            try:
                check_name(header.name)
                # The fixed part of a template is checked now, the values of its variables when it is rendered.
                check_value(header.name, "".join(p.text for p in scan(header.value) if isinstance(p, Literal)))
            except HeaderRuleError as error:
                self.fault(where, "header_invalid", error.rule)
            if header.name.lower() in seen:
                self.fault(where, "header_twice", f"{header.name} is given twice")
            seen.add(header.name.lower())
            if header.value and header.extractor:
                self.fault(where, "template_or_extractor", "a header is filled by one of the two")

    def _ranges(self) -> None:
        plan = self.plan
        for name, value, highest in (
            ("retries", plan.retries, MAXIMUM_RETRIES),
            ("retry_delay", plan.retry_delay, LONGEST_RETRY_DELAY),
            ("pause_before", plan.pause_before, LONGEST_PAUSE),
            ("pause_after", plan.pause_after, LONGEST_PAUSE),
        ):
            if not 0 <= value <= highest:
                self.fault(name, "out_of_range", f"0 to {highest:g}")
        if not 0 < plan.human_timeout <= LONGEST_HUMAN_WAIT:
            self.fault("human_timeout", "out_of_range", f"more than 0, at most {LONGEST_HUMAN_WAIT:g} s")

    def _digits(self) -> None:
        for name, digits in (("digits", self.plan.digits), ("menu_keys", self.plan.menu_keys)):
            if not names(digits) and not set(digits) <= _DIGITS:
                self.fault(name, "invalid_digits", "0-9 * # A-D, w for half a second, W for a second")
        if (self.plan.on_menu is OnMenu.KEYS) != bool(self.plan.menu_keys):
            self.fault("menu_keys", "belongs_to_on_menu_keys", "on_menu keys needs menu_keys, and only that")

    def _mode(self) -> None:
        plan = self.plan
        if Outcome.SUCCESS in plan.on_failure:
            self.fault("on_failure", "success_is_no_failure", "transfer-success has no fallback")
        if not plan.cold:
            if plan.refer_fallback:
                self.fault("refer_fallback", "cold_only", "only a REFER can be refused")
            return
        if plan.retries:
            self.fault("retries", "no_retries_on_cold", "after a REFER the call is out of our hands")
        if len(plan.destinations) > 1:
            self.fault("destinations", "one_destination_on_cold", "a REFER hands over to one destination")
        # With refer_fallback the plan may become a bridge, and these then apply to it.
        if plan.refer_fallback:
            return
        for name, given in (
            ("whisper", bool(plan.whisper)),
            ("digits", bool(plan.digits)),
            ("human_detection", plan.human_detection),
            ("voicemail_detection", plan.voicemail_detection),
            ("screening", plan.screening),
            ("introduction", bool(plan.introduction)),
            ("goodbye", bool(plan.goodbye)),
            ("return_to_agent", plan.return_to_agent),
        ):
            if given:
                self.fault(name, "warm_only", "needs a leg of our own to the person")

    def _supported(self) -> None:
        plan = self.plan
        chosen = set(plan.on_failure.values())
        for name, option, wanted in (
            ("mode", Option.WARM_SUMMARY, plan.mode is Mode.WARM_SUMMARY),
            ("human_detection", Option.HUMAN_DETECTION, plan.human_detection),
            ("voicemail_detection", Option.VOICEMAIL_DETECTION, plan.voicemail_detection),
            ("early_media_detection", Option.EARLY_MEDIA_DETECTION, plan.early_media_detection),
            ("headers", Option.HEADER_EXTRACTORS, any(header.extractor for header in plan.headers)),
            ("release_after_bridge", Option.RELEASE, plan.release_after_bridge),
            ("on_failure", Option.TAKE_MESSAGE, Fallback.TAKE_MESSAGE in chosen),
            ("on_failure", Option.SCHEDULE_CALLBACK, Fallback.SCHEDULE_CALLBACK in chosen),
        ):
            if wanted and option not in self.supported:
                self.fault(name, "not_supported", f"{option} is not carried out by this installation")


def _destination_fault(destination: Destination) -> str:
    """What is wrong with a destination that needs no call to be known; empty where nothing is."""
    value = destination.value
    if not value.strip():
        return "empty"
    if any(ord(character) < 0x21 or ord(character) == 0x7F for character in value):
        return "white space and control characters are not allowed"
    parts = scan(value, inputs=True)
    if any(not isinstance(part, Literal) for part in parts):
        return ""  # its number or URI is checked when it is known
    if destination.kind is Kind.TEL and not is_e164(value):
        return "not an E.164 number (+ and 7 to 15 digits)"
    # RFC 3261 §19.1.1: the parser of sip/ judges the rest when the leg is dialled.
    if destination.kind is Kind.SIP:
        scheme, colon, rest = value.partition(":")
        if not colon or scheme.lower() not in ("sip", "sips") or not rest.rpartition("@")[2].strip(":;?"):
            return "not a SIP URI (sip:user@host)"
    return ""


def render_headers(
    plan: Plan,
    variables: Variables,
    inputs: Mapping[str, str] | None = None,
    extracted: Mapping[str, str] | None = None,
) -> tuple[tuple[str, str], ...]:
    """The headers of the leg, filled; ``extracted`` holds the extractors' values by header name.

    Raises HeaderRuleError naming the header and the rule: the transfer then fails as ``header_invalid``.
    """
    filled: list[tuple[str, str]] = []
    for header in plan.headers:
        if header.extractor:
            value = (extracted or {}).get(header.name, "")
            check_name(header.name)
            check_value(header.name, value)
        else:
            value = variables.render_header(header.name, header.value, inputs)
        filled.append((header.name, value))
    return tuple(filled)
