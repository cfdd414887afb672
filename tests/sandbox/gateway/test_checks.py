"""The watch over a gateway's providers: what it puts out of rotation, when it looks again, and what it tells."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from providers.errors import (
    AuthenticationError,
    ConnectionFailedError,
    InputError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitError,
    ServiceUnavailableError,
)
from sandbox.core.events import HealthChecked, ProviderDisabled, ProviderEnabled
from sandbox.gateway.checks import HealthWatch
from tests.sandbox.gateway.support import Bench, Scripted, virtual

T = TypeVar("T")


def watched(*steps: Any, **options: Any) -> tuple[Bench, HealthWatch, Scripted]:
    bench = Bench()
    provider = bench.add("openai", *steps)
    return bench, HealthWatch(bench.gateway, **options), provider


def told(bench: Bench, kind: type[T]) -> list[T]:
    return [event for event in bench.events if isinstance(event, kind)]


@pytest.mark.parametrize(
    ("step", "reachable", "authenticated", "fast_enough"),
    [
        ("pong", True, True, True),
        ((6.0, "pong"), True, True, False),
        ((11.0, "pong"), False, None, False),
        (AuthenticationError("no"), True, False, True),
        (PermissionDeniedError("no"), True, False, True),
        (QuotaExhaustedError("no"), True, True, True),
        (RateLimitError("no"), True, True, True),
        (ModelNotFoundError("no"), True, True, True),
        (ServiceUnavailableError("no"), True, None, True),
        (ConnectionFailedError("no"), False, None, None),
    ],
)
@virtual
async def test_what_a_check_tells(
    step: Any, reachable: bool | None, authenticated: bool | None, fast_enough: bool | None
) -> None:
    bench, watch, _ = watched(step)
    report = (await watch.check_all())["openai"]
    assert report.is_healthy is (step == "pong")
    assert (report.reachable, report.authenticated, report.fast_enough) == (reachable, authenticated, fast_enough)
    assert (report.last_error is None) is report.is_healthy
    [event] = told(bench, HealthChecked)
    assert (event.provider, event.is_healthy, event.error) == ("openai", report.is_healthy, report.last_error)
    assert watch.reports["openai"] == report
    assert watch.history.window("openai", 60).checks.calls == 1


@virtual
async def test_a_refused_key_is_put_out_and_tried_again_before_any_request_tries_it() -> None:
    bench, watch, provider = watched(AuthenticationError("wrong key"))
    await watch.start()
    await bench.clock.sleep(1)
    assert len(provider.times) == 1, "the first round is at once"
    [disabled] = told(bench, ProviderDisabled)
    assert (disabled.provider, disabled.model) == ("openai", None)
    with pytest.raises(AuthenticationError):
        await bench.gateway.generate("hello")
    assert len(provider.times) == 1, "nobody asks a provider that is out"
    await bench.clock.sleep(900)
    waits = [b - a for a, b in zip(provider.times, provider.times[1:], strict=False)]
    assert waits == [270.0, 270.0, 270.0], "shortly before the five minutes are over"
    assert len(told(bench, ProviderDisabled)) == 1, "what is out already is not told again"
    provider.steps = ["pong"]
    await bench.clock.sleep(271)
    [enabled] = told(bench, ProviderEnabled)
    assert enabled.reason == "a health check was answered"
    assert (await bench.gateway.generate("hello")).text == "pong"
    await watch.stop()


@virtual
async def test_a_refused_model_is_put_out_alone() -> None:
    bench, watch, _ = watched(PermissionDeniedError("not yours"))
    await watch.check_all()
    [disabled] = told(bench, ProviderDisabled)
    assert disabled.model == "gpt-4"


@pytest.mark.parametrize("step", [ServiceUnavailableError("down"), RateLimitError("slow down"), (60.0, "late")])
@virtual
async def test_what_time_mends_is_left_to_the_breaker(step: Any) -> None:
    bench, watch, provider = watched(step)
    await watch.start()
    await bench.clock.sleep(100)
    assert len(provider.times) >= 3, "it is asked at every round"
    assert not told(bench, ProviderDisabled)
    assert bench.gateway.registry.get("openai").available("gpt-4")
    assert bench.gateway.breaker("openai").state == "closed", "a check passes no breaker"
    await watch.stop()


@virtual
async def test_one_that_never_ends_holds_up_nobody_else() -> None:
    bench, watch, provider = watched((3600.0, "late"), timeout=10.0)
    second = bench.add("anthropic", "pong", model="claude-3-haiku")
    reports = await watch.check_all()
    assert bench.clock.monotonic() == 10.0
    assert reports["anthropic"].is_healthy
    assert reports["openai"].last_error == "no answer within 10 s"
    assert provider.times == second.times == [0.0], "both are asked at once"


@virtual
async def test_rounds_begin_and_end_by_hand() -> None:
    bench, watch, provider = watched("pong", interval=30.0)
    await watch.start()
    await watch.start()
    assert watch.running
    await bench.clock.sleep(95)
    assert provider.times == [0.0, 30.0, 60.0, 90.0]
    await bench.gateway.generate("hello")
    assert watch.history.window("openai", 100).traffic.calls == 1, "real traffic is seen while there are rounds"
    await watch.stop()
    await watch.stop()
    assert not watch.running
    await bench.clock.sleep(100)
    await bench.gateway.generate("hello")
    assert len(provider.times) == 6
    assert watch.history.window("openai", 300).traffic.calls == 1
    assert watch.history.window("openai", 300).checks.calls == 4


@virtual
async def test_a_check_of_one() -> None:
    _, watch, _ = watched()
    assert (await watch.check("openai")).is_healthy
    with pytest.raises(InputError, match="unknown provider 'opena'"):
        await watch.check("opena")
