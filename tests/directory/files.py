"""Directory files for the tests: a small good one, and ways to spoil it."""

from __future__ import annotations

from cordboard.directory import Directory, read_directory
from cordboard.documents import Fault, YamlFile

AGENT = """\
agents:
  - model_id: desk
    name: Desk
    phone_numbers: [+15550100]
    greeting_message: Hello.
    actions:
"""
GATEWAY = """\
gateways:
  - {name: lab, host: 127.0.0.1, allowed_prefixes: [+1555]}
"""


def read(*texts: str) -> Directory | list[Fault]:
    return read_directory(YamlFile(f"file{index}.yaml", text) for index, text in enumerate(texts))


def good(*texts: str) -> Directory:
    directory = read(*texts)
    assert isinstance(directory, Directory), "\n".join(map(str, directory))
    return directory


def faults(*texts: str) -> list[str]:
    found = read(*texts)
    assert isinstance(found, list), "no fault was found"
    return [str(fault) for fault in found]


def transfer(*lines: str, mode: str = "warm_transfer", destination: str = "sip_uri: sip:human@127.0.0.1") -> str:
    """An agent with one transfer action, and a gateway that carries it; the action begins on line 7."""
    own = ["type: LIVE_TRANSFER", "name: Person", f"transfer_mode: {mode}", destination, *lines]
    body = "".join(f"        {line}\n" for line in own)
    return AGENT + "      - " + body.lstrip() + GATEWAY


def action(*lines: str) -> str:
    """An agent with one action of any type; the action begins on line 7."""
    return AGENT + "      - " + "".join(f"        {line}\n" for line in lines).lstrip() + GATEWAY
