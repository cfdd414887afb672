"""Every store of ledgers does what BudgetStore says, held against a plain reckoning over the whole history."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.clock import random_id
from sandbox.costs.base import ALL, Balance, BudgetStore, Debt, scope_of
from sandbox.costs.memory import MemoryBudgetStore
from sandbox.costs.redis import RedisBudgetStore
from sandbox.costs.sheltered import ShelteredBudgetStore
from sandbox.costs.sqlite import SqliteBudgetStore
from sandbox.shared.address import RedisAddress
from sandbox.shared.link import RedisLink
from sandbox.usage.records import MAX_PICO
from tests.redis_server import RedisServer

ACME, ZEN = scope_of("acme"), scope_of("zen")
JANUARY, FEBRUARY = 1_735_689_600_000_000, 1_738_368_000_000_000
LATER = JANUARY + 60_000_000
"""A minute after the clock's beginning."""


class SetClock:
    """Stands where it is put; sleeping moves it."""

    def __init__(self) -> None:
        self.now_us = JANUARY

    def time_us(self) -> int:
        return self.now_us

    def monotonic(self) -> float:
        return self.now_us / 1e6

    async def sleep(self, seconds: float) -> None:
        self.now_us += round(seconds * 1e6)
        await asyncio.sleep(0)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        return asyncio.timeout(None)


def unheard(sentence: str) -> None:
    raise AssertionError(sentence)


def memory(path: Path, clock: Any) -> BudgetStore:
    return MemoryBudgetStore(clock)


def sqlite(path: Path, clock: Any) -> BudgetStore:
    return SqliteBudgetStore(path, mode="mock", clock=clock)


def sheltered(path: Path, clock: Any) -> BudgetStore:
    return ShelteredBudgetStore(sqlite(path, clock), clock=clock, told=unheard)


def redis(path: Path, clock: Any) -> BudgetStore:
    # Patient, because what is meant here is what it keeps, on however busy a machine.
    link = RedisLink(RedisAddress.parse(SERVERS[0].url), ask_s=20)
    return RedisBudgetStore(link, mode="mock", clock=clock, scope=f"llm_budget:{random_id()}")


def sheltered_redis(path: Path, clock: Any) -> BudgetStore:
    return ShelteredBudgetStore(redis(path, clock), clock=clock, told=unheard)


SERVERS: list[RedisServer] = []
"""The one that stores of this test are on, if they are on any."""


@pytest.fixture(autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[None]:
    parameters = getattr(request.node, "callspec", None)
    if parameters is not None and any(one in (redis, sheltered_redis) for one in parameters.params.values()):
        SERVERS[:] = [request.getfixturevalue("one_redis")]
    yield
    SERVERS.clear()


MAKERS: list[Callable[[Path, Any], BudgetStore]] = [memory, sqlite, sheltered, redis, sheltered_redis]
every_store = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
async def store(request: Any, tmp_path: Path, clock: SetClock) -> AsyncIterator[BudgetStore]:
    made = request.param(tmp_path / "budgets.db", clock)
    yield made
    await made.close()
    await made.close()


async def one(store: BudgetStore, scope: str = ACME, period: int = JANUARY) -> Balance:
    return (await store.balances(period, [scope]))[scope]


# --- single steps ---------------------------------------------------------------------------------------------------


async def test_a_hold_counts_until_it_is_settled_to_what_was_spent(store: BudgetStore) -> None:
    grant = await store.reserve(JANUARY, {ALL: 100, ACME: 50}, [30], expires_us=LATER)
    assert (grant.amount, grant.balances) == (30, {ALL: Balance(0, 30), ACME: Balance(0, 30)})
    assert store.settle(Debt(grant.hold, JANUARY, (ALL, ACME), 12)) == {ALL: Balance(12, 0), ACME: Balance(12, 0)}
    assert await one(store, ZEN) == Balance(0, 0)


async def test_the_limit_may_be_met_and_not_passed_by_a_single_picodollar(store: BudgetStore) -> None:
    assert (await store.reserve(JANUARY, {ACME: 100}, [101], expires_us=LATER)).hold is None
    assert (await store.reserve(JANUARY, {ACME: 100}, [100], expires_us=LATER)).hold is not None
    refused = await store.reserve(JANUARY, {ACME: 100}, [1], expires_us=LATER)
    assert (refused.hold, refused.amount, refused.balances) == (None, 0, {ACME: Balance(0, 100)})


async def test_every_scope_must_have_room_or_none_is_held(store: BudgetStore) -> None:
    await store.reserve(JANUARY, {ACME: 100}, [90], expires_us=LATER)
    assert (await store.reserve(JANUARY, {ALL: 1000, ACME: 100}, [20], expires_us=LATER)).hold is None
    assert await one(store, ALL) == Balance(0, 0)


async def test_the_largest_amount_that_fits_is_held(store: BudgetStore) -> None:
    assert (await store.reserve(JANUARY, {ACME: 100}, [300, 101, 60, 5], expires_us=LATER)).amount == 60
    assert (await store.reserve(JANUARY, {ACME: 100}, [300, 101, 60, 5], expires_us=LATER)).amount == 5


async def test_nothing_can_be_held_while_a_limit_is_not_reached(store: BudgetStore) -> None:
    """What an unpriced request needs: a limit that is not reached, however little is left of it."""
    assert (await store.reserve(JANUARY, {ACME: 1}, [0], expires_us=LATER)).hold is not None
    await store.reserve(JANUARY, {ACME: 1}, [1], expires_us=LATER)
    assert (await store.reserve(JANUARY, {ACME: 1}, [0], expires_us=LATER)).hold is None
    assert (await store.reserve(JANUARY, {ZEN: 0}, [0], expires_us=LATER)).hold is None


async def test_a_hold_ends_with_its_time_and_what_was_spent_is_booked_all_the_same(
    store: BudgetStore, clock: SetClock
) -> None:
    grant = await store.reserve(JANUARY, {ACME: 100}, [100], expires_us=LATER)
    clock.now_us = LATER - 1
    assert (await store.reserve(JANUARY, {ACME: 100}, [60], expires_us=LATER + 9)).hold is None
    clock.now_us = LATER
    other = await store.reserve(JANUARY, {ACME: 100}, [60], expires_us=LATER + 9)
    assert other.balances == {ACME: Balance(0, 60)}
    store.settle(Debt(grant.hold, JANUARY, (ACME,), 7))
    assert await one(store) == Balance(7, 60)


async def test_what_was_settled_twice_was_spent_twice_and_is_let_go_once(store: BudgetStore) -> None:
    grant = await store.reserve(JANUARY, {ACME: 100}, [40], expires_us=LATER)
    for _ in range(2):
        store.settle(Debt(grant.hold, JANUARY, (ACME,), 10))
    assert await one(store) == Balance(20, 0)


async def test_several_are_settled_together(store: BudgetStore) -> None:
    grants = [await store.reserve(JANUARY, {ACME: 100}, [10], expires_us=LATER) for _ in range(3)]
    await store.settle_all([Debt(grant.hold, JANUARY, (ACME,), 4) for grant in grants[:2]])
    await store.settle_all([])
    assert await one(store) == Balance(8, 10)


async def test_what_was_never_held_can_be_booked(store: BudgetStore) -> None:
    assert store.settle(Debt(None, JANUARY, (ACME,), 5)) == {ACME: Balance(5, 0)}


async def test_a_hold_is_made_larger_within_the_limits(store: BudgetStore, clock: SetClock) -> None:
    limits = {ALL: 100, ACME: 80}
    grant = await store.reserve(JANUARY, limits, [30], expires_us=LATER)
    assert grant.hold is not None
    assert store.extend(grant.hold, JANUARY, limits, 80)
    assert not store.extend(grant.hold, JANUARY, limits, 81)
    assert await store.balances(JANUARY, [ALL, ACME]) == {ALL: Balance(0, 80), ACME: Balance(0, 80)}
    clock.now_us = LATER
    assert not store.extend(grant.hold, JANUARY, {ALL: 1000, ACME: 1000}, 90)
    assert await one(store) == Balance(0, 0)


async def test_months_are_apart(store: BudgetStore) -> None:
    """A request that came in the old month is booked there, whenever it ends."""
    grant = await store.reserve(JANUARY, {ACME: 100}, [100], expires_us=FEBRUARY + 60)
    assert (await store.reserve(FEBRUARY, {ACME: 100}, [100], expires_us=FEBRUARY + 60)).hold is not None
    store.settle(Debt(grant.hold, JANUARY, (ACME,), 90))
    assert (await one(store), await one(store, period=FEBRUARY)) == (Balance(90, 0), Balance(0, 100))


async def test_a_beginning_lifts_what_was_used_and_never_lowers_it(store: BudgetStore) -> None:
    await store.begin(JANUARY, {ACME: 50, ALL: 70})
    store.settle(Debt(None, JANUARY, (ACME,), 5))
    for _ in range(2):
        await store.begin(JANUARY, {ACME: 20, ALL: 71})
    assert await store.balances(JANUARY, [ACME, ALL]) == {ACME: Balance(55, 0), ALL: Balance(71, 0)}


async def test_a_mark_is_claimed_once_a_period(store: BudgetStore) -> None:
    claims = [(JANUARY, ACME, "0.75"), (JANUARY, ACME, "0.9"), (JANUARY, ALL, "0.75"), (FEBRUARY, ACME, "0.75")]
    assert [store.claim(*claim) for claim in claims + claims] == [True] * 4 + [False] * 4


async def test_names_may_hold_anything(store: BudgetStore) -> None:
    scope = scope_of("""O'Hara "and" sons; -- ü 🙂""")
    await store.reserve(JANUARY, {scope: 100}, [40], expires_us=LATER)
    assert await one(store, scope) == Balance(0, 40)
    assert scope_of(ALL) != ALL


async def test_a_ledger_has_a_last_line(tmp_path: Path, clock: SetClock) -> None:
    """SQLite would go on with a float, without a word."""
    store = sqlite(tmp_path / "b.db", clock)
    for _ in range(2):
        store.settle(Debt(None, JANUARY, (ACME,), MAX_PICO))
    assert await one(store) == Balance(MAX_PICO, 0)
    await store.close()


# --- any history ----------------------------------------------------------------------------------------------------

SCOPES = ([ALL], [ACME], [ALL, ACME], [ALL, ZEN])
LIMITS = {ALL: 500, ACME: 200, ZEN: 120}
AMOUNTS = st.lists(st.integers(0, 250), min_size=1, max_size=3).map(lambda some: sorted(set(some), reverse=True))
STEP = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from(SCOPES), AMOUNTS, st.integers(0, 40)),
    st.tuples(st.just("settle"), st.integers(0, 30), st.integers(0, 260)),
    st.tuples(st.just("extend"), st.integers(0, 30), st.integers(1, 260)),
    # Clocks go back too.
    st.tuples(st.just("move"), st.integers(-15, 30)),
    st.tuples(st.just("month"), st.booleans()),
)


@dataclass
class Held:
    period: int
    scopes: list[str]
    amount: int
    expires_us: int
    gone: bool = False


@dataclass
class Reckoning:
    """Nothing is summed before it is asked for."""

    holds: list[Held] = field(default_factory=list)
    spent: list[tuple[int, list[str], int]] = field(default_factory=list)

    def used(self, period: int, scope: str) -> int:
        return sum(cost for at, scopes, cost in self.spent if at == period and scope in scopes)

    def reserved(self, period: int, scope: str) -> int:
        return sum(h.amount for h in self.holds if not h.gone and h.period == period and scope in h.scopes)

    def room(self, period: int, scopes: list[str]) -> int:
        return min(LIMITS[s] - self.used(period, s) - self.reserved(period, s) for s in scopes)

    def pass_time(self, now_us: int) -> None:
        for hold in self.holds:
            hold.gone = hold.gone or hold.expires_us <= now_us


@every_store
@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, max_size=40))
def test_any_history_adds_up(make: Any, tmp_path: Path, steps: list[tuple[Any, ...]]) -> None:
    if make is sheltered:
        # Where its file was out of reach for a moment, holds lie in two places, and a clock that goes back then
        # brings one of them to life again for as long as it went back. Both places are held to the whole above.
        steps = [(kind, abs(rest[0])) if kind == "move" else (kind, *rest) for kind, *rest in steps]
    asyncio.run(_history(make(tmp_path / f"{next(_numbers)}.db", clock := SetClock()), clock, steps))


_numbers = itertools.count()


async def _history(store: BudgetStore, clock: SetClock, steps: list[tuple[Any, ...]]) -> None:
    model, ids, period = Reckoning(), list[str](), JANUARY
    for kind, *rest in steps:
        if kind == "move":
            clock.now_us += rest[0]
        elif kind == "month":
            period = FEBRUARY if rest[0] else JANUARY
        elif kind == "reserve":
            scopes, amounts, lasts = rest
            model.pass_time(clock.now_us)
            grant = await store.reserve(
                period, {s: LIMITS[s] for s in scopes}, amounts, expires_us=clock.now_us + lasts
            )
            room = model.room(period, scopes)
            fitting = [amount for amount in amounts if max(amount, 1) <= room]
            assert (grant.hold is not None, grant.amount) == (bool(fitting), max(fitting, default=0))
            if grant.hold is not None:
                ids.append(grant.hold)
                model.holds.append(Held(period, scopes, grant.amount, clock.now_us + lasts))
        elif rest[0] < len(ids):
            number, amount = rest
            hold = model.holds[number]
            if kind == "settle":
                model.spent.append((hold.period, hold.scopes, amount))
                hold.gone = True
                told = store.settle(Debt(ids[number], hold.period, tuple(hold.scopes), amount))
                assert {s: b.used for s, b in told.items()} == {s: model.used(hold.period, s) for s in hold.scopes}
            elif amount > hold.amount:
                model.pass_time(clock.now_us)
                limits = {s: LIMITS[s] for s in hold.scopes}
                fits = not hold.gone and amount - hold.amount <= model.room(hold.period, hold.scopes)
                assert store.extend(ids[number], hold.period, limits, amount) is fits
                if fits:
                    hold.amount = amount
    model.pass_time(clock.now_us)
    for at in (JANUARY, FEBRUARY):
        told = await store.balances(at, list(LIMITS))
        assert told == {s: Balance(model.used(at, s), model.reserved(at, s)) for s in LIMITS}
    await store.close()


@every_store
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asks=st.lists(st.tuples(st.integers(0, 150), st.floats(0, 1), st.integers(0, 5)), max_size=40),
    limit=st.integers(0, 500),
)
def test_who_spends_no_more_than_is_held_never_passes_the_limit(
    make: Any, tmp_path: Path, asks: list[tuple[int, float, int]], limit: int
) -> None:
    """In any order of beginnings and ends; and whoever was refused would have passed it."""

    async def run() -> None:
        store = make(tmp_path / f"{next(_numbers)}.db", SetClock())
        under_way: list[tuple[str, int]] = []
        for amount, share, others in asks:
            before = await one(store)
            grant = await store.reserve(JANUARY, {ACME: limit}, [amount], expires_us=LATER)
            if grant.hold is None:
                assert sum(before) + max(amount, 1) > limit
            else:
                under_way.append((grant.hold, amount))
            assert sum(await one(store)) <= limit
            while len(under_way) > others:
                hold, held = under_way.pop(0)
                store.settle(Debt(hold, JANUARY, (ACME,), int(held * share)))
                assert sum(await one(store)) <= limit
        await store.close()

    asyncio.run(run())
