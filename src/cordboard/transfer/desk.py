"""The desk: takes a transfer action of an agent, works out what may be tried, and has it done.

One transfer a call at a time: the same action asked for again joins the pending one.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from cordboard.calls.call import Call
from cordboard.calls.errors import DialRefusedError
from cordboard.calls.hold import HoldMusic
from cordboard.calls.identity import history_headers, identity_headers, identity_of, user_to_user
from cordboard.calls.routing import GatewayRoute, Router
from cordboard.directory.actions import HumanAvailability, LiveTransfer
from cordboard.directory.agents import Agent, AttachedAction, InputMapping
from cordboard.directory.directory import DirectoryLookups
from cordboard.directory.gateways import Gateway
from cordboard.directory.values import Destination, destination_of
from cordboard.media import Clip
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri, escape_user
from cordboard.variables import Binding, HeaderRuleError, Place, Source, Value, check_value, names

from .driver import TransferDriver
from .effects import CallerId
from .events import LocalCause, Refused
from .outcome import Outcome
from .plan import SUPPORTED, Fallback, Kind, Mode, Option, Plan, PlanError
from .plan import Destination as PlannedDestination
from .policy import OnMenu, Policy, ReferSuccess, Timeouts
from .ports import (
    Context,
    PreparationError,
    Route,
    Speaker,
    TransferReport,
    TransferSink,
    TransferStarted,
)
from .state import CallerPhase

log = structlog.get_logger(__name__)

SCREENING_QUESTION = "Press one to take the call, or two to decline."
UNRESOLVED = "{unresolved}"
_FAILURES = (Outcome.TIMEOUT, Outcome.CONNECTION_ERROR, Outcome.SCREENING_REJECTED)
_SOURCES = {
    "hardcoded": Source.FIXED,
    "llm": Source.MODEL,
    "system_vars": Source.SYSTEM,
    "action_results": Source.ACTION_RESULT,
}


@dataclass(frozen=True, slots=True)
class DeskLimits:
    """Seconds, from the settings of the same names."""

    ring: float
    human_detection: float = 60.0
    timeouts: Timeouts = field(default_factory=Timeouts)


class TransferDesk:
    """``identity_host`` is the host of our own addresses in From (RFC 3261 §8.1.1.3)."""

    def __init__(
        self,
        router: Router,
        directory: Callable[[], DirectoryLookups],
        *,
        identity_host: str,
        hold: HoldMusic,
        ringback: Clip,
        sink: TransferSink,
        limits: DeskLimits,
    ) -> None:
        self._router = router
        self._directory = directory
        self._identity_host = identity_host
        self._hold = hold
        self._ringback = ringback
        self._sink = sink
        self._limits = limits
        self._pending: dict[str, TransferDriver] = {}

    @property
    def pending(self) -> int:
        """Transfers that have not ended."""
        return len(self._pending)

    def cancel(self, call_id: str, by: str = "operator") -> bool:
        """Rule 13: give the caller back to the agent. False where nothing is pending."""
        driver = self._pending.get(call_id)
        if driver is None:
            return False
        driver.cancel(by)
        return True

    def shut_down(self) -> None:
        """The drain limit has come (rule 15)."""
        for driver in list(self._pending.values()):
            driver.shut_down()

    async def run(
        self,
        call: Call,
        agent: Agent,
        attached: AttachedAction,
        action: LiveTransfer,
        arguments: Mapping[str, object],
        narrator: Speaker,
        park: Callable[[], None],
        context: Context | None = None,
    ) -> TransferReport:
        """See `conversation.ports.Transfers`."""
        pending = self._pending.get(call.call_id)
        if pending is not None:
            return await asyncio.shield(pending.report)
        hold = self._ringback
        if action.enable_background_music:
            hold = await self._hold.clip(action.hold_music, call.warn)
        draft = _Draft(self, call, agent, attached, action, arguments, context)
        policy, routes = draft.policy()
        action_id = str(uuid.uuid4())
        self._sink(
            TransferStarted(
                call.call_id,
                action_id,
                action.name,
                action.transfer_mode,
                description=action.description or action.instructions,
                parameters=draft.parameters(),
            )
        )
        driver = TransferDriver(
            call,
            action_id=action_id,
            name=action.name,
            policy=policy,
            routes=routes,
            speaker=narrator,
            briefer=draft,
            preparer=draft,
            hold=hold,
            screening_question=action.screening_question or SCREENING_QUESTION,
            park=park,
            sink=self._sink,
        )

        def planned_again(policy: Policy, reached: Sequence[Route]) -> None:
            if driver.state.caller is CallerPhase.PREPARING:
                driver.policy = policy
                routes[:] = reached

        draft.planned_again = planned_again
        self._pending[call.call_id] = driver
        try:
            driver.start()
            return await asyncio.shield(driver.report)
        finally:
            # A caller who went back to the agent may ask again; the old transfer's last legs end by themselves.
            self._pending.pop(call.call_id, None)

    # For the draft --------------------------------------------------------------------------------------------------

    def route(self, destination: Destination, preferred: str | None) -> GatewayRoute:
        return self._router.route(destination, preferred)

    def refer_success(self, peer: str, towards: Gateway | None) -> ReferSuccess:
        """How a REFER's success is seen: by the manners of the caller's side, which carries it out."""
        gateways = self._directory().gateways_from(peer)
        if not gateways:
            return ReferSuccess.FINAL_NOTIFY
        # Where several peers share the address, the one that is named for the destination is the likeliest.
        gateway = towards if towards is not None and towards in gateways else gateways[0]
        return ReferSuccess(gateway.manners.success)

    def take(self, reached: GatewayRoute) -> Callable[[], None]:
        return self._router.take(reached.gateway)

    def phonebook_entry(self, phone_book_id: str, wanted: str) -> Destination | None:
        """The entry of this name, or the only one."""
        book = self._directory().phonebook(phone_book_id)
        if book is None:
            return None
        for entry in book.entries:
            if wanted and wanted in (entry.name, entry.entry_id, entry.transfer_condition):
                return entry.destination
        return book.entries[0].destination if len(book.entries) == 1 else None

    @property
    def identity_host(self) -> str:
        return self._identity_host

    @property
    def limits(self) -> DeskLimits:
        return self._limits


class _Draft:
    """One transfer in the making: it resolves the templates once, at the moment of the decision.

    Where actions must run first, that moment is after they have, under the announcement; the plan is then made again,
    before anything is dialled.
    """

    def __init__(
        self,
        desk: TransferDesk,
        call: Call,
        agent: Agent,
        attached: AttachedAction,
        action: LiveTransfer,
        arguments: Mapping[str, object],
        context: Context | None,
    ) -> None:
        self._desk = desk
        self._call = call
        self._agent = agent
        self._action = action
        self._arguments = arguments
        self._context = context
        self._bindings = {
            mapping.variable_name: _binding(mapping) for mapping in attached.attachment.input_variables_mapping
        }
        self._inputs: dict[str, Value] = {}
        self._refusals: list[Refused] = []
        self._fault: PreparationError | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._briefing: asyncio.Task[str] | None = None
        self._waits = context is not None and bool(action.run_before)
        """Something must run before the templates can be filled."""
        self.planned_again: Callable[[Policy, Sequence[Route]], None] = lambda policy, routes: None

    def policy(self) -> tuple[Policy, list[Route]]:
        """What the machine follows, and how each of its targets is reached. What is unfit is refused by `prepare`."""
        action, limits = self._action, self._desk.limits
        destination: Destination | None = None
        if not self._waits:
            self._inputs = self._call.variables.bind(self._bindings, _values(self._arguments))
            destination = self._resolve()
            self._headers = self._render_headers()
        reached: GatewayRoute | None = None
        if self._fault is None:
            self._check_hours()
        if self._fault is None and destination is not None:
            try:
                reached = self._desk.route(destination, action.gateway)
            except DialRefusedError as error:
                self._fault = PreparationError(LocalCause.DIAL_POLICY, str(error))
        gateway = reached.gateway if reached is not None else None
        manners = gateway.manners if gateway is not None else None
        target = PlannedDestination(
            # What could not be resolved is shown as it was written, and never dialled: `prepare` refuses it.
            Kind(destination.kind) if destination is not None and reached is not None else Kind.DYNAMIC,
            destination.value if destination is not None and reached is not None else UNRESOLVED,
            gateway.name if gateway is not None else "",
            float(action.timeout or limits.ring),
            frozenset(manners.caller_id.refused) if manners is not None else frozenset(),
            self._desk.refer_success(self._call.caller.peer, gateway),
        )
        plan = Plan(
            mode=Mode.COLD if action.cold else Mode.WARM_SUMMARY if self._summarises else Mode.WARM_MESSAGE,
            destinations=(target,),
            retries=action.retries,
            retry_delay=action.retry_delay,
            announcement=self._text(action.initiating_msg),
            digits="" if self._waits else self._text(action.digits),
            whisper="" if action.cold else action.message_to_transfer_target,
            pause_before=action.pause_before_message,
            pause_after=action.pause_after_message,
            human_detection=action.human_detection,
            human_timeout=float(action.human_detection_timeout_seconds or limits.human_detection),
            voicemail_detection=action.voicemail_detection,
            early_media_detection=action.human_detection,
            on_menu=OnMenu(action.on_menu),
            menu_keys=self._text(action.menu_keys),
            screening=action.screened,
            introduction=self._text(action.goodbye_msg) if action.introduction else "",
            goodbye="" if action.introduction else self._text(action.goodbye_msg),
            failed_message=self._failed_message(),
            caller_id=CallerId(action.caller_id_mode),
            caller_id_retry=action.caller_id.retry_when_refused,
            refer_fallback=action.refer_fallback == "invite",
            on_failure=dict.fromkeys(_FAILURES, Fallback(action.on_failure)) if action.on_failure is not None else {},
            return_to_agent=action.return_to_agent,
            stop_recording=action.stop_recording_after_transfer,
            timeouts=limits.timeouts,
        )
        supported = SUPPORTED | {Option.WARM_SUMMARY}
        try:
            policy = plan.policy(supported)
        except PlanError as error:
            # Only what a variable filled in can be wrong here: the action itself was checked when it was saved.
            self._fault = PreparationError(LocalCause.INVALID_DESTINATION, str(error))
            policy = replace(plan, digits="", on_menu=OnMenu.WAIT, menu_keys="").policy(supported)
        return policy, [self._route(reached) for _ in policy.targets]

    def parameters(self) -> dict[str, object]:
        """What the record shows of the action, without what is spoken to the person."""
        action = self._action
        return {
            "transfer_mode": action.transfer_mode,
            "destination": action.destination.value,
            "gateway": action.gateway,
            "timeout": action.timeout or self._desk.limits.ring,
            "sip_headers": [header.name for header in action.sip_headers],
        }

    async def prepare(self) -> Sequence[Refused]:
        """See `ports.Preparer`."""
        if self._waits and self._context is not None:
            try:
                # A little less than the machine waits: what is missing then is refused here, not dialled.
                async with asyncio.timeout(0.9 * self._desk.limits.timeouts.preparation):
                    await self._context.run_before(self._action.run_before)
            except TimeoutError:
                self._call.warn("the actions before the transfer did not end in time")
            self._waits = False
            self.planned_again(*self.policy())
        if self._fault is not None:
            raise self._fault
        await self._extract_headers()
        if self._fault is not None:
            raise self._fault
        return self._refusals

    async def brief(self) -> str:
        """See `ports.Briefer`. A summary is written once, however many legs are dialled."""
        template = self._text(self._action.message_to_transfer_target)
        if not self._summarises or self._context is None:
            return template
        if self._briefing is None:
            prompt = self._text(self._action.summarization_prompt)
            self._briefing = self._call.spawn(_awaited(self._context.summary(prompt, template)))
        return await asyncio.shield(self._briefing)

    @property
    def _summarises(self) -> bool:
        return self._context is not None and self._action.transfer_mode == "warm_transfer_with_context"

    async def _extract_headers(self) -> None:
        """Ask for all at once; until an answer comes, and where none does, the header has its default."""
        wanted = [header for header in self._action.sip_headers if header.extractor is not None]
        if self._context is None or not wanted:
            return
        asked = [self._context.header(each.name, each.extractor) for each in wanted if each.extractor is not None]
        values = dict(zip((each.name for each in wanted), await asyncio.gather(*asked), strict=True))
        try:
            for name, value in values.items():
                check_value(name, value)
        except HeaderRuleError as error:
            self._fault = PreparationError(LocalCause.HEADER_INVALID, str(error))
            return
        self._headers = tuple((name, values.get(name, value)) for name, value in self._headers)

    # Resolution -----------------------------------------------------------------------------------------------------

    def _text(self, template: str) -> str:
        return self._call.variables.render(template, Place.TEXT, self._inputs)

    def _resolve(self) -> Destination | None:
        action, variables = self._action, self._call.variables
        given = action.destination
        try:
            if given.kind == "phonebook":
                wanted = self._arguments.get("entry", "")
                found = self._desk.phonebook_entry(given.value, str(wanted))
                if found is None:
                    raise ValueError(f"the phone book {given.value} has no entry {wanted!r}")
                given = found
            if given.kind == "sip":
                text = variables.render(given.value, Place.URI, self._inputs)
            else:
                text = variables.render(given.value, Place.TEXT, self._inputs).strip()
            return destination_of(text)
        except ValueError as error:
            self._fault = PreparationError(LocalCause.INVALID_DESTINATION, str(error))
            return None

    def _render_headers(self) -> tuple[tuple[str, str], ...]:
        rendered: list[tuple[str, str]] = []
        for header in self._action.sip_headers:
            if header.value is None:
                rendered.append((header.name, header.extractor.default if header.extractor is not None else ""))
                continue
            try:
                value = self._call.variables.render_header(header.name, header.value, self._inputs)
            except HeaderRuleError as error:
                self._fault = PreparationError(LocalCause.HEADER_INVALID, str(error))
                return ()
            rendered.append((header.name, value))
        for warning in self._call.variables.warnings:
            if any(warning.subject in names(header.value or "") for header in self._action.sip_headers):
                self._call.warn(f"{warning.subject}: {warning.rule}")
        return tuple(rendered)

    def _check_hours(self) -> None:
        hours = self._action.human_availability
        if hours is not None and hours.active and not is_open(hours, time.time()):
            self._fault = PreparationError(LocalCause.OUTSIDE_AVAILABILITY, "outside the hours of the action")

    def _failed_message(self) -> str:
        hours = self._action.human_availability
        if (
            self._fault is not None
            and self._fault.cause == LocalCause.OUTSIDE_AVAILABILITY
            and hours is not None
            and hours.unavailable_message
        ):
            return self._text(hours.unavailable_message)
        return self._text(self._action.failed_msg)

    def _route(self, reached: GatewayRoute | None) -> Route:
        if reached is None:
            nowhere = Uri("sip", host="invalid.invalid")
            return Route(nowhere, lambda caller_id: Address(nowhere), lambda caller_id: ())
        return Route(
            reached.uri,
            lambda caller_id: self._identity(reached, caller_id)[0],
            lambda caller_id: self._headers_for(reached, caller_id),
            reached.next_hop,
            reached.credentials,
            referred_by=self._address(self._agent.caller_id or self._number("to_phone_number")),
            take=lambda: self._desk.take(reached),
            secure=reached.gateway.manners.media.srtp == "sdes",
        )

    def _number(self, name: str) -> str:
        return str(self._call.variables.get(name) or "")

    def _shown_number(self, caller_id: CallerId) -> str:
        if caller_id is CallerId.ORIGINAL:
            return self._number("from_phone_number")
        if caller_id is CallerId.FIXED and self._action.caller_id.number is not None:
            return self._action.caller_id.number
        return self._agent.caller_id or self._number("to_phone_number")

    def _address(self, number: str) -> Address:
        return Address(Uri("sip", escape_user(number) if number else "anonymous", host=self._desk.identity_host))

    def _from(self, caller_id: CallerId) -> Address:
        name = self._agent.name if caller_id is CallerId.AGENT else ""
        return replace(self._address(self._shown_number(caller_id)), display_name=name)

    def _identity(self, reached: GatewayRoute, caller_id: CallerId) -> tuple[Address, list[tuple[str, str]]]:
        """From, and what asserts it; a caller who hides the number is told to our trust domain only (RFC 3325 §7)."""
        shown = self._from(caller_id)
        if caller_id is CallerId.AGENT:
            return shown, []
        gateway, request = reached.gateway, self._call.caller.request
        kind = "P-Asserted-Identity" if "pai" in gateway.manners.caller_id.order else "P-Preferred-Identity"
        hidden = caller_id is CallerId.ORIGINAL and request is not None and identity_of(request, False).private
        from_, headers = identity_headers(shown, trusted=gateway.trusted, private=hidden, kind=kind)
        if not hidden and not {"pai", "ppi"} & set(gateway.manners.caller_id.order):
            headers = []
        return from_, headers

    def _user_to_user(self, reached: GatewayRoute) -> list[tuple[str, str]]:
        """User-to-User (RFC 7433), on an INVITE and inside a Refer-To alike, as the gateway wants it written."""
        if not self._action.uui:
            return []
        if reached.gateway.manners.headers.uui == "none":
            self._call.warn(f"the gateway {reached.gateway.name} carries no User-to-User")
            return []
        try:
            return [("User-to-User", user_to_user(self._text(self._action.uui)))]
        except ValueError as error:
            self._call.warn(str(error))
            return []

    def _headers_for(self, reached: GatewayRoute, caller_id: CallerId) -> tuple[tuple[str, str], ...]:
        headers = [*self._headers, *self._user_to_user(reached)]
        rules = reached.gateway.manners.caller_id
        if caller_id is not CallerId.AGENT:
            headers += self._identity(reached, caller_id)[1]
            if reached.gateway.trusted:  # RFC 7044 §7.1: only a trust domain is told the way of a call
                headers += history_headers(self._address(self._number("to_phone_number")), reached.uri)
            elif rules.original == "diversion" and self._agent.caller_id:
                headers.append(("Diversion", str(self._address(self._agent.caller_id))))
        return tuple(headers)


def is_open(hours: HumanAvailability, at: float) -> bool:
    """Whether the moment (epoch seconds) is within the hours, in their own time zone."""
    now = datetime.fromtimestamp(at, ZoneInfo(hours.timezone))
    weekday = now.strftime("%A").lower()
    clock = now.strftime("%H:%M")
    return any(
        day.weekday == weekday and any(interval.from_ <= clock < interval.to for interval in day.interval)
        for day in hours.schedule
    )


async def _awaited(work: Awaitable[str]) -> str:
    return await work


def _binding(mapping: InputMapping) -> Binding:
    return Binding(_SOURCES.get(mapping.source, Source.VARIABLE), mapping.hardcoded_value or "")


def _values(arguments: Mapping[str, object]) -> dict[str, Value]:
    return {
        name: value if isinstance(value, str | int | float | bool) or value is None else str(value)
        for name, value in arguments.items()
    }
