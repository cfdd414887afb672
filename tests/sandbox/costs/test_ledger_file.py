"""The ledger as a file: several processes, killed ones, and a file that is locked, damaged, foreign or gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers.clock import SYSTEM_CLOCK
from sandbox.costs import sqlite as module
from sandbox.costs.base import ALL, Balance, BudgetUnavailable, Debt
from sandbox.costs.sheltered import ShelteredBudgetStore
from sandbox.costs.sqlite import SqliteBudgetStore
from tests.contract.test_budget_stores import ACME, FEBRUARY, JANUARY, LATER, SetClock, one

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "budgets.db"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def store(path: Path, clock: SetClock) -> AsyncIterator[SqliteBudgetStore]:
    made = SqliteBudgetStore(path, mode="mock", clock=clock)
    yield made
    await made.close()


@pytest.fixture
async def shelter(store: SqliteBudgetStore, clock: SetClock) -> ShelteredBudgetStore:
    return ShelteredBudgetStore(store, clock=clock, told=told.append)


told: list[str] = []


@pytest.fixture(autouse=True)
def silence() -> None:
    told.clear()


class Lock:
    """Another process's transaction, as far as SQLite can tell."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._connection.close()


# --- the file -------------------------------------------------------------------------------------------------------


async def test_the_file_is_private_and_made_when_it_is_needed(store: SqliteBudgetStore, path: Path) -> None:
    assert not path.exists()
    await store.balances(JANUARY, [ALL])
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("budgets.db*")} == {0o600}


async def test_what_is_known_outlives_the_process_and_modes_never_mix(
    store: SqliteBudgetStore, path: Path, clock: SetClock
) -> None:
    store.settle(Debt(None, JANUARY, (ACME,), 7))
    assert store.claim(JANUARY, ACME, "0.75")
    await store.reserve(JANUARY, {ACME: 100}, [20], expires_us=LATER)
    again = SqliteBudgetStore(path, mode="mock", clock=clock)
    live = SqliteBudgetStore(path, mode="live", clock=clock)
    assert await one(again) == Balance(7, 20)
    assert not again.claim(JANUARY, ACME, "0.75")
    assert await one(live) == Balance(0, 0)
    clock.now_us = LATER
    assert await one(live) == Balance(0, 0)
    assert await one(again) == Balance(7, 0)
    await again.close()
    await live.close()


async def test_another_programs_file_is_never_written(store: SqliteBudgetStore, path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE diary (text TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(BudgetUnavailable, match=r"budgets\.db cannot be used: it is a database of another program"):
        await store.balances(JANUARY, [ALL])
    assert path.read_bytes() == before


async def test_a_newer_file_is_left_alone(store: SqliteBudgetStore, path: Path) -> None:
    await store.balances(JANUARY, [ALL])
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(BudgetUnavailable, match="made by a newer version of this program"):
        store.settle(Debt(None, JANUARY, (ALL,), 1))


async def test_a_damaged_file_is_set_aside_and_begun_anew(
    store: SqliteBudgetStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.settle(Debt(None, JANUARY, (ACME,), 7))
    generation = store.generation
    await store.close()
    path.write_bytes(b"not a database at all" * 500)
    assert await one(store) == Balance(0, 0)
    assert store.generation > generation
    assert [file.name for file in path.parent.glob("*.damaged-*")] == ["budgets.db.damaged-20250101T000000"]
    assert "was damaged" in caplog.text


async def test_a_file_that_was_replaced_is_noticed(store: SqliteBudgetStore, path: Path) -> None:
    store.settle(Debt(None, JANUARY, (ACME,), 7))
    generation = store.generation
    for file in path.parent.glob("budgets.db*"):
        file.unlink()
    assert await one(store) == Balance(0, 0)
    assert store.generation > generation


# --- locks ----------------------------------------------------------------------------------------------------------


async def test_a_step_that_can_sleep_waits_for_a_lock(store: SqliteBudgetStore, path: Path, clock: SetClock) -> None:
    await store.balances(JANUARY, [ALL])
    lock = Lock(path)
    task = asyncio.create_task(store.reserve(JANUARY, {ACME: 100}, [20], expires_us=LATER * 2))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    lock.release()
    assert (await task).amount == 20


async def test_it_does_not_wait_forever_and_the_next_do_not_wait_at_all(
    store: SqliteBudgetStore, path: Path, clock: SetClock
) -> None:
    await store.balances(JANUARY, [ALL])
    lock = Lock(path)
    began = clock.monotonic()
    with pytest.raises(BudgetUnavailable, match="is locked"):
        await store.reserve(JANUARY, {ACME: 100}, [20], expires_us=LATER)
    assert module.PATIENCE_S <= clock.monotonic() - began < module.PATIENCE_S + 0.1
    began = clock.monotonic()
    with pytest.raises(BudgetUnavailable, match="is locked"):
        await store.reserve(JANUARY, {ACME: 100}, [20], expires_us=LATER)
    with pytest.raises(BudgetUnavailable, match="is locked"):
        store.settle(Debt(None, JANUARY, (ACME,), 1))
    assert clock.monotonic() == began
    lock.release()
    assert (await store.reserve(JANUARY, {ACME: 100}, [20], expires_us=LATER * 2)).amount == 20


# --- the shelter ----------------------------------------------------------------------------------------------------


async def test_what_could_not_be_settled_at_once_is_settled_by_the_next_step(
    shelter: ShelteredBudgetStore, path: Path, clock: SetClock
) -> None:
    grant = await shelter.reserve(JANUARY, {ACME: 100}, [20], expires_us=LATER)
    lock = Lock(path)
    assert shelter.settle(Debt(grant.hold, JANUARY, (ACME,), 7)) == {}
    lock.release()
    assert shelter.settle(Debt(None, JANUARY, (ACME,), 1)) == {ACME: Balance(8, 0)}
    assert (shelter.in_trouble, told) == (False, [])


async def test_whoever_reserves_waits_until_the_others_debts_are_booked(
    shelter: ShelteredBudgetStore, path: Path, clock: SetClock
) -> None:
    grant = await shelter.reserve(JANUARY, {ACME: 100}, [20], expires_us=JANUARY + 10**12)
    lock = Lock(path)
    shelter.settle(Debt(grant.hold, JANUARY, (ACME,), 90))
    tasks = [
        asyncio.create_task(shelter.reserve(JANUARY, {ACME: 100}, [20, 4], expires_us=JANUARY + 10**12))
        for _ in range(3)
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    lock.release()
    assert [grant.amount for grant in await asyncio.gather(*tasks)] == [4, 4, 0]
    assert await one(shelter) == Balance(90, 8)
    assert told == []


async def test_a_debt_is_not_forgotten_when_whoever_pays_it_leaves(
    shelter: ShelteredBudgetStore, path: Path, clock: SetClock
) -> None:
    await shelter.balances(JANUARY, [ACME])
    lock = Lock(path)
    shelter.settle(Debt(None, JANUARY, (ACME,), 5))
    task = asyncio.create_task(shelter.reserve(JANUARY, {ACME: 100}, [20], expires_us=LATER))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    lock.release()
    await shelter.close()
    assert await one(shelter) == Balance(5, 0)


async def test_limits_hold_while_the_ledger_is_away_and_it_is_told_everything_afterwards(
    shelter: ShelteredBudgetStore, path: Path, clock: SetClock
) -> None:
    await shelter.begin(JANUARY, {ACME: 40})
    before = await shelter.reserve(JANUARY, {ACME: 100}, [20], expires_us=JANUARY + 10**12)
    lock = Lock(path)
    # 40 are spent and 20 held: here there is room for 40 more.
    granted = [await shelter.reserve(JANUARY, {ACME: 100}, [20], expires_us=JANUARY + 10**12) for _ in range(3)]
    assert [grant.hold is not None for grant in granted] == [True, True, False]
    assert shelter.in_trouble
    assert told == [
        f"the budget ledger {path} cannot be used: database is locked; the limits are kept by this process alone until "
        "it can"
    ]
    assert shelter.settle(Debt(granted[0].hold, JANUARY, (ACME,), 15)) == {ACME: Balance(75, 20)}
    shelter.settle(Debt(before.hold, JANUARY, (ACME,), 12))
    assert shelter.extend(granted[1].hold or "", JANUARY, {ACME: 1000}, 21)
    assert shelter.claim(JANUARY, ACME, "0.75")
    lock.release()
    assert await shelter.balances(JANUARY, [ACME]) == {ACME: Balance(67, 0)}
    assert not shelter.in_trouble
    shelter.settle(Debt(granted[1].hold, JANUARY, (ACME,), 3))
    assert await shelter.balances(JANUARY, [ACME]) == {ACME: Balance(70, 0)}
    assert len(told) == 1
    await shelter.reserve(FEBRUARY, {ACME: 100}, [20], expires_us=LATER)
    Lock(path)
    assert (await shelter.reserve(FEBRUARY, {ACME: 100}, [90], expires_us=LATER)).hold is None


async def test_a_ledger_that_cannot_be_made_is_done_without(tmp_path: Path, clock: SetClock) -> None:
    (tmp_path / "file").write_text("in the way")
    store = SqliteBudgetStore(tmp_path / "file" / "budgets.db", mode="mock", clock=clock)
    shelter = ShelteredBudgetStore(store, clock=clock, told=told.append)
    await shelter.begin(JANUARY, {ACME: 90})
    assert (await shelter.reserve(JANUARY, {ACME: 100}, [20], expires_us=LATER)).hold is None
    assert (await shelter.reserve(JANUARY, {ACME: 100}, [10], expires_us=LATER)).hold is not None
    shelter.settle(Debt(None, JANUARY, (ACME,), 1))
    await shelter.close()
    assert len(told) == 2
    assert "what was spent meanwhile is in the usage records alone" in told[1]


# --- processes ------------------------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, sys
from pathlib import Path
from providers.clock import SYSTEM_CLOCK
from sandbox.costs.base import ALL, Debt
from sandbox.costs.sqlite import SqliteBudgetStore
PERIOD, LIMIT = 1_735_689_600_000_000, 10_000
store = SqliteBudgetStore(Path(sys.argv[1]), mode="mock", clock=SYSTEM_CLOCK)

async def reserve(seconds, amount=100):
    expires = SYSTEM_CLOCK.time_us() + round(seconds * 1e6)
    return await store.reserve(PERIOD, {ALL: LIMIT}, [amount], expires_us=expires)
"""


def start(path: Path, body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM + body, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_processes_together_never_hold_more_than_the_limit(path: Path) -> None:
    """Room for 100 holds of 100; three processes want 200 each, as fast as they can."""
    body = """
async def main():
    granted = [await reserve(3600) for _ in range(200)]
    print(sum(one.hold is not None for one in granted), flush=True)

asyncio.run(main())
"""
    processes = [start(path, body) for _ in range(3)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sum(int(out) for out, _ in outputs) == 100
    store = SqliteBudgetStore(path, mode="mock", clock=SYSTEM_CLOCK)
    assert await one(store, ALL) == Balance(0, 10_000)
    await store.close()


_SETTLING = """
from sandbox.costs.sheltered import ShelteredBudgetStore

async def main():
    shelter = ShelteredBudgetStore(store, clock=SYSTEM_CLOCK, told=print)
    for _ in range(300):
        expires = SYSTEM_CLOCK.time_us() + 3_600_000_000
        grant = await shelter.reserve(PERIOD, {ALL: LIMIT}, [3], expires_us=expires)
        shelter.settle(Debt(grant.hold, PERIOD, (ALL,), 1))
    await shelter.close()

asyncio.run(main())
"""


async def test_what_processes_spend_together_adds_up(path: Path) -> None:
    processes = [start(path, _SETTLING) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [out for out, _ in outputs] == ["", ""]
    store = SqliteBudgetStore(path, mode="mock", clock=SYSTEM_CLOCK)
    assert await one(store, ALL) == Balance(600, 0)
    await store.close()


async def test_the_holds_of_a_killed_process_end_with_their_deadlines(path: Path) -> None:
    body = """
async def main():
    await reserve(20, 6000)
    store.settle(Debt((await reserve(20, 4000)).hold, PERIOD, (ALL,), 500))
    print("held", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""
    process = start(path, body)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    clock = SetClock()
    clock.now_us = SYSTEM_CLOCK.time_us()
    store = SqliteBudgetStore(path, mode="mock", clock=clock)
    assert await one(store, ALL) == Balance(500, 6000)
    assert (await store.reserve(JANUARY, {ALL: 10_000}, [4000], expires_us=0)).hold is None
    clock.now_us += 20_000_000
    assert (await store.reserve(JANUARY, {ALL: 10_000}, [9500], expires_us=clock.now_us + 1)).hold is not None
    assert await one(store, ALL) == Balance(500, 9500)
    await store.close()
