"""What the answers come to: medians and spreads for each model, who is cheapest, who is fastest, what a month costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from statistics import median
from typing import TYPE_CHECKING, Generic, TypeVar

from sandbox.comparison.contestants import Contestant
from sandbox.comparison.question import Cell, Question
from sandbox.comparison.sample import Problem, Sample, Simulated
from sandbox.costs.volume import steady_cost

if TYPE_CHECKING:
    from sandbox.comparison.run import Run

VOLUMES = (100, 1_000, 10_000, 100_000)
"""Requests a day at which a month is told where nobody asks for others."""
DEFAULT_VOLUME = 1_000
_FINEST = Decimal("1e-12")
"""USD to which an average is rounded, the unit in which usage records keep money."""

N = TypeVar("N", float, Decimal)


@dataclass(frozen=True, slots=True)
class Spread(Generic[N]):
    low: N
    middle: N
    """The median; of several prompts, the mean of their medians."""
    high: N

    @classmethod
    def of(cls, values: Sequence[N]) -> Spread[N] | None:
        return cls(min(values), median(values), max(values)) if values else None


@dataclass(frozen=True, slots=True)
class Standing:
    """One model over some answers: of one prompt, or of all. Figures are of one request, over the answers that came."""

    contestant: Contestant
    samples: tuple[Sample, ...]
    """In the order in which they were asked."""
    whole: bool
    """Every prompt has an answer. Only then is it measured by what the others are."""
    cost: Spread[Decimal] | None = None
    """USD; None is unpriced, or no answer."""
    latency_ms: Spread[float] | None = None
    ttft_ms: Spread[float] | None = None
    rate: Spread[float] | None = None
    """Output tokens a second."""
    input_tokens: Spread[float] | None = None
    output_tokens: Spread[float] | None = None
    cached_input_tokens: Spread[float] | None = None
    cache_write_tokens: Spread[float] | None = None
    reasoning_tokens: Spread[float] | None = None
    cheapest: bool = False
    fastest: bool = False

    @property
    def answers(self) -> tuple[Sample, ...]:
        return tuple(one for one in self.samples if one.status == "answered")

    @property
    def shown(self) -> Sample | None:
        """The answer to show: the first that came whole, else the first of all."""
        return next(iter(self.answers), next(iter(self.samples), None))

    @property
    def problem(self) -> Problem | None:
        """The first of what went wrong."""
        return next((one.problem for one in self.samples if one.problem is not None), None)

    @property
    def served_by(self) -> tuple[str, ...]:
        """Who answered, `provider/model`: one, unless somebody stepped in."""
        return tuple(dict.fromkeys(f"{one.provider}/{one.model}" for one in self.answers))

    @property
    def spent_usd(self) -> Decimal:
        """All that was paid, for answers and waste; what is unpriced is left out."""
        return sum(((one.cost_usd or Decimal(0)) + one.waste_usd for one in self.samples), Decimal(0))

    @property
    def waste_usd(self) -> Decimal:
        return sum((one.waste_usd for one in self.samples), Decimal(0))

    @property
    def estimated(self) -> bool:
        """Some tokens were counted here, because the vendor sent no numbers."""
        return any(one.usage is not None and one.usage.estimated for one in self.answers)

    @property
    def simulated(self) -> Simulated:
        """What was simulated of any of the answers."""
        of = [one.simulated for one in self.samples]
        return Simulated(
            any(one.answer for one in of), any(one.tokens for one in of), any(one.times for one in of),
            any(one.cost for one in of), any(one.prices for one in of),
        )  # fmt: skip

    def monthly(self, requests_per_day: int) -> Decimal | None:
        """USD of 30 days at that many requests a day; None is unpriced or unanswered."""
        load = steady_cost(None if self.cost is None else self.cost.middle, requests_per_day)
        return None if load is None else load.monthly


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that came of a comparison."""

    mode: str
    catalogue: str
    question: Question
    overall: tuple[Standing, ...]
    """One for each model, over all prompts."""
    by_prompt: tuple[tuple[Standing, ...], ...]
    """For each prompt, one for each model."""


def outcome(run: Run) -> Outcome:
    """What has come so far; also of a run that was cut short."""
    return outcome_of(run.question, run.contestants, run.samples, run.gateway.mode, run.gateway.prices.version)


def outcome_of(
    question: Question, contestants: Sequence[Contestant], samples: Mapping[Cell, Sample], mode: str, catalogue: str
) -> Outcome:
    """What these answers come to."""
    rows = [
        [_standing(one, _of(samples, question, prompt, number)) for number, one in enumerate(contestants)]
        for prompt in range(len(question.prompts))
    ]
    overall = rows[0] if len(rows) == 1 else [_summed(column) for column in zip(*rows, strict=True)]
    return Outcome(
        mode,
        catalogue,
        question,
        tuple(marked(overall)),
        tuple(tuple(marked(row)) for row in rows),
    )


def marked(standings: Sequence[Standing]) -> list[Standing]:
    """With the cheapest and the fastest marked; of equals the first. One figure alone is compared with nothing."""
    cheapest = _least(standings, lambda one: None if one.cost is None else one.cost.middle)
    fastest = _least(standings, lambda one: None if one.latency_ms is None else one.latency_ms.middle)
    return [
        replace(one, cheapest=number == cheapest, fastest=number == fastest) for number, one in enumerate(standings)
    ]


def _least(standings: Sequence[Standing], figure: Callable[[Standing], N | None]) -> int | None:
    figures = [(figure(one) if one.whole else None, number) for number, one in enumerate(standings)]
    known = [(value, number) for value, number in figures if value is not None]
    return min(known)[1] if len(known) > 1 else None


def _of(samples: Mapping[Cell, Sample], question: Question, prompt: int, contestant: int) -> tuple[Sample, ...]:
    cells = (Cell(prompt, contestant, turn) for turn in range(question.repeat))
    return tuple(samples[cell] for cell in cells if cell in samples)


def _standing(contestant: Contestant, samples: tuple[Sample, ...]) -> Standing:
    answers = [one for one in samples if one.status == "answered"]
    used = [one.usage for one in answers if one.usage is not None]
    costs = [one.cost_usd for one in answers if one.cost_usd is not None]
    return Standing(
        contestant,
        samples,
        whole=bool(answers),
        # A median over some of the answers would pass for that of all.
        cost=Spread.of(costs) if len(costs) == len(answers) else None,
        latency_ms=Spread.of([one.latency_ms for one in answers if one.latency_ms is not None]),
        ttft_ms=Spread.of([one.ttft_ms for one in answers if one.ttft_ms is not None]),
        rate=Spread.of([one.rate for one in answers if one.rate is not None]),
        input_tokens=Spread.of([float(one.input_tokens) for one in used]),
        output_tokens=Spread.of([float(one.output_tokens) for one in used]),
        cached_input_tokens=Spread.of([float(one.cached_input_tokens) for one in used]),
        cache_write_tokens=Spread.of([float(one.cache_write_tokens) for one in used]),
        reasoning_tokens=Spread.of([float(one.reasoning_tokens) for one in used]),
    )


def _summed(column: Sequence[Standing]) -> Standing:
    """One model over all prompts, each of which counts the same."""
    told = [one for one in column if one.whole]
    costs = [one.cost for one in told if one.cost is not None]
    cost: Spread[Decimal] | None = None
    if costs and len(costs) == len(told):
        mean = sum((one.middle for one in costs), Decimal(0)) / len(costs)
        if -mean.normalize().as_tuple().exponent > -_FINEST.as_tuple().exponent:  # type: ignore[operator]
            mean = mean.quantize(_FINEST, ROUND_HALF_EVEN)
        cost = Spread(min(one.low for one in costs), mean, max(one.high for one in costs))
    return Standing(
        column[0].contestant,
        tuple(sample for one in column for sample in one.samples),
        whole=len(told) == len(column),
        cost=cost,
        latency_ms=_mean(one.latency_ms for one in told),
        ttft_ms=_mean(one.ttft_ms for one in told),
        rate=_mean(one.rate for one in told),
        input_tokens=_mean(one.input_tokens for one in told),
        output_tokens=_mean(one.output_tokens for one in told),
        cached_input_tokens=_mean(one.cached_input_tokens for one in told),
        cache_write_tokens=_mean(one.cache_write_tokens for one in told),
        reasoning_tokens=_mean(one.reasoning_tokens for one in told),
    )


def _mean(spreads: Iterable[Spread[float] | None]) -> Spread[float] | None:
    some = [one for one in spreads if one is not None]
    if not some:
        return None
    return Spread(min(one.low for one in some), sum(one.middle for one in some) / len(some), max(o.high for o in some))
