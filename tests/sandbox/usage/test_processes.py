"""Real processes: killed at any moment, several at once, ended without a goodbye."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from providers.clock import SYSTEM_CLOCK
from sandbox.usage import migrations
from sandbox.usage.base import UsageFilter
from sandbox.usage.sqlite import SqliteUsageStore

ROOT = Path(__file__).parents[3]

PROGRAM = """
import asyncio, sys
from decimal import Decimal
from pathlib import Path
from providers.clock import SYSTEM_CLOCK
from sandbox.usage.base import UsageFilter
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import HOUR_US, START_US, a_record

path, name, first, end, chunk = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])

def record(number):
    return a_record(
        number, request_id=f"{name}-{number}", tenant_id=f"tenant-{number % 7}", model=f"model-{number % 3}",
        timestamp_us=START_US + number * HOUR_US // 50, estimated_cost=Decimal("0.000000000001"),
        log_id=f"{name}-{number}",
    )
"""

ACKNOWLEDGING = """
async def main():
    store = SqliteUsageStore(path, clock=SYSTEM_CLOCK)
    for number in range(first, end):
        store.record(record(number))
        if number % chunk == chunk - 1:
            await store.flush()
            print(number, flush=True)
    await store.close()
    assert store.problem is None, store.problem

asyncio.run(main())
"""


def start(path: Path, name: str, first: int, end: int, chunk: int, body: str = ACKNOWLEDGING) -> subprocess.Popen[str]:
    arguments = [str(path), name, str(first), str(end), str(chunk)]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM + body, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


async def verified(path: Path) -> list[str]:
    """The request ids that are there, after making sure that roll-ups and raw rows say the same."""
    store = SqliteUsageStore(path, clock=SYSTEM_CLOCK)
    try:
        records = [r async for r in store.scan(UsageFilter())]
        for by in ("tenant", "model", "day", "hour"):
            groups = [totals for _, totals in await store.breakdown(UsageFilter(), by)]  # type: ignore[arg-type]
            assert sum(totals.requests for totals in groups) == len(records)
            assert sum(totals.cost_usd for totals in groups) == len(records) * Decimal("0.000000000001")
        assert (await store.totals(UsageFilter())).requests == len(records)
        assert store.problem is None
        return [r.request_id for r in records]
    finally:
        await store.close()


@pytest.mark.parametrize("acknowledgements", [1, 4, 30])
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, acknowledgements: int) -> None:
    path = tmp_path / "usage.db"
    process = start(path, "k", 0, 10**6, 13)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(acknowledgements)]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in process.stdout.read().splitlines() if line]
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    there = set(await verified(path))
    assert there >= {f"k-{number}" for number in range(acknowledged[-1] + 1)}
    finished(start(path, "after", 0, 26, 13))
    assert len(await verified(path)) == len(there) + 26


async def test_a_record_commits_without_being_asked_and_then_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    body = """
store = SqliteUsageStore(path, clock=SYSTEM_CLOCK)
store.record(record(1))
print("recorded", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + body, str(path), "k", "0", "0", "1"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "recorded\n"
    reader = sqlite3.connect(path)
    while not reader.execute("SELECT count(*) FROM usage").fetchone()[0]:
        assert process.poll() is None
    reader.close()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert await verified(path) == ["k-1"]


async def test_two_processes_at_once_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    processes = [start(path, "same", first, first + 2000, 50) for first in (0, 1900)]
    for process in processes:
        finished(process)
    assert sorted(await verified(path)) == sorted(f"same-{number}" for number in range(3900))


async def test_several_processes_may_begin_the_database_together(tmp_path: Path) -> None:
    path = tmp_path / "new" / "usage.db"
    processes = [start(path, f"p{number}", 0, 20, 5) for number in range(5)]
    for process in processes:
        finished(process)
    assert len(await verified(path)) == 100
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM _sqlite_migrations").fetchone() == (len(migrations.STEPS),)
    connection.close()


async def test_a_program_that_forgets_to_close_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    body = """
store = SqliteUsageStore(path, clock=SYSTEM_CLOCK)
for number in range(first, end):
    store.record(record(number))
"""
    finished(start(path, "f", 0, 300, 1, body))
    assert len(await verified(path)) == 300


def test_recording_and_looking_up_do_not_import_sqlite_utils(tmp_path: Path) -> None:
    body = """
async def main():
    store = SqliteUsageStore(path, clock=SYSTEM_CLOCK)
    store.record(record(1))
    await store.flush()
    await store.totals(UsageFilter())
    await store.get("i-1")
    await store.recent(UsageFilter())
    await store.prune(before_us=0)
    await store.close()

asyncio.run(main())
import json
print(json.dumps([name for name in ("sqlite_utils", "pydantic", "diskcache") if name in sys.modules]))
"""
    for _ in ("a new database", "an existing one"):
        assert json.loads(finished(start(tmp_path / "usage.db", "i", 0, 0, 1, body))) == []
