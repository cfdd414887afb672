"""The calculator's verification, line by line: what a program that had its own calculator expects to see."""

from __future__ import annotations

from decimal import Decimal

from sandbox.compat.cost_calculator import LLMCostCalculator

PROMPT_TOKENS = 100
COMPLETION_TOKENS = 50
REQUESTS_PER_DAY = 1000

_KNOWN = (
    ("GPT-4", "gpt-4", Decimal("0.006")),
    ("Claude-3-Sonnet", "claude-3-sonnet", Decimal("0.00105")),
    ("Gemini-1.5-Flash", "gemini-1.5-flash", Decimal("0.0000875")),
)
_COMPARED = ("gpt-4", "gpt-3.5-turbo", "claude-3-haiku", "gemini-1.5-flash")
_BAR = "=" * 60


class _Report:
    """Lines with a mark for what was as expected and for what was not."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failures = 0

    def check(self, text: str, passed: bool) -> None:
        self.lines.append(f"{'✓' if passed else '✗'} {text}")
        self.failures += not passed


def lines() -> list[str]:
    """The report, one string a line; a figure that is wrong has a ✗ in place of its ✓."""
    calculator = LLMCostCalculator
    report = _Report()
    report.lines += [_BAR, "LLM Cost Calculator - Verification Tests", _BAR, "", "=== Testing Cost Calculator ==="]
    for title, model, expected in _KNOWN:
        cost = calculator.calculate_cost(model, PROMPT_TOKENS, COMPLETION_TOKENS)
        text = f"{title} cost ({PROMPT_TOKENS} input + {COMPLETION_TOKENS} output tokens): {_usd(cost)}"
        report.check(text, cost == expected)

    costs = calculator.compare_model_costs(_COMPARED, PROMPT_TOKENS, COMPLETION_TOKENS)
    report.check("Model cost comparison:", None not in costs.values())
    priced = {model: cost for model, cost in costs.items() if cost is not None}
    report.lines += [
        f"    {model:20}: {_usd(cost)}" for model, cost in sorted(priced.items(), key=lambda pair: pair[1])
    ]

    model, cheapest = calculator.get_cheapest_model(_COMPARED, PROMPT_TOKENS, COMPLETION_TOKENS)
    report.check(f"Cheapest model: {model} at {_usd(cheapest)}", cheapest == min(priced.values()))

    estimate = calculator.estimate_monthly_cost("gpt-4", REQUESTS_PER_DAY, PROMPT_TOKENS, COMPLETION_TOKENS)
    daily, monthly = estimate["daily_cost"], estimate["monthly_cost"]
    report.check(
        f"Monthly estimate (gpt-4, {REQUESTS_PER_DAY} a day): {_usd(daily, 2)} a day, {_usd(monthly, 2)} a month",
        daily == 6 and monthly == 180,
    )

    total = PROMPT_TOKENS + COMPLETION_TOKENS
    split = calculator.calculate_cost_from_total_tokens("gpt-4", total)
    report.check(f"Cost from {total} tokens in all (gpt-4): {_usd(split)}", split == Decimal("0.00585"))

    pricing = calculator.get_model_pricing("gpt-4")
    if pricing is None:
        report.check("Model pricing (gpt-4): unpriced", False)
    else:
        input_1k, output_1k = pricing.input_cost_per_1k, pricing.output_cost_per_1k
        right = (input_1k, output_1k) == (Decimal("0.03"), Decimal("0.06"))
        report.check(f"Model pricing (gpt-4): ${input_1k} in, ${output_1k} out per 1k tokens", right)

    report.lines.append("")
    failures = report.failures
    report.check("All tests passed successfully!" if not failures else f"Wrong figures: {failures}", not failures)
    return [*report.lines, _BAR]


def passed() -> bool:
    """Whether every figure of the report is right."""
    return not any(line.startswith("✗") for line in lines())


def _usd(amount: Decimal | None, places: int = 6) -> str:
    return "unpriced" if amount is None else f"${amount:.{places}f}"
