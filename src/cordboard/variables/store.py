"""The variables of one call: scopes, results of actions, rendering of templates, warnings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import TypeAlias

from . import headers as rules
from .errors import HeaderRuleError, VariableWarning
from .escaping import Place, escape
from .placeholders import Literal, Placeholder, Step, path, scan

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"

MAXIMUM_WARNINGS = 256
MAXIMUM_RESULTS = 64
MAXIMUM_DEPTH = 32


class Scope(StrEnum):
    """Where a variable came from. Earlier members win over later ones: nobody outside can stand in for the system."""

    SYSTEM = "system"  # call_id, from_phone_number, to_phone_number, ...
    COLLECTED = "collected"  # during the call: extractors, flow nodes, actions' returned variables
    PREPARED = "prepared"  # custom_variables of prepare_inbound, of the call request or of the inbound webhook
    HEADERS = "headers"  # inbound X-* headers, found without regard to case


class Source(StrEnum):
    """What an action's input variable is bound to."""

    FIXED = "fixed"
    VARIABLE = "variable"
    SYSTEM = "system"
    ACTION_RESULT = "action_result"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Binding:
    """An input variable's binding: the fixed value, or the name to look up (none for MODEL: the model gives it)."""

    source: Source
    value: str = ""


class _Missing:
    pass


_MISSING = _Missing()


def as_text(value: Value) -> str:
    """A value as it is spoken or sent: text as it is, true and false, nothing for null, else compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json_value(value: object, depth: int = 0) -> Value:
    """A private copy made of JSON values only."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if depth < MAXIMUM_DEPTH:
        if isinstance(value, Mapping):
            return {str(key): _json_value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [_json_value(item, depth + 1) for item in value]
    return str(value)


def _walk(value: Value, steps: Sequence[Step]) -> Value | _Missing:
    for step in steps:
        if isinstance(step, int):
            if isinstance(value, str) or not isinstance(value, Sequence) or step >= len(value):
                return _MISSING
            value = value[step]
        else:
            if not isinstance(value, Mapping) or step not in value:
                return _MISSING
            value = value[step]
    return value


def _in_string(text: str, inside: bool) -> bool:
    """Whether JSON text that began inside a string (or not) ends inside one."""
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif inside and character == "\\":
            escaped = True
        elif character == '"':
            inside = not inside
    return inside


class Variables:
    """One call's variables. ``warnings`` collects what was unknown or ignored, each once, for the call's record."""

    def __init__(self) -> None:
        self._scopes: dict[Scope, dict[str, Value]] = {scope: {} for scope in Scope}
        self._header_names: dict[str, str] = {}
        self._results: list[tuple[str, Value]] = []
        self.warnings: list[VariableWarning] = []

    # --- filling ------------------------------------------------------------------------------------------------

    def set(self, scope: Scope, name: str, value: object) -> None:
        """Set or replace one variable; what is no JSON value is kept as its text.

        In HEADERS a name is replaced without regard to its case, and values are text.
        """
        if scope is Scope.HEADERS:
            name = self._header_names.setdefault(name.lower(), name)
            value = as_text(_json_value(value))
        self._scopes[scope][name] = _json_value(value)

    def update(self, scope: Scope, values: Mapping[str, object]) -> None:
        """Set several."""
        for name, value in values.items():
            self.set(scope, name, value)

    def collect_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Take the ``X-*`` headers of an inbound request, by the rules of :func:`~.headers.collect`."""
        found, warnings = rules.collect(headers)
        self.update(Scope.HEADERS, found)
        for warning in warnings:
            self.warn(warning)

    def add_result(self, action: str, value: object) -> None:
        """An action has finished; the latest is looked at first. Only the last 64 are kept."""
        self._results.append((action, _json_value(value)))
        del self._results[:-MAXIMUM_RESULTS]

    def warn(self, warning: VariableWarning) -> None:
        """Note a warning once; at most 256 are kept."""
        if warning not in self.warnings and len(self.warnings) < MAXIMUM_WARNINGS:
            self.warnings.append(warning)

    # --- reading ------------------------------------------------------------------------------------------------

    def scope(self, scope: Scope) -> dict[str, Value]:
        """A copy of one scope."""
        return dict(self._scopes[scope])

    def headers(self) -> dict[str, str]:
        """The inbound X-headers under their own names."""
        return {name: as_text(value) for name, value in self._scopes[Scope.HEADERS].items()}

    def known(self, name: str) -> bool:
        """Whether the name resolves at this moment."""
        return not isinstance(self._find(name), _Missing)

    def get(self, name: str) -> Value:
        """The value of a variable, a path into one, or ``results...``; None and a warning where it is unknown."""
        found = self._find(name)
        if isinstance(found, _Missing):
            self.warn(VariableWarning(name, "unknown variable: empty"))
            return None
        return found

    def _find(self, name: str) -> Value | _Missing:
        for scope in Scope:
            key = self._header_names.get(name.lower(), name) if scope is Scope.HEADERS else name
            if key in self._scopes[scope]:
                return self._scopes[scope][key]
        steps = path(name)
        if steps is None or len(steps) < 2 or not isinstance(steps[0], str):
            return _MISSING
        if steps[0] == "results":
            return self._find_result(steps[1:])
        for scope in Scope:
            if steps[0] in self._scopes[scope]:
                return _walk(self._scopes[scope][steps[0]], steps[1:])
        return _MISSING

    def _find_result(self, steps: Sequence[Step]) -> Value | _Missing:
        for action, value in reversed(self._results):
            if action == steps[0]:
                found = _walk(value, steps[1:])
                if not isinstance(found, _Missing):
                    return found
        for _, value in reversed(self._results):
            found = _walk(value, steps)
            if not isinstance(found, _Missing):
                return found
        return _MISSING

    # --- rendering ----------------------------------------------------------------------------------------------

    def bind(self, bindings: Mapping[str, Binding], model: Mapping[str, Value] | None = None) -> dict[str, Value]:
        """The input variables of an action: each name's value at this moment. ``model``: what the model gave."""
        bound: dict[str, Value] = {}
        for name, binding in bindings.items():
            if binding.source is Source.FIXED:
                bound[name] = binding.value
            elif binding.source is Source.MODEL:
                if model is None or name not in model:
                    self.warn(VariableWarning(name, "the model gave no value: empty"))
                bound[name] = (model or {}).get(name)
            elif binding.source is Source.SYSTEM:
                if binding.value not in self._scopes[Scope.SYSTEM]:
                    self.warn(VariableWarning(binding.value, "unknown system variable: empty"))
                bound[name] = self._scopes[Scope.SYSTEM].get(binding.value)
            elif binding.source is Source.ACTION_RESULT:
                value = binding.value
                bound[name] = self.get(value if value.startswith("results.") else f"results.{value}")
            else:
                bound[name] = self.get(binding.value)
        return bound

    def render(self, template: str, place: Place = Place.TEXT, inputs: Mapping[str, Value] | None = None) -> str:
        """Fill a template once: values are data and are never expanded again.

        ``inputs`` fills ``<name>``; without it angle brackets are literal. In JSON a value inside a string is escaped
        for it, and one outside becomes a JSON value of its own. Raises HeaderRuleError for CR, LF or NUL in a header.
        """
        out: list[str] = []
        inside = False
        for part in scan(template, inputs=inputs is not None):
            if isinstance(part, Literal):
                out.append(part.text)
                if place is Place.JSON:
                    inside = _in_string(part.text, inside)
                continue
            if isinstance(part, Placeholder):
                value = self.get(part.name)
            else:
                assert inputs is not None
                if part.name not in inputs:
                    self.warn(VariableWarning(part.raw, "unbound input variable: empty"))
                value = inputs.get(part.name)
            if place is Place.JSON and not inside:
                out.append(json.dumps(value))
            else:
                out.append(escape(as_text(value), place))
        return "".join(out)

    def render_header(self, name: str, template: str, inputs: Mapping[str, Value] | None = None) -> str:
        """A header's value, checked with its name. Raises HeaderRuleError naming the header and the rule."""
        rules.check_name(name)
        try:
            value = self.render(template, Place.HEADER, inputs)
        except HeaderRuleError as error:
            raise HeaderRuleError(name, error.rule, error.section) from error
        rules.check_value(name, value)
        return value


def fill_text(template: str, variables: Variables, inputs: Mapping[str, Value] | None = None) -> str:
    """A prompt, a greeting, a message: :meth:`Variables.render` for words."""
    return variables.render(template, Place.TEXT, inputs)


def fill_header(name: str, template: str, variables: Variables, inputs: Mapping[str, Value] | None = None) -> str:
    """:meth:`Variables.render_header`. Raises HeaderRuleError."""
    return variables.render_header(name, template, inputs)


def fill_json(template: str, variables: Variables, inputs: Mapping[str, Value] | None = None) -> str:
    """A JSON body; a template that is valid JSON with its placeholders filled stays valid."""
    return variables.render(template, Place.JSON, inputs)


def fill_uri(template: str, variables: Variables, inputs: Mapping[str, Value] | None = None) -> str:
    """A URI whose placeholders are components: no value can add a host, a parameter or a header."""
    return variables.render(template, Place.URI, inputs)
