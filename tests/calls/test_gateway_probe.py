"""`cordboard gateway probe`: what a peer allows, what the configuration asks for beyond that, and silence."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from cordboard.calls.gateway_probe import ProbeResult, probe
from cordboard.cli import app
from cordboard.settings import Settings
from cordboard.sip.message import Request, parse_message, response_to
from tests.support.certificates import Authority, Certificate
from tests.support.house import directory_of

COLD = """
agents:
  - {model_id: m, name: M, greeting_message: hello, actions: [{action_id: night}]}
actions:
  - type: LIVE_TRANSFER
    action_id: night
    name: night
    transfer_mode: cold_transfer
    sip_uri: "sip:night@127.0.0.1"
"""
GATEWAY = """
gateways:
  - {{name: peer, host: 127.0.0.1, port: {port}, transport: {transport}, profile: {profile}, {more}}}
"""
FULL = (
    ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY, UPDATE, INFO"),
    ("Supported", "timer, replaces"),
    ("Accept", "application/sdp"),
    ("Server", "Peer 1.0"),
)


class Peer:
    """Answers every OPTIONS with one status and these headers; keeps what it got."""

    def __init__(
        self,
        status: int,
        headers: tuple[tuple[str, str], ...],
        transport: str,
        certificate: Certificate | None = None,
    ) -> None:
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(10)
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate.certificate, certificate.key)
        if transport != "udp":
            self._socket.listen()
        self.port: int = self._socket.getsockname()[1]
        self.got: list[Request] = []
        self._status, self._headers, self._transport = status, headers, transport
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _answer(self, data: bytes) -> bytes:
        request = parse_message(data)
        assert isinstance(request, Request)
        self.got.append(request)
        response = response_to(request, self._status, to_tag="peer")
        response.headers.extend(self._headers)
        return response.serialize()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            if self._transport != "udp":
                connection, _ = self._socket.accept()
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                with connection:
                    connection.sendall(self._answer(connection.recv(65536)))
                return
            while True:
                data, source = self._socket.recvfrom(65536)
                if self._status:
                    self._socket.sendto(self._answer(data), source)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextlib.contextmanager
def peer(
    status: int, *headers: tuple[str, str], transport: str = "udp", certificate: Certificate | None = None
) -> Iterator[Peer]:
    somebody = Peer(status, headers, transport, certificate)
    try:
        yield somebody
    finally:
        somebody.close()


def ask(
    somebody: Peer,
    extra: str = "",
    *,
    profile: str = "generic",
    transport: str = "udp",
    more: str = "",
    limit: float = 5,
    **sip: Any,
) -> ProbeResult:
    directory = directory_of(
        extra + GATEWAY.format(port=somebody.port, transport=transport, profile=profile, more=more or "max_calls: 9")
    )
    settings = Settings(timeouts={"gateway_probe": limit}, sip=sip)  # type: ignore[arg-type]
    return asyncio.run(probe(directory.gateways["peer"], directory, settings))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_peer_that_allows_everything_is_shown_without_a_warning(transport: str) -> None:
    with peer(200, *FULL, transport=transport) as somebody:
        result = ask(somebody, COLD, transport=transport)
    assert result.warnings == ()
    assert result.tried == (f"{transport}:127.0.0.1:{somebody.port}",)
    text = "\n".join(result.lines())
    for part in ("200 OK", "Peer 1.0", "REFER", "replaces, timer", "application/sdp", " ms"):
        assert part in text
    request = somebody.got[0]
    assert (request.method, request.headers.get("Accept")) == ("OPTIONS", "application/sdp")


@pytest.mark.parametrize(("name", "answered"), [("127.0.0.1", True), ("elsewhere.example", False)])
def test_a_peer_by_tls_must_prove_its_name(tmp_path: Path, name: str, answered: bool) -> None:
    """Protects the operator from a probe that praises somebody else's server (RFC 5922 §7.2)."""
    authority = Authority(tmp_path)
    with peer(200, *FULL, transport="tls", certificate=authority.issue(name)) as somebody:
        result = ask(somebody, transport="tls", tls_ca=authority.file)
    assert (result.status == 200) is answered
    assert (result.tried == (f"tls:127.0.0.1:{somebody.port}",)) is answered


@pytest.mark.parametrize(
    ("headers", "extra", "profile", "more", "warning"),
    [
        ((("Allow", "INVITE, BYE"),), COLD, "generic", "", "Allow has no REFER"),
        ((), COLD, "generic", "", "does not say whether it takes REFER"),
        (FULL, COLD, "generic", "override: {refer: never}", "takes no REFER"),
        ((("Supported", "100rel"),), "", "generic", "", "does not support timer"),
        ((("Supported", "timer"), ("Allow", "INVITE")), "", "generic", "", "refreshed by re-INVITE"),
        ((("Accept", "text/plain"),), "", "generic", "", "no application/sdp"),
        ((("Allow", "INVITE"),), "", "generic", "override: {media: {dtmf: info}}", "no INFO"),
        ((("Allow", "INVITE"),), "", "generic", "accept_refer: true", "no NOTIFY"),
        (
            FULL,
            COLD + "    uui: customer\n",
            "twilio",
            "",
            "do not get through a peer of profile twilio",
        ),
    ],
)
def test_what_the_configuration_asks_beyond_is_warned_of(
    headers: tuple[tuple[str, str], ...], extra: str, profile: str, more: str, warning: str
) -> None:
    with peer(200, *headers) as somebody:
        result = ask(somebody, extra, profile=profile, more=more)
    assert len(result.warnings) == 1, result.warnings
    assert warning in result.warnings[0]


@pytest.mark.parametrize(
    ("status", "more", "warning"),
    [
        (403, "", "does not serve us"),
        (401, "", "asks for credentials"),
        (401, "credentials: {username: u, password: p}", "refused the credentials"),
    ],
)
def test_a_refusal_is_an_answer_with_a_warning(status: int, more: str, warning: str) -> None:
    challenge = ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')
    with peer(status, challenge) as somebody:
        result = ask(somebody, more=more)
    assert result.status == status
    assert [warning in each for each in result.warnings] == [True]
    assert "password" not in "\n".join(result.lines())


def test_silence_ends_after_the_limit() -> None:
    with peer(0) as somebody:
        result = ask(somebody, limit=0.3)
    assert result.status is None
    assert "within 0.3 s" in result.problem


def test_a_closed_port_is_told_at_once() -> None:
    with peer(200, transport="tcp") as somebody:
        pass
    result = ask(somebody, transport="tcp")
    assert result.status is None
    assert result.problem


def test_a_peer_cannot_steer_the_terminal() -> None:
    with peer(200, ("Server", "x\x1b[2J"), ("Allow", "INVITE\x07")) as somebody:
        text = "\n".join(ask(somebody).lines())
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize(("headers", "status"), [(FULL, 0), ((("Supported", ""),), 3)])
def test_the_command_tells_by_its_status(tmp_path: Path, headers: tuple[tuple[str, str], ...], status: int) -> None:
    with peer(200, *headers) as somebody:
        (tmp_path / "directory.yaml").write_text(
            GATEWAY.format(port=somebody.port, transport="udp", profile="generic", more="max_calls: 9")
        )
        file = tmp_path / "cordboard.yaml"
        file.write_text("directory:\n  files: [directory.yaml]\n")
        result = CliRunner().invoke(app, ["gateway", "probe", "peer", "--config", str(file)])
        assert result.exit_code == status, result.output
        unknown = CliRunner().invoke(app, ["gateway", "probe", "nobody", "--config", str(file)])
    assert unknown.exit_code == 2
    assert "known are peer" in unknown.stderr
