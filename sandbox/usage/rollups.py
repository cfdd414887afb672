"""Sums kept beside the raw records, so that a report over millions of records reads hundreds of rows.

A roll-up row sums the records of one mode and one period (an hour, a day, a month, …, in UTC) that share some of
tenant, agent, provider and model; the other dimensions are left empty. Which are kept is its `kind`. Roll-ups are
written in the transaction that writes the records, so both always agree.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sandbox.core.bulk import BulkInsert
from sandbox.usage.periods import GRAINS, SIZES_US, Grain, floor
from sandbox.usage.records import COLUMNS, LARGEST_COUNT, PICO

TENANT, AGENT, PROVIDER, MODEL = 1, 2, 4, 8
BITS = {"tenant": TENANT, "agent": AGENT, "provider": PROVIDER, "model": MODEL}
ALL = TENANT | AGENT | PROVIDER | MODEL


class Kind(NamedTuple):
    """One roll-up: which dimensions it keeps, and the wider one it is summed from."""

    bits: int
    source: int
    grains: tuple[Grain, ...]

    def keeps(self, dimension: str) -> bool:
        return bool(self.bits & BITS[dimension])


_WIDE: tuple[Grain, ...] = ("hour", "day")

KINDS = (
    Kind(ALL, ALL, _WIDE),
    Kind(TENANT | PROVIDER | MODEL, ALL, _WIDE),
    Kind(AGENT | PROVIDER | MODEL, ALL, _WIDE),
    Kind(PROVIDER | MODEL, TENANT | PROVIDER | MODEL, GRAINS),
    Kind(TENANT, TENANT | PROVIDER | MODEL, GRAINS),
    Kind(AGENT, AGENT | PROVIDER | MODEL, GRAINS),
    Kind(0, TENANT, GRAINS),
)
"""Widest first. The narrow ones have ten minutes too, which leave few raw rows to read at the ends of a time range,
and six hours, which leave few hours. The wide ones do without: read for one tenant or agent, their rows are few."""


def kind_for(dimensions: Iterable[str]) -> Kind:
    """The narrowest kind that keeps all of these."""
    wanted = 0
    for dimension in dimensions:
        wanted |= BITS[dimension]
    return next(kind for kind in reversed(KINDS) if kind.bits & wanted == wanted)


SUMS = (
    "requests", "succeeded", "cached", "prompt_tokens", "completion_tokens", "tokens", "cost", "waste", "saved",
    "unpriced", "failovers", "latency_us", "premium", "attempts", "estimated",
    "answered_prompt", "answered_completion", "answered_cached", "answered_write", "answered_reasoning",
    "answered_write_1h", "answered_special", "answered_renamed",
)  # fmt: skip
"""What is summed, in the order of the lists below."""
MONEY = ("cost", "waste", "saved", "premium")
"""Kept in two columns, `_usd` whole dollars and `_pico` the rest below one dollar: one 64-bit column of picodollars is
full at 9.2 million dollars, and SQLite would go on with a float without a word."""

SUM_COLUMNS = tuple(
    column for name in SUMS for column in ((f"{name}_usd", f"{name}_pico") if name in MONEY else (name,))
)
KEY_COLUMNS = ("kind", "grain", "mode", "start_us", "tenant", "agent", "provider", "model")

Key = tuple[int, str, str, str, str, str]
"""start_us of ten minutes, or of a longer period; mode, tenant, agent, provider, model."""
Sums = list[int]
Groups = dict[Key, Sums]


def _added(column: str) -> str:
    both = f"{column} + excluded.{column}"
    if column.endswith("_pico"):
        return f"{column} = ({both}) % {PICO}"
    if column.endswith("_usd"):
        pico = column.replace("_usd", "_pico")
        return f"{column} = {both} + ({pico} + excluded.{pico}) / {PICO}"
    return f"{column} = {both}"


_UPSERT = BulkInsert(
    "rollup", KEY_COLUMNS + SUM_COLUMNS, "ON CONFLICT DO UPDATE SET " + ", ".join(map(_added, SUM_COLUMNS))
)

_FINEST_US = SIZES_US[GRAINS[0]]
_primary_key = itemgetter(*range(len(KEY_COLUMNS)))
_key_of = itemgetter(*map(COLUMNS.index, ("timestamp_us", "mode", "tenant_id", "agent_id", "provider", "model")))
_values_of = itemgetter(
    *map(
        COLUMNS.index,
        ("success", "cached", "prompt_tokens", "completion_tokens", "tokens_used",
         "estimated_cost_pico", "waste_cost_pico", "saved_cost_pico", "failovers", "latency_ms",
         "premium_cost_pico", "attempts", "estimated_tokens",
         "cached_tokens", "cache_write_tokens", "reasoning_tokens",
         "cache_write_1h_tokens", "service_tier", "region", "priced_as"),
    )
)  # fmt: skip


def add(connection: sqlite3.Connection, rows: Iterable[Sequence[Any]]) -> None:
    """Add rows of table `usage` to every roll-up, in the transaction that is open."""
    # In the order of the primary key, so that neighbours are written one after the other.
    _UPSERT.run(connection, sorted(map(_row, aggregated(grouped(rows), KINDS)), key=_primary_key))


def grouped(rows: Iterable[Sequence[Any]]) -> Groups:
    """The sums of rows of table `usage` that share all dimensions and ten minutes."""
    groups: Groups = {}
    for row in rows:
        time_us, mode, tenant, agent, provider, model = _key_of(row)
        (
            success, cached, prompt, completion, tokens, cost, waste, saved, failovers, latency_ms,
            premium, attempts, estimated, cached_tokens, cache_writes, reasoning,
            hour_writes, service, region, priced_as,
        ) = _values_of(row)  # fmt: skip
        key = (time_us - time_us % _FINEST_US, mode, tenant, agent, provider, model)
        sums = groups.get(key)
        if sums is None:
            sums = groups[key] = [0] * len(SUMS)
        sums[0] += 1
        sums[1] += success
        sums[2] += cached
        sums[3] += prompt
        sums[4] += completion
        sums[5] += tokens
        if cost is not None:
            sums[6] += cost
        elif success:
            sums[9] += 1
        sums[7] += waste
        if saved is not None:
            sums[8] += saved
        sums[10] += failovers
        sums[11] += int(latency_ms * 1000 + 0.5)
        if premium is not None:
            sums[12] += premium
        sums[13] += min(attempts, LARGEST_COUNT)
        sums[14] += estimated
        if success and not cached:
            sums[15] += prompt
            sums[16] += completion
            read = min(cached_tokens, prompt)
            sums[17] += read
            written = min(cache_writes, prompt - read)
            sums[18] += written
            sums[19] += min(reasoning, completion)
            if hour_writes:
                sums[20] += max(0, min(hour_writes, written))
            if service is not None or region is not None:
                sums[21] += 1
            if priced_as:
                sums[22] += 1
    return groups


def _regrouped(groups: Groups, key: Callable[[Key], Key]) -> Groups:
    merged: Groups = {}
    for old, sums in groups.items():
        new = key(old)
        have = merged.get(new)
        # Lists are shared between groupings, so none is ever changed in place from here on.
        merged[new] = sums if have is None else [a + b for a, b in zip(have, sums, strict=True)]
    return merged


def aggregated(finest: Groups, kinds: Sequence[Kind]) -> Iterator[tuple[Kind, Grain, Key, Sums]]:
    """What `grouped` gave, for each kind (widest first) and each of its grains; the lists are shared."""
    by_kind: dict[int, Groups] = {}
    for kind in kinds:
        groups = by_kind[kind.bits] = finest if kind.bits == ALL else _regrouped(by_kind[kind.source], _narrower(kind))
        for grain in kind.grains:
            if grain != GRAINS[0]:
                groups = _regrouped(groups, _coarser(grain))
            for key, sums in groups.items():
                yield kind, grain, key, sums


def _row(one: tuple[Kind, Grain, Key, Sums]) -> tuple[Any, ...]:
    kind, grain, (start, mode, tenant, agent, provider, model), sums = one
    return (kind.bits, grain, mode, start, tenant, agent, provider, model, *columns(sums))


def _narrower(kind: Kind) -> Callable[[Key], Key]:
    tenants, agents, providers, models = (kind.keeps(dimension) for dimension in BITS)

    def key(old: Key) -> Key:
        start, mode, tenant, agent, provider, model = old
        return (
            start,
            mode,
            tenant if tenants else "",
            agent if agents else "",
            provider if providers else "",
            model if models else "",
        )

    return key


def _coarser(grain: Grain) -> Callable[[Key], Key]:
    starts: dict[int, int] = {}

    def key(old: Key) -> Key:
        start = starts.get(old[0])
        if start is None:
            start = starts[old[0]] = floor(old[0], grain)
        return (start, *old[1:])

    return key


def columns(sums: Sums) -> tuple[int, ...]:
    """The sums as SUM_COLUMNS."""
    (
        requests, succeeded, cached, prompt, completion, tokens, cost, waste, saved, unpriced, failovers, latency,
        premium, *rest,
    ) = sums  # fmt: skip
    return (
        requests, succeeded, cached, prompt, completion, tokens,
        *divmod(cost, PICO), *divmod(waste, PICO), *divmod(saved, PICO),
        unpriced, failovers, latency, *divmod(premium, PICO), *rest,
    )  # fmt: skip
