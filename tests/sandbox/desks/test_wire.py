"""What rooms are told survives the way over HTTP to the last digit, and what is something else is refused in words."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import AuthenticationError, InputError, ProviderError, ServiceUnavailableError
from providers.types import GenerationRequest
from sandbox.comparison.question import Cell, Question
from sandbox.comparison.run import Began, Discarded, Ended, Wrote
from sandbox.desks import books, compare, places, ward
from sandbox.desks.watchman import Watchman
from sandbox.desks.wire import read, written
from sandbox.runtime import Runtime
from tests.sandbox.server.gateway.support import settings
from tests.tui.support import MovedClock, ScriptedRuntime

MONEY = st.decimals(min_value=0, max_value=10**9, places=12)


@given(MONEY, MONEY)
def test_money_is_exact(cost: Decimal, hourly: Decimal) -> None:
    price = compare.Listed(cost, None, hourly, False)
    back = read(compare.Listed, written(price))
    assert back == price
    assert back.input is not None
    assert format(back.input, "f") == format(cost, "f")


async def told(work: Any, *arguments: Any) -> list[Any]:
    found: list[Any] = []
    await work(*arguments, found.append)
    return found


async def test_every_report_comes_back_as_it_was(tmp_path: Path) -> None:
    async with Runtime.of(settings(tmp_path)) as runtime:
        for prompt in ("one", "two"):
            await runtime.gateway.generate(GenerationRequest(prompt=prompt, tenant_id="acme"))
        runtime.set_budget("acme", Decimal("3.50"))
        reports = [
            *await told(books.look, books.Asked("7d"), runtime),
            *await told(books.look, books.Asked("all", (("tenant", "acme"),), "request"), runtime),
            *await told(books.advise, books.Asked("7d"), ["openai/gpt-4o"], runtime),
            *await told(books.models, runtime),
            *await told(places.look, True, 0, runtime),
            *await told(compare.who, [], runtime),
            *await told(compare.everybody, runtime),
        ]
        steps: list[Any] = []
        await compare.race("r", Question(("hello",)), ["openai/gpt-4o-mini"], None, runtime, steps.append)
    kinds = {type(one) for one in reports}
    assert kinds == {books.Seen, books.Advised, books.Priced, places.Kept, compare.Chosen, compare.Nameable}
    assert {type(one) for one in steps} == {compare.Entered, Began, Wrote, Ended}
    for one in [*reports, *steps, Discarded(Cell(0, 1, 2))]:
        assert read(type(one), written(one)) == one


async def test_what_became_of_a_provider_is_told_by_the_kind_of_each_event() -> None:
    clock = MovedClock()
    script = [ServiceUnavailableError("busy", status=503)] * 9
    runtime: Any = ScriptedRuntime(clock, {"openai": script, "bedrock": [AuthenticationError("no key", status=401)]})
    watchman = Watchman(clock)
    await watchman.follow(runtime)
    await told(ward.check, watchman, ["openai", "bedrock"], False, True, runtime)
    runtime.gateway.breaker("openai").force_open()
    runtime.gateway.enable("bedrock")
    [seen] = await told(ward.look, watchman, 300.0, 20, runtime)
    await watchman.leave()
    back = read(ward.Providers, written(seen))
    assert back == seen
    changes = [type(change).__name__ for provider in back.providers for change in provider.changes]
    assert {"ProviderDisabled", "ProviderEnabled"} < set(changes)


async def test_another_clock_sees_the_same_countdowns() -> None:
    clock = MovedClock()
    runtime: Any = ScriptedRuntime(clock, {"openai": [ServiceUnavailableError("busy", status=503)] * 9})
    watchman = Watchman(clock)
    await watchman.follow(runtime)
    for _ in range(9):
        with suppress(ProviderError):
            await runtime.gateway.generate(GenerationRequest(prompt="hello"))
    [seen] = await told(ward.look, watchman, 300.0, 20, runtime)
    await watchman.leave()
    [provider] = seen.providers
    assert provider.light.until_us is not None
    hour_us = 3_600_000_000
    [later] = seen.as_of(seen.at_us + hour_us).providers
    assert later.light.remaining_s(seen.at_us + hour_us) == provider.light.remaining_s(seen.at_us)
    assert later.curve == provider.curve


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        (books.Priced, b"{}", "this is no Priced, at models"),
        (books.Priced, b"[1, 2", "this is no Priced, at all of it"),
        (compare.Listed, b'{"input": "much", "output": null, "hourly_usd": null, "local": false}', "at input"),
    ],
)
def test_what_is_no_report_is_refused_in_words(kind: type[Any], data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(kind, data)
