"""What the commands run: the server, the demonstration, the lab."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cordboard.conversation.narrator import Narrator
from cordboard.directory.actions import LiveTransfer
from cordboard.directory.directory import Directory
from cordboard.lab.demonstration import CALLER, Demonstration, Narrative, demonstrate
from cordboard.lab.people import BEHAVIOURS, Behaviour, Person
from cordboard.media import MediaError
from cordboard.records.database import DatabaseUrlError
from cordboard.records.ladder import render
from cordboard.settings import Settings
from cordboard.sip.address import Address
from cordboard.sip.uri import Uri
from cordboard.speech.ports import SpeechError, Voice
from cordboard.wire import ListenerError

from .node import Server
from .parts import configure_log, open_media, open_speech, user_agent

log = structlog.get_logger(__name__)

SERVED_TRANSPORTS = ("udp", "tcp", "tls")
DEMO_FOLDER = Path("var/demo")


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
        # What has been built lives as long as the process: the collector need not look at it again during calls.
        gc.collect()
        gc.freeze()
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
        voice = open_speech(server.settings, "f3")
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
        voice = open_speech(settings)
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
