"""`POST /v2/prepare_inbound` and the INVITE that joins it: by X-EI, or by its numbers; and everything that does not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cordboard.calls.events import CallOpened, Spoken
from tests.support.casting import Scene, agent, all_of, caller, nothing_left, of, stage
from tests.support.house import House

pytestmark = pytest.mark.interop

Results = dict[str, Any]
NAMES = (
    "joined",
    "other",
    "wins",
    "twice",
    "unknown",
    "foreign",
    "elsewhere",
    "no-semicolon",
    "tokens",
    "garbage",
    "numbers",
    "ambiguous",
    "strangers",
    "expired",
    "quiet",
)
NUMBERS = {name: f"+155505{index:02}" for index, name in enumerate(NAMES)}
LIFETIME = 0.05
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class Desk:
    """Prepares and places calls on one server."""

    def __init__(self, h: House, folder: Path) -> None:
        self.h = h
        self.folder = folder
        self.calls = 0

    async def prepare(self, name: str, key: str | None = None, **fields: Any) -> dict[str, Any]:
        """The answer to a call prepared for this agent."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self.h.api() as api:
            answer = await api.post("/v2/prepare_inbound", json={"model_id": name, **fields}, headers=headers)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def call(self, name: str, header: str = "X-Nothing: 1", from_number: str = "+15550199") -> dict[str, Any]:
        """The record of a call to this agent's number that hears the greeting and is hung up by us."""
        number = NUMBERS[name]
        self.calls += 1
        before = {opened.call_id for opened in self.h.of(CallOpened)}
        phone = caller(
            self.h,
            self.folder / f"call-{self.calls}",
            number,
            "caller.xml",
            {"headers": header, "caller": from_number},
        )
        await phone.start()
        opened = await self.h.until(
            lambda: [each for each in self.h.of(CallOpened) if each.to_number == number and each.call_id not in before],
            what=f"a call to {name}",
        )
        scene = Scene(self.h, number)
        scene.call_id = opened[0].call_id
        await scene.told(Spoken)
        await scene.hang_up()
        await scene.over()
        (await phone.finish()).check()
        return await scene.record()

    # The scenes -----------------------------------------------------------------------------------------------------

    async def joined(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        prepared = await self.prepare(
            "joined", from_number="+15550199", custom_variables={"customer_name": "John Doe", "order": {"id": 7}}
        )
        waiting = await self.h.record(prepared["synthflow_call_id"])
        return prepared, waiting, await self.call("joined", f"X-EI: S.{prepared['synthflow_call_id']};")

    async def wins(self) -> dict[str, Any]:
        prepared = await self.prepare("quiet", custom_variables={"customer_name": "John Doe"})
        return await self.call("wins", f"X-EI: S.{prepared['synthflow_call_id']};")

    async def twice(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        prepared = (await self.prepare("twice"))["synthflow_call_id"]
        first = await self.call("twice", f"X-EI: S.{prepared};")
        return prepared, first, await self.call("twice", f"X-EI: S.{prepared};")

    async def unknown(self) -> dict[str, Any]:
        return await self.call("unknown", f"X-EI: S.{UNKNOWN};")

    async def foreign(self) -> tuple[str, dict[str, Any]]:
        _, key = await self.h.server.keys.create("elsewhere", "elsewhere")
        prepared = (await self.prepare("elsewhere", key))["synthflow_call_id"]
        return prepared, await self.call("foreign", f"X-EI: S.{prepared};")

    async def no_semicolon(self) -> tuple[str, dict[str, Any]]:
        prepared = (await self.prepare("no-semicolon"))["synthflow_call_id"]
        return prepared, await self.call("no-semicolon", f"X-EI: S.{prepared}")

    async def tokens(self) -> tuple[str, dict[str, Any]]:
        prepared = (await self.prepare("tokens"))["synthflow_call_id"]
        return prepared, await self.call("tokens", f"X-EI: O.+15550000001; E.ticket-4711; S.{prepared};")

    async def garbage(self) -> dict[str, Any]:
        return await self.call("garbage", "X-EI: hello; S.;")

    async def numbers(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        prepared = await self.prepare(
            "numbers",
            from_number="+15550711",
            to_number=NUMBERS["numbers"],
            custom_variables={"customer_name": "Ann"},
        )
        first = await self.call("numbers", from_number="+15550711")
        return prepared["synthflow_call_id"], first, await self.call("numbers", from_number="+15550711")

    async def strangers(self) -> dict[str, Any]:
        await self.prepare("strangers", from_number="+15550712", to_number=NUMBERS["strangers"])
        return await self.call("strangers", from_number="+15550713")

    async def ambiguous(self) -> dict[str, Any]:
        for name in ("Ann", "Bob"):
            await self.prepare(
                "ambiguous",
                from_number="+15550714",
                to_number=NUMBERS["ambiguous"],
                custom_variables={"customer_name": name},
            )
        return await self.call("ambiguous", from_number="+15550714")

    async def expired(self) -> tuple[str, dict[str, Any]]:
        prepared = (await self.prepare("expired"))["synthflow_call_id"]
        await asyncio.sleep(LIFETIME * 2)  # the time that the id has to expire in
        return prepared, await self.call("expired", f"X-EI: S.{prepared};")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("prepared")
    agents = [
        agent(
            name,
            number,
            greeting_message="Hello {customer_name}",
            **({"workspace_id": "elsewhere"} if name == "elsewhere" else {}),
            **({"is_recording": False} if name == "quiet" else {}),
        )
        for name, number in NUMBERS.items()
    ]

    async def main() -> Results:
        (folder / "short").mkdir()
        async with (
            stage(folder, *agents) as h,
            stage(folder / "short", *agents, timeouts={"prepared_call_lifetime": LIFETIME}) as forgetful,
        ):
            desk, late = Desk(h, folder), Desk(forgetful, folder / "short")
            results: Results = await all_of(
                {
                    "joined": desk.joined,
                    "wins": desk.wins,
                    "twice": desk.twice,
                    "unknown": desk.unknown,
                    "foreign": desk.foreign,
                    "no-semicolon": desk.no_semicolon,
                    "tokens": desk.tokens,
                    "garbage": desk.garbage,
                    "numbers": desk.numbers,
                    "strangers": desk.strangers,
                    "ambiguous": desk.ambiguous,
                    "expired": late.expired,
                }
            )
            return results | await all_of({"left": lambda: nothing_left(h)})

    return asyncio.run(main())


def warnings(record: dict[str, Any]) -> list[str]:
    """The warnings about X-EI or prepared calls; the greeting's own unknown variable is another matter."""
    return [each for each in record["warnings"] if "customer_name" not in each]


def test_prepared_call_answers_as_documented(played: Results) -> None:
    """The fields of the answer, and a record with status `registered` before the INVITE has come."""
    prepared, waiting, _ = of(played, "joined")
    assert prepared["call_status"] == "registered"
    assert prepared["direction"] == "inbound"
    assert prepared["model_id"] == "joined"
    assert prepared["workspace_id"] == "default"
    assert prepared["custom_variables"] == {"customer_name": "John Doe", "order": {"id": 7}}
    assert waiting["status"] == "registered"


def test_invite_joins_the_prepared_call(played: Results) -> None:
    """`X-EI: S.<id>;`: the call's id is the prepared one, and its variables are known from the greeting on."""
    prepared, _, record = of(played, "joined")
    assert record["call_id"] == prepared["synthflow_call_id"]
    assert record["prepared_id"] == prepared["synthflow_call_id"]
    assert record["custom_variables"] == {"customer_name": "John Doe", "order": {"id": 7}}
    assert record["transcript"].startswith("bot: Hello John Doe")
    assert record["status"] == "completed"
    assert record["recordings"]
    assert warnings(record) == []


def test_prepared_model_wins_over_the_number(played: Results) -> None:
    """Another number's agent answers where the prepared call names it, with its own wish not to be recorded."""
    record = of(played, "wins")
    assert record["model_id"] == "quiet"
    assert record["phone_number_to"] == NUMBERS["wins"]
    assert record["transcript"].startswith("bot: Hello John Doe")
    assert record["recordings"] == []


def test_prepared_id_serves_once(played: Results) -> None:
    """The second INVITE with an id gets an id of its own, a warning, and leaves the first record as it was."""
    prepared, first, second = of(played, "twice")
    assert first["call_id"] == prepared
    assert second["call_id"] != prepared
    assert second["prepared_id"] is None
    assert any(prepared in each and "used" in each for each in warnings(second))
    assert second["status"] == "completed"


def test_unknown_id_is_noted_and_the_call_goes_on(played: Results) -> None:
    """Nobody outside can choose the id of a call: the record has one of its own and the warning names the rule."""
    record = of(played, "unknown")
    assert record["call_id"] != UNKNOWN
    assert any(UNKNOWN in each and "unknown" in each for each in warnings(record))
    assert record["status"] == "completed"


def test_expired_id_is_noted_and_the_call_goes_on(played: Results) -> None:
    """`timeouts.prepared_call_lifetime` is over: no variables, a warning, and the call."""
    prepared, record = of(played, "expired")
    assert record["call_id"] != prepared
    assert any(prepared in each and "expired" in each for each in warnings(record))
    assert record["prepared_id"] is None


def test_foreign_id_is_noted_and_the_call_goes_on(played: Results) -> None:
    """A call that another workspace has prepared lends neither its agent nor its variables."""
    prepared, record = of(played, "foreign")
    assert record["call_id"] != prepared
    assert record["workspace_id"] == "default"
    assert record["model_id"] == "foreign"
    assert any(prepared in each and "foreign" in each for each in warnings(record))


def test_missing_semicolon_is_tolerated(played: Results) -> None:
    """The call joins all the same, and the record says what to mend."""
    prepared, record = of(played, "no-semicolon")
    assert record["call_id"] == prepared
    assert any("semicolon" in each for each in warnings(record))


def test_external_id_and_diversion_are_on_the_record(played: Results) -> None:
    """`E.` and `O.` beside `S.`, in any order."""
    prepared, record = of(played, "tokens")
    assert record["call_id"] == prepared
    assert (record["external_id"], record["diversion"]) == ("ticket-4711", "+15550000001")
    assert warnings(record) == []


def test_unreadable_header_is_noted_and_the_call_goes_on(played: Results) -> None:
    """Tokens that are none are ignored, each with a warning."""
    record = of(played, "garbage")
    assert record["status"] == "completed"
    assert sum("X-EI" in each for each in warnings(record)) == 2


def test_invite_without_header_is_matched_by_its_numbers(played: Results) -> None:
    """The one prepared call with the same from and to is taken, once, and can be read under its id."""
    prepared, first, second = of(played, "numbers")
    assert first["prepared_id"] == prepared
    assert first["custom_variables"] == {"customer_name": "Ann"}
    assert first["transcript"].startswith("bot: Hello Ann")
    assert second["prepared_id"] is None
    assert warnings(first) == warnings(second) == []


def test_other_caller_does_not_match(played: Results) -> None:
    """A prepared call for one caller is not another's."""
    record = of(played, "strangers")
    assert record["prepared_id"] is None
    assert warnings(record) == []


def test_ambiguous_numbers_match_nothing(played: Results) -> None:
    """Two prepared calls with the same numbers: none is taken, and the record says why."""
    record = of(played, "ambiguous")
    assert record["prepared_id"] is None
    assert record["custom_variables"] == {}
    assert any("several prepared calls" in each for each in warnings(record))


def test_nothing_stays_behind(played: Results) -> None:
    """No session, dialog, transaction, timer, jack, port or transfer is left."""
    of(played, "left")
