"""`sandbox models`: what models cost, and which there are."""

from __future__ import annotations

from datetime import date
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from providers.errors import InputError
from providers.hints import did_you_mean
from sandbox.cli.days import noon
from sandbox.cli.output import decimal
from sandbox.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from providers.pricing import Catalogue, PriceRow
    from providers.pricing.row import Tier
    from sandbox.cli.output import Output

Sort = Literal["provider", "price", "input", "output", "cached", "window", "name", "since"]
Service = Literal["batch", "flex", "priority", "fast"]
_RATES = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "reasoning")
_HEADINGS = ("in $/M", "out $/M", "cached", "write", "write 1h", "reasoning")
_FIGURES = frozenset((*_HEADINGS, "window"))
_FIRST_OUT = (8, 7, 5, 6, 4)
"""The columns of a list that a narrow terminal goes without, the first one first."""


def models(
    pattern: str | None = None,
    /,
    *,
    provider: str | None = None,
    sort: Sort = "provider",
    service: Service | None = None,
    as_of: str | None = None,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Models and their prices, USD per million tokens; of one model everything that is known.

    `also` names what has a price of its own: long prompts, cache writes for an hour, reasoning, hours of the day,
    classes of service, regions.

    Parameters
    ----------
    pattern
        A model by any of its names; or a name with * and ?, or a part of names.
    provider
        Only this provider's.
    sort
        price is that of a million tokens, 70 % of them prompt; window: the longest first; since: the newest first.
    service
        The rates of this class of service, of the models that have them.
    as_of
        The prices of that day, YYYY-MM-DD.
    json
        Print {"items": […]}.
    """
    from providers.pricing import listing
    from sandbox.settings.prices import prices_of

    at = None if as_of is None else noon(as_of)
    prices = prices_of(session.settings)
    kinds = [_kind(session, provider, prices)] if provider is not None else prices.providers()
    one = [] if pattern is None else listing.named(prices, pattern, kinds, at=at, service=service)
    rows = one or [row for kind in kinds for row in prices.rows(kind, at=at, service=service)]
    if pattern is not None and not one:
        rows = _fitting(pattern, rows, service)
    rows = listing.ordered(rows, sort)
    output = session.output
    if json:
        output.json(
            {
                "catalogue": prices.version,
                "date": prices.date.isoformat(),
                "as_of": as_of,
                "items": [as_json(prices, row, at=at) for row in rows],
            }
        )
        return
    if one and service is None:
        for row in rows:
            _describe(output, prices, row, at)
    else:
        _list(output, prices, rows, at)
    output.note(f"prices {prices.version}{_dated(as_of, prices)}", "dim")


def as_json(prices: Catalogue, row: PriceRow, *, at: int | None = None) -> dict[str, Any]:
    """One model as `models --json` prints it: USD per million tokens, null where there is no such rate."""
    from providers.pricing.listing import services

    return {
        "provider": row.provider,
        "model": row.model,
        **_priced(row),
        "hourly_usd": decimal(row.hourly_usd),
        "local": row.local,
        "context_window": row.context_window,
        "max_output": row.max_output,
        "services": {name: _priced(other) for name, other in services(prices, row, at=at).items()},
        "service": row.service,
        "regions": {region: decimal(factor) for region, factor in row.regions.items()},
        "names": prices.names_of(row),
        "source": row.source,
    }


def _priced(row: PriceRow) -> dict[str, Any]:
    return {
        **_rates(row),
        "tiers": [{"above_tokens": tier.above, **_rates(tier)} for tier in row.tiers],
        "since": None if row.since is None else row.since.isoformat(),
        "hours_utc": _hours(row),
    }


def _rates(rates: PriceRow | Tier) -> dict[str, Any]:
    return {f"{name}_usd": decimal(getattr(rates, name)) for name in _RATES}


def _hours(row: PriceRow) -> str | None:
    return None if row.hours is None else "-".join(f"{moment:%H:%M}" for moment in row.hours)


# --- what was asked for ---------------------------------------------------------------------------------------------


def _kind(session: Session, provider: str, prices: Catalogue) -> str:
    """The kind of a provider by its own name or by the id that the settings give it."""
    settings = session.settings
    declared = settings.providers.get(provider)
    kind = declared.kind if declared is not None and declared.kind else provider
    if declared is None and not prices.listed(kind):
        known = dict.fromkeys([*settings.providers, *prices.providers()])
        raise InputError(f"unknown provider {provider!r}: {did_you_mean(provider, known)}there are {', '.join(known)}")
    return kind


def _fitting(pattern: str, rows: list[PriceRow], service: str | None) -> list[PriceRow]:
    from providers.pricing import listing

    fitting = listing.fitting(rows, pattern)
    if not fitting:
        near = listing.nearest(rows, pattern)
        hint = f"the nearest are {', '.join(near)}" if near else "`sandbox models` lists them"
        kind = f" with {service} rates" if service else ""
        raise InputError(f"no model{kind} is called {pattern!r}, so it is unpriced; {hint}")
    return fitting


def _dated(as_of: str | None, prices: Catalogue) -> str:
    if as_of is None:
        return ""
    if date.fromisoformat(as_of) > prices.date:
        return f" as of {as_of}, as far as announced by then"
    return f" as of {as_of}; a price without a day under `since` is the oldest that is known"


# --- a list ---------------------------------------------------------------------------------------------------------


def _list(output: Output, prices: Catalogue, rows: list[PriceRow], at: int | None) -> None:
    header = ("provider", "model", *_HEADINGS[:4], "window", "since", "also")
    lines = [
        (
            row.provider,
            row.model,
            *(_rate(row, getattr(row, name)) for name in _RATES[:4]),
            _count(row.context_window),
            _day(row),
            _also(prices, row, at),
        )
        for row in rows
    ]
    _table(output, header, lines, _FIRST_OUT)


def _also(prices: Catalogue, row: PriceRow, at: int | None) -> str:
    """What else has a price of its own, a word for each."""
    from providers.pricing.listing import services

    words = {
        "long": bool(row.tiers),
        "1h": row.cache_write_1h is not None,
        "reasoning": row.reasoning is not None,
        "hours": row.hours is not None,
        **dict.fromkeys(services(prices, row, at=at), True),
        "region": bool(row.regions),
    }
    return " ".join(word for word, told in words.items() if told)


def _rate(row: PriceRow, rate: Decimal | None) -> str:
    if row.local:
        return "local"
    if row.hourly_usd is not None:
        return f"{decimal(row.hourly_usd)}/h"
    return decimal(rate) or ""


def _day(row: PriceRow) -> str:
    return "" if row.since is None else row.since.isoformat()


def _count(tokens: int | None) -> str:
    return f"{tokens:,}" if tokens else ""


# --- one model ------------------------------------------------------------------------------------------------------


def _describe(output: Output, prices: Catalogue, row: PriceRow, at: int | None) -> None:
    """Everything about one model at one provider."""
    from sandbox.cli.columns import width_of

    output.out.line(f"{row.provider}/{row.model}", "bold")
    facts = {
        "context window": _count(row.context_window) or "unknown",
        "longest answer": _count(row.max_output) or "unknown",
        "also called": ", ".join(prices.names_of(row)),
        "in a region": ", ".join(f"{region} × {decimal(factor)}" for region, factor in row.regions.items()),
        "price": _hosted(row),
        "source": row.source,
    }
    for name, text in facts.items():
        if text:
            indent = f"  {name:<14}  "
            output.out.line(
                fill(
                    text,
                    min(width_of(output.out) or 100, 100),
                    initial_indent=indent,
                    subsequent_indent=" " * len(indent),
                )
            )
    if not facts["price"]:
        _rate_table(output, prices, row, at)
    output.out.line()


def _hosted(row: PriceRow) -> str:
    """What is paid where it is not tokens."""
    if row.local:
        return "local: no charge"
    if row.hourly_usd is None:
        return ""
    return f"${decimal(row.hourly_usd)} an hour of its machine, for as long as a request keeps it busy"


def _rate_table(output: Output, prices: Catalogue, row: PriceRow, at: int | None) -> None:
    """Every price per token, without the columns that say nothing."""
    from providers.pricing.listing import other_times, services

    named = [("standard" if row.service is None else row.service, row), *services(prices, row, at=at).items()]
    named += [(_when(other, row), other) for other in other_times(prices, row)]
    lines: list[tuple[str, ...]] = [("  USD per million", *_HEADINGS, "since", "hours (UTC)")]
    for name, priced in named:
        lines.append((f"  {name}", *_cells(priced), _day(priced), _hours(priced) or ""))
        lines += [(f"    above {tier.above:,}", *_cells(tier), "", "") for tier in priced.tiers]
    header, *rest = zip(*(column for column in zip(*lines, strict=True) if any(column[1:])), strict=True)
    _table(output, header, rest, range(len(header) - 1, 2, -1))


def _table(output: Output, header: Sequence[str], lines: Sequence[Sequence[str]], first_out: Sequence[int]) -> None:
    """As many columns as the terminal has room for."""
    from sandbox.cli.columns import width_of
    from sandbox.core.tables import fitting

    left = fitting(header, lines, width_of(output.out), first_out)
    right = [place for place, column in enumerate(left) if header[column] in _FIGURES]
    output.table(
        [[line[column] for column in left] for line in lines], [header[column] for column in left], right=right
    )


def _when(other: PriceRow, row: PriceRow) -> str:
    if other.hours != row.hours:
        return "at other hours"
    return "before" if row.since is not None and (other.since is None or other.since < row.since) else "later"


def _cells(rates: PriceRow | Tier) -> tuple[str, ...]:
    return tuple(decimal(getattr(rates, name)) or "" for name in _RATES)
