"""Kamailio as a Record-Routing proxy in front of the server and in front of the people that it calls.

It believes nobody who does not follow the route: a request within a dialog without its Route gets 404, as the stock
configuration of Kamailio has it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import free_port

PROGRAM = shutil.which("kamailio") or "/usr/sbin/kamailio"

CONFIGURATION = """#!KAMAILIO
debug=2
log_stderror=yes
log_prefix="{{$mt $rm $ci}} "
children=1
tcp_children=1
tcp_connect_timeout=2
auto_aliases=no
dns=no
rev_dns=no
{tls_listen}
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
{tls_modules}
modparam("rr", "enable_full_lr", 1)
modparam("rr", "enable_double_rr", 1)
modparam("tm", "auto_inv_100", 1)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) {{ t_relay(); }}
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            t_relay();
            exit;
        }}
        if (is_method("ACK") && t_check_trans()) {{
            t_relay();
            exit;
        }}
        if (!is_method("ACK")) {{ sl_send_reply("404", "No Route of ours"); }}
        exit;
    }}
    t_check_trans();
    if (is_method("INVITE")) {{ record_route(); }}
    if (uri == myself || is_method("OPTIONS")) {{ $du = "{server}"; }}
    t_relay();
}}
"""


@dataclass(frozen=True, slots=True)
class Kamailio:
    """A running proxy: calls to its own address, and OPTIONS, go to the server, everything else to its Request-URI."""

    port: int
    tls_port: int
    log: Path

    def uri(self, user: str, transport: str = "udp") -> str:
        """Somebody behind the proxy, the server where the user is one of its numbers."""
        port = self.tls_port if transport == "tls" else self.port
        return f"sip:{user}@127.0.0.1:{port};transport={transport}"


@asynccontextmanager
async def kamailio(
    folder: Path, server: str, *, certificate: Path | None = None, key: Path | None = None
) -> AsyncIterator[Kamailio]:
    """A proxy towards ``server`` (a SIP URI); with a certificate it listens and calls by TLS as well."""
    if not Path(PROGRAM).exists():
        pytest.skip("Kamailio is not installed (Debian: kamailio, kamailio-tls-modules)")
    modules = next(iter(Path("/usr/lib").glob("*/kamailio/modules")), Path("/usr/lib/kamailio/modules"))
    port, tls_port = free_port(2), free_port(2)
    folder.mkdir(parents=True, exist_ok=True)
    tls_listen = tls_modules = ""
    if certificate is not None:
        profile = f"method = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\ncertificate = {certificate}\n"
        profile += f"private_key = {key}\n"
        (folder / "tls.cfg").write_text(f"[server:default]\n{profile}\n[client:default]\n{profile}")
        tls_listen = f"enable_tls=yes\nlisten=tls:127.0.0.1:{tls_port}"
        tls_modules = f'loadmodule "tls.so"\nmodparam("tls", "config", "{folder / "tls.cfg"}")'
    (folder / "kamailio.cfg").write_text(
        CONFIGURATION.format(
            port=port, server=server, modules=f"{modules}/", tls_listen=tls_listen, tls_modules=tls_modules
        )
    )
    log = folder / "kamailio.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "-DD", "-E", "-m", "32", "-M", "8", "-f", folder / "kamailio.cfg", "-Y", folder,
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        await asyncio.wait_for(_listening(tls_port if certificate else port, process, log), 15)
        yield Kamailio(port, tls_port, log)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _listening(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    """Until its TCP port takes connections; the UDP sockets are bound before."""
    while True:
        if process.returncode is not None:
            raise RuntimeError(f"Kamailio did not start:\n{log.read_text(errors='replace')[-3000:]}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)  # polls for the socket of another process
        else:
            writer.close()
            return
