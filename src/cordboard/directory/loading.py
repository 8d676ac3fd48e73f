"""Directory files: YAML to a checked Directory, or to the list of everything that is wrong with it.

A file holds ``agents``, ``actions``, ``gateways``, ``phonebooks`` and ``numbers``, each a list; a top-level key that
begins with ``x-`` may hold anchors. An agent's actions are written in place, or named by their id. Several files make
one directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from cordboard.directory.actions import (
    ACTION_TYPES,
    Action,
    AnyAction,
    CustomAction,
    EndCall,
    InformationExtractor,
    LiveTransfer,
    SendDtmf,
)
from cordboard.directory.agents import Agent, Attachment
from cordboard.directory.directory import Directory, DirectoryFault
from cordboard.directory.gateways import Gateway
from cordboard.directory.phonebooks import Number, PhoneBook
from cordboard.directory.references import Entries, Entry, reference_faults
from cordboard.directory.support import not_carried_out
from cordboard.directory.values import DEFAULT_WORKSPACE, Model, number_key
from cordboard.documents import Fault, YamlFile, did_you_mean, dotted, rule_of

SECTIONS: Mapping[str, tuple[type[Model], str]] = {
    "agents": (Agent, "model_id"),
    "actions": (LiveTransfer, "action_id"),
    "gateways": (Gateway, "name"),
    "phonebooks": (PhoneBook, "phone_book_id"),
    "numbers": (Number, "phone_number"),
}
M = TypeVar("M", bound=Model)
_ACTION: TypeAdapter[AnyAction] = TypeAdapter(Action)
_ACTION_MODELS: Mapping[str, type[BaseModel]] = dict(
    zip(ACTION_TYPES, (LiveTransfer, CustomAction, InformationExtractor, EndCall, SendDtmf), strict=True)
)
_ATTACHMENT_KEYS = tuple(name for name in Attachment.model_fields if name != "action_id")


def sample_path() -> Path:
    """The directory that comes along."""
    return Path(str(package_files("cordboard.directory") / "sample.yaml"))


def load_directory(files: Iterable[Path | str] = ()) -> Directory | list[Fault]:
    """The directory of some files (none: the sample), or every fault of them. Warnings come with the directory."""
    return read_directory([YamlFile.read(Path(file)) for file in files] or [YamlFile.read(sample_path())])


def read_directory(sources: Iterable[YamlFile]) -> Directory | list[Fault]:
    """As `load_directory`, for documents that are read already."""
    reader = _Reader()
    for source in sources:
        reader.read(source)
    entries = reader.entries
    faults = [*reader.faults, *_duplicates(entries)]
    # What did not parse would look like a reference into nothing.
    found = list(reference_faults(entries, complete=not faults))
    warnings = [fault for fault in found if fault.severity == "warning"]
    faults += [fault for fault in found if fault.severity == "error"]
    for entry in entries.all():
        warnings += [entry.fault(path, "not carried out yet", "warning") for path in not_carried_out(entry.model)]
    if faults:
        return _in_order([*faults, *warnings])
    return Directory.of(
        agents=[entry.model for entry in entries.agents],
        actions=[entry.model for entry in entries.actions],
        gateways=[entry.model for entry in entries.gateways],
        phonebooks=[entry.model for entry in entries.phonebooks],
        numbers=[entry.model for entry in entries.numbers],
        warnings=_in_order(warnings),
    )


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: (fault.file, fault.line or 0, fault.field))


class _Reader:
    """Reads sources into entries, and keeps the faults."""

    def __init__(self) -> None:
        self.entries = Entries()
        self.faults: list[Fault] = []

    def read(self, source: YamlFile) -> None:
        self.faults += source.faults
        if not isinstance(source.data, dict):
            if source.data is not None:
                self._fault(source, (), f"a directory file holds {', '.join(SECTIONS)}")
            return
        for section, items in source.data.items():
            if section.startswith("x-"):
                continue
            if section not in SECTIONS:
                self._fault(source, (section,), "unknown section" + did_you_mean(section, SECTIONS))
            elif items is not None and not isinstance(items, list):
                self._fault(source, (section,), "must be a list")
            else:
                for index, item in enumerate(items or ()):
                    self._item(source, section, (section, index), item)

    def _item(self, source: YamlFile, section: str, path: tuple[str | int, ...], item: Any) -> None:
        if not isinstance(item, dict):
            self._fault(source, path, "must be a mapping")
            return
        item = _given(item)
        if section == "agents":
            model = self._model(source, path, Agent, self._with_actions(source, path, item))
            if model is not None:
                self.entries.agents.append(Entry(source, path, model))
        elif section == "actions":
            self._action(source, path, item)
        elif section == "gateways":
            gateway = self._model(source, path, Gateway, item)
            if gateway is not None:
                self.entries.gateways.append(Entry(source, path, gateway))
        elif section == "phonebooks":
            book = self._model(source, path, PhoneBook, item)
            if book is not None:
                self.entries.phonebooks.append(Entry(source, path, book))
        else:
            number = self._model(source, path, Number, item)
            if number is not None:
                self.entries.numbers.append(Entry(source, path, number))

    def _with_actions(self, source: YamlFile, path: tuple[str | int, ...], item: dict[str, Any]) -> dict[str, Any]:
        """The agent's item with attachments only; actions written in place are read on their own."""
        actions = item.get("actions")
        if not isinstance(actions, list):
            return item
        attachments: list[Any] = []
        for index, each in enumerate(actions):
            if isinstance(each, str):
                attachments.append({"action_id": each})
            elif isinstance(each, dict) and "type" in each:
                own = {key: value for key, value in _given(each).items() if key not in _ATTACHMENT_KEYS}
                own.setdefault("workspace_id", item.get("workspace_id", DEFAULT_WORKSPACE))
                own.setdefault("action_id", f"{item.get('model_id', 'agent')}.{_slug(own.get('name'))}")
                self._action(source, (*path, "actions", index), own)
                rest = {key: value for key, value in _given(each).items() if key in _ATTACHMENT_KEYS}
                attachments.append({"action_id": own["action_id"], **rest})
            else:
                attachments.append(each)
        return {**item, "actions": attachments}

    def _action(self, source: YamlFile, path: tuple[str | int, ...], item: dict[str, Any]) -> None:
        kind = item.get("type")
        if not isinstance(kind, str) or kind not in ACTION_TYPES:
            known = did_you_mean(str(kind), ACTION_TYPES) or f"; known are {', '.join(ACTION_TYPES)}"
            self._fault(source, (*path, "type"), "is required" + known if kind is None else "unknown type" + known)
            return
        try:
            action = _ACTION.validate_python(item)
        except ValidationError as error:
            for details in error.errors():
                loc = details["loc"][1:]  # without the union's tag
                rule = rule_of({**details, "loc": loc}, _ACTION_MODELS[kind])
                self._fault(source, (*path, *loc), rule)
        else:
            self.entries.actions.append(Entry(source, path, action))

    def _model(self, source: YamlFile, path: tuple[str | int, ...], model: type[M], item: Any) -> M | None:
        try:
            return model.model_validate(item)
        except ValidationError as error:
            for details in error.errors():
                self._fault(source, (*path, *details["loc"]), rule_of(details, model))
            return None

    def _fault(self, source: YamlFile, path: tuple[str | int, ...], rule: str) -> None:
        self.faults.append(DirectoryFault(source.name, source.line(path), dotted(path), rule))


def _given(item: dict[str, Any]) -> dict[str, Any]:
    """A key without a value is a key that is not given."""
    return {key: value for key, value in item.items() if value is not None}


def _slug(name: object) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-") or "action"


def _duplicates(entries: Entries) -> Iterator[Fault]:
    """Ids that are given twice, also in two files."""
    for section, (_model, field) in SECTIONS.items():
        first: dict[str, Entry[Any]] = {}
        for entry in entries.of(section):
            value = getattr(entry.model, field)
            key = number_key(value) if section == "numbers" else value
            if key in first:
                yield entry.fault(field, f"{value} is given twice, first in {first[key].place}")
            first.setdefault(key, entry)
