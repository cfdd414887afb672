"""Periods, and the record's other shapes."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.usage import periods
from sandbox.usage.migrations import STEPS
from sandbox.usage.records import (
    COLUMNS,
    MAX_PICO,
    as_json,
    from_json,
    from_row,
    log_id,
    mended,
    read_story,
    story_text,
    to_pico,
    to_row,
    to_usd,
)
from sandbox.usage.reports import cover
from sandbox.usage.rollups import BITS, KEY_COLUMNS, KINDS, SUM_COLUMNS, kind_for
from tests.contract.usage_records import DAY_US, START_US, a_record

TIMES = st.integers(periods.BEGINNING_US, periods.END_US - 1)


@given(TIMES, st.sampled_from(periods.GRAINS))
def test_a_time_lies_in_its_period(time_us: int, grain: periods.Grain) -> None:
    start = periods.floor(time_us, grain)
    assert start <= time_us < periods.following(start, grain)
    assert periods.floor(start, grain) == periods.ceil(start, grain) == start
    assert periods.ceil(time_us, grain) in (start, periods.following(start, grain))


def test_months_have_their_own_lengths() -> None:
    assert periods.floor(START_US + 58 * DAY_US + 5, "month") == START_US + 31 * DAY_US
    assert periods.ceil(START_US + 31 * DAY_US + 5, "month") == START_US + 59 * DAY_US


@given(TIMES)
def test_a_name_says_its_beginning(time_us: int) -> None:
    for dimension in ("hour", "day", "month"):
        start = periods.floor(time_us, dimension)
        assert periods.named(periods.name(start, dimension)) == datetime.fromtimestamp(start // 10**6, UTC)


@pytest.mark.parametrize("text", ["", "2025", "2025-13", "yesterday", "2025-01-01T00:30Z", "1969-12", "9999-12"])
def test_another_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no hour, day or month"):
        periods.named(text)


@given(TIMES, TIMES, st.integers(1, len(periods.GRAINS)))
def test_a_cover_is_the_range_without_gap_or_overlap(since: int, until: int, coarsest: int) -> None:
    grains = periods.GRAINS[:coarsest]
    pieces = list(cover(since, until, grains))
    position = since
    for piece in pieces:
        assert piece.since_us == position < piece.until_us
        position = piece.until_us
        if piece.grain is not None:
            assert periods.floor(piece.since_us, piece.grain) == piece.since_us
            assert periods.floor(piece.until_us, piece.grain) == piece.until_us
        else:
            assert piece.until_us - piece.since_us <= 2 * periods.SIZES_US[grains[0]]
    assert position == until or not pieces
    assert bool(pieces) == (since < until)
    assert len(pieces) <= 2 * len(grains) + 1


@given(st.sets(st.sampled_from(sorted(BITS))))
def test_the_kind_for_some_dimensions_keeps_them_all(dimensions: set[str]) -> None:
    kind = kind_for(dimensions)
    assert all(kind.keeps(dimension) for dimension in dimensions)
    assert all(kind.bits & source.bits == kind.bits for source in KINDS if source.bits == kind.source)


# --- money ---------------------------------------------------------------------------------------------------------


@given(st.integers(-MAX_PICO, MAX_PICO))
def test_money_survives_whatever_the_precision_around(pico: int) -> None:
    usd = Decimal(pico).scaleb(-12)
    with localcontext() as context:
        context.prec = 3
        assert to_pico(usd) == pico
        assert to_usd(pico) == usd


def test_less_than_a_picodollar_is_rounded_half_to_even() -> None:
    assert [to_pico(Decimal(text)) for text in ("5E-13", "1.5E-12", "4E-13", "-5.1E-13")] == [0, 2, 0, -1]
    assert str(to_usd(6_000_000_000)) == "0.006"


@pytest.mark.parametrize("usd", ["9223372.036854775808", "1E+30", "1E+999999", "-9300000", "NaN", "Infinity", "sNaN"])
def test_money_beyond_64_bits_is_refused(usd: str) -> None:
    with pytest.raises(ValueError, match="million"):
        to_pico(Decimal(usd))


def test_a_record_whose_money_is_too_large_is_kept_as_unpriced_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        row = dict(zip(COLUMNS, to_row(1, a_record(estimated_cost=Decimal("1E+30"))), strict=True))
    assert row["estimated_cost_pico"] is None
    assert "unpriced" in caplog.text


# --- shapes --------------------------------------------------------------------------------------------------------


def test_a_log_id_sorts_by_time_within_tenant_and_agent() -> None:
    times = [START_US, START_US + 1, START_US + 10**6, START_US + 400 * DAY_US]
    names = [log_id("acme", "writer", time_us, "7f") for time_us in times]
    assert names[0] == "acme#writer#2025-01-01T00:00:00.000000Z-7f"
    assert names == sorted(names)


def test_the_export_has_the_names_and_forms_that_users_rely_on() -> None:
    body = as_json(a_record(1, estimated_cost=Decimal("1E-7"), waste_cost=Decimal("0.50"), story={"secret": 1}))
    assert set(body) >= {
        "log_id", "tenant_id", "agent_id", "timestamp", "mode", "model", "requested_model", "provider", "tokens_used",
        "prompt_tokens", "completion_tokens", "cached_tokens", "estimated_cost", "waste_cost", "catalogue_version",
        "latency_ms", "ttft_ms", "cached", "success", "error_type", "attempts", "failovers", "trace_id",
    }  # fmt: skip
    assert body["timestamp"] == "2025-01-01T00:00:00.000001Z"
    assert (body["estimated_cost"], body["waste_cost"]) == ("0.0000001", "0.50")
    assert "story" not in body
    assert as_json(a_record(estimated_cost=None))["estimated_cost"] is None


@pytest.mark.parametrize("changes", [{}, {"estimated_cost": None, "saved_cost": Decimal("0.1"), "success": False}])
def test_json_and_rows_lead_back_to_the_record(changes: dict[str, Any]) -> None:
    record = a_record(3, **changes)
    assert from_json(orjson.loads(orjson.dumps(as_json(record)))) == record
    assert from_json(as_json(record) | {"of_a_newer_version": 1}) == record
    assert from_row(to_row(1, record)) == record


@dataclass(slots=True)
class Attempt:
    provider: str
    cost_usd: Decimal


@pytest.mark.parametrize("odd", ["plain", "\ud800 alone", 2**70], ids=["plain", "surrogate", "huge"])
def test_a_story_keeps_dataclasses_money_and_what_strict_json_refuses(odd: object) -> None:
    text = story_text({"attempts": [Attempt("openai", Decimal("1E-7"))], "odd": odd})
    assert read_story(text) == {"attempts": [{"provider": "openai", "cost_usd": "0.0000001"}], "odd": odd}


def test_a_record_is_mended_only_where_it_must_be() -> None:
    record = a_record(
        1, tenant_id="a\udcff", tokens_used=10**30, latency_ms=float("nan"), ttft_ms=float("inf"), estimated_cost=0.1
    )
    fixed = mended(record)
    assert fixed.tenant_id == "a\\udcff"
    assert (fixed.tokens_used, fixed.latency_ms, fixed.ttft_ms) == (10**15, 0.0, 1e15)
    assert fixed.estimated_cost == Decimal("0.1")
    assert mended(a_record(2)) == a_record(2)


def test_the_columns_are_those_of_the_table() -> None:
    connection = sqlite3.connect(":memory:")
    for step in STEPS:
        for statement in step.statements:
            connection.execute(statement)
    assert {column[1] for column in connection.execute("PRAGMA table_info(usage)")} == set(COLUMNS)
    assert {column[1] for column in connection.execute("PRAGMA table_info(rollup)")} == {*KEY_COLUMNS, *SUM_COLUMNS}
    connection.close()
