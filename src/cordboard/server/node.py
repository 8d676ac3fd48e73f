"""A node: the rooms put together, started in order, drained and stopped in reverse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from cordboard import __version__
from cordboard.api.app import create_app
from cordboard.api.metrics import RecordCollector, SignallingCollector
from cordboard.api.ports import ApiSettings, Scope
from cordboard.calls.admission import AccessControl
from cordboard.calls.call import Call
from cordboard.calls.hold import HoldMusic
from cordboard.calls.registrations import Registrations
from cordboard.calls.routing import Router
from cordboard.calls.signalling import keep_certificates
from cordboard.conversation.agent import AgentOnLine, ConversationLimits
from cordboard.conversation.call_actions import ActionDesk, ActionLimits
from cordboard.conversation.inbound_webhook import InboundWebhook
from cordboard.conversation.narrator import Narrator
from cordboard.conversation.providers import Models, open_http
from cordboard.conversation.reception import Reception, ReceptionSettings
from cordboard.conversation.rules import Entry, RuleAction, Rules, RulesModel
from cordboard.directory.actions import LiveTransfer
from cordboard.directory.agents import Agent, AttachedAction
from cordboard.directory.directory import Directory
from cordboard.directory.keys import SqlKeyStore
from cordboard.records.recorder import Recorder, Report
from cordboard.records.store import RecordStore
from cordboard.records.writer import RecordWriter
from cordboard.settings import Settings
from cordboard.speech.music import hold_music, ringback
from cordboard.speech.ports import SpeechError, Voice
from cordboard.speech.recogniser import PocketsphinxRecogniser
from cordboard.speech.voices import open_voice
from cordboard.transfer.desk import DeskLimits, TransferDesk
from cordboard.transfer.policy import Timeouts
from cordboard.web.pages import install as install_pages
from cordboard.wire import DnsResolver

from .parts import identity_host, open_media, open_recogniser, open_speech, record_settings, user_agent

log = structlog.get_logger(__name__)

MUSIC_RATE = 16000
SETTLE = 0.02
"""Seconds between two looks at what the peers have still to answer."""


class Server:
    """One node, as an asynchronous context.

    ``sinks`` receive every report besides the record; ``voice`` speaks instead of the one in the settings.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        *,
        sinks: tuple[Callable[[Report], None], ...] = (),
        voice: Voice | None = None,
    ) -> None:
        self.settings = settings
        self.directory = directory
        self.interrupted = 0
        """Calls of an earlier run that were closed as interrupted."""
        self._sinks = sinks
        self._voice = voice
        self._stack = AsyncExitStack()
        self.access = AccessControl(settings.sip, lambda: self.directory)
        self.router = Router(lambda: self.directory, own_host=self._own_host)

    async def __aenter__(self) -> Server:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        settings, stack = self.settings, self._stack
        limits = record_settings(settings)
        self.store = await RecordStore.open(settings.database.url, limits)
        stack.push_async_callback(self.store.aclose)
        self.writer = RecordWriter(self.store.engine, limits)
        self.interrupted = await self.writer.start()
        stack.push_async_callback(self.writer.aclose)
        self.keys = SqlKeyStore(self.store.engine)
        await self.keys.prepare()
        self.board = open_media(settings)
        stack.callback(self.board.close)
        log.info("media_engine", engine=self.board.engine, notices=list(self.board.notices))
        self.user_agent = await stack.enter_async_context(
            user_agent(settings, self.board, settings.sip.listen, self.report, self.access)
        )
        await self._open_signalling()
        self.voice = self._voice or open_speech(settings)
        stack.push_async_callback(self.voice.close)
        self.fallback_voice = self._voice or open_voice("espeak", timeout=settings.timeouts.speech)
        stack.push_async_callback(self.fallback_voice.close)
        self.recogniser = open_recogniser(settings)
        if self.recogniser is not None:
            stack.push_async_callback(self.recogniser.close)
            self._spawn(self._warm(self.recogniser))
        self._recorder = Recorder(self.writer, node_id=limits.node_id)
        self.http = open_http(settings)
        stack.push_async_callback(self.http.aclose)
        self.models = Models(settings)
        stack.push_async_callback(self.models.aclose)
        self.actions = self._open_actions()
        self.desk = self._open_desk()
        self.reception = self._open_reception()
        stack.push_async_callback(self.drain)

    async def _warm(self, recogniser: PocketsphinxRecogniser) -> None:
        """Start the recogniser's processes with the agents' grammars, so that the first caller need not wait."""
        for agent in self.directory.agents.values():
            try:
                await recogniser.warm(self._rules(agent, self.directory.actions_of(agent)).phrases())
            except SpeechError as error:
                log.warning("recogniser_failed", provider=error.provider, stage=error.stage, detail=error.detail)
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._stack.push_async_callback(_end, task)

    def report(self, report: Report) -> None:
        """Where calls and transfers tell what happens."""
        self._recorder(report)
        for sink in self._sinks:
            try:
                sink(report)
            except Exception:  # who looks on must not end a call
                log.exception("sink_failed", kind=type(report).__name__)

    async def _open_signalling(self) -> None:
        """What goes on beside calls: names of sources, certificates, registrations, the gates of the dial policy."""
        agent, timeouts = self.user_agent, self.settings.timeouts
        agent.redirect = agent.refer_gate = self.router.redirected
        agent.longest_call = self.router.longest_call
        agent.may_call = self.access.may_call
        agent.trusts = self.access.trusts
        resolver = DnsResolver(time_limit=timeouts.dns)
        self._spawn(self.access.keep_names(resolver.resolve, timeouts.source_names))
        if agent.shell.tls is not None:
            self._spawn(keep_certificates(agent.shell.tls, timeouts.tls_check))
        self.registrations = Registrations(agent.shell, lambda: self.directory, timeouts)
        agent.on_registration = self.registrations.heard
        self.registrations.follow()
        self._stack.callback(self.registrations.end)

    def reload_certificates(self) -> None:
        """Read the TLS files again now (SIGHUP)."""
        if self.user_agent.shell.tls is not None:
            self.user_agent.shell.tls.reload()

    def _own_host(self, host: str) -> bool:
        """Whether a SIP URI with this host leads back to us."""
        own = {address[0] for _, address in self.user_agent.shell.addresses}
        return host in own or host == self.settings.sip.external_address

    def _open_desk(self) -> TransferDesk:
        timeouts = self.settings.timeouts
        return TransferDesk(
            self.router,
            lambda: self.directory,
            identity_host=self.settings.sip.external_address or identity_host(self.user_agent),
            hold=HoldMusic(
                self.board,
                self.board.clip(hold_music(MUSIC_RATE), MUSIC_RATE, loop=True),
                self.settings.media.hold_music,
            ),
            ringback=self.board.clip(ringback(rate=MUSIC_RATE), MUSIC_RATE, loop=True),
            sink=self.report,
            limits=DeskLimits(
                ring=timeouts.ring,
                human_detection=timeouts.human_detection,
                timeouts=Timeouts(
                    preparation=timeouts.preparing,
                    announcement=timeouts.announcement,
                    whisper=timeouts.whisper,
                    screening=timeouts.screening,
                    bridge_media=timeouts.bridge_media,
                    refer_report=timeouts.refer_report,
                    refer_after_bye=timeouts.refer_bye,
                ),
            ),
        )

    def _open_actions(self) -> ActionDesk:
        timeouts = self.settings.timeouts
        limits = ActionLimits(
            custom_action=timeouts.custom_action,
            header_extractor=timeouts.header_extractor,
            summary=timeouts.summary,
            model_turn=timeouts.model_turn,
        )
        return ActionDesk(self.http, limits, self.report)

    def _open_reception(self) -> Reception:
        settings = self.settings
        return Reception(
            self.user_agent,
            lambda: self.directory,
            self.store,
            self._put_on_line,
            self.report,
            ReceptionSettings(
                max_calls=settings.sip.max_calls,
                max_calls_per_source=settings.sip.max_calls_per_source,
                calls_per_second=settings.sip.calls_per_second,
                retry_after=settings.sip.retry_after,
                prepared_claim=settings.timeouts.database,
                longest_call=settings.timeouts.longest_call,
                recordings=settings.records.folder,
                records_ready=lambda: self.writer.counts()["pending"] < settings.records.max_queue,
            ),
            InboundWebhook(self.http, limit=settings.timeouts.inbound_webhook),
        )

    def _put_on_line(self, call: Call, agent: Agent, actions: tuple[AttachedAction, ...]) -> AgentOnLine:
        timeouts = self.settings.timeouts
        rules = self._rules(agent, actions)
        model = self.models.for_agent(agent)
        return AgentOnLine(
            call,
            agent,
            actions,
            model=model or RulesModel(rules),
            rules=rules,
            narrator=Narrator(self.voice, self.fallback_voice, language=agent.language, limit=timeouts.speech_sentence),
            recogniser=self.recogniser,
            transfers=self.desk,
            limits=ConversationLimits(
                greeting=timeouts.greeting,
                confirmation=timeouts.answer_ack,
                silence_prompt=timeouts.silence_prompt,
                silence_prompts=timeouts.silence_prompts,
                model_turn=timeouts.model_turn,
                hang_up_speech=timeouts.hang_up_speech,
                longest_agent_phase=timeouts.longest_agent_phase,
            ),
            call_actions=self.actions.for_call(call, agent, actions, model, entries=self._entries),
        )

    def _entries(self, action: LiveTransfer) -> dict[str, str]:
        """The entries of a transfer's phone book, each name with its condition."""
        book = self.directory.phonebook(action.phone_book_id) if action.phone_book_id is not None else None
        if book is None:
            return {}
        return {each.name or each.transfer_condition: each.transfer_condition for each in book.entries}

    def _rules(self, agent: Agent, actions: tuple[AttachedAction, ...]) -> Rules:
        return Rules([self._rule(attached) for attached in actions], agent.name)

    def _rule(self, attached: AttachedAction) -> RuleAction:
        action = attached.action
        named = self._entries(action) if isinstance(action, LiveTransfer) else {}
        entries = tuple(Entry(name, condition) for name, condition in named.items())
        quoted = " ".join(f'"{phrase}"' for phrase in action.phrases)
        return RuleAction(
            action.name, action.type, f"{attached.instructions} {quoted}".strip(), action.description, entries
        )

    def refuse_calls(self) -> None:
        """From now on new calls get 503, and health says draining."""
        self.user_agent.shell.endpoint.draining = True

    async def drain(self) -> None:
        """Let running calls end within `timeouts.drain`, then end them. The API serves until then."""
        self.refuse_calls()
        if not await self.reception.idle(self.settings.timeouts.drain):
            self.desk.shut_down()
        await self.reception.end_calls(self.settings.timeouts.shutdown)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.timeouts.shutdown):
                # A BYE that was lost is repeated meanwhile.
                while self.user_agent.shell.endpoint.unanswered:  # noqa: ASYNC110
                    await asyncio.sleep(SETTLE)

    # What the API asks of live calls --------------------------------------------------------------------------------

    def typed(self, call_id: str, text: str) -> bool:
        return self.reception.typed(call_id, text)

    def hang_up(self, call_id: str) -> bool:
        self.desk.cancel(call_id)
        return self.reception.hang_up(call_id)

    def live_calls(self) -> int:
        return self.reception.live_calls()

    def draining(self) -> bool:
        return self.user_agent.shell.endpoint.draining

    def application(self) -> FastAPI:
        """The REST interface and the pages."""
        settings = self.settings
        host, _ = settings.http.address
        loopback = host in ("127.0.0.1", "::1", "localhost")
        metrics = CollectorRegistry()
        metrics.register(RecordCollector(self.writer.counts))
        metrics.register(SignallingCollector(self.user_agent.shell.endpoint.counts, lambda: self.registrations.states))
        app = create_app(
            self.store,
            self.keys,
            self.store,
            self,
            ApiSettings(
                version=__version__,
                recordings=settings.records.folder,
                body_limit=settings.http.max_body,
                body_timeout=settings.timeouts.http_request,
                allowed_hosts=("127.0.0.1", "localhost", "[::1]") if loopback else ("*",),
            ),
            agents=self.directory,
            metrics=metrics,
        )
        # Whoever reaches a loopback listener is on this machine, and may look without signing in.
        anonymous = _LOCAL_VISITOR if loopback else None
        install_pages(app, self.store, self.keys, settings.records.folder, anonymous=anonymous)
        return app


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _LocalVisitor:
    workspace_id = "*"
    scopes = (Scope.ADMIN,)


_LOCAL_VISITOR = _LocalVisitor()
