"""Who gets a screen in a browser, from where; and that no program is left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.server.web import WebServer, door, page, server, tabs
from tests.fake_clock import MovedClock
from tests.sandbox.server.admin.support import ADMIN_KEY, CALLERS, CHAT_KEY, administered, token

pytest.importorskip("textual_serve", reason="the extra `web` is not installed")

STANDS = """
import os, sys, signal
out = sys.stdout.buffer
def put(kind, data):
    out.write(kind + len(data).to_bytes(4, "big") + data); out.flush()
out.write(b"__GANGLION__\\n")
put(b"D", os.environ["SANDBOX_ADMIN_TOKEN"][-4:].encode() + b" " + " ".join(sys.argv[1:]).encode())
put(b"D", str(os.getpid()).encode())
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
sys.stdin.buffer.read(1)
"""
"""A program that says its token and its id as a screen would say what it draws, and leaves when it is told anything."""


@asynccontextmanager
async def browsed(folder: Path, *, clock: Any = None, **more: Any) -> AsyncIterator[tuple[WebServer, Any]]:
    async with administered(folder, clock=clock, **CALLERS) as rig:
        web = WebServer(lambda: rig.server.url, port=0, **more)
        await web.start()
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
                yield web, http
        finally:
            await web.stop()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(*words: str) -> None:
        monkeypatch.setattr(tabs, "command", lambda gateway: [sys.executable, "-c", STANDS, gateway, *words])

    use()
    return use


async def let_in(web: WebServer, http: aiohttp.ClientSession, token: str = ADMIN_KEY) -> aiohttp.ClientResponse:
    return await http.get(f"{web.url}/", params={"token": token})


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pid: int) -> None:
    for _ in range(500):
        if not alive(pid):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{pid} is still there")


# --- who --------------------------------------------------------------------------------------------------------------


async def test_a_browser_is_asked_for_a_token_and_let_in_by_it(tmp_path):
    async with browsed(tmp_path) as (web, http):
        async with http.get(web.url) as asked:
            assert asked.status == 401
            assert 'action="/login"' in await asked.text()
        async with http.post(f"{web.url}/login", data={"token": ADMIN_KEY}, headers={"Origin": web.url}) as answer:
            assert (answer.status, str(answer.url)) == (200, f"{web.url}/")
            text = await answer.text()
        assert "googleapis" not in text
        assert "https://" not in text
        assert text.index('data-session-websocket-url=""') < text.index('url.protocol === "https:" ? "wss:" : "ws:"')
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        [cookie] = list(http.cookie_jar)
        assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Strict", "")
        assert ADMIN_KEY not in cookie.value


@pytest.mark.parametrize(
    ("token", "says"),
    [("sk-sandbox-wrong", "not known"), (CHAT_KEY, "may not administer"), ("", "no token"), ("x" * 9000, "no token")],
)
async def test_what_is_no_administrators_token_lets_nobody_in(tmp_path, token, says):
    async with browsed(tmp_path) as (web, http):
        sent = {"data": {"token": token}, "headers": {"Origin": web.url}}
        async with http.post(f"{web.url}/login", **sent) as answer:
            assert answer.status == 401
            text = await answer.text()
            assert says in text
            assert not token or token not in text
        assert not list(http.cookie_jar)


@pytest.mark.parametrize("path", ["/ws", "/static/js/textual.js", "/download/x"])
async def test_nothing_else_is_there_without_a_session(tmp_path, path):
    async with browsed(tmp_path) as (web, http), http.get(web.url + path) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "rebound.example:8000", "Origin": "http://rebound.example:8000"},
        {"Origin": "http://evil.example"},
    ],
)
async def test_pages_of_other_sites_and_rebound_names_get_nothing(tmp_path, headers):
    async with browsed(tmp_path) as (web, http):
        await let_in(web, http)
        for path in ("/", "/ws", "/static/js/textual.js"):
            async with http.get(web.url + path, headers=headers) as answer:
                assert answer.status == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "http://localhost:3000", None])
async def test_only_the_servers_own_page_opens_a_tab(tmp_path, stand_in, origin):
    async with browsed(tmp_path) as (web, http):
        await let_in(web, http)
        headers = {} if origin is None else {"Origin": origin}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{web.url}/ws", headers=headers)
        assert refused.value.status == 403
        async with http.post(f"{web.url}/login", data={"token": ADMIN_KEY}, headers=headers) as answer:
            assert answer.status == 403


async def test_behind_a_proxy_with_tls_a_name_of_the_settings_opens_a_tab(tmp_path, stand_in):
    behind = {"Host": "watch.example.com", "Origin": "https://watch.example.com", "X-Forwarded-Proto": "https"}
    async with browsed(tmp_path, hosts=["watch.example.com"]) as (web, http):
        sent = {"data": {"token": ADMIN_KEY}, "headers": behind, "allow_redirects": False}
        async with http.post(f"{web.url}/login", **sent) as answer:
            assert answer.status == 303
            cookie = answer.cookies[server.COOKIE]
            assert cookie["secure"] is True
        session = {"Cookie": f"{server.COOKIE}={cookie.value}"}
        async with http.get(web.url, headers={**behind, **session}) as answer:
            assert answer.status == 200
        async with http.ws_connect(f"{web.url}/ws", headers={**behind, **session}) as socket:
            assert (await socket.receive_bytes(timeout=20)).startswith(ADMIN_KEY[-4:].encode())
        for wrong in (
            {"Host": "other.example.com"},
            {"Origin": "https://other.example.com"},
            {"Origin": "https://watch.example.com:8443"},
        ):
            async with http.get(f"{web.url}/ws", headers={**behind, **session, **wrong}) as answer:
                assert answer.status == 403


async def test_who_says_nothing_or_no_http_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "IDLE", 0.2)
    async with browsed(tmp_path) as (web, _):
        for sent, first in ((b"GET / HTTP/1.1\r\nhost: 127", b""), (b"\x16\x03\x01\r\n\r\n", b"HTTP/1.0 400")):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(web.url.rpartition(":")[2]))
            writer.write(sent)
            async with asyncio.timeout(10):
                assert (await reader.read()).startswith(first)
            writer.close()


def test_the_librarys_page_is_left_without_what_is_elsewhere(tmp_path):
    page_of_theirs = '<head><link rel="stylesheet" href="https://fonts.example/css" /><link href="/own.css"></head>'
    (tmp_path / "app_index.html").write_text(page_of_theirs)
    cleaned = page.terminal_template(tmp_path)
    assert "fonts.example" not in cleaned
    assert '<link href="/own.css">' in cleaned
    assert "RobotoMono" in cleaned


def test_a_process_without_the_extra_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(Exception, match=r"pip install 'llm-failover-sandbox\[web\]'"):
        WebServer(lambda: "http://127.0.0.1:4000")


# --- tabs -------------------------------------------------------------------------------------------------------------


async def opened(web: WebServer, http: aiohttp.ClientSession) -> tuple[aiohttp.ClientWebSocketResponse, str, int]:
    """A tab, what its program said first, and the program's id."""
    socket = await http.ws_connect(f"{web.url}/ws?width=90&height=20", headers={"Origin": web.url})
    said = (await socket.receive_bytes(timeout=20)).decode()
    return socket, said, int(await socket.receive_bytes(timeout=20))


async def test_each_tab_runs_a_screen_with_its_browsers_own_token_which_no_command_line_shows(tmp_path, stand_in):
    async with browsed(tmp_path) as (web, http):
        await let_in(web, http)
        socket, said, pid = await opened(web, http)
        assert said == f"{ADMIN_KEY[-4:]} {web._gateway}"
        assert web.tabs == 1
        await socket.close()
        await gone(pid)
        assert ADMIN_KEY not in " ".join(tabs.command(web._gateway))


async def test_a_program_that_leaves_by_itself_closes_its_tab(tmp_path, stand_in):
    async with browsed(tmp_path) as (web, http):
        await let_in(web, http)
        socket, _, pid = await opened(web, http)
        await socket.send_json(["stdin", "x"])
        assert (await socket.receive(timeout=20)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await gone(pid)
        await socket.close()


async def test_what_is_no_message_of_the_page_ends_the_tab_alone(tmp_path, stand_in):
    async with browsed(tmp_path) as (web, http):
        await let_in(web, http)
        socket, _, pid = await opened(web, http)
        await socket.send_str('{"no": "list"}')
        await gone(pid)
        other, _, _ = await opened(web, http)
        await socket.close()
        await other.close()


async def test_a_tab_ends_with_its_token_and_no_other_is_opened(tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(server, "LOOK_S", 0.05)
    clock = MovedClock()
    async with browsed(tmp_path, clock=clock) as (web, http):
        await let_in(web, http, token(seconds=60, clock=clock))
        socket, _, pid = await opened(web, http)
        clock.ahead += 100
        assert (await socket.receive(timeout=20)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await gone(pid)
        await socket.close()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{web.url}/ws", headers={"Origin": web.url})
        assert refused.value.status == 401
        async with http.get(web.url) as answer:
            assert answer.status == 401


async def test_a_browser_comes_back_when_its_token_has_ended(tmp_path, stand_in):
    clock = MovedClock()
    async with browsed(tmp_path, clock=clock) as (web, http):
        for path, headers, status in (("/", {}, 401), ("/ws", {"Origin": web.url}, 403)):
            await let_in(web, http, token(seconds=60, clock=clock))
            clock.ahead += 100
            async with http.get(web.url + path, headers=headers) as answer:
                assert (answer.status, "the token has ended" in await answer.text()) == (status, True)
            assert web._sessions.token(next(iter(http.cookie_jar)).value) is None


async def test_a_gateway_that_is_away_ends_no_tab(tmp_path):
    assert not await door.refused(ADMIN_KEY, "http://127.0.0.1:9")


async def test_stopping_the_server_ends_every_program_the_stubborn_too(tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(tabs, "LEAVE_S", 0.2)
    stand_in("stubborn")
    async with browsed(tmp_path) as (web, http):
        await let_in(web, http)
        several = [await opened(web, http) for _ in range(2)]
        await web.stop()
        for socket, _, pid in several:
            await gone(pid)
            await socket.close()
        await web.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(web.url)


async def test_there_are_only_so_many_tabs(tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(server, "MAX_TABS", 1)
    async with browsed(tmp_path) as (web, http):
        await let_in(web, http)
        socket, _, _ = await opened(web, http)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{web.url}/ws", headers={"Origin": web.url})
        assert refused.value.status == 503
        await socket.close()
