"""Phone books and numbers."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from cordboard.directory.gateways import Credentials
from cordboard.directory.values import (
    DEFAULT_WORKSPACE,
    Destination,
    DialledNumber,
    Identifier,
    Model,
    Name,
    PhoneTemplate,
    SipUriTemplate,
    Text,
)


class PhoneBookEntry(Model):
    """One destination and the condition, in natural language, under which it is chosen."""

    entry_id: Identifier | None = None
    name: Name | None = None
    phone_number: PhoneTemplate | None = None
    sip_uri: SipUriTemplate | None = None
    transfer_condition: Text = Field(min_length=1)
    phrases: tuple[Name, ...] = ()
    """What callers say who want this one."""

    @property
    def destination(self) -> Destination:
        if self.phone_number is not None:
            return Destination("tel", self.phone_number)
        assert self.sip_uri is not None
        return Destination("sip", self.sip_uri)

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.phone_number is None) == (self.sip_uri is None):
            raise ValueError("an entry must have exactly one of phone_number and sip_uri")
        return self


class PhoneBook(Model):
    """Destinations, of which a transfer takes the one whose condition holds."""

    phone_book_id: Identifier
    workspace_id: Identifier = DEFAULT_WORKSPACE
    name: Name
    entries: tuple[PhoneBookEntry, ...] = Field(min_length=1, max_length=200)


class Number(Model):
    """A number of ours and the agent that answers it."""

    phone_number: DialledNumber
    model_id: Identifier
    workspace_id: Identifier = DEFAULT_WORKSPACE
    friendly_name: Name | None = None
    gateway: Identifier | None = None
    """Calls to it are taken from this gateway only; None: from every allowed source."""
    inbound_credentials: Credentials | None = None
    """What callers of it must prove by digest; None: what their gateway asks for."""
