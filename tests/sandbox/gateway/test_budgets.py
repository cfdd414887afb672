"""Budgets in the one path: what is asked, what is passed over, what is refused, and what the ledger says in the end.

gpt-4 costs 30 and 60 USD a million tokens here, and every answer has 100 in and 50 out: 0.006 USD.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.attempts import RetryPolicy
from providers.base import BaseLLMProvider
from providers.clock import SYSTEM_CLOCK
from providers.errors import (
    AllProvidersFailedError,
    BudgetExceededError,
    CircuitBreakerOpenError,
    ProviderError,
    ProviderTimeoutError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from providers.pricing import catalogue, estimate_tokens
from providers.types import Completion, GenerationRequest, StreamEvent, StreamFinished, TokenUsage
from sandbox.cache.memory import MemoryCacheStore
from sandbox.core.events import BudgetThresholdCrossed, CandidateSkipped
from sandbox.costs.base import Budget, BudgetStore, Debt
from sandbox.costs.budgets import Budgets
from sandbox.costs.memory import MemoryBudgetStore
from sandbox.costs.sheltered import ShelteredBudgetStore
from sandbox.costs.sqlite import SqliteBudgetStore
from sandbox.gateway.call import CallOptions
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy, StreamLimits
from sandbox.gateway.router import foreseen_tokens
from sandbox.usage.base import UsageFilter
from sandbox.usage.records import PICO, to_pico
from sandbox.usage.sqlite import SqliteUsageStore
from tests.sandbox.gateway.support import Bench, Scripted, collect, text_of, virtual

D = Decimal
ROOT = Path(__file__).parents[3]
PRICES = catalogue("seeds-2024")
COST = D("0.006")
PLAIN = {"prices": PRICES, "retry": RetryPolicy("last_candidate", retries=0)}


def question(number: int = 0, **changes: Any) -> GenerationRequest:
    return GenerationRequest(**{"prompt": f"question {number:04d}", "max_tokens": 100, "tenant_id": "acme"} | changes)


PROMPT = foreseen_tokens(question())


def held(output: int = 100, *, rate: str = "30", written: str = "60") -> Decimal:
    """What is held for a question at most."""
    return (PROMPT * D(rate) + output * D(written)) / 1_000_000


class Local(Scripted):
    local = True


class Purse(Bench):
    """A bench with budgets over ledgers in memory."""

    def __init__(self, limit: Decimal | str | None, *others: Budget, **changes: Any) -> None:
        super().__init__(**PLAIN | changes)
        self.store = MemoryBudgetStore(self.clock)
        self.budgets = self.gateway.budgets = Budgets(
            self.store, mode="mock", clock=self.clock, bus=self.gateway.bus, budgets=others
        )
        if limit is not None:
            self.budgets.set(Budget("acme", D(limit)))

    def add_local(self, id: str = "ollama", *steps: Any) -> Scripted:
        provider = Local(self.clock, *steps, kind="ollama", model="llama3.2")
        self.gateway.register(id, provider)
        return provider

    async def check(self, spent: Decimal | str) -> None:
        """Nothing is held any more, and the ledger says what the usage records say."""
        for status in await self.budgets.statuses():
            assert (status.used_usd, status.reserved_usd) == (D(spent), 0)
        records = sum(((r.estimated_cost or 0) + r.waste_cost for r in self.records), D(0))
        assert records == D(spent)

    def passed_over(self) -> list[tuple[str, str]]:
        return [(e.provider, e.reason) for e in self.events if isinstance(e, CandidateSkipped)]


# --- the limit ------------------------------------------------------------------------------------------------------


async def many(gateway: Gateway, first: int, count: int) -> list[Any]:
    asked = (gateway.generate(question(number)) for number in range(first, first + count))
    return await asyncio.gather(*asked, return_exceptions=True)


def outcomes(results: list[Any]) -> tuple[int, int]:
    refused = [one for one in results if isinstance(one, BudgetExceededError)]
    answered = [one for one in results if not isinstance(one, BaseException)]
    assert len(refused) + len(answered) == len(results), results
    return len(answered), len(refused)


@virtual
async def test_of_200_at_once_exactly_those_pass_for_whom_there_is_room() -> None:
    purse = Purse(held() * 10)
    provider = purse.add("openai", (1.0, "yes"))
    results = await many(purse.gateway, 0, 200)
    assert outcomes(results) == (10, 190)
    assert len(provider.requests) == 10
    # Denied at once, before the first answer was there.
    assert {r.latency_ms for r in purse.records if not r.success} == {0.0}
    assert {r.error_type for r in purse.records if not r.success} == {"BudgetExceededError"}
    assert len(purse.records) == 200
    await purse.check(COST * 10)


@virtual
async def test_what_was_held_and_not_spent_is_there_for_the_next() -> None:
    """9.06 of the 10 holds are spent; the eleventh finds room for itself, and so on until no hold fits any more."""
    limit = held() * 10
    purse = Purse(limit)
    purse.add("openai", "yes")
    passed = 0
    while True:
        try:
            await purse.gateway.generate(question(passed))
        except BudgetExceededError:
            break
        passed += 1
    assert passed * COST <= limit < passed * COST + held()
    await purse.check(passed * COST)


@virtual
async def test_the_smaller_of_two_budgets_counts_and_both_keep_the_books() -> None:
    purse = Purse(held() * 5, Budget(None, held() * 8))
    purse.add("openai", (1.0, "yes"))
    asked = [question(n, tenant_id=tenant) for n, tenant in enumerate(["acme"] * 20 + ["zen"] * 20)]
    results = await asyncio.gather(*map(purse.gateway.generate, asked), return_exceptions=True)
    assert [outcomes(results[:20]), outcomes(results[20:])] == [(5, 15), (3, 17)]
    everyone, acme = await purse.budgets.statuses()
    assert (everyone.used_usd, acme.used_usd) == (COST * 8, COST * 5)


@virtual
async def test_without_a_budget_nothing_is_looked_at() -> None:
    purse = Purse(None)
    purse.add("openai", "yes")

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("nobody asked for a budget")

    purse.budgets.reserve = never  # type: ignore[method-assign]
    await purse.gateway.generate(question())


@virtual
async def test_the_budgets_of_others_cost_a_tenant_nothing() -> None:
    purse = Purse(0)
    purse.add("openai", "yes")
    assert (await purse.gateway.generate(question(tenant_id="zen"))).text == "yes"
    with pytest.raises(BudgetExceededError):
        await purse.gateway.generate(question())


# --- what is passed over --------------------------------------------------------------------------------------------


@virtual
async def test_at_the_limit_what_costs_is_passed_over_and_what_is_local_goes_on() -> None:
    purse = Purse(0)
    openai = purse.add("openai", "yes")
    custom = purse.add("custom", "unpriced", kind="custom", model="own")
    purse.add_local("ollama", "local")
    response = await purse.gateway.generate(question())
    assert (response.text, response.provider, response.cost_usd) == ("local", "ollama", 0)
    assert purse.passed_over() == [("openai", "budget"), ("custom", "budget")]
    assert [(r.provider, r.outcome, r.error_type) for r in response.attempts[:2]] == [
        ("openai", "skipped", "budget"),
        ("custom", "skipped", "budget"),
    ]
    assert openai.requests == custom.requests == []
    await purse.check(0)


@virtual
async def test_self_hosted_answers_go_on_and_their_hours_count() -> None:
    """0.16 USD an hour for 3.6 s: 0.00016, with which the limit is passed; but nobody is paid for that."""
    purse = Purse("0.0001")
    provider = Local(purse.clock, (3.6, "own"), kind="vllm", model="qwen")
    purse.gateway.register("vllm", provider)
    for number in range(2):
        assert (await purse.gateway.generate(question(number))).cost_usd == D("0.00016")
    await purse.check("0.00032")


@virtual
async def test_an_unpriced_answer_is_allowed_until_the_limit_is_reached() -> None:
    purse = Purse(COST)
    purse.add("custom", "unpriced", kind="custom", model="own")
    purse.add("openai", "yes")
    assert (await purse.gateway.generate(question(0))).cost_usd is None
    period = (await purse.budgets.check_budget("acme")).period_start_us
    purse.store.settle(Debt(None, period, ("tenant:acme",), 6_000_000_000))
    with pytest.raises(BudgetExceededError, match="what this request costs is unknown"):
        await purse.gateway.generate(question(1))


@virtual
async def test_the_dearest_that_still_fits_is_held() -> None:
    """gpt-4 no longer fits, the cheaper model does: it is asked, and only its price is held."""
    cheap = held(rate="0.5", written="1.5")
    purse = Purse(cheap)
    dear = purse.add("openai", "dear", model="gpt-4")
    purse.add("cheap", (1.0, "cheap"), kind="openai", model="gpt-3.5-turbo")
    task = asyncio.create_task(purse.gateway.generate(question()))
    await purse.clock.sleep(0.5)
    assert (await purse.budgets.check_budget("acme")).reserved_usd == cheap
    assert (await task).text == "cheap"
    assert dear.requests == []
    assert purse.passed_over() == [("openai", "budget")]


@virtual
async def test_1024_tokens_are_held_for_whoever_sets_no_limit() -> None:
    purse = Purse(held(1024))
    purse.add("openai", (1.0, "yes"))
    task = asyncio.create_task(purse.gateway.generate(question(max_tokens=None)))
    await purse.clock.sleep(0.5)
    assert (await purse.budgets.check_budget("acme")).reserved_usd == held(1024)
    await task


@virtual
async def test_what_free_candidates_end_in_is_what_the_request_ends_in() -> None:
    purse = Purse(0)
    purse.add("openai", "yes")
    purse.add_local("ollama", ServiceUnavailableError("down", status=503))
    with pytest.raises(ServiceUnavailableError):
        await purse.gateway.generate(question(0))
    purse.gateway.breaker("ollama").force_open()
    with pytest.raises(CircuitBreakerOpenError):
        await purse.gateway.generate(question(1))
    await purse.check(0)


@virtual
async def test_a_candidate_that_is_over_budget_is_nobody_to_wait_for() -> None:
    """The last candidate backs off fully; one behind it that may not be paid does not make it give up sooner."""
    purse = Purse(held(rate="0.5", written="1.5"), retry=RetryPolicy("last_candidate", retries=2))
    purse.add("cheap", ServiceUnavailableError("down"), "yes", kind="openai", model="gpt-3.5-turbo")
    purse.add("openai", "dear", model="gpt-4")
    response = await purse.gateway.generate(question())
    assert (response.provider, response.latency_ms) == ("cheap", 1000.0)


# --- cached answers -------------------------------------------------------------------------------------------------


@virtual
async def test_cached_answers_go_on_and_cost_nothing() -> None:
    purse = Purse(held(), cache=MemoryCacheStore(VirtualNow()))
    purse.add("openai", "yes")
    await purse.gateway.generate(question(0))
    with pytest.raises(BudgetExceededError):
        await purse.gateway.generate(question(1))
    assert (await purse.gateway.generate(question(0))).cached
    events = await collect(purse.gateway.stream(question(0)))
    assert text_of(events) == "yes"
    await purse.check(COST)


class VirtualNow:
    def monotonic(self) -> float:
        return 0.0


@virtual
async def test_followers_hold_nothing() -> None:
    purse = Purse(held(), cache=MemoryCacheStore(VirtualNow()))
    purse.add("openai", (1.0, "yes"))
    responses = await asyncio.gather(*(purse.gateway.generate(question()) for _ in range(50)))
    assert [r.coalesced for r in responses].count(True) == 49
    await purse.check(COST)


# --- failures and waste ---------------------------------------------------------------------------------------------


@virtual
async def test_a_failure_and_a_caller_that_leaves_give_back_what_was_held() -> None:
    purse = Purse(held())
    purse.add("openai", ServiceUnavailableError("down"), (5.0, "yes"), "yes")
    with pytest.raises(ServiceUnavailableError):
        await purse.gateway.generate(question(0))
    task = asyncio.create_task(purse.gateway.generate(question(1)))
    await purse.clock.sleep(1)
    assert (await purse.budgets.check_budget("acme")).remaining_usd == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await purse.gateway.generate(question(2))).text == "yes"
    await purse.check(COST)


@virtual
async def test_a_request_ends_with_its_deadline_whatever_holds_the_ledger_up() -> None:
    purse = Purse(1)
    purse.add("openai", "yes")

    async def stuck(*_: Any, **__: Any) -> Any:
        await purse.clock.sleep(1000)

    purse.store.reserve = stuck  # type: ignore[method-assign]
    with pytest.raises(ProviderTimeoutError, match="deadline of 3 s passed"):
        await purse.gateway.generate(question(timeout=3.0))
    assert [r.error_type for r in purse.records] == ["ProviderTimeoutError"]


def partial(text: str) -> Decimal:
    return (PROMPT * 30 + estimate_tokens(text) * D(60)) / 1_000_000


@virtual
async def test_a_stream_that_breaks_off_costs_what_had_come() -> None:
    purse = Purse(held())
    purse.add("openai", ("one two three", "<cut>"))
    with pytest.raises(StreamInterruptedError):
        await collect(purse.gateway.stream(question()))
    await purse.check(partial("one two three"))


@virtual
async def test_a_reader_that_leaves_pays_for_what_had_come() -> None:
    purse = Purse(held())
    purse.add("openai", ("one two", 1.0, " three"))
    stream = purse.gateway.stream(question())
    async for event in stream:
        if getattr(event, "text", "") == " two":
            break
    await stream.aclose()
    await purse.check(partial("one two"))


@virtual
async def test_a_restart_is_paid_where_there_is_room_for_it_beside_the_waste() -> None:
    cut = ("one two three", "<cut>")
    for limit, passes in ((held() + partial(cut[0]), True), (held() + partial(cut[0]) - D("1e-12"), False)):
        purse = Purse(limit, streaming=StreamLimits("restart"))
        purse.add("openai", cut)
        purse.add("second", "whole", kind="openai")
        stream = purse.gateway.stream(question())
        if passes:
            assert text_of((await collect(stream))[-2:]) == "whole"
            await purse.check(partial(cut[0]) + COST)
        else:
            with pytest.raises(StreamInterruptedError) as caught:
                await collect(stream)
            assert [r.error_type for r in caught.value.attempts] == ["StreamInterruptedError", "budget"]
            await purse.check(partial(cut[0]))


@virtual
async def test_a_retry_after_a_billed_failure_needs_room_too() -> None:
    """What a failed attempt is charged for is gone: the retry holds again what an answer may cost."""
    billed = ServiceUnavailableError("down after reading the prompt", status=500)
    billed.billed = TokenUsage(100, 0)
    waste = D("0.003")

    class Charging(Scripted):
        async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
            self.requests.append(request)
            if len(self.requests) == 1:
                raise billed
            return Completion(text="yes", usage=TokenUsage(100, 50), model=model_id)

    for limit, asked in ((held() + waste, 2), (held() + waste - D("1e-12"), 1)):
        purse = Purse(limit, retry=RetryPolicy("always", retries=1))
        provider = Charging(purse.clock)
        purse.gateway.register("openai", provider)
        if asked == 2:
            await purse.gateway.generate(question())
            await purse.check(waste + COST)
        else:
            with pytest.raises(ServiceUnavailableError):
                await purse.gateway.generate(question())
            await purse.check(waste)
        assert len(provider.requests) == asked


@virtual
async def test_a_stream_holds_beyond_the_deadline_that_runs_to_its_first_text() -> None:
    purse = Purse(held(), deadline=5.0)
    purse.add("openai", ("one", *([10.0, " more"] * 9)))
    task = asyncio.create_task(collect(purse.gateway.stream(question())))
    await purse.clock.sleep(80)
    with pytest.raises(BudgetExceededError, match="no room just now"):
        await purse.gateway.generate(question(1))
    await task
    await purse.check(COST)


@virtual
async def test_more_than_was_foreseen_is_booked_as_it_is() -> None:
    """100 tokens in were not foreseen, and max_tokens was 1: the ledger tells the truth, and then nothing passes."""
    purse = Purse(held(1))
    purse.add("openai", "yes")
    await purse.gateway.generate(question(max_tokens=1))
    status = await purse.budgets.check_budget("acme")
    assert (status.used_usd, status.remaining_usd) == (COST, 0)
    assert [e.threshold for e in purse.events if isinstance(e, BudgetThresholdCrossed)] == [0.75, 0.9, 1.0]
    names = purse.names()
    assert names.index("BudgetThresholdCrossed") < names.index("UsageRecorded")


@virtual
async def test_what_is_simulated_among_real_ones_costs_no_real_money() -> None:
    purse = Purse(held())

    class Pretending(Scripted):
        mode = "replay"

    purse.gateway.register("openai", Pretending(purse.clock, "yes"))
    assert (await purse.gateway.generate(question())).cost_usd == COST
    assert (await purse.budgets.check_budget("acme")).used_usd == 0


@virtual
async def test_every_candidate_may_be_tried_within_what_is_held() -> None:
    purse = Purse(held())
    for id in ("a", "b"):
        purse.add(id, ServiceUnavailableError("down"), kind="openai")
    purse.add("c", ProviderTimeoutError("late"), kind="openai")
    with pytest.raises(AllProvidersFailedError):
        await purse.gateway.generate(question())
    await purse.check(0)


@virtual
async def test_a_provider_asked_for_by_name_is_held_to_the_budget_too() -> None:
    purse = Purse(0)
    purse.add("openai", "yes")
    purse.add("other", "yes", kind="openai")
    with pytest.raises(BudgetExceededError):
        await purse.gateway.generate(question(), CallOptions(provider="other"))


# --- any traffic ----------------------------------------------------------------------------------------------------

STEPS: list[Any] = [
    "a short answer",
    (0.7, "an answer that takes its time"),
    ("one two", 0.5, " three"),
    ServiceUnavailableError("down"),
    (0.3, ServiceUnavailableError("down late")),
    ("one two three four", "<cut>"),
    ("one", 0.4, "<end>"),
]
ASK = st.tuples(st.floats(0, 2), st.booleans(), st.sampled_from([None, 0.2, 0.6]), st.sampled_from(["acme", "zen"]))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    limit=st.floats(0, 6),
    scripts=st.lists(st.lists(st.sampled_from(STEPS), min_size=1, max_size=6), min_size=1, max_size=3),
    asks=st.lists(ASK, min_size=1, max_size=15),
    policy=st.sampled_from(["fail", "restart", "buffer"]),
    retries=st.integers(0, 2),
)
def test_no_traffic_passes_the_limit_and_every_picodollar_is_accounted_for(
    limit: float, scripts: list[list[Any]], asks: list[Any], policy: Any, retries: int
) -> None:
    """Answers, failures, billed ones, cut streams, restarts, retries and callers that leave, all at once."""
    whole = held() * D(str(round(limit, 3)))

    @virtual
    async def run() -> None:
        purse = Purse(
            None, Budget(None, whole), streaming=StreamLimits(policy), retry=RetryPolicy("always", retries, 0.1)
        )
        for number, steps in enumerate(scripts):
            purse.gateway.register(f"p{number}", Thrifty(purse.clock, *steps))
        period = (await purse.budgets.check_budget()).period_start_us
        keep = purse.gateway._ledger._record
        assert keep is not None

        def within(record: Any) -> None:
            keep(record)
            balance = purse.store.settle(Debt(None, period, ("all",), 0))["all"]
            assert balance.used + balance.reserved <= whole * PICO
            assert balance.used == sum(to_pico(r.estimated_cost or D(0)) + to_pico(r.waste_cost) for r in purse.records)

        purse.gateway._ledger._record = within

        async def one(number: int, wait: float, stream: bool, leaves: float | None, tenant: str) -> None:
            await purse.clock.sleep(wait)
            request = question(number, tenant_id=tenant)
            asked = collect(purse.gateway.stream(request)) if stream else purse.gateway.generate(request)
            with suppress(ProviderError, TimeoutError):
                async with purse.clock.timeout(leaves):
                    await asked

        await asyncio.gather(*(one(number, *ask) for number, ask in enumerate(asks)))
        assert len(purse.records) == len(asks)
        assert "ComponentFailed" not in purse.names()
        status = await purse.budgets.check_budget()
        assert status.reserved_usd == 0
        assert status.used_usd <= whole

    run()


class Thrifty(Scripted):
    """Charges no more than was foreseen; every third attempt that fails is charged for its prompt."""

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        try:
            completion = await super().attempt(request, model_id)
        except ServiceUnavailableError as error:
            if len(self.requests) % 3 == 0:
                error.billed = TokenUsage(PROMPT, 0)
            raise
        return replace(completion, usage=TokenUsage(PROMPT, 100))

    async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
        async with aclosing(super().stream_attempt(request, model_id)) as events:
            async for event in events:
                if isinstance(event, StreamFinished):
                    event = StreamFinished(replace(event.completion, usage=TokenUsage(PROMPT, 100)))
                yield event


# --- one ledger for all processes -----------------------------------------------------------------------------------


def shared(path: Path, limit: Decimal, usage: Any = None) -> Budgets:
    store: BudgetStore = SqliteBudgetStore(path, mode="mock", clock=SYSTEM_CLOCK)
    store = ShelteredBudgetStore(store, clock=SYSTEM_CLOCK, told=print)
    budgets = [Budget("acme", limit)]
    return Budgets(store, mode="mock", clock=SYSTEM_CLOCK, usage=usage, budgets=budgets)


class Waiting(BaseLLMProvider):
    """Answers when it is let."""

    kind = "openai"
    default_model = "gpt-4"

    def __init__(self) -> None:
        super().__init__(model="gpt-4")
        self.asked = 0
        self.let = asyncio.Event()

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        self.asked += 1
        await self.let.wait()
        return Completion(text="yes", usage=TokenUsage(100, 50), model=model_id)


async def ask_many(path: Path, limit: Decimal, first: int, count: int, let: Callable[[], Any]) -> list[Any]:
    """Ask so many at once; `let` is called when every one has either been refused or reached its provider."""
    usage = SqliteUsageStore(path.with_name("usage.db"), clock=SYSTEM_CLOCK)
    budgets = shared(path, limit, usage)
    policy = replace(Policy(), retry=RetryPolicy("last_candidate", retries=0))
    gateway = Gateway(policy, mode="mock", prices=PRICES, budgets=budgets, record=usage.record)
    provider = Waiting()
    gateway.register("openai", provider)
    tasks = [asyncio.create_task(gateway.generate(question(n))) for n in range(first, first + count)]
    while sum(task.done() for task in tasks) + provider.asked < count:
        await asyncio.sleep(0)
    let()
    provider.let.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await budgets.close()
    await usage.close()
    return results


async def test_of_200_at_once_exactly_10_pass_a_ledger_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "budgets.db"
    assert outcomes(await ask_many(path, held() * 10, 0, 200, lambda: None)) == (10, 190)
    usage = SqliteUsageStore(path.with_name("usage.db"), clock=SYSTEM_CLOCK)
    budgets = shared(path, D(1), usage)
    status = await budgets.check_budget("acme")
    totals = await usage.totals(UsageFilter(tenant_id="acme"))
    assert (status.used_usd, status.reserved_usd) == (totals.cost_usd, 0) == (COST * 10, 0)
    assert (totals.requests, totals.failed) == (200, 190)
    await budgets.close()
    # The ledger is lost, and the usage records still know.
    for file in tmp_path.glob("budgets.db*"):
        file.unlink()
    budgets = shared(path, D(1), usage)
    assert (await budgets.check_budget("acme")).used_usd == COST * 10
    await budgets.close()
    await usage.close()


_PROCESS = """
import asyncio, json, sys
from decimal import Decimal
from pathlib import Path
from tests.sandbox.gateway.test_budgets import ask_many, outcomes

def let():
    print("reserved", flush=True)
    sys.stdin.readline()

path, limit, first = Path(sys.argv[1]), Decimal(sys.argv[2]), int(sys.argv[3])
print(json.dumps(outcomes(asyncio.run(ask_many(path, limit, first, 100, let)))))
"""


async def test_of_200_in_two_processes_exactly_10_pass(tmp_path: Path) -> None:
    path = tmp_path / "budgets.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(path), str(held() * 10), str(first)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (0, 100)
    ]
    for process in processes:
        # Nobody answers before everybody has asked.
        assert process.stdout is not None
        assert process.stdout.readline() == "reserved\n", process.communicate()
    outputs = [process.communicate("go\n", timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    passed, refused = map(sum, zip(*(json.loads(out) for out, _ in outputs), strict=True))
    assert (passed, refused) == (10, 190)
    budgets = shared(path, D(1))
    status = await budgets.check_budget("acme")
    assert (status.used_usd, status.reserved_usd) == (COST * 10, 0)
    await budgets.close()
