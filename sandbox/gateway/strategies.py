"""In which order candidates are asked. A strategy orders; it never leaves a candidate out.

Ties go by priority, then by order of registration: every strategy receives its candidates sorted so, and sorts stably.
Orders that would cost a draw for each of a thousand candidates come as iterators: only those that are asked are drawn.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from itertools import accumulate, chain
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from providers.clock import Randomness
from providers.errors import InputError
from providers.hints import did_you_mean

if TYPE_CHECKING:
    from sandbox.gateway.router import Candidate
    from sandbox.health.metrics import ProviderMetrics


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


class Group:
    """Candidates by rank, with what a strategy needs of them worked out once."""

    def __init__(self, candidates: Iterable[Candidate], *, listed: bool = False) -> None:
        """`listed`: they have an order of their own already."""
        if not listed:
            candidates = sorted(candidates, key=lambda c: (c.deployment.priority, c.deployment.order))
        self.candidates = tuple(candidates)

    @cached_property
    def lanes(self) -> list[list[Candidate]]:
        """Candidates of one kind and model: they cost the same."""
        lanes: dict[tuple[str, str], list[Candidate]] = {}
        for candidate in self.candidates:
            lanes.setdefault((candidate.deployment.kind, candidate.model_id), []).append(candidate)
        return list(lanes.values())

    @cached_property
    def by_metrics(self) -> dict[ProviderMetrics, Candidate]:
        """By rank too: sorting these keys is three times cheaper than reaching through each candidate."""
        return {c.deployment.metrics: c for c in self.candidates}

    @cached_property
    def sums(self) -> list[float]:
        """Running sums of the weights."""
        return list(accumulate(max(0.0, c.deployment.weight) for c in self.candidates))


_UNPRICED = Decimal("Infinity")
_REJECTIONS = 8
"""Draws in a row that may fall on candidates already taken before those left are weighed anew."""

_latency = attrgetter("rank")


def order(strategy: RoutingStrategy, group: Group, draft: Draft) -> Iterable[Candidate]:
    """The candidates in the order in which they are to be asked."""
    candidates = group.candidates
    if len(candidates) < 2 or strategy is RoutingStrategy.PRIORITY:
        return candidates
    if strategy is RoutingStrategy.LEAST_LATENCY:
        if len(group.by_metrics) < len(candidates):
            # Several models of one provider.
            return sorted(candidates, key=lambda c: c.deployment.metrics.rank)
        return map(group.by_metrics.__getitem__, sorted(group.by_metrics, key=_latency))
    if strategy is RoutingStrategy.LEAST_COST:
        return _by_cost(group, draft.cost)
    if strategy is RoutingStrategy.ROUND_ROBIN:
        start = draft.turn % len(candidates)
        return (*candidates[start:], *candidates[:start])
    if strategy is RoutingStrategy.RANDOM:
        return _shuffled(candidates, draft.draws)
    return _weighted(candidates, group.sums, draft.draws)


def _by_cost(group: Group, cost: Callable[[Candidate], Decimal | None]) -> Iterable[Candidate]:
    """Cheapest first; each lane is priced once."""
    priced: dict[Decimal, list[list[Candidate]]] = {}
    for lane in group.lanes:
        amount = cost(lane[0])
        priced.setdefault(_UNPRICED if amount is None else amount, []).append(lane)
    for amount in sorted(priced):
        lanes = priced[amount]
        yield from lanes[0] if len(lanes) == 1 else Group(chain.from_iterable(lanes)).candidates


def _shuffled(candidates: Sequence[Candidate], draws: Randomness) -> Iterator[Candidate]:
    """Fisher and Yates, one step for each candidate that is asked for."""
    size = len(candidates)
    moved: dict[int, int] = {}
    for position in range(size):
        pick = position + int(draws.random() * (size - position))
        yield candidates[moved.get(pick, pick)]
        moved[pick] = moved.get(position, position)


def _weighted(candidates: Sequence[Candidate], sums: list[float], draws: Randomness) -> Iterator[Candidate]:
    """Each next one drawn by weight among those left; weights of 0 go last."""
    while candidates and sums[-1] > 0:
        taken: set[int] = set()
        rejected = 0
        while rejected < _REJECTIONS and len(taken) < len(candidates):
            pick = min(bisect(sums, draws.random() * sums[-1]), len(candidates) - 1)
            if pick in taken:
                rejected += 1
            else:
                rejected = 0
                taken.add(pick)
                yield candidates[pick]
        left = Group(c for index, c in enumerate(candidates) if index not in taken)
        candidates, sums = left.candidates, left.sums
    yield from candidates
