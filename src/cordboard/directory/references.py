"""What one part of the directory says about another: references, numbers, keys, destinations and variables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from cordboard.directory.actions import AnyAction, CustomAction, InformationExtractor, LiveTransfer
from cordboard.directory.agents import Agent, Attachment
from cordboard.directory.directory import Directory, DirectoryFault
from cordboard.directory.gateways import Gateway
from cordboard.directory.phonebooks import Number, PhoneBook
from cordboard.directory.values import (
    DEFAULT_WORKSPACE,
    Destination,
    Model,
    number_key,
)
from cordboard.documents import Fault, YamlFile, did_you_mean, dotted
from cordboard.variables.headers import is_x_header, name_is_legal
from cordboard.variables.placeholders import input_names, names

M = TypeVar("M", bound=Model)
SYSTEM_VARIABLES = (
    "call_id",
    "from_phone_number",
    "to_phone_number",
    "user_phone_number",
    "current_time",
    "timezone",
)


@dataclass(frozen=True, slots=True)
class Entry(Generic[M]):
    """A checked model and the place where it is written."""

    source: YamlFile
    path: tuple[str | int, ...]
    model: M

    @property
    def place(self) -> str:
        return f"{self.source.name}:{self.source.line(self.path)}"

    def fault(
        self, at: str | tuple[str | int, ...], rule: str, severity: Literal["error", "warning"] = "error"
    ) -> DirectoryFault:
        path = (*self.path, *((at,) if isinstance(at, str) else at))
        return DirectoryFault(self.source.name, self.source.line(path), dotted(path), rule, severity)


@dataclass(slots=True)
class Entries:
    """Everything that was read, in the order of the files."""

    agents: list[Entry[Agent]] = field(default_factory=list)
    actions: list[Entry[Any]] = field(default_factory=list)
    gateways: list[Entry[Gateway]] = field(default_factory=list)
    phonebooks: list[Entry[PhoneBook]] = field(default_factory=list)
    numbers: list[Entry[Number]] = field(default_factory=list)

    def of(self, section: str) -> list[Entry[Any]]:
        found: list[Entry[Any]] = getattr(self, section)
        return found

    def all(self) -> Iterator[Entry[Any]]:
        for section in ("agents", "actions", "gateways", "phonebooks", "numbers"):
            yield from self.of(section)


def reference_faults(entries: Entries, *, complete: bool = True) -> Iterator[Fault]:
    """Everything that does not fit together. Where the reading was not `complete`, missing things are not reported."""
    directory = Directory.of(
        agents=[entry.model for entry in entries.agents],
        actions=[entry.model for entry in entries.actions],
        gateways=[entry.model for entry in entries.gateways],
        phonebooks=[entry.model for entry in entries.phonebooks],
        numbers=[entry.model for entry in entries.numbers],
    )
    yield from _number_faults(entries, directory, complete)
    for agent in entries.agents:
        yield from _agent_faults(agent, directory, complete)
    for entry in entries.actions:
        if isinstance(entry.model, LiveTransfer):
            yield from _transfer_faults(entry, directory, complete)
    for book in entries.phonebooks:
        for index, each in enumerate(book.model.entries):
            yield from _destination_faults(book, ("entries", index), each.destination, None, directory, complete)


def _missing(kind: str, name: str, known: Collection[str]) -> str:
    return f"there is no {kind} {name}" + did_you_mean(name, known)


# ----------------------------------------------------------------------------------------------------------- numbers


def _number_faults(entries: Entries, directory: Directory, complete: bool) -> Iterator[Fault]:
    owners: dict[str, tuple[str, str]] = {}
    claims: list[tuple[Entry[Any], tuple[str | int, ...], str, str]] = [
        (entry, ("phone_numbers", index), number, entry.model.model_id)
        for entry in entries.agents
        for index, number in enumerate(entry.model.phone_numbers)
    ]
    claims += [(entry, ("phone_number",), entry.model.phone_number, entry.model.model_id) for entry in entries.numbers]
    for entry, at, number, model_id in claims:
        owner, place = owners.setdefault(number_key(number), (model_id, entry.place))
        if owner != model_id:
            yield entry.fault(at, f"{number} belongs to the agent {owner} already, in {place}")
    for each in entries.numbers:
        agent = directory.agent(each.model.model_id)
        if agent is None and complete:
            yield each.fault("model_id", _missing("agent", each.model.model_id, directory.agents))
        if agent is not None and agent.workspace_id != each.model.workspace_id:
            yield each.fault("model_id", f"the agent {agent.model_id} is in another workspace")
        if complete and each.model.gateway is not None and directory.gateway(each.model.gateway) is None:
            yield each.fault("gateway", _missing("gateway", each.model.gateway, directory.gateways))


# ------------------------------------------------------------------------------------------------------------ agents


def _agent_faults(entry: Entry[Agent], directory: Directory, complete: bool) -> Iterator[Fault]:
    agent = entry.model
    keys: dict[str, str] = {}
    for index, attachment in enumerate(agent.actions):
        at = ("actions", index)
        action = directory.action(attachment.action_id)
        if action is None:
            if complete:
                yield entry.fault(at, _missing("action", attachment.action_id, directory.actions))
            continue
        if action.workspace_id != agent.workspace_id:
            yield entry.fault(at, f"the action {action.action_id} is in another workspace")
        if action.key is not None and keys.setdefault(action.key, action.action_id) != action.action_id:
            yield entry.fault(at, f"the key {action.key} asks for {keys[action.key]} already")
        yield from _input_faults(entry, at, action, attachment)
        yield from _unknown_names(entry, at, _templates(action), agent, f"the action {action.action_id}")
    own = [("prompt", agent.prompt), ("greeting_message", agent.greeting_message)]
    for name, text in own:
        yield from _unknown_names(entry, (name,), [text], agent, name)
    if not agent.language.startswith(("en", "multi")) and agent.recogniser in (None, "auto", "pocketsphinx"):
        rule = "the embedded recogniser is English: without a provider, callers are understood by keys only"
        yield entry.fault("language", rule, "warning")


def _input_templates(action: AnyAction) -> list[str]:
    """The texts in which ``<name>`` declares an input variable."""
    texts: list[str | None] = []
    if isinstance(action, LiveTransfer):
        texts = [action.phone, action.sip_uri, action.dynamic, action.digits, action.summarization_prompt, action.uui]
        texts += [header.value for header in action.sip_headers]
    elif isinstance(action, CustomAction):
        texts = [action.url, action.json_body_stringified]
        texts += [pair.value for pair in (*action.headers, *action.query_parameters)]
    return [text for text in texts if text]


def _templates(action: AnyAction) -> list[str]:
    """The texts of an action that are filled in during the call."""
    texts = _input_templates(action)
    if isinstance(action, LiveTransfer):
        texts += [action.message_to_transfer_target, action.initiating_msg, action.failed_msg, action.goodbye_msg]
        texts += [header.extractor.prompt for header in action.sip_headers if header.extractor]
    return texts


def _input_faults(
    entry: Entry[Agent], at: tuple[str | int, ...], action: AnyAction, attachment: Attachment
) -> Iterator[Fault]:
    """Every ``<name>`` must be bound where the action is attached, and nothing else."""
    wanted = {name for text in _input_templates(action) for name in input_names(text)}
    if isinstance(action, CustomAction):
        # The action's own variables are filled by itself and by the model, not where it is attached.
        wanted -= {each.name for each in action.variables_during_the_call}
        wanted -= {pair.key for pair in action.variables_before_the_call}
    bound = Counter(mapping.variable_name for mapping in attachment.input_variables_mapping)
    for name in sorted(wanted - bound.keys()):
        yield entry.fault(at, f"the input variable <{name}> of {action.action_id} is not bound")
    for name, times in bound.items():
        where = (*at, "input_variables_mapping")
        if name not in wanted:
            yield entry.fault(where, f"{action.action_id} has no input variable <{name}>" + did_you_mean(name, wanted))
        if times > 1:
            yield entry.fault(where, f"the input variable <{name}> is bound twice")


def _unknown_names(
    entry: Entry[Agent], at: tuple[str | int, ...], texts: list[str], agent: Agent, where: str
) -> Iterator[Fault]:
    """Names that nothing defines before the call. They may still be prepared for it, so this is a warning."""
    known = (*SYSTEM_VARIABLES, *agent.variables)
    for name in sorted({name for text in texts for name in names(text)}):
        if name in known or name.startswith("results."):
            continue
        if is_x_header(name):
            if not name_is_legal(name):
                yield entry.fault(at, f"{{{name}}} in {where} can never be an X-header", "warning")
            continue
        hint = did_you_mean(name, known)
        if hint:
            yield entry.fault(
                at, f"{{{name}}} in {where} is empty unless the call is prepared with it{hint}", "warning"
            )


# --------------------------------------------------------------------------------------------------------- transfers


def _transfer_faults(entry: Entry[LiveTransfer], directory: Directory, complete: bool) -> Iterator[Fault]:
    action = entry.model
    if action.phone_book_id is not None and complete:
        book = directory.phonebook(action.phone_book_id)
        if book is None:
            yield entry.fault("phone_book_id", _missing("phone book", action.phone_book_id, directory.phonebooks))
        elif book.workspace_id != action.workspace_id:
            yield entry.fault("phone_book_id", f"the phone book {book.phone_book_id} is in another workspace")
    for name in action.run_before:
        before = directory.action(name)
        if before is None and complete:
            yield entry.fault("run_before", _missing("action", name, directory.actions))
        elif before is not None and not isinstance(before, CustomAction | InformationExtractor):
            yield entry.fault("run_before", f"{name} gives no result that a transfer could wait for")
    if action.gateway is not None and directory.gateway(action.gateway) is None:
        if complete:
            yield entry.fault("gateway", _missing("gateway", action.gateway, directory.gateways))
        return
    at = ("phone",) if action.destination.kind == "tel" else ("sip_uri",)
    yield from _destination_faults(entry, at, action.destination, action.gateway, directory, complete)
    gateway = directory.gateway(action.gateway) if action.gateway else None
    if gateway is None and action.destination.known:
        gateway = directory.gateway_for(action.destination)
    if gateway is not None:
        yield from _manner_faults(entry, gateway)


def _destination_faults(
    entry: Entry[Any],
    at: tuple[str | int, ...],
    destination: Destination,
    preferred: str | None,
    directory: Directory,
    complete: bool,
) -> Iterator[Fault]:
    if not destination.known:
        return
    if destination.kind == "tel" and directory.number(destination.value) is not None:
        yield entry.fault(at, f"{destination} is a number of ours: the call would come back")
    elif complete and directory.gateway_for(destination, preferred) is None:
        rule = "allowed_prefixes" if destination.kind == "tel" else "host or allowed_domains"
        which = f"the gateway {preferred} does not carry" if preferred else "no gateway carries"
        yield entry.fault(at, f"{which} {destination}: its {rule} must name it")


def _manner_faults(entry: Entry[LiveTransfer], gateway: Gateway) -> Iterator[Fault]:
    """What the action asks for and the peer is known not to do."""
    action, manners = entry.model, gateway.manners
    if gateway.workspace_id not in (DEFAULT_WORKSPACE, action.workspace_id):
        yield entry.fault("gateway", f"the gateway {gateway.name} is in another workspace")
    for index, header in enumerate(action.sip_headers):
        for start in manners.headers.deny:
            if header.name.lower().startswith(start.lower()):
                rule = f"the peer of {gateway.name} ({gateway.profile}) keeps {start}… for itself"
                yield entry.fault(("sip_headers", index, "name"), rule, "warning")
    if not action.cold:
        if action.caller_id_mode == "original" and manners.caller_id.original == "refuse":
            rule = f"the peer of {gateway.name} ({gateway.profile}) refuses numbers that are not its customer's"
            yield entry.fault("caller_id", rule, "warning")
        return
    if manners.refer == "never" and action.refer_fallback == "none":
        yield entry.fault("transfer_mode", f"the peer of {gateway.name} ({gateway.profile}) takes no REFER", "warning")
    if manners.carry == "none" and action.sip_headers:
        rule = f"headers of a cold transfer do not get through the peer of {gateway.name} ({gateway.profile})"
        yield entry.fault("sip_headers", rule, "warning")
