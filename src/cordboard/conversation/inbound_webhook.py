"""The inbound webhook: asks the agent's owner, while the caller's telephone rings, which agent shall answer.

The request and the answer are those of the v2 reference::

    {"event": "call_inbound", "call_inbound": {"model_id": ..., "from_number": ..., "to_number": ...}}
    {"call_inbound": {"override_model_id": "<agent>"}}

An empty ``override_model_id`` keeps the agent, an empty object refuses the call. ``custom_variables``, an object beside
it, are the call's prepared variables. No answer, or one that makes no sense, is asked for again, at most three times
and within `timeouts.inbound_webhook` in all; then the agent of the number answers.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from cordboard.egress import EgressError, EgressRefusedError, HttpClient, HttpResponse

log = structlog.get_logger(__name__)

TRIES = 4
PAUSE = 0.2
"""Seconds before the second try; each further pause is twice as long."""
MAXIMUM_ANSWER = 64 * 1024
MAXIMUM_VARIABLES = 100


@dataclass(frozen=True, slots=True)
class WebhookChoice:
    """What to do with the call. ``model_id`` None: the agent of the number. ``error``: why it is the default."""

    model_id: str | None = None
    refuse: bool = False
    custom_variables: Mapping[str, object] = field(default_factory=dict)
    error: str = ""
    tries: int = 1


class _AnswerError(ValueError):
    pass


class InboundWebhook:
    """``limit`` is `timeouts.inbound_webhook`: seconds for all tries together."""

    def __init__(self, http: HttpClient, *, limit: float, tries: int = TRIES, pause: float = PAUSE) -> None:
        self._http = http
        self._limit = limit
        self._tries = tries
        self._pause = pause

    async def choose(self, url: str, *, model_id: str, from_number: str, to_number: str) -> WebhookChoice:
        """Ask. Never raises: a webhook that is down must not keep a caller out."""
        asked = {"model_id": model_id, "from_number": from_number, "to_number": to_number}
        body = json.dumps({"event": "call_inbound", "call_inbound": asked}).encode()
        error = ""
        tries = 0
        try:
            async with asyncio.timeout(self._limit):
                for tries in range(1, self._tries + 1):
                    if tries > 1:
                        await asyncio.sleep(self._pause * 2 ** (tries - 2))
                    try:
                        return _choice(await self._post(url, body), tries)
                    except EgressRefusedError as fault:
                        error = str(fault)  # no other try would be allowed
                        break
                    except (EgressError, _AnswerError) as fault:
                        error = str(fault)
        except TimeoutError:
            error = f"no answer within {self._limit:g} s" + (f" ({error})" if error else "")
        log.warning("inbound_webhook_failed", detail=error, tries=tries)
        return WebhookChoice(error=error, tries=tries)

    async def _post(self, url: str, body: bytes) -> HttpResponse:
        response = await self._http.request(
            "POST",
            url,
            headers=[("Content-Type", "application/json"), ("Accept", "application/json")],
            body=body,
            limit=self._limit,
            max_response=MAXIMUM_ANSWER,
        )
        if not response.success:
            raise _AnswerError(f"the webhook answered {response.status}")
        return response


def _choice(response: HttpResponse, tries: int) -> WebhookChoice:
    try:
        answer = response.json()
    except ValueError:
        raise _AnswerError("the answer is no JSON") from None
    if not isinstance(answer, dict):
        raise _AnswerError("the answer is no JSON object")
    if not answer:
        return WebhookChoice(refuse=True, tries=tries)
    chosen = answer.get("call_inbound")
    if not isinstance(chosen, dict):
        raise _AnswerError("the answer has no call_inbound")
    if not chosen:
        return WebhookChoice(refuse=True, tries=tries)
    override = chosen.get("override_model_id", "")
    if override is None:
        override = ""
    if not isinstance(override, str) or len(override) > 128:
        raise _AnswerError("override_model_id is no id")
    variables = chosen.get("custom_variables", {})
    if not isinstance(variables, dict):
        raise _AnswerError("custom_variables is no object")
    # As in prepare_inbound: names that a placeholder can hold; the rest is left out.
    kept = {name: value for name, value in variables.items() if re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII)}
    return WebhookChoice(override or None, custom_variables=dict(list(kept.items())[:MAXIMUM_VARIABLES]), tries=tries)
