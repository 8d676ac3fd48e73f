"""Callers and the person they are transferred to, as a process of its own, so that their cost is not the server's.

``python -m benchmarks.lab`` prints ``ready PORT`` of the person; a line ``PORT CALLS PER_SECOND`` on its input places
that many calls to a server there, and is answered, when all are over, with how they went as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.subject import ToneVoice, settings_for
from cordboard.lab.people import Behaviour, Person, Seen
from cordboard.server import configure_log, person
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri

CALL_SECONDS = 4.0
CALLER = Behaviour("caller", tone=440, keys="0", keys_after=0.8, hangs_up_after=CALL_SECONDS)
PERSON = Behaviour("person", tone=880, answers_after=0.1)
FROM = Address(Uri.parse("sip:+15550123@127.0.0.1"))


async def place(caller: Person, port: int, calls: int, rate: float) -> Counter[str]:
    """Calls at an even rate; what became of them."""
    placed: list[Seen] = []
    for _ in range(calls):
        placed.append(caller.call(Uri.parse(f"sip:+15550100@127.0.0.1:{port}"), from_=FROM))
        await asyncio.sleep(1 / rate)
    found: Counter[str] = Counter()
    for seen in placed:
        try:
            await asyncio.wait_for(seen.ended.wait(), CALL_SECONDS + 30)
            found["answered" if seen.answered.is_set() else f"refused {seen.status}"] += 1
        except TimeoutError:
            found["stuck"] += 1
    return found


async def serve(folder: Path) -> None:
    """Until the input ends."""
    settings = settings_for(folder, 0.5)
    configure_log(settings.log)
    async with AsyncExitStack() as stack:
        voice = ToneVoice()
        somebody = await stack.enter_async_context(person(settings, voice, PERSON, "udp://127.0.0.1:0"))
        caller = await stack.enter_async_context(person(settings, voice, CALLER, "udp://127.0.0.1:0"))
        print("ready", somebody.user_agent.shell.ports[0], flush=True)
        requests = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
        while line := await requests.readline():
            port, calls, rate = line.split()
            print(json.dumps(await place(caller, int(port), int(calls), float(rate))), flush=True)


def main() -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(serve(Path(folder)))


if __name__ == "__main__":
    main()
