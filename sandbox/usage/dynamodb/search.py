"""Single records: by their request id, the newest, all of them in order of time, and those that are old enough to go.

The table has no index by time alone. The roll-ups say which hours have records, and of which tenants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import chain, groupby, islice
from typing import Final

from providers.clock import iso
from providers.errors import InputError
from sandbox.usage import periods
from sandbox.usage.base import UsageFilter, UsageRecord
from sandbox.usage.dynamodb import names
from sandbox.usage.dynamodb.client import Table
from sandbox.usage.dynamodb.counters import MODELS, OF_AGENT, TENANTS, WHOLE, Counted
from sandbox.usage.dynamodb.items import Item, record_of
from sandbox.usage.dynamodb.reports import Shelf, active, owned
from sandbox.usage.periods import HOUR_US
from sandbox.usage.reports import PRUNED, wanted_of

PAGE: Final = 500
"""Records that a scan holds of one tenant at a time."""
_COUNTED: Final = 1000
"""So many requests whose ids begin alike are counted, no more."""
MODES: Final = ("mock", "replay", "record", "live")


def find(table: Table, request_id: str) -> UsageRecord | None:
    """The record of a request id, or of its unique beginning. Raises InputError when several ids begin so."""
    if not request_id:
        raise InputError("the request id is empty; give one, or its beginning, as a report or an answer shows it")
    exact = table.get(names.request_key(names.shortened(request_id)))
    if exact is None:
        ids: dict[str, Item] = {}
        shelf = names.request_shelf(request_id)
        for page in table.pages(names.TENANT_INDEX, shelf, begins=request_id, page=_COUNTED):
            ids |= {item[names.TIME]["S"]: item for item in page if item.get(names.KIND, {}).get("S") == "request"}
            if len(ids) >= _COUNTED:
                raise InputError(f"{_COUNTED} requests or more begin with {request_id!r}; give more of the id")
        if len(ids) > 1:
            raise InputError(f"{len(ids)} requests begin with {request_id!r}; give more of the id")
        exact = next(iter(ids.values()), None)
    if exact is None:
        return None
    item = table.get(exact["record"]["S"])
    return None if item is None else record_of(item)


def recent(table: Table, where: UsageFilter, limit: int) -> list[UsageRecord]:
    """The newest first."""
    found: list[Item] = []
    for since, until in _hours(table, where, backwards=True):

        def newest(tenant: str | None, since: int = since, until: int = until) -> list[Item]:
            pages = owned(table, where, tenant, since, until, backwards=True, page=max(limit, 1))
            return list(islice(chain.from_iterable(pages), limit))

        hour = list(chain.from_iterable(table.each(newest, _tenants(table, where, since, until))))
        found += sorted(hour, key=_order, reverse=True)
        if len(found) >= limit:
            break
    return [record_of(item) for item in found[:limit]]


def scan(table: Table, where: UsageFilter) -> Iterator[list[UsageRecord]]:
    """Every record in order of time, a few hundred at a time."""
    for since, until in _hours(table, where):
        tenants = _tenants(table, where, since, until)
        streams = [chain.from_iterable(owned(table, where, tenant, since, until, page=PAGE)) for tenant in tenants]
        ordered = merge(*streams, key=_order)
        while some := list(islice(ordered, PAGE)):
            yield [record_of(item) for item in some]


def prune(table: Table, before_us: int) -> int:
    """Delete the records older than that; how many it were."""
    table.update(
        {
            "Key": {names.KEY: {"S": names.FACTS}},
            "UpdateExpression": "SET #pruned = :before, #kind = :kind",
            "ConditionExpression": "attribute_not_exists(#pruned) OR #pruned < :before",
            "ExpressionAttributeNames": {"#pruned": PRUNED, "#kind": names.KIND},
            "ExpressionAttributeValues": {":before": {"N": str(before_us)}, ":kind": {"S": "facts"}},
        }
    )
    tenants = {
        tenant for mode in MODES for tenant in active(table, mode, TENANTS, periods.BEGINNING_US, before_us, "day")
    }
    return sum(_prune_of(table, tenant, before_us) for tenant in sorted(tenants))


def _prune_of(table: Table, tenant: str, before_us: int) -> int:
    deleted = 0
    pages = table.pages(
        names.TENANT_INDEX,
        names.indexed(tenant),
        None,
        iso(before_us - 1),
        only=(names.KEY, names.KIND, "request_id"),
    )
    for page in pages:
        old = [item for item in page if names.KIND not in item]
        requests = {names.request_key(item["request_id"]["S"]) for item in old if "request_id" in item}
        table.delete([*requests, *(item[names.KEY]["S"] for item in old)])
        deleted += len(old)
    return deleted


def _hours(table: Table, where: UsageFilter, *, backwards: bool = False) -> Iterator[tuple[int, int]]:
    """The hours that have records which `where` names, each cut to its time range, in order."""
    first = periods.BEGINNING_US if where.since_us is None else max(where.since_us, periods.BEGINNING_US)
    last = periods.END_US if where.until_us is None else min(where.until_us, periods.END_US)
    if first >= last:
        return
    wanted = wanted_of(where)
    kind, owner = MODELS, None
    if where.tenant_id is not None:
        kind, owner = WHOLE, where.tenant_id
    elif where.agent_id is not None:
        kind, owner = OF_AGENT, where.agent_id
    shelf = Shelf(table, where.mode, kind, owner)
    bounds = periods.floor(first, "hour"), periods.ceil(last, "hour")
    fitting = (
        one
        for one in shelf.read("hour", *bounds, backwards=backwards)
        if all(one.dimensions[name] == value for name, value in wanted.items())
    )
    for start, _ in groupby(fitting, key=_start):
        yield max(start, first), min(start + HOUR_US, last)


def _tenants(table: Table, where: UsageFilter, since_us: int, until_us: int) -> Sequence[str | None]:
    """Whose records an hour has: one query each."""
    if where.tenant_id is not None or where.agent_id is not None:
        return [where.tenant_id]
    return active(table, where.mode, TENANTS, since_us, until_us)


def _start(one: Counted) -> int:
    return one.start_us


def _order(item: Item) -> tuple[str, str]:
    return item[names.TIME]["S"], item[names.KEY]["S"]
