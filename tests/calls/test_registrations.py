"""Registrations of gateways over loopback: begun, refused, followed when the directory changes, taken away."""

from __future__ import annotations

import asyncio

import pytest

from cordboard.calls.registrations import Registrations
from cordboard.directory.directory import Directory
from cordboard.directory.gateways import Gateway
from cordboard.settings import TimeoutSettings
from cordboard.sip import events as e
from cordboard.sip.config import EndpointConfig
from tests.wire.sides import Side, running


def gateway(port: int, password: str = "secret", **fields: object) -> Gateway:
    return Gateway.model_validate(
        {
            "name": "carrier",
            "host": "127.0.0.1",
            "port": port,
            "registration": True,
            "credentials": {"username": "trunk", "password": password},
            **fields,
        }
    )


def registrar() -> Side:
    config = EndpointConfig(registrar=True, challenge=lambda request, flow: {"trunk": "secret"}.get)
    config.allow = (*config.allow, "REGISTER")
    return Side("udp://127.0.0.1:0", config=config)


async def until(condition: object, limit: float = 5.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_gateway_is_registered_at_and_given_up_with_the_directory() -> None:
    """Protects reachability behind carriers that want a registration, and a carrier from a dead one."""

    async def main() -> None:
        carrier, own = registrar(), Side("udp://127.0.0.1:0")
        async with running(carrier, own):
            directory = Directory.of(gateways=[gateway(carrier.shell.ports[0])])
            registrations = Registrations(own.shell, lambda: directory, TimeoutSettings())

            def heard(event: e.Event) -> None:
                if isinstance(event, e.RegistrationKept | e.RegistrationFailed | e.RegistrationEnded):
                    registrations.heard(event)

            own.react = heard
            registrations.follow()
            assert registrations.states == {"carrier": "trying"}
            await until(lambda: registrations.states == {"carrier": "registered"})
            assert carrier.shell.endpoint.counts()["bindings"] == 1
            registrations.follow()
            assert own.shell.endpoint.counts()["registrations"] == 1
            directory = Directory.of(gateways=[gateway(carrier.shell.ports[0], registration=False)])
            registrations.follow()
            assert registrations.states == {}
            await until(lambda: carrier.shell.endpoint.counts()["bindings"] == 0)
            await until(lambda: own.shell.endpoint.counts()["registrations"] == 0)

    asyncio.run(main())


def test_a_wrong_password_is_seen_as_a_failure() -> None:
    """Protects whoever configures a gateway: the state says so."""

    async def main() -> None:
        carrier, own = registrar(), Side("udp://127.0.0.1:0")
        async with running(carrier, own):
            directory = Directory.of(gateways=[gateway(carrier.shell.ports[0], "wrong")])
            registrations = Registrations(own.shell, lambda: directory, TimeoutSettings())
            own.react = lambda event: registrations.heard(event) if isinstance(event, e.RegistrationFailed) else None
            registrations.follow()
            await until(lambda: registrations.states == {"carrier": "failed"})
            registrations.end()
            assert registrations.states == {}

    asyncio.run(main())


def test_registration_needs_credentials() -> None:
    """Protects against a registration that can only be refused."""
    with pytest.raises(ValueError, match="credentials"):
        Gateway.model_validate({"name": "x", "host": "127.0.0.1", "registration": True})
