"""The pages: readable without scripts, behind a key, and whatever a caller says stays text."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from cordboard.api import Key
from cordboard.web import install

from .house import KEYS, House, with_house


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{key}".encode()).decode()}


def add(house: House, anonymous: Key | None = None) -> None:
    install(house.app, house.store, KEYS, house.folder / "recordings", anonymous=anonymous)


def test_the_list_and_a_call_show_what_was_recorded_as_text(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        add(house)
        page = await house.client.get("/calls", headers=basic("key-one"))
        assert page.status_code == 200
        assert 'href="/calls/done"' in page.text
        assert "transfer-success" in page.text
        assert "foreign" not in page.text
        call = await house.client.get("/calls/done", headers=basic("key-one"))
        assert call.status_code == 200
        assert "<audio controls" in call.text
        assert "leg.answered" in call.text
        assert "header ignored: X-Bad Name" in call.text
        for raw in ("<script", "<img", "<b>7", "onerror", "style="):
            assert raw not in call.text
        assert "&lt;script&gt;" in call.text
        for response in (page, call):
            policy = response.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy

    with_house(tmp_path, body)


def test_the_ladder_needs_the_trace_scope(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        add(house)
        assert "INVITE" not in (await house.client.get("/calls/done", headers=basic("key-one"))).text
        assert "INVITE" in (await house.client.get("/calls/done", headers=basic("key-operator"))).text

    with_house(tmp_path, body)


@pytest.mark.parametrize("path", ["/calls", "/calls/done", "/calls/done/recordings/caller.wav"])
def test_nobody_looks_without_a_key(tmp_path: Path, path: str) -> None:
    async def body(house: House) -> None:
        add(house)
        for headers in ({}, basic("wrong"), {"Authorization": "Basic !!!"}, {"Authorization": "Basic /w=="}):
            response = await house.client.get(path, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Basic")
        assert (await house.client.get(path, headers=basic("key-trace"))).status_code == 403

    with_house(tmp_path, body)


def test_a_foreign_call_is_not_found_and_an_odd_offset_harmless(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        add(house)
        assert (await house.client.get("/calls/done", headers=basic("key-two"))).status_code == 404
        for offset in ("-1", "x", "9" * 40, "²", "100"):
            response = await house.client.get("/calls", params={"offset": offset}, headers=basic("key-one"))
            assert response.status_code == 200

    with_house(tmp_path, body)


def test_a_loopback_server_may_let_everybody_look(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        add(house, anonymous=Key("anybody", "space-1", "", ("calls:read",)))
        assert (await house.client.get("/", follow_redirects=True)).status_code == 200
        assert (await house.client.get("/style.css")).headers["content-type"].startswith("text/css")
        audio = await house.client.get("/calls/done/recordings/caller.wav", headers={"Range": "bytes=0-3"})
        assert (audio.status_code, audio.content) == (206, b"RIFF")

    with_house(tmp_path, body)
