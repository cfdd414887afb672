"""One table feeds bindings, palette, footer and help: it must be whole and free of clashes."""

from __future__ import annotations

from collections import Counter

import pytest

from sandbox.tui import actions
from sandbox.tui.app_commands import AppCommands
from sandbox.tui.application import SandboxApp
from sandbox.tui.compare.room import CompareRoom
from sandbox.tui.costs.listing import CostRows
from sandbox.tui.costs.room import CostsRoom
from sandbox.tui.fixtures.listing import FixtureRows
from sandbox.tui.fixtures.room import Fixtures
from sandbox.tui.health.cards import CardPane
from sandbox.tui.health.room import HealthRoom
from sandbox.tui.history import Rows
from sandbox.tui.lab.listing import EventRows
from sandbox.tui.lab.picker import ScenarioRows
from sandbox.tui.lab.room import LabRoom
from sandbox.tui.playground import Playground
from sandbox.tui.rooms import ROOMS

OWNERS = {
    actions.APP: SandboxApp,
    actions.PLAYGROUND: Playground,
    actions.COMPARE: CompareRoom,
    actions.LAB: LabRoom,
    actions.COSTS: CostsRoom,
    actions.HEALTH: HealthRoom,
    actions.FIXTURES: Fixtures,
    actions.LIST: Rows,
}


@pytest.mark.parametrize("action", actions.ACTIONS, ids=lambda action: action.name)
def test_every_action_can_be_done_by_its_owner(action: actions.Action) -> None:
    assert callable(getattr(OWNERS[action.place], f"action_{action.name}"))
    assert action.title
    assert action.help.endswith(".")


@pytest.mark.parametrize("widget", [Rows, FixtureRows, EventRows, ScenarioRows, CostRows, CardPane])
def test_every_list_has_the_keys_of_lists(widget: type) -> None:
    for action in actions.of(actions.LIST):
        assert callable(getattr(widget, f"action_{action.name}"))


def test_names_are_unique_so_that_an_action_is_found_by_its_name() -> None:
    assert [name for name, count in Counter(one.name for one in actions.ACTIONS).items() if count > 1] == []


@pytest.mark.parametrize("room", [actions.PLAYGROUND, actions.LAB, actions.COSTS, actions.FIXTURES])
def test_no_key_means_two_things_at_a_time(room: str) -> None:
    taken = [key for place in (room, actions.APP, actions.LIST) for one in actions.of(place) for key in one.keys]
    rooms = [key for room in ROOMS for key in (room.key, f"alt+{room.key}")]
    assert [key for key, count in Counter(taken + rooms).items() if count > 1] == []


def test_every_binding_has_an_id_so_that_a_keymap_can_change_it() -> None:
    for place in OWNERS:
        assert all(binding.id for binding in actions.bindings(place))


def test_every_room_action_with_a_letter_is_reachable_while_typing() -> None:
    """By a control or alt key, by the palette, or because it makes no sense then."""
    for name in ("send", "break", "heal", "choose_model", "choose_provider", "choose_strategy", "choose_preset"):
        assert actions.find(name).key_for(typing=True), name


def test_the_footer_shows_what_works_now() -> None:
    places = (actions.PLAYGROUND, actions.APP)
    typing = [(one.name, key) for one, key in actions.footer(places, {"typing", "opened"})]
    assert ("send", "^s") in typing
    assert ("break", "^f") in typing
    assert ("help", "F1") in typing
    assert not any(name in ("resend", "heal", "cancel") for name, _ in typing)
    reading = {one.name: key for one, key in actions.footer(places, {"opened", "asked", "broken", "text"})}
    assert (reading["break"], reading["heal"], reading["resend"], reading["help"]) == ("f", "F", "r", "?")
    running = [one.name for one, _ in actions.footer(places, {"opened", "asked", "running"})]
    assert running[0] == "cancel"
    assert "send" not in running


@pytest.mark.parametrize(
    ("facts", "labels"),
    [
        ({"taken"}, {"play": "play", "speed": "speed", "live": "live", "provoke": "break here"}),
        ({"taken", "playing", "by_hand"}, {"play": "pause", "take_back": "take back"}),
        (
            {"taken", "watching", "playing", "by_hand"},
            {
                "play": "stand still",
                "speed": "1/5/15 min",
                "live": "replay",
                "provoke": "break",
                "take_back": "heal",
            },
        ),
        ({"taken", "watching"}, {"play": "go on"}),
    ],
)
def test_the_footer_says_what_a_key_does_now(facts: set[str], labels: dict[str, str]) -> None:
    told = {one.name: one.label for one, _ in actions.footer([actions.LAB], facts)}
    assert {name: told[name] for name in labels} == labels
    assert "play" not in {one.name for one, _ in actions.footer([actions.LAB], {*facts, "typing"})}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("ctrl+s", "^s"),
        ("f1", "F1"),
        ("f", "f"),
        ("alt+m", "Alt-m"),
        ("question_mark", "?"),
        ("escape", "Esc"),
        ("enter", "Enter"),
        ("space", "Space"),
        ("shift+left", "Shift-←"),
    ],
)
def test_keys_as_a_person_reads_them(key: str, text: str) -> None:
    assert actions.shown(key) == text


def test_commands_stay_where_they_belong() -> None:
    """The app's own dialogs are in one place, so that a room cannot shadow them."""
    assert issubclass(SandboxApp, AppCommands)
