"""Plain pages over the record: the list of calls, and one call with its timeline, recordings and SIP ladder.

They work without JavaScript and load nothing from elsewhere. Everything shown came from callers, peers and models:
Jinja escapes it, and the policy below lets nothing run. They only read, so that there is nothing to forge.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from cordboard.records.ladder import render
from cordboard.records.models import CallDetails
from cordboard.records.ports import CallFilter, CallReader
from cordboard.records.recordings import find_recording

PAGE = 50
TIMELINE = 2_000
MESSAGES = 2_000
LARGEST_OFFSET = 2**31 - 1

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; media-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
STYLE = Path(__file__).parent / "static" / "style.css"


class Visitor(Protocol):
    """Who looks at the pages. ``*`` as a workspace sees every workspace."""

    @property
    def workspace_id(self) -> str: ...
    @property
    def scopes(self) -> Collection[str]: ...


class Keys(Protocol):
    """Looks up the key that the browser sends as a password."""

    async def verify(self, text: str, /) -> Visitor | None: ...


Handler = Callable[[Request, Visitor], Awaitable[Response]]


def time_text(at: float | None) -> str:
    """A moment for people: UTC, whole seconds."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def offset_text(at: float, start: float) -> str:
    """Seconds since the start of the call."""
    return f"{at - start:+.3f}"


def environment() -> Environment:
    found = Environment(
        loader=PackageLoader("cordboard.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["time"] = time_text
    found.globals["offset"] = offset_text
    return found


class Pages:
    """The pages of one server. With `anonymous` nobody has to sign in: only for a listener on loopback."""

    def __init__(self, records: CallReader, keys: Keys, recordings: Path, *, anonymous: Visitor | None = None) -> None:
        self._records = records
        self._keys = keys
        self._recordings = recordings
        self._anonymous = anonymous
        self._templates = environment()

    def routes(self) -> list[Route]:
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/style.css", self.style, methods=["GET"]),
            Route("/calls", self.guarded(self.calls), methods=["GET"]),
            Route("/calls/{call_id}", self.guarded(self.call), methods=["GET"]),
            Route("/calls/{call_id}/recordings/{name}", self.guarded(self.recording), methods=["GET"]),
        ]

    async def home(self, request: Request) -> Response:
        return RedirectResponse(request.url_for("calls").path, headers=HEADERS)

    async def style(self, request: Request) -> Response:
        return FileResponse(STYLE, media_type="text/css", headers=HEADERS)

    def guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """`handler`, behind the sign-in."""

        async def endpoint(request: Request) -> Response:
            visitor = await self._visitor(request)
            if visitor is None:
                # RFC 7617: the key is the password, the name does not matter.
                challenge = {"WWW-Authenticate": 'Basic realm="cordboard", charset="UTF-8"'}
                return self._page("message.html", 401, challenge, text="Sign in with an API key as the password.")
            if not {"calls:read", "admin"} & set(visitor.scopes):
                return self._page("message.html", 403, text="This key lacks the scope calls:read.")
            return await handler(request, visitor)

        endpoint.__name__ = getattr(handler, "__name__", "endpoint")
        return endpoint

    async def calls(self, request: Request, visitor: Visitor) -> Response:
        text = request.query_params.get("offset", "0")
        offset = min(int(text), LARGEST_OFFSET) if text.isascii() and text.isdigit() and len(text) < 12 else 0
        workspace = None if visitor.workspace_id == "*" else visitor.workspace_id
        page = await self._records.list_calls(CallFilter(workspace_id=workspace, limit=PAGE, offset=offset))
        return self._page(
            "calls.html",
            page=page,
            offset=offset,
            previous=max(0, offset - PAGE) if offset else None,
            next=offset + PAGE if offset + PAGE < page.total else None,
        )

    async def call(self, request: Request, visitor: Visitor) -> Response:
        details = await self._find(request, visitor)
        if details is None:
            return self._page("message.html", 404, text="There is no such call.")
        call = details.call
        may_trace = bool({"traces:read", "admin"} & set(visitor.scopes))
        ladder = ""
        if may_trace:
            messages = await self._records.sip_messages(call.call_id, limit=MESSAGES)
            ladder = render(messages, truncated=call.sip_truncated)
        return self._page(
            "call.html",
            call=call,
            transcript=details.transcript,
            actions=details.actions,
            timeline=await self._records.timeline(call.call_id, limit=TIMELINE),
            ladder=ladder,
        )

    async def recording(self, request: Request, visitor: Visitor) -> Response:
        details = await self._find(request, visitor)
        path = details and find_recording(details.call, request.path_params["name"], self._recordings)
        if not path:
            return self._page("message.html", 404, text="There is no such recording.")
        return FileResponse(path, media_type="audio/wav", headers=HEADERS)

    async def _find(self, request: Request, visitor: Visitor) -> CallDetails | None:
        call_id = request.path_params["call_id"]
        details = await self._records.get_call(call_id) if len(call_id) <= 64 else None
        if details is None or visitor.workspace_id not in ("*", details.call.workspace_id):
            return None
        return details

    async def _visitor(self, request: Request) -> Visitor | None:
        if self._anonymous is not None:
            return self._anonymous
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic" or len(encoded) > 2_000:
            return None
        try:
            text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return None
        password = text.partition(":")[2]
        return await self._keys.verify(password) if password else None

    def _page(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> HTMLResponse:
        content = self._templates.get_template(template).render(**values)
        return HTMLResponse(content, status, {**HEADERS, "Cache-Control": "no-store", **(headers or {})})


def install(
    app: Starlette, records: CallReader, keys: Keys, recordings: Path, *, anonymous: Visitor | None = None
) -> None:
    """Add the pages to `app`: ``/``, ``/calls``, ``/calls/{id}``, ``/calls/{id}/recordings/{name}``, ``/style.css``."""
    app.router.routes.extend(Pages(records, keys, recordings, anonymous=anonymous).routes())
