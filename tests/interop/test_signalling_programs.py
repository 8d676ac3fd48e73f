"""What other programs see of our signalling: strict routers, session refreshes, dead targets in the DNS, OPTIONS."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path

import pytest

from cordboard.calls.events import CallClosed, CallOpened, SipSeen
from cordboard.sip import session_timer
from cordboard.transfer.ports import TransferClaimed, TransferNews
from tests.support.house import DIRECTORY, House, house, lab_person
from tests.support.kamailio import kamailio
from tests.support.nameserver import name_server
from tests.support.ports import free_port
from tests.support.sipp import Sipp
from tests.support.sipp_script import pause, place, press, receive, request, response, script, sdp

pytestmark = pytest.mark.interop


def sent(h: House, start: bytes, leg: str = "") -> list[bytes]:
    """Messages of ours that begin with this."""
    traces = [report.trace for report in h.of(SipSeen) if not leg or report.leg == leg]
    return [trace.data for trace in traces if trace.direction == "out" and trace.data.startswith(start)]


# Strict routing -------------------------------------------------------------------------------------------------------


def test_a_strict_router_before_us_gets_the_request_uri_and_the_target_as_last_route(tmp_path: Path) -> None:
    """Protects calls by proxies of RFC 2543: our BYE names the router, then the caller (RFC 3261 §12.2.1.1)."""
    scenario = script(
        tmp_path,
        "strict",
        request(
            "INVITE",
            1,
            "Record-Route: <sip:[local_ip]:[local_port]>",
            body=sdp(),
            tagged=False,
            contact="<sip:desk@127.0.0.1:9>",
        ),
        receive(100, optional=True),
        receive(180, optional=True),
        receive(200, r"Record-Route: <sip:127\.0\.0\.1:[0-9]+>"),
        request("ACK", 1),
        receive("BYE", r"^BYE sip:127\.0\.0\.1:[0-9]+ SIP/2\.0", r"Route: <sip:desk@127\.0\.0\.1:9>"),
        response(200, "OK"),
    )

    async def main() -> None:
        async with house(tmp_path) as h:
            caller = Sipp(scenario, tmp_path / "caller", remote=f"127.0.0.1:{h.port}")
            await caller.start()
            await h.until(lambda: sent(h, b"SIP/2.0 200"), what="the answer")
            h.server.hang_up(h.of(CallOpened)[0].call_id)
            (await caller.finish()).check()
            await h.until(lambda: h.of(CallClosed), what="the end")

    asyncio.run(main())


# Session timers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", ["INVITE, ACK, BYE, UPDATE", "INVITE, ACK, BYE"])
def test_we_refresh_the_session_of_a_caller_who_leaves_it_to_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    """Protects long calls: by UPDATE where the caller takes it, else by re-INVITE (RFC 4028 §7.4), twice in a row."""
    monkeypatch.setattr(session_timer, "SMALLEST_INTERVAL", 2)
    if "UPDATE" in allowed:
        refresh = receive("UPDATE", "Session-Expires: 2;refresher=uac") + response(
            200, "OK", "Session-Expires: 2;refresher=uac", "Require: timer"
        )
    else:
        refresh = receive("INVITE", "Session-Expires: 2;refresher=uac", "m=audio") + response(
            200, "OK", "Session-Expires: 2;refresher=uac", "Require: timer", body=sdp(version=1)
        )
        refresh += receive("ACK")
    scenario = script(
        tmp_path,
        "refreshed",
        place("Session-Expires: 2;refresher=uas", "Min-SE: 2", "Supported: timer", f"Allow: {allowed}"),
        refresh,
        refresh,
        request("BYE", 2),
        receive(200),
    )

    async def main() -> None:
        async with house(tmp_path) as h:
            h.server.user_agent.shell.endpoint.config.minimum_session_expires = 2
            result = await Sipp(scenario, tmp_path / "caller", remote=f"127.0.0.1:{h.port}").run()
            result.check()
            await h.until(lambda: h.of(CallClosed), what="the end")
            assert b"refresher=uas" in sent(h, b"SIP/2.0 200")[0]

    asyncio.run(main())


def test_a_caller_who_refreshes_keeps_the_call_and_one_who_stops_loses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects against calls behind a dead switch: our BYE comes before the interval is over (RFC 4028 §10)."""
    monkeypatch.setattr(session_timer, "SMALLEST_INTERVAL", 2)
    timer = ("Session-Expires: 2;refresher=uac", "Min-SE: 2", "Supported: timer")
    again = receive(100, optional=True) + receive(200, "Session-Expires: 2;refresher=uac", "Require: timer")
    scenario = script(
        tmp_path,
        "refreshing",
        place(*timer),
        pause(1000),
        request("UPDATE", 2, *timer),
        again,
        pause(1000),
        request("INVITE", 3, *timer, body=sdp(version=2)),
        again,
        request("ACK", 3),
        receive("BYE", "session expired"),
        response(200, "OK"),
    )

    async def main() -> None:
        async with house(tmp_path) as h:
            h.server.user_agent.shell.endpoint.config.minimum_session_expires = 2
            (await Sipp(scenario, tmp_path / "caller", remote=f"127.0.0.1:{h.port}").run()).check()
            await h.until(lambda: h.of(CallClosed), what="the end")

    asyncio.run(main())


# The DNS --------------------------------------------------------------------------------------------------------------

NAMED = DIRECTORY.replace("sip:human@127.0.0.1:{person}", "sip:human@pbx.test").replace(
    "host: 127.0.0.1\n    allowed_domains: [localhost]", "host: pbx.test\n    allowed_domains: [127.0.0.1]"
)


@pytest.mark.parametrize("dead", ["refuses", "is silent", "has no address"])
def test_a_dead_first_target_of_the_dns_is_passed_over(tmp_path: Path, dead: str) -> None:
    """Protects transfers to a pair of servers of which one is down (RFC 3263 §4.3, RFC 2782)."""

    async def main() -> None:
        quiet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        quiet.bind(("127.0.0.1", 0))
        port = quiet.getsockname()[1] if dead == "is silent" else free_port(1)
        async with lab_person(tmp_path, "human", listens_first=False, tone=880, answers_after=0.1) as human:
            zone = {
                ("_sip._udp.pbx.test", "SRV"): [
                    f"20 0 {human.user_agent.shell.ports[0]} living.pbx.test.",
                    f"10 0 {port} dead.pbx.test.",
                ],
                ("living.pbx.test", "A"): ["127.0.0.1"],
                ("dead.pbx.test", "A"): [] if dead == "has no address" else ["127.0.0.1"],
            }
            timers = {"t1": 0.02, "t2": 0.1, "t4": 0.1}
            async with name_server(zone) as names, house(tmp_path, NAMED, sip=timers) as h:
                h.server.user_agent.shell._resolver = names.resolver()
                scenario = script(tmp_path, "caller", place(), press("0"), receive("BYE"), response(200, "OK"))
                caller = Sipp(scenario, tmp_path / "caller", remote=f"127.0.0.1:{h.port}")
                await caller.start()
                await h.until(lambda: [n for n in h.of(TransferNews) if n.name == "bridged"], what="the bridge")
                await h.until(lambda: h.of(TransferClaimed), what="the claim")
                human.calls[0].leg.hangup()
                h.server.hang_up(h.of(CallOpened)[0].call_id)
                (await caller.finish()).check()
                assert str(h.of(TransferClaimed)[0].claim.outcome) == "transfer-success"
                assert ("_sip._udp.pbx.test", "SRV") in names.asked
                invites = [r.trace for r in h.of(SipSeen) if r.trace.data.startswith(b"INVITE ") and r.leg != "caller"]
                tried = [trace.remote[1] for trace in invites]
                if dead != "has no address":
                    assert tried[0] == port
                assert tried[-1] == human.user_agent.shell.ports[0]
        quiet.close()

    asyncio.run(main())


# OPTIONS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("through_proxy", [False, True])
def test_sipsak_gets_200_to_its_options(tmp_path: Path, through_proxy: bool) -> None:
    """Protects monitoring: keep-alives of SBCs and proxies are answered, also through a proxy (RFC 3261 §11.2)."""
    if shutil.which("sipsak") is None:
        pytest.skip("sipsak is not installed")

    async def ask(uri: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            "sipsak", "-vvv", "-s", uri, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), 20)
        return process.returncode or 0, output.decode(errors="replace")

    async def main() -> None:
        async with house(tmp_path) as h, kamailio(tmp_path / "proxy", f"sip:127.0.0.1:{h.port}") as proxy:
            port = proxy.port if through_proxy else h.port
            status, text = await ask(f"sip:+15550100@127.0.0.1:{port}")
            assert status == 0, text
            assert "200 OK" in text
            assert "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS" in text
            h.server.user_agent.shell.endpoint.draining = True
            status, text = await ask(f"sip:+15550100@127.0.0.1:{port}")
            assert status != 0
            assert ("500" if through_proxy else "503") in text  # RFC 3261 §16.7: a proxy keeps the 503 to itself

    asyncio.run(main())
