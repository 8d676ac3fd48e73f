"""Messages that wait for their call's record: bounded, handed over in order, and gone when nobody can claim them."""

from __future__ import annotations

import asyncio

from cordboard.calls.unclaimed import MAXIMUM_BYTES, MAXIMUM_CALLS, MAXIMUM_MESSAGES, UnclaimedTraces
from cordboard.sip.events import Trace

HERE, THERE = ("127.0.0.1", 5060), ("127.0.0.1", 5070)


def _invite(call_id: str) -> Trace:
    return Trace("in", "udp", HERE, THERE, b"INVITE sip:a@b SIP/2.0\r\n", call_id, "s")


def _trying(call_id: str) -> Trace:
    return Trace("out", "udp", HERE, THERE, b"SIP/2.0 100 Trying\r\n", call_id, "s")


def test_a_call_gets_what_came_before_its_record() -> None:
    async def main() -> None:
        unclaimed = UnclaimedTraces(60)
        unclaimed.add(_invite("one"))
        unclaimed.add(_trying("one"))
        assert unclaimed.claim("one") == [_invite("one"), _trying("one")]
        assert unclaimed.claim("one") == []
        assert len(unclaimed) == 0
        unclaimed.close()

    asyncio.run(main())


def test_an_ack_repeated_after_the_end_is_not_kept() -> None:
    """It would wait for ever: its call's record has been claimed and closed."""

    async def main() -> None:
        unclaimed = UnclaimedTraces(60)
        unclaimed.add(Trace("in", "udp", HERE, THERE, b"ACK sip:a@b SIP/2.0\r\n", "over", None))
        assert len(unclaimed) == 0

    asyncio.run(main())


def test_a_refused_call_is_forgotten_in_time() -> None:
    async def main() -> None:
        unclaimed = UnclaimedTraces(0.02)
        unclaimed.add(_invite("one"))
        await asyncio.sleep(0.01)
        unclaimed.add(_invite("two"))
        async with asyncio.timeout(5):
            while len(unclaimed):
                await asyncio.sleep(0.005)  # waits for the one timer
        unclaimed.add(_invite("three"))
        async with asyncio.timeout(5):
            while len(unclaimed):
                await asyncio.sleep(0.005)

    asyncio.run(main())


def test_floods_stay_bounded() -> None:
    async def main() -> None:
        unclaimed = UnclaimedTraces(60)
        for number in range(MAXIMUM_CALLS * 2):
            unclaimed.add(_invite(str(number)))
        assert len(unclaimed) == MAXIMUM_CALLS
        last = str(MAXIMUM_CALLS * 2 - 1)
        for _ in range(MAXIMUM_MESSAGES * 2):
            unclaimed.add(_trying(last))
        assert len(unclaimed.claim(last)) == MAXIMUM_MESSAGES
        unclaimed.close()
        assert len(unclaimed) == 0

    asyncio.run(main())


def test_long_messages_stay_bounded() -> None:
    """The oldest go when all together are too long, not only when they are too many."""

    async def main() -> None:
        unclaimed = UnclaimedTraces(60)
        long = b"INVITE " + bytes(60_000)
        for number in range(MAXIMUM_CALLS):
            unclaimed.add(Trace("in", "udp", HERE, THERE, long, str(number), "s"))
        assert len(unclaimed) * len(long) <= MAXIMUM_BYTES
        assert len(unclaimed.claim(str(MAXIMUM_CALLS - 1))) == 1
        assert unclaimed.claim("0") == []
        unclaimed.close()

    asyncio.run(main())
