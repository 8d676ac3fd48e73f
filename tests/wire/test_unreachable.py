"""Nobody listens: the ICMP error ends the attempt at once instead of after 32 s (RFC 3261 §18.4)."""

from __future__ import annotations

import asyncio

from cordboard.sip.address import Address
from cordboard.sip.config import EndpointConfig
from cordboard.sip.endpoint import Endpoint
from cordboard.sip.events import Event, Failed
from cordboard.sip.uri import Uri
from cordboard.wire import RandomIdentifiers, SipShell
from tests.support.ports import free_port


def test_a_port_where_nobody_listens_is_a_transport_error_at_once() -> None:
    """Also when the listener is bound to a wildcard."""

    async def call(listener: str) -> Failed:
        failed: asyncio.Future[Failed] = asyncio.get_running_loop().create_future()

        def take(event: Event) -> None:
            if isinstance(event, Failed) and not failed.done():
                failed.set_result(event)

        shell = SipShell(Endpoint(EndpointConfig(), RandomIdentifiers()), [listener], take)
        await shell.start()
        target = Uri.parse(f"sip:nobody@127.0.0.1:{free_port()}")
        shell.run(lambda core, now: core.invite(target, from_=Address(Uri.parse("sip:us@127.0.0.1")), now=now))
        try:
            return await asyncio.wait_for(failed, 5)
        finally:
            await shell.close()

    for listener in ("udp://127.0.0.1:0", "udp://0.0.0.0:0"):
        event = asyncio.run(call(listener))
        assert (event.local, event.detail) == (True, "transport")
