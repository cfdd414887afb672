"""`sandbox models`: what models cost."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from providers.errors import InputError
from providers.hints import did_you_mean
from providers.pricing import catalogue
from sandbox.cli.output import decimal
from sandbox.cli.session import Session

if TYPE_CHECKING:
    from decimal import Decimal

    from providers.pricing import PriceRow


def models(
    *,
    provider: str | None = None,
    as_of: str | None = None,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Models and their prices, USD per million tokens.

    Parameters
    ----------
    provider
        Only this provider's.
    as_of
        The prices of that day, YYYY-MM-DD.
    json
        Print {"items": […]}.
    """
    at = None if as_of is None else _noon(as_of)
    settings = session.settings
    prices = catalogue(settings.catalogue, overrides=settings.prices_file)
    rows = list(prices.rows(at=at))
    if provider is not None:
        declared = settings.providers.get(provider)
        kind = declared.kind if declared is not None and declared.kind else provider
        rows = [row for row in rows if row.provider == kind]
        if not rows and declared is None:
            known = dict.fromkeys([*settings.providers, *(row.provider for row in prices.rows())])
            raise InputError(
                f"unknown provider {provider!r}: {did_you_mean(provider, known)}there are {', '.join(known)}"
            )
    if json:
        session.output.json({"catalogue": prices.version, "items": [as_json(row) for row in rows]})
        return
    output = session.output
    output.table(
        [
            (
                row.provider,
                row.model,
                _rate(row, row.input),
                _rate(row, row.output),
                _rate(row, row.cached_input),
                _window(row),
            )
            for row in rows
        ],
        ("provider", "model", "in $/M", "out $/M", "cached $/M", "window"),
        right=(2, 3, 4, 5),
    )
    output.note(f"prices {prices.version}{f' as of {as_of}' if as_of else ''}", "dim")


def as_json(row: PriceRow) -> dict[str, Any]:
    """One model as `models --json` prints it: USD per million tokens, null where there is no such rate."""
    return {
        "provider": row.provider,
        "model": row.model,
        "input_usd": decimal(row.input),
        "output_usd": decimal(row.output),
        "cached_input_usd": decimal(row.cached_input),
        "cache_write_usd": decimal(row.cache_write),
        "hourly_usd": decimal(row.hourly_usd),
        "local": row.local,
        "tiers": [
            {"above_tokens": tier.above, "input_usd": decimal(tier.input), "output_usd": decimal(tier.output)}
            for tier in row.tiers
        ],
        "context_window": row.context_window,
        "since": None if row.since is None else row.since.isoformat(),
        "source": row.source,
    }


def _noon(text: str) -> int:
    """UTC microseconds of a day's noon, so that no time zone moves it to another day."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--as-of is {text!r}; write a day as YYYY-MM-DD, such as 2024-06-30") from None
    return int(datetime.combine(day, time(12), UTC).timestamp()) * 1_000_000


def _rate(row: PriceRow, rate: Decimal | None) -> str:
    if row.local:
        return "local"
    if row.hourly_usd is not None:
        return f"{decimal(row.hourly_usd)}/h"
    return decimal(rate) or ""


def _window(row: PriceRow) -> str:
    return f"{row.context_window:,}" if row.context_window else ""
