"""A program of which only the base URL was changed is answered while its provider is down; the screen shows how."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from providers.faults import parse_fault
from sandbox.runtime import Runtime
from sandbox.scenarios.builtin import find
from sandbox.scenarios.loader import load_schedule
from sandbox.server.admin import AdminServer
from sandbox.tui.application import SandboxApp
from sandbox.tui.attached.client import GatewayClient
from tests.tui.conftest import Make
from tests.tui.support import WIDE, MovedClock, ready, sees, settings, until
from tests.tui.test_serving import open_server, served

APP = Path(__file__).with_name("sample_app.py")
CHAIN = {"chain": ["openai", "anthropic"]}
QUESTIONS = 3


async def run_app(url: str) -> None:
    """The program, as its developer starts it, with another base URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(APP), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "OPENAI_API_KEY": "x", "OPENAI_BASE_URL": f"{url}/v1"},
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    # Not one of them was cut short, nor ended otherwise than an answer does.
    assert out.decode().split() == ["True", "stop"] * QUESTIONS


async def test_it_survives_a_total_outage_and_an_attached_screen_shows_how(tmp_path: Path) -> None:
    clock = MovedClock()
    schedule = load_schedule(find("total-outage"), clock)
    async with (
        Runtime.of(settings(tmp_path / "gateway", **CHAIN), clock=clock) as runtime,
        AdminServer(runtime, port=0, grace=0.2) as server,
    ):
        runtime.faults.follow(schedule)
        schedule.start()
        # The outage of the scenario begins after two minutes.
        clock.ahead += 150
        app = SandboxApp(
            settings(tmp_path / "screen"), clock=clock, attached=GatewayClient(server.url, server.admin_token)
        )
        try:
            async with app.run_test(size=WIDE) as pilot:
                await ready(pilot)
                await run_app(server.url)
                await until(pilot, lambda: app.visitors.counts.failed_over == QUESTIONS, "every failover")
                counts = app.visitors.counts
                # Nothing failed, and it was not the client that tried again.
                assert (counts.requests, counts.failed, counts.under_way) == (QUESTIONS, 0, 0)
                await sees(pilot, "openai", "✗ connection", "✓ claude-3-haiku", "↷1", "» And when does it close?")
                assert {entry.provider for entry in app.state.history} == {"anthropic"}
        finally:
            await asyncio.to_thread(app.engine.close)


async def test_it_survives_what_is_broken_by_hand_under_the_screens_own_server(make: Make) -> None:
    app = make(open_server=open_server, **CHAIN)
    async with app.run_test(size=WIDE) as pilot:
        url = await served(pilot)
        app.engine.provoke("openai", parse_fault("connection_reset"))
        await sees(pilot, "openai !reset")
        await run_app(url)
        await until(pilot, lambda: app.visitors.counts.failed_over == QUESTIONS, "every failover")
        assert app.visitors.counts.failed == 0
        await sees(pilot, "✗ connection", "↷1", "» And when does it close?")
