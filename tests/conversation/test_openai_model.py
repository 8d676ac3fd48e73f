"""The model port over real HTTP: streaming, tools, structure, and everything that goes wrong with a provider."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from cordboard.conversation.model import (
    Message,
    ModelError,
    ModelEvent,
    ModelTimeoutError,
    StructuredModel,
    TextDelta,
    Tool,
    ToolCall,
    TurnEnded,
)
from cordboard.conversation.openai_model import OpenAiModel, OpenAiSettings
from cordboard.conversation.tool_schema import violations
from cordboard.egress import AddressPolicy, HttpClient
from tests.support.openai_server import Answer, Call, OpenAiServer, openai_server

HELLO = [Message("system", "You answer the telephone."), Message("user", "Hello?")]
LOOKUP = Tool(
    "Look up order",
    "Finds an order.",
    {
        "type": "object",
        "properties": {"number": {"type": "integer"}, "kind": {"type": "string", "enum": ["new", "old"]}},
        "required": ["number"],
        "additionalProperties": False,
    },
)
PERSON = Tool("person", "The caller wants a person.")
FAST: dict[str, Any] = {"pause": 0.001, "first_words": 5.0, "turn": 10.0}


@contextlib.asynccontextmanager
async def model_of(server: OpenAiServer, **changes: Any) -> AsyncIterator[OpenAiModel]:
    settings = OpenAiSettings(server.base_url, "test", SecretStr("sk-secret"), **{**FAST, **changes})
    async with HttpClient(AddressPolicy.of(["127.0.0.0/8"])) as http:
        model = OpenAiModel(settings, http.transport)
        yield model
        await model.aclose()
        assert http.transport.open_requests == 0


async def turn(
    model: OpenAiModel, tools: tuple[Tool, ...] = (LOOKUP, PERSON), heard: list[ModelEvent] | None = None
) -> list[ModelEvent]:
    events = [] if heard is None else heard
    async for event in model.turn(HELLO, tools):
        events.append(event)
    return events


def words(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls(events: list[ModelEvent]) -> list[ToolCall]:
    return [event for event in events if isinstance(event, ToolCall)]


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


def test_words_come_as_they_are_made_and_the_turn_ends() -> None:
    async def main() -> None:
        async with openai_server("Good morning, how can I help?") as server, model_of(server) as model:
            events = await turn(model)
            assert words(events) == "Good morning, how can I help?"
            assert len([event for event in events if isinstance(event, TextDelta)]) == 6
            assert events[-1] == TurnEnded("stop", 7, 3)
            assert server.keys == ["Bearer sk-secret"]
            assert server.requests[0]["messages"][1] == {"role": "user", "content": "Hello?"}
            assert isinstance(model, StructuredModel)

    run(main)


def test_the_first_words_do_not_wait_for_the_last() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        async with openai_server(Answer("one two three", wait=gate, wait_after=1)) as server, model_of(server) as model:
            events = model.turn(HELLO, ())
            assert await anext(events) == TextDelta("one ")
            gate.set()
            assert [event async for event in events][-1] == TurnEnded("stop", 7, 3)

    run(main)


def test_leaving_the_turn_cancels_the_request() -> None:
    """Barge-in: the connection is given back, nothing goes on in the dark."""

    async def main() -> None:
        async with (
            openai_server(Answer("one two three", wait=asyncio.Event(), wait_after=1)) as server,
            model_of(server) as model,
        ):
            events = model.turn(HELLO, ())
            assert await anext(events) == TextDelta("one ")
            await events.aclose()  # type: ignore[attr-defined]

    run(main)


def test_a_tool_call_comes_with_its_own_name_and_checked_arguments() -> None:
    """The API allows no spaces in a tool's name; the action's name has some."""

    async def main() -> None:
        answer = Answer("One moment.", (Call("Look_up_order", {"number": 7, "kind": "new"}),))
        async with openai_server(answer) as server, model_of(server) as model:
            events = await turn(model)
            assert calls(events) == [ToolCall("call_1", "Look up order", {"number": 7, "kind": "new"})]
            assert words(events) == "One moment."
            assert events[-1] == TurnEnded("tools", 7, 3)
            names = [tool["function"]["name"] for tool in server.requests[0]["tools"]]
            assert names == ["Look_up_order", "person"]

    run(main)


def test_names_that_become_alike_stay_apart() -> None:
    async def main() -> None:
        async with openai_server(Answer(calls=(Call("a_b_2"),))) as server, model_of(server) as model:
            events = await turn(model, (Tool("a b", "one"), Tool("a.b", "two")))
            assert [call.name for call in calls(events)] == ["a.b"]

    run(main)


def test_the_same_tool_called_twice_is_one_call() -> None:
    """Issue 5: tool called twice."""

    async def main() -> None:
        twice = (Call("person", {}, "call_1"), Call("person", "", "call_2"))
        async with openai_server(Answer(calls=twice)) as server, model_of(server) as model:
            assert [call.name for call in calls(await turn(model))] == ["person"]

    run(main)


def test_two_different_calls_keep_different_ids_even_where_the_server_gives_one() -> None:
    async def main() -> None:
        both = (Call("person", {}, "same"), Call("Look_up_order", {"number": 1}, "same"))
        async with openai_server(Answer(calls=both)) as server, model_of(server) as model:
            assert [call.id for call in calls(await turn(model))] == ["same", "same_2"]

    run(main)


@pytest.mark.parametrize(
    "wrong",
    [
        Call("format_disk", {}),
        Call("Look_up_order", {"number": "seven"}),
        Call("Look_up_order", {}),
        Call("Look_up_order", {"number": 7, "uri": "sip:evil@example.com"}),
        Call("Look_up_order", {"number": 7, "kind": "third"}),
        Call("Look_up_order", '{"number": 7'),
        Call("Look_up_order", "[]"),
    ],
)
def test_a_wrong_call_goes_back_to_the_model_once_and_is_never_run(wrong: Call) -> None:
    """Issue 5: unknown tool; tool arguments are validated."""

    async def main() -> None:
        async with openai_server(Answer(calls=(wrong,)), "Which order?") as server, model_of(server) as model:
            events = await turn(model)
            assert calls(events) == []
            assert words(events) == "Which order?"
            told = server.requests[1]["messages"][-1]
            assert (told["role"], told["tool_call_id"]) == ("tool", "call_1")
            assert told["content"].startswith("Error: ")
        async with openai_server(Answer(calls=(wrong,))) as server, model_of(server) as model:
            with pytest.raises(ModelError) as caught:
                await turn(model)
            assert caught.value.stage == "tools"
            assert len(server.requests) == 2

    run(main)


def test_a_good_call_beside_a_wrong_one_runs() -> None:
    async def main() -> None:
        both = Answer(calls=(Call("nonsense", {}, "a"), Call("person", {}, "b")))
        async with openai_server(both) as server, model_of(server) as model:
            assert [call.name for call in calls(await turn(model))] == ["person"]

    run(main)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refusal_that_passes_is_tried_again(status: int) -> None:
    """Issue 5: 429, 500."""

    async def main() -> None:
        script = (Answer(status=status), Answer(status=status), "There you are.")
        async with openai_server(*script) as server, model_of(server) as model:
            assert words(await turn(model)) == "There you are."
            assert len(server.requests) == 3

    run(main)


def test_retries_end() -> None:
    async def main() -> None:
        async with openai_server(Answer(status=500)) as server, model_of(server, retries=2) as model:
            with pytest.raises(ModelError, match="HTTP 500"):
                await turn(model)
            assert len(server.requests) == 3

    run(main)


def test_a_wait_beyond_the_limit_is_not_begun() -> None:
    """Retry-After of a minute is an error now, not silence for a minute."""

    async def main() -> None:
        async with openai_server(Answer(status=429, retry_after="60")) as server, model_of(server) as model:
            with pytest.raises(ModelError, match="HTTP 429"):
                await turn(model)
            assert len(server.requests) == 1

    run(main)


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_that_does_not_pass_is_not_repeated(status: int) -> None:
    async def main() -> None:
        async with openai_server(Answer(status=status)) as server, model_of(server) as model:
            with pytest.raises(ModelError) as caught:
                await turn(model)
            assert "sk-secret" not in str(caught.value)
            assert len(server.requests) == 1

    run(main)


def test_a_slow_model_ends_at_the_limit_for_its_first_words() -> None:
    """Issue 5: slow."""

    async def main() -> None:
        async with (
            openai_server(Answer("late", wait=asyncio.Event())) as server,
            model_of(server, first_words=0.05) as model,
        ):
            with pytest.raises(ModelTimeoutError) as caught:
                await turn(model)
            assert caught.value.stage == "first words"

    run(main)


def test_a_model_that_stops_in_the_middle_ends_at_the_limit_of_the_turn() -> None:
    async def main() -> None:
        async with (
            openai_server(Answer("one two", wait=asyncio.Event(), wait_after=1)) as server,
            model_of(server, turn=0.3) as model,
        ):
            heard: list[ModelEvent] = []
            with pytest.raises(ModelTimeoutError) as caught:
                await turn(model, heard=heard)
            assert (words(heard), caught.value.stage) == ("one ", "stream")

    run(main)


def test_a_cut_stream_is_repeated_only_where_nothing_was_said() -> None:
    """Issue 5: cut stream. What was spoken cannot be taken back."""

    async def main() -> None:
        async with openai_server(Answer("one two", cut_after=0), "Whole.") as server, model_of(server) as model:
            assert words(await turn(model)) == "Whole."
        async with openai_server(Answer("one two", cut_after=1), "Whole.") as server, model_of(server) as model:
            with pytest.raises(ModelError) as caught:
                await turn(model)
            assert caught.value.stage == "stream"
            assert len(server.requests) == 1
        cut_call = Answer(calls=(Call("person"),), cut_after=1)
        async with openai_server(cut_call, "Whole.") as server, model_of(server) as model:
            events = await turn(model)
            assert (calls(events), words(events)) == ([], "Whole.")

    run(main)


def test_a_stream_of_nonsense_is_an_error_of_the_model() -> None:
    async def main() -> None:
        async with openai_server(Answer("one two three", malformed=True)) as server, model_of(server) as model:
            with pytest.raises(ModelError):
                await turn(model)

    run(main)


def test_an_empty_answer_is_asked_for_again_and_then_an_error() -> None:
    """Never silence."""

    async def main() -> None:
        async with openai_server(Answer(""), "Hello.") as server, model_of(server) as model:
            assert words(await turn(model)) == "Hello."
        async with openai_server(Answer("")) as server, model_of(server) as model:
            with pytest.raises(ModelError, match="empty"):
                await turn(model)

    run(main)


def test_no_server_is_an_error_within_the_limit() -> None:
    async def main() -> None:
        async with openai_server("x") as server:
            pass
        async with model_of(server) as model:
            with pytest.raises(ModelError) as caught:
                await turn(model)
            assert caught.value.stage == "connect"

    run(main)


def test_a_server_at_an_address_that_is_not_allowed_is_never_asked() -> None:
    async def main() -> None:
        async with openai_server("x") as server, HttpClient() as http:
            model = OpenAiModel(OpenAiSettings(server.base_url, "test", **FAST), http.transport)
            with pytest.raises(ModelError, match="loopback"):
                await turn(model)
            assert server.requests == []
            await model.aclose()

    run(main)


def test_a_history_is_made_whole_before_it_is_sent() -> None:
    """The API refuses calls without results and results without calls."""

    async def main() -> None:
        history = [
            Message("user", "hi"),
            Message("assistant", "", tool_calls=(ToolCall("1", "Look up order", {"number": 3}),)),
            Message("tool", "found", tool_call_id="1"),
            Message("assistant", "Moment.", tool_calls=(ToolCall("2", "person", {}),)),
            Message("tool", "stray", tool_call_id="9"),
            Message("user", "and?"),
        ]
        async with openai_server("ok") as server, model_of(server) as model:
            async for _ in model.turn(history, (LOOKUP, PERSON)):
                pass
            sent = server.requests[0]["messages"]
            assert [message["role"] for message in sent] == [
                "user", "assistant", "tool", "assistant", "tool", "system", "user",
            ]  # fmt: skip
            assert sent[1]["tool_calls"][0]["function"] == {"name": "Look_up_order", "arguments": '{"number": 3}'}

    run(main)


class Verdict(BaseModel):
    """A shape of the test."""

    model_config = ConfigDict(extra="forbid")
    answer: Literal["yes", "no"]


def test_an_answer_in_a_shape() -> None:
    async def main() -> None:
        async with openai_server('{"answer": "yes"}') as server, model_of(server) as model:
            assert (await model.parse(HELLO, Verdict)).answer == "yes"
            wanted = server.requests[0]["response_format"]
            assert wanted["type"] == "json_schema"
            assert wanted["json_schema"]["schema"]["additionalProperties"] is False

    run(main)


@pytest.mark.parametrize("text", ['{"answer": ', "yes", '{"answer": "maybe"}', '{"answer":"yes","x":1}', ""])
def test_an_answer_out_of_shape_is_asked_for_once_more(text: str) -> None:
    """Issue 5: malformed JSON."""

    async def main() -> None:
        async with openai_server(text, '```json\n{"answer": "no"}\n```') as server, model_of(server) as model:
            assert (await model.parse(HELLO, Verdict)).answer == "no"
            assert len(server.requests) == 2
        async with openai_server(text) as server, model_of(server) as model:
            with pytest.raises(ModelError) as caught:
                await model.parse(HELLO, Verdict)
            assert caught.value.stage == "structure"
            assert len(server.requests) == 2

    run(main)


def test_a_shape_is_retried_after_429_and_ends_at_the_limit() -> None:
    async def main() -> None:
        script = (Answer(status=429), Answer('{"answer": "no"}'))
        async with openai_server(*script) as server, model_of(server) as model:
            assert (await model.parse(HELLO, Verdict)).answer == "no"
        async with openai_server(Answer("late", wait=asyncio.Event())) as server, model_of(server, turn=0.05) as model:
            with pytest.raises(ModelTimeoutError):
                await model.parse(HELLO, Verdict)

    run(main)


def test_the_schema_check_says_what_is_wrong_without_quoting_it() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 2},
            "b": {"type": "string", "pattern": "^x", "maxLength": 3},
            "c": {"anyOf": [{"type": "null"}, {"const": 5}]},
            "d": {"type": ["string", "null"]},
        },
        "required": ["a"],
        "additionalProperties": False,
    }
    assert list(violations(schema, {"a": [1, 2], "b": "xy", "c": 5, "d": None})) == []
    found = list(violations(schema, {"b": "secret", "c": 6, "d": 1, "e": 0}))
    assert found == [
        "a: is required",
        "b: must be at most 3 characters",
        "b: must match ^x",
        "c: fits none of the allowed forms",
        "d: must be string or null",
        "e: is unknown",
    ]
    assert list(violations(schema, {"a": [0, True, 3]})) == [
        "a: must be at most 2 items",
        "a[0]: must be at least 1",
        "a[1]: must be integer",
    ]
    assert list(violations(schema, [])) == ["arguments: must be object"]
