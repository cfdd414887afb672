"""What is kept of the providers behind the screen, while gateways and modes change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from providers.clock import SYSTEM_CLOCK
from providers.errors import InputError
from sandbox.core.events import HealthChecked
from sandbox.desks.watchman import Watchman
from tests.tui.support import ScriptedRuntime


def runtime(mode: str = "mock", *, armed: int = 0) -> Any:
    made: Any = ScriptedRuntime(SYSTEM_CLOCK, {"openai": ["well"]}, mode=mode)
    made.recorder = SimpleNamespace(armed=armed)
    return made


@pytest.fixture
async def watchman() -> AsyncIterator[Watchman]:
    made = Watchman(SYSTEM_CLOCK)
    yield made
    await made.leave()


def checks(watchman: Watchman) -> int:
    return watchman.history.window("openai", 60).checks.calls


async def test_a_check_is_on_the_books_once(watchman: Watchman) -> None:
    await watchman.follow(runtime())
    assert (await watchman.watch.check("openai")).is_healthy
    assert checks(watchman) == 1
    assert isinstance(watchman.checks["openai"], HealthChecked)


async def test_another_preset_goes_on_where_the_last_one_was(watchman: Watchman) -> None:
    scripted = runtime()
    await watchman.follow(scripted)
    await watchman.watch.check("openai")
    await watchman.watch.start()
    scripted.use_preset("happyos")
    await watchman.follow(scripted)
    assert watchman.running
    assert watchman.watch._gateway is scripted.gateway
    assert checks(watchman) >= 1
    before = checks(watchman)
    await watchman.watch.check("openai")
    assert checks(watchman) == before + 1, "heard once, although it followed twice"


async def test_another_mode_ends_the_rounds_and_begins_anew(watchman: Watchman) -> None:
    await watchman.follow(runtime())
    await watchman.watch.check("openai")
    await watchman.watch.start()
    await watchman.follow(runtime("live"))
    assert not watchman.running, "nobody has agreed to what checks cost there"
    assert checks(watchman) == 0, "simulated figures are no real ones"
    assert not watchman.checks


async def test_what_is_to_be_recorded_next_is_no_check(watchman: Watchman) -> None:
    armed = runtime(armed=1)
    await watchman.follow(armed)
    await watchman.watch.round()
    assert not armed.gateway.registry.get("openai").provider.requests
    assert watchman.round_us is None
    armed.recorder.armed = 0
    await watchman.watch.round()
    assert len(armed.gateway.registry.get("openai").provider.requests) == 1
    assert watchman.round_us is not None


async def test_between_two_gateways_nobody_is_asked(watchman: Watchman) -> None:
    await watchman.follow(runtime())
    await watchman.leave()
    await watchman.leave()
    with pytest.raises(InputError, match="opened anew"):
        _ = watchman.watch
