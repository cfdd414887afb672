"""Medians, marks and months against plain arithmetic of another kind."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.comparison.question import Question
from sandbox.comparison.sample import Sample
from sandbox.comparison.standings import Standing, outcome

from .support import Done, problem, sample

MONEY = st.integers(0, 10**9).map(lambda picos: Decimal(picos).scaleb(-12))
MS = st.integers(1, 10_000).map(float)
SAMPLES = st.one_of(
    st.builds(lambda cost, ms: sample(None if cost is None else str(cost), ms=ms, ttft=None), st.none() | MONEY, MS),
    st.just(problem()),
)


def middle(values: list[Fraction]) -> Fraction:
    """The median, without the library's."""
    ranked = sorted(values)
    half = len(ranked) // 2
    return ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2


def standings(rows: list[list[list[Sample]]]) -> tuple[tuple[Standing, ...], tuple[tuple[Standing, ...], ...]]:
    """`rows`: for each prompt, for each model, its samples."""
    names = [f"m{number}" for number in range(len(rows[0]))]
    question = Question(tuple(f"p{number}" for number in range(len(rows))), repeat=len(rows[0][0]))
    samples = {
        (p, c, t): one for p, row in enumerate(rows) for c, turns in enumerate(row) for t, one in enumerate(turns)
    }
    done: Any = Done(question, names, samples)
    found = outcome(done)
    return found.overall, found.by_prompt


def model_cost(turns: list[Sample]) -> Fraction | None:
    answers = [one for one in turns if one.problem is None]
    if not answers or any(one.cost_usd is None for one in answers):
        return None
    return middle([Fraction(one.cost_usd or 0) for one in answers])


def model_ms(turns: list[Sample]) -> Fraction | None:
    answers = [one for one in turns if one.problem is None]
    return middle([Fraction(one.latency_ms or 0) for one in answers]) if answers else None


def first_least(values: list[Fraction | None]) -> int | None:
    known = [value for value in values if value is not None]
    return values.index(min(known)) if len(known) > 1 else None


@given(st.data())
def test_one_prompt_against_a_model(data: st.DataObject) -> None:
    turns = data.draw(st.integers(1, 4))
    row = data.draw(st.lists(st.lists(SAMPLES, min_size=turns, max_size=turns), min_size=2, max_size=5))
    overall, (by_prompt,) = standings([row])
    assert overall == by_prompt
    costs, times = [model_cost(one) for one in row], [model_ms(one) for one in row]
    assert [None if one.cost is None else Fraction(one.cost.middle) for one in overall] == costs
    assert [None if one.latency_ms is None else Fraction(one.latency_ms.middle) for one in overall] == times
    assert [number for number, one in enumerate(overall) if one.cheapest] == (
        [] if first_least(costs) is None else [first_least(costs)]
    )
    assert [number for number, one in enumerate(overall) if one.fastest] == (
        [] if first_least(times) is None else [first_least(times)]
    )
    for one, cost in zip(overall, costs, strict=True):
        month = one.monthly(1234)
        assert (None if month is None else Fraction(month)) == (None if cost is None else cost * 1234 * 30)


@given(st.data())
def test_several_prompts_against_a_model(data: st.DataObject) -> None:
    models = data.draw(st.integers(2, 3))
    rows = data.draw(
        st.lists(
            st.lists(st.lists(SAMPLES, min_size=2, max_size=2), min_size=models, max_size=models),
            min_size=2,
            max_size=4,
        )
    )
    overall, by_prompt = standings(rows)
    assert len(by_prompt) == len(rows)
    for number, one in enumerate(overall):
        column = [row[number] for row in rows]
        answered = [turns for turns in column if model_ms(turns) is not None]
        assert one.whole is (len(answered) == len(column))
        costs = [model_cost(turns) for turns in answered]
        if not costs or None in costs:
            assert one.cost is None
        else:
            mean = sum((cost for cost in costs if cost is not None), Fraction(0)) / len(costs)
            assert one.cost is not None
            assert abs(Fraction(one.cost.middle) - mean) <= Fraction(1, 2 * 10**12)
            assert one.cost.low <= one.cost.middle <= one.cost.high
    marked = [one for one in overall if one.cheapest or one.fastest]
    assert all(one.whole for one in marked)
    assert sum(one.cheapest for one in overall) <= 1


def row(*samples: Sample | list[Sample]) -> list[list[Sample]]:
    return [one if isinstance(one, list) else [one] for one in samples]


@pytest.mark.parametrize(
    ("samples", "cheapest", "fastest"),
    [
        (row(sample("0.0000875", ms=9), sample("0.0000875", ms=9)), 0, 0),
        (row(sample("0.002", ms=100), sample("0.001", ms=900)), 1, 0),
        (row(sample(None, ms=100), sample("5", ms=900)), None, 0),
        (row(sample(None, ms=100), sample("5", ms=900), sample("6", ms=900)), 1, 0),
        (row(problem(), sample("5", ms=900)), None, None),
        (row(problem(), sample("5", ms=900), sample("5", ms=900)), 1, 1),
        (row(sample("0", ms=900), sample("0.001", ms=100)), 0, 1),
        (row(problem(), problem()), None, None),
        (row(sample()), None, None),
    ],
)
def test_marks(samples: list[list[Sample]], cheapest: int | None, fastest: int | None) -> None:
    overall, _ = standings([samples])
    assert [at for at, one in enumerate(overall) if one.cheapest] == ([] if cheapest is None else [cheapest])
    assert [at for at, one in enumerate(overall) if one.fastest] == ([] if fastest is None else [fastest])


def test_one_that_failed_the_dear_prompt_is_not_the_cheapest() -> None:
    overall, _ = standings(
        [row(sample("0.001"), sample("0.002"), sample("6")), row(problem(), sample("5"), sample("6"))],
    )
    assert [one.cheapest for one in overall] == [False, True, False]


def test_what_was_paid_for_nothing_is_told_beside_the_cost() -> None:
    overall, _ = standings([row([sample("0.002"), problem(waste="0.0005", text="half")])])
    one = overall[0]
    assert one.cost is not None
    assert one.cost.middle == Decimal("0.002")
    assert (one.waste_usd, one.spent_usd) == (Decimal("0.0005"), Decimal("0.0025"))
    assert one.problem is not None


def test_another_that_stepped_in_is_named() -> None:
    overall, _ = standings([row(sample(provider="bedrock", model="claude-3-sonnet"))])
    assert overall[0].served_by == ("bedrock/claude-3-sonnet",)


def test_a_run_that_was_cut_short() -> None:
    done: Any = Done(Question(("a",), repeat=2), ["x", "y"], {(0, 0, 0): sample("0.001")})
    overall = outcome(done).overall
    assert [one.whole for one in overall] == [True, False]
    assert overall[1].shown is None
    assert overall[1].monthly(100) is None
