"""In which order candidates are asked. A strategy sorts; it never leaves a candidate out.

Ties go by priority, then by order of registration: every strategy receives its candidates sorted so, and sorts stably.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from providers.clock import Randomness
from providers.errors import InputError
from providers.hints import did_you_mean

if TYPE_CHECKING:
    from sandbox.gateway.router import Candidate


class RoutingStrategy(StrEnum):
    PRIORITY = "priority"
    LEAST_COST = "least_cost"
    LEAST_LATENCY = "least_latency"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    WEIGHTED = "weighted"

    @classmethod
    def of(cls, name: str) -> RoutingStrategy:
        """Raises InputError naming the nearest."""
        try:
            return cls(name.lower().replace("-", "_"))
        except ValueError:
            raise InputError(
                f"unknown strategy {name!r}: {did_you_mean(name.lower(), cls)}there are {', '.join(cls)}"
            ) from None


class Draft(NamedTuple):
    """What a strategy may look at."""

    cost: Callable[[Candidate], Decimal | None]
    """Estimated USD of this request on a candidate; None is unpriced."""
    draws: Randomness
    turn: int
    """How many plans this router has made before, for taking turns."""


_UNPRICED = Decimal("Infinity")


def order(strategy: RoutingStrategy, candidates: Sequence[Candidate], draft: Draft) -> Iterable[Candidate]:
    """The candidates in the order in which they are to be asked."""
    if len(candidates) < 2 or strategy is RoutingStrategy.PRIORITY:
        return candidates
    if strategy is RoutingStrategy.LEAST_LATENCY:
        return sorted(
            candidates, key=lambda c: -1.0 if c.deployment.metrics.latency is None else c.deployment.metrics.latency
        )
    if strategy is RoutingStrategy.LEAST_COST:
        costs = {id(c): draft.cost(c) for c in candidates}
        return sorted(candidates, key=lambda c: _UNPRICED if (cost := costs[id(c)]) is None else cost)
    if strategy is RoutingStrategy.ROUND_ROBIN:
        start = draft.turn % len(candidates)
        return (*candidates[start:], *candidates[:start])
    draw = draft.draws.random
    if strategy is RoutingStrategy.RANDOM:
        return sorted(candidates, key=lambda _: draw())
    # Weighted without replacement: the largest u^(1/weight) goes first (Efraimidis and Spirakis, 2006).
    return sorted(
        candidates, key=lambda c: -(draw() ** (1.0 / c.deployment.weight)) if c.deployment.weight > 0 else 1.0
    )
