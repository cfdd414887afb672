"""What the Lab draws, line by line: lanes, windows, curves, figures, rows; and how its player moves."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from providers.faults import parse_fault
from sandbox.core.events import (
    EVENT_TYPES,
    AttemptFailed,
    BreakerClosed,
    BreakerForced,
    BreakerHalfOpened,
    BreakerOpened,
    BudgetThresholdCrossed,
    CandidateSkipped,
    FallbackTaken,
    ProviderDisabled,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    StreamRestartedElsewhere,
)
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.bins import Column
from sandbox.scenarios.builtin import scenario
from sandbox.scenarios.faults import TimedFault
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.recorder import Take, record
from sandbox.scenarios.recording import FaultBegan
from sandbox.scenarios.source import parse
from sandbox.tui.lab import drawing
from sandbox.tui.lab.drawing import Scale
from sandbox.tui.lab.events import holds, request_name, row_of
from sandbox.tui.lab.explaining import opening_lines, row_lines, summary_lines
from sandbox.tui.lab.figures import comparison_lines, figure_lines
from sandbox.tui.lab.player import SPEEDS, Player
from sandbox.tui.lab.timeline import Timeline, View
from sandbox.tui.pieces import BAD, FAILED, GOOD, Line
from tests.sandbox.scenarios.test_properties import scenarios


def text(line: Line) -> str:
    return "".join(piece for piece, _ in line)


def styles(line: Line, glyph: str) -> set[str]:
    return {style for piece, style in line if glyph in piece}


def take_of(source: str, **options: Any) -> Take:
    return record(check(parse(source, Path("x.yaml"))), **options)


OUTAGE = """
version: 1
name: x
duration: 60s
preset: happyos
providers:
  - {name: bedrock, model: claude-3-sonnet, latency: 400ms}
  - {name: openai, model: gpt-4-turbo, latency: 500ms}
traffic: [{rate: 1/s, input_tokens: 1000, output_tokens: 100}]
faults: [{provider: bedrock, from: 10s, to: 20s, kind: http_error, status: 503, after: 100ms}]
"""
"""Open from 12.1 s to 43 s, closed at 43.4 s: see the room's own tests."""


@pytest.fixture(scope="module")
def take() -> Take:
    return take_of(OUTAGE)


def scale(take: Take, at_us: int, columns: int = 60) -> Scale:
    """A column for each second."""
    return Scale(columns + 9 + 14, 9, 14, take.recording.ended_us, at_us)


# --- lanes ----------------------------------------------------------------------------------------------------------


def lanes(take: Take, at_us: int, *, tall: bool, columns: int = 60) -> list[Line]:
    on = scale(take, at_us, columns)
    shown = drawing.drawn(take, columns, on.end_us)
    return drawing.lane_lines(take, shown, on, take.recording.figures(at_us), drawing.busiest([shown]), tall=tall)


def test_a_lane_in_one_line(take: Take) -> None:
    bedrock, openai = lanes(take, 60_000_000, tall=False)
    # Answers to the requests 0-9; the ones at 10, 11 and 12 fail; a probe in second 43.
    assert text(bedrock) == "bedrock  " + "█" * 10 + "✗✗✗" + "○" * 30 + "◐" + "█" * 16 + " ✗3 of 30"
    assert text(openai) == "openai   " + "·" * 10 + "█" * 33 + "·" * 17 + " 33 answers"


def test_a_lane_in_two_lines(take: Take) -> None:
    breaker, attempts, *_ = lanes(take, 60_000_000, tall=True)
    assert text(breaker) == "bedrock  " + "●" * 12 + "○" * 31 + "◐" + "●" * 16 + " open 30.9 s"
    assert text(attempts) == " " * 9 + "█" * 10 + "✗✗✗" + " " * 30 + "█" * 17 + " ✗3 of 30"


def test_what_is_after_the_cursor_is_faint_and_the_cursor_is_marked(take: Take) -> None:
    bedrock, _ = lanes(take, 11_500_000, tall=False)
    before, here = (style for piece, style in bedrock if piece == "✗")
    assert (before, here) == ("$error", "$error on $foreground 15%")
    assert styles(bedrock, "○") == {"$foreground 35%"}
    assert styles(bedrock, "█") == {"$success", "$foreground 35%"}
    assert text(bedrock).endswith("✗2 of 12")


def test_probes_in_every_column_do_not_hide_that_a_breaker_is_open() -> None:
    """Recovery takes 30 s and a column 100 s: only the first shows the probe."""
    long = scenario("hour-of-outage")
    take = record(replace(long, document=long.document))
    lane = text(lanes(take, take.recording.ended_us, tall=False, columns=42)[0])
    assert lane.count("◐") == 1
    assert lane.count("○") > 30


def test_some_failures_among_answers_are_mixed_and_odd_ones_out_are_named() -> None:
    take = take_of(
        OUTAGE.replace("rate: 1/s", "rate: 8/s").replace("status: 503", "status: 503, probability: 0.2")
        + "policy: {breaker: {mode: 'off'}}\n"
    )
    lane = text(lanes(take, 60_000_000, tall=False)[0])
    assert "▒" in lane
    assert "○" not in lane
    idle = take_of("version: 1\nname: x\nduration: 9s\ntraffic: [{rate: 1/s, model: gpt-4o-mini}]")
    assert text(lanes(idle, 0, tall=True)[-1]).startswith("never asked: openai, anthropic, bedrock, deepseek")


# --- time and faults ------------------------------------------------------------------------------------------------


def test_the_cursor_cuts_no_time_in_two() -> None:
    for at_s in range(300):
        times = text(drawing.axis_line(Scale(120, 10, 10, 300_000_000, at_s * 1_000_000))).split()
        assert {one.strip("▼") for one in times} <= {"", *(f"{half // 2}:{half % 2 * 3}0" for half in range(10))}


def test_the_axis_has_round_times_and_the_cursor() -> None:
    line = drawing.axis_line(Scale(120, 10, 10, 300_000_000, 90_000_000))
    times = text(line).replace("▼", " ").split()
    assert times == ["0:00", "0:30", "1:00", "1:30", "2:00", "2:30", "3:00", "3:30", "4:00", "4:30"]
    assert text(line).index("▼") == 10 + 30
    assert len(text(line)) == 110


@pytest.mark.parametrize("end_s", [0.001, 0.5, 3, 59, 300, 3_600, 86_400, 31 * 86_400])
@pytest.mark.parametrize("columns", [20, 60, 200])
def test_times_on_the_axis_never_run_into_each_other(end_s: float, columns: int) -> None:
    line = text(drawing.axis_line(Scale(columns + 9, 9, 0, round(end_s * 1e6), 0)))
    assert all(":" in word for word in line.replace("▼", " ").split())
    assert len(line) == columns + 9


def fault(begin: float, end: float | None, what: str = "503", provider: str = "bedrock") -> TimedFault:
    return TimedFault(provider, round(begin * 1e6), None if end is None else round(end * 1e6), parse_fault(what))


def windows(*faults: TimedFault, most: int = 9, added: int = 0) -> list[str]:
    on = Scale(100 + 9, 9, 0, 100_000_000, 100_000_000)
    return [text(line) for line in drawing.fault_lines(faults, on, most, added=added)]


def test_windows_of_faults_with_what_they_are() -> None:
    (line,) = windows(fault(10, 40))
    assert line == "faults   " + " " * 10 + "├────── 503 on bedrock ──────┤" + " " * 60 + " "
    (line,) = windows(fault(70, None))
    assert line.rstrip().endswith("▶")
    (line,) = windows(fault(10, 20))
    assert "├─ 503 ──┤" in line
    (line,) = windows(fault(10, 15))
    assert "├503┤" in line
    (line,) = windows(fault(10, 15, "timeout"))
    assert "├no…┤" in line
    (line,) = windows(fault(10, 10.2))
    assert line.split() == ["faults", "│"]


def test_faults_at_one_time_stand_below_each_other() -> None:
    lines = windows(fault(0, 30), fault(10, 50, "429", "openai"), fault(40, 90))
    assert len(lines) == 2
    assert "503 on bedrock" in lines[0]
    assert lines[0].count("├") == 2
    assert "429 on openai" in lines[1]
    (line,) = windows(fault(0, 30), fault(10, 50, "429", "openai"), most=1)
    assert line.endswith("1 more")


def test_a_fault_by_hand_says_so_and_one_that_was_made_harmless_is_not_drawn() -> None:
    lines = windows(fault(0, 50), fault(50, None, "timeout", "openai"), added=1)
    assert "by hand: no answer on openai" in lines[0]
    harmless = fault(0, 50)
    assert windows(replace(harmless, fault=replace(harmless.fault, probability=0.0))) == []


# --- curves ---------------------------------------------------------------------------------------------------------


def test_single_requests_make_no_gaps_in_the_curves(take: Take) -> None:
    on = scale(take, 30_000_000, 120)
    shown = drawing.drawn(take, 120, on.end_us)
    rate, latency = text(drawing.rate_line(shown, on)), text(drawing.latency_line(shown, on))
    assert " " not in rate[9 : 9 + 115]
    assert " " not in latency[12 : 9 + 120]
    assert rate.rstrip().endswith("/s")
    assert shown.rates[60] == pytest.approx(1, rel=0.1)
    assert latency.rstrip().endswith("~499 ms")


def test_requests_that_got_no_answer_stand_out() -> None:
    take = record(scenario("every-provider-down"))
    on = scale(take, 150_000_000)
    line = drawing.rate_line(drawing.drawn(take, 60, on.end_us), on)
    assert FAILED in text(line)[9:69]
    assert styles(line, FAILED) >= {"$error", BAD}


def test_the_height_of_a_curve() -> None:
    columns = [Column(arrived=count) for count in (0, 1, 4, 8, 8, 8, 8, 8)]
    shown = drawing.Drawn(columns, [float(one.arrived) for one in columns], [0.0] * 8, {}, [])
    assert text(drawing.rate_line(shown, Scale(8 + 9 + 9, 9, 9, 8_000_000, 0)))[9:17] == " ▁▄█████"


# --- figures --------------------------------------------------------------------------------------------------------


def test_figures_flow_into_as_few_lines_as_hold_them(take: Take) -> None:
    figures = take.recording.figures(60_000_000)
    wide = figure_lines(take, figures, 60_000_000, 160)
    assert [text(line) for line in wide] == [
        "availability 100.00 %   failed over 33   premium ~$0.28   waste ~$0   breaker open 30.9 s"
    ]
    narrow = figure_lines(take, figures, 60_000_000, 40)
    assert len(narrow) > 1
    assert max(len(text(line)) for line in narrow) <= 40
    assert " ".join(text(line) for line in narrow).split() == text(wide[0]).split()


def test_what_is_unpriced_is_not_free(take: Take) -> None:
    figures = replace(take.recording.figures(60_000_000), unpriced=1, cost=Decimal(3))
    assert "premium unpriced" in text(figure_lines(take, figures, 60_000_000, 160)[0])


@pytest.mark.parametrize(("width", "columns"), [(160, 9), (90, 8), (74, 7), (20, 6)])
def test_a_comparison_keeps_what_matters_where_it_is_narrow(take: Take, width: int, columns: int) -> None:
    head, one, two = comparison_lines([take, replace(take, result=None, preset="unified")], width)
    assert text(head).split("  ")[0].strip() == "policy"
    assert max(len(text(line)) for line in (head, one, two)) <= width
    if width > 20:
        assert len([word for word in text(head).split("  ") if word.strip()]) == columns
        assert "100.00 %" in text(one)
        assert "–" in text(two)


# --- the whole ------------------------------------------------------------------------------------------------------


@given(scenarios(), st.integers(60, 200), st.floats(0, 1), st.booleans(), st.integers(6, 40), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_line_fits_whatever_happens(
    one: Scenario, width: int, share: float, tall: bool, most: int, both: bool
) -> None:
    take = record(one)
    pane = Timeline()
    takes = [take, take][: 1 + both]
    pane.view = View(takes, round(take.recording.ended_us * share), tall=tall, most=most)
    lines = pane.lines_for(width)
    assert len(lines) <= most
    assert max(cell_len(text(line)) for line in lines) <= width
    for position in list(take.recording.moments)[:40]:
        assert row_lines(take, position, width)
    assert opening_lines(take)
    assert summary_lines(takes, width)


def test_more_lanes_than_there_is_room_for() -> None:
    chain = "\n".join(f"  - {{name: openai, id: one-{number}, model: gpt-4}}" for number in range(12))
    faults = "\n".join(f"  - {{provider: one-{number}, kind: http_error, status: 500}}" for number in range(11))
    take = take_of(
        f"version: 1\nname: x\nduration: 9s\nproviders:\n{chain}\ntraffic: [{{rate: 1/s}}]\nfaults:\n{faults}"
    )
    pane = Timeline()
    pane.view = View([take], 5_000_000, most=12)
    told = [text(line) for line in pane.lines_for(78)]
    assert len(told) == 12
    assert sum(line.startswith("one-") for line in told) == 5
    assert "… 7 lines more, in a taller terminal" in told
    assert told[-1].startswith(("availability", "breaker open"))
    pane.view = View([take], 5_000_000, most=40)
    assert sum(text(line).startswith("one-") for line in pane.lines_for(78)) == 12


# --- rows -----------------------------------------------------------------------------------------------------------

AT = EPOCH_US + 1_000_000
FAULTS = (fault(1, 2),)


@pytest.mark.parametrize(
    ("event", "who", "mark", "said"),
    [
        (FaultBegan(AT, "", "bedrock", 0), "bedrock", "▶", "fault begins: 503"),
        (
            AttemptFailed(AT, "req-000012", "openai", "m", 1, "RateLimitError", "slow down", 429, 50.0),
            "openai", "✗", "429 rate limit after 50 ms · request 12, attempt 2",
        ),
        (
            AttemptFailed(AT, "req-000012", "openai", "m", 0, "ProviderTimeoutError", "silent", None, 30_000.0),
            "openai", "✗", "timeout after 30.0 s",
        ),
        (
            BreakerOpened(AT, "", "openai", "closed", "3 failures in a row", AT + 30_000_000),
            "openai", "○", "breaker closed → open: 3 failures in a row, probe at 00:31.000",
        ),
        (BreakerHalfOpened(AT, "", "openai", "open", "time", None), "openai", "◐", "breaker open → half open: time"),
        (BreakerClosed(AT, "", "openai", "half_open", "well", None), "openai", "●", "half open → closed: well"),
        (BreakerForced(AT, "", "openai", "closed", "by hand", None, "forced_open"), "openai", "○", "forced open"),
        (
            CandidateSkipped(AT, "req-1", "openai", "m", "breaker_open", 12.4),
            "openai", "»", "breaker open, probe in 12 s",
        ),
        (
            FallbackTaken(AT, "req-1", "openai", "bedrock", "breaker_open"),
            "openai", "↷", "goes to bedrock: breaker open",
        ),
        (
            RequestCompleted(AT, "req-7", "openai", "m", "stop", 1, 1, False, Decimal("0.01"), Decimal(0), 612.0, None,
                             1, False),
            "openai", "↷", "request 7 answered in 612 ms · ~$0.01 · failed over",
        ),
        (
            RequestCompleted(AT, "req-7", "openai", "m", "stop", 1, 1, False, None, Decimal(0), 1.0, None, 0, True),
            "openai", "✓", "from the cache",
        ),
        (
            RequestFailed(AT, "req-7", "SomeError", "no luck", None, 5.0, 0),
            "", "✗", "request 7 failed: SomeError: no luck",
        ),
        (RequestCancelled(AT, "req-7", 5.0, 0), "", "■", "request 7 is cut off"),
        (ProviderDisabled(AT, "", "openai", None, "the key"), "openai", "⊘", "out of rotation: the key"),
        (
            StreamRestartedElsewhere(AT, "req-7", "openai", "bedrock", "cut", 0),
            "openai", "↻", "broke off: bedrock starts anew · request 7",
        ),
        (
            BudgetThresholdCrossed(AT, "", "acme", 0.9, Decimal(9), Decimal(10)),
            "", "▶", "acme has used 90 % of ~$10.00",
        ),
    ],
)  # fmt: skip
def test_what_a_row_says(event: Any, who: str, mark: str, said: str) -> None:
    row = row_of(event, FAULTS)
    assert (row.who, row.mark) == (who, mark)
    assert said in row.text


@pytest.mark.parametrize(
    "name", ["bedrock-brownout", "mid-stream-restart", "bad-key", "cache-saves-the-day", "brownout"]
)
def test_no_event_is_left_without_words(name: str) -> None:
    take = record(scenario(name))
    seen = set()
    for position in range(len(take.recording)):
        event = take.recording.event(position)
        seen.add(type(event).__name__)
        assert row_of(event, take.scenario.faults).text != type(event).__name__
    assert len(seen & EVENT_TYPES.keys()) > 6


def test_a_filter_looks_at_words_and_kinds(take: Take) -> None:
    recording, faults = take.recording, take.scenario.faults
    opened = next(at for at in recording.moments if type(recording.event(at)) is BreakerOpened)
    assert holds(recording, opened, faults, ["bedrock", "closed → open"])
    assert holds(recording, opened, faults, ["breakeropened"])
    assert not holds(recording, opened, faults, ["openai"])


def test_names_of_requests() -> None:
    assert request_name("req-000123") == "request 123"
    assert request_name("abc") == "request abc"


def test_a_request_that_failed_tells_what_was_paid_for_nothing() -> None:
    take = record(scenario("mid-stream-cut"))
    failed = next(at for at in take.recording.moments if type(take.recording.event(at)) is RequestFailed)
    lines = row_lines(take, failed, 100)
    told = "\n".join(text(line) for line in lines)
    assert "paid for nothing ~$0.0052" in told
    assert "6 pieces · the first after" in told
    assert any(style == GOOD or "$success" in style for line in lines for _, style in line)


# --- the player -----------------------------------------------------------------------------------------------------


def test_time_goes_by_at_the_chosen_speed_up_to_the_end() -> None:
    player = Player()
    player.length_us = 300_000_000
    player.toggle()
    player.advance(1_000_000)
    assert player.at_us == 10_000_000
    player.faster()
    player.advance(1_000_000)
    assert player.at_us == 70_000_000
    player.advance(10_000_000)
    assert (player.at_us, player.playing) == (300_000_000, False)
    player.toggle()
    assert (player.at_us, player.playing) == (0, True)
    player.toggle()
    player.advance(1_000_000)
    assert player.at_us == 0


def test_the_fastest_takes_seconds_for_any_run_and_is_never_slower_than_the_one_before() -> None:
    player = Player()
    for _ in SPEEDS[2:]:
        player.faster()
    for length in (1_000_000, 300_000_000, 4_200_000_000, 86_400_000_000):
        player.length_us = length
        assert player.speed_word == "max"
        assert player.speed > 60
        assert length / 1e6 / player.speed <= 4.01
    player.faster()
    assert player.speed_word == "1×"


def test_one_cannot_stand_outside_of_the_run() -> None:
    player = Player()
    player.toggle()
    assert not player.playing
    player.length_us = 100
    player.go(-5)
    assert player.at_us == 0
    player.go(500)
    assert player.at_us == 100
