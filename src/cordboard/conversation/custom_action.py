"""Custom actions: an HTTP request before, during or after the call, and what comes back as a variable.

Building a request is pure (`build_request`); sending it is the runner's. What goes in is data everywhere: values are
escaped for the URL, the header or the JSON string that they stand in, and none can choose the host, which only the
action's author may: a placeholder in front of the path is refused.

``{name}`` reads the call's variables, ``<name>`` an input of the action: what is bound where it is attached, its
``variables_before_the_call``, and what the model gave for its ``variables_during_the_call``.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote_plus

import structlog

from cordboard.directory.actions import CustomAction
from cordboard.directory.agents import Attachment
from cordboard.egress import EgressError, EgressTimeoutError, HttpClient, HttpResponse
from cordboard.variables import HeaderRuleError, Place, Value, Variables, scan
from cordboard.variables.placeholders import Literal, Placeholder, Step, path

from .action_values import ArgumentError, bind_inputs, example_of

log = structlog.get_logger(__name__)

MAXIMUM_RESULT = 64 * 1024
"""Characters of an answer that is no JSON, and is kept as text."""
MAXIMUM_TOLD = 6000
"""Characters of a result that the model is told."""
BODY_METHODS = ("POST", "PUT", "PATCH", "DELETE")
MASK = "***"
DELAY = 3.0
"""Seconds until `message_delay`, where the action names none."""
_IN_A_PLACEHOLDER = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


class RequestError(Exception):
    """The request cannot be built; ``field`` of the action, and the ``rule`` that it breaks."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """A request, ready to be sent. ``secrets`` are the texts in it that nobody may see."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def shown(self) -> dict[str, object]:
        """For the record and the dry run: secrets masked, in whatever clothes they went."""
        return {
            "method": self.method,
            "url": self._masked(self.url),
            "headers": {name: self._masked(value) for name, value in self.headers},
            "body": self._masked(self.body.decode("utf-8", "replace")) if self.body is not None else None,
        }

    def _masked(self, text: str) -> str:
        for secret in self.secrets:
            for spelling in (secret, quote_plus(secret), json.dumps(secret)[1:-1]):
                text = text.replace(spelling, MASK)
        return text


@dataclass(frozen=True, slots=True)
class ActionResult:
    """How an action went. ``value`` is what it gave; ``error`` in plain words where it failed."""

    action_id: str
    name: str
    value: Value = None
    error: str = ""
    status: int | None = None
    started: float = 0.0
    """Epoch seconds."""
    seconds: float = 0.0
    request: Mapping[str, object] = field(default_factory=dict)
    arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.error

    def told(self) -> str:
        """The result for the model."""
        text = f"error: {self.error}" if self.error else json.dumps(self.value, ensure_ascii=False)
        return text if len(text) <= MAXIMUM_TOLD else f"{text[:MAXIMUM_TOLD]} ... (shortened)"


# Building -----------------------------------------------------------------------------------------------------------


def build_request(action: CustomAction, variables: Variables, inputs: Mapping[str, Value]) -> ActionRequest:
    """The request with every template filled once. Raises RequestError; nothing is sent."""

    def fill(template: str, place: Place) -> str:
        return variables.render(_localised(template, inputs), place, inputs)

    url = _url(action.url, fill)
    headers: list[tuple[str, str]] = []
    query: list[tuple[str, str]] = []
    secrets: list[str] = []
    for pair in action.headers:
        try:
            headers.append((pair.key, fill(pair.value, Place.HEADER)))
        except HeaderRuleError as error:
            raise RequestError(f"headers.{pair.key}", error.rule) from None
        if _sensitive(pair.key):
            secrets.append(headers[-1][1])
    for pair in action.query_parameters:
        query.append((pair.key, fill(pair.value, Place.TEXT)))
        if _sensitive(pair.key):
            secrets.append(query[-1][1])
    secret = _credential(action)
    if secret is not None:
        secrets.append(secret)
        key = action.custom_auth.key
        if action.custom_auth.location == "query":
            query.append((key, secret))
        elif key.lower() in ("bearer", "basic", "token"):
            headers.append(("Authorization", f"{key} {secret}"))
        else:
            headers.append((key, secret))
    if query:
        address, mark, fragment = url.partition("#")
        pairs = "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in query)
        url = f"{address}{'&' if '?' in address else '?'}{pairs}{mark}{fragment}"
    body = None
    if action.json_body_stringified.strip() and action.http_mode in BODY_METHODS:
        text = fill(action.json_body_stringified, Place.JSON)
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RequestError("json_body_stringified", f"is no JSON once it is filled: {error}") from None
        body = text.encode()
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "application/json"))
    if not any(name.lower() == "accept" for name, _ in headers):
        headers.append(("Accept", "application/json"))
    return ActionRequest(action.http_mode, url, tuple(headers), body, tuple(text for text in secrets if len(text) >= 4))


def _credential(action: CustomAction) -> str | None:
    auth = action.custom_auth
    if not auth.is_needed:
        return None
    if auth.value is None or not auth.value.get_secret_value():
        raise RequestError("custom_auth.value", "is needed and missing")
    return auth.value.get_secret_value()


def _sensitive(name: str) -> bool:
    return re.search(r"auth|key|token|secret|password|cookie|signature", name, re.IGNORECASE) is not None


def _localised(template: str, inputs: Mapping[str, Value]) -> str:
    """``{name}`` read as ``<name>`` where the action has an input of that name, which is nearer than the call's."""
    return "".join(
        part.text
        if isinstance(part, Literal)
        else f"<{part.name}>"
        if isinstance(part, Placeholder) and part.name in inputs
        else part.raw
        for part in scan(template, inputs=True)
    )


def _url(template: str, fill: Callable[[str, Place], str]) -> str:
    scheme, separator, rest = template.partition("://")
    end = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    authority, beyond = rest[:end], rest[end:]
    if any(not isinstance(part, Literal) for part in scan(scheme + separator + authority, inputs=True)):
        raise RequestError("url", "the host must not hold a placeholder: no caller and no peer may choose it")
    filled = fill(beyond, Place.URI)
    # A value of ".." would leave the folder that the author meant (RFC 3986 §5.2.4).
    segments = re.split(r"[?#]", filled, maxsplit=1)[0].split("/")
    if any(re.fullmatch(r"(\.|%2e){1,2}", segment, re.IGNORECASE) for segment in segments):
        raise RequestError("url", "a path must not hold . or .. as a part")
    return f"{scheme}{separator}{authority}{filled}"


# The answer ---------------------------------------------------------------------------------------------------------


def value_of(response: HttpResponse, paths: Sequence[str] = ()) -> Value:
    """What an answer gives: its JSON, or ``{"text": ...}`` where it is none; of it, `paths` alone where there are any.

    A path keeps its place, so that ``{results.data.name}`` reads the same with and without `paths`.
    """
    value: object
    if not response.body.strip():
        value = {}
    else:
        try:
            value = response.json()
        except ValueError:
            value = {"text": response.text[:MAXIMUM_RESULT]}
    if not paths:
        return value  # type: ignore[return-value]
    kept: object = None
    for name in paths:
        steps = path(name.removeprefix("results."))
        found = _walk(value, steps) if steps is not None else _NOTHING
        if found is not _NOTHING and steps is not None:
            kept = _placed(kept, steps, found)
    return kept if kept is not None else {}  # type: ignore[return-value]


_NOTHING = object()


def _walk(value: object, steps: Sequence[Step]) -> object:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return _NOTHING
            value = value[step]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return _NOTHING
    return value


def _placed(kept: object, steps: Sequence[Step], found: object) -> object:
    if not steps:
        return found
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        entries = list(kept) if isinstance(kept, list) else []
        entries += [None] * (step + 1 - len(entries))
        entries[step] = _placed(entries[step], rest, found)
        return entries
    fields = dict(kept) if isinstance(kept, dict) else {}
    fields[step] = _placed(fields.get(step), rest, found)
    return fields


def result_paths(value: object, limit: int = 200) -> list[str]:
    """Every path that ``{results...}`` could read, for whoever writes the next template."""
    found: list[str] = []

    def visit(each: object, at: str, depth: int) -> None:
        if len(found) >= limit or depth > 8:
            return
        if isinstance(each, dict):
            for key, inner in each.items():
                visit(inner, f"{at}.{key}" if at else str(key), depth + 1)
        elif isinstance(each, list) and each and at:
            visit(each[0], f"{at}[0]", depth + 1)
        elif at:
            found.append(at)

    visit(value, "", 0)
    return found


# Running ------------------------------------------------------------------------------------------------------------


class Say(Protocol):
    """Speaks and returns when it has been heard, or interrupted."""

    async def __call__(self, text: str) -> None: ...


class CustomActions:
    """The custom actions of one call. ``limit`` is `timeouts.custom_action`, seconds; ``report`` hears of each run.

    The same action with the same arguments, asked for again while it runs, joins the run that is under way.
    """

    def __init__(
        self,
        http: HttpClient,
        variables: Variables,
        *,
        limit: float,
        timezone: str = "UTC",
        report: Callable[[CustomAction, ActionResult], None] | None = None,
    ) -> None:
        self._http = http
        self._variables = variables
        self._limit = limit
        self._timezone = timezone
        self._report = report
        self._running: dict[tuple[str, str], asyncio.Task[ActionResult]] = {}
        self._waiting: dict[tuple[str, str], int] = {}

    async def run(
        self, action: CustomAction, attachment: Attachment | None = None, given: Mapping[str, object] | None = None
    ) -> ActionResult:
        """Run it; what it gave is `{results...}` from now on. Never raises for what the other side does."""
        given = dict(given or {})
        key = (action.action_id, json.dumps(given, sort_keys=True, default=str))
        task = self._running.get(key)
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._run(action, attachment, given))
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                task.cancel()

    def _forget(self, key: tuple[str, str], done: asyncio.Task[ActionResult]) -> None:
        if self._running.get(key) is done:
            del self._running[key]

    async def run_spoken(
        self, action: CustomAction, attachment: Attachment | None, given: Mapping[str, object], say: Say
    ) -> ActionResult:
        """Run it while the caller hears the action's own words: before, meanwhile, when it takes long, when it fails.

        What has begun to be said is said to its end; what had not begun when the result came is not said.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        work = loop.create_task(self.run(action, attachment, given))
        try:
            if action.message_before_action_starts.strip():
                await say(self._variables.render(action.message_before_action_starts))
            if action.speech_while_using_the_tool.strip() and not work.done():
                await say(self._variables.render(action.speech_while_using_the_tool))
            if action.message_delay.strip() and not work.done():
                after = DELAY if action.message_delay_time is None else action.message_delay_time
                await asyncio.wait({work}, timeout=max(0.0, started + after - loop.time()))
                if not work.done():
                    await say(self._variables.render(action.message_delay))
            result = await work
        finally:
            work.cancel()
        if not result.ok and action.message_error.strip():
            await say(self._variables.render(action.message_error))
        return result

    async def run_before_call(self, actions: Iterable[tuple[CustomAction, Attachment]]) -> list[ActionResult]:
        """Those that run before the call, one after the other, so that each can use the results before it."""
        return [await self.run(action, attachment) for action, attachment in actions]

    async def _run(
        self, action: CustomAction, attachment: Attachment | None, given: Mapping[str, object]
    ) -> ActionResult:
        started, clock = time.time(), asyncio.get_running_loop().time()
        limit = float(action.failure_timeout or self._limit)
        request: ActionRequest | None = None
        response: HttpResponse | None = None
        value: Value = None
        error = ""
        try:
            inputs = bind_inputs(action, attachment, self._variables, given, self._timezone)
            request = build_request(action, self._variables, inputs)
            response = await send(self._http, request, limit)
            if response.success:
                value = value_of(response, action.result_paths)
            else:
                error = f"the server answered {response.status}"
        except (ArgumentError, RequestError) as fault:
            error = str(fault)
        except EgressTimeoutError as fault:
            error = f"no answer within {fault.seconds:g} s"
        except EgressError as fault:
            error = str(fault)
        result = ActionResult(
            action.action_id,
            action.name,
            value,
            error,
            response.status if response is not None else None,
            started,
            asyncio.get_running_loop().time() - clock,
            request.shown() if request is not None else {},
            given,
        )
        if result.ok:
            self._variables.add_result(action.action_id, value)
            if action.name != action.action_id and _IN_A_PLACEHOLDER.fullmatch(action.name):
                self._variables.add_result(action.name, value)
        log.info(
            "custom_action",
            action=action.action_id,
            ok=result.ok,
            status=result.status,
            seconds=round(result.seconds, 3),
        )
        if self._report is not None:
            self._report(action, result)
        return result


async def send(http: HttpClient, request: ActionRequest, limit: float) -> HttpResponse:
    """Send a built request. ``limit`` in seconds. Raises EgressError."""
    return await http.request(request.method, request.url, headers=request.headers, body=request.body, limit=limit)


# The dry run --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DryRun:
    """What `initialise` found. ``request`` has its secrets masked; ``paths`` are what `{results...}` can read."""

    request: Mapping[str, object]
    status: int | None = None
    value: Value = None
    paths: tuple[str, ...] = ()
    error: str = ""
    warnings: tuple[str, ...] = ()


async def initialise(
    http: HttpClient,
    action: CustomAction,
    *,
    limit: float,
    values: Mapping[str, object] | None = None,
    variables: Variables | None = None,
    timezone: str = "UTC",
    dry: bool = False,
) -> DryRun:
    """Run an action without a call: examples stand in for what the model would give, `values` win over them.

    ``dry``: build the request and show it, but send nothing.
    """
    variables = variables or Variables()
    request: ActionRequest | None = None
    response: HttpResponse | None = None
    value: Value = None
    error = ""
    try:
        given = {each.name: example_of(each) for each in action.variables_during_the_call} | dict(values or {})
        inputs = bind_inputs(action, None, variables, given, timezone)
        inputs |= {name: str(each) for name, each in (values or {}).items() if name not in inputs}
        request = build_request(action, variables, inputs)
        if not dry:
            response = await send(http, request, float(action.failure_timeout or limit))
            value = value_of(response, action.result_paths)
            error = "" if response.success else f"the server answered {response.status}"
    except (ArgumentError, RequestError, EgressError) as fault:
        error = str(fault)
    return DryRun(
        request.shown() if request is not None else {},
        response.status if response is not None else None,
        value,
        tuple(result_paths(value)),
        error,
        tuple(map(str, variables.warnings)),
    )
