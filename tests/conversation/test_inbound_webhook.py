"""The inbound webhook: it may choose the agent or refuse the call; it never keeps a caller out by being down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cordboard.conversation.inbound_webhook import InboundWebhook, WebhookChoice
from cordboard.egress import AddressPolicy, HttpClient
from tests.support.http_server import Exchange, HttpServer, http_server


def ask(
    handler: Callable[[Exchange], Awaitable[None]], *, limit: float = 5.0, policy: AddressPolicy | None = None
) -> tuple[WebhookChoice, HttpServer]:
    async def main() -> tuple[WebhookChoice, HttpServer]:
        async with (
            http_server(handler) as server,
            HttpClient(policy or AddressPolicy.of(["127.0.0.0/8"])) as http,
        ):
            webhook = InboundWebhook(http, limit=limit, pause=0.001)
            choice = await webhook.choose(
                server.url("/hook"), model_id="front-desk", from_number="+15550111", to_number="+15550100"
            )
            return choice, server

    return asyncio.run(asyncio.wait_for(main(), 20))


def answering(*answers: object) -> Callable[[Exchange], Awaitable[None]]:
    script = list(answers)

    async def handler(exchange: Exchange) -> None:
        answer = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(answer, int):
            await exchange.answer(answer)
        else:
            await exchange.answer(200, answer)

    return handler


def test_the_request_is_that_of_the_reference() -> None:
    choice, server = ask(answering({"call_inbound": {"override_model_id": "night"}}))
    assert choice == WebhookChoice("night")
    seen = server.seen[0]
    assert (seen.method, seen.header("Content-Type")) == ("POST", "application/json")
    assert seen.json() == {
        "event": "call_inbound",
        "call_inbound": {"model_id": "front-desk", "from_number": "+15550111", "to_number": "+15550100"},
    }


@pytest.mark.parametrize(
    ("answer", "choice"),
    [
        ({}, WebhookChoice(refuse=True)),
        ({"call_inbound": {}}, WebhookChoice(refuse=True)),
        ({"call_inbound": {"override_model_id": ""}}, WebhookChoice()),
        ({"call_inbound": {"override_model_id": None}}, WebhookChoice()),
        (
            {"call_inbound": {"custom_variables": {"name": "Jane", "bad name": 1, "n": {"a": 1}}}},
            WebhookChoice(custom_variables={"name": "Jane", "n": {"a": 1}}),
        ),
    ],
)
def test_answers(answer: object, choice: WebhookChoice) -> None:
    """An empty object refuses, an empty id keeps the agent; variables are for the prompt."""
    assert ask(answering(answer))[0] == choice


@pytest.mark.parametrize("bad", [500, 404, b"no json", [], {"other": 1}, {"call_inbound": {"override_model_id": 7}}])
def test_no_sensible_answer_is_asked_for_three_more_times_and_then_the_agent_stays(bad: object) -> None:
    choice, server = ask(answering(bad))
    assert (choice.model_id, choice.refuse, choice.tries) == (None, False, 4)
    assert choice.error
    assert len(server.seen) == 4


def test_a_later_try_counts() -> None:
    choice, _ = ask(answering(503, 503, {"call_inbound": {"override_model_id": "night"}}))
    assert choice == WebhookChoice("night", tries=3)


def test_silence_ends_at_the_limit() -> None:
    async def never(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    choice, _ = ask(never, limit=0.1)
    assert choice.model_id is None
    assert "0.1 s" in choice.error


def test_an_address_that_is_not_allowed_is_not_asked_again() -> None:
    choice, server = ask(answering({}), policy=AddressPolicy())
    assert (choice.refuse, choice.tries) == (False, 1)
    assert "loopback" in choice.error
    assert server.seen == []
