"""What a comparison may cost, told before anybody is asked, and whether somebody has to agree to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.comparison.contestants import Contestant
from sandbox.comparison.question import Question
from sandbox.gateway.router import FORESEEN_OUTPUT, foreseen_tokens
from sandbox.gateway.spending import is_free

if TYPE_CHECKING:
    from sandbox.gateway.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Estimate:
    """One model's share: every prompt as often as it is repeated, each answer as long as it may be."""

    contestant: Contestant
    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    """None is unpriced."""
    free: bool
    """Costs nothing more than the machine that runs anyway."""


def estimates(gateway: Gateway, question: Question, contestants: Sequence[Contestant]) -> list[Estimate]:
    requests = [question.request(number, None) for number in range(len(question.prompts))]
    many = question.repeat
    input_tokens = sum(foreseen_tokens(request) for request in requests) * many
    output_tokens = (question.max_tokens or FORESEEN_OUTPUT) * len(requests) * many
    by_request = [gateway.router.estimates(request) for request in requests]
    found = []
    for contestant in contestants:
        candidate = contestant.candidate(gateway)
        costs = [estimate(candidate) for estimate in by_request]
        priced = [cost for cost in costs if cost is not None]
        total = sum(priced, Decimal(0)) * many if len(priced) == len(costs) else None
        free = is_free(candidate, total)
        found.append(Estimate(contestant, len(requests) * many, input_tokens, output_tokens, total, free))
    return found


def total(found: Sequence[Estimate]) -> Decimal:
    """USD of everything that has a price."""
    return sum((one.cost_usd for one in found if one.cost_usd is not None), Decimal(0))


def unpriced(found: Sequence[Estimate]) -> list[Estimate]:
    """Those that may cost anything."""
    return [one for one in found if one.cost_usd is None and not one.free]


def needs_consent(mode: str, found: Sequence[Estimate], limit: Decimal) -> bool:
    """Whether a person has to agree: real money, more of it than the limit or nobody knows how much."""
    return mode == "live" and (total(found) > limit or bool(unpriced(found)))
