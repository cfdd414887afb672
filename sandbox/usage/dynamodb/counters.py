"""The roll-ups of the table: which there are, where each lies, and what a batch of records adds to them.

The sums are those of SQLite's roll-ups; the kinds are fewer, because each is paid for with every batch. A kind lies on
one shelf of the tenant index for each mode and grain, by time; the widest two on one for each tenant or agent, so that
a report about one of many reads no other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from providers.clock import iso
from sandbox.usage.dynamodb import names
from sandbox.usage.dynamodb.items import Item
from sandbox.usage.periods import Grain
from sandbox.usage.records import parse_time
from sandbox.usage.rollups import (
    AGENT,
    ALL,
    BITS,
    MODEL,
    MONEY,
    PROVIDER,
    SUMS,
    TENANT,
    Kind,
    Sums,
    aggregated,
    grouped,
)

GRAINS: Final[tuple[Grain, ...]] = ("hour", "day")

WHOLE: Final = Kind(ALL, ALL, GRAINS)
OF_AGENT: Final = Kind(AGENT | PROVIDER | MODEL, ALL, GRAINS)
MODELS: Final = Kind(PROVIDER | MODEL, AGENT | PROVIDER | MODEL, GRAINS)
TENANTS: Final = Kind(TENANT, ALL, GRAINS)
AGENTS: Final = Kind(AGENT, AGENT | PROVIDER | MODEL, GRAINS)
KINDS: Final = (WHOLE, OF_AGENT, MODELS, TENANTS, AGENTS)

Owner = Literal["tenant", "agent"]
OWNERS: Final[Mapping[int, Owner]] = {WHOLE.bits: "tenant", OF_AGENT.bits: "agent"}
"""The kinds that have a shelf for each tenant or agent."""
_WORDS: Final = {
    WHOLE.bits: "all", OF_AGENT.bits: "agent+models", MODELS.bits: "models", TENANTS.bits: "tenants",
    AGENTS.bits: "agents",
}  # fmt: skip

_ATTRIBUTES: Final = tuple(f"{name}_pico" if name in MONEY else name for name in SUMS)
"""Sums of money are whole picodollars: a Number has 38 digits, so they are exact."""
_SEEN: Final = "seen_"
"""Begins the attribute that holds the number of the last batch of a spool."""


class Addition(NamedTuple):
    """What one batch adds to one roll-up item."""

    shelf: str
    place: str
    start_us: int
    dimensions: dict[str, str]
    sums: Sums

    @property
    def key(self) -> str:
        return names.fitting(f"{self.shelf}#{self.place}", names.LONGEST_KEY)


class Counted(NamedTuple):
    """One roll-up item as it was read."""

    start_us: int
    dimensions: dict[str, str]
    sums: Sums


def shelf(mode: str, kind: Kind, grain: Grain, owner: str | None = None) -> str:
    """The hash value of the tenant index under which the items of a kind lie."""
    name = f"{names.MARK}rollup#{mode}#{_WORDS[kind.bits]}#{grain}"
    return names.fitting(name if owner is None else f"{name}#{owner}", names.LONGEST_KEY)


def additions(rows: Iterable[Sequence[Any]]) -> Iterator[Addition]:
    """What rows of COLUMNS add to every roll-up."""
    for kind, grain, (start_us, mode, *values), sums in aggregated(grouped(rows), KINDS):
        dimensions = {name: value for name, value in zip(BITS, values, strict=True) if kind.keeps(name)}
        owner = OWNERS.get(kind.bits)
        place = names.fitting("#".join((iso(start_us), *map(_escaped, dimensions.values()))), names.LONGEST_RANGE)
        yield Addition(
            shelf(mode, kind, grain, dimensions[owner] if owner else None), place, start_us, dimensions, sums
        )


def _escaped(value: str) -> str:
    """So that no two sets of values give one key."""
    return value.replace("~", "~0").replace("#", "~1")


def update(addition: Addition, spool: str, batch: int) -> dict[str, Any]:
    """The parameters of UpdateItem that add it, unless that batch of that spool has been added already."""
    values: Item = {
        ":batch": {"N": str(batch)},
        ":shelf": {"S": addition.shelf},
        ":place": {"S": addition.place},
        ":kind": {"S": "rollup"},
    }
    setting = ["#seen = :batch", "#shelf = :shelf", "#place = :place", "#kind = :kind"]
    named = {"#seen": _SEEN + spool, "#shelf": names.TENANT, "#place": names.TIME, "#kind": names.KIND}
    for number, (name, value) in enumerate(addition.dimensions.items()):
        # An empty value is what a missing attribute means.
        if value:
            setting.append(f"#d{number} = :d{number}")
            named[f"#d{number}"] = name
            values[f":d{number}"] = {"S": value}
    adding = []
    for number, (name, added) in enumerate(zip(_ATTRIBUTES, addition.sums, strict=True)):
        if added:
            adding.append(f"#s{number} :s{number}")
            named[f"#s{number}"] = name
            values[f":s{number}"] = {"N": str(added)}
    return {
        "Key": {names.KEY: {"S": addition.key}},
        "UpdateExpression": f"SET {', '.join(setting)} ADD {', '.join(adding)}",
        "ConditionExpression": "attribute_not_exists(#seen) OR #seen < :batch",
        "ExpressionAttributeNames": named,
        "ExpressionAttributeValues": values,
    }


def counted(item: Mapping[str, Mapping[str, Any]]) -> Counted | None:
    """The roll-up of an item; None for an item that is none."""
    if item.get(names.KIND, {}).get("S") != "rollup":
        return None
    return Counted(
        parse_time(item[names.TIME]["S"].partition("#")[0]),
        {name: item.get(name, {}).get("S", "") for name in BITS},
        [int(item.get(name, {}).get("N", "0")) for name in _ATTRIBUTES],
    )
