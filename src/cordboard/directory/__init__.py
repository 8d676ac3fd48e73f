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
from cordboard.directory.check import Report, check
from cordboard.directory.directory import Directory, DirectoryFault, DirectoryLookups
from cordboard.directory.export import export_directory
from cordboard.directory.gateways import Credentials, Gateway, Profile, profile, profile_names
from cordboard.directory.keys import SCOPES, ApiKey, KeyStore, Scope, SqlKeyStore, open_key_store
from cordboard.directory.loading import load_directory, read_directory, sample_path
from cordboard.directory.phonebooks import Number, PhoneBook, PhoneBookEntry
from cordboard.directory.values import DEFAULT_WORKSPACE, Destination, destination_of

__all__ = [
    "DEFAULT_WORKSPACE",
    "SCOPES",
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
    "Report",
    "Scope",
    "SendDtmf",
    "SipHeader",
    "SqlKeyStore",
    "check",
    "destination_of",
    "export_directory",
    "load_directory",
    "open_key_store",
    "profile",
    "profile_names",
    "read_directory",
    "sample_path",
]
