"""Answers questions about usage from the roll-ups of the table, and from records only where a time range cuts an hour.

The pieces of a time range are those of the SQLite store's reports; here a piece is one query of the tenant index for
its roll-ups, or the records of the tenants that the hour's roll-ups name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from providers.clock import iso
from sandbox.usage import periods
from sandbox.usage.base import Dimension, UsageFilter, UsageTotals
from sandbox.usage.dynamodb import counters, names
from sandbox.usage.dynamodb.client import Table
from sandbox.usage.dynamodb.counters import AGENTS, GRAINS, MODELS, OF_AGENT, TENANTS, WHOLE, Counted
from sandbox.usage.dynamodb.items import Item, row_of
from sandbox.usage.periods import Grain
from sandbox.usage.reports import PRUNED, cover, ranked, totals_of, wanted_of, whole_where_pruned
from sandbox.usage.rollups import BITS, Kind, Sums, columns, grouped


class Shelf:
    """The roll-ups of one kind, mode and owner."""

    def __init__(self, table: Table, mode: str, kind: Kind, owner: str | None = None) -> None:
        self._table = table
        self._name: Callable[[Grain], str] = lambda grain: counters.shelf(mode, kind, grain, owner)

    def read(self, grain: Grain, since_us: int, until_us: int, *, backwards: bool = False) -> Iterator[Counted]:
        """Those of `[since_us, until_us)`, which begin and end a period, in order of time."""
        # Up to the last microsecond before the end and whatever follows it in the range key.
        bounds = iso(since_us), iso(until_us - 1) + "~~"
        for page in self._table.pages(names.TENANT_INDEX, self._name(grain), *bounds, backwards=backwards):
            for item in page:
                found = counters.counted(item)
                if found is not None:
                    yield found


def totals(table: Table, where: UsageFilter, pruned_us: int) -> UsageTotals:
    """The sums over the records that `where` names."""
    return totals_of(columns(summed) if (summed := _sums(table, where, None, pruned_us).get("")) else ())


def breakdown(table: Table, where: UsageFilter, by: Dimension, pruned_us: int) -> list[tuple[str, UsageTotals]]:
    """Totals for each value of a dimension, in the order of the SQLite store's."""
    return ranked({name: columns(sums) for name, sums in _sums(table, where, by, pruned_us).items()}, by)


def pruned_before(table: Table) -> int:
    """Up to which time records were deleted by hand, in microseconds."""
    facts = table.get(names.FACTS)
    return int(facts.get(PRUNED, {}).get("N", "0")) if facts else 0


def active(table: Table, mode: str, kind: Kind, since_us: int, until_us: int, grain: Grain = "hour") -> list[str]:
    """The tenants (kind TENANTS) or agents (AGENTS) that have records in these periods."""
    (name,) = (dimension for dimension in BITS if kind.keeps(dimension))
    found = Shelf(table, mode, kind).read(grain, periods.floor(since_us, grain), periods.ceil(until_us, grain))
    return sorted({one.dimensions[name] for one in found})


def records(table: Table, where: UsageFilter, since_us: int, until_us: int) -> Iterator[list[Item]]:
    """The records of `[since_us, until_us)` that `where` names, in no order; a list for each tenant or page."""
    if where.tenant_id is None and where.agent_id is None:
        tenants = active(table, where.mode, TENANTS, since_us, until_us)
        yield from table.each(lambda tenant: _owned(table, where, tenant, since_us, until_us), tenants)
    else:
        yield from owned(table, where, where.tenant_id, since_us, until_us)


def owned(
    table: Table,
    where: UsageFilter,
    tenant: str | None,
    since_us: int,
    until_us: int,
    *,
    backwards: bool = False,
    page: int | None = None,
) -> Iterator[list[Item]]:
    """The records that `where` names of a tenant, or where that is None of the agent of `where`, by time."""
    index, owner = (names.TENANT_INDEX, tenant) if tenant is not None else (names.AGENT_INDEX, where.agent_id)
    if since_us >= until_us:
        return
    wanted = {"mode": where.mode, "provider": where.provider, "model": where.model}
    if tenant is not None:
        wanted[names.AGENT] = where.agent_id
    value = names.indexed(owner or "")
    for items in table.pages(index, value, iso(since_us), iso(until_us - 1), backwards=backwards, page=page):
        yield [item for item in items if names.KIND not in item and _has(item, wanted)]


def _owned(table: Table, where: UsageFilter, tenant: str, since_us: int, until_us: int) -> list[Item]:
    return [item for page in owned(table, where, tenant, since_us, until_us) for item in page]


def _has(item: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, str | None]) -> bool:
    for name, value in wanted.items():
        if value is not None and item.get(name, {}).get("S", "") != (
            names.indexed(value) if name == names.AGENT else value
        ):
            return False
    return True


def _sums(table: Table, where: UsageFilter, by: Dimension | None, pruned_us: int) -> dict[str, Sums]:
    """For each name the sums, as `rollups.SUMS` has them."""
    wanted = wanted_of(where)
    grains: tuple[Grain, ...] = GRAINS[:1] if by == "hour" else GRAINS
    since = periods.BEGINNING_US if where.since_us is None else max(where.since_us, periods.BEGINNING_US)
    until = periods.END_US if where.until_us is None else min(where.until_us, periods.END_US)
    groups: dict[str, Sums] = {}
    for piece in cover(since, until, grains):
        piece = whole_where_pruned(piece, pruned_us, GRAINS[0])
        if piece.grain is None:
            found: Iterable[Counted] = _counted(records(table, where, piece.since_us, piece.until_us))
        else:
            found = _read(table, where.mode, wanted, by, piece.grain, piece.since_us, piece.until_us)
        for one in found:
            if all(one.dimensions[name] == value for name, value in wanted.items()):
                label = _label(one, by)
                have = groups.get(label)
                groups[label] = one.sums if have is None else [a + b for a, b in zip(have, one.sums, strict=True)]
    return groups


def _label(one: Counted, by: Dimension | None) -> str:
    if by is None:
        return ""
    if by in ("hour", "day", "month"):
        return periods.name(one.start_us, by)
    return one.dimensions[by]


def _counted(pages: Iterable[Sequence[Item]]) -> Iterator[Counted]:
    for items in pages:
        for (start_us, _, *values), sums in grouped(map(row_of, items)).items():
            yield Counted(start_us, dict(zip(BITS, values, strict=True)), sums)


def _read(
    table: Table,
    mode: str,
    wanted: Mapping[str, str],
    by: Dimension | None,
    grain: Grain,
    since_us: int,
    until_us: int,
) -> Iterable[Counted]:
    """The roll-ups of whole periods that tell the wanted dimensions apart, from the shelves with the fewest of them."""
    told = {*wanted, *([by] if by in BITS else [])}

    def shelf(kind: Kind, owner: str | None = None) -> Iterator[Counted]:
        return Shelf(table, mode, kind, owner).read(grain, since_us, until_us)

    def shelves(kind: Kind, owners: Sequence[str]) -> Iterable[Counted]:
        return (one for found in table.each(lambda owner: list(shelf(kind, owner)), owners) for one in found)

    if "tenant" in wanted:
        return shelf(WHOLE, wanted["tenant"])
    if told == {"tenant"}:
        return shelf(TENANTS)
    if "tenant" in told:
        return shelves(WHOLE, active(table, mode, TENANTS, since_us, until_us, grain))
    if "agent" in wanted:
        return shelf(OF_AGENT, wanted["agent"])
    if told == {"agent"}:
        return shelf(AGENTS)
    if "agent" in told:
        return shelves(OF_AGENT, active(table, mode, AGENTS, since_us, until_us, grain))
    return shelf(MODELS)
