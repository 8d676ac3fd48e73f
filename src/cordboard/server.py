"""The composition root: puts the rooms together, starts them in order, drains and stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cordboard import __version__
from cordboard.api.app import create_app
from cordboard.api.metrics import RecordCollector, SignallingCollector
from cordboard.api.ports import ApiSettings, Scope
from cordboard.calls.admission import AccessControl
from cordboard.calls.call import Call
from cordboard.calls.hold import HoldMusic
from cordboard.calls.registrations import Registrations
from cordboard.calls.routing import Router
from cordboard.calls.signalling import endpoint_config, is_internal, keep_certificates, stream_limits, tls_contexts
from cordboard.calls.user_agent import UserAgent
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
from cordboard.lab.demonstration import CALLER, Demonstration, Narrative, demonstrate
from cordboard.lab.people import BEHAVIOURS, Behaviour, Person
from cordboard.media import Board, BoardSettings, MediaError, open_board
from cordboard.records.database import DatabaseUrlError
from cordboard.records.ladder import render
from cordboard.records.recorder import Recorder, Report
from cordboard.records.settings import RecordSettings
from cordboard.records.store import RecordStore
from cordboard.records.writer import RecordWriter
from cordboard.sdp import Codec, codec_named
from cordboard.settings import LogSettings, Settings
from cordboard.sip.address import Address
from cordboard.sip.flow import Flow
from cordboard.sip.uri import Uri
from cordboard.speech.music import hold_music, ringback
from cordboard.speech.ports import SpeechError, SpeechUnavailableError, Voice
from cordboard.speech.recogniser import PocketsphinxRecogniser
from cordboard.speech.voices import open_voice
from cordboard.transfer.desk import DeskLimits, TransferDesk
from cordboard.transfer.policy import Timeouts
from cordboard.web.pages import install as install_pages
from cordboard.wire import DnsResolver, ListenerError, TlsError, source_address

log = structlog.get_logger(__name__)

SERVED_TRANSPORTS = ("udp", "tcp", "tls")
MUSIC_RATE = 16000
DEMO_FOLDER = Path("var/demo")


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
        limits = _record_settings(settings)
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
        self.voice = self._voice or _open_voice(settings)
        stack.push_async_callback(self.voice.close)
        self.fallback_voice = self._voice or open_voice("espeak", timeout=settings.timeouts.speech)
        stack.push_async_callback(self.fallback_voice.close)
        self.recogniser = _open_recogniser(settings)
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
            identity_host=self.settings.sip.external_address or _reachable(self.user_agent),
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


# Parts ----------------------------------------------------------------------------------------------------------------


def open_media(settings: Settings) -> Board:
    """The board of the settings."""
    media = settings.media
    return open_board(
        BoardSettings(
            ip=media.address,
            ports=media.port_range,
            threads=media.threads,
            quarantine=media.port_rest,
            silent_after=settings.timeouts.media_silence,
        ),
        engine=media.engine,
    )


@asynccontextmanager
async def user_agent(
    settings: Settings,
    board: Board,
    listen: tuple[str, ...],
    sink: Callable[[Report], None],
    access: AccessControl | None,
) -> AsyncIterator[UserAgent]:
    """Signalling on these listeners, with the media of this board. ``access`` None: somebody of the lab."""
    sip, timeouts = settings.sip, settings.timeouts
    try:
        tls = tls_contexts(sip) if access is not None else None
    except TlsError as error:
        raise ListenerError(f"TLS: {error}") from error
    agent = UserAgent(
        endpoint_config(sip, timeouts, access),
        listen,
        board,
        media_address=_media_address(settings),
        codecs=_codecs(settings, board),
        srtp=settings.media.srtp,
        sink=sink,
        reap_after=timeouts.leg_close,
        tls=tls,
        limits=stream_limits(sip, timeouts),
        reached_by=media_reached_by(settings),
    )
    agent.max_hops = sip.max_hops
    await agent.start()
    try:
        yield agent
    finally:
        await agent.close()


def _open_voice(settings: Settings, *timbres: str) -> Voice:
    """The configured voice; ``auto`` is Debian's flite where it is installed, which is easier to understand."""
    name, limit = settings.speech.voice, settings.timeouts.speech
    if name != "auto":
        return open_voice(name, timeout=limit)
    try:
        return open_voice("flite", timeout=limit)
    except SpeechUnavailableError:
        return open_voice(":".join(("espeak", *timbres)), timeout=limit)


def _open_recogniser(settings: Settings) -> PocketsphinxRecogniser | None:
    if settings.speech.recogniser == "none":
        return None
    return PocketsphinxRecogniser(
        timeout=settings.timeouts.recogniser,
        workers=settings.speech.recogniser_processes,
        max_hearings=settings.speech.max_hearings,
        end_silence=settings.timeouts.end_of_speech,
        utterance_limit=settings.timeouts.utterance,
    )


def _codecs(settings: Settings, board: Board) -> list[Codec]:
    """The configured codecs that the engine has, in the configured order."""
    known = {codec.name.lower() for codec in board.codecs}
    wanted = [codec_named(name) for name in settings.media.codecs]
    missing = [codec.name for codec in wanted if codec.name.lower() not in known]
    if missing:
        log.warning("codecs_not_offered", codecs=missing, engine=board.engine)
    return [codec for codec in wanted if codec.name.lower() in known]


def _media_address(settings: Settings) -> str:
    address = settings.media.address
    return source_address("192.0.2.1") if address in ("0.0.0.0", "::") else address


def media_reached_by(settings: Settings) -> Callable[[Flow], str]:
    """The media address that the peer on a flow reaches, written into its session descriptions."""
    media = settings.media

    def reached_by(flow: Flow) -> str:
        remote = flow.remote[0]
        if media.external_address is not None and not is_internal(remote):
            return media.external_address
        if media.address not in ("0.0.0.0", "::"):
            return media.address
        return flow.local[0] if flow.local[0] not in ("0.0.0.0", "::") else source_address(remote)

    return reached_by


def _reachable(agent: UserAgent) -> str:
    host: str = agent.shell.addresses[0][1][0]
    return source_address("192.0.2.1") if host in ("0.0.0.0", "::") else host


def _record_settings(settings: Settings) -> RecordSettings:
    records = settings.records
    return RecordSettings(
        flush=records.flush,
        queue_limit=records.max_queue,
        sip_bytes_per_call=records.trace_bytes_per_call,
        events_per_call=records.max_events_per_call,
        prepared_lifetime=settings.timeouts.prepared_call_lifetime,
        busy_timeout=settings.timeouts.database,
        drain=settings.timeouts.shutdown,
    )


def configure_log(settings: LogSettings) -> None:
    """The log goes to standard error; tracebacks never show local variables, which may hold secrets."""
    levels = {"debug": 10, "info": 20, "warning": 30, "error": 40}
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.format == "json":
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(levels[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


# The lab --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def person(
    settings: Settings,
    voice: Voice,
    behaviour: Behaviour,
    listen: str,
    *,
    recordings: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> AsyncIterator[Person]:
    """Somebody of the lab on an address and a board of their own."""
    async with AsyncExitStack() as stack:
        board = open_media(settings)
        stack.callback(board.close)
        agent = await stack.enter_async_context(user_agent(settings, board, (listen,), lambda report: None, None))
        narrator = Narrator(voice, None, language="en-US", limit=settings.timeouts.speech_sentence)
        somebody = Person(agent, behaviour, speaker=narrator, recordings=recordings, tell=tell)
        stack.push_async_callback(somebody.close)
        yield somebody


# Commands -------------------------------------------------------------------------------------------------------------


def _print(line: str) -> None:
    print(line, flush=True)


@asynccontextmanager
async def _until_signal() -> AsyncIterator[asyncio.Event]:
    """An event that Ctrl-C and a polite kill set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class _Http(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """The server's own handlers stand."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@asynccontextmanager
async def serve_http(server: Server) -> AsyncIterator[int]:
    """The API and the pages, on `http.listen`; gives the bound port."""
    host, port = server.settings.http.address
    # Bound here: where uvicorn cannot bind, it ends the process in the middle of everything.
    listening = _bind_http(host, port)
    config = uvicorn.Config(server.application(), log_config=None, lifespan="off")
    http = _Http(config)
    task = asyncio.create_task(http.serve(sockets=[listening]))
    try:
        while not http.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        if task.done():
            raise ListenerError(f"http.listen: {host}:{port} is not served")
        yield listening.getsockname()[1]
    finally:
        http.should_exit = True
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            await asyncio.wait_for(task, server.settings.timeouts.shutdown)
        listening.close()


def _bind_http(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ListenerError naming the setting, the address and what is in the way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ListenerError(f"http.listen: {host}:{port}: {error.strerror or error}") from error


_CANNOT_START = (ListenerError, SQLAlchemyError, DatabaseUrlError, SpeechError, MediaError, OSError)


def _in_words(error: Exception) -> str:
    """One line: what failed, without the statement and the advice that a database error carries."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = f"{type(error).__name__}: {cause}" if isinstance(error, SQLAlchemyError) else str(error)
    return f"database.url: {text}" if isinstance(error, SQLAlchemyError | DatabaseUrlError) else text


async def run_server(settings: Settings, directory: Directory, *, demo: bool = False) -> int:
    """`cordboard serve`: until Ctrl-C. 0, or 1 where an address cannot be bound."""
    configure_log(settings.log)
    narrative = Narrative(_print)
    sinks = (narrative,) if demo else ()
    async with _until_signal() as stop, AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(Server(settings, directory, sinks=sinks))
            port = await stack.enter_async_context(serve_http(server))
            human = None
            if demo:
                human = await stack.enter_async_context(_demo_person(server, narrative, "udp://127.0.0.1:5070"))
        except _CANNOT_START as error:
            log.debug("start_failed", exc_info=True)
            print(f"cordboard: {_in_words(error)}", file=sys.stderr)
            return 1
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, server.reload_certificates)
        stack.callback(asyncio.get_running_loop().remove_signal_handler, signal.SIGHUP)
        if server.interrupted:
            _print(f"{server.interrupted} calls of the last run were cut off; their records say so")
        if human is not None:
            working = asyncio.ensure_future(_place_demonstration(server, human, narrative))
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not working.done():
                working.cancel()
            (result,) = await asyncio.gather(working, return_exceptions=True)
            if isinstance(result, Demonstration):
                _print(_verdict(result))
            elif not working.cancelled():
                log.error("demonstration_failed", exc_info=result)
        host = settings.http.address[0]
        for transport, (address, sip_port) in server.user_agent.shell.addresses:
            _print(f"SIP   {transport}://{address}:{sip_port}")
        _print(f"HTTP  http://{host}:{port}/")
        for agent in directory.agents_in():
            for number in agent.phone_numbers:
                address, sip_port = server.user_agent.shell.addresses[0][1]
                _print(f"Call  sip:{number}@{address}:{sip_port}   ({agent.name})")
        _print("Ctrl-C drains and ends.")
        await stop.wait()
        server.refuse_calls()
        _print(f"Draining {server.live_calls()} calls ...")
        await server.drain()
    return 0


async def run_demo(settings: Settings, directory: Directory) -> int:
    """`cordboard demo`: one call on free ports. 0 where the transfer succeeded."""
    configure_log(settings.log.model_copy(update={"level": "warning"}))
    await asyncio.to_thread(DEMO_FOLDER.mkdir, parents=True, exist_ok=True)
    settings = settings.model_copy(
        update={
            "sip": settings.sip.model_copy(update={"listen": ("udp://127.0.0.1:0",)}),
            "records": settings.records.model_copy(update={"folder": DEMO_FOLDER / "recordings"}),
            "database": settings.database.model_copy(
                update={"url": f"sqlite+aiosqlite:///{DEMO_FOLDER / 'cordboard.db'}"}
            ),
        }
    )
    narrative = Narrative(_print)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(settings, directory, sinks=(narrative,)))
        human = await stack.enter_async_context(_demo_person(server, narrative, "udp://127.0.0.1:0"))
        server.directory = _towards(directory, human.user_agent.shell.ports[0])
        result = await _place_demonstration(server, human, narrative)
    _print(_verdict(result))
    return 0 if result.success else 1


def _towards(directory: Directory, port: int) -> Directory:
    """The directory with the lab's people on another port."""
    actions = {
        name: action.model_copy(update={"sip_uri": action.sip_uri.replace("127.0.0.1:5070", f"127.0.0.1:{port}")})
        if isinstance(action, LiveTransfer) and action.sip_uri is not None
        else action
        for name, action in directory.actions.items()
    }
    return replace(directory, actions=actions)


def _demo_person(server: Server, narrative: Narrative, listen: str) -> contextlib.AbstractAsyncContextManager[Person]:
    return person(
        server.settings,
        server.voice,
        BEHAVIOURS["human"],
        listen,
        tell=lambda line: narrative.line("person", line),
    )


async def _place_demonstration(server: Server, human: Person, narrative: Narrative) -> Demonstration:
    number = next((number for agent in server.directory.agents_in() for number in agent.phone_numbers), "")
    address, port = server.user_agent.shell.addresses[0][1]
    async with AsyncExitStack() as stack:
        voice = _open_voice(server.settings, "f3")
        stack.push_async_callback(voice.close)
        narrator = Narrator(voice, None, language="en-US", limit=server.settings.timeouts.speech_sentence)
        caller = await stack.enter_async_context(person(server.settings, voice, CALLER, "udp://127.0.0.1:0"))
        target = Uri.parse(f"sip:{number}@{address}:{port}")
        result = await demonstrate(caller, human, target, narrator, narrative)
    # The last messages and rows are written after the call's end.
    await asyncio.sleep(2 * server.settings.records.flush)
    await server.writer.flush()
    if result.call_id:
        ladder = render(await server.store.sip_messages(result.call_id))
        _print(f"\n{ladder}")
        for path in await asyncio.to_thread(_keep_ladder, server.settings.records.folder / result.call_id, ladder):
            _print(f"wrote {path}")
    return result


def _keep_ladder(folder: Path, ladder: str) -> list[Path]:
    """Write the ladder beside the recordings; every file of the call."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ladder.txt").write_text(ladder)
    return sorted(folder.iterdir())


def _verdict(result: Demonstration) -> str:
    if result.success:
        return f"demonstration: {result.outcome}"
    return f"demonstration failed: {result.problem or result.outcome} {result.reason}".rstrip()


def _lab_address(behaviour: Behaviour, host: str) -> Address:
    return Address(Uri("sip", behaviour.name, host=host))


async def run_lab(behaviour: Behaviour, listen: str, call: str | None, recordings: Path | None) -> int:
    """`cordboard lab`: until Ctrl-C, or until a call that it placed has ended."""
    settings = Settings()
    configure_log(settings.log.model_copy(update={"level": "warning"}))
    async with _until_signal() as stop, AsyncExitStack() as stack:
        voice = _open_voice(settings)
        stack.push_async_callback(voice.close)
        try:
            somebody = await stack.enter_async_context(
                person(
                    settings,
                    voice,
                    behaviour,
                    "udp://127.0.0.1:0" if call else listen,
                    recordings=recordings,
                    tell=lambda line: _print(f"{behaviour.name} {line}"),
                )
            )
        except ListenerError as error:
            print(f"cordboard lab: {error}", file=sys.stderr)
            return 1
        host, port = somebody.user_agent.shell.addresses[0][1]
        _print(f"{behaviour.name} is at sip:{behaviour.name}@{host}:{port}")
        if call is None:
            await stop.wait()
            return 0
        seen = somebody.call(Uri.parse(call), from_=_lab_address(behaviour, host))
        ended = asyncio.ensure_future(seen.ended.wait())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        stopping.cancel()
        return 0 if seen.status == 200 else 1
