"""What room 4 draws: columns, gauges and lines that fit, say what is unknown, and never more than there is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content

from sandbox.core.figures import dollars
from sandbox.core.tables import text_width
from sandbox.costs.advice import Recommendation
from sandbox.costs.base import Balance, Budget
from sandbox.costs.reports import Bucket, Granularity
from sandbox.costs.status import status_of
from sandbox.costs.whatif import Repriced
from sandbox.desks.books import Advised, Asked, Gauge, Seen, Unreadable
from sandbox.tui.costs import chart, drawing
from sandbox.tui.costs.listing import Row, Shown
from sandbox.tui.costs.lookout import ADVICE_US, ADVISE, IDLE_US, LIVE_US, LOOK, Lookout
from sandbox.tui.costs.told import entry_of, story_of
from sandbox.tui.pieces import Line
from sandbox.tui.reports import Opened, Refused, Settled
from sandbox.usage.base import UsageTotals
from sandbox.usage.records import PICO
from tests.contract.usage_records import DAY_US, START_US
from tests.tui.books import MOVED, record


def plain(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def bucket(number: int, cost: str = "0", waste: str = "0", **sums: Any) -> Bucket:
    return Bucket(START_US + number * DAY_US, "", UsageTotals(cost_usd=Decimal(cost), waste_usd=Decimal(waste), **sums))


# --- columns --------------------------------------------------------------------------------------------------------


@given(
    amounts=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=80),
    width=st.integers(20, 160),
    height=st.integers(3, 20),
    granularity=st.sampled_from(["hourly", "daily", "monthly"]),
)
def test_columns_fit_and_what_is_spent_is_seen(
    amounts: list[tuple[int, int]], width: int, height: int, granularity: Granularity
) -> None:
    buckets = [bucket(n, f"{cost}e-9", f"{waste}e-9") for n, (cost, waste) in enumerate(amounts)]
    lines = plain(chart.chart_lines(buckets, granularity, width, height, simulated=True))
    if not lines:
        return
    assert len(lines) == height
    assert all(text_width(line) <= width for line in lines)
    foot = lines[-2]
    label = len(dollars(max(Decimal(f"{c}e-9") + Decimal(f"{w}e-9") for c, w in amounts), simulated=True)) + 1
    label = max(label, len("~$0") + 1)
    shown = [cost + waste for cost, waste in amounts][-(width - label) :]
    each = max(1, min(7, (width - label) // len(shown)))
    assert [foot[label + at * each] != " " for at in range(len(shown))] == [spent > 0 for spent in shown]


def test_the_dearest_column_is_full_and_half_of_it_is_half() -> None:
    lines = plain(chart.chart_lines([bucket(0, "2"), bucket(1, "1"), bucket(2)], "daily", 30, 5, simulated=False))
    assert lines == [
        "$2.00 ██████               ",
        "      ██████               ",
        "      ██████ ██████        ",
        "   $0 ██████ ██████        ",
        "      01-01  01-02  01-03",
    ]


def test_waste_is_drawn_on_top_and_the_unpriced_are_marked() -> None:
    lines = plain(chart.chart_lines([bucket(0, "2", "2"), bucket(1, unpriced=3)], "daily", 24, 5, simulated=False))
    assert [line[6:12] for line in lines[:4]] == ["▒▒▒▒▒▒", "▒▒▒▒▒▒", "██████", "██████"]
    assert lines[3][13:19] == "??????"


@pytest.mark.parametrize(("granularity", "named"), [("hourly", "00:00"), ("daily", "01-01"), ("monthly", "2025-01")])
def test_periods_are_named(granularity: Granularity, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert chart.label_of(bucket(0), granularity) == named


# --- gauges ---------------------------------------------------------------------------------------------------------


def gauge_of(used: str, limit: str = "10", *, passed_days: int = 15, tenant: str | None = None) -> Gauge:
    budget = Budget(tenant, Decimal(limit))
    balance = Balance(int(Decimal(used) * PICO), 0)
    return Gauge(status_of(budget, balance, START_US, START_US + passed_days * DAY_US), budget.thresholds)


@pytest.mark.parametrize(
    ("used", "drawn"),
    [
        ("0", "···············│··│·"),
        ("0.01", "█··············│··│·"),
        ("2.5", "█████▒▒▒▒▒·····│··│·"),
        ("8", "████████████████▒▒│▒"),
        ("9.99", "███████████████████▒"),
        ("10", "████████████████████"),
        ("40", "████████████████████"),
    ],
)
def test_a_gauge_is_full_at_the_limit_and_not_before(used: str, drawn: str) -> None:
    assert plain([chart.gauge(gauge_of(used), 20)]) == [drawn]


def test_a_limit_of_nothing_is_used_up() -> None:
    one = gauge_of("0", "0")
    assert plain([chart.gauge(one, 8)]) == ["████████"]
    assert chart.style_of(one) == "error"


@given(used=st.integers(0, 10**15), limit=st.integers(0, 10**15), width=st.integers(1, 90))
def test_a_gauge_has_the_width_it_is_given(used: int, limit: int, width: int) -> None:
    one = gauge_of(str(Decimal(used).scaleb(-9)), str(Decimal(limit).scaleb(-9)))
    assert text_width("".join(plain([chart.gauge(one, width)]))) == width


# --- lines ----------------------------------------------------------------------------------------------------------


def seen(totals: UsageTotals | None = None, *, mode: str = "mock", **changes: Any) -> Seen:
    from sandbox.costs.reports import Outlook

    values: dict[str, Any] = {
        "asked": Asked(),
        "mode": mode,
        "at_us": START_US,
        "by": "tenant",
        "totals": totals or UsageTotals(),
        "granularity": "daily",
        "buckets": (),
        "rows": (),
        "records": (),
        "outlook": Outlook(START_US, START_US + 31 * DAY_US, Decimal(1), Decimal(2), Decimal(0), 0),
        "budgets": (),
        "problem": None,
    }
    return Seen(**{**values, **changes})


@pytest.mark.parametrize(("mode", "mark"), [("mock", "~"), ("replay", "~"), ("live", "")])
def test_simulated_figures_carry_their_mark_in_every_line(mode: str, mark: str) -> None:
    totals = UsageTotals(requests=3, succeeded=3, cost_usd=Decimal("0.3"), failovers=1, premium_usd=Decimal("-0.1"))
    shown = seen(totals, mode=mode, budgets=(gauge_of("1"),))
    text = "\n".join(plain([*drawing.sum_lines(shown, 80), *drawing.budget_lines(shown, 60)]))
    for amount in ("$0.30", "-$0.10", "$1.00 of", "$2.00 by its end"):
        assert f"{mark}{amount}" in text
    # A limit is nothing that was simulated.
    assert " $10.00" in text


def test_what_has_no_price_is_unpriced_and_never_nothing() -> None:
    totals = UsageTotals(requests=2, succeeded=2, unpriced=2)
    (spent, *_) = plain(drawing.sum_lines(seen(totals), 80))
    assert "unpriced" in spent
    assert drawing.sums_row("x", totals, simulated=True)[5] == "unpriced"
    assert drawing.request_row(record(1, START_US, estimated_cost=None), (), simulated=True)[7] == "unpriced"


def test_trouble_with_the_records_stands_below_their_sums() -> None:
    assert plain(drawing.sum_lines(seen(problem="the disk is full"), 80))[-1] == "the disk is full"


def repriced(target: str, cost: str | None, *estimates: str, **changes: Any) -> Repriced:
    values: dict[str, Any] = {"provider": "p", "catalogue": "c", "at_us": None, "requests": 3, "unpriced": 0}
    values |= {"actual_usd": Decimal(2), "actual_unpriced": 0, "estimates": estimates, **changes}
    return Repriced(target=target, cost_usd=None if cost is None else Decimal(cost), **values)


def test_an_estimate_is_marked_as_one_though_its_mode_is_live() -> None:
    rows = [repriced("exact", "1"), repriced("rough", "4", "tokens differ"), repriced("unknown", None, unpriced=3)]
    lines = plain(drawing.what_if_lines(rows, 70, simulated=False))
    assert [line.split() for line in lines] == [
        ["as", "it", "was", "$2.00", "█" * 20],
        ["exact", "$1.00", "-$1.00", "█" * 10],
        ["rough", "~$4.00", "~+$2.00", "█" * 40],
        ["an", "estimate,", "for", "tokens", "differ"],
        ["unknown", "unpriced"],
        ["3", "requests", "unpriced", "there,", "not", "in", "its", "cost"],
    ]


@pytest.mark.parametrize(
    ("saving", "estimated", "begins"),
    [("1", False, "• saves $1.00: do"), ("1", True, "• saves ~$1.00: do"), (None, False, "• do")],
)
def test_advice_says_what_it_saves_and_from_what(saving: str | None, estimated: bool, begins: str) -> None:
    one = Recommendation("waste", "do it", None if saving is None else Decimal(saving), "sums", estimated)
    lines = plain(drawing.advice_lines(Advised(Asked(), (), (), (one,)), 70, simulated=False))
    assert any(line.startswith(begins) for line in lines)
    assert "  from sums" in lines


# --- a story from its record ----------------------------------------------------------------------------------------


def test_a_story_is_told_from_its_record() -> None:
    kept = record(1, START_US, story=MOVED, failovers=1, premium_cost=Decimal("0.04"), latency_ms=110.0)
    story = story_of(kept)
    assert [(one.provider, one.outcome, one.status) for one in story.attempts] == [
        ("openai", "failed", 503),
        ("anthropic", "ok", None),
    ]
    assert story.attempts[1].started_us == START_US + 60_000
    assert (story.status, story.premium_usd, story.span_us(0)) == ("done", Decimal("0.04"), 110_000)


@pytest.mark.parametrize(
    ("error", "status"), [("Cancelled", "cancelled"), ("AllProvidersFailedError", "failed"), (None, "done")]
)
def test_how_a_story_ended(error: str | None, status: str) -> None:
    kept = record(1, START_US, success=error is None, error_type=error, story={})
    assert story_of(kept).status == status


def test_a_prompt_is_shown_where_it_was_kept() -> None:
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "why?"}]
    assert entry_of(record(1, START_US, story={"messages": messages})).prompt == "why?"
    assert "not kept" in entry_of(record(1, START_US)).prompt


# --- when it looks --------------------------------------------------------------------------------------------------


class Counting:
    """An engine that does nothing but to say what it was told."""

    def __init__(self) -> None:
        self.works: list[str] = []
        self.cancelled: list[str] = []

    def work(self, id: str, job: Any) -> None:
        self.works.append(id)

    def cancel(self, id: str) -> None:
        self.cancelled.append(id)


def looked(asked: Asked | None = None) -> tuple[Lookout, Counting]:
    engine = Counting()
    lookout = Lookout(engine, asked or Asked(), ())  # type: ignore[arg-type]
    return lookout, engine


def answer(lookout: Lookout, now_us: int, totals: UsageTotals | None = None) -> None:
    lookout.report(seen(totals, asked=lookout.asked), now_us)
    lookout.report(Settled(LOOK), now_us)


def advise(lookout: Lookout, now_us: int) -> None:
    lookout.report(Advised(lookout.asked, lookout.targets, (), ()), now_us)
    lookout.report(Settled(ADVISE), now_us)


def test_one_look_at_a_time_and_at_a_bounded_rate_however_much_is_recorded() -> None:
    lookout, engine = looked()
    now = 0
    lookout.tick(now)
    for _ in range(1000):
        lookout.stir()
        lookout.tick(now)
    assert engine.works == [LOOK]
    answer(lookout, now)
    lookout.tick(now)
    assert engine.works == [LOOK, ADVISE]
    advise(lookout, now)
    while now < 10 * LIVE_US:
        now += LIVE_US // 50
        lookout.stir()
        lookout.tick(now)
        if engine.works[-1] == LOOK and lookout.looking:
            answer(lookout, now)
    assert engine.works.count(LOOK) == 1 + 10


def test_with_nothing_new_it_looks_seldom_and_advice_not_at_all() -> None:
    lookout, engine = looked()
    lookout.tick(0)
    answer(lookout, 0)
    lookout.tick(0)
    advise(lookout, 0)
    for now in range(0, 4 * IDLE_US, IDLE_US // 10):
        lookout.tick(now)
        if lookout.looking:
            answer(lookout, now)
    assert engine.works.count(LOOK) == 4
    assert engine.works.count(ADVISE) == 1


def test_a_slow_store_is_asked_less_often() -> None:
    lookout, engine = looked()
    lookout.tick(0)
    answer(lookout, 4_000_000)
    lookout.stir()
    lookout.tick(12_000_000 - 1)
    assert engine.works.count(LOOK) == 1
    lookout.tick(12_000_000)
    assert engine.works.count(LOOK) == 2


def test_advice_takes_the_longer_a_breather_the_longer_it_took() -> None:
    lookout, engine = looked()
    lookout.tick(0)
    answer(lookout, 0)
    lookout.tick(0)
    # It took three seconds, so the next is thirty away, though requests go on.
    advise(lookout, 3_000_000)
    for now in range(3_000_000, 40_000_000, LIVE_US):
        lookout.stir()
        lookout.tick(now)
        if lookout.looking:
            answer(lookout, now, UsageTotals(requests=now))
    assert engine.works.count(ADVISE) == 2
    assert ADVICE_US < 30_000_000


def test_another_question_is_asked_at_once_and_a_late_answer_to_the_first_is_passed_over() -> None:
    lookout, engine = looked()
    lookout.tick(0)
    lookout.ask(Asked("7d"))
    assert engine.cancelled == [LOOK, ADVISE]
    assert not lookout.report(seen(asked=Asked()), 1)
    assert lookout.seen is None
    lookout.report(Settled(LOOK), 1)
    lookout.tick(1)
    assert engine.works == [LOOK, LOOK]


@pytest.mark.parametrize("report", [Unreadable("gone"), Refused(LOOK, "InputError", "gone")])
def test_what_cannot_be_read_is_said_and_tried_again_later(report: Any) -> None:
    lookout, engine = looked()
    lookout.tick(0)
    assert lookout.report(report, 0)
    lookout.report(Settled(LOOK), 0)
    assert (lookout.seen, lookout.unreadable) == (None, "gone")
    lookout.tick(IDLE_US - 1)
    assert engine.works == [LOOK]
    lookout.tick(IDLE_US)
    assert engine.works == [LOOK, LOOK]


def test_another_mode_forgets_the_figures_of_the_one_before() -> None:
    lookout, engine = looked()
    lookout.tick(0)
    answer(lookout, 0)
    opened = Opened("live", "sandbox", (), "priority", (), (), (), (), 60.0, ())
    assert lookout.report(opened, 1)
    assert lookout.seen is None
    lookout.tick(1)
    assert engine.works.count(LOOK) == 2


@pytest.mark.parametrize(
    ("listed", "found", "whole", "read", "told"),
    [
        (3, 3, 3, 3, "3"),
        (2, 2, 3, 3, "2 of 3"),
        (1_000, 1_200, 1_200, 1_200, "first 1,000 of 1,200 · x exports all"),
        (1_000, 1_200, 5_000, 5_000, "first 1,000 of 1,200 of 5,000 · x exports all"),
        (500, 500, 12_000, 500, "newest 500 of 12,000 · x exports all"),
        (7, 7, 12_000, 500, "7 of the newest 500 of 12,000 · x exports all"),
    ],
)
def test_what_is_not_listed_is_said(listed: int, found: int, whole: int, read: int, told: str) -> None:
    row = Row("one", ("one",), 0.0)
    one = Shown([row] * listed, (), frozenset(), (), found, whole, read)
    assert Content.from_markup(one.counted).plain == told
