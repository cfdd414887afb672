"""Lines of the route, the history and the explanation: aligned, never longer than their width, in plain words."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sandbox.tui.drawing import activity, bar, cost_line, counts, step_lines, story_lines, time_line
from sandbox.tui.explain import explain_lines
from sandbox.tui.help import help_lines
from sandbox.tui.history import history_line
from sandbox.tui.pieces import Line, clip
from sandbox.tui.plain import TABLE
from sandbox.tui.state import Entry
from sandbox.tui.story import Attempt, RequestStory, Skip, Wait


def text(line: Line) -> str:
    return "".join(piece for piece, _ in line)


def failover() -> RequestStory:
    return RequestStory(
        request_id="7f3a",
        status="done",
        mode="mock",
        started_us=1,
        ended_us=1_000_001,
        strategy="priority",
        deadline_s=60.0,
        steps=[
            Attempt(1, "bedrock", "claude-3-sonnet", 1, outcome="failed", ended_us=52_001, latency_ms=52.0,
                    error_type="ServiceUnavailableError", status=503, message="overloaded"),
            Wait("bedrock", 1, 0.05, 52_001),
            Attempt(2, "bedrock", "claude-3-sonnet", 102_001, retry=1, outcome="failed", ended_us=153_001,
                    latency_ms=51.0, error_type="ProviderTimeoutError"),
            Skip("anthropic", "claude-3-sonnet", "breaker_open", 12.0, 153_001),
            Attempt(3, "openai", "gpt-4-turbo", 188_001, outcome="ok", ended_us=1_000_001, latency_ms=812.0),
        ],
        failovers=1, provider="openai", model="gpt-4-turbo", finish_reason="stop", input_tokens=38, output_tokens=121,
        cost_usd=Decimal("0.00412"), priced=True, premium_usd=Decimal("0.00287"), latency_ms=1000.0, ttft_ms=214.0,
    )  # fmt: skip


def test_attempts_are_aligned() -> None:
    lines = [text(line) for _, line in step_lines(failover(), 0, 70)]
    assert lines[0].startswith(" 1 bedrock   ✗ 503 unavailable")
    assert lines[1] == "   ↺ again after 50 ms"
    assert lines[2].startswith(" 2 bedrock   ✗ timeout")
    assert lines[3] == " - anthropic » breaker open, probe in 12 s"
    assert lines[4].startswith(" 3 openai    ✓ gpt-4-turbo")
    ends = {line.index(" ms") for line in (lines[0], lines[2], lines[4])}
    assert len(ends) == 1


def test_the_waterfall_shows_when_each_ran() -> None:
    lines = [text(line) for _, line in step_lines(failover(), 0, 80) if "█" in text(line) or "▏" in text(line)]
    begins = [min(line.index(block) for block in "█▏▎▍▌▋▊▉" if block in line) for line in lines]
    assert begins == sorted(begins)
    assert len(set(begins)) == 3


def test_figures_of_simulated_providers_are_marked() -> None:
    story = failover()
    assert text(cost_line(story)) == "cost ~$0.00412 (~+$0.00287 for failing over) · waste ~$0"
    story.mode = "live"
    assert text(cost_line(story)) == "cost $0.00412 (+$0.00287 for failing over) · waste $0"


def test_an_unknown_price_is_not_nothing() -> None:
    story = failover()
    story.cost_usd = story.premium_usd = None
    assert text(cost_line(story)) == "cost unpriced (premium unknown: unpriced) · waste ~$0"
    story.priced = False
    assert cost_line(story) == []


def test_times_and_tokens() -> None:
    assert text(time_line(failover())) == "first text 214 ms · 154 tok/s · total 1000 ms"
    assert counts(failover()) == "38 in · 121 out · stop"


def test_activity_names_what_is_waited_for() -> None:
    story = RequestStory("r")
    assert activity(story, 50_000, 0, 0) == "⠋ asking"
    story.steps.append(Attempt(1, "openai", "gpt-4", 0))
    assert activity(story, 2_300_000, 0, 1) == "⠙ asking openai · 2.3 s"


@given(st.floats(-1, 2), st.floats(-1, 2), st.integers(8, 200))
def test_a_bar_stays_within_its_columns_and_is_never_empty(start: float, end: float, width: int) -> None:
    lead, blocks = bar(start, end, width)
    assert lead >= 0
    assert len(blocks) > 0
    assert lead + len(blocks) <= width


@given(st.text(max_size=60), st.integers(1, 50))
def test_clip_never_exceeds_its_columns(words: str, width: int) -> None:
    assert cell_len(clip(words, width)) <= max(width, 1)


@pytest.mark.parametrize("width", [56, 60, 74, 76, 100, 150])
@pytest.mark.parametrize("roomy", [True, False])
def test_no_line_of_the_route_is_wider_than_the_pane(width: int, roomy: bool) -> None:
    for line in story_lines(failover(), 0, width, 0, (), roomy=roomy):
        assert cell_len(text(line)) <= width, text(line)


def test_room_shows_the_messages_of_failures() -> None:
    roomy = [text(line) for line in story_lines(failover(), 0, 76, 0, ("past the cache",), roomy=True)]
    assert "   overloaded" in roomy
    assert roomy[0] == "priority · any model · deadline 60 s · past the cache"
    assert "   overloaded" not in [text(line) for line in story_lines(failover(), 0, 76, 0, (), roomy=False)]


@pytest.mark.parametrize("width", [60, 76, 156])
def test_history_rows_are_columns(width: int) -> None:
    plain = Entry("a", 0, "two\nlines and many more words than fit" * 5, status="done", provider="openai",
                  answered_model="gpt-4", latency_ms=915.0, cost_usd="0.00412", failovers=1)  # fmt: skip
    cached = Entry("b", 0, "寿司" * 60, status="done", provider="azure_openai", cached=True, latency_ms=1.0)
    failed = Entry("c", 0, "x", status="failed")
    rows = [text(history_line(entry, width)) for entry in (plain, cached, failed)]
    assert all(cell_len(row) <= width for row in rows)
    assert "↷1" in rows[0]
    assert "~$0.00412" in rows[0]
    assert "cached" in rows[1]
    assert rows[0].index("two") == rows[1].index("寿") == rows[2].index("x")


def test_the_explanation_leaves_nothing_out() -> None:
    entry = Entry("7f3a", 0, "Explain.", via="bedrock")
    told = "\n".join(text(line) for line in explain_lines(entry, failover(), 0, 90))
    for words in ("7f3a", "Explain.", "asked first  bedrock", "503 unavailable", "overloaded", "retry 1", "gpt-4-turbo",
                  "probe in 12 s", "~$0.00412", "~+$0.00287", "38 in", "deadline", "~ marks"):  # fmt: skip
        assert words in told, words


@pytest.mark.parametrize("width", [40, 72, 96])
def test_help_fits_and_knows_every_key(width: int) -> None:
    lines = [text(line) for line in help_lines("Prompt", "words " * 40, "playground", {"opened"}, "UTC", width)]
    assert any(line.startswith("f ^f") for line in lines)
    assert all(len(line) <= max(width, 76) for line in lines)


def test_plain_characters_keep_their_width() -> None:
    assert all(cell_len(chr(code)) == len(plain) for code, plain in TABLE.items())
    drawn = "".join(text(line) for line in story_lines(failover(), 0, 80, 0, (), roomy=True))
    assert drawn.translate(TABLE).isascii()
