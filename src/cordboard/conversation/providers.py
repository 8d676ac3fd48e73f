"""The ways out over HTTP and the models behind them, as the settings describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from cordboard.directory.agents import Agent
from cordboard.egress import AddressPolicy, EgressLimits, HttpClient
from cordboard.settings import Settings

if TYPE_CHECKING:
    from .openai_model import OpenAiModel

log = structlog.get_logger(__name__)

RULES = "rules"
_MODEL_RESPONSE = 16 * 2**20
_MODEL_REQUEST = 4 * 2**20


def open_http(settings: Settings) -> HttpClient:
    """The client for what users name: custom actions and webhooks. Close it at the end."""
    egress = settings.egress
    return HttpClient(
        AddressPolicy.of(egress.allow),
        EgressLimits(
            connect=settings.timeouts.http_connect,
            request=settings.timeouts.custom_action,
            max_response=egress.max_response,
            redirects=egress.redirects,
            at_once=egress.requests_at_once,
            per_second=float(egress.requests_per_second),
        ),
    )


class Models:
    """The models of the agents, one for each name. ``for_agent`` gives None where the rules decide."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models: dict[str, OpenAiModel] = {}
        self._http: HttpClient | None = None

    def name_for(self, agent: Agent) -> str:
        """What the agent runs on: its own `llm`; where it names none, `model.name`, or the rules without a server."""
        if self._settings.model.base_url is None:
            return RULES
        return agent.llm if "llm" in agent.model_fields_set else self._settings.model.name

    def for_agent(self, agent: Agent) -> OpenAiModel | None:
        """The agent's model."""
        name = self.name_for(agent)
        if name == RULES:
            if agent.llm != RULES:
                log.warning("model_missing", model_id=agent.model_id, llm=agent.llm, rule="model.base_url is not set")
            return None
        if name not in self._models:
            self._models[name] = self._open(name)
        return self._models[name]

    def _open(self, name: str) -> OpenAiModel:
        # The package takes seconds to import, and who runs on the rules never needs it.
        from .openai_model import OpenAiModel, OpenAiSettings

        model, timeouts = self._settings.model, self._settings.timeouts
        assert model.base_url is not None
        if self._http is None:
            self._http = HttpClient(_policy(model.base_url), self._limits())
        settings = OpenAiSettings(
            model.base_url,
            name,
            model.api_key,
            first_words=timeouts.model,
            turn=timeouts.model_turn,
            retries=model.retries,
            temperature=model.temperature,
        )
        return OpenAiModel(settings, self._http.transport)

    def _limits(self) -> EgressLimits:
        # Our own traffic to the operator's own server: limited by the calls that there may be, not by a user's word.
        return EgressLimits(
            connect=self._settings.timeouts.http_connect,
            request=self._settings.timeouts.model_turn,
            max_request=_MODEL_REQUEST,
            max_response=_MODEL_RESPONSE,
            at_once=max(100, 2 * self._settings.sip.max_calls),
            per_second=float(max(100, self._settings.sip.max_calls)),
        )

    async def aclose(self) -> None:
        for model in self._models.values():
            await model.aclose()
        self._models.clear()
        if self._http is not None:
            await self._http.aclose()
            self._http = None


def _policy(base_url: str) -> AddressPolicy:
    """Open to the one host and port that the operator's own setting names."""
    scheme, _, rest = base_url.partition("://")
    authority = rest.partition("/")[0]
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port.lstrip(":")
    else:
        host, _, port = authority.partition(":")
    return AddressPolicy.of(named=[(host, int(port) if port.isdigit() else 443 if scheme == "https" else 80)])
