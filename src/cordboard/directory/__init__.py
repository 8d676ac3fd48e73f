"""Agents, actions, phone books, gateways, numbers and keys."""

from cordboard.directory.actions import (
    AnyAction,
    CallerId,
    CustomAction,
    EndCall,
    HeaderExtractor,
    InformationExtractor,
    LiveTransfer,
    SendDtmf,
    SipHeader,
)
from cordboard.directory.agents import Agent, AttachedAction, Attachment, InputMapping
from cordboard.directory.directory import Directory, DirectoryFault, DirectoryLookups
from cordboard.directory.gateways import Credentials, Gateway, Profile, profile, profile_names
from cordboard.directory.keys import ApiKey, KeyStore, SqlKeyStore
from cordboard.directory.phonebooks import Number, PhoneBook, PhoneBookEntry
from cordboard.directory.values import DEFAULT_WORKSPACE, Destination, destination_of

__all__ = [
    "DEFAULT_WORKSPACE",
    "Agent",
    "AnyAction",
    "ApiKey",
    "AttachedAction",
    "Attachment",
    "CallerId",
    "Credentials",
    "CustomAction",
    "Destination",
    "Directory",
    "DirectoryFault",
    "DirectoryLookups",
    "EndCall",
    "Gateway",
    "HeaderExtractor",
    "InformationExtractor",
    "InputMapping",
    "KeyStore",
    "LiveTransfer",
    "Number",
    "PhoneBook",
    "PhoneBookEntry",
    "Profile",
    "SendDtmf",
    "SipHeader",
    "SqlKeyStore",
    "destination_of",
    "profile",
    "profile_names",
]
