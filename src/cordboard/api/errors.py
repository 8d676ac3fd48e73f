"""Errors in the shape of the v2 reference: ``{"detail": {status, description, request_id, category}}``."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

log = structlog.get_logger(__name__)

CATEGORIES = {
    400: "bad_request",
    401: "authentication",
    403: "permission",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "validation",
    429: "rate_limit",
    500: "internal",
    503: "unavailable",
}
# How many faults of one body are named in one answer.
NAMED_FAULTS = 10


class ApiError(Exception):
    """An answer other than success. `status` is the HTTP status; `description` is for people."""

    def __init__(self, status: int, description: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.headers = dict(headers or {})


def unauthorized(description: str = "A valid key is required: Authorization: Bearer <key>") -> ApiError:
    # RFC 6750 §3
    return ApiError(401, description, headers={"WWW-Authenticate": 'Bearer realm="cordboard"'})


def body(status: int, description: str, request_id: str) -> dict[str, Any]:
    return {
        "detail": {
            "status": "error",
            "description": description,
            "request_id": request_id,
            "category": CATEGORIES.get(status, "error"),
        }
    }


def request_id(scope: Mapping[str, Any]) -> str:
    """The id of a request, the same for the answer's header and for an error's body."""
    state = scope.get("state")
    known = state.get("request_id") if isinstance(state, dict) else None
    return known if isinstance(known, str) else uuid.uuid4().hex


def answer(
    status: int, description: str, scope: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(body(status, description, request_id(scope)), status, dict(headers or {}))


def describe(errors: Sequence[Any]) -> str:
    """Every fault as ``field: rule``. The offered values are not repeated: they may be secret."""
    faults = [
        f"{'.'.join(str(part) for part in error['loc']) or 'body'}: {error['msg']} ({error['type']})"
        for error in errors[:NAMED_FAULTS]
    ]
    if len(errors) > NAMED_FAULTS:
        faults.append(f"and {len(errors) - NAMED_FAULTS} more")
    return "; ".join(faults)


def install(app: FastAPI) -> None:
    """Make `app` answer every error in the one shape."""

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> JSONResponse:
        return answer(error.status, error.description, request.scope, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = error.errors()
        broken = [fault for fault in faults if fault["type"] == "json_invalid"]
        if broken:
            return answer(400, "body: not valid JSON (json_invalid)", request.scope)
        return answer(422, describe(faults), request.scope)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        description = error.detail if isinstance(error.detail, str) else HTTPStatus(error.status_code).phrase
        return answer(error.status_code, description, request.scope, error.headers)

    @app.exception_handler(SQLAlchemyError)
    @app.exception_handler(ConnectionError)
    async def unavailable(request: Request, error: Exception) -> JSONResponse:
        # Without the traceback: it holds the query's parameters, which are people's words.
        log.error("database unavailable", path=request.url.path, error=type(error).__name__)
        return answer(503, "The database does not answer", request.scope, {"Retry-After": "5"})

    @app.exception_handler(Exception)
    async def internal(request: Request, error: Exception) -> JSONResponse:
        # Frames without their local variables, which a renderer of exc_info may show: keys are among them.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("request failed", path=request.url.path, error=type(error).__name__, frames=frames)
        return answer(500, "Internal error", request.scope)
