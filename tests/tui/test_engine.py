"""The engine: commands from another thread go in, events and reports come out, and nothing is left running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from providers.errors import ConfigError, ServiceUnavailableError
from providers.faults import Fault
from sandbox.core.events import RequestCancelled, RequestCompleted, RequestFailed
from sandbox.desks.base import RoomReport
from sandbox.settings.model import Settings
from sandbox.tui.engine import Engine
from sandbox.tui.reports import (
    Ask,
    Estimated,
    Opened,
    Provoked,
    Refused,
    Report,
    Settled,
    Spent,
    Unavailable,
)
from tests.tui.support import MovedClock, scripted, settings

T = TypeVar("T")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def begin(scripts: dict[str, list[Any]] | None = None, opener: Any = None, **changes: Any) -> Engine:
        options: dict[str, Any] = {"clock": MovedClock()}
        if scripts is not None:
            opener = scripted(scripts)
        if opener is not None:
            options["opener"] = opener
        engine = Engine(settings(tmp_path, **changes), **options)
        engines.append(engine)
        engine.start()
        return engine

    yield begin
    for engine in engines:
        engine.close()


class Outbox:
    """Reads an engine's outbox from the test's thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seen: list[Any] = []

    def wait(self, kind: type[T]) -> T:
        """The next one of a kind; everything before it is kept in `seen`."""
        pause = threading.Event()
        for _ in range(2000):
            while self._engine.outbox:
                item = self._engine.outbox.popleft()
                self.seen.append(item)
                if isinstance(item, kind):
                    return item
            pause.wait(0.01)
        raise AssertionError(f"no {kind.__name__} among {[type(one).__name__ for one in self.seen]}")

    def of(self, kind: type[T]) -> list[T]:
        return [item for item in self.seen if isinstance(item, kind)]


def test_it_opens_and_says_what_there_is(start: Callable[..., Engine]) -> None:
    opened = Outbox(start()).wait(Opened)
    assert opened.mode == "mock"
    assert [info.id for info in opened.providers][:3] == ["azure_openai", "openai", "anthropic"]
    assert {"gpt-4", "claude-3-sonnet"} <= set(opened.models)
    assert "happyos" in opened.presets
    assert "least_cost" in opened.strategies
    assert all(light.state == "closed" for light in opened.lights)


def test_a_question_asked_before_it_is_open_waits(start: Callable[..., Engine]) -> None:
    engine = start({"one": ["hello"]})
    request_id = engine.submit(Ask("hi"))
    box = Outbox(engine)
    assert box.wait(RequestCompleted).request_id == request_id
    assert box.wait(Settled).request_id == request_id


def test_cancelling_before_the_gateway_began_settles(start: Callable[..., Engine]) -> None:
    async def never(chosen: Settings, clock: Any) -> Any:
        await clock.sleep(3600)

    engine = start(opener=never)
    request_id = engine.submit(Ask("hi"))
    engine.cancel(request_id)
    box = Outbox(engine)
    assert box.wait(Settled).request_id == request_id
    engine.close()
    assert not any(thread.name == "engine" for thread in threading.enumerate())


def test_cancelling_a_stream(start: Callable[..., Engine]) -> None:
    from sandbox.core.events import ChunkReceived

    engine = start({"one": [("some", 3600.0)]})
    box = Outbox(engine)
    request_id = engine.submit(Ask("hi"))
    box.wait(ChunkReceived)
    engine.cancel(request_id)
    assert box.wait(RequestCancelled).partial_chars == 4
    box.wait(Settled)


def test_refusals_are_reported_once(start: Callable[..., Engine]) -> None:
    engine = start({"one": ["hello"]})
    box = Outbox(engine)
    box.wait(Opened)
    engine.submit(Ask("   "))
    refused = box.wait(Refused)
    assert refused.error_type == "InvalidRequestError"
    assert "prompt is empty" in refused.message
    engine.submit(Ask("hi", strategy="best"))
    assert "unknown strategy 'best'" in box.wait(Refused).message
    engine.submit(Ask("hi", model="gpt-44"))
    assert "unknown model" in box.wait(RequestFailed).message
    box.wait(Settled)
    assert len(box.of(Refused)) == 2


def test_faults_and_healing(start: Callable[..., Engine]) -> None:
    engine = start()
    box = Outbox(engine)
    box.wait(Opened)
    assert box.wait(Provoked).faults == {}
    engine.provoke("azure_openai", Fault("http_error"))
    assert list(box.wait(Provoked).faults) == ["azure_openai"]
    engine.submit(Ask("hi", no_cache=True))
    assert box.wait(RequestCompleted).provider == "openai"
    engine.heal()
    assert box.wait(Provoked).faults == {}


def test_the_spent_money_is_that_of_the_usage_store(start: Callable[..., Engine]) -> None:
    engine = start()
    box = Outbox(engine)
    assert box.wait(Spent).usd == 0
    engine.submit(Ask("hi"))
    completed = box.wait(RequestCompleted)
    assert completed.cost_usd is not None
    assert box.wait(Spent).usd == completed.cost_usd


def test_estimates_come_from_the_gateway(start: Callable[..., Engine]) -> None:
    engine = start()
    box = Outbox(engine)
    engine.estimate(Ask("hi", provider="anthropic"))
    estimated = box.wait(Estimated)
    assert estimated.candidates[0][:2] == ("anthropic", "claude-haiku-4-5")
    assert estimated.candidates[0][2] is not None
    engine.estimate(Ask("hi", model="gpt-44"))
    assert "unknown model" in (box.wait(Estimated).error or "")


def test_presets_and_breakers(start: Callable[..., Engine]) -> None:
    engine = start({"openai": [ServiceUnavailableError("down", status=503)]})
    box = Outbox(engine)
    box.wait(Opened)
    engine.use_preset("happyos")
    assert box.wait(Opened).preset == "happyos"
    engine.use_preset("happyo")
    assert "did you mean" in box.wait(Unavailable).message
    engine.breaker("openai", "force_open")
    from sandbox.core.events import BreakerForced

    assert box.wait(BreakerForced).state == "forced_open"
    engine.breaker("nobody", "reset")
    assert "unknown provider 'nobody'" in box.wait(Unavailable).message


def test_another_mode(start: Callable[..., Engine]) -> None:
    engine = start()
    box = Outbox(engine)
    box.wait(Opened)
    engine.reopen(engine.settings.model_copy(update={"mode": "replay"}))
    assert box.wait(Opened).mode == "replay"
    engine.reopen(engine.settings.model_copy(update={"mode": "live"}))
    assert "set a provider's API key" in box.wait(Unavailable).message
    engine.submit(Ask("hi", no_cache=True))
    box.wait(Settled)


def test_what_cannot_be_opened_is_one_sentence_and_refuses_questions(start: Callable[..., Engine]) -> None:
    async def refuse(chosen: Settings, clock: Any) -> Any:
        raise ConfigError("no provider can be used")

    engine = start(opener=refuse)
    box = Outbox(engine)
    engine.submit(Ask("hi"))
    assert box.wait(Unavailable).message == "no provider can be used"
    assert box.wait(Refused).message == "no provider can be used"


def test_an_unforeseen_error_is_no_traceback(start: Callable[..., Engine]) -> None:
    async def break_down(chosen: Settings, clock: Any) -> Any:
        raise KeyError("sk-thisisasecretkey")

    message = Outbox(start(opener=break_down)).wait(Unavailable).message
    assert message == "internal error, KeyError: '[redacted]'"


def test_closing_cancels_closes_and_drops_later_commands(start: Callable[..., Engine]) -> None:
    made: list[Any] = []

    async def remember(chosen: Settings, clock: Any) -> Any:
        made.append(await scripted({"one": [3600.0]})(chosen, clock))
        return made[0]

    engine = start(opener=remember)
    box = Outbox(engine)
    box.wait(Opened)
    engine.submit(Ask("hi"))
    from sandbox.core.events import AttemptStarted

    box.wait(AttemptStarted)
    engine.close()
    assert made[0].closed
    assert not any(thread.name == "engine" for thread in threading.enumerate())
    assert any(isinstance(item, RequestCancelled) for item in engine.outbox)
    engine.submit(Ask("late"))
    engine.heal()
    engine.close()


def test_every_report_is_listed() -> None:
    """The screen matches on these; one that is missing from the union would pass it by."""
    from typing import get_args

    from sandbox.tui import reports

    defined = {
        value for value in vars(reports).values()
        if isinstance(value, type) and value.__module__ == reports.__name__
    } - {reports.Ask, reports.ProviderInfo}  # fmt: skip
    assert set(get_args(Report)) == defined | {RoomReport}, "and what rooms are told"
