"""Who gets in and who does not: numbers, agents, sources, limits, API bodies, and every message of RFC 4475."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
import structlog

from cordboard.calls.events import CallOpened
from tests.support.casting import Played, Scene, agent, caller, nothing_left, stage, transfer
from tests.support.house import House
from tests.support.sipp import Sipp

pytestmark = pytest.mark.interop

TORTURE = sorted((Path(__file__).parent.parent / "sip" / "torture").glob("*.dat"))
NUMBER = "+15550600"
ELSEWHERE = [{"name": "far", "host": "192.0.2.1"}]
"""A gateway that is not on loopback, since the addresses of gateways are always allowed."""


def refused(h: House, folder: Path, number: str, status: str, name: str = "refused") -> Sipp:
    return caller(h, folder, number, "caller-is-refused.xml", {"status": status}, name=name)


def test_unknown_number_and_inactive_agent(tmp_path: Path) -> None:
    """404 where no agent has the number, 480 where the agent is inactive; neither leaves a record or anything else."""

    async def main() -> None:
        agents = (agent("open", NUMBER), agent("asleep", "+15550601", active=False))
        async with stage(tmp_path, *agents) as h:
            results = await asyncio.gather(
                refused(h, tmp_path, "+15550699", "404", "unknown").run(),
                refused(h, tmp_path, "+15550601", "480", "inactive").run(),
            )
            for result in results:
                result.check()
            assert h.of(CallOpened) == []
            await nothing_left(h)

    asyncio.run(main())


def test_prepared_call_for_an_inactive_agent_is_refused_on_its_record(tmp_path: Path) -> None:
    """480 for an INVITE that joins a prepared call of an inactive agent; its record says why."""

    async def main() -> None:
        async with stage(tmp_path, agent("asleep", NUMBER, active=False)) as h:
            async with h.api() as api:
                answer = await api.post("/v2/prepare_inbound", json={"model_id": "asleep"})
            prepared = answer.json()["synthflow_call_id"]
            keys = {"status": "480", "headers": f"X-EI: S.{prepared};"}
            (await caller(h, tmp_path, NUMBER, "caller-is-refused.xml", keys).run()).check()
            scene = Scene(h, NUMBER)
            await scene.opened()
            await scene.over()
            record = await h.record(prepared)
            assert record["status"] == "failed"
            assert "inactive" in record["error_message"]
            assert record["duration"] == 0
            await nothing_left(h)

    asyncio.run(main())


def test_source_that_is_not_allowed_gets_403(tmp_path: Path) -> None:
    """`sip.unknown_source: 403`: a stateless refusal, before anything is looked at."""

    async def main() -> None:
        sip = {"allow": ["10.0.0.0/8"], "unknown_source": "403"}
        async with stage(tmp_path, agent("open", NUMBER), gateways=ELSEWHERE, sip=sip) as h:
            (await refused(h, tmp_path, NUMBER, "403").run()).check()
            assert h.of(CallOpened) == []
            await nothing_left(h)

    asyncio.run(main())


def options(port: int, source: tuple[str, int]) -> bytes:
    host, local = source
    return (
        f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{local};branch=z9hG4bKdoor{local}\r\n"
        f"From: <sip:a@{host}>;tag=1\r\nTo: <sip:127.0.0.1:{port}>\r\nCall-ID: door-{local}\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_source_that_is_dropped_hears_nothing(tmp_path: Path) -> None:
    """`sip.unknown_source: drop`: silence, while a source that is allowed gets its answer."""

    async def main() -> None:
        sip = {"allow": ["127.0.0.2/32"], "unknown_source": "drop"}
        async with stage(tmp_path, agent("open", NUMBER), gateways=ELSEWHERE, sip=sip) as h:
            loop = asyncio.get_running_loop()
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as friend,
            ):
                for each, host in ((stranger, "127.0.0.1"), (friend, "127.0.0.2")):
                    each.setblocking(False)
                    each.bind((host, 0))
                    await loop.sock_sendto(each, options(h.port, each.getsockname()), ("127.0.0.1", h.port))
                # Both were sent before the answer to the second came, so the first has been dropped by now.
                answer = await asyncio.wait_for(loop.sock_recv(friend, 65535), 5)
                assert answer.startswith(b"SIP/2.0 200")
                with pytest.raises(BlockingIOError):
                    stranger.recv(65535)

    asyncio.run(main())


def test_one_call_too_many_gets_503(tmp_path: Path) -> None:
    """`sip.max_calls` is reached: 503 with Retry-After; the call that is up goes on, and the next one is welcome."""

    async def main() -> None:
        async with stage(tmp_path, agent("open", NUMBER), sip={"max_calls": 1}) as h:
            for _ in range(2):
                before = len(h.of(CallOpened))
                first = caller(h, tmp_path, NUMBER, "caller.xml", name=f"first-{before}")
                await first.start()
                scene = Scene(h, NUMBER)
                await scene.opened(skip=before)
                await scene.spoken("greeting")
                second = caller(h, tmp_path, NUMBER, "caller-is-told-when.xml", name=f"second-{before}")
                (await second.run()).check()
                assert h.server.live_calls() == 1
                await scene.hang_up()
                await scene.over()
                (await first.finish()).check()
                await h.until(lambda: h.server.live_calls() == 0, what="no call")
            assert len(h.of(CallOpened)) == 2
            await nothing_left(h)

    asyncio.run(main())


def test_typed_words_bring_a_person(tmp_path: Path) -> None:
    """POST /v2/calls/{id}/messages: what is typed counts as said; the transfer runs; the API hangs the call up."""

    async def main() -> None:
        person = Sipp("person-answers.xml", tmp_path / "person")
        async with stage(tmp_path, agent("open", NUMBER, transfer("a", f"sip:human@127.0.0.1:{person.port}"))) as h:
            await person.start()
            phone = caller(h, tmp_path, NUMBER, "caller.xml")
            await phone.start()
            scene = Scene(h, NUMBER)
            call_id = await scene.opened()
            await scene.spoken("greeting")
            await h.server.writer.flush()
            async with h.api() as api:
                answer = await api.post(f"/v2/calls/{call_id}/messages", json={"text": "I want to talk to a person"})
                assert answer.status_code == 200, answer.text
                await scene.claimed()
                # Lesson 15: the agent is off the line, and nothing that is typed now is answered.
                answer = await api.post(f"/v2/calls/{call_id}/messages", json={"text": "Are you there?"})
                assert answer.status_code == 409
                answer = await api.post(f"/v2/calls/{call_id}/hangup")
                assert answer.status_code == 200
                await scene.over()
                for program in (phone, person):
                    (await program.finish()).check()
                await h.server.writer.flush()
                answer = await api.post(f"/v2/calls/{call_id}/hangup")
                assert answer.status_code == 409
            one = Played(await scene.record(), scene.sip, scene)
            assert one.outcome == ("transfer-success", "none")
            assert "human: I want to talk to a person" in one.record["transcript"]
            assert "Are you there?" not in one.record["transcript"]
            assert one.record["telephony_hangup"] == "callee"
            await nothing_left(h)

    asyncio.run(main())


BODIES: tuple[tuple[str, Any, int, str], ...] = (
    ("/v2/prepare_inbound", b"{", 400, "body: not valid JSON"),
    ("/v2/prepare_inbound", [], 422, "body"),
    ("/v2/prepare_inbound", {}, 422, "body.model_id: model_id or to_number must be given"),
    ("/v2/prepare_inbound", {"model_id": 7}, 422, "body.model_id"),
    ("/v2/prepare_inbound", {"model_id": "nobody"}, 404, "model_id"),
    ("/v2/prepare_inbound", {"model_id": "open", "from_number": "me"}, 422, "body.from_number"),
    ("/v2/prepare_inbound", {"model_id": "open", "custom_variables": []}, 422, "body.custom_variables"),
    ("/v2/prepare_inbound", {"model_id": "open", "workspace_id": "x"}, 403, "workspace_id"),
    ("/v2/calls/{call_id}/messages", {}, 422, "body.text"),
    ("/v2/calls/{call_id}/messages", {"text": "  "}, 422, "body.text: Value error, must not be blank"),
    ("/v2/calls/{call_id}/messages", {"text": "x" * 10_001}, 422, "body.text"),
    ("/v2/calls/{call_id}/messages", b"\xff", 400, "body"),
    ("/v2/calls/unknown/messages", {"text": "hello"}, 404, "No call"),
    ("/v2/calls/unknown/hangup", {}, 404, "No call"),
)


def test_bad_bodies_change_nothing_about_a_live_call(tmp_path: Path) -> None:
    """400 and 422 name the field and the rule, in the one shape of errors, and the call goes on."""

    async def main() -> None:
        async with stage(tmp_path, agent("open", NUMBER)) as h:
            phone = caller(h, tmp_path, NUMBER, "caller.xml")
            await phone.start()
            scene = Scene(h, NUMBER)
            call_id = await scene.opened()
            await scene.spoken("greeting")
            await h.server.writer.flush()
            async with h.api() as api:
                for path, body, status, words in BODIES:
                    content = {"content": body} if isinstance(body, bytes) else {"json": body}
                    answer = await api.post(
                        path.format(call_id=call_id), headers={"Content-Type": "application/json"}, **content
                    )
                    assert answer.status_code == status, (path, body, answer.text)
                    detail = answer.json()["detail"]
                    assert detail["status"] == "error"
                    assert words in detail["description"], (path, body, detail)
                answer = await api.get("/v2/calls")
                assert answer.status_code == 422
                assert "query.model_id" in answer.json()["detail"]["description"]
                for header in ({"Authorization": "Bearer wrong"}, {"Authorization": ""}):
                    answer = await api.get(f"/v2/calls/{call_id}", headers=header)
                    assert answer.status_code == 401
            await scene.hang_up()
            await scene.over()
            (await phone.finish()).check()
            assert (await scene.record())["status"] == "completed"
            await nothing_left(h)

    asyncio.run(main())


def test_every_message_of_rfc_4475_is_survived(tmp_path: Path) -> None:
    """All torture messages by UDP while a call is up: no error is logged, that call goes on, another is answered."""

    async def main() -> None:
        assert len(TORTURE) >= 49
        async with stage(tmp_path, agent("open", NUMBER)) as h:
            scenes = []
            phones = []
            for index in range(2):
                if index == 1:
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hostile:
                        for path in TORTURE:
                            hostile.sendto(path.read_bytes(), ("127.0.0.1", h.port))
                        hostile.sendto(b"\r\n\r\n", ("127.0.0.1", h.port))
                        hostile.sendto(b"\x00" * 1000, ("127.0.0.1", h.port))
                        hostile.sendto(
                            b"INVITE sip:+15550600@127.0.0.1 SIP/2.0\r\nX-A: a\0b\r\n\r\n", ("127.0.0.1", h.port)
                        )
                before = len(h.of(CallOpened))
                phone = caller(h, tmp_path, NUMBER, "caller.xml", name=f"caller-{index}")
                await phone.start()
                scene = Scene(h, NUMBER)
                await scene.opened(skip=before)
                await scene.spoken("greeting")
                scenes.append(scene)
                phones.append(phone)
            for scene, phone in zip(scenes, phones, strict=True):
                await scene.hang_up()
                await scene.over()
                (await phone.finish()).check()
            await nothing_left(h)

    with structlog.testing.capture_logs() as logs:
        asyncio.run(main())
    assert logs
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
