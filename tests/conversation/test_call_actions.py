"""What an agent and a transfer ask of a call's actions, and which model an agent runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from pydantic import TypeAdapter

from cordboard.calls.call import Call
from cordboard.conversation.call_actions import ActionDesk, ActionExecuted, ActionLimits, CallActions
from cordboard.conversation.model import Message, Model
from cordboard.conversation.providers import Models, open_http
from cordboard.directory.actions import Action, AnyAction, HeaderExtractor
from cordboard.directory.agents import Agent, AttachedAction, Attachment
from cordboard.egress import AddressPolicy, EgressRefusedError, HttpClient
from cordboard.settings import Settings
from cordboard.transfer.ports import Context
from cordboard.variables import Variables
from tests.support.http_server import Exchange, HttpServer, http_server
from tests.support.openai_server import openai_server

LIMITS = ActionLimits(custom_action=5, header_extractor=5, summary=5, model_turn=5)


class FakeCall:
    """A call without telephony."""

    call_id = "c-1"

    def __init__(self) -> None:
        self.variables = Variables()
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.warnings: list[str] = []

    def note(self, kind: str, leg: str = "", **data: object) -> None:
        self.notes.append((kind, data))

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class Stage:
    """A call's actions against a server that answers with the path it was asked for."""

    def __init__(self, server: HttpServer, http: HttpClient) -> None:
        self.server = server
        self.call = FakeCall()
        self.reports: list[ActionExecuted] = []
        self._http = http

    def actions(self, *given: dict[str, Any], model: Model | None = None) -> CallActions:
        attached = []
        for fields in given:
            attachment_type = fields.pop("attachment_type", "during")
            action: AnyAction = TypeAdapter(Action).validate_python({"name": fields["action_id"], **fields})
            attachment = Attachment(action_id=action.action_id, attachment_type=attachment_type)
            attached.append(AttachedAction(action, attachment))
        desk = ActionDesk(self._http, LIMITS, self.reports.append)
        agent = Agent(model_id="a", name="A", greeting_message="hi")
        return desk.for_call(cast("Call", self.call), agent, attached, model)

    def custom(self, name: str, **fields: Any) -> dict[str, Any]:
        return {"type": "CUSTOM_ACTION", "action_id": name, "url": self.server.url(f"/{name}"), **fields}

    @property
    def asked(self) -> list[str]:
        return [each.target for each in self.server.seen]


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    async def echo(exchange: Exchange) -> None:
        await exchange.answer(200, {"path": exchange.seen.target})

    async with http_server(echo) as server, HttpClient(AddressPolicy.of(["127.0.0.0/8"])) as http:
        yield Stage(server, http)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


QUESTION = {"type": "INFORMATION_EXTRACTOR", "action_id": "q", "kind": "YES_NO", "identifier": "happy"}


def test_what_runs_before_the_call_runs_once_and_in_order() -> None:
    async def main() -> None:
        async with stage() as s:
            actions = s.actions(
                s.custom("during"),
                s.custom("first", run_action_before_call_start=True),
                s.custom("second", attachment_type="before"),
            )
            await asyncio.gather(actions.before_call(), actions.before_call())
            await actions.before_call()
            assert s.asked == ["/first", "/second"]
            assert [tool.name for tool in actions.tools()] == ["during"]
            assert [each.name for each in s.reports] == ["first", "second"]
            assert s.call.variables.render("{results.second.path}") == "/second"

    run(main)


def test_after_the_call_extractors_come_first_and_without_a_model_say_so() -> None:
    async def main() -> None:
        async with stage() as s:
            actions = s.actions(s.custom("report", attachment_type="after"), dict(QUESTION))
            await actions.after_call()
            assert s.asked == ["/report"]
            assert [each.name for each in s.reports] == ["info_extractor_happy", "report"]
            assert s.reports[0].error == "no model: the rules cannot extract"
            assert s.reports[0].return_value == {"happy": None}

    run(main)


def test_a_transfer_waits_for_its_actions_and_hears_of_what_went_wrong() -> None:
    async def main() -> None:
        async with stage() as s:
            wanted = s.custom("needs", variables_during_the_call=[{"name": "number", "type": "int"}])
            actions = s.actions(s.custom("queue"), wanted, dict(QUESTION))
            context: Context = actions
            await context.run_before(["queue", "needs", "stranger", "q"])
            assert s.asked == ["/queue"]
            assert any("stranger" in each for each in s.call.warnings)
            assert any("number: is required" in each for each in s.call.warnings)
            assert await context.header("X-A", HeaderExtractor(prompt="Why", default="unknown")) == "unknown"
            assert (await context.summary("", "A caller.")) == "A caller."
            assert [kind for kind, _ in s.call.notes] == ["header.extracted", "summary"]

    run(main)


def test_extracted_values_are_variables_for_what_follows() -> None:
    async def main() -> None:
        async with stage() as s, openai_server('{"known": true, "answer": true}') as server:
            models = Models(Settings(model={"base_url": server.base_url}))  # type: ignore[arg-type]
            model = models.for_agent(Agent(model_id="a", name="A", greeting_message="hi"))
            after = s.custom("report", attachment_type="after", query_parameters=[{"key": "h", "value": "{happy}"}])
            actions = s.actions(dict(QUESTION), after, model=model)
            actions.messages = [Message("user", "Thank you, wonderful.")]
            await actions.after_call()
            assert s.asked == ["/report?h=true"]
            await models.aclose()

    run(main)


@pytest.mark.parametrize(
    ("settings", "llm", "wanted"),
    [
        ({}, None, "rules"),
        ({}, "some-model", "rules"),
        ({"base_url": "http://127.0.0.1:1/v1"}, None, "default"),
        ({"base_url": "http://127.0.0.1:1/v1", "name": "house-model"}, None, "house-model"),
        ({"base_url": "http://127.0.0.1:1/v1"}, "some-model", "some-model"),
        ({"base_url": "http://127.0.0.1:1/v1"}, "rules", "rules"),
    ],
)
def test_which_model_an_agent_runs_on(settings: dict[str, str], llm: str | None, wanted: str) -> None:
    """Issue 5: with CORDBOARD_MODEL__BASE_URL set, the same agent runs on a model."""
    fields = {"model_id": "a", "name": "A", "greeting_message": "hi"} | ({"llm": llm} if llm is not None else {})
    models = Models(Settings(model=settings))  # type: ignore[arg-type]
    agent = Agent.model_validate(fields)
    assert models.name_for(agent) == wanted
    model = models.for_agent(agent)
    assert (model.name if model is not None else "rules") == wanted
    asyncio.run(models.aclose())


def test_the_models_address_is_open_to_the_model_only() -> None:
    """Naming a server in the settings opens it for the model, not for custom actions."""

    async def main() -> None:
        async with openai_server("Hello.") as server:
            settings = Settings(model={"base_url": server.base_url})  # type: ignore[arg-type]
            models = Models(settings)
            model = models.for_agent(Agent(model_id="a", name="A", greeting_message="hi"))
            assert model is not None
            assert [event async for event in model.turn([Message("user", "hi")], ())]
            await models.aclose()
            async with open_http(settings) as http:
                with pytest.raises(EgressRefusedError, match="loopback"):
                    await http.request("GET", server.base_url)

    run(main)
