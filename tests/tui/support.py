"""What the screen's tests share: a clock that can be moved, scripted engines, and ways to look at the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from providers.clock import random_id, seeded
from providers.faults import FaultBoard
from sandbox.core.bus import Bus
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy, preset
from sandbox.settings.model import Settings
from sandbox.tui.application import SandboxApp
from sandbox.tui.frame import NoticeLine
from tests.fake_clock import MovedClock as MovedClock
from tests.sandbox.gateway.support import Scripted, Step

NARROW, WIDE = (80, 24), (160, 48)


def settings(folder: Path, **changes: Any) -> Settings:
    """Mock mode, at once, with everything in `folder`."""
    return Settings.model_validate({"data_dir": folder, "mock": {"pace": "instant"}, **changes})


class ScriptedRuntime:
    """A gateway over scripted providers, as the engine needs it."""

    def __init__(self, clock: Any, scripts: dict[str, list[Step]], *, mode: str = "mock", **policy: Any) -> None:
        self.mode = mode
        self.clock = clock
        self.bus = Bus()
        self.faults = FaultBoard(clock)
        self.usage = None
        self.notes: list[str] = []
        self.closed = False
        self._scripts = scripts
        self._policy = policy
        self.gateway = self._build(Policy(**policy))

    def _build(self, policy: Policy) -> Gateway:
        gateway = Gateway(policy, mode=self.mode, clock=self.clock, draws=seeded(1), ids=random_id, bus=self.bus)
        for id, steps in self._scripts.items():
            gateway.register(id, Scripted(self.clock, *steps, kind=id))
        return gateway

    def use_preset(self, name: str) -> Gateway:
        self.gateway = self._build(preset(name))
        return self.gateway

    async def close(self) -> None:
        self.closed = True


def scripted(scripts: dict[str, list[Step]], **options: Any) -> Callable[[Settings, Any], Any]:
    """An opener for the engine."""

    async def open_scripted(chosen: Settings, clock: Any) -> Any:
        return ScriptedRuntime(clock, scripts, **{"mode": chosen.mode, **options})

    return open_scripted


def screen_text(app: SandboxApp) -> str:
    """What a person sees, line by line."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str = "") -> None:
    """Wait for a condition, as long as a slow machine may need."""
    for _ in range(600):
        if condition():
            return
        await pilot.pause(0.02)
    shown = screen_text(pilot.app)  # type: ignore[arg-type]
    raise AssertionError(f"never happened: {what or condition}\n{shown}")


async def sees(pilot: Pilot[None], *texts: str) -> None:
    """Wait until every text is on the screen."""
    for text in texts:
        await until(pilot, lambda text=text: text in screen_text(pilot.app), f"seeing {text!r}")  # type: ignore[arg-type, misc]


async def ready(pilot: Pilot[None]) -> None:
    """Wait until the gateway is open and every part of the room is there."""
    app: Any = pilot.app
    await until(pilot, lambda: app._opened and app.query("#history"), "the start")
    await pilot.pause()


def notice(app: SandboxApp) -> str:
    return app.screen_stack[0].query_one(NoticeLine).text


async def asked(pilot: Pilot[None], prompt: str | None = None) -> None:
    """Type a prompt (or take the suggestion), send it and wait for its end."""
    app: Any = pilot.app
    room = app.room
    if prompt is not None:
        room.editor.focus()
        room.editor.select_all()
        await pilot.press(*("space" if letter == " " else letter for letter in prompt))
    before = len(app.state.history)
    await pilot.press("enter")
    await ended(pilot, before + 1)


async def ended(pilot: Pilot[None], count: int) -> None:
    """Wait until that many questions were asked and none is under way."""
    app: Any = pilot.app
    await until(
        pilot,
        lambda: len(app.state.history) >= count and app.room.talk.running is None,
        f"the end of question {count}",
    )
    await pilot.pause()


async def settle(seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)
