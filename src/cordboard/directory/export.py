"""The directory as YAML again, without secrets: what was a secret is left out, and must be given anew."""

from __future__ import annotations

import re
from typing import Any

import yaml
from pydantic import SecretStr

from cordboard.directory.actions import AnyAction, CustomAction
from cordboard.directory.directory import Directory
from cordboard.directory.values import Model, has_placeholder

_SECRET_NAME = re.compile(r"auth|key|token|secret|password|cookie|signature", re.IGNORECASE)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _text)


def export_directory(directory: Directory) -> str:
    """YAML that `load_directory` reads, apart from secrets: passwords and credentials of actions are not in it."""
    document = {
        "agents": [_plain(agent) for agent in directory.agents.values()],
        "actions": [_action(action) for action in directory.actions.values()],
        "gateways": [_plain(gateway) for gateway in directory.gateways.values()],
        "phonebooks": [_plain(book) for book in directory.phonebooks.values()],
        "numbers": [
            _plain(number) for number in directory.numbers.values() if not _own(directory, number.phone_number)
        ],
    }
    document = {section: items for section, items in document.items() if items}
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def _own(directory: Directory, number: str) -> bool:
    """Whether a number is written at its agent."""
    agent = directory.agent_by_number(number)
    return agent is not None and number in agent.phone_numbers


def _action(action: AnyAction) -> dict[str, Any]:
    result = {"type": action.type, **_plain(action)}
    if isinstance(action, CustomAction):
        for name in ("headers", "query_parameters"):
            for pair in result.get(name, ()):
                if _SECRET_NAME.search(pair["key"]) and not has_placeholder(pair["value"]):
                    pair["value"] = ""
    return result


def _plain(model: Model) -> dict[str, Any]:
    data = model.model_dump(by_alias=True, exclude_defaults=True)
    return {key: _without_secrets(value) for key, value in data.items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(each) for key, each in value.items() if not isinstance(each, SecretStr)}
    if isinstance(value, list | tuple):
        return [_without_secrets(each) for each in value]
    return value
