"""What goes into an action: inputs that are bound, and arguments that the model gives, checked by their types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from zoneinfo import ZoneInfo

from cordboard.directory.actions import AnyAction, CustomAction, CustomActionVariable
from cordboard.directory.agents import AttachedAction, Attachment, InputMapping
from cordboard.variables import Binding, Source, Value, Variables, normalise

from .model import Tool

MAXIMUM_TEXT = 4000
"""Characters of one argument."""
MAXIMUM_ITEMS = 100
NO_ENTRIES: Mapping[str, str] = MappingProxyType({})
_SOURCES = {
    "hardcoded": Source.FIXED,
    "llm": Source.MODEL,
    "system_vars": Source.SYSTEM,
    "action_results": Source.ACTION_RESULT,
}
# RFC 5321 §4.1.2, without quoted local parts and address literals, which nobody dictates.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")


class ArgumentError(ValueError):
    """Arguments that do not fit; ``faults`` maps each name to its rule, in words that a model can act on."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        super().__init__("; ".join(f"{name}: {rule}" for name, rule in self.faults.items()))


# Types --------------------------------------------------------------------------------------------------------------

_SCHEMAS: dict[str, dict[str, object]] = {
    "string": {"type": "string", "maxLength": MAXIMUM_TEXT},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "string"}, "maxItems": MAXIMUM_ITEMS},
    "money": {"type": ["number", "string"], "description": "An amount without currency, such as 12.50."},
    "phone_number": {"type": "string", "description": "A phone number in E.164 form, such as +15550100."},
    "email": {"type": "string", "description": "An e-mail address."},
    "datetime": {"type": "string", "description": "Date and time in ISO 8601, such as 2030-01-31T14:30."},
    "utc_datetime": {"type": "string", "description": "Date and time in UTC in ISO 8601: 2030-01-31T14:30:00Z."},
}


def schema_of(variable: CustomActionVariable) -> dict[str, object]:
    """The JSON schema of one variable, with its description and example."""
    schema = dict(_SCHEMAS[variable.type])
    words = [variable.description.strip(), str(schema.pop("description", ""))]
    if variable.example.strip():
        words.append(f"Example: {variable.example.strip()}")
    description = " ".join(word for word in words if word)
    return {**schema, "description": description} if description else schema


def convert(kind: str, value: object, timezone: str = "UTC") -> Value:
    """A value as its type wants it. Raises ValueError with the rule.

    A number may come as text and the other way round, since models mix them up; nothing else is guessed. A
    ``datetime`` without an offset is in ``timezone``.
    """
    match kind:
        case "int":
            return _int(value)
        case "float":
            return _float(value)
        case "bool":
            return _bool(value)
        case "list":
            if not isinstance(value, list | tuple):
                raise ValueError("must be a list")
            if len(value) > MAXIMUM_ITEMS:
                raise ValueError(f"must not have more than {MAXIMUM_ITEMS} entries")
            return [_text(each) for each in value]
        case "money":
            return _money(value)
        case "phone_number":
            number = normalise(_text(value))
            if number is None:
                raise ValueError("must be a phone number in E.164 form, such as +15550100")
            return number
        case "email":
            address = _text(value).strip()
            if not _EMAIL.fullmatch(address):
                raise ValueError("must be an e-mail address")
            return address
        case "datetime":
            return _moment(value, timezone).isoformat(timespec="seconds")
        case "utc_datetime":
            moment = _moment(value, "UTC").astimezone(UTC)
            return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
        case _:
            return _text(value)


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be text")
    text = str(value)
    if len(text) > MAXIMUM_TEXT:
        raise ValueError(f"must not be longer than {MAXIMUM_TEXT} characters")
    return text


def _int(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _float(value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}(\.[0-9]{1,18})?\s*", value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return float(value)


def _bool(value: object) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "false", "yes", "no"):
        return value.strip().lower() in ("true", "yes")
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _money(value: object) -> str:
    try:
        amount = Decimal(_text(value).strip())
    except (InvalidOperation, ValueError):
        raise ValueError("must be an amount without currency, such as 12.50") from None
    if not amount.is_finite() or abs(amount) >= 10**15:
        raise ValueError("must be an amount without currency, such as 12.50")
    return str(amount.quantize(Decimal("0.01")))


def _moment(value: object, timezone: str) -> datetime:
    text = _text(value).strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a date and time in ISO 8601, such as 2030-01-31T14:30") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(timezone))


def arguments_of(action: CustomAction, given: Mapping[str, object], timezone: str = "UTC") -> dict[str, Value]:
    """The action's ``variables_during_the_call``, each converted. Raises ArgumentError with every fault."""
    faults: dict[str, str] = {}
    values: dict[str, Value] = {}
    for variable in action.variables_during_the_call:
        value = given.get(variable.name)
        if value is None or value == "":
            faults[variable.name] = "is required; ask the caller for it"
            continue
        try:
            values[variable.name] = convert(variable.type, value, timezone)
        except ValueError as error:
            faults[variable.name] = str(error)
    if faults:
        raise ArgumentError(faults)
    return values


def example_of(variable: CustomActionVariable) -> object:
    """Something of the right type, for a run without a call: the example, or a stand-in."""
    stand_ins: dict[str, object] = {
        "int": 1,
        "float": 1.5,
        "bool": True,
        "list": ["example"],
        "money": "12.50",
        "phone_number": "+15550100",
        "email": "caller@example.com",
        "datetime": "2030-01-31T14:30",
        "utc_datetime": "2030-01-31T14:30:00Z",
    }
    if not variable.example.strip():
        return stand_ins.get(variable.type, "example")
    if variable.type == "list":
        return [part.strip() for part in variable.example.split(",")]
    return variable.example.strip()


# Inputs -------------------------------------------------------------------------------------------------------------


def binding_of(mapping: InputMapping) -> Binding:
    """How one ``<name>`` is filled."""
    return Binding(_SOURCES.get(mapping.source, Source.VARIABLE), mapping.hardcoded_value or "")


def bind_inputs(
    action: CustomAction,
    attachment: Attachment | None,
    variables: Variables,
    given: Mapping[str, object],
    timezone: str = "UTC",
) -> dict[str, Value]:
    """Every ``<name>`` of an action with its value at this moment. Raises ArgumentError."""
    own = arguments_of(action, given, timezone)
    mappings = attachment.input_variables_mapping if attachment is not None else ()
    from_model: dict[str, Value] = {}
    for mapping in mappings:
        if mapping.source == "llm" and mapping.variable_name in given:
            try:
                from_model[mapping.variable_name] = convert("string", given[mapping.variable_name])
            except ValueError as error:
                raise ArgumentError({mapping.variable_name: str(error)}) from None
    inputs = variables.bind({mapping.variable_name: binding_of(mapping) for mapping in mappings}, from_model)
    for pair in action.variables_before_the_call:
        inputs.setdefault(pair.key, variables.render(pair.value))
    return {**inputs, **own}


def tool_of(attached: AttachedAction, entries: Mapping[str, str] = NO_ENTRIES) -> Tool | None:
    """The action as the model sees it; None where it is not the model's to run.

    ``entries`` are a phone book's entries, each name with its condition: one argument with these names alone, so that
    a caller who dictates a destination reaches nothing else.
    """
    action, attachment = attached
    if attachment.attachment_type != "during" or not _offered(action):
        return None
    properties: dict[str, object] = {}
    required: list[str] = []
    if isinstance(action, CustomAction):
        for variable in action.variables_during_the_call:
            properties[variable.name] = schema_of(variable)
            required.append(variable.name)
    for mapping in attachment.input_variables_mapping:
        if mapping.source != "llm" or mapping.variable_name in properties:
            continue
        config = mapping.llm_config
        words = [config.description, f"Example: {config.example}" if config.example else ""] if config else []
        schema: dict[str, object] = {"type": "string", "maxLength": MAXIMUM_TEXT}
        description = " ".join(word for word in words if word)
        properties[mapping.variable_name] = {**schema, "description": description} if description else schema
        if config is not None and config.required:
            required.append(mapping.variable_name)
    if entries:
        choices = "; ".join(f"{name}: {condition}" for name, condition in entries.items() if condition)
        description = f"Whom the caller wants. {choices}".strip()
        properties["entry"] = {"type": "string", "enum": list(entries), "description": description}
        required.append("entry")
    parameters = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return Tool(action.name, attached.instructions, parameters)


def _offered(action: AnyAction) -> bool:
    if isinstance(action, CustomAction):
        return not action.run_action_before_call_start
    return action.type != "INFORMATION_EXTRACTOR"
