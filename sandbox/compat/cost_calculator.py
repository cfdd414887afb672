"""The cost calculator of the AWS adapter: six questions about prices, asked without an instance.

Figures are exact Decimals in USD. A model without a known price costs None, never 0 and never another model's price: it
stays in a comparison as None and cannot be the cheapest. The prices are those of 2024 unless a catalogue is given.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple, TypedDict, Unpack

from providers.errors import InputError
from providers.pricing import Catalogue, catalogue
from providers.pricing.row import SERVICES
from providers.types import TokenUsage
from sandbox.costs.volume import steady_cost

DEFAULT_CATALOGUE = "seeds-2024"

AsOf = int | date | datetime | str | None
"""UTC microseconds, a day (its beginning), a datetime (UTC when naive) or ISO 8601; None: the catalogue's own day."""


class ModelPricing(NamedTuple):
    """USD per thousand tokens."""

    input_cost_per_1k: Decimal
    output_cost_per_1k: Decimal
    provider: str
    model_name: str


class MonthlyEstimate(TypedDict):
    """USD; None where the model is unpriced."""

    model: str
    requests_per_day: int
    cost_per_request: Decimal | None
    daily_cost: Decimal | None
    weekly_cost: Decimal | None
    monthly_cost: Decimal | None


class Pricing(TypedDict, total=False):
    """By which prices, and what of the prompt has a price of its own. The prompt's tokens include all of these."""

    cached_input_tokens: int
    """Read from the vendor's cache."""
    cache_write_tokens: int
    """Written to it, for an hour too."""
    cache_write_1h_tokens: int
    """Those of them that are kept for an hour."""
    service_tier: str | None
    """The vendor's class of service: batch, flex, priority, fast; None: the standard one."""
    catalogue: Catalogue | str | None
    """A catalogue, or the name of a shipped one; None: the prices of 2024."""
    as_of: AsOf


class LLMCostCalculator:
    """Class methods only. What they take beside their own arguments is `Pricing`."""

    @classmethod
    def calculate_cost(
        cls,
        model: str,
        prompt_tokens: int,
        completion_tokens: int,
        *,
        cached_input_tokens: int = 0,
        cache_write_tokens: int = 0,
        cache_write_1h_tokens: int = 0,
        service_tier: str | None = None,
        catalogue: Catalogue | str | None = None,
        as_of: AsOf = None,
    ) -> Decimal | None:
        """USD for one request, None if unpriced. `prompt_tokens` include the cached ones. Raises InputError below 0."""
        if not isinstance(model, str):
            raise InputError(f"model is {model!r}; it must be the name of a model")
        usage = TokenUsage(
            input_tokens=_count("prompt_tokens", prompt_tokens),
            output_tokens=_count("completion_tokens", completion_tokens),
            cached_input_tokens=_count("cached_input_tokens", cached_input_tokens),
            cache_write_tokens=_count("cache_write_tokens", cache_write_tokens),
            cache_write_1h_tokens=_count("cache_write_1h_tokens", cache_write_1h_tokens),
            service_tier=service_tier,
        )
        if cached_input_tokens + cache_write_tokens > prompt_tokens:
            raise InputError(
                f"prompt_tokens is {prompt_tokens}, and it must include the {cached_input_tokens} cached and "
                f"{cache_write_tokens} written tokens"
            )
        if cache_write_1h_tokens > cache_write_tokens:
            raise InputError(
                f"cache_write_tokens is {cache_write_tokens}, and it must include the {cache_write_1h_tokens} that are "
                "kept for an hour"
            )
        if service_tier is not None and service_tier not in SERVICES:
            raise InputError(f"service_tier is {service_tier!r}; it must be one of {', '.join(SERVICES)}, or None")
        price = _catalogue(catalogue).price(None, model, usage, at=_moment(as_of))
        return None if price is None else price.total

    @classmethod
    def calculate_cost_from_total_tokens(
        cls, model: str, total_tokens: int, input_ratio: float = 0.7, **pricing: Unpack[Pricing]
    ) -> Decimal | None:
        """USD where only the sum is known: `input_ratio` of it, rounded down, is taken as the prompt."""
        if not 0 <= input_ratio <= 1:
            raise InputError(f"input_ratio is {input_ratio}; it must be between 0 and 1")
        prompt = int(_count("total_tokens", total_tokens) * Decimal(str(input_ratio)))
        return cls.calculate_cost(model, prompt, total_tokens - prompt, **pricing)

    @classmethod
    def compare_model_costs(
        cls, models: Iterable[str], prompt_tokens: int, completion_tokens: int, **pricing: Unpack[Pricing]
    ) -> dict[str, Decimal | None]:
        """The cost of the same request on each model, in the order given; None is unpriced."""
        return {model: cls.calculate_cost(model, prompt_tokens, completion_tokens, **pricing) for model in models}

    @classmethod
    def get_cheapest_model(
        cls, models: Iterable[str], prompt_tokens: int, completion_tokens: int, **pricing: Unpack[Pricing]
    ) -> tuple[str, Decimal]:
        """The cheapest priced model and its cost, of equals the first. Raises InputError when none is priced."""
        costs = cls.compare_model_costs(models, prompt_tokens, completion_tokens, **pricing)
        priced = [(cost, model) for model, cost in costs.items() if cost is not None]
        if not priced:
            names = ", ".join(costs) or "none were named"
            version = _catalogue(pricing.get("catalogue")).version
            raise InputError(f"no model has a price in the catalogue {version}: {names}")
        cost, model = min(priced, key=lambda pair: pair[0])
        return model, cost

    @classmethod
    def estimate_monthly_cost(
        cls,
        model: str,
        requests_per_day: int,
        avg_prompt_tokens: int,
        avg_completion_tokens: int,
        **pricing: Unpack[Pricing],
    ) -> MonthlyEstimate:
        """What a steady load costs; a month is 30 days."""
        each = cls.calculate_cost(model, avg_prompt_tokens, avg_completion_tokens, **pricing)
        load = steady_cost(each, _count("requests_per_day", requests_per_day))
        return MonthlyEstimate(
            model=model,
            requests_per_day=requests_per_day,
            cost_per_request=each,
            daily_cost=None if load is None else load.daily,
            weekly_cost=None if load is None else load.weekly,
            monthly_cost=None if load is None else load.monthly,
        )

    @classmethod
    def get_model_pricing(
        cls, model: str, *, catalogue: Catalogue | str | None = None, as_of: AsOf = None
    ) -> ModelPricing | None:
        """The model's prices per thousand tokens; None is unpriced."""
        row = _catalogue(catalogue).find(None, model, at=_moment(as_of))
        if row is None or row.input is None or row.output is None:
            return None
        return ModelPricing(row.input / 1000, row.output / 1000, row.provider, row.model)


def _catalogue(chosen: Catalogue | str | None) -> Catalogue:
    if isinstance(chosen, Catalogue):
        return chosen
    return catalogue(chosen or DEFAULT_CATALOGUE)


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{name} is {value!r}; it must be a whole number of at least 0")
    return value


def _moment(as_of: AsOf) -> int | None:
    if as_of is None or isinstance(as_of, int):
        return as_of
    if isinstance(as_of, str):
        try:
            as_of = datetime.fromisoformat(as_of)
        except ValueError:
            raise InputError(f"as_of is {as_of!r}; it must be a day such as 2026-11-01 or a time in ISO 8601") from None
    if not isinstance(as_of, datetime):
        as_of = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC)
    if as_of.tzinfo is None:
        as_of = as_of.replace(tzinfo=UTC)
    seconds = as_of.replace(microsecond=0).timestamp()
    return int(seconds) * 1_000_000 + as_of.microsecond
