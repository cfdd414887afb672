"""The one formula, against a small independent model in exact fractions."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import InputError
from providers.pricing.row import PriceRow, Tier, self_hosted_cost
from providers.types import TokenUsage

RATES = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "reasoning")

rates = st.decimals(min_value=0, max_value=1000, places=6)
tokens = st.integers(min_value=0, max_value=3_000_000)


@st.composite
def rate_sets(draw: st.DrawFn) -> dict[str, Decimal]:
    """Input and output, and any of the others."""
    chosen = {"input": draw(rates), "output": draw(rates)}
    for name in RATES[2:]:
        if draw(st.booleans()):
            chosen[name] = draw(rates)
    return chosen


@st.composite
def rows(draw: st.DrawFn) -> PriceRow:
    starts = sorted(draw(st.sets(st.integers(min_value=1, max_value=2_000_000), max_size=3)))
    tiers = tuple(Tier(above=start, **draw(rate_sets())) for start in starts)
    return PriceRow(provider="p", model="m", tiers=tiers, **draw(rate_sets()))


@st.composite
def usages(draw: st.DrawFn) -> TokenUsage:
    cached, written, plain, spoken, thought = (draw(tokens) for _ in range(5))
    return TokenUsage(
        input_tokens=cached + written + plain,
        output_tokens=spoken + thought,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=thought,
    )


def model_of(row: PriceRow, usage: TokenUsage, write_1h: int) -> tuple[Fraction, Fraction]:
    """Each token at its own rate, the whole request at the tier of its prompt."""
    band: PriceRow | Tier = row
    for tier in row.tiers:
        if usage.input_tokens > tier.above:
            band = tier

    def rate(*names: str) -> Fraction:
        return Fraction(next(value for name in names if (value := getattr(band, name)) is not None))

    short = usage.cache_write_tokens - write_1h
    plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    spoken = usage.output_tokens - usage.reasoning_tokens
    into = (
        plain * rate("input")
        + usage.cached_input_tokens * rate("cached_input", "input")
        + short * rate("cache_write", "input")
        + write_1h * rate("cache_write_1h", "cache_write", "input")
    )
    out = spoken * rate("output") + usage.reasoning_tokens * rate("reasoning", "output")
    return into / 1_000_000, out / 1_000_000


@given(rows(), usages(), st.data())
def test_every_token_is_priced_once_at_its_own_rate(row: PriceRow, usage: TokenUsage, data: st.DataObject) -> None:
    write_1h = data.draw(st.integers(min_value=0, max_value=usage.cache_write_tokens))
    usage.cache_write_1h_tokens = write_1h
    price = row.cost(usage)
    assert price is not None
    into, out = model_of(row, usage, write_1h)
    assert Fraction(price.input) == into
    assert Fraction(price.output) == out
    assert price.total == price.input + price.output
    assert min(price) >= 0


@given(rate_sets(), usages(), usages())
def test_without_tiers_two_requests_cost_their_sum(chosen: dict[str, Decimal], a: TokenUsage, b: TokenUsage) -> None:
    row = PriceRow(provider="p", model="m", **chosen)
    both = TokenUsage(
        input_tokens=a.input_tokens + b.input_tokens,
        output_tokens=a.output_tokens + b.output_tokens,
        cached_input_tokens=a.cached_input_tokens + b.cached_input_tokens,
        cache_write_tokens=a.cache_write_tokens + b.cache_write_tokens,
        reasoning_tokens=a.reasoning_tokens + b.reasoning_tokens,
    )
    one, other, together = row.cost(a), row.cost(b), row.cost(both)
    assert one is not None
    assert other is not None
    assert together is not None
    assert together.total == one.total + other.total


@given(rows(), usages(), st.integers(min_value=1, max_value=100_000))
def test_more_answer_never_costs_less(row: PriceRow, usage: TokenUsage, more: int) -> None:
    before = row.cost(usage)
    usage.output_tokens += more
    after = row.cost(usage)
    assert before is not None
    assert after is not None
    assert after.total >= before.total
    assert after.input == before.input


@given(rows(), usages(), st.integers(min_value=1, max_value=10_000_000))
def test_a_vendor_that_reports_more_cached_than_prompt_tokens_is_never_billed_below_zero(
    row: PriceRow, usage: TokenUsage, surplus: int
) -> None:
    usage.cached_input_tokens = usage.input_tokens + surplus
    usage.reasoning_tokens = usage.output_tokens + surplus
    usage.cache_write_1h_tokens = surplus
    price = row.cost(usage)
    assert price is not None
    assert min(price) >= 0


@given(rows(), usages(), st.integers(min_value=1, max_value=1000))
def test_a_premium_multiplies_the_whole_price(row: PriceRow, usage: TokenUsage, percent: int) -> None:
    factor = 1 + Decimal(percent) / 100
    bound = replace(row, regions={"us": factor})
    plain = row.cost(usage)
    usage.region = "us"
    dearer = bound.cost(usage)
    assert plain is not None
    assert dearer is not None
    # Rates keep six decimals, so each token may be off by half a picodollar.
    tokens = usage.input_tokens + usage.output_tokens
    assert abs(Fraction(dearer.total) - Fraction(plain.total) * Fraction(factor)) <= Fraction(tokens, 2 * 10**12)
    assert row.cost(usage) == plain, "a row without premiums ignores the region"
    usage.region = "eu"
    assert bound.cost(usage) is None


def test_a_tier_prices_the_whole_request_only_beyond_its_threshold() -> None:
    row = PriceRow(
        provider="anthropic", model="claude-sonnet-4-5", input=Decimal(3), output=Decimal(15),
        tiers=(Tier(above=200_000, input=Decimal(6), output=Decimal("22.5")),),
    )  # fmt: skip
    at, beyond = row.cost(TokenUsage(200_000, 1000)), row.cost(TokenUsage(200_001, 1000))
    assert at is not None
    assert beyond is not None
    assert at.total == Decimal("0.615")
    assert beyond.total == Decimal("1.222506")


def test_amounts_are_exact_whatever_the_callers_decimal_context() -> None:
    row = PriceRow(provider="p", model="m", input=Decimal("0.003625"), output=Decimal("1234.567891"))
    with localcontext() as context:
        context.prec = 2
        price = row.cost(TokenUsage(123_456_789, 987_654_321))
    assert price is not None
    assert price.input == Decimal("0.447530860125")
    assert price.output == Decimal("1219326.312114007011")
    assert price.total == price.input + price.output


def test_a_missing_rate_leaves_only_what_needs_it_unpriced() -> None:
    embedding = PriceRow(provider="openai", model="text-embedding-3-small", input=Decimal("0.02"))
    price = embedding.cost(TokenUsage(1000, 0))
    assert price is not None
    assert price.total == Decimal("0.00002")
    assert embedding.cost(TokenUsage(1000, 1)) is None
    assert PriceRow(provider="p", model="m").cost(TokenUsage(0, 0)) is None
    assert PriceRow(provider="p", model="m", output=Decimal(1)).cost(TokenUsage(1, 1)) is None


def test_self_hosted_time_is_rounded_to_the_picodollar() -> None:
    assert self_hosted_cost(3600, Decimal("0.16")) == Decimal("0.16")
    assert self_hosted_cost(1, 0.16) == Decimal("0.000044444444")
    assert self_hosted_cost(0, Decimal("0.16")) == 0
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="seconds is"):
            self_hosted_cost(seconds, Decimal("0.16"))
    with pytest.raises(InputError, match="hourly rate is -1"):
        self_hosted_cost(1, -1)


@given(st.floats(min_value=0, max_value=1e7), st.decimals(min_value=0, max_value=100, places=4))
def test_self_hosted_time_costs_its_share_of_an_hour(seconds: float, rate: Decimal) -> None:
    share = Fraction(round(seconds * 1e6), 3_600_000_000) * Fraction(rate)
    assert abs(Fraction(self_hosted_cost(seconds, rate)) - share) <= Fraction(1, 2 * 10**12)
