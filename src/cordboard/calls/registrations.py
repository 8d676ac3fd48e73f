"""Which gateways we are registered at: one registration for each that asks for it, as the directory changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import structlog

from cordboard.directory.directory import DirectoryLookups
from cordboard.directory.gateways import Gateway
from cordboard.settings import TimeoutSettings
from cordboard.sip import events as sip
from cordboard.sip.address import Address
from cordboard.sip.config import Credentials
from cordboard.sip.uri import Uri, escape_user
from cordboard.wire import SipShell

log = structlog.get_logger(__name__)

RegistrationState = Literal["trying", "registered", "failed"]


class Registrations:
    """``states`` is what metrics and pages show; changes go to the log, once each."""

    def __init__(self, shell: SipShell, directory: Callable[[], DirectoryLookups], timeouts: TimeoutSettings) -> None:
        self._shell = shell
        self._directory = directory
        self._timeouts = timeouts
        self._gateways: dict[str, tuple[str, Gateway]] = {}
        self._states: dict[str, RegistrationState] = {}

    @property
    def states(self) -> Mapping[str, RegistrationState]:
        """By gateway."""
        return dict(self._states)

    def follow(self) -> None:
        """Register where the directory says so now, and end what it says no more. Call it after each reload."""
        wanted = {gateway.name: gateway for gateway in self._directory().gateways.values() if gateway.registration}
        for identifier, (name, gateway) in list(self._gateways.items()):
            if wanted.get(name) == gateway:
                del wanted[name]
                continue
            del self._gateways[identifier]
            self._states.pop(name, None)
            self._end(identifier)
        for gateway in wanted.values():
            self._begin(gateway)

    def end(self) -> None:
        """Take every binding away."""
        for identifier in list(self._gateways):
            self._end(identifier)
        self._gateways.clear()
        self._states.clear()

    def _begin(self, gateway: Gateway) -> None:
        given = gateway.credentials
        assert given is not None
        registrar = Uri.parse(gateway.uri)
        address = Address(Uri("sip", escape_user(given.username), host=gateway.host))
        credentials = Credentials(given.username, given.password.get_secret_value(), given.realm)
        timeouts = self._timeouts
        identifier = self._shell.run(
            lambda core, now: core.register(
                registrar,
                address,
                credentials=credentials,
                expires=int(timeouts.registration),
                retry=timeouts.registration_retry,
                retry_most=timeouts.registration_retry_most,
                now=now,
            )
        )
        self._gateways[identifier] = (gateway.name, gateway)
        self._states.setdefault(gateway.name, "trying")

    def _end(self, identifier: str) -> None:
        self._shell.run(lambda core, now: core.unregister(identifier, now=now))

    def heard(self, event: sip.RegistrationKept | sip.RegistrationFailed | sip.RegistrationEnded) -> None:
        """One event of the core."""
        known = self._gateways.get(event.session)
        if known is None:
            return
        name = known[0]
        before = self._states.get(name)
        if isinstance(event, sip.RegistrationKept):
            self._states[name] = "registered"
            if before != "registered":
                log.info("registered", gateway=name, expires=event.expires)
        elif isinstance(event, sip.RegistrationFailed):
            self._states[name] = "failed"
            log.warning(
                "registration_failed",
                gateway=name,
                status=event.status,
                reason=event.reason,
                retry_in=round(event.retry_in),
            )
