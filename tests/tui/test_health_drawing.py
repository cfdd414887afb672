"""Cards, rows and curves of the Health room, without a screen."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.backends import BackendCheck, StoreHealth
from sandbox.core.tables import text_width
from sandbox.desks.lights import Light
from sandbox.desks.places import Kept, Moved, Tried, Trying, Wanted
from sandbox.desks.ward import ProviderView
from sandbox.gateway.breaker import BreakerPolicy, Snapshot
from sandbox.gateway.deployments import ProviderStatus
from sandbox.health.history import Slice, Tally
from sandbox.sharing import SharedHealth
from sandbox.tui.health.boxes import beside, box, ends, fitted, gauge, latency_curve, success_curve, width_of
from sandbox.tui.health.cards import Grid
from sandbox.tui.health.entries import ProviderEntry, fill_words, seconds
from sandbox.tui.health.stores import SharedEntry, StoreEntry
from sandbox.tui.health.switching import Switching, keys, lines, offers, wanted_of
from sandbox.tui.pieces import Line
from sandbox.tui.reports import Refused
from sandbox.tui.tables import LEVELS
from sandbox.usage.base import UsageTotals
from sandbox.usage.spool_state import SpoolState

NOW = 1_000_000_000


def text(line: Line) -> str:
    return "".join(part for part, _ in line)


def tallies(*calls: tuple[int, int, float]) -> list[Tally]:
    """Successes, failures and the latency of each column."""
    return [Tally(ok, bad, latency * ok, latency) for ok, bad, latency in calls]


# --- lines ----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=40).filter(str.isprintable), st.text(max_size=20).filter(str.isprintable), st.integers(1, 50))
def test_a_line_has_exactly_the_columns_it_is_to_have(left: str, right: str, width: int) -> None:
    assert width_of(fitted([(left, ""), (right, "bold")], width)) == width
    assert width_of(ends([(left, "")], [(right, "")], width)) == width


@given(st.text(max_size=60).filter(str.isprintable), st.integers(24, 60), st.booleans())
def test_a_box_is_a_rectangle(words: str, width: int, chosen: bool) -> None:
    drawn = box([(words, "")], [("● closed", "")], [[(words, "")]], width, 5, chosen=chosen, style="")
    assert [width_of(line) for line in drawn] == [width] * 5
    assert ("▶" in text(drawn[0])) is chosen, "the choice is seen without colours"
    assert {width_of(line) for line in beside([drawn, drawn])} == {2 * width}


@pytest.mark.parametrize(
    ("calls", "latency", "success"),
    [
        ([(1, 0, 100.0), (1, 0, 50.0)], "█▄", "██"),
        ([(0, 3, 0.0), (0, 0, 0.0)], "✗·", "✗·"),
        ([(1, 1, 10.0), (1, 9, 10.0)], "██", "▄▁"),
        ([(2, 0, 0.0)], "▁", "█"),
    ],
)
def test_curves_say_how_slow_and_how_sure(calls: Any, latency: str, success: str) -> None:
    curve = tallies(*calls)
    assert text(latency_curve(curve, len(curve), LEVELS)) == latency
    assert text(success_curve(curve, len(curve), LEVELS)) == success


def test_a_curve_fills_its_room_with_now_at_the_right() -> None:
    curve = tallies((0, 1, 0.0), (1, 0, 9.0))
    assert text(success_curve(curve, 7, LEVELS)) == " ✗✗✗███"
    assert text(success_curve(curve, 1, LEVELS)) == "█"
    assert text(success_curve([], 3, LEVELS)) == "   "


@pytest.mark.parametrize(
    ("filled", "whole", "room", "drawn"),
    [(0, 5, 10, "·····"), (2, 5, 10, "■■···"), (5, 5, 10, "■■■■■"), (1, 100, 10, "■·········"), (9, 5, 10, "■■■■■")],
)
def test_a_gauge(filled: int, whole: int, room: int, drawn: str) -> None:
    assert text(gauge(filled, whole, room, "")) == drawn


@pytest.mark.parametrize(("count", "told"), [(0, "0 s"), (12.4, "12 s"), (99.4, "99 s"), (245, "4 min 05 s")])
def test_times_in_seconds(count: float, told: str) -> None:
    assert seconds(count) == told


# --- providers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (BreakerPolicy(mode="window"), "2 of 5 in 60 s"),
        (BreakerPolicy(mode="consecutive"), "2 of 5 in a row"),
        (BreakerPolicy(mode="rate"), "2 failed, 50% of 10+ in 60 s"),
        (BreakerPolicy(mode="off"), "none: everything is let through"),
        (None, "2 failed, by rules of its own"),
    ],
)
def test_how_near_a_breaker_is_to_opening(policy: BreakerPolicy | None, told: str) -> None:
    assert fill_words(Snapshot("closed", 2, 5, None), policy) == told


def entry(
    state: Any = "closed", *, disabled: str | None = None, until: int | None = None, **more: Any
) -> ProviderEntry:
    status = ProviderStatus(
        "openai", "openai", "gpt-4", Snapshot(state, 2, 5, None), disabled, 8, 0.75, 412.0, "it broke", "0.0123"
    )
    light = Light("openai", state, until, disabled=disabled)
    curve = tallies((1, 0, 400.0), (1, 1, 424.0))
    window = Slice(0, Tally(2, 1, 824.0, 424.0))
    provider = ProviderView(status, light, None, BreakerPolicy(), tuple(curve), window, None, None, ())
    return ProviderEntry(provider, NOW, True, LEVELS, **more)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (entry(), "● closed"),
        (entry("open", until=NOW + 11_500_000), "○ open · 12 s"),
        (entry("open", until=NOW - 1), "○ open · probe next"),
        (entry("half_open"), "◐ half open"),
        (entry("forced_open"), "○ held open"),
        (entry("forced_closed"), "● held closed"),
        (entry("disabled"), "● unguarded"),
        (entry("closed", disabled="no such key"), "⊘ disabled"),
    ],
)
def test_a_state_is_a_shape_and_words(made: ProviderEntry, told: str) -> None:
    assert text(made.state()) == told


@pytest.mark.parametrize("width", [34, 40, 56])
def test_a_card_says_all_of_it_and_marks_what_is_simulated(width: int) -> None:
    body = [text(fitted(line, width)) for line in entry(fault="503").body(width)]
    told = "\n".join(body)
    for part in ("gpt-4", "!503", "~412 ms", "66.7 %", "2 of 5 in 60 s", "8 · 2 failed", "not yet: v asks", "it broke"):
        assert part in told
    assert "•" not in told


@pytest.mark.parametrize("width", [50, 74, 96, 150])
def test_a_row_fits_and_keeps_its_figures(width: int) -> None:
    row = entry("open", until=NOW + 5_000_000, fault="503").row(width, 17)
    assert width_of(row) == width
    for part in ("openai !503", "○ open · 5 s", "~412 ms", "66.7 %", "2/5"):
        assert part in text(row)


def test_a_real_figure_is_not_marked() -> None:
    made = entry()
    real = ProviderEntry(made.provider, NOW, False, LEVELS)
    assert "~" not in "\n".join(text(line) for line in (*real.body(60), *real.detail(90)))
    assert "$0.0123" in "\n".join(text(line) for line in real.detail(90))


# --- the grid -------------------------------------------------------------------------------------------------------


def grid(count: int, stores: int, width: int, *, cards: bool = True) -> Grid:
    return Grid.of([entry() for _ in range(count)], stores, width, cards=cards)


def test_stores_begin_a_row_of_their_own() -> None:
    made = grid(7, 2, 120)
    assert made.rows == ((0, 1, 2), (3, 4), (5, 6))
    assert made.width == 40
    assert made.tops == (0, 9, 18, 27)


def test_where_it_is_narrow_it_is_a_list() -> None:
    assert grid(3, 1, 30).rows == grid(3, 1, 120, cards=False).rows == ((0,), (1,), (2,))


@pytest.mark.parametrize(
    ("at", "down", "right", "to"),
    [(0, 1, 0, 3), (2, 1, 0, 4), (4, 1, 0, 6), (6, 1, 0, 6), (0, -1, 0, 0), (2, 0, 1, 3), (6, 0, 1, 6), (0, 0, -1, 0)],
)
def test_moving_in_a_grid(at: int, down: int, right: int, to: int) -> None:
    assert grid(7, 2, 120).moved(at, down, right) == to


@given(st.integers(1, 40), st.integers(0, 4), st.integers(10, 300), st.integers(-1, 1), st.integers(-1, 1))
def test_one_never_moves_out_of_the_grid(count: int, stores: int, width: int, down: int, right: int) -> None:
    made = grid(count, min(stores, count), width)
    assert sorted(number for row in made.rows for number in row) == list(range(count))
    for number in range(count):
        assert 0 <= made.moved(number, down, right) < count


# --- stores ---------------------------------------------------------------------------------------------------------


def kept(health: StoreHealth, **more: Any) -> StoreEntry:
    values: dict[str, Any] = {
        "simulated": True,
        "cache_bytes": 2048,
        "cache_limit": None,
        "today": None,
        "shared": None,
    }
    return StoreEntry(health, Kept(NOW, (health,), **{**values, **more}), NOW)


def told(made: StoreEntry) -> str:
    assert width_of(made.row(70, 14)) == 70
    return "\n".join([text(made.state()), *(text(line) for line in made.body(80))])


def test_the_cache_says_what_it_saved() -> None:
    today = UsageTotals(requests=50, cached=17, saved_usd=Decimal("0.5"))
    shown = told(kept(StoreHealth("cache", "redis", "host:6379", None), today=today))
    for part in ("● works", "host:6379", "34.0 % · 17 of 50 today", "~$0.50 today", "2.0 KiB"):
        assert part in shown


def test_a_spool_says_how_much_waits_and_since_when() -> None:
    spool = SpoolState(Path("/spool"), 12, NOW - 65_000_000, 4096, 1 << 20, 7, 3, "throttled", NOW - 5_000_000)
    made = kept(StoreHealth("usage", "dynamodb", "table x", None, 2, spool))
    shown = told(made)
    for part in ("◐ waits", "2 not committed yet", "12 wait · oldest 65 s", "7 sent", "3 lost", "throttled"):
        assert part in shown
    assert "throttled · for 5 s" in "\n".join(text(line) for line in made.detail(80))


@pytest.mark.parametrize("part", ["cache", "usage"])
def test_a_store_in_trouble_and_one_that_is_off(part: Any) -> None:
    assert "○ in trouble" in told(kept(StoreHealth(part, "redis", "host", "it is away")))
    assert "it is away" in told(kept(StoreHealth(part, "redis", "host", "it is away")))
    assert "○ off" in told(kept(StoreHealth(part, "off", "nowhere", None)))


def test_sizes_that_were_not_looked_at_again_stay() -> None:
    health = (StoreHealth("cache", "disk", "here", None),)
    before = Kept(NOW, health, True, 2048, None, UsageTotals(requests=3), None)
    after = Kept(NOW + 1, health, True, None, None, None, None, figures=False)
    assert after.with_figures_of(before).cache_bytes == 2048
    assert after.with_figures_of(before).today == before.today
    assert before.with_figures_of(after) is before


def test_what_is_shared_is_known_by_its_server() -> None:
    well = SharedEntry(SharedHealth("host:1", None, "redis 7", "default", 0.4))
    assert "redis 7 · 0.4 ms" in "\n".join(text(line) for line in well.body(60))
    away = SharedEntry(SharedHealth("host:1", "it is away"))
    assert text(away.state()) == "○ alone"
    assert text_width(text(away.row(70, 14))) == 70


# --- the switch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cache", "usage", "values"),
    [
        ("disk", "sqlite", ["aws", "aws cache", "aws usage"]),
        ("redis", "dynamodb", ["local", "local cache", "local usage"]),
        ("redis", "sqlite", ["local cache", "aws usage"]),
        ("off", "sqlite", ["local cache", "aws cache", "aws usage"]),
    ],
)
def test_only_switches_that_change_something_are_offered(cache: str, usage: str, values: list[str]) -> None:
    stores = [StoreHealth("cache", cache, "", None), StoreHealth("usage", usage, "", None)]
    assert [choice.value for choice in offers(stores)] == values
    for value in values:
        wanted = wanted_of(value)
        assert value == (wanted.place if wanted.part is None else f"{wanted.place} {wanted.part}")


def shown(switching: Switching) -> str:
    return "\n".join([*(text(line) for line in lines(switching, NOW, 60)), keys(switching)])


def test_a_switch_from_the_first_question_to_its_end() -> None:
    one = Switching("s", Wanted("aws", None), Path("/settings.toml"), NOW - 3_000_000)
    assert "getting ready" in shown(one)
    assert one.take(Trying("s", {"cache": "redis", "usage": "dynamodb"}), NOW - 2_000_000)
    assert "trying it out · 3 s" in shown(one)
    assert one.take(Tried("s", BackendCheck("cache", "redis", True, "host", "me", 1.5, "redis 7")), NOW)
    assert str(one.stage) == "trying"
    assert one.take(Tried("s", BackendCheck("usage", "dynamodb", True, "table", None, 20.0)), NOW)
    assert one.stage == "ready"
    for part in (
        "✓ cache → redis · as me · in 1.5 ms",
        "host: redis 7",
        "in 20 ms",
        "w switch, and write it",
        "Esc no",
    ):
        assert part in shown(one)
    one.go(NOW)
    assert "goes on behind" in shown(one)
    assert one.take(Moved("s", (), {}, None, "the disk is full"), NOW)
    assert one.outcome == ("as it was before; the settings could not be written: the disk is full", "warning")


@pytest.mark.parametrize(
    ("winning", "told"),
    [
        (("SANDBOX_BACKEND",), "SANDBOX_BACKEND is set and wins over"),
        (("SANDBOX_BACKEND", ".env, line 2"), "SANDBOX_BACKEND and .env, line 2 are set and win over"),
    ],
)
def test_a_variable_that_wins_over_the_file_is_named_before_and_after(winning: tuple[str, ...], told: str) -> None:
    one = Switching("s", Wanted("local", "cache"), Path("/settings.toml"), NOW, winning=winning)
    one.take(Trying("s", {"cache": "disk"}), NOW)
    one.take(Tried("s", BackendCheck("cache", "disk", True, "here")), NOW)
    assert f"{told} that file" in " ".join(shown(one).split())
    one.go(NOW)
    one.take(Moved("s", (), {}, Path("/settings.toml"), ""), NOW)
    assert one.outcome == (f"as it was before, in /settings.toml too; {told} it at the next start", "warning")
    one.moved = Moved("s", (), {}, None, "")
    assert one.outcome == ("as it was before, until this program ends", "done")


def test_a_switch_that_is_refused_can_be_tried_again() -> None:
    one = Switching("s", Wanted("aws", "cache"), None, NOW)
    one.take(Trying("s", {"cache": "redis"}), NOW)
    one.take(Tried("s", BackendCheck("cache", "redis", False, "host", problem="set cache.endpoint_url")), NOW)
    assert one.stage == "refused"
    for part in ("✗ cache → redis", "    set cache.endpoint_url", "nothing was changed", "r try again"):
        assert part in shown(one)
    one.again(NOW)
    assert (one.stage, one.checks) == ("trying", {})


def test_a_switch_hears_of_itself_alone() -> None:
    one = Switching("s", Wanted("aws", "cache"), None, NOW)
    assert not one.take(Trying("other", {"cache": "redis"}), NOW)
    assert not one.take(Refused("other", "InputError", "no"), NOW)
    assert one.take(Refused("s", "InputError", "it is away; nothing was changed"), NOW)
    assert one.outcome == ("it is away; nothing was changed", "error")
    assert "✗ it is away" in shown(one)
