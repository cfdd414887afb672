from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.pricing import catalogue
from sandbox.comparison.estimate import Estimate
from sandbox.comparison.question import Question
from sandbox.comparison.standings import outcome
from sandbox.core.tables import text_width
from sandbox.desks.compare import Column, Listed
from sandbox.tui import tables
from sandbox.tui.compare import drawing
from sandbox.tui.compare.picker import price_text
from sandbox.tui.compare.session import Race, Shown
from sandbox.tui.pieces import Line
from tests.sandbox.comparison.support import Done, contestant, problem, sample


def race(*samples: Any, repeat: int = 1, running: bool = False) -> Race:
    names = [f"model-{number}" for number in range(len(samples))]
    question = Question(("why",), repeat)
    done: Any = Done(question, names, {(0, number, 0): one for number, one in enumerate(samples) if one is not None})
    return Race(
        "r", question, tuple(Column(f"openai/{name}", name, "openai") for name in names), 0,
        [Shown(begun=True, ended=int(one is not None)) for one in samples], outcome(done), running,
    )  # fmt: skip


def text(lines: list[Line]) -> list[str]:
    return ["".join(piece for piece, _ in line) for line in lines]


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 80))
def test_bars_grow_with_what_they_stand_for(one: float, other: float, room: int) -> None:
    less, more = sorted((one, other))

    def eighths(share: float) -> int:
        drawn = tables.bar(share, room)
        return drawn.count("█") * 8 + sum(" ▏▎▍▌▋▊▉".index(letter) for letter in drawn if letter != "█")

    assert eighths(less) <= eighths(more)
    assert len(tables.bar(more, room)) <= room
    assert (eighths(more) > 0) is (more > 0)
    assert tables.bar(1.0, room) == "█" * room


@given(st.integers(2, 6), st.integers(60, 400), st.integers(3, 100))
def test_all_answers_have_a_place_that_is_large_enough_or_none_has(count: int, width: int, height: int) -> None:
    columns, rows = drawing.arranged(count, width, height)
    if (columns, rows) != (1, 1):
        assert columns * rows >= count
        assert columns * (rows - 1) < count
        assert width // columns >= drawing.NARROWEST
        assert rows == 1 or height // rows >= drawing.LOWEST


@pytest.mark.parametrize(
    ("count", "size", "grid"),
    [
        (3, (160, 30), (3, 1)),
        (6, (160, 30), (3, 2)),
        (6, (160, 15), (1, 1)),
        (3, (80, 10), (1, 1)),
        (2, (80, 5), (2, 1)),
    ],
)
def test_how_answers_stand(count: int, size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert drawing.arranged(count, *size) == grid


@given(st.integers(1, 10**8), st.sampled_from([1, -1]))
def test_volumes_go_up_and_down_to_their_ends(volume: int, step: int) -> None:
    after = drawing.beside(volume, step)
    assert after in drawing.VOLUMES
    assert (after - volume) * step > 0 or after in (drawing.VOLUMES[0], drawing.VOLUMES[-1])


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_all_rows_of_the_block_are_aligned_and_fit(width: int) -> None:
    shown = race(sample("0.0123", ms=900), sample("12", ms=90_000, tokens=(123_456, 9_999)), problem(), None)
    lines = text(drawing.figure_lines(shown, width, 5_000_000, 0))
    head, first, second, failed, missing = lines[:5]
    assert max(map(text_width, lines[:5])) <= width
    at = head.index("cost") + len("cost")
    assert first[:at].endswith("$0.0123")
    assert second[:at].endswith("$12.00")
    assert "✗ RateLimitError" in failed
    assert "not asked" in missing or "⠋" in missing


def test_marks_wait_for_the_end() -> None:
    going = race(sample("1"), sample("2"), running=True)
    assert not any("★" in line for line in text(drawing.figure_lines(going, 100, 0, 0)))
    assert "★" not in drawing.title(going, 0)
    assert "★" in drawing.title(race(sample("1"), sample("2")), 0)


def test_the_month_in_bars() -> None:
    lines = text(drawing.month_lines(race(sample("0.001"), sample("0.002"), sample(None), problem()), 1_000, 60))
    assert "$30.00" in lines[0]
    assert "$60.00" in lines[1]
    assert lines[1].count("█") == 2 * lines[0].count("█") + (1 if "▌" in lines[0] else 0)
    assert "unpriced" in lines[2]
    assert "█" not in lines[2] + lines[3]


def test_what_may_be_paid_is_told_before() -> None:
    found = [
        Estimate(contestant("a"), 3, 30, 3072, Decimal("0.25"), False),
        Estimate(contestant("b"), 3, 30, 3072, None, False),
        Estimate(contestant("c"), 3, 30, 3072, None, True),
    ]
    told = "\n".join(text(drawing.foreseen_lines(found, Decimal("0.10"))))
    assert "Up to $0.25 and 1 unpriced in all, real money." in told
    assert "more than $0.10" in told
    assert "free" in told


@pytest.mark.parametrize(
    ("provider", "model", "told"),
    [("openai", "gpt-4o-mini", "0.15 0.6"), ("ollama", "llama3.2", "local"), ("vllm", "any", "$0.16/h")],
)
def test_prices_in_the_picker(provider: str, model: str, told: str) -> None:
    row = catalogue("current").find(provider, model)
    assert price_text(Column("k", model, provider, price=Listed.of(row))).split() == told.split()


def test_no_price_is_unpriced() -> None:
    assert price_text(Column("k", "m", "p")).strip() == "unpriced"
