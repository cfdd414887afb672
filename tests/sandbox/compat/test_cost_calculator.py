"""The calculator as the documents that first described it use it: their snippets run with only the import changed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from providers.errors import InputError
from providers.pricing import catalogue
from sandbox.compat import selftest
from sandbox.compat.cost_calculator import LLMCostCalculator

REQUEST_COST = """
from sandbox.compat.cost_calculator import LLMCostCalculator

# Calculate cost for a specific request
cost = LLMCostCalculator.calculate_cost(
    model="gpt-4",
    prompt_tokens=100,
    completion_tokens=50
)
print(f"Cost: ${cost:.6f}")  # $0.006000
"""

COMPARISON = """
# Compare costs across models
models = ["gpt-4", "gpt-3.5-turbo", "claude-3-haiku", "gemini-1.5-flash"]
costs = LLMCostCalculator.compare_model_costs(models, 100, 50)

for model, cost in sorted(costs.items(), key=lambda x: x[1]):
    print(f"{model}: ${cost:.6f}")

# Find cheapest model
cheapest_model, cheapest_cost = LLMCostCalculator.get_cheapest_model(models, 100, 50)
print(f"Cheapest: {cheapest_model} at ${cheapest_cost:.6f}")
"""

MONTHLY = """
# Estimate monthly costs
estimate = LLMCostCalculator.estimate_monthly_cost(
    model="gpt-4",
    requests_per_day=1000,
    avg_prompt_tokens=100,
    avg_completion_tokens=50
)

print(f"Daily cost: ${estimate['daily_cost']:.2f}")
print(f"Monthly cost: ${estimate['monthly_cost']:.2f}")
"""

SWITCHING = """
# Consider switching to cheaper models
cheapest = LLMCostCalculator.get_cheapest_model(
    ["gpt-4", "claude-3-haiku", "gemini-1.5-flash"],
    avg_prompt_tokens,
    avg_completion_tokens
)
"""


TOKENS = ["prompt_tokens", "completion_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens"]


def run(snippet: str, **names: Any) -> dict[str, Any]:
    scope = {"LLMCostCalculator": LLMCostCalculator, **names}
    exec(snippet, scope)
    return scope


def test_snippet_request_cost(capsys: pytest.CaptureFixture[str]) -> None:
    run(REQUEST_COST)
    assert capsys.readouterr().out == "Cost: $0.006000\n"


def test_snippet_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    run(COMPARISON)
    assert capsys.readouterr().out.splitlines() == [
        "claude-3-haiku: $0.000088",
        "gemini-1.5-flash: $0.000088",
        "gpt-3.5-turbo: $0.000125",
        "gpt-4: $0.006000",
        "Cheapest: claude-3-haiku at $0.000088",
    ]


def test_snippet_monthly(capsys: pytest.CaptureFixture[str]) -> None:
    run(MONTHLY)
    assert capsys.readouterr().out == "Daily cost: $6.00\nMonthly cost: $180.00\n"


def test_snippet_switching() -> None:
    scope = run(SWITCHING, avg_prompt_tokens=100, avg_completion_tokens=50)
    assert scope["cheapest"] == ("claude-3-haiku", Decimal("0.0000875"))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4", "0.006"),
        ("claude-3-sonnet", "0.00105"),
        ("anthropic.claude-3-sonnet-20240229-v1:0", "0.00105"),
        ("claude-3-haiku", "0.0000875"),
        ("gemini-1.5-flash", "0.0000875"),
        ("gpt-3.5-turbo", "0.000125"),
        ("claude-3.5-sonnet", "0.00105"),
        ("gemini-1.5-pro", "0.000875"),
        ("deepseek-chat", "0.000028"),
    ],
)
def test_costs_are_exact(model: str, expected: str) -> None:
    assert LLMCostCalculator.calculate_cost(model, 100, 50) == Decimal(expected)


def test_an_unknown_model_is_unpriced_and_cannot_be_the_cheapest() -> None:
    calculator = LLMCostCalculator
    assert calculator.calculate_cost("nobody-1", 100, 50) is None
    assert calculator.calculate_cost_from_total_tokens("nobody-1", 150) is None
    assert calculator.get_model_pricing("nobody-1") is None
    assert calculator.compare_model_costs(["nobody-1", "gpt-4"], 100, 50) == {
        "nobody-1": None,
        "gpt-4": Decimal("0.006"),
    }
    assert calculator.get_cheapest_model(["nobody-1", "gpt-4"], 100, 50) == ("gpt-4", Decimal("0.006"))
    estimate = calculator.estimate_monthly_cost("nobody-1", 10, 1, 1)
    assert {estimate[key] for key in ("cost_per_request", "daily_cost", "weekly_cost", "monthly_cost")} == {None}
    with pytest.raises(InputError, match=r"no model has a price in the catalogue seeds-2024-.*: nobody-1, nobody-2"):
        calculator.get_cheapest_model(["nobody-1", "nobody-2"], 100, 50)
    with pytest.raises(InputError, match="none were named"):
        calculator.get_cheapest_model([], 100, 50)


def test_of_equals_the_first_named_is_the_cheapest() -> None:
    names = ["gpt-4", "gemini-1.5-flash", "claude-3-haiku"]
    assert LLMCostCalculator.get_cheapest_model(names, 100, 50)[0] == "gemini-1.5-flash"
    assert LLMCostCalculator.get_cheapest_model(reversed(names), 100, 50)[0] == "claude-3-haiku"


def test_totals_are_split_seventy_to_thirty() -> None:
    split = LLMCostCalculator.calculate_cost_from_total_tokens
    assert split("gpt-4", 1000) == LLMCostCalculator.calculate_cost("gpt-4", 700, 300) == Decimal("0.039")
    assert split("gpt-4", 1000, input_ratio=0.5) == Decimal("0.045")
    assert split("gpt-4", 1000, 0) == Decimal("0.06")
    assert split("gpt-4", 1000, 1) == Decimal("0.03")
    # 0.7 of 10 is 7, though the float product may fall short of it; of odd sums the prompt is rounded down.
    assert split("gpt-4", 10) == LLMCostCalculator.calculate_cost("gpt-4", 7, 3)
    assert split("gpt-4", 11) == LLMCostCalculator.calculate_cost("gpt-4", 7, 4)
    with pytest.raises(InputError, match=r"input_ratio is 1\.1; it must be between 0 and 1"):
        split("gpt-4", 10, 1.1)


def test_monthly_estimates() -> None:
    assert LLMCostCalculator.estimate_monthly_cost("gpt-4", 1000, 100, 50) == {
        "model": "gpt-4",
        "requests_per_day": 1000,
        "cost_per_request": Decimal("0.006"),
        "daily_cost": Decimal(6),
        "weekly_cost": Decimal(42),
        "monthly_cost": Decimal(180),
    }


def test_prices_per_thousand_tokens() -> None:
    assert LLMCostCalculator.get_model_pricing("gpt-3.5-turbo") == (
        Decimal("0.0005"),
        Decimal("0.0015"),
        "openai",
        "gpt-3.5-turbo",
    )
    haiku = LLMCostCalculator.get_model_pricing("claude-3-haiku")
    assert haiku is not None
    assert (str(haiku.input_cost_per_1k), str(haiku.output_cost_per_1k)) == ("0.00025", "0.00125")


def test_cached_tokens_have_their_own_price_where_there_is_one() -> None:
    calculate = LLMCostCalculator.calculate_cost
    assert calculate("claude-3-haiku", 1000, 0, cached_input_tokens=1000) == Decimal("0.00025")
    current = {"catalogue": "current", "cached_input_tokens": 600, "cache_write_tokens": 300}
    assert calculate("claude-3-haiku", 1000, 0, **current) == Decimal("0.000133")
    with pytest.raises(InputError, match="must include the 600 cached and 500 written tokens"):
        calculate("claude-3-haiku", 1000, 0, cached_input_tokens=600, cache_write_tokens=500)


def test_every_method_takes_what_has_a_price_of_its_own() -> None:
    calculator = LLMCostCalculator
    pricing: dict[str, Any] = {
        "cached_input_tokens": 600, "cache_write_tokens": 300, "cache_write_1h_tokens": 100, "catalogue": "current",
    }  # fmt: skip
    # 100 plain, 600 read, 200 written for five minutes, 100 for an hour: 0.25, 0.03, 0.3 and 0.5 a million.
    prompt = Decimal("0.000153")
    assert calculator.calculate_cost("claude-3-haiku", 1000, 0, **pricing) == prompt
    assert calculator.calculate_cost_from_total_tokens("claude-3-haiku", 1000, 1, **pricing) == prompt
    assert calculator.compare_model_costs(["claude-3-haiku"], 1000, 0, **pricing) == {"claude-3-haiku": prompt}
    assert calculator.get_cheapest_model(["claude-3-haiku"], 1000, 0, **pricing) == ("claude-3-haiku", prompt)
    assert calculator.estimate_monthly_cost("claude-3-haiku", 10, 1000, 0, **pricing)["daily_cost"] == prompt * 10
    batch = calculator.calculate_cost("o3", 1000, 1000, service_tier="batch", catalogue="current")
    assert batch == Decimal("0.005")
    assert calculator.calculate_cost("gpt-4", 1000, 1000, service_tier="batch") is None
    with pytest.raises(InputError, match="cache_write_tokens is 5, and it must include the 6 that are kept"):
        calculator.calculate_cost("gpt-4", 10, 0, cache_write_tokens=5, cache_write_1h_tokens=6)
    with pytest.raises(InputError, match="service_tier is 'cheap'; it must be one of batch, flex, priority, fast"):
        calculator.calculate_cost("gpt-4", 10, 0, service_tier="cheap")


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        (date(2025, 6, 9), "0.05"),
        (date(2025, 6, 10), "0.01"),
        (datetime(2025, 6, 9, 23, 59, 59, 999999), "0.05"),
        (datetime(2025, 6, 10, tzinfo=UTC), "0.01"),
        ("2025-06-09", "0.05"),
        ("2025-06-10T01:00:00+02:00", "0.05"),
        ("2025-06-10T00:00:00Z", "0.01"),
        (1_749_513_600_000_000, "0.01"),
        (1_749_513_599_999_999, "0.05"),
        (None, "0.01"),
    ],
)
def test_prices_of_a_day(as_of: Any, expected: str) -> None:
    cost = LLMCostCalculator.calculate_cost("o3", 1000, 1000, catalogue=catalogue("current"), as_of=as_of)
    assert cost == Decimal(expected)


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("value", [-1, 1.5, "3", True, None])
def test_what_is_no_number_of_tokens_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name} is .*; it must be a whole number of at least 0$"):
        LLMCostCalculator.calculate_cost(**{"model": "gpt-4", "prompt_tokens": 10, "completion_tokens": 1, name: value})


def test_other_input_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(InputError, match="as_of is 'soon'; it must be a day such as 2026-11-01"):
        LLMCostCalculator.calculate_cost("gpt-4", 1, 1, as_of="soon")
    with pytest.raises(InputError, match="no price catalogue 'old'"):
        LLMCostCalculator.calculate_cost("gpt-4", 1, 1, catalogue="old")
    with pytest.raises(InputError, match="requests_per_day is -1"):
        LLMCostCalculator.estimate_monthly_cost("gpt-4", -1, 1, 1)
    with pytest.raises(InputError, match="total_tokens is -1"):
        LLMCostCalculator.calculate_cost_from_total_tokens("gpt-4", -1)


def test_the_verification_prints_what_it_always_did() -> None:
    report = selftest.lines()
    assert report[:8] == [
        "=" * 60,
        "LLM Cost Calculator - Verification Tests",
        "=" * 60,
        "",
        "=== Testing Cost Calculator ===",
        "✓ GPT-4 cost (100 input + 50 output tokens): $0.006000",
        "✓ Claude-3-Sonnet cost (100 input + 50 output tokens): $0.001050",
        "✓ Gemini-1.5-Flash cost (100 input + 50 output tokens): $0.000088",
    ]
    assert "    claude-3-haiku      : $0.000088" in report
    assert "✓ Cheapest model: claude-3-haiku at $0.000088" in report
    assert report[-2:] == ["✓ All tests passed successfully!", "=" * 60]
    assert selftest.passed()


def test_the_verification_fails_with_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.compat.cost_calculator.DEFAULT_CATALOGUE", "current")
    report = selftest.lines()
    assert "✗ Gemini-1.5-Flash cost (100 input + 50 output tokens): $0.000022" in report
    assert report[-2] == "✗ Wrong figures: 1"
    assert not selftest.passed()


def test_a_model_that_is_no_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"^model is 5; it must be the name of a model$"):
        LLMCostCalculator.calculate_cost(5, 1, 1)  # type: ignore[arg-type]
