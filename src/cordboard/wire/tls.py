"""TLS contexts for SIP: at least 1.2, certificates that are read again when their files change.

Only contexts live here; whether a peer's certificate names the right domain is decided by `sip.certificate`.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

log = structlog.get_logger(__name__)

ClientCertificates = Literal["none", "optional", "required"]


class TlsError(Exception):
    """Certificates, keys or authorities that cannot be used; names the file."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificates are kept; PEM, a chain from the server's own certificate upwards.

    ``client_certificate`` is shown to servers that ask for one; without it the server's own is.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    """Whose certificates are believed; None: the authorities of the system."""
    client_certificate: Path | None = None
    client_key: Path | None = None
    peers: ClientCertificates = "none"
    """Whether clients of ours must show a certificate: mutual TLS."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is named."""
        named = (self.certificate, self.key, self.authorities, self.client_certificate, self.client_key)
        return tuple(path for path in named if path is not None)


class TlsContexts:
    """The current contexts. A connection keeps the context that it began with; the next one gets the new.

    Raises TlsError where the files cannot be used at the start; later a fault is logged and the old ones stay.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._stamps()
        self.server, self.client = self._build()

    def reload(self) -> bool:
        """Read every file again, whatever its time; False where the new ones cannot be used."""
        stamps = self._stamps()
        try:
            contexts = self._build()
        except TlsError as error:
            log.error("tls_reload_failed", error=str(error))
            self._seen = stamps
            return False
        self._seen = stamps
        self.server, self.client = contexts
        log.info("tls_reloaded")
        return True

    def reload_if_changed(self) -> bool:
        """Read the files again where one of them is not the one that was read; whether that was done."""
        return self._stamps() != self._seen and self.reload()

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._files.paths)

    def _build(self) -> tuple[ssl.SSLContext | None, ssl.SSLContext]:
        files = self._files
        server: ssl.SSLContext | None = None
        if files.certificate is not None:
            server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            _harden(server)
            _identify(server, files.certificate, files.key)
            if files.peers != "none":
                _believe(server, files.authorities)
                server.verify_mode = ssl.CERT_REQUIRED if files.peers == "required" else ssl.CERT_OPTIONAL
            # A resumed session would skip the check of a certificate that has been withdrawn since.
            server.options |= ssl.OP_NO_TICKET
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _harden(client)
        # RFC 5922 §7.2 is not the rule of HTTP: a wildcard proves nothing, a SIP URI counts. `sip.certificate` checks.
        client.check_hostname = False
        client.verify_mode = ssl.CERT_REQUIRED
        _believe(client, files.authorities)
        own = (
            (files.client_certificate, files.client_key) if files.client_certificate else (files.certificate, files.key)
        )
        if own[0] is not None:
            _identify(client, own[0], own[1])
        return server, client


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _identify(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        # A key that asks for a passphrase would stop the program to wait for a person.
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise TlsError(f"{certificate}: {_words(error)}") from error


def _believe(context: ssl.SSLContext, authorities: Path | None) -> None:
    if authorities is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    try:
        context.load_verify_locations(authorities)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"{authorities}: {_words(error)}") from error


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
