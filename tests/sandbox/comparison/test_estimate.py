from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from providers.pricing import catalogue
from providers.types import TokenUsage
from sandbox.comparison.contestants import choose
from sandbox.comparison.estimate import Estimate, estimates, needs_consent, total, unpriced
from sandbox.comparison.question import Question

from .support import contestant, simulated


async def test_every_prompt_counts_as_often_as_it_is_asked(tmp_path: Path) -> None:
    async with simulated(tmp_path) as gateway:
        question = Question(("a", "b" * 400), repeat=3, max_tokens=500)
        (one, free) = estimates(gateway, question, choose(gateway, ["openai/gpt-4o", "ollama"]))
    assert (one.requests, one.output_tokens) == (6, 3000)
    price = catalogue("current").price("openai", "gpt-4o", TokenUsage(one.input_tokens, one.output_tokens))
    assert price is not None
    assert one.cost_usd == price.total
    assert free.free
    assert total([one, free]) == price.total


def estimate(cost: str | None, *, free: bool = False) -> Estimate:
    return Estimate(contestant("m"), 1, 10, 10, None if cost is None else Decimal(cost), free)


@pytest.mark.parametrize(
    ("mode", "found", "asks"),
    [
        ("live", [estimate("0.06"), estimate("0.05")], True),
        ("live", [estimate("0.05"), estimate("0.05")], False),
        ("live", [estimate(None)], True),
        ("live", [estimate(None, free=True)], False),
        ("mock", [estimate("99"), estimate(None)], False),
        ("replay", [estimate("99")], False),
    ],
)
def test_who_has_to_agree(mode: str, found: list[Estimate], asks: bool) -> None:
    assert needs_consent(mode, found, Decimal("0.10")) is asks
    assert len(unpriced(found)) == sum(one.cost_usd is None and not one.free for one in found)
