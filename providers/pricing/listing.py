"""Models to choose from: which fit a pattern, in which order, and what there is to tell about one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final

from providers.pricing.catalogue import ANY_MODEL, Catalogue
from providers.pricing.row import RATE_NAMES, SERVICES, PriceRow
from providers.types import TokenUsage

NEAREST: Final = 4
"""Names that are offered for one that fits nothing."""
SPLIT: Final = TokenUsage(700_000, 300_000)
"""What models are compared by: a million tokens, 70 % of them prompt, in requests without a long prompt."""


def blended(row: PriceRow) -> Decimal | None:
    """USD for a million tokens, 70 % of them prompt, in short requests; None where a machine's time is paid."""
    if row.input is None or row.output is None:
        return None
    return (row.input * SPLIT.input_tokens + row.output * SPLIT.output_tokens) / 1_000_000


_KEYS: Final[dict[str, Callable[[PriceRow], Any]]] = {
    "price": blended,
    "input": lambda row: row.input,
    "output": lambda row: row.output,
    "cached": lambda row: row.cached_input,
    "window": lambda row: None if row.context_window is None else -row.context_window,
    "name": lambda row: row.model,
    "since": lambda row: None if row.since is None else -row.since.toordinal(),
}
SORTS: Final = ("provider", *_KEYS)
"""`provider` is the catalogue's own order; the cheapest, the longest window and the newest price come first."""


def ordered(rows: Iterable[PriceRow], by: str) -> list[PriceRow]:
    """Sorted by one of `SORTS`; what has no such figure comes last."""
    key = _KEYS.get(by)
    if key is None:
        return list(rows)

    def place(row: PriceRow) -> tuple[bool, Any, str, str]:
        value = key(row)
        return value is None, 0 if value is None else value, row.model, row.provider

    return sorted(rows, key=place)


def fitting(rows: Iterable[PriceRow], pattern: str) -> list[PriceRow]:
    """The rows whose `model` or `provider/model` fits a glob, or holds a text without stars."""
    wanted = pattern.strip().lower()
    glob = wanted if set(wanted) & set("*?[") else f"*{wanted}*"
    return [row for row in rows if fnmatchcase(row.model, glob) or fnmatchcase(f"{row.provider}/{row.model}", glob)]


def named(
    prices: Catalogue, name: str, providers: Sequence[str], *, at: int | None = None, service: str | None = None
) -> list[PriceRow]:
    """The rows of exactly the model that a name means, at each of `providers` that lists it.

    A provider that takes any name answers only where it is the one that is asked.
    """
    found = []
    for provider in providers:
        if prices.listed(provider) == [ANY_MODEL] and len(providers) > 1:
            continue
        row = prices.find(provider, name, at=at, service=service)
        if row is not None and prices.own_name(provider, name) is not None:
            found.append(row)
    return found


def nearest(rows: Iterable[PriceRow], pattern: str) -> list[str]:
    """Names of models that look like one that fits nothing."""
    return get_close_matches(pattern.strip("*?").lower(), dict.fromkeys(row.model for row in rows), NEAREST, 0.4)


def services(prices: Catalogue, row: PriceRow, *, at: int | None = None) -> dict[str, PriceRow]:
    """The rates of each class of service that has some, for the model of a row of standard rates."""
    found = {name: prices.find(row.provider, row.model, at=at, service=name) for name in SERVICES if not row.service}
    return {name: other for name, other in found.items() if other is not None}


def other_times(prices: Catalogue, row: PriceRow) -> list[PriceRow]:
    """What a model cost before, will cost, or costs at other hours, where that differs from a row."""
    here = (row.since, row.hours)
    others = [other for other in prices.history(row.provider, row.model) if (other.since, other.hours) != here]
    return [other for other in others if _rates(other) != _rates(row)]


def _rates(row: PriceRow) -> tuple[Any, ...]:
    return (*(getattr(row, name) for name in RATE_NAMES), row.tiers, row.hourly_usd)
