"""One price row and the one formula that turns tokens into money.

Inside, rates are whole numbers at the row's own decimal scale, so the formula is exact and costs integer arithmetic;
every amount leaves as a Decimal in USD. A rate has at most six decimals per million tokens: one picodollar per token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, NamedTuple

from providers.errors import InputError
from providers.types import TokenUsage

MILLION_EXPONENT = 6
RATE_DECIMALS = 6
"""Decimals that a rate per million tokens may have."""
PICODOLLAR = Decimal("1e-12")
_FINEST_RATE = Decimal("1e-6")
DAY_US = 86_400_000_000

RATE_NAMES = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "reasoning")
SERVICES = ("batch", "flex", "priority", "fast")
"""The classes of service that have rates of their own somewhere."""

# Wide enough that neither a product nor a sum is ever rounded, whatever context the caller's thread has set.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_scale = _EXACT.scaleb


class Price(NamedTuple):
    """What one answer costs, in USD. `input + output == total`, exactly."""

    input: Decimal
    output: Decimal
    total: Decimal


class Tier(NamedTuple):
    """The rates of every token of a request whose prompt has more than `above` tokens: USD per million."""

    above: int
    input: Decimal | None = None
    output: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None


class _Band(NamedTuple):
    """A tier with its rates as whole numbers at the row's scale."""

    above: int
    input: int | None
    output: int | None
    cached_input: int | None
    cache_write: int | None
    cache_write_1h: int | None
    reasoning: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PriceRow:
    """The price of one model at one provider from one date on, in USD per million tokens.

    A rate that is None does not exist by itself, and the next more general one applies: cached reads and writes cost
    the input rate, one-hour writes the write rate, reasoning the output rate. Without input and output it is unpriced.
    """

    provider: str
    model: str
    """The catalogue's own name of the model."""
    input: Decimal | None = None
    output: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    """Writing the cache for its default time (5 minutes at Anthropic)."""
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    since: date | None = None
    """First day (UTC) of this price; None: always."""
    hours: tuple[time, time] | None = None
    """Only from the first to before the second time of day, UTC; may pass midnight."""
    tiers: tuple[Tier, ...] = ()
    """Rising by `above`. The highest one that the prompt exceeds, cached tokens included, prices the whole request and
    its answer, not only what lies beyond: so do Anthropic (platform.claude.com, pricing, long context), Google
    (ai.google.dev, pricing, prompts > 200k) and OpenAI (developers.openai.com, pricing, > 272K input tokens)."""
    service: str | None = None
    """The class of service that these rates are for: batch, flex, priority, fast; None: the standard one."""
    regions: Mapping[str, Decimal] = field(default_factory=dict)
    """What every rate is multiplied by where the answer is bound to a region, by region; empty: no such premium."""
    hourly_usd: Decimal | None = None
    """Self-hosted: what an hour of the machine costs, in place of rates per token."""
    local: bool = False
    """Runs on the user's own machine at no charge."""
    context_window: int | None = None
    max_output: int | None = None
    source: str = ""
    _exponent: int = field(init=False, repr=False)
    _bands: tuple[_Band, ...] = field(init=False, repr=False)
    """The base rates first, then the tiers."""
    _since_us: int = field(init=False, repr=False)
    _hours_us: tuple[int, int] | None = field(init=False, repr=False)
    _bound: dict[str, PriceRow] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        base = Tier(
            -1, self.input, self.output, self.cached_input, self.cache_write, self.cache_write_1h, self.reasoning
        )
        tiers = (base, *self.tiers)
        decimals = max((_decimals(rate) for tier in tiers for rate in tier[1:] if rate is not None), default=0)
        set_ = object.__setattr__
        set_(self, "_exponent", -MILLION_EXPONENT - decimals)
        set_(self, "_bands", tuple(_band(tier, decimals) for tier in tiers))
        set_(self, "_since_us", -1 if self.since is None else midnight_us(self.since))
        set_(self, "_hours_us", None if self.hours is None else (_us_of_day(self.hours[0]), _us_of_day(self.hours[1])))
        set_(self, "_bound", {})

    def active(self, at_us: int) -> bool:
        """Whether this row is in force at a UTC microsecond count."""
        if at_us < self._since_us:
            return False
        if self._hours_us is None:
            return True
        begin, end = self._hours_us
        moment = at_us % DAY_US
        return begin <= moment < end if begin <= end else moment >= begin or moment < end

    def times(self, factor: Decimal) -> PriceRow:
        """The same row with every rate multiplied, to six decimals."""
        tiers = tuple(Tier(above=tier.above, **_multiplied(tier, factor)) for tier in self.tiers)
        hourly = None if self.hourly_usd is None else _product(self.hourly_usd, factor)
        return replace(self, tiers=tiers, hourly_usd=hourly, **_multiplied(self, factor))

    def within(self, region: str) -> PriceRow | None:
        """The row for answers bound to a region. None where there are such premiums, but none known for this one."""
        known = self._bound.get(region)
        if known is None:
            if not self.regions:
                return self
            factor = self.regions.get(region)
            if factor is None:
                return None
            known = self._bound[region] = replace(self.times(factor), regions={})
        return known

    def cost(self, usage: TokenUsage, busy_seconds: float | None = None) -> Price | None:
        """The price of `usage`; None where it cannot be told.

        `busy_seconds` prices a self-hosted row: its machine time is the whole price, and it counts as output, which is
        what the machine is kept busy with.
        """
        if usage.region is not None and self.regions:
            row = self.within(usage.region)
            return None if row is None else row.cost(usage, busy_seconds)
        if self.hourly_usd is not None:
            if busy_seconds is None:
                return None
            amount = self_hosted_cost(busy_seconds, self.hourly_usd)
            return Price(Decimal(0), amount, amount)
        bands = self._bands
        band = bands[0]
        prompt = usage.input_tokens
        if len(bands) > 1:
            for tier in bands:
                if prompt > tier[0]:
                    band = tier
        _, rate_in, rate_out, rate_cached, rate_write, rate_write_1h, rate_reasoning = band
        answer = usage.output_tokens
        if rate_in is None or rate_out is None:
            # An embedding model has no output rate: it is priced as long as nothing of that kind was used.
            if (rate_in is None and (prompt or rate_out is None)) or (rate_out is None and answer):
                return None
            rate_in, rate_out = rate_in or 0, rate_out or 0
        amount_in = prompt * rate_in
        cached = usage.cached_input_tokens
        written = usage.cache_write_tokens
        if cached or written:
            # A vendor that reports more cached tokens than prompt tokens is never billed for more than the prompt.
            cached = min(cached, prompt)
            written = min(written, prompt - cached)
            if rate_cached is not None:
                amount_in += cached * (rate_cached - rate_in)
            if rate_write is not None:
                amount_in += written * (rate_write - rate_in)
            kept = usage.cache_write_1h_tokens
            if kept and rate_write_1h is not None:
                rate_short = rate_in if rate_write is None else rate_write
                amount_in += min(kept, written) * (rate_write_1h - rate_short)
        amount_out = answer * rate_out
        if rate_reasoning is not None:
            amount_out += min(usage.reasoning_tokens, answer) * (rate_reasoning - rate_out)
        exponent = self._exponent
        return Price(
            _scale(amount_in, exponent), _scale(amount_out, exponent), _scale(amount_in + amount_out, exponent)
        )


def self_hosted_cost(seconds: float, hourly_rate: Decimal | float) -> Decimal:
    """USD for `seconds` of a machine at `hourly_rate` USD an hour, to the picodollar. Raises InputError below zero."""
    if not math.isfinite(seconds) or seconds < 0:
        raise InputError(f"seconds is {seconds}; it must be 0 or more")
    rate = hourly_rate if isinstance(hourly_rate, Decimal) else Decimal(str(hourly_rate))
    if not rate.is_finite() or rate < 0:
        raise InputError(f"the hourly rate is {hourly_rate}; it must be 0 or more USD")
    cost = _EXACT.divide(_EXACT.multiply(Decimal(round(seconds * 1e6)), rate), Decimal(3_600_000_000))
    return _EXACT.quantize(cost, PICODOLLAR)


def midnight_us(day: date) -> int:
    """UTC microseconds of the beginning of a day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def _multiplied(rates: PriceRow | Tier, factor: Decimal) -> dict[str, Any]:
    return {name: _product(rate, factor) for name in RATE_NAMES if (rate := getattr(rates, name)) is not None}


def _product(rate: Decimal, factor: Decimal) -> Decimal:
    return _EXACT.normalize(_EXACT.quantize(_EXACT.multiply(rate, factor), _FINEST_RATE))


def read_row(facts: Mapping[str, Any], data: Mapping[str, Any]) -> PriceRow:
    """A row from what the data files say of its price, and the facts that it shares with others."""
    since = data.get("from")
    hours = data.get("hours")
    hourly = data.get("hourly_usd")
    return PriceRow(
        **facts,
        **_read_rates(data),
        since=None if since is None else date.fromisoformat(since),
        hours=None if hours is None else parse_hours(hours),
        tiers=tuple(Tier(above=tier["above"], **_read_rates(tier)) for tier in data.get("tiers", ())),
        service=data.get("service"),
        hourly_usd=None if hourly is None else Decimal(hourly),
    )


def _read_rates(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Decimal(data[name]) for name in RATE_NAMES if name in data}


def parse_hours(text: str) -> tuple[time, time]:
    """Two times of day from `HH:MM-HH:MM`. Raises ValueError."""
    begin, _, end = text.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end)


def _us_of_day(moment: time) -> int:
    return (moment.hour * 3600 + moment.minute * 60 + moment.second) * 1_000_000


def _decimals(rate: Decimal) -> int:
    return max(0, -int(rate.as_tuple().exponent))


def _band(tier: Tier, decimals: int) -> _Band:
    whole = (None if rate is None else int(_scale(rate, decimals)) for rate in tier[1:])
    return _Band(tier.above, *whole)
