"""The whole server: the gateway's endpoints behind their gate, and the admin API beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from providers.clock import random_id
from sandbox.access.callers import Access
from sandbox.access.keys import hashed, new_key
from sandbox.compat.backend_manager import BackendManager
from sandbox.core.offline import is_local
from sandbox.desks.watchman import Watchman
from sandbox.server.admin import api
from sandbox.server.admin.audit import FILE, AuditLog
from sandbox.server.admin.exposition import Exposition
from sandbox.server.admin.feed import Feed
from sandbox.server.admin.gate import DOCUMENT, METRICS, gate
from sandbox.server.admin.limits import UserLimits
from sandbox.server.admin.listening import PATH as EVENTS
from sandbox.server.admin.listening import Listening
from sandbox.server.admin.meters import Meters
from sandbox.server.admin.operations import Desk
from sandbox.server.admin.pages import Pages
from sandbox.server.admin.steering import Steering
from sandbox.server.gateway.app import SERVICE
from sandbox.server.gateway.guard import WILDCARDS
from sandbox.server.gateway.server import GRACE, PORT, GatewayServer
from sandbox.settings.loading import secrets_of

if TYPE_CHECKING:
    from sandbox.runtime import Runtime

STARTER = "one-time"
"""Name of the key that holds for one start."""


class AdminServer(GatewayServer):
    """A ServerControl. Whoever started it administers it by `admin_token`, where the settings name no administrator."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        grace: float = GRACE,
        ids: Callable[[], str] = random_id,
    ) -> None:
        """Raises ConfigError for an address that others can reach, where the settings do not say who may ask.

        There the vendors' endpoints need a key or token with scope `chat`. `ids`: what a token is made of.
        """
        settings = runtime.settings.server
        lasting = Access(settings, clock=runtime.clock)
        self.admin_token = None if lasting.has_admin else new_key(ids)
        extra = () if self.admin_token is None else (hashed(STARTER, {"admin", "metrics"}, self.admin_token),)
        self._access = Access(settings, clock=runtime.clock, extra=extra)
        self._exposed = host in WILDCARDS or not is_local(host)
        self._meters = Meters()
        self.asks_callers = asks = self._exposed or settings.require_key
        per_minute = settings.requests_per_minute
        limits = None if per_minute is None else UserLimits(per_minute, runtime.clock)
        super().__init__(
            runtime,
            host=host,
            port=port,
            guarded=lasting.configured,
            # Where nobody is asked and nobody is limited, no request pays for that.
            middlewares=[gate(self._access, limits, self._meters, asks=asks)] if asks or limits else [],
            extend=self._extend,
            grace=grace,
        )

    def _extend(self, app: web.Application) -> None:
        runtime = self._runtime
        manager = BackendManager(runtime=runtime)
        desk = Desk(
            runtime,
            manager,
            AuditLog(
                runtime.settings.data_dir / FILE, clock=runtime.clock, secrets=tuple(secrets_of(runtime.settings))
            ),
            Watchman(runtime.clock),
            Steering(runtime, manager),
        )
        service, feed = app[SERVICE], Feed(runtime.bus)
        service.steer = desk.steering
        pages = Pages(Exposition(self._meters, runtime, service), self._access, asks=self._exposed)
        api.add(app, desk, self._access, service)
        app.router.add_get(EVENTS, Listening(runtime, feed, self._access, service).handle)
        app.router.add_get(METRICS, pages.metrics)
        app.router.add_get(DOCUMENT, pages.document)

        async def life(_: web.Application) -> AsyncIterator[None]:
            unsubscribe = runtime.bus.subscribe(self._meters, texts=False)
            try:
                await desk.watched()
                await desk.manager.start()
                yield
            finally:
                unsubscribe()
                await desk.watchman.leave()
                await desk.manager.close()
                desk.audit.close()

        async def ending(_: web.Application) -> None:
            feed.end()

        app.cleanup_ctx.append(life)
        app.on_shutdown.append(ending)
