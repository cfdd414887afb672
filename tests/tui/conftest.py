"""Every test sees the same terminal, whatever the user's own is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.tui.application import SandboxApp
from sandbox.tui.attached.client import GatewayClient
from tests.sandbox.server.admin.support import ADMIN_KEY
from tests.tui.support import MovedClock, scripted, settings

Make = Callable[..., SandboxApp]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NO_COLOR", "TEXTUAL", "TEXTUAL_THEME", "COLORTERM"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Applications over the real runtime (or, given scripts, a scripted one) whose engines end with the test."""
    made: list[SandboxApp] = []

    def build(scripts: dict[str, list[Any]] | None = None, *, clock: Any = None, **changes: Any) -> SandboxApp:
        policy = changes.pop("policy", {})
        notes = changes.pop("notes", ())
        open_server = changes.pop("open_server", None)
        opener = scripted(scripts, **policy) if scripts is not None else None
        app = SandboxApp(
            settings(tmp_path, **changes),
            clock=clock or MovedClock(),
            opener=opener,
            notes=notes,
            open_server=open_server,
        )
        made.append(app)
        return app

    yield build
    for app in made:
        app.engine.close()


@pytest.fixture
def screens(tmp_path: Path) -> Iterator[Make]:
    """Screens attached to the gateway at an address, whose engines end with the test."""
    made: list[SandboxApp] = []

    def build(url: str, token: str | None = ADMIN_KEY) -> SandboxApp:
        app = SandboxApp(settings(tmp_path / "screen"), attached=GatewayClient(url, token))
        made.append(app)
        return app

    yield build
    for app in made:
        app.engine.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
