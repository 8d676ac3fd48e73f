"""Names to addresses, by the system's own rules (host table, name servers), off the loop and within a limit."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Protocol

MAXIMUM_ADDRESSES = 16
LOOKUPS_AT_ONCE = 8


class Resolver(Protocol):
    """Gives the addresses of a host, in the order in which they are tried; none where there are none."""

    async def resolve(self, host: str, port: int) -> list[str]: ...


class SystemResolver:
    """``getaddrinfo`` in threads of its own, so that a name server that hangs holds up nobody else's work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="egress-resolver")

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses; an address stands for itself. Not limited in time: who asks sets the limit."""
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _lookup, host, port)
        except (OSError, UnicodeError):
            return []
        return found[:MAXIMUM_ADDRESSES]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lookup(host: str, port: int) -> list[str]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))
