"""The server of the terminal UI in a browser: a page, a socket for each tab, and the door before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from providers.clock import SYSTEM_CLOCK, Clock
from providers.errors import ConfigError
from sandbox.server.addresses import base, elsewhere
from sandbox.server.gateway.guard import Door
from sandbox.server.gateway.server import IDLE
from sandbox.server.http_log import http_logger
from sandbox.server.unread import Runner
from sandbox.server.web import page
from sandbox.server.web.door import Sessions, from_here, over_tls, problem_with, refused

if TYPE_CHECKING:
    from sandbox.server.web.tabs import Tab

_http_logger: Final = http_logger(f"{__name__}.http")

PORT: Final = 8000
MAX_TABS: Final = 16
"""Each is a program of its own, of some 80 MB."""
COOKIE: Final = "sandbox_session"
MAX_BODY: Final = 1 << 14
ENDING_S: Final = 5.0
"""Within which tabs end when the server does."""
GOODBYE_S: Final = 1.0
"""For which a browser that does not say goodbye is waited for."""
LOOK_S: Final = 5.0
"""How often it is looked whether who has a tab may still have one: tokens end, and keys are taken back."""
_OPEN: Final = frozenset({"/", "/login"})
"""What is answered without a session."""
_SIZES: Final = (20, 500)
"""Fewest and most columns or rows of a tab."""


class WebServer:
    """A WebControl."""

    def __init__(
        self,
        gateway: Callable[[], str],
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        hosts: Collection[str] = (),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`gateway` gives the base address that tabs attach to, when this starts. `port` 0 takes a free one.

        `hosts`: further names by which it is reached. Raises ConfigError where the extra is not installed.
        """
        if find_spec("textual_serve") is None:
            raise ConfigError("the UI in a browser needs the extra: pip install 'llm-failover-sandbox[web]'")
        self._where = gateway
        self._gateway = ""
        self._host = host
        self._port = port
        self._clock = clock
        self._door = Door(host, hosts)
        self._sessions = Sessions()
        self._tabs: dict[Tab, web.WebSocketResponse] = {}
        self._runner: web.AppRunner | None = None
        self._terminal: Any = None
        self._library: Any = None

    @property
    def url(self) -> str:
        return base(self._host, self._port)

    @property
    def elsewhere(self) -> list[str]:
        return elsewhere(self._host, self._port)

    @property
    def tabs(self) -> int:
        return len(self._tabs)

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        if self._runner is not None:
            return
        self._gateway = self._where()
        runner = Runner(
            self._app(), access_log=None, logger=_http_logger, keepalive_timeout=IDLE, shutdown_timeout=ENDING_S
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._port = int(runner.addresses[0][1])
        self._runner = runner

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        await asyncio.gather(*(self._close(tab, socket) for tab, socket in list(self._tabs.items())))
        await runner.cleanup()

    async def _close(self, tab: Tab, socket: web.WebSocketResponse) -> None:
        await tab.stop()
        await socket.close()

    def _app(self) -> web.Application:
        import jinja2
        from textual_serve.server import Server

        self._library = library = Server("sandbox attach", host=self._host, port=self._port, title="sandbox")
        self._terminal = jinja2.Environment(autoescape=True).from_string(
            page.terminal_template(Path(library.templates_path))
        )

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        app = web.Application(middlewares=[guard], client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.get("/", self._index),
                web.post("/login", self._login),
                web.get("/ws", self._socket),
                web.get("/download/{key}", library.handle_download),
                web.static("/static", library.statics_path),
            ]
        )
        return app

    # --- the door ---------------------------------------------------------------------------------------------------

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._door.refusal(request.headers, request.raw_path)
        if refusal is not None:
            return web.Response(status=403, text=f"{refusal}\n", headers=page.HEADERS)
        if request.path not in _OPEN and self._token(request) is None:
            return web.Response(status=401, text="this browser has not shown a token\n", headers=page.HEADERS)
        response = await handler(request)
        if not response.prepared:
            response.headers.update(page.HEADERS)
        return response

    def _token(self, request: web.Request) -> str | None:
        return self._sessions.token(request.cookies.get(COOKIE))

    async def _index(self, request: web.Request) -> web.StreamResponse:
        given = request.query.get("token")
        if given is not None:
            return await self._admitted(request, given)
        token = self._token(request)
        if token is None:
            return self._page(page.login(), 401)
        if await self._over(request, token):
            return self._page(page.login("the token has ended"), 401)
        return self._page(
            self._terminal.render(
                config={"static": {"url": "/static/"}},
                application={"name": "sandbox"},
                app_websocket_url="",  # the page finds it by its own address
                font_size=_within(request.query.get("fontsize"), 16, (8, 48)),
                ping_url="",
            )
        )

    async def _login(self, request: web.Request) -> web.StreamResponse:
        if not from_here(request.headers):
            return self._page(page.login("that form was not this server's"), 403)
        return await self._admitted(request, str((await request.post()).get("token", "")))

    async def _admitted(self, request: web.Request, token: str) -> web.StreamResponse:
        problem = await problem_with(token.strip(), self._gateway, clock=self._clock)
        if problem:
            return self._page(page.login(problem), 401)
        # Not in the address any longer, which browsers keep.
        response = web.Response(status=303, headers={"Location": "/"})
        session, secure = self._sessions.begin(token.strip()), over_tls(request.headers)
        response.set_cookie(COOKIE, session, httponly=True, samesite="Strict", secure=secure, path="/")
        return response

    async def _over(self, request: web.Request, token: str) -> bool:
        """Whether a browser that was let in may come no more, and then it is forgotten."""
        over = await refused(token, self._gateway, clock=self._clock)
        if over:
            self._sessions.end(request.cookies.get(COOKIE))
        return over

    def _page(self, text: str, status: int = 200) -> web.Response:
        return web.Response(text=text, status=status, content_type="text/html")

    # --- tabs -------------------------------------------------------------------------------------------------------

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        from sandbox.server.web.tabs import Tab, command

        token = self._token(request)
        if token is None or not from_here(request.headers):
            return web.Response(status=403, text="only this server's own page may open a tab\n")
        if await self._over(request, token):
            return web.Response(status=403, text="the token has ended\n")
        if len(self._tabs) >= MAX_TABS:
            return web.Response(status=503, text=f"{MAX_TABS} tabs are open already: close one\n")
        socket = web.WebSocketResponse(heartbeat=15, timeout=GOODBYE_S)
        await socket.prepare(request)
        tab = Tab(command(self._gateway), token, socket, downloads=self._library.download_manager, clock=self._clock)
        self._tabs[tab] = socket
        try:
            await tab.start(
                _within(request.query.get("width"), 80, _SIZES), _within(request.query.get("height"), 24, _SIZES)
            )
            ends = (self._library._process_messages(socket, tab), tab.ended(), self._until_over(request, token))
            tasks = {asyncio.ensure_future(one) for one in ends}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await tab.stop()
            self._tabs.pop(tab, None)
            await socket.close()
        return socket

    async def _until_over(self, request: web.Request, token: str) -> None:
        """Wait until who has a tab may have none any more."""
        over = False
        while not over:
            await self._clock.sleep(LOOK_S)
            over = await self._over(request, token)


def _within(text: str | None, default: int, limits: tuple[int, int]) -> int:
    value = int(text) if text is not None and text.isdecimal() and len(text) < 6 else default
    return min(max(value, limits[0]), limits[1])
