"""A whole server over simulated providers, and callers of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from providers.clock import SYSTEM_CLOCK
from sandbox.access import keys
from sandbox.access.tokens import mint
from sandbox.core.tally import Tally
from sandbox.runtime import Runtime
from sandbox.server.admin import AdminServer
from tests.fake_clock import FakeClock
from tests.sandbox.server.gateway.support import Rig, settings


class StillClock(FakeClock):
    """Stands still until a test moves it; what waits for a time waits for good."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


SECRET = "0123456789abcdef0123456789abcdef"
# The same in every process: tests that run side by side must have the same names.
ADMIN_KEY, CHAT_KEY, METRICS_KEY = (keys.new_key(lambda name=name: keys.digest(name)[:32]) for name in "abc")
KEYS = [
    keys.hashed("boss", ["admin"], ADMIN_KEY).line,
    keys.hashed("app", ["chat"], CHAT_KEY).line,
    keys.hashed("scraper", ["metrics"], METRICS_KEY).line,
]
CALLERS: dict[str, Any] = {"server": {"keys": KEYS, "jwt_secret": SECRET}}
"""Settings that know three keys and tokens."""
BOSS = {"Authorization": f"Bearer {ADMIN_KEY}"}


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def token(role: str = "admin", *, subject: str = "alice", seconds: float = 600.0, clock: Any = SYSTEM_CLOCK) -> str:
    return mint(SECRET, subject=subject, role=role, audience="sandbox", seconds=seconds, clock=clock)


def server_settings(**server: Any) -> dict[str, Any]:
    """`CALLERS` with more about the server."""
    return {"server": {**CALLERS["server"], **server}}


@asynccontextmanager
async def administered(folder: Path, *, clock: Any = None, **changes: Any) -> AsyncIterator[Rig]:
    """Any setting may differ."""
    more = {} if clock is None else {"clock": clock}
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with Runtime.of(settings(folder, **changes), **more) as runtime:
        tally = Tally()
        runtime.bus.subscribe(tally)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            AdminServer(runtime, port=0, grace=0.5) as running,
        ):
            yield Rig(runtime, running, session, tally)
