"""Answers questions about usage from the roll-ups, and from raw rows only where a time range cuts a period.

`totals` runs on the bare connection, because a budget asks it at the start of every run. What makes a table or
describes the database goes through sqlite-utils, which is imported when the first such report is asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from sandbox.usage import periods
from sandbox.usage.base import DIMENSIONS, Dimension, Summary, UsageFilter, UsageTotals
from sandbox.usage.periods import Grain
from sandbox.usage.records import LARGEST_COUNT, PICO, to_usd
from sandbox.usage.rollups import BITS, SUM_COLUMNS, Kind, kind_for

PRUNED = "pruned_before_us"
"""The fact that says up to which time raw rows were deleted."""


_UNINDEXED = ("provider", "model")


class Piece(NamedTuple):
    """A part of a time range, `[since_us, until_us)`, and the grain of the roll-ups that cover it; None: raw rows."""

    grain: Grain | None
    since_us: int
    until_us: int


def cover(since_us: int, until_us: int, grains: tuple[Grain, ...]) -> Iterator[Piece]:
    """The range in as few pieces as possible: whole periods of the coarsest grain inside, finer ones at both ends."""
    if since_us >= until_us:
        return
    if not grains:
        yield Piece(None, since_us, until_us)
        return
    *finer, grain = grains
    start, end = periods.ceil(since_us, grain), periods.floor(until_us, grain)
    if start >= end:
        yield from cover(since_us, until_us, tuple(finer))
        return
    yield from cover(since_us, start, tuple(finer))
    yield Piece(grain, start, end)
    yield from cover(end, until_us, tuple(finer))


def totals(connection: sqlite3.Connection, where: UsageFilter) -> UsageTotals:
    """The sums over the records that `where` names."""

    def run(sql: str, parameters: list[Any]) -> Iterable[tuple[Any, ...]]:
        return connection.execute(sql, parameters).fetchall()

    return totals_of(_sums(connection, where, None, run).get("", []))


def breakdown(connection: sqlite3.Connection, where: UsageFilter, by: Dimension) -> list[tuple[str, UsageTotals]]:
    """Totals for each value of a dimension, dearest first; times in order, named as in `periods.name`."""
    from sqlite_utils import Database

    database = Database(connection, recursive_triggers=False, execute_plugins=False)

    def run(sql: str, parameters: list[Any]) -> Iterable[tuple[Any, ...]]:
        # Not `query`, which makes a dictionary of each row: a third of the time of a series.
        return database.execute(sql, parameters).fetchall()

    return ranked(_sums(connection, where, by, run), by)


def summary(connection: sqlite3.Connection, where: UsageFilter) -> Summary:
    """The totals and all breakdowns: each roll-up is read once for all that it tells, and each raw row once."""
    wanted = wanted_of(where)
    kinds: dict[Kind, list[Dimension]] = {}
    for by in DIMENSIONS:
        kinds.setdefault(kind_for([*wanted, by]), []).append(by)
    groups: dict[Dimension, dict[str, Sequence[int]]] = {by: {} for by in DIMENSIONS}
    raw: dict[Piece, list[tuple[Any, ...]]] = {}
    with _moment(connection) as pruned_us:
        for kind, told in kinds.items():
            for piece in _pieces(where, kind.grains, pruned_us, kind.grains[0]):
                if piece.grain is None:
                    if piece not in raw:
                        raw[piece] = connection.execute(*_select_raw(piece, where.mode, wanted, DIMENSIONS)).fetchall()
                    rows, columns = raw[piece], DIMENSIONS
                else:
                    rows = connection.execute(*_select(kind, piece, where.mode, wanted, told)).fetchall()
                    columns = tuple(told)
                places = [(columns.index(by), groups[by]) for by in told]
                for row in rows:
                    values = row[len(columns) :]
                    for place, sums in places:
                        name = row[place]
                        have = sums.get(name)
                        sums[name] = values if have is None else [a + b for a, b in zip(have, values, strict=True)]
    whole = [sum(column) for column in zip(*groups["provider"].values(), strict=True)]
    return Summary(totals_of(whole), {by: ranked(sums, by) for by, sums in groups.items()})


def ranked(sums: Mapping[str, Sequence[int]], by: Dimension) -> list[tuple[str, UsageTotals]]:
    """The groups of a breakdown in its order."""
    groups = [(name, totals_of(values)) for name, values in sums.items()]
    if by in BITS:
        return sorted(groups, key=lambda group: (-group[1].cost_usd, -group[1].requests, group[0]))
    return sorted(groups)


def narrowed(connection: sqlite3.Connection, where: UsageFilter) -> UsageFilter | None:
    """The filter with its time range cut to the days in which its provider and model occur at all; None: never.

    No index has provider or model, so a search for a rare one would otherwise read every record.
    """
    wanted = {name: value for name, value in wanted_of(where).items() if name in _UNINDEXED}
    if not wanted:
        return where
    kind = kind_for(_UNINDEXED)
    conditions = " AND ".join(["kind = ?", "grain = 'day'", "mode = ?", *(f"{name} = ?" for name in wanted)])
    sql = f"SELECT min(start_us), max(start_us) FROM rollup WHERE {conditions}"  # noqa: S608 - constants
    first, last = connection.execute(sql, [kind.bits, where.mode, *wanted.values()]).fetchone()
    if first is None:
        return None
    since, until = where.since_us, where.until_us
    return replace(
        where,
        since_us=first if since is None else max(since, first),
        until_us=last + periods.DAY_US if until is None else min(until, last + periods.DAY_US),
    )


def describe(connection: sqlite3.Connection) -> dict[str, int]:
    """What the database holds: rows of each table, and bytes on disk without its write-ahead log."""
    from sqlite_utils import Database

    database = Database(connection, recursive_triggers=False, execute_plugins=False)
    pages, size, free = (
        next(database.query(f"PRAGMA {name}"))[name] for name in ("page_count", "page_size", "freelist_count")
    )
    return {
        "records": database["usage"].count,
        "rollup_rows": database["rollup"].count,
        "bytes": pages * size,
        "free_bytes": free * size,
    }


_Run = Callable[[str, list[Any]], Iterable[tuple[Any, ...]]]


def _sums(connection: sqlite3.Connection, where: UsageFilter, by: Dimension | None, run: _Run) -> dict[str, list[int]]:
    """For each name, the values of SUM_COLUMNS; the pieces are added here, where integers have no limit."""
    wanted = wanted_of(where)
    kind = kind_for([*wanted, by] if by in BITS else wanted)
    grains, told = kind.grains, [] if by is None else [by]
    if by in periods.GRAINS:
        coarsest = periods.GRAINS.index(by)
        grains = tuple(grain for grain in grains if periods.GRAINS.index(grain) <= coarsest)
    groups: dict[str, list[int]] = {}
    with _moment(connection) as pruned_us:
        for piece in _pieces(where, grains, pruned_us, kind.grains[0]):
            if piece.grain is None:
                select = _select_raw(piece, where.mode, wanted, told)
            else:
                select = _select(kind, piece, where.mode, wanted, told)
            for row in run(*select):
                values = list(row[len(told) :])
                name = row[0] if told else ""
                label = periods.name(int(name), by) if by in ("hour", "day", "month") else name
                have = groups.get(label)
                groups[label] = values if have is None else [a + b for a, b in zip(have, values, strict=True)]
    return groups


@contextmanager
def _moment(connection: sqlite3.Connection) -> Iterator[int]:
    """One transaction, so that every piece sees the same moment; up to when raw rows were deleted by then."""
    connection.execute("BEGIN")
    try:
        pruned = connection.execute("SELECT value FROM fact WHERE name = ?", [PRUNED]).fetchone()
        yield pruned[0] if pruned else 0
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _pieces(where: UsageFilter, grains: tuple[Grain, ...], pruned_us: int, finest: Grain) -> Iterator[Piece]:
    since = periods.BEGINNING_US if where.since_us is None else max(where.since_us, periods.BEGINNING_US)
    until = periods.END_US if where.until_us is None else min(where.until_us, periods.END_US)
    for piece in cover(since, until, grains):
        yield whole_where_pruned(piece, pruned_us, finest)


def wanted_of(where: UsageFilter) -> dict[str, str]:
    """The dimensions that a filter fixes, and at what."""
    given = {"tenant": where.tenant_id, "agent": where.agent_id, "provider": where.provider, "model": where.model}
    return {name: value for name, value in given.items() if value is not None}


def whole_where_pruned(piece: Piece, pruned_us: int, finest: Grain) -> Piece:
    """A cut period whose raw rows are gone counts whole: its roll-up is all that is known of it."""
    start = periods.floor(piece.since_us, finest)
    if piece.grain is None and start < pruned_us:
        return Piece(finest, start, periods.following(start, finest))
    return piece


def _name(by: Dimension, time: str, names: dict[str, str]) -> str:
    if by in BITS:
        return names[by]
    # Months are made of days here: SQLite's own calendar functions cost more than naming a few days in Python.
    return f"{time} - {time} % {periods.HOUR_US if by == 'hour' else periods.DAY_US}"


def _select(
    kind: Kind, piece: Piece, mode: str, wanted: dict[str, str], told: Sequence[Dimension]
) -> tuple[str, list[Any]]:
    """What gives a row of names and sums for each set of values of the dimensions `told`."""
    conditions, parameters = ["kind = ?", "grain = ?", "mode = ?"], [kind.bits, piece.grain, mode]
    first = next((dimension for dimension in BITS if kind.keeps(dimension)), None)
    if first in wanted:
        # Named periods let SQLite go straight to the rows of one tenant in each; a range would read all tenants' rows.
        conditions.append(
            "start_us IN (SELECT start_us FROM rollup "
            "WHERE kind = 0 AND grain = ? AND mode = ? AND start_us >= ? AND start_us < ?)"
        )
        parameters += [piece.grain, mode]
    else:
        conditions.append("start_us >= ? AND start_us < ?")
    parameters += [piece.since_us, piece.until_us]
    for dimension in BITS:
        if not kind.keeps(dimension):
            conditions.append(f"{dimension} = ''")
        elif dimension in wanted:
            conditions.append(f"{dimension} = ?")
            parameters.append(wanted[dimension])
    # By its own period, rows come in the order of the key, and need no sorting; nor summing, where each is one row.
    names = ["start_us" if by == piece.grain else _name(by, "start_us", {one: one for one in BITS}) for by in told]
    alone = piece.grain in told and all(dimension in wanted for dimension in BITS if kind.keeps(dimension))
    sums = [column if alone else f"sum({column})" for column in SUM_COLUMNS]
    group = "" if alone else _grouped(told)
    sql = f"SELECT {', '.join([*names, *sums])} FROM rollup WHERE {' AND '.join(conditions)}{group}"  # noqa: S608
    return sql, parameters


def _grouped(told: Sequence[Dimension]) -> str:
    # Without names too: nothing to be summed is then no row.
    return f" GROUP BY {', '.join(str(number + 1) for number in range(len(told))) or 'mode'}"


def _raw_money(column: str) -> str:
    """Dollars and the rest apart: the sum of picodollars alone would be full at 9.2 million dollars."""
    return f"coalesce(sum({column} / {PICO}), 0), coalesce(sum({column} % {PICO}), 0)"


_RAW_NAMES = {"tenant": "tenant_id", "agent": "agent_id", "provider": "provider", "model": "model"}
_RAW_SUMS = ", ".join(
    (
        "count(*)", "sum(success)", "sum(cached)", "sum(prompt_tokens)", "sum(completion_tokens)", "sum(tokens_used)",
        *map(_raw_money, ("estimated_cost_pico", "waste_cost_pico", "saved_cost_pico")),
        "sum(success AND estimated_cost_pico IS NULL)", "sum(failovers)",
        "sum(CAST(latency_ms * 1000 + 0.5 AS INTEGER))", _raw_money("premium_cost_pico"),
        f"sum(min(attempts, {LARGEST_COUNT}))", "sum(estimated_tokens)",
        *(f"sum(CASE WHEN success AND NOT cached THEN {part} ELSE 0 END)"
          for part in ("prompt_tokens", "completion_tokens", "min(cached_tokens, prompt_tokens)",
                       "min(cache_write_tokens, prompt_tokens - min(cached_tokens, prompt_tokens))",
                       "min(reasoning_tokens, completion_tokens)",
                       "max(0, min(cache_write_1h_tokens, cache_write_tokens, "
                       "prompt_tokens - min(cached_tokens, prompt_tokens)))",
                       "service_tier IS NOT NULL OR region IS NOT NULL", "priced_as != ''")),
    )
)  # fmt: skip


def _select_raw(piece: Piece, mode: str, wanted: dict[str, str], told: Sequence[Dimension]) -> tuple[str, list[Any]]:
    conditions = [
        "mode = ?",
        "timestamp_us >= ?",
        "timestamp_us < ?",
        *(f"{_RAW_NAMES[dimension]} = ?" for dimension in wanted),
    ]
    names = ", ".join([*(_name(by, "timestamp_us", _RAW_NAMES) for by in told), _RAW_SUMS])
    sql = f"SELECT {names} FROM usage WHERE {' AND '.join(conditions)}{_grouped(told)}"  # noqa: S608 - constants
    return sql, [mode, piece.since_us, piece.until_us, *wanted.values()]


def totals_of(sums: Sequence[int]) -> UsageTotals:
    """The totals of values of SUM_COLUMNS; of none, nothing."""
    if not sums:
        return UsageTotals()
    (
        requests, succeeded, cached, prompt, completion, tokens,
        cost, cost_pico, waste, waste_pico, saved, saved_pico, unpriced, failovers, latency_us,
        premium, premium_pico, attempts, estimated, *answered,
    ) = sums  # fmt: skip
    return UsageTotals(
        requests=requests,
        succeeded=succeeded,
        failed=requests - succeeded,
        cached=cached,
        prompt_tokens=prompt,
        completion_tokens=completion,
        tokens=tokens,
        cost_usd=to_usd(cost * PICO + cost_pico),
        waste_usd=to_usd(waste * PICO + waste_pico),
        saved_usd=to_usd(saved * PICO + saved_pico),
        unpriced=unpriced,
        failovers=failovers,
        latency_ms_sum=latency_us / 1000,
        premium_usd=to_usd(premium * PICO + premium_pico),
        attempts=attempts,
        estimated=estimated,
        answered_prompt_tokens=answered[0],
        answered_completion_tokens=answered[1],
        answered_cached_tokens=answered[2],
        answered_write_tokens=answered[3],
        answered_reasoning_tokens=answered[4],
        answered_write_1h_tokens=answered[5],
        answered_special=answered[6],
        answered_renamed=answered[7],
    )
