"""The rooms that exist. A further room is one more line; its module loads when it is entered for the first time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from textual.containers import Container

from sandbox.tui import actions

if TYPE_CHECKING:
    from textual.widget import Widget

    from sandbox.core.events import Event
    from sandbox.tui.application import SandboxApp
    from sandbox.tui.reports import Report
    from sandbox.tui.state import UIState


class RoomEntry(NamedTuple):
    name: str
    key: str
    """The digit that opens it; its function key of the same number does too, except F1."""
    title: str
    place: str
    """`module:class`"""

    def load(self) -> type[Room]:
        module, _, name = self.place.partition(":")
        cls: type[Room] = getattr(import_module(module), name)
        return cls


ROOMS: tuple[RoomEntry, ...] = (
    RoomEntry("playground", "1", "Playground", "sandbox.tui.playground:Playground"),
    RoomEntry("compare", "2", "Compare", "sandbox.tui.compare.room:CompareRoom"),
    RoomEntry("lab", "3", "Lab", "sandbox.tui.lab.room:LabRoom"),
    RoomEntry("costs", "4", "Costs", "sandbox.tui.costs.room:CostsRoom"),
    RoomEntry("health", "5", "Health", "sandbox.tui.health.room:HealthRoom"),
    RoomEntry("fixtures", "6", "Fixtures", "sandbox.tui.fixtures.room:Fixtures"),
)


class Target(NamedTuple):
    """Something that jump mode can reach: a key, where its label stands, and the action to run."""

    key: str
    widget: Widget
    action: str
    dx: int = 2
    """Columns from the widget's left edge."""


class Room(Container):
    """What every room gives to the frame. It keeps its state while another one is shown."""

    ROOM = ""
    """Its name, which is its place in the table of actions too."""
    TOPIC = ""
    """What its help is about where nothing with help of its own has the focus."""
    HINTED = False
    """Whether the hints for newcomers are about it."""

    @property
    def ui(self) -> SandboxApp:
        """The application, by its own type."""
        return cast("SandboxApp", self.app)

    def facts(self) -> set[str]:
        """What holds now, for the actions of the table."""
        return set()

    def enter(self) -> None:
        """It is shown now: put the focus where work goes on."""

    def on_bus_event(self, event: Event) -> None:
        """An event of the bus, whichever room caused it."""

    def on_report(self, report: Report) -> None:
        """Something else that the engine tells."""

    def tick(self, now_us: int) -> None:
        """Draw what has changed; called at the rate of the screen, after the events."""

    def targets(self) -> list[Target]:
        """What jump mode reaches."""
        return []

    def lay_out(self) -> None:
        """The terminal's size has changed."""

    def remember(self, state: UIState) -> None:
        """Write what is to survive into the state."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        known = [one for one in actions.of(self.ROOM) if one.name == action]
        return not known or known[0].works(self.ui.facts())

    def __init__(self, **options: Any) -> None:
        super().__init__(id=self.ROOM, **options)
