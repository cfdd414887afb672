"""The server's life: it listens, takes requests, and ends without losing any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from sandbox.core.offline import OFFLINE_MODES
from sandbox.server.addresses import base, elsewhere
from sandbox.server.bodies import MAX_BODY
from sandbox.server.crowded import Crowd, room
from sandbox.server.gateway.app import SERVICE, gateway_app
from sandbox.server.gateway.guard import check_binding, full
from sandbox.server.http_log import http_logger
from sandbox.server.unread import Runner

if TYPE_CHECKING:
    from sandbox.runtime import Runtime

_http_logger: Final = http_logger(f"{__name__}.http")

PORT: Final = 4000
BACKLOG: Final = 1024
"""Connections that may wait to be taken."""
IDLE: Final = 75.0
"""Seconds in which a connection must have sent the head of its next request, however slowly it sends it."""
LINGER: Final = 2.0
"""Seconds in which a caller whose body is not read may still send it, so that it sees why."""
GRACE: Final = 10.0
"""Seconds that requests under way get to end when the server does."""
ENDING: Final = 2.0
"""Seconds after that in which they tell their callers so."""


class GatewayServer:
    """A ServerControl over aiohttp. Belongs to the runtime's event loop; `async with` starts and stops it."""

    admin_token: str | None = None
    """Of a gateway without an admin API: there is none."""
    asks_callers: bool = False

    def __init__(
        self,
        runtime: Runtime,
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        hosts: Collection[str] = (),
        guarded: bool = False,
        middlewares: Sequence[Middleware] = (),
        extend: Callable[[web.Application], None] | None = None,
        grace: float = GRACE,
        max_body: int = MAX_BODY,
    ) -> None:
        """`port` 0 takes a free one. `guarded`: the middlewares ask callers who they are.

        Raises ConfigError for an address that others can reach, where they are not asked.
        """
        check_binding(host, guarded=guarded)
        self._runtime = runtime
        self._host = host
        self._port = port
        self._hosts = hosts
        self._middlewares = middlewares
        self._extend = extend
        self._grace = grace
        self._max_body = max_body
        self._bound: int | None = None
        """The port that it has, or had."""
        self._crowd = Crowd(full(), clock=runtime.clock)
        self._runner: web.AppRunner | None = None
        self._app: web.Application | None = None

    # --- what other faces know of it --------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._runner is not None

    @property
    def port(self) -> int:
        return self._bound if self._bound is not None else self._port

    @property
    def url(self) -> str:
        return base(self._host, self.port)

    @property
    def elsewhere(self) -> list[str]:
        return elsewhere(self._host, self.port)

    @property
    def under_way(self) -> int:
        return 0 if self._app is None else self._app[SERVICE].under_way

    @property
    def clients(self) -> list[tuple[str, str]]:
        url = self.url
        return [
            ("OPENAI_BASE_URL", f"{url}/v1"),
            ("OPENAI_API_BASE", f"{url}/v1"),
            ("ANTHROPIC_BASE_URL", url),
            ("AZURE_OPENAI_ENDPOINT", url),
        ]

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        if self._runner is not None:
            return
        app = gateway_app(
            self._runtime,
            host=self._host,
            hosts=self._hosts,
            middlewares=self._middlewares,
            extend=self._extend,
            max_body=self._max_body,
        )
        runner = Runner(
            app,
            handler_cancellation=True,
            access_log=None,
            logger=_http_logger,
            keepalive_timeout=IDLE,
            lingering_time=LINGER,
            shutdown_timeout=ENDING,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=BACKLOG).start()
        except BaseException:
            await runner.cleanup()
            raise
        service = app[SERVICE]
        service.room = room(upstream=self._runtime.mode not in OFFLINE_MODES)
        service.start()
        self._crowd.watch(runner.addresses)
        self._bound = int(runner.addresses[0][1])
        self._runner, self._app = runner, app

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None or self._app is None:
            return
        service = self._app[SERVICE]
        try:
            for site in list(runner.sites):
                await site.stop()
            await service.drain(self._grace)
        finally:
            # Also where somebody does not want to wait for that.
            self._crowd.leave()
            service.end_all()
            await service.close()
            await runner.cleanup()

    async def __aenter__(self) -> GatewayServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
