"""Placeholders, X-header rules and escaping, without I/O."""

from .errors import HeaderRuleError, VariableWarning
from .escaping import Place, escape
from .headers import (
    ExternalIdentifiers,
    check,
    check_name,
    check_value,
    collect,
    parse_external_identifiers,
)
from .numbers import is_e164, normalise, same, without_plus
from .placeholders import input_names, names, scan
from .store import (
    Binding,
    Scope,
    Source,
    Value,
    Variables,
    as_text,
    fill_header,
    fill_json,
    fill_text,
    fill_uri,
)

__all__ = [
    "Binding",
    "ExternalIdentifiers",
    "HeaderRuleError",
    "Place",
    "Scope",
    "Source",
    "Value",
    "VariableWarning",
    "Variables",
    "as_text",
    "check",
    "check_name",
    "check_value",
    "collect",
    "escape",
    "fill_header",
    "fill_json",
    "fill_text",
    "fill_uri",
    "input_names",
    "is_e164",
    "names",
    "normalise",
    "parse_external_identifiers",
    "same",
    "scan",
    "without_plus",
]
