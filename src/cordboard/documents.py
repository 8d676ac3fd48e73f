"""Documents that people write: YAML that remembers its lines, and faults that name file, line, field and rule.

Used by the settings and by the directory.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with what somebody wrote: where, and the rule that it breaks. `line` counts from 1."""

    file: str
    line: int | None
    field: str
    rule: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return (
            f"{place}: {self.severity}: {self.field}: {self.rule}"
            if self.field
            else f"{place}: {self.severity}: {self.rule}"
        )


class _Composer(yaml.BaseLoader):
    """Composes nodes without meaning, within limits: aliases and depth are bounded while reading."""

    MAX_DEPTH, MAX_ALIASES = 40, 1000
    depth = aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        self.aliases += self.check_event(yaml.AliasEvent)
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.depth > self.MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {self.MAX_DEPTH} levels", problem_mark=mark)
        if self.aliases > self.MAX_ALIASES:
            raise yaml.MarkedYAMLError(problem=f"more than {self.MAX_ALIASES} aliases", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


Data = None | bool | int | float | str | list[Any] | dict[str, Any]


class YamlFile:
    """A YAML document as plain data that remembers the line of every value.

    Scalars follow YAML 1.2: only ``true`` and ``false`` are booleans, and ``+15550100``, ``09:30`` and ``no`` are text.
    Anchors and ``<<`` work. `faults` lists what could not be read: syntax, a duplicate key, a tag, too large.
    """

    MAX_BYTES = 4 * 2**20
    MAX_VALUES = 500_000

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self.data: Data = None
        self._lines: dict[tuple[str | int, ...], int] = {}
        self._values = 0
        try:
            if len(text) > self.MAX_BYTES:
                raise yaml.MarkedYAMLError(problem=f"longer than {self.MAX_BYTES} bytes")
            node = _Composer(text).get_single_node()
            self.data = None if node is None else self._value(node, (), ())
        except yaml.MarkedYAMLError as error:
            self.data = None
            mark = error.problem_mark or error.context_mark
            words = "; ".join(part for part in (error.context, error.problem) if part)
            self.faults.append(Fault(name, mark.line + 1 if mark else None, "", f"not readable as YAML: {words}"))
        except yaml.YAMLError as error:
            self.faults.append(Fault(name, None, "", f"not readable as YAML: {' '.join(str(error).split())}"))

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """A file; one that cannot be read is a fault like any other."""
        source = cls.empty(str(path))
        try:
            if path.stat().st_size > cls.MAX_BYTES:
                source.faults.append(Fault(str(path), None, "", f"longer than {cls.MAX_BYTES} bytes"))
                return source
            return cls(str(path), path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            source.faults.append(Fault(str(path), None, "", "not readable: the text is not UTF-8"))
        except OSError as error:
            source.faults.append(Fault(str(path), None, "", f"not readable: {error.strerror or error}"))
        return source

    @classmethod
    def empty(cls, name: str = "defaults") -> YamlFile:
        return cls(name, "")

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line of the value at `path`, or of the nearest thing around it; parts that are no keys are skipped."""
        known: tuple[str | int, ...] = ()
        for part in path:
            if (*known, part) in self._lines:
                known = (*known, part)
        return self._lines.get(known)

    def _value(self, node: yaml.Node, path: tuple[str | int, ...], around: tuple[yaml.Node, ...]) -> Data:
        self._values += 1
        if self._values > self.MAX_VALUES:
            # Aliases of aliases: the document is small and what it says is not.
            raise yaml.MarkedYAMLError(
                problem=f"expands to more than {self.MAX_VALUES} values", problem_mark=node.start_mark
            )
        if any(node is each for each in around):
            raise yaml.MarkedYAMLError(problem="an alias refers to what contains it", problem_mark=node.start_mark)
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.rpartition(":")[2] not in ("str", "seq", "map"):
            raise yaml.MarkedYAMLError(problem=f"the tag {node.tag} is not allowed", problem_mark=node.start_mark)
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(each, (*path, index), (*around, node)) for index, each in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, (*around, node))
        assert isinstance(node, yaml.ScalarNode)
        return node.value if node.style else _plain(node.value)

    def _mapping(
        self, node: yaml.MappingNode, path: tuple[str | int, ...], around: tuple[yaml.Node, ...]
    ) -> dict[str, Any]:
        own: dict[str, Any] = {}
        pairs: list[tuple[yaml.ScalarNode, yaml.Node]] = []
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be text", problem_mark=key_node.start_mark)
            if key_node.value == "<<" and key_node.style is None:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            else:
                pairs.append((key_node, value_node))
        below: dict[str, Any] = {}
        for each in reversed(merged):  # the first that is merged wins, and own keys win over all
            if not isinstance(each, yaml.MappingNode):
                raise yaml.MarkedYAMLError(problem="<< merges mappings only", problem_mark=each.start_mark)
            below |= typing.cast("dict[str, Any]", self._value(each, path, around))
        for key_node, value_node in pairs:
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in own:
                first = self._lines[(*path, key)]
                rule = f"the key is given twice, first on line {first}"
                self.faults.append(Fault(self.name, line, dotted((*path, key)), rule))
            else:
                self._lines[(*path, key)] = line
                own[key] = self._value(value_node, (*path, key), around)
        return below | own


def _plain(text: str) -> Data:
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]{1,3})?", text) else text


# ---------------------------------------------------------------------------------------------- faults from pydantic


def dotted(path: Sequence[str | int]) -> str:
    """``("agents", 0, "name")`` as ``agents[0].name``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def did_you_mean(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def rule_of(details: ErrorDetails, *models: type[BaseModel]) -> str:
    """The broken rule of a pydantic error in plain words, without the refused value: it may be a secret."""
    kind, message = details["type"], details["msg"]
    if kind == "extra_forbidden":
        key = str(details["loc"][-1])
        return "unknown key" + did_you_mean(key, _fields_at(models, details["loc"][:-1]))
    if kind == "missing":
        return "is required"
    return message.removeprefix("Value error, ")


def _fields_at(models: Collection[type[BaseModel]], path: Sequence[str | int]) -> list[str]:
    for part in path:
        inner = [
            each
            for model in models
            if part in model.model_fields
            for each in _models_in(model.model_fields[str(part)].annotation)
        ]
        models = inner or models
        if not inner and isinstance(part, str):  # the tag of a union
            models = [each for each in models if _has_tag(each, part)] or models
    return [name for model in models for name in model.model_fields]


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    return any(
        typing.get_origin(info.annotation) is Literal and tag in typing.get_args(info.annotation)
        for info in model.model_fields.values()
    )


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, BaseModel)
    ):
        yield annotation
    for each in typing.get_args(annotation):
        yield from _models_in(each)
