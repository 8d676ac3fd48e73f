"""Parts of a node, each opened as the settings say."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from cordboard.calls.admission import AccessControl
from cordboard.calls.signalling import endpoint_config, is_internal, stream_limits, tls_contexts
from cordboard.calls.user_agent import UserAgent
from cordboard.media import Board, BoardSettings, open_board
from cordboard.records.recorder import Report
from cordboard.records.settings import RecordSettings
from cordboard.sdp import Codec, codec_named
from cordboard.settings import LogSettings, Settings
from cordboard.sip.flow import Flow
from cordboard.speech.ports import SpeechUnavailableError, Voice
from cordboard.speech.recogniser import PocketsphinxRecogniser
from cordboard.speech.voices import open_voice
from cordboard.wire import ListenerError, TlsError, source_address

log = structlog.get_logger(__name__)


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
        codecs=configured_codecs(settings, board),
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


def open_speech(settings: Settings, *timbres: str) -> Voice:
    """The configured voice; ``auto`` is Debian's flite where it is installed, which is easier to understand."""
    name, limit = settings.speech.voice, settings.timeouts.speech
    if name != "auto":
        return open_voice(name, timeout=limit)
    try:
        return open_voice("flite", timeout=limit)
    except SpeechUnavailableError:
        return open_voice(":".join(("espeak", *timbres)), timeout=limit)


def open_recogniser(settings: Settings) -> PocketsphinxRecogniser | None:
    if settings.speech.recogniser == "none":
        return None
    return PocketsphinxRecogniser(
        timeout=settings.timeouts.recogniser,
        workers=settings.speech.recogniser_processes,
        max_hearings=settings.speech.max_hearings,
        end_silence=settings.timeouts.end_of_speech,
        utterance_limit=settings.timeouts.utterance,
    )


def configured_codecs(settings: Settings, board: Board) -> list[Codec]:
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


def identity_host(agent: UserAgent) -> str:
    host: str = agent.shell.addresses[0][1][0]
    return source_address("192.0.2.1") if host in ("0.0.0.0", "::") else host


def record_settings(settings: Settings) -> RecordSettings:
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
