"""The spool before DynamoDB, and what an item can hold: bounded, said once, and one record is one record."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.attempts import RetryPolicy
from providers.clock import iso
from sandbox.usage.base import UsageFilter, UsageUnavailable
from sandbox.usage.dynamodb import counters, names
from sandbox.usage.dynamodb.items import LARGEST, record_item, record_of, request_item
from sandbox.usage.records import to_row
from tests.contract.usage_records import DAY_US, HOUR_US, START_US, a_record, expected_breakdown, expected_totals
from tests.dynamo import servers
from tests.dynamo.stores import access, made, opened, table_of
from tests.fake_clock import FakeClock
from tests.faults.proxy import proxied

ROOT = Path(__file__).parents[3]
NOWHERE = "http://127.0.0.1:9"


def away(folder: Path, **options: Any) -> Any:
    """A store whose DynamoDB cannot be reached."""
    from providers.clock import seeded
    from sandbox.usage.dynamodb import DynamoUsageStore

    return DynamoUsageStore(
        "logs",
        access(NOWHERE),
        folder=folder,
        **{
            "clock": FakeClock(),
            "draws": seeded(0),
            "linger": 0.01,
            "patience": RetryPolicy(base_delay=0.02, max_delay=0.05),
            **options,
        },
    )


# --- items ----------------------------------------------------------------------------------------------------------

MONEY = st.decimals(-9_000_000, 9_000_000, places=12)


@given(
    st.fixed_dictionaries(
        {
            "tenant_id": st.text(max_size=20),
            "agent_id": st.text(max_size=20),
            "provider": st.sampled_from(["", "openai"]),
            "timestamp_us": st.integers(0, 4_000_000_000_000_000),
            "estimated_cost": st.none() | MONEY,
            "waste_cost": MONEY,
            "saved_cost": st.none() | MONEY,
            "premium_cost": st.none() | MONEY,
            "latency_ms": st.floats(0, 1e15),
            "ttft_ms": st.none() | st.floats(1e-90, 1e15),
            "success": st.booleans(),
            "estimated_tokens": st.booleans(),
            "error_type": st.none() | st.just("RateLimitError"),
            "requested_model": st.none() | st.just("gpt-4"),
            "tokens_used": st.integers(0, 10**15),
        }
    ).filter(lambda values: values["tenant_id"] != names.NOBODY and values["agent_id"] != names.NOBODY)
)
def test_an_item_holds_a_record_to_the_digit(values: dict[str, Any]) -> None:
    record = a_record(1, **values)
    if record.latency_ms <= 1e-100:
        record.latency_ms = 0.0
    assert record_of(record_item(to_row(0, record), kept_s=None)) == record


def test_an_item_shows_what_the_seeds_describe() -> None:
    item = record_item(to_row(0, a_record(1, provider="", estimated_cost=None)), kept_s=DAY_US / 1e6)
    assert {
        "log_id", "tenant_id", "agent_id", "timestamp", "model", "provider", "tokens_used", "prompt_tokens",
        "completion_tokens", "estimated_cost", "latency_ms", "cached", "success",
    } <= item.keys()  # fmt: skip
    assert item["estimated_cost"] == {"NULL": True}
    assert item["timestamp"] == {"S": "2025-01-01T00:00:00.000001Z"}
    assert item["expires_at"] == {"N": str(START_US // 1_000_000 + 86_400)}


def test_an_item_that_another_program_wrote_is_a_record() -> None:
    found = record_of(
        {
            "log_id": {"S": "t#a#2025"}, "tenant_id": {"S": "t"}, "agent_id": {"S": "a"},
            "timestamp": {"S": "2025-01-01T00:00:00+00:00"}, "model": {"S": "gpt-4"}, "provider": {"S": "openai"},
            "tokens_used": {"N": "150"}, "estimated_cost": {"N": "0.006"}, "latency_ms": {"N": "12"},
            "cached": {"BOOL": False}, "success": {"BOOL": True},
        }
    )  # fmt: skip
    assert (found.timestamp_us, found.estimated_cost, found.tokens_used) == (START_US, Decimal("0.006"), 150)


def test_what_an_item_cannot_hold_is_cut_and_stays_apart(caplog: pytest.LogCaptureFixture) -> None:
    rows = [to_row(0, a_record(n, tenant_id="t" * 5000 + str(n), request_id="r" * 5000 + str(n))) for n in range(2)]
    items = [record_item(row, kept_s=None) for row in rows] + [request_item(row, kept_s=None) for row in rows]
    keys = [item["log_id"]["S"].encode() for item in items if item]
    assert len(set(keys)) == 4
    assert max(map(len, keys)) <= 2048
    assert all(len(item["timestamp"]["S"].encode()) <= 1024 for item in items if item)
    long = record_item(to_row(0, a_record(1, story={"answer": "x" * (LARGEST + 1)})), kept_s=None)
    assert "story" not in long
    assert "too long for DynamoDB" in caplog.text


async def test_a_name_as_long_as_an_item_holds_nothing_up(tmp_path: Path) -> None:
    """A caller names tenant and model; what no table would take must not keep the records behind it from it."""
    endless = dict.fromkeys(
        ("tenant_id", "agent_id", "provider", "model", "requested_model", "request_id"), "x" * 10**6
    )
    store = opened(servers.moto(), tmp_path)
    try:
        store.record(a_record(1, **endless, story={"answer": "y" * 300_000}))
        store.record(a_record(2))
        await store.flush()
        assert (await store.totals(UsageFilter())).requests == 2
        [long] = await store.recent(UsageFilter(tenant_id="x" * 10**6, model="x" * 10**6))
        assert (long.story, len(long.model)) == ({"answer": "y" * 300_000}, 2**14)
        by_model = dict(await store.breakdown(UsageFilter(tenant_id="x" * 10**6), "model"))
        assert list(by_model) == [long.model]
        found = await store.get("x" * 10**6)
        assert found == long
    finally:
        await store.close()


async def test_sums_that_no_table_would_take_hold_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(names, "LONGEST_TEXT", 10**6)
    store = opened(servers.moto(), tmp_path)
    try:
        store.record(a_record(1, model="x" * 500_000))
        store.record(a_record(2))
        await store.flush()
        assert (await store.spool_state()).depth == 0
        assert [one.request_id for one in await store.recent(UsageFilter())] == ["req-000002"]
        assert "sums of usage records cannot be stored in DynamoDB" in caplog.text
    finally:
        await store.close()


def test_names_that_look_alike_have_roll_ups_of_their_own() -> None:
    rows = [
        to_row(0, a_record(1, tenant_id="a#b", agent_id="c")),
        to_row(0, a_record(2, tenant_id="a", agent_id="b#c")),
        to_row(0, a_record(3, tenant_id="a~1b", agent_id="c")),
    ]
    whole = [one for one in counters.additions(rows) if len(one.dimensions) == 4]
    assert len({one.key for one in whole}) == 2 * len(rows)


async def test_a_tenant_named_like_a_shelf_changes_no_report(tmp_path: Path) -> None:
    store = opened(servers.moto(), tmp_path)
    shelf = counters.shelf("mock", counters.MODELS, "day")
    records = [
        a_record(1),
        a_record(2, tenant_id=shelf),
        a_record(3, tenant_id="§request#r"),
        a_record(4, tenant_id=""),
    ]
    for record in records:
        store.record(record)
    assert await store.totals(UsageFilter()) == expected_totals(records, UsageFilter())
    assert await store.breakdown(UsageFilter(), "tenant") == expected_breakdown(records, UsageFilter(), "tenant")
    assert [r async for r in store.scan(UsageFilter(tenant_id=""))] == records[3:]
    assert await store.get("req-000003") == records[2]
    await store.close()


# --- the spool ------------------------------------------------------------------------------------------------------


async def test_what_waits_is_told_with_its_reason_and_sent_when_it_can_be(tmp_path: Path) -> None:
    table = made(servers.moto(), tmp_path)
    with proxied(servers.moto()) as (url, faults):
        faults.gone = True
        store = opened(servers.moto(), tmp_path)
        await store.close()
        store = _at(url, table, tmp_path)
        for number in range(50):
            store.record(a_record(number))
        with pytest.raises(UsageUnavailable, match="50 usage records wait in"):
            await store.flush()
        state = await store.spool_state()
        assert (state.depth, state.oldest_us, state.sent, state.lost) == (50, START_US, 0, 0)
        assert state.problem is not None
        assert "cannot be reached" in state.problem
        assert state.problem_since_us is not None
        assert store.problem is not None
        assert "50 usage records wait in the spool" in store.problem
        faults.end()
        await store.flush()
        state = await store.spool_state()
        assert (state.depth, state.sent, state.problem, store.problem) == (0, 50, None, None)
        await store.close()


def _at(url: str, table: str, folder: Path, **options: Any) -> Any:
    from providers.clock import seeded
    from sandbox.usage.dynamodb import DynamoUsageStore

    return DynamoUsageStore(
        table,
        access(url),
        folder=folder,
        **{
            "clock": FakeClock(),
            "draws": seeded(0),
            "linger": 0.01,
            "patience": RetryPolicy(base_delay=0.02, max_delay=0.05),
            **options,
        },
    )


async def test_a_full_spool_says_so_once_and_counts_what_it_loses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = away(tmp_path, spool_limit=200_000)
    for number in range(2000):
        store.record(a_record(number))
        if number % 100 == 99:
            await store.spool_state()
    state = await store.spool_state()
    assert 0 < state.lost < 2000
    assert state.depth + state.lost == 2000
    assert f"{state.lost} usage records were lost" in (store.problem or "")
    assert caplog.text.count("has reached its") == 1
    await store.close()


async def test_each_table_and_place_has_a_spool_of_its_own(tmp_path: Path) -> None:
    stores = [away(tmp_path), _at(NOWHERE, "others", tmp_path), _at("http://127.0.0.1:8", "logs", tmp_path)]
    assert len({(await store.spool_state()).path for store in stores}) == 3
    for store in stores:
        await store.close()


async def test_the_copy_of_a_spool_is_another_spool(tmp_path: Path) -> None:
    # A machine image holds a data folder: two machines go on from it, and their batches have the same numbers.
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    store = opened(servers.moto(), first)
    store.record(a_record(0))
    await store.flush()
    await store.close()
    shutil.copytree(first, second)
    table = table_of(first)
    records = [a_record(0)]
    for folder, numbers in ((first, range(1, 4)), (second, range(4, 7))):
        store = _at(servers.moto(), table, folder)
        for number in numbers:
            records.append(a_record(number))
            store.record(records[-1])
        await store.flush()
        assert await store.totals(UsageFilter()) == expected_totals(records, UsageFilter())
        await store.close()


async def test_a_record_that_the_table_has_is_not_counted_again_from_another_spool(tmp_path: Path) -> None:
    made(servers.moto(), tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        store = _at(servers.moto(), table_of(tmp_path), tmp_path / name)
        for number in range(3):
            store.record(a_record(number))
        assert (await store.totals(UsageFilter())).requests == 3
        await store.close()


async def test_a_throttled_call_is_made_again_after_growing_pauses(tmp_path: Path) -> None:
    table = made(servers.moto(), tmp_path)
    slept: list[float] = []
    with proxied(servers.moto(), seed=3) as (url, faults):
        faults.unprocessed, faults.throttled = 0.6, 0.2
        store = _at(url, table, tmp_path, pause=slept.append)
        for number in range(60):
            store.record(a_record(number))
        await _flushed(store)
        assert (await store.totals(UsageFilter())).requests == 60
        await store.close()
    assert slept
    assert max(slept) <= 1.0


async def _flushed(store: Any) -> None:
    for _ in range(20):
        try:
            await store.flush()
        except UsageUnavailable:
            continue
        return
    raise AssertionError("it never took the records")


@pytest.mark.skipif(bool(servers.no_dynalite()), reason=str(servers.no_dynalite()))
async def test_an_item_that_no_table_takes_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from sandbox.usage.dynamodb import sender

    def spoilt(row: Any, *, kept_s: float | None) -> Any:
        item = record_item(row, kept_s=kept_s)
        if item["request_id"]["S"] == "req-000002":
            item["timestamp"] = {"N": "1"}
        return item

    monkeypatch.setattr(sender, "record_item", spoilt)
    # Moto takes a key of any type.
    store = opened(servers.dynalite(), tmp_path)
    for number in range(4):
        store.record(a_record(number))
    await store.flush()
    assert {r.request_id async for r in store.scan(UsageFilter())} == {"req-000000", "req-000001", "req-000003"}
    assert "cannot be stored in DynamoDB" in caplog.text
    await store.close()


async def test_a_table_of_another_shape_keeps_every_record_in_the_spool(tmp_path: Path) -> None:
    from providers.clock import seeded
    from sandbox.usage.dynamodb import table as tables
    from sandbox.usage.dynamodb.client import Table

    table = Table(table_of(tmp_path), access(servers.moto()), draws=seeded(0))
    wanted = tables.definition(table.name)
    wanted["KeySchema"] = [{"AttributeName": "nothing", "KeyType": "HASH"}]
    wanted["AttributeDefinitions"][0] = {"AttributeName": "nothing", "AttributeType": "S"}
    table.call("create_table", **wanted)
    table.close()
    store = _at(servers.moto(), table.name, tmp_path)
    store.record(a_record(1))
    with pytest.raises(UsageUnavailable, match="1 usage records wait"):
        await store.flush()
    assert (await store.spool_state()).depth == 1
    await store.close()


async def test_what_is_older_than_its_retention_counts_by_whole_hours(tmp_path: Path) -> None:
    clock = FakeClock()
    store = opened(servers.moto(), tmp_path, retention_days=30, clock=clock)
    for number in range(10):
        store.record(a_record(number))
    await store.flush()
    cut = UsageFilter(since_us=START_US + 5)
    assert (await store.totals(cut)).requests == 5
    # From now on DynamoDB may have deleted them, or not yet.
    clock.now = 30 * 86_400 + HOUR_US / 1e6
    assert (await store.totals(cut)).requests == 10
    await store.close()


PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from providers.clock import SYSTEM_CLOCK
from sandbox.usage.dynamodb import AwsAccess, DynamoUsageStore
from tests.contract.usage_records import a_record

store = DynamoUsageStore("logs", AwsAccess("eu-north-1", sys.argv[1]), folder=Path(sys.argv[2]), clock=SYSTEM_CLOCK)
store.record(a_record(1))
"""


def test_a_store_that_nobody_closes_keeps_its_record_and_says_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, NOWHERE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    (spool,) = tmp_path.glob("*.spool.db")
    with sqlite3.connect(spool) as connection:
        assert connection.execute("SELECT request_id FROM usage").fetchall() == [("req-000001",)]
    connection.close()


async def test_no_secret_is_in_the_spool_a_problem_or_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = replace(access(NOWHERE), access_key_id="AKIACANARY", secret_access_key="CANARYSECRET")
    from providers.clock import seeded
    from sandbox.usage.dynamodb import DynamoUsageStore

    store = DynamoUsageStore("logs", secret, folder=tmp_path, clock=FakeClock(), draws=seeded(0), linger=0.01)
    store.record(a_record(1, timestamp_us=START_US))
    with pytest.raises(UsageUnavailable) as raised:
        await store.flush()
    await store.close()
    said = caplog.text + str(raised.value) + json.dumps(store.problem) + iso(START_US)
    assert "CANARYSECRET" not in said
    for file in tmp_path.iterdir():
        assert b"CANARY" not in file.read_bytes()
