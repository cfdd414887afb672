"""How a comparison reads, the same in every face: each figure as a short text, a simulated one with its mark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from sandbox.comparison.standings import VOLUMES, Outcome, Spread, Standing
from sandbox.core.figures import SIMULATED_MARK, dollars, duration_ms

CHEAPEST, FASTEST = "★", "⚡"
LEGEND = f"{CHEAPEST} cheapest · {FASTEST} fastest"
NOTHING = "–"


class Figures(NamedTuple):
    """One model's figures of one request; of several, the medians."""

    marks: str
    model: str
    provider: str
    input_tokens: str
    output_tokens: str
    cost: str
    first_text: str
    total: str
    rate: str
    month: str
    """30 days at a volume."""


FIRST_OUT = (8, 3, 6, 4, 2, 9)
"""Which figures go first where a table is too wide: tok/s, in, first text, out, provider, the month."""


def head(volume: int) -> Figures:
    """What the columns are called."""
    return Figures(
        "", "model", "provider", "in", "out", "cost", "first text", "total", "tok/s", f"30 days at {volume:,}/day"
    )


def figures(one: Standing, volume: int) -> Figures:
    simulated = one.simulated
    answered = bool(one.answers)
    return Figures(
        marks(one),
        one.contestant.name,
        provider(one),
        tokens(one.input_tokens, simulated=simulated.tokens),
        tokens(one.output_tokens, simulated=simulated.tokens),
        money(one.cost, answered=answered, simulated=simulated.cost),
        time(one.ttft_ms, simulated=simulated.times),
        time(one.latency_ms, simulated=simulated.times),
        _number(one.rate, simulated=simulated.times),
        dollars(one.monthly(volume), simulated=simulated.cost) if answered else NOTHING,
    )


def marks(one: Standing) -> str:
    return (CHEAPEST if one.cheapest else "") + (FASTEST if one.fastest else "")


def provider(one: Standing) -> str:
    """Who answered: the one that was asked, unless another stepped in."""
    others = [name for name in one.served_by if name != one.contestant.key]
    return ", ".join(one.served_by) if others else one.contestant.provider


def tokens(spread: Spread[float] | None, *, simulated: bool) -> str:
    return _number(spread, simulated=simulated)


def money(spread: Spread[Decimal] | None, *, answered: bool, simulated: bool) -> str:
    """A cost; none is unpriced where there was an answer."""
    if not answered:
        return NOTHING
    return dollars(None if spread is None else spread.middle, simulated=simulated)


def time(spread: Spread[float] | None, *, simulated: bool) -> str:
    return NOTHING if spread is None else _marked(duration_ms(spread.middle), simulated)


def _number(spread: Spread[float] | None, *, simulated: bool) -> str:
    if spread is None:
        return NOTHING
    return _marked(f"{spread.middle:,.0f}", simulated)


def _marked(text: str, simulated: bool) -> str:
    return f"{SIMULATED_MARK}{text}" if simulated else text


def ranges(one: Standing) -> tuple[str, ...]:
    """From the least to the most: cost, first text, total, tokens a second."""
    simulated = one.simulated

    def both(low: str, high: str) -> str:
        return low if low == high else f"{low} … {high}"

    def times(spread: Spread[float] | None) -> str:
        if spread is None:
            return NOTHING
        return _marked(both(duration_ms(spread.low), duration_ms(spread.high)), simulated.times)

    cost = NOTHING if one.cost is None else both(dollars(one.cost.low), dollars(one.cost.high))
    rate = NOTHING if one.rate is None else both(f"{one.rate.low:,.0f}", f"{one.rate.high:,.0f}")
    return (
        _marked(cost, simulated.cost and one.cost is not None),
        times(one.ttft_ms),
        times(one.latency_ms),
        _marked(rate, simulated.times and one.rate is not None),
    )


RANGES = ("cost", "first text", "total", "tok/s")


def volumes(asked: Sequence[int]) -> tuple[int, ...]:
    """The volumes that a projection tells: the usual ones, and those that were asked for, in rising order."""
    return tuple(sorted({*VOLUMES, *asked}))


def month_row(one: Standing, at: Sequence[int]) -> tuple[str, ...]:
    """What a month costs at each volume."""
    simulated = one.simulated.cost
    if not one.answers:
        return tuple(NOTHING for _ in at)
    return tuple(dollars(one.monthly(volume), simulated=simulated) for volume in at)


def cell(one: Standing) -> str:
    """A model's answer to one of several prompts in a few words."""
    if not one.answers:
        return one.problem.type if one.problem is not None else NOTHING
    told = (
        money(one.cost, answered=True, simulated=one.simulated.cost),
        time(one.latency_ms, simulated=one.simulated.times),
        marks(one),
    )
    return " ".join(filter(None, told))


def troubles(outcome: Outcome) -> Iterator[str]:
    """What did not go as asked, one sentence each."""
    for one in outcome.overall:
        yield from _troubles(one)


def notes(outcome: Outcome) -> Iterator[str]:
    """What a reader has to know of the figures, one sentence each."""
    simulated = [one.simulated for one in outcome.overall if one.samples]
    if any(one.answer for one in simulated):
        yield (
            f"{SIMULATED_MARK} simulated: answers, tokens and times are made up and say nothing of the models; "
            f"only the prices are real ({outcome.catalogue})"
        )
    elif any(one.times for one in simulated):
        yield (
            f"{SIMULATED_MARK} replayed: answers and tokens are recordings; nobody waited for them now, nobody paid; "
            f"prices {outcome.catalogue}"
        )
    else:
        yield f"prices {outcome.catalogue}"
    if any(one.estimated for one in outcome.overall):
        yield "some vendors sent no token numbers: theirs were counted here"


def _troubles(one: Standing) -> Iterator[str]:
    problem = one.problem
    if problem is not None:
        failed = sum(sample.problem is not None for sample in one.samples)
        share = f" ({failed} of {len(one.samples)})" if len(one.samples) > 1 else ""
        yield f"{one.contestant.name}: {problem.type}{share}: {problem.message}"
    if one.waste_usd:
        yield f"{one.contestant.name}: {dollars(one.waste_usd, simulated=one.simulated.cost)} paid for nothing"
    others = [name for name in one.served_by if name != one.contestant.key]
    if others:
        yield f"{one.contestant.name}: answered by {', '.join(others)} in its place"
