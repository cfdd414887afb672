"""The cache step and single flight: what is shared, what it costs, whose deadline counts."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from providers.errors import ProviderTimeoutError, ServiceUnavailableError
from providers.types import GenerationRequest
from sandbox.cache.base import CacheUnavailable
from sandbox.gateway.answers import cache_key
from sandbox.gateway.call import CallOptions
from tests.sandbox.gateway.support import Bench, collect, text_of, virtual


class Shelf:
    """The smallest thing that honours the contract of a cache, for tests of the gateway alone."""

    def __init__(self, *, broken: bool = False) -> None:
        self.kept: dict[str, bytes] = {}
        self.broken = broken

    async def get(self, key: str) -> bytes | None:
        if self.broken:
            raise CacheUnavailable("the cache folder is not writable")
        return self.kept.get(key)

    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        if self.broken:
            raise CacheUnavailable("the cache folder is not writable")
        self.kept[key] = value

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the gateway should not need {name}")


@virtual
async def test_the_second_identical_question_costs_nothing_and_says_what_it_saved() -> None:
    bench = Bench(cache=Shelf())
    openai = bench.add("openai", (0.5, "answer"), model="gpt-4")
    first = await bench.gateway.generate("hello")
    second = await bench.gateway.generate("hello")
    assert (first.cached, second.cached) == (False, True)
    assert second.text == first.text
    assert second.cost_usd == 0
    assert second.saved_usd == first.cost_usd == Decimal("0.006")
    assert second.provider == "openai"
    assert len(openai.times) == 1
    assert [r.cached for r in bench.records] == [False, True]
    assert bench.records[1].saved_cost == Decimal("0.006")


@virtual
async def test_streams_read_the_cache_but_fill_it_only_when_asked() -> None:
    shelf = Shelf()
    bench = Bench(cache=shelf)
    bench.add("openai", "one two")
    await collect(bench.gateway.stream("hello"))
    assert not shelf.kept
    await collect(bench.gateway.stream("hello", CallOptions(store_stream=True)))
    assert len(shelf.kept) == 1
    events = await collect(bench.gateway.stream("hello"))
    assert text_of(events) == "one two"
    assert events[-1].response.cached  # type: ignore[union-attr]


@virtual
async def test_no_cache_neither_reads_nor_writes() -> None:
    shelf = Shelf()
    bench = Bench(cache=shelf)
    openai = bench.add("openai")
    for _ in range(2):
        await bench.gateway.generate("hello", CallOptions(no_cache=True))
    assert len(openai.times) == 2
    assert not shelf.kept


@virtual
async def test_a_failing_cache_is_passed_over_with_one_warning() -> None:
    bench = Bench(cache=Shelf(broken=True))
    bench.add("openai")
    for _ in range(2):
        assert (await bench.gateway.generate("hello")).text
    assert bench.names().count("ComponentFailed") == 1


@virtual
async def test_what_changes_the_answer_changes_the_key() -> None:
    base = GenerationRequest(prompt="hi", model="gpt-4")
    variants = [
        base,
        GenerationRequest(prompt="hi!", model="gpt-4"),
        GenerationRequest(prompt="hi", model="gpt-4", temperature=0.5),
        GenerationRequest(prompt="hi", model="gpt-4", max_tokens=5),
        GenerationRequest(prompt="hi", model="gpt-4", stop="."),
        GenerationRequest(prompt="hi", model="gpt-4", seed=1),
        GenerationRequest(prompt="hi", model="gpt-4", response_format="json"),
        GenerationRequest(prompt="hi", model="gpt-4", system="be brief"),
        GenerationRequest(prompt="hi", model="gpt-4", tools=[{"type": "function"}]),
        GenerationRequest(prompt="hi", model="gpt-4", tenant_id="acme"),
        GenerationRequest(prompt="hi", model="gpt-4-turbo"),
    ]
    keys = [cache_key(v, preset="sandbox", mode="mock", provider=None) for v in variants]
    keys += [
        cache_key(base, preset="happyos", mode="mock", provider=None),
        cache_key(base, preset="sandbox", mode="live", provider=None),
    ]
    assert len(set(keys)) == len(keys)
    same = GenerationRequest(messages=[{"content": "hi", "role": "user"}], model="gpt-4", agent_id="other", timeout=5)
    assert cache_key(same, preset="sandbox", mode="mock", provider=None) == keys[0]
    assert keys[0].startswith("llm_cache:default:gpt-4:")


@virtual
async def test_identical_questions_at_the_same_time_share_one_call() -> None:
    bench = Bench(cache=Shelf())
    openai = bench.add("openai", (1.0, "shared"), model="gpt-4")
    responses = await asyncio.gather(*(bench.gateway.generate("hello") for _ in range(5)))
    assert len(openai.times) == 1
    assert sorted(r.coalesced for r in responses) == [False, True, True, True, True]
    assert sum(r.cost_usd or 0 for r in responses) == Decimal("0.006")
    assert len(bench.records) == 5
    assert len({r.request_id for r in bench.records}) == 5


@virtual
async def test_failures_are_shared_too() -> None:
    bench = Bench(cache=Shelf())
    openai = bench.add("openai", (1.0, ServiceUnavailableError("down", status=503)))
    results = await asyncio.gather(*(bench.gateway.generate("hello") for _ in range(3)), return_exceptions=True)
    assert [type(r) for r in results] == [ServiceUnavailableError] * 3
    assert len(openai.times) == 4
    assert [r.error_type for r in bench.records] == ["ServiceUnavailableError"] * 3


@virtual
async def test_a_follower_keeps_its_own_deadline() -> None:
    bench = Bench(cache=Shelf())
    bench.add("openai", (10.0, "slow"))
    leader = asyncio.create_task(bench.gateway.generate("hello"))
    await bench.clock.sleep(1.0)
    with pytest.raises(ProviderTimeoutError):
        await bench.gateway.generate(GenerationRequest(prompt="hello", timeout=2.0))
    assert bench.clock.monotonic() == pytest.approx(3.0)
    assert (await leader).text == "slow"


@virtual
async def test_the_call_outlives_the_caller_that_began_it_while_others_wait() -> None:
    bench = Bench(cache=Shelf())
    openai = bench.add("openai", (5.0, "slow"), model="gpt-4")
    leader = asyncio.create_task(bench.gateway.generate("hello"))
    await bench.clock.sleep(1.0)
    follower = asyncio.create_task(bench.gateway.generate("hello"))
    await bench.clock.sleep(1.0)
    leader.cancel()
    response = await follower
    assert (response.text, response.cost_usd, response.coalesced) == ("slow", 0, True)
    assert len(openai.times) == 1
    # What it cost is on the record of the call that began it.
    assert sum(r.estimated_cost or 0 for r in bench.records) == Decimal("0.006")


@virtual
async def test_with_nobody_waiting_the_call_is_cancelled() -> None:
    bench = Bench(cache=Shelf())
    bench.add("openai", (5.0, "slow"), (1.0, "again"))
    leader = asyncio.create_task(bench.gateway.generate("hello"))
    await bench.clock.sleep(1.0)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert (await bench.gateway.generate("hello")).text == "again"
    assert bench.records[0].error_type == "Cancelled"
