"""Room 4, driven as a person drives it, over a store that holds what can happen to requests."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from sandbox.costs.rates import spent_usd
from sandbox.desks import books
from sandbox.settings.loading import Loaded
from sandbox.settings.sources import Origin
from sandbox.tui.application import SandboxApp
from sandbox.tui.costs.budget import BudgetDialog
from sandbox.tui.costs.room import CostsRoom
from sandbox.tui.dialogs import Chooser, Reader
from tests.sandbox.cli.conftest import Cli, cli, home  # noqa: F401  fixtures
from tests.tui.books import fill, record, typical
from tests.tui.support import NARROW, WIDE, MovedClock, asked, notice, ready, screen_text, sees, settings, until

Make = Callable[..., SandboxApp]


async def entered(pilot: Pilot[None]) -> CostsRoom:
    """Go to the room and wait until it shows something."""
    await pilot.press("f4")
    app: Any = pilot.app
    await until(pilot, lambda: isinstance(app.room, CostsRoom) and app.room.lookout.seen is not None, "the room")
    room: CostsRoom = app.room
    await shows(pilot, room)
    return room


async def shows(pilot: Pilot[None], room: CostsRoom) -> None:
    """Wait until what is shown is what was asked for last."""
    await until(
        pilot,
        lambda: room.lookout.seen is not None and room.lookout.seen.asked == room.lookout.asked and not room._stirred,
        "what was asked for",
    )
    await pilot.pause()


async def pressed(pilot: Pilot[None], room: CostsRoom, *keys: str) -> None:
    """Press keys that lead somewhere else, one after the other."""
    for key in keys:
        await pilot.press(key)
        await shows(pilot, room)


async def chosen(pilot: Pilot[None], key: str, *keys: str) -> None:
    """Press a key that opens a list, and choose there."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, Chooser), "the list")
    await pilot.press(*keys)
    await until(pilot, lambda: not isinstance(pilot.app.screen, Chooser), "the choice")


def titles(room: CostsRoom) -> str:
    return str(room.breakdown.border_title)


def listed(room: CostsRoom) -> list[str]:
    return [row.key for row in room.breakdown.rows.listed.rows]


@pytest.fixture
async def filled(tmp_path: Path) -> Path:
    clock = MovedClock()
    await fill(tmp_path, clock, typical(clock.time_us()))
    return tmp_path


# --- what is shown --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, (100, 30), WIDE])
async def test_an_empty_room_says_what_to_press_and_the_first_request_appears(
    make: Make, size: tuple[int, int]
) -> None:
    app = make()
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        room = await entered(pilot)
        await sees(pilot, "Nothing was asked in MOCK mode in the last 24 hours.", "1 opens the Playground.")
        await pilot.press("1")
        await asked(pilot)
        await pilot.press("f4")
        await until(pilot, lambda: "Nothing was asked" not in screen_text(app), "the request")
        await until(pilot, lambda: listed(room) == ["default"], "its tenant")
        await sees(pilot, "MOCK figures", "1 request", "[24h]")


async def test_everything_is_told_of_its_own_mode_alone(make: Make, filled: Path) -> None:
    app = make(budget_limit="1", budgets={"tenants": {"acme": "0.05"}})
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        # 4 × 0.01 + 0.002 + 0.05 for answers, 0.003 of waste.
        await sees(pilot, "MOCK figures · ~$0.095 · 9 requests · 1 unpriced · ~$0.01 saved")
        await sees(pilot, "of it waste", "~$0.003", "~+$0.04", "1 move to another provider", "1 answer from it, 11.1 %")
        await sees(pilot, "answered without a known price", "failed")
        await until(pilot, lambda: listed(room) == ["acme", "globex"], "the tenants")
        assert "real" not in screen_text(app)
        globex = next(row for row in room.breakdown.rows.listed.rows if row.key == "globex")
        assert "unpriced" in globex.cells
        # The ledgers take what was spent before from the records.
        await sees(pilot, "all tenants", "~$0.095 of $1.00", "tenant acme", "used up", "██")
        await sees(pilot, "What could be saved", "saves ~$", "from sums of the records")


async def test_live_figures_carry_no_mark(make: Make, filled: Path) -> None:
    app = make(mode="live", providers={"openai": {"api_key": "sk-" + "x" * 20}})
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await sees(pilot, "LIVE figures · $7.00 · 1 request", "real")
        body = "\n".join(screen_text(app).splitlines()[1:12])
        assert "~" not in body


async def test_the_figures_are_those_of_the_command_line(
    filled: Path,
    cli: Cli,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(filled))
    app = SandboxApp(settings(filled), clock=MovedClock())
    by = {}
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        seen = room.lookout.seen
        assert seen is not None
        totals, outlook, by["tenant"] = seen.totals, seen.outlook, seen.rows
        for name in ("provider", "model"):
            room.ask(books.Asked(by=name))
            await shows(pilot, room)
            assert room.lookout.seen is not None
            by[name] = room.lookout.seen.rows
    app.engine.close()
    for name, rows in by.items():
        told = await asyncio.to_thread(lambda name=name: cli("costs", "--by", name, "--json").json)  # type: ignore[misc]
        assert told["mode"] == "mock"
        assert Decimal(told["total"]["cost_usd"]) + Decimal(told["total"]["waste_usd"]) == spent_usd(totals)
        assert told["total"]["requests"] == totals.requests == 9
        assert Decimal(told["month"]["spent_usd"]) == outlook.spent_usd
        assert [(item[name], Decimal(item["cost_usd"]), item["tokens"]) for item in told["items"]] == [
            (key, sums.cost_usd, sums.tokens) for key, sums in rows
        ]


# --- going in and back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_enter_goes_in_down_to_a_requests_story_and_escape_back(
    make: Make, filled: Path, size: tuple[int, int]
) -> None:
    app = make()
    async with app.run_test(size=size) as pilot:
        room = await entered(pilot)
        await pressed(pilot, room, "enter")
        assert listed(room) == ["writer", "coder"]
        await pressed(pilot, room, "enter")
        assert listed(room) == ["claude-opus-4", "gpt-4o"]
        await pressed(pilot, room, "enter")
        assert listed(room) == ["req-000006"]
        way = (
            "all → acme → writer → claude-op…"
            if size == NARROW
            else "all → tenant acme → agent writer → model claude-op"
        )
        await sees(pilot, way, "✓ anthropic claude-opus-4", "↷1")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Reader), "the story")
        await sees(pilot, "tenant acme, agent writer", "not kept (usage.store_prompts)")
        if size == WIDE:
            await sees(pilot, "large like gpt-4o", "503 unavailable", "out for lunch", "breaker open", "retry 1")
            await sees(pilot, "~+$0.04 beyond what openai would have cost", "~$0.003 for answers that were not used")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Reader))
        await pressed(pilot, room, "escape")
        assert listed(room) == ["claude-opus-4", "gpt-4o"]
        await pressed(pilot, room, "j", "enter")
        assert len(listed(room)) == 4
        await pressed(pilot, room, "escape")
        # The cursor is on the row that was left.
        assert room.breakdown.rows.selected is not None
        assert room.breakdown.rows.selected.key == "gpt-4o"
        await pressed(pilot, room, "escape", "escape")
        assert listed(room) == ["acme", "globex"]


async def test_what_is_around_is_about_what_was_entered_and_the_way_can_be_clicked(make: Make, filled: Path) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pressed(pilot, room, "j", "enter")
        await sees(pilot, "MOCK figures · unpriced · 3 requests · 1 unpriced", "all → tenant globex by agent")
        assert room.lookout.seen is not None
        assert room.lookout.seen.outlook.spent_usd == 0
        assert "nobody moved" in screen_text(app)
        title = next(y for y, line in enumerate(screen_text(app).splitlines()) if "tenant globex" in line)
        await pilot.click(offset=(screen_text(app).splitlines()[title].index("all →") + 1, title))
        await shows(pilot, room)
        assert listed(room) == ["acme", "globex"]


async def test_it_is_broken_down_by_anything_and_a_row_of_that_is_entered_too(make: Make, filled: Path) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await chosen(pilot, "v", "j", "j", "j", "j", "enter")
        await shows(pilot, room)
        assert listed(room)[0] == "anthropic"
        await pressed(pilot, room, "j", "enter")
        await sees(pilot, "all → provider openai by tenant")
        await pressed(pilot, room, "escape")
        assert "by provider" in titles(room)
        await pressed(pilot, room, "escape")
        assert "by tenant" in titles(room)
        await chosen(pilot, "v", "G", "enter")
        await shows(pilot, room)
        assert len(listed(room)) == 9
        await sees(pilot, "✗ AllProvidersFailedError", "(cached)", "unpriced")


async def test_arrows_change_the_time(make: Make, tmp_path: Path) -> None:
    clock = MovedClock()
    now, day = clock.time_us(), 86_400_000_000
    rows = [record(n, now - age * day) for n, age in enumerate((0, 3, 20, 400))]
    await fill(tmp_path, clock, rows)
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)

        def requests() -> int:
            assert room.lookout.seen is not None
            return room.lookout.seen.totals.requests

        assert requests() == 1
        await sees(pilot, "Spend in the last 24 hours, by hour")
        await pressed(pilot, room, "right")
        assert requests() == 2
        await sees(pilot, "[7d]", "by day (UTC)")
        await pressed(pilot, room, "right")
        assert requests() == 3
        await pressed(pilot, room, "left", "left", "left")
        assert requests() == 4
        await sees(pilot, "[all]", "by month (UTC)", "most ~$0.0")
        await pressed(pilot, room, "r")
        assert requests() == 1


async def test_the_filter_narrows_and_escape_ends_it(make: Make, filled: Path) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("slash", *"glo")
        assert listed(room) == ["globex"]
        await sees(pilot, "1 of 2")
        await pilot.press("slash", "x")
        await sees(pilot, "No row has 'glo/x' in it")
        await pilot.press("escape")
        assert listed(room) == ["acme", "globex"]
        assert room.breakdown.rows.has_focus
        await pilot.press("slash", *"glo", "enter", "escape")
        assert listed(room) == ["acme", "globex"]
        await pilot.press("slash", *"glo", "enter", "enter")
        await shows(pilot, room)
        assert room.lookout.asked.path == (("tenant", "globex"),)
        assert room.breakdown.words == ""


# --- live -----------------------------------------------------------------------------------------------------------


async def test_a_burst_of_requests_is_looked_at_a_few_times_and_shown_to_the_last(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    look = books.look

    async def counting(asked: Any, runtime: Any, tell: Any) -> None:
        looks.append(asked)
        await look(asked, runtime, tell)

    monkeypatch.setattr("sandbox.tui.costs.lookout.look", counting)
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        before = len(looks)

        async def burst(runtime: Any, tell: Any) -> None:
            for number in range(300):
                runtime.usage.record(record(number, runtime.clock.time_us(), tenant_id="burst"))
                from sandbox.core.events import UsageRecorded

                runtime.bus.publish(UsageRecorded(runtime.clock.time_us(), "", f"log-{number}"))
                await asyncio.sleep(0.001)

        began = app.clock.time_us()
        app.engine.work("burst", burst)
        await until(pilot, lambda: room.lookout.seen and room.lookout.seen.totals.requests == 300, "all of them")
        took_s = (app.clock.time_us() - began) / 1e6
        assert len(looks) - before <= took_s / 0.5 + 2
        await sees(pilot, "300 requests", "burst")


async def test_another_mode_shows_other_figures(make: Make, filled: Path) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await sees(pilot, "MOCK figures")
        app.engine.reopen(app.engine.settings.model_copy(update={"mode": "replay"}))
        await sees(pilot, "REPLAY figures · ~$0 · 0 requests", "Nothing was asked in REPLAY mode")


async def test_without_records_it_says_so(make: Make) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("f4")
        await sees(pilot, "usage records are off, or their store could not be opened")
        app.perform("costs_export")
        assert "not possible now" in notice(app)


# --- what could be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_what_if_it_had_been_another_model(make: Make, filled: Path, size: tuple[int, int]) -> None:
    app = make()
    async with app.run_test(size=size) as pilot:
        room = await entered(pilot)
        await chosen(pilot, "w", *"4.1-nano", "enter")
        await sees(pilot, "What if", "as it was", "openai/gpt-4.1-nano")
        await until(pilot, lambda: room.lookout.advised and room.lookout.advised.repriced, "the price")
        assert room.lookout.advised is not None
        (priced,) = room.lookout.advised.repriced
        # Seven were answered and not from the cache, 150 tokens each.
        rate = Decimal("0.1") * 100 + Decimal("0.4") * 50
        assert priced.requests == 7
        assert priced.cost_usd == rate * 7 / 10**6
        assert priced.actual_usd == Decimal("0.092")
        await sees(pilot, "1 request unpriced as they were", "an estimate, for")
        # Choosing it again takes it away; W takes all.
        await chosen(pilot, "w", *"4.1-nano", "enter")
        await sees(pilot, "w chooses a model")
        assert room.lookout.targets == ()


async def test_several_models_are_looked_at_beside_each_other(make: Make, filled: Path) -> None:
    app = make()
    app.state.costs_targets = [f"openai/{name}" for name in ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini")]
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await chosen(pilot, "w", *"4.1-nano", "enter")
        # The oldest makes room.
        assert room.lookout.targets == (*app.state.costs_targets[:3], "openai/gpt-4.1-nano")
        await sees(pilot, "openai/gpt-4o-mini", "openai/gpt-4.1-nano")
        await pilot.press("W")
        await sees(pilot, "w chooses a model")
        assert app.state.costs_targets == []


async def test_a_model_that_no_catalogue_knows_any_more_is_said(make: Make, filled: Path) -> None:
    app = make()
    app.state.costs_targets = ["openai/gpt-none", 7]  # type: ignore[list-item]
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await sees(pilot, "no price catalogue knows the model 'openai/gpt-none'", "What could be saved")


# --- budgets --------------------------------------------------------------------------------------------------------


def loaded_app(folder: Path, **origins: Origin) -> SandboxApp:
    chosen = settings(folder)
    return SandboxApp(chosen, clock=MovedClock(), loaded=Loaded(chosen, origins, folder / "config.toml"))


async def test_a_budget_is_set_in_the_running_program_and_in_the_settings(filled: Path) -> None:
    app = loaded_app(filled)
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, BudgetDialog), "the dialog")
        await pilot.press(*"much")
        await sees(pilot, "the budget is 'much'; write an amount of USD a month")
        await pilot.press("enter")
        assert isinstance(app.screen, BudgetDialog)
        await pilot.press("ctrl+u", *"0.5")
        await sees(pilot, "all tenants: $0.50 a month; written to")
        await pilot.press("enter")
        await sees(pilot, "~$0.095 of $0.50", "19.0 %")
        await until(pilot, lambda: "all tenants: $0.50 a month, in" in notice(app))
        assert (filled / "config.toml").read_text() == "budget_limit = 0.5\n"
        # Inside a tenant its own is proposed.
        await pressed(pilot, room, "enter")
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, BudgetDialog), "the dialog")
        await sees(pilot, "tenant acme: no budget")
        await pilot.press(*"$1", "enter")
        await sees(pilot, "tenant acme", "of $1.00")
        assert app.engine.settings.budgets.tenants == {"acme": Decimal(1)}
        assert "acme = 1\n" in (filled / "config.toml").read_text()
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, BudgetDialog), "the dialog")
        await pilot.press("ctrl+u", *"none", "enter")
        await until(pilot, lambda: "tenant acme: no budget" in notice(app))
        await until(pilot, lambda: room.lookout.seen and len(room.lookout.seen.budgets) == 1, "one less")
        assert "acme" not in (filled / "config.toml").read_text()
    app.engine.close()


async def test_a_budget_that_the_environment_has_too_is_warned_of(filled: Path) -> None:
    app = loaded_app(filled, budget_limit=Origin("environment", "SANDBOX_BUDGET_LIMIT"))
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, BudgetDialog), "the dialog")
        await pilot.press("3", "enter")
        await until(pilot, lambda: "at the next start SANDBOX_BUDGET_LIMIT wins over" in notice(app))
    app.engine.close()


async def test_a_settings_file_that_cannot_be_written_changes_nothing(filled: Path) -> None:
    (filled / "config.toml").mkdir()
    app = loaded_app(filled)
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("b", "3", "enter")
        await until(pilot, lambda: "config.toml" in notice(app))
        assert room.lookout.seen is not None
        assert room.lookout.seen.budgets == ()
        assert app.engine.settings.budget_limit is None
    app.engine.close()


async def test_a_request_that_crosses_a_threshold_moves_the_gauge(make: Make) -> None:
    app = make(budget_limit="0.01")
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await entered(pilot)
        await sees(pilot, "~$0 of $0.01", "0.0 %")
        app.engine.work("spend", _spend)
        await sees(pilot, "used up: free and cached answers only", "100.0 %")


async def _spend(runtime: Any, tell: Any) -> None:
    reservation = await runtime.budgets.reserve("r", "acme", [], at_us=runtime.clock.time_us(), seconds=5)
    reservation.settle(Decimal("0.01"))


# --- writing --------------------------------------------------------------------------------------------------------


async def test_all_is_exported_with_its_sums_and_never_over_another_file(make: Make, filled: Path) -> None:
    app = make()
    exports = filled / "exports"
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await chosen(pilot, "x", "enter")
        await until(pilot, lambda: "9 requests written to" in notice(app), "the export")
        assert sorted(path.name for path in exports.iterdir()) == ["costs.csv", "costs.summary.csv"]
        with open(exports / "costs.csv", newline="") as file:
            assert {row["mode"] for row in csv.DictReader(file)} == {"mock"}
        await pressed(pilot, room, "enter")
        await chosen(pilot, "x", "down", "enter")
        await until(pilot, lambda: "6 requests written to" in notice(app), "the other export")
        told = json.loads((exports / "costs-2.json").read_text())
        assert (told["mode"], told["simulated"], len(told["items"])) == ("mock", True, 6)
        assert Decimal(told["summary"]["total"]["cost_usd"]) == Decimal("0.092")


async def test_a_long_export_tells_how_far_it_is_and_escape_leaves_no_file(
    make: Make, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(reports: Any, where: Any, path: Path, form: str, *, progress: Any, **_: Any) -> int:
        from sandbox.core.whole_file import whole_file

        with whole_file(path, overwrite=False):
            progress(4)
            await asyncio.Event().wait()
        return 0

    monkeypatch.setattr("sandbox.costs.bound.write", slow)
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await chosen(pilot, "x", "enter")
        await sees(pilot, "4 of 9 exported · Esc stops", "█████▍·")
        app.perform("costs_export")
        assert "not possible now" in notice(app)
        await pilot.press("escape")
        await until(pilot, lambda: "the export was stopped" in notice(app))
        assert room.head.exporting is None
        assert list((filled / "exports").iterdir()) == []


async def test_a_folder_that_cannot_be_written_to_is_said(make: Make, filled: Path) -> None:
    (filled / "exports").write_text("in the way")
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await chosen(pilot, "x", "enter")
        await until(pilot, lambda: "cannot write to" in notice(app))
        assert room.head.exporting is None


async def test_y_copies_what_has_the_focus(make: Make, filled: Path) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("y")
        assert app.clipboard.startswith("| tenant | requests |")
        assert "| acme | 6 |" in app.clipboard
        await pilot.press("t", "y")
        assert app.clipboard.startswith("spent")
        await pilot.press("i")
        await pressed(pilot, room, "enter", "enter", "enter")
        await pilot.press("y")
        assert app.clipboard == "req-000006"


# --- layout and what is kept ----------------------------------------------------------------------------------------


async def test_narrow_panes_are_tabs(make: Make, filled: Path) -> None:
    app = make(budget_limit="1")
    async with app.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        await sees(pilot, "all by tenant │ Saved │ Budgets │ Advice", "~$0.095", "acme")
        for text in ("of it waste", "~$0.095 of $1.00", "What could be saved"):
            await pilot.press("t")
            await sees(pilot, text)
            assert "globex  " not in screen_text(app)
        await pilot.press("t")
        await sees(pilot, "globex")
        line = next(y for y, one in enumerate(screen_text(app).splitlines()) if "│ Budgets" in one)
        await pilot.click(offset=(screen_text(app).splitlines()[line].index("Budgets") + 1, line))
        await sees(pilot, "~$0.095 of $1.00")
        await pilot.press("escape")
        await until(pilot, lambda: room.breakdown.rows.has_focus)
        await pilot.resize_terminal(*WIDE)
        await sees(pilot, "Saved and lost", "Month and budgets", "What could be", "globex", "Spend in")


async def test_where_one_was_is_kept(make: Make, filled: Path) -> None:
    first = make()
    async with first.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pressed(pilot, room, "right", "enter", "j")
        await chosen(pilot, "w", *"4.1-nano", "enter")
        await pilot.press("f1", "escape", "f3")
        await until(pilot, lambda: first.frame.room == "lab")
        await pilot.press("f4")
        await until(pilot, lambda: first.frame.room == "costs")
        assert room.breakdown.rows.selected is not None
        assert room.breakdown.rows.selected.key == "coder"
        await pilot.press("ctrl+q")
    later = make()
    async with later.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: isinstance(later.room, CostsRoom) and later.room.lookout.seen, "the same room")
        room = later.room  # type: ignore[assignment]
        await shows(pilot, room)
        assert room.lookout.asked == books.Asked("7d", (("tenant", "acme"),))
        assert room.lookout.targets == ("openai/gpt-4.1-nano",)
        assert room.breakdown.rows.selected is not None
        assert room.breakdown.rows.selected.key == "coder"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ([["tenant", "acme"], ["agent", "x"]], (("tenant", "acme"), ("agent", "x"))),
        ([["tenant", "acme"], "no step", ["agent", "x"]], (("tenant", "acme"),)),
        ([["day", "2025-01-01"]], ()),
        ([["tenant", 7]], ()),
        ([[]], ()),
    ],
)
async def test_a_state_that_a_hand_was_in_is_taken_as_far_as_it_goes(make: Make, path: Any, kept: Any) -> None:
    app = make()
    app.state.costs_path, app.state.costs_span, app.state.costs_by = path, "a year", "colour"
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        assert room.lookout.asked == books.Asked("24h", kept)


async def test_plain_characters_do(make: Make, filled: Path) -> None:
    app = make(ui={"ascii": True}, budget_limit="0.1")
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await until(pilot, lambda: room.lookout.advised is not None)
        await pressed(pilot, room, "enter", "enter", "enter")
        filtered = "\n".join(
            "".join(segment.text for segment in line)
            for line in (
                app._plain.apply(list(strip), app.screen.styles.background)  # type: ignore[union-attr]
                for strip in app.screen._compositor.render_strips()
            )
        )
    assert filtered.isascii(), sorted({letter for letter in filtered if not letter.isascii()})


@pytest.mark.parametrize(("theme", "size"), [("textual-dark", NARROW), ("textual-light", WIDE)])
async def test_a_hostile_name_is_shown_and_obeyed_by_nobody(
    make: Make, tmp_path: Path, theme: str, size: tuple[int, int]
) -> None:
    clock = MovedClock()
    name = "[red]x[/] \x1b[2J" + "wide界" * 12
    rows = [record(n, clock.time_us() - n, tenant_id=name, agent_id=f"{name}'{n}") for n in range(3)]
    await fill(tmp_path, clock, [*rows, record(9, clock.time_us(), tenant_id="", agent_id="")])
    app = make(ui={"theme": theme})
    async with app.run_test(size=size) as pilot:
        room = await entered(pilot)
        await sees(pilot, "[red]x[/]", "(none)")
        for _ in range(3):
            assert "\x1b" not in screen_text(app)
            await pressed(pilot, room, "enter")
            await sees(pilot, "all → " + ("" if size == NARROW else "tenant ") + "[red]x")
        assert "\x1b" not in screen_text(app)
