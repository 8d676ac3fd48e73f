"""The ``cordboard`` command. Each command checks its arguments, then hands over to the room that does the work."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from cordboard import __version__
from cordboard.calls.gateway_probe import probe
from cordboard.detection import detect_files
from cordboard.directory.check import Report, check
from cordboard.directory.directory import Directory
from cordboard.directory.keys import DEFAULT_SCOPES, SCOPES, Scope, open_key_store
from cordboard.lab.people import BEHAVIOURS
from cordboard.records.trace import Form, UnknownCallError, read_trace, written
from cordboard.server import SERVED_TRANSPORTS, run_demo, run_lab, run_server
from cordboard.settings import Settings
from cordboard.wire import ListenerError, TlsError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="AI voice agents that answer SIP calls and hand live calls to people.",
)
keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
app.add_typer(keys, name="key")
gateways = typer.Typer(no_args_is_help=True, help="Look at the systems that calls come from and leave by.")
app.add_typer(gateways, name="gateway")

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="CORDBOARD_CONFIG", help="A YAML file of settings.", dir_okay=False),
]


def _load(config: Path | None) -> tuple[Settings, Directory]:
    report = _report(config)
    for fault in report.faults:
        typer.echo(str(fault), err=True)
    if report.settings is None or report.directory is None or not report.usable:
        raise typer.Exit(2)
    return report.settings, report.directory


def _report(config: Path | None) -> Report:
    return check(config, transports=SERVED_TRANSPORTS)


@app.command()
def serve(
    config: Config = None,
    demo: Annotated[bool, typer.Option("--demo", help="Start the lab and place one demonstration call.")] = False,
) -> None:
    """Answer calls until Ctrl-C; then drain and leave with status 0."""
    settings, directory = _load(config)
    raise typer.Exit(asyncio.run(run_server(settings, directory, demo=demo)))


@app.command()
def demo(config: Config = None) -> None:
    """Place one call against an own server on free ports and print what happens; status 0 where it succeeds."""
    settings, directory = _load(config)
    raise typer.Exit(asyncio.run(run_demo(settings, directory)))


@app.command(name="check")
def check_command(config: Config = None) -> None:
    """Say everything that is wrong with settings and directory, without starting; status 1 where there are errors."""
    report = _report(config)
    for line in report.lines():
        typer.echo(line)
    raise typer.Exit(0 if report.usable else 1)


@app.command()
def lab(
    behaviour: Annotated[str, typer.Argument(help=f"One of {', '.join(BEHAVIOURS)}.")],
    listen: Annotated[str, typer.Option(help="Where to be reached.")] = "udp://127.0.0.1:5070",
    call: Annotated[str | None, typer.Option(help="Call this SIP URI instead of waiting to be called.")] = None,
    keys_pressed: Annotated[str, typer.Option("--keys", help="Keys to press after the answer.")] = "",
    line: Annotated[str | None, typer.Option(help="What to say after the answer.")] = None,
    answer_after: Annotated[float | None, typer.Option(help="Seconds of ringing before the answer.")] = None,
    hang_up_after: Annotated[float | None, typer.Option(help="Seconds after the answer.")] = None,
    record: Annotated[Path | None, typer.Option(help="A folder for recordings of both directions.")] = None,
) -> None:
    """Be a person or a machine on the telephone: a real SIP endpoint with real audio."""
    if behaviour not in BEHAVIOURS:
        typer.echo(f"behaviour: {behaviour} is unknown; known are {', '.join(BEHAVIOURS)}", err=True)
        raise typer.Exit(2)
    chosen = BEHAVIOURS[behaviour].changed(
        keys=keys_pressed or None, line=line, answers_after=answer_after, hangs_up_after=hang_up_after
    )
    raise typer.Exit(asyncio.run(run_lab(chosen, listen, call, record)))


@app.command()
def trace(
    call: Annotated[str, typer.Argument(help="The id of the call.")],
    ladder: Annotated[bool, typer.Option("--ladder", help="A ladder in plain text; so without an option too.")] = False,
    pcap: Annotated[bool, typer.Option("--pcap", help="A capture file for Wireshark.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every message, with its time and addresses.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here.", dir_okay=False)] = None,
    config: Config = None,
) -> None:
    """Show the SIP messages of a recorded call, secrets masked; status 1 where there is no such call."""
    wanted: dict[Form, bool] = {"ladder": ladder, "pcap": pcap, "json": as_json}
    chosen = [form for form, given in wanted.items() if given]
    if len(chosen) > 1:
        typer.echo("give one of --ladder, --pcap and --json", err=True)
        raise typer.Exit(2)
    form = chosen[0] if chosen else "ladder"
    if form == "pcap" and output is None and sys.stdout.isatty():
        typer.echo("--pcap needs --output: a terminal cannot show a capture file", err=True)
        raise typer.Exit(2)
    settings, _ = _load(config)
    try:
        found = asyncio.run(read_trace(settings.database.url, call))
        data = written(found, form)
        if output is not None:
            output.write_bytes(data)
            return
    except (UnknownCallError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@app.command()
def detect(
    paths: Annotated[list[Path], typer.Argument(help="WAV files, or folders of them whose names are labels.")],
) -> None:
    """Say who answered in recordings: verdicts, times, scores, and a confusion table where folders name labels."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        typer.echo(f"there is no {missing[0]}", err=True)
        raise typer.Exit(2)
    report = detect_files(paths)
    for line in (*report.lines, *report.table):
        typer.echo(line)
    raise typer.Exit(1 if any(result.error for result in report.results) else 0)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    workspace: Annotated[str, typer.Option(help="The workspace that it opens.")] = "default",
    scope: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(SCOPES)}; may be repeated.")] = None,
    config: Config = None,
) -> None:
    """Make a key and print it, once."""
    settings, _ = _load(config)

    async def work() -> None:
        async with open_key_store(settings.database.url) as store:
            chosen: tuple[Scope, ...] = tuple(scope) if scope else DEFAULT_SCOPES  # type: ignore[arg-type]
            _, text = await store.create(name, workspace, chosen)
            typer.echo(text)

    try:
        asyncio.run(work())
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


@keys.command("list")
def list_keys(config: Config = None) -> None:
    """Print the keys without their secrets."""
    settings, _ = _load(config)

    async def work() -> None:
        async with open_key_store(settings.database.url) as store:
            for key in await store.list():
                state = "revoked" if key.revoked_at else ",".join(key.scopes)
                typer.echo(f"{key.key_id}  {key.workspace_id}  {key.name}  {state}  {key.created_at:%Y-%m-%d %H:%M}")

    asyncio.run(work())


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="The id that `key list` shows.")], config: Config = None
) -> None:
    """Make a key useless at once."""
    settings, _ = _load(config)

    async def work() -> bool:
        async with open_key_store(settings.database.url) as store:
            return await store.revoke(key_id)

    if not asyncio.run(work()):
        typer.echo(f"{key_id}: there is no such key, or it is revoked already", err=True)
        raise typer.Exit(1)


@gateways.command("probe")
def probe_gateway(
    name: Annotated[str, typer.Argument(help="A gateway of the directory.")], config: Config = None
) -> None:
    """Ask a gateway by OPTIONS what it allows, and warn where the configuration asks for more.

    Status 0: it answered, and nothing is to be warned of; 1: nobody answered; 2: there is no such gateway, or the
    configuration is faulty; 3: it answered, with warnings.
    """
    settings, directory = _load(config)
    gateway = directory.gateway(name)
    if gateway is None:
        known = ", ".join(sorted(directory.gateways)) or "none"
        typer.echo(f"{name}: there is no such gateway; known are {known}", err=True)
        raise typer.Exit(2)
    try:
        result = asyncio.run(probe(gateway, directory, settings))
    except (ListenerError, TlsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    for line in result.lines():
        typer.echo(line)
    raise typer.Exit(1 if result.status is None else 3 if result.warnings else 0)


def main() -> None:
    """Entry point."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
