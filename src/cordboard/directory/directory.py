"""The directory in memory: immutable, made by `load_directory`, asked by everybody who routes a call."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from cordboard.directory.actions import AnyAction
from cordboard.directory.agents import Agent, AttachedAction, Attachment
from cordboard.directory.gateways import Gateway
from cordboard.directory.phonebooks import Number, PhoneBook
from cordboard.directory.values import DEFAULT_WORKSPACE, Destination, destination_of, number_key, sip_host
from cordboard.documents import Fault
from cordboard.variables.numbers import normalise


class DirectoryFault(Fault):
    """A fault in a directory file."""

    __slots__ = ()


class DirectoryLookups(Protocol):
    """What calls need of a directory, wherever it is kept. A lookup that finds nothing gives None."""

    def agent(self, model_id: str, workspace_id: str | None = None) -> Agent | None: ...
    def agent_by_number(self, number: str) -> Agent | None: ...
    def number(self, number: str) -> Number | None: ...
    def action(self, action_id: str) -> AnyAction | None: ...
    def actions_of(self, agent: Agent) -> tuple[AttachedAction, ...]: ...
    def phonebook(self, phone_book_id: str) -> PhoneBook | None: ...
    @property
    def gateways(self) -> Mapping[str, Gateway]: ...
    def gateway(self, name: str) -> Gateway | None: ...
    def gateway_for(self, destination: Destination | str, preferred: str | None = None) -> Gateway | None: ...
    def gateways_from(self, address: str) -> tuple[Gateway, ...]: ...


@dataclass(frozen=True, slots=True)
class Directory:
    """Agents, actions, gateways, phone books and numbers, each under its id. `warnings` are faults that let it work."""

    agents: Mapping[str, Agent]
    actions: Mapping[str, AnyAction]
    gateways: Mapping[str, Gateway]
    phonebooks: Mapping[str, PhoneBook]
    numbers: Mapping[str, Number]
    """Under the digits of the number, without ``+``."""
    warnings: tuple[Fault, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        agents: Iterable[Agent] = (),
        actions: Iterable[AnyAction] = (),
        gateways: Iterable[Gateway] = (),
        phonebooks: Iterable[PhoneBook] = (),
        numbers: Iterable[Number] = (),
        warnings: Iterable[Fault] = (),
    ) -> Directory:
        """A directory of checked models; the numbers of the agents are added to `numbers`."""
        agents = tuple(agents)
        own = (
            Number(phone_number=number, model_id=agent.model_id, workspace_id=agent.workspace_id)
            for agent in agents
            for number in agent.phone_numbers
        )
        table = {number_key(number.phone_number): number for number in (*own, *numbers)}
        return cls(
            agents=MappingProxyType({agent.model_id: agent for agent in agents}),
            actions=MappingProxyType({action.action_id: action for action in actions}),
            gateways=MappingProxyType({gateway.name: gateway for gateway in gateways}),
            phonebooks=MappingProxyType({book.phone_book_id: book for book in phonebooks}),
            numbers=MappingProxyType(table),
            warnings=tuple(warnings),
        )

    # ---------------------------------------------------------------- agents

    def agent(self, model_id: str, workspace_id: str | None = None) -> Agent | None:
        """The agent, where it is in the workspace (None: in any)."""
        found = self.agents.get(model_id)
        return found if found is not None and workspace_id in (None, found.workspace_id) else None

    def number(self, number: str) -> Number | None:
        """A number of ours, with or without ``+``, ``00`` and separators."""
        found = self.numbers.get(number_key(number))
        whole = None if found else normalise(number)
        return self.numbers.get(number_key(whole)) if whole else found

    def agent_by_number(self, number: str) -> Agent | None:
        """The agent that answers a number; also an inactive one, which the caller of this refuses with 480."""
        found = self.number(number)
        return None if found is None else self.agents.get(found.model_id)

    def agents_in(self, workspace_id: str = DEFAULT_WORKSPACE) -> tuple[Agent, ...]:
        return tuple(agent for agent in self.agents.values() if agent.workspace_id == workspace_id)

    # --------------------------------------------------------------- actions

    def action(self, action_id: str) -> AnyAction | None:
        return self.actions.get(action_id)

    def actions_of(self, agent: Agent) -> tuple[AttachedAction, ...]:
        """The agent's actions in order, each with its attachment."""
        found = ((self.actions.get(attachment.action_id), attachment) for attachment in agent.actions)
        return tuple(AttachedAction(action=action, attachment=at) for action, at in found if action is not None)

    def attached(self, agent: Agent, action_id: str) -> tuple[AnyAction, Attachment] | None:
        """One of the agent's actions; None where it is not attached to this agent."""
        for attachment in agent.actions:
            if attachment.action_id == action_id and action_id in self.actions:
                return self.actions[action_id], attachment
        return None

    def phonebook(self, phone_book_id: str) -> PhoneBook | None:
        return self.phonebooks.get(phone_book_id)

    # -------------------------------------------------------------- gateways

    def gateway(self, name: str) -> Gateway | None:
        return self.gateways.get(name)

    def gateway_for(self, destination: Destination | str, preferred: str | None = None) -> Gateway | None:
        """The gateway that may carry a resolved number or SIP URI; None: nobody may, so nothing is dialled.

        The longest prefix, or the closest domain, wins; the first in the files where two are equal. `preferred` (an
        action's `gateway`) is taken alone, and only where it may carry the destination.
        """
        if isinstance(destination, str):
            try:
                destination = destination_of(destination)
            except ValueError:
                return None
        best, best_score = None, 0
        for gateway in self.gateways.values():
            if preferred is not None and gateway.name != preferred:
                continue
            score = _carries(gateway, destination)
            if score > best_score:
                best, best_score = gateway, score
        return best

    def gateways_from(self, address: str) -> tuple[Gateway, ...]:
        """Gateways whose calls may come from an IP address. Names among `addresses` are for the shell to resolve."""
        try:
            source = ipaddress.ip_address(address)
        except ValueError:
            return ()
        return tuple(gateway for gateway in self.gateways.values() if _comes_from(gateway, source))


def _carries(gateway: Gateway, destination: Destination) -> int:
    if destination.kind == "tel":
        return gateway.carries_number(destination.value)
    host = sip_host(destination.value) if destination.kind == "sip" else None
    return gateway.carries_host(host) if host else 0


def _comes_from(gateway: Gateway, source: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    for entry in gateway.addresses or (gateway.host,):
        try:
            if source in ipaddress.ip_network(entry):
                return True
        except ValueError:  # a name
            continue
    return False
