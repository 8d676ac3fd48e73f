"""Custom actions: what leaves, escaped for its place; what comes back; what the caller hears meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordboard.conversation.action_values import ArgumentError, arguments_of, bind_inputs, convert, tool_of
from cordboard.conversation.custom_action import (
    ActionResult,
    CustomActions,
    RequestError,
    build_request,
    initialise,
    result_paths,
    value_of,
)
from cordboard.conversation.tool_schema import violations
from cordboard.directory.actions import CustomAction, EndCall, InformationExtractor, LiveTransfer
from cordboard.directory.agents import AttachedAction, Attachment
from cordboard.egress import AddressPolicy, HttpClient, HttpResponse
from cordboard.variables import Scope, Variables
from tests.support.http_server import Exchange, HttpServer, http_server

SEED_HEADERS = [
    ("X-Customer-Name", "Jane Doe"),
    ("X-Account-ID", "ACC-98765"),
    ("X-Language", "es"),
    ("X-Priority", "high"),
]


def action(**fields: Any) -> CustomAction:
    base: dict[str, Any] = {"action_id": "lookup", "name": "lookup", "url": "https://api.example.com/orders"}
    return CustomAction.model_validate(base | fields)


def attachment(**fields: Any) -> Attachment:
    return Attachment.model_validate({"action_id": "lookup"} | fields)


def call_variables() -> Variables:
    variables = Variables()
    variables.collect_headers(SEED_HEADERS)
    variables.update(Scope.SYSTEM, {"call_id": "c-1", "user_phone_number": "+15550100"})
    return variables


def body_of(template: str, variables: Variables | None = None, **inputs: Any) -> Any:
    request = build_request(
        action(http_mode="POST", json_body_stringified=template), variables or call_variables(), inputs
    )
    assert request.body is not None
    return json.loads(request.body)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


# Building -----------------------------------------------------------------------------------------------------------


def test_seed_before_the_call_body() -> None:
    """sip-x-headers: pass X-header values in the request body of a pre-call action."""
    body = body_of('{\n"account_id": "{X-Account-ID}",\n"language": "{X-Language}"\n}')
    assert body == {"account_id": "ACC-98765", "language": "es"}


def test_seed_during_the_call_body() -> None:
    """sip-x-headers: combine X-header variables with system variables."""
    body = body_of('{"caller_name": "{X-Customer-Name}", "priority": "{X-Priority}", "call_id": "{call_id}"}')
    assert body == {"caller_name": "Jane Doe", "priority": "high", "call_id": "c-1"}


def test_an_action_result_in_the_body() -> None:
    """sip-x-headers: variables returned by other actions, {results.data.field}."""
    variables = call_variables()
    variables.add_result("crm", {"data": {"field": 'a "quoted" value', "list": [1, 2]}})
    body = body_of('{"f": "{results.data.field}", "named": {results.crm.data.list}}', variables)
    assert body == {"f": 'a "quoted" value', "named": [1, 2]}


@pytest.mark.parametrize(
    "spoken", ['"', '", "admin": true, "x": "', "\\", "\\u0022", "line\nbreak", "{call_id}", "<secret>", "\x00", "é€😀"]
)
def test_a_value_cannot_leave_its_json_string(spoken: str) -> None:
    """Untrusted text: the caller's words are data, and are never expanded again."""
    assert body_of('{"said": "<words>", "fixed": 1}', words=spoken) == {"said": spoken, "fixed": 1}


@given(st.text())
def test_any_text_survives_the_json_body(spoken: str) -> None:
    body = body_of('{"said": "before {words} after", "bare": <words>}', words=spoken)
    assert body == {"said": f"before {spoken} after", "bare": spoken}


def test_typed_values_stand_bare() -> None:
    body = body_of('{"n": <n>, "yes": <yes>, "list": <list>, "text": "<n>"}', n=7, yes=True, list=["a"])
    assert body == {"n": 7, "yes": True, "list": ["a"], "text": "7"}


def test_a_body_that_is_no_json_once_filled_is_not_sent() -> None:
    with pytest.raises(RequestError) as caught:
        build_request(action(http_mode="POST", json_body_stringified='{"a": <a>'), call_variables(), {"a": 1})
    assert caught.value.field == "json_body_stringified"


def test_values_are_components_of_the_url() -> None:
    request = build_request(
        action(
            url="https://api.example.com/orders/{number}/x?since=<since>#part",
            query_parameters=[{"key": "q&=", "value": "{name}"}],
        ),
        call_variables(),
        {"number": "a/b?c=d#e", "since": "1&admin=1", "name": "Jane & Co"},
    )
    assert request.url == (
        "https://api.example.com/orders/a%2Fb%3Fc%3Dd%23e/x?since=1%26admin%3D1&q%26%3D=Jane+%26+Co#part"
    )


@pytest.mark.parametrize(
    "url", ["https://{host}/x", "https://api.{tenant}.com/x", "https://api.example.com:{port}/", "https://<host>"]
)
def test_no_value_chooses_the_host(url: str) -> None:
    """Issue 5, hostile callers: who dictates an address reaches only configured destinations."""
    with pytest.raises(RequestError) as caught:
        build_request(action(url=url), call_variables(), {"host": "evil.test", "tenant": "x", "port": "80"})
    assert caught.value.field == "url"


@pytest.mark.parametrize("value", ["..", ".", "%2e%2e"])
def test_no_value_leaves_its_folder(value: str) -> None:
    request = action(url="https://api.example.com/a/<part>/b")
    if value.startswith("%"):  # percent signs are escaped again, and name nothing
        assert "%252e" in build_request(request, call_variables(), {"part": value}).url
        return
    with pytest.raises(RequestError):
        build_request(request, call_variables(), {"part": value})


def test_a_line_break_in_a_header_is_an_error() -> None:
    with pytest.raises(RequestError) as caught:
        build_request(
            action(headers=[{"key": "X-Name", "value": "<name>"}]), call_variables(), {"name": "a\r\nX-Evil: 1"}
        )
    assert caught.value.field == "headers.X-Name"


@pytest.mark.parametrize(
    ("auth", "header", "query"),
    [
        ({"key": "Bearer"}, ("Authorization", "Bearer s3cr3t"), ""),
        ({"key": "Basic"}, ("Authorization", "Basic s3cr3t"), ""),
        ({"key": "X-Api-Key"}, ("X-Api-Key", "s3cr3t"), ""),
        ({"key": "api_key", "location": "query"}, None, "?api_key=s3cr3t"),
    ],
)
def test_auth_goes_where_it_belongs_and_is_shown_nowhere(auth: Any, header: Any, query: str) -> None:
    request = build_request(action(custom_auth={"is_needed": True, "value": "s3cr3t", **auth}), call_variables(), {})
    assert request.url.endswith(f"/orders{query}")
    assert header is None or header in request.headers
    assert "s3cr3t" not in repr(request)
    assert "s3cr3t" not in json.dumps(request.shown())


def test_auth_that_is_needed_and_missing_is_an_error() -> None:
    with pytest.raises(RequestError):
        build_request(action(custom_auth={"is_needed": True}), call_variables(), {})
    assert "Authorization" not in dict(build_request(action(), call_variables(), {}).headers)


def test_keys_among_headers_and_query_are_masked_too() -> None:
    request = build_request(
        action(
            headers=[{"key": "X-Api-Key", "value": "topsecret"}, {"key": "X-Plain", "value": "seen"}],
            query_parameters=[{"key": "token", "value": "also secret"}],
        ),
        call_variables(),
        {},
    )
    shown = json.dumps(request.shown())
    assert "topsecret" not in shown
    assert "also" not in shown
    assert "seen" in shown


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods(method: str) -> None:
    request = build_request(action(http_mode=method, json_body_stringified='{"a": 1}'), call_variables(), {})
    assert request.method == method
    assert (request.body is None) == (method == "GET")


# Values -------------------------------------------------------------------------------------------------------------

GOOD = [
    ("string", "x", "x"),
    ("string", 7, "7"),
    ("int", 7, 7),
    ("int", "7", 7),
    ("int", 7.0, 7),
    ("float", "1.5", 1.5),
    ("float", 2, 2.0),
    ("bool", True, True),
    ("bool", "Yes", True),
    ("bool", "false", False),
    ("list", ["a", 1], ["a", "1"]),
    ("money", 12.5, "12.50"),
    ("money", "12", "12.00"),
    ("phone_number", "+1 (555) 010-0100", "+15550100100"),
    ("email", " a.b@example.com ", "a.b@example.com"),
    ("datetime", "2030-01-31T14:30", "2030-01-31T14:30:00+01:00"),
    ("datetime", "2030-01-31T14:30:00+05:00", "2030-01-31T14:30:00+05:00"),
    ("utc_datetime", "2030-01-31T14:30", "2030-01-31T14:30:00Z"),
    ("utc_datetime", "2030-01-31T14:30:00+05:00", "2030-01-31T09:30:00Z"),
]
BAD = [
    ("string", ["x"]),
    ("string", True),
    ("string", "x" * 5000),
    ("int", "seven"),
    ("int", 7.5),
    ("int", True),
    ("float", "NaN"),
    ("float", None),
    ("bool", "maybe"),
    ("bool", 1),
    ("list", "a,b"),
    ("list", [["a"]]),
    ("list", ["a"] * 101),
    ("money", "12 EUR"),
    ("money", "NaN"),
    ("money", "1e99"),
    ("phone_number", "sip:evil@example.com"),
    ("phone_number", "12"),
    ("email", "nobody"),
    ("email", "a@b\r\nc"),
    ("datetime", "tomorrow"),
    ("utc_datetime", 17),
]


@pytest.mark.parametrize(("kind", "given", "wanted"), GOOD)
def test_values_become_what_their_type_says(kind: str, given: object, wanted: object) -> None:
    assert convert(kind, given, "Europe/Berlin") == wanted


@pytest.mark.parametrize(("kind", "given"), BAD)
def test_values_that_do_not_fit_their_type_are_refused(kind: str, given: object) -> None:
    """Issue 5: tool arguments are validated."""
    with pytest.raises(ValueError):
        convert(kind, given)


def test_every_fault_of_the_arguments_is_told_at_once() -> None:
    wanted = action(
        variables_during_the_call=[{"name": "a", "type": "int"}, {"name": "b", "type": "email"}, {"name": "c"}]
    )
    with pytest.raises(ArgumentError) as caught:
        arguments_of(wanted, {"a": "x", "b": "y", "d": "unknown"})
    assert set(caught.value.faults) == {"a", "b", "c"}


def test_inputs_come_from_the_attachment_the_action_and_the_model() -> None:
    """call-transfers: bind it to a fixed value or to any variable."""
    wanted = action(
        variables_before_the_call=[{"key": "greeting", "value": "Hello {X-Customer-Name}"}],
        variables_during_the_call=[{"name": "count", "type": "int"}],
    )
    mapping = [
        {"variable_name": "fixed", "source": "hardcoded", "hardcoded_value": "7"},
        {"variable_name": "system", "source": "system_vars", "hardcoded_value": "call_id"},
        {"variable_name": "header", "source": "prompt_variables", "hardcoded_value": "X-Priority"},
        {"variable_name": "result", "source": "action_results", "hardcoded_value": "crm.queue"},
        {"variable_name": "why", "source": "llm"},
    ]
    variables = call_variables()
    variables.add_result("crm", {"queue": "gold"})
    inputs = bind_inputs(
        wanted, attachment(input_variables_mapping=mapping), variables, {"count": "3", "why": "billing"}
    )
    assert inputs == {
        "fixed": "7",
        "system": "c-1",
        "header": "high",
        "result": "gold",
        "why": "billing",
        "greeting": "Hello Jane Doe",
        "count": 3,
    }


def test_the_tool_shows_types_examples_and_nothing_else_fits() -> None:
    wanted = action(
        instructions="Looks up an order.",
        variables_during_the_call=[{"name": "number", "type": "int", "description": "Order.", "example": "42"}],
    )
    mapping = [{"variable_name": "why", "source": "llm", "llm_config": {"description": "Reason.", "required": True}}]
    tool = tool_of(AttachedAction(wanted, attachment(input_variables_mapping=mapping)))
    assert tool is not None
    assert tool.description == "Looks up an order."
    assert list(violations(tool.parameters, {"number": 1, "why": "x"})) == []
    assert list(violations(tool.parameters, {"number": "1", "other": 2})) == [
        "why: is required",
        "number: must be integer",
        "other: is unknown",
    ]


def test_a_phone_books_entries_are_the_only_destinations_a_model_can_name() -> None:
    """Issue 5: a caller who says "transfer me to sip:evil@…" reaches only what the action allows."""
    transfer = LiveTransfer.model_validate(
        {"action_id": "t", "name": "t", "transfer_mode": "warm_transfer", "phone_book_id": "book"}
    )
    tool = tool_of(AttachedAction(transfer, Attachment(action_id="t")), {"sales": "asks for prices", "support": ""})
    assert tool is not None
    assert "sales: asks for prices" in str(tool.parameters)
    assert list(violations(tool.parameters, {"entry": "sales"})) == []
    assert list(violations(tool.parameters, {"entry": "sip:evil@example.com"}))
    assert list(violations(tool.parameters, {"entry": "sales", "sip_uri": "sip:evil@example.com"}))


@pytest.mark.parametrize(
    "attached",
    [
        AttachedAction(action(run_action_before_call_start=True), attachment()),
        AttachedAction(action(), attachment(attachment_type="before")),
        AttachedAction(action(), attachment(attachment_type="after")),
        AttachedAction(
            InformationExtractor(action_id="e", name="e", kind="YES_NO", identifier="e"), Attachment(action_id="e")
        ),
    ],
)
def test_what_runs_by_itself_is_no_tool(attached: AttachedAction) -> None:
    assert tool_of(attached) is None


def test_an_action_without_variables_takes_no_arguments() -> None:
    tool = tool_of(AttachedAction(EndCall(action_id="x", name="x"), Attachment(action_id="x")))
    assert tool is not None
    assert list(violations(tool.parameters, {"a": 1})) == ["a: is unknown"]


# The answer ---------------------------------------------------------------------------------------------------------


def response(body: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(status, (), body, "https://api.example.com/")


def test_of_an_answer_only_the_wanted_paths_are_kept_in_their_places() -> None:
    answer = response(b'{"data": {"name": "Jane", "ssn": "x", "list": [{"id": 1, "k": 2}, {"id": 3}]}, "more": 1}')
    kept = value_of(answer, ["data.name", "data.list[1].id", "data.missing", "results.more"])
    assert kept == {"data": {"name": "Jane", "list": [None, {"id": 3}]}, "more": 1}
    variables = Variables()
    variables.add_result("crm", kept)
    assert variables.render("{results.data.name} {results.data.list[1].id}") == "Jane 3"


@pytest.mark.parametrize(
    ("body", "wanted"), [(b"", {}), (b"plain", {"text": "plain"}), (b"[1]", [1]), (b"\xff{", {"text": "\ufffd{"})]
)
def test_answers_that_are_no_objects(body: bytes, wanted: object) -> None:
    assert value_of(response(body)) == wanted


def test_deeply_nested_answers_do_no_harm() -> None:
    value = value_of(response(b"[" * 100_000 + b"]" * 100_000))
    Variables().add_result("x", value)


def test_paths_are_listed_for_the_author() -> None:
    assert result_paths({"data": {"a": 1, "l": [{"b": 2}]}, "c": None}) == ["data.a", "data.l[0].b", "c"]


# Running ------------------------------------------------------------------------------------------------------------


async def crm(exchange: Exchange) -> None:
    await exchange.answer(200, {"data": {"queue": "gold"}})


@asynccontextmanager
async def running(
    handler: Callable[[Exchange], Any], **changes: Any
) -> AsyncIterator[tuple[HttpServer, CustomActions, Variables, list[ActionResult]]]:
    variables = call_variables()
    reports: list[ActionResult] = []
    async with http_server(handler) as server, HttpClient(AddressPolicy.of(["127.0.0.0/8"])) as http:
        actions = CustomActions(
            http, variables, **{"limit": 5.0, "report": lambda _, result: reports.append(result), **changes}
        )
        yield server, actions, variables, reports


def test_a_result_is_a_variable_from_then_on() -> None:
    """sip-transfers: the transfer waits for that action, so its output is available in the SIP headers."""

    async def main() -> None:
        async with running(crm) as (server, actions, variables, reports):
            result = await actions.run(action(url=server.url("/orders")))
            assert (result.ok, result.status, result.value) == (True, 200, {"data": {"queue": "gold"}})
            assert variables.render_header("X-Queue", "{results.data.queue}") == "gold"
            assert variables.render("{results.lookup.data.queue}") == "gold"
            assert reports == [result]
            assert json.loads(result.told()) == result.value

    run(main)


@pytest.mark.parametrize(("status", "words"), [(404, "answered 404"), (500, "answered 500"), (302, "answered 302")])
def test_a_refusal_is_a_failure_and_no_result(status: int, words: str) -> None:
    async def main() -> None:
        async def refuse(exchange: Exchange) -> None:
            await exchange.answer(status, {"data": "no"})

        async with running(refuse) as (server, actions, variables, _):
            result = await actions.run(action(url=server.url()))
            assert not result.ok
            assert words in result.error
            assert not variables.known("results.data")

    run(main)


def test_an_action_that_is_late_ends_at_its_own_limit() -> None:
    async def main() -> None:
        async def never(exchange: Exchange) -> None:
            await asyncio.Event().wait()

        async with running(never, limit=0.05) as (server, actions, _, _):
            result = await actions.run(action(url=server.url()))
            assert result.error == "no answer within 0.05 s"

    run(main)


def test_an_action_to_an_address_that_is_not_allowed_is_not_sent() -> None:
    async def main() -> None:
        async with http_server(crm) as server, HttpClient() as http:
            actions = CustomActions(http, call_variables(), limit=5)
            result = await actions.run(action(url=server.url()))
            assert "refused (loopback)" in result.error
            assert server.seen == []

    run(main)


def test_arguments_that_do_not_fit_are_told_and_nothing_is_sent() -> None:
    async def main() -> None:
        async with running(crm) as (server, actions, _, _):
            wanted = action(url=server.url(), variables_during_the_call=[{"name": "n", "type": "int"}])
            result = await actions.run(wanted, None, {"n": "many"})
            assert result.told() == "error: n: must be a whole number"
            assert server.seen == []

    run(main)


def test_the_same_action_twice_is_one_request() -> None:
    """conversation.md: a tool that runs twice for one intent joins the first."""

    async def main() -> None:
        gate = asyncio.Event()

        async def waits(exchange: Exchange) -> None:
            await gate.wait()
            await exchange.answer(200, {"n": len(server.seen)})

        async with running(waits) as (server, actions, _, reports):
            wanted = action(url=server.url("/<n>"), variables_during_the_call=[{"name": "n", "type": "int"}])
            both = [asyncio.ensure_future(actions.run(wanted, None, {"n": 1})) for _ in range(2)]
            other = asyncio.ensure_future(actions.run(wanted, None, {"n": 2}))
            while len(server.seen) < 2:
                await asyncio.sleep(0)
            gate.set()
            first, second = await asyncio.gather(*both)
            assert first is second
            await other
            assert len(server.seen) == 2
            assert len(reports) == 2

    run(main)


def test_a_caller_who_hangs_up_ends_the_request() -> None:
    async def main() -> None:
        arrived = asyncio.Event()

        async def never(exchange: Exchange) -> None:
            arrived.set()
            await asyncio.Event().wait()

        async with running(never) as (server, actions, _, reports):
            task = asyncio.ensure_future(actions.run(action(url=server.url())))
            await arrived.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            while actions._running:
                await asyncio.sleep(0)
            assert reports == []

    run(main)


def test_before_the_call_each_action_has_the_results_before_it() -> None:
    async def main() -> None:
        async def echo(exchange: Exchange) -> None:
            await exchange.answer(200, {"seen": exchange.seen.target})

        async with running(echo) as (server, actions, variables, _):
            first = action(url=server.url("/first"), action_id="first", name="first")
            second = action(url=server.url("/second?of={results.first.seen}"), action_id="second", name="second")
            await actions.run_before_call([(first, attachment()), (second, attachment())])
            assert variables.render("{results.second.seen}") == "/second?of=%2Ffirst"

    run(main)


class Mouth:
    """What was said; each sentence takes until `spoken` is set, where it is given."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.holds: dict[str, asyncio.Event] = {}

    async def __call__(self, text: str) -> None:
        self.said.append(text)
        if text in self.holds:
            await self.holds[text].wait()


WORDS = {
    "message_before_action_starts": "Let me look, {X-Customer-Name}.",
    "speech_while_using_the_tool": "Still looking.",
    "message_delay": "This takes a moment.",
    "message_delay_time": 0,
    "message_error": "I could not find it.",
}


def test_words_before_meanwhile_and_when_it_takes_long() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def waits(exchange: Exchange) -> None:
            await gate.wait()
            await exchange.answer(200, {})

        mouth = Mouth()
        mouth.holds["This takes a moment."] = gate
        async with running(waits) as (server, actions, _, _):
            task = asyncio.ensure_future(actions.run_spoken(action(url=server.url(), **WORDS), None, {}, mouth))
            while len(mouth.said) < 3:
                await asyncio.sleep(0)
            gate.set()
            assert (await task).ok
            assert mouth.said == ["Let me look, Jane Doe.", "Still looking.", "This takes a moment."]

    run(main)


def test_a_quick_result_leaves_out_what_had_not_begun() -> None:
    async def main() -> None:
        mouth = Mouth()
        async with running(crm) as (server, actions, _, reports):
            first = mouth.holds["Let me look, Jane Doe."] = asyncio.Event()
            task = asyncio.ensure_future(actions.run_spoken(action(url=server.url(), **WORDS), None, {}, mouth))
            while not reports or actions._running:
                await asyncio.sleep(0)
            for _ in range(10):  # until whoever waits for the run has been told
                await asyncio.sleep(0)
            first.set()
            assert (await task).ok
            assert mouth.said == ["Let me look, Jane Doe."]

    run(main)


def test_a_failure_has_its_own_words() -> None:
    async def main() -> None:
        async def refuse(exchange: Exchange) -> None:
            await exchange.answer(500)

        mouth = Mouth()
        async with running(refuse) as (server, actions, _, _):
            wanted = action(url=server.url(), message_error="I could not find it.")
            assert not (await actions.run_spoken(wanted, None, {}, mouth)).ok
            assert mouth.said == ["I could not find it."]

    run(main)


# The dry run --------------------------------------------------------------------------------------------------------


def test_initialise_sends_examples_and_lists_what_came_back() -> None:
    async def main() -> None:
        async with http_server(crm) as server, HttpClient(AddressPolicy.of(["127.0.0.0/8"])) as http:
            wanted = action(
                url=server.url("/orders"),
                http_mode="POST",
                json_body_stringified='{"n": <n>, "mail": "<mail>", "who": "<who>"}',
                variables_during_the_call=[
                    {"name": "n", "type": "int", "example": "42"},
                    {"name": "mail", "type": "email"},
                ],
                custom_auth={"is_needed": True, "value": "s3cr3t"},
            )
            found = await initialise(http, wanted, limit=5, values={"who": "Jane"})
            assert server.seen[0].json() == {"n": 42, "mail": "caller@example.com", "who": "Jane"}
            assert (found.status, found.paths, found.error) == (200, ("data.queue",), "")
            assert "s3cr3t" not in json.dumps(found.request)
            dry = await initialise(http, wanted, limit=5, values={"who": "Jane"}, dry=True)
            assert (dry.status, len(server.seen)) == (None, 1)
            assert dry.request["method"] == "POST"
            wrong = await initialise(http, wanted, limit=5, values={"n": "many"})
            assert wrong.error == "n: must be a whole number"

    run(main)
