"""Help: what has the focus, and every key, drawn from the table of actions."""

from __future__ import annotations

from collections.abc import Collection

from sandbox.tui import actions
from sandbox.tui.drawing import MUTED, NAME, PLAIN, SHAPE_STYLES, SHAPES, Line
from sandbox.tui.rooms import ROOMS

_SHAPES_TOLD = {
    "closed": "closed: it is asked",
    "half_open": "half open: one probe is let through",
    "open": "open or held: nobody asks it until the next probe, in the seconds shown",
    "disabled": "disabled: its key, quota or model was refused",
}


def help_lines(topic: str, text: str, room: str, facts: Collection[str], zone: str) -> list[Line]:
    """`topic` and `text` are those of the focused widget."""
    lines: list[Line] = [[(topic, "bold $text-accent")]]
    lines += [[(line, PLAIN)] for line in text.splitlines()]
    titles = {entry.name: entry.title for entry in ROOMS}
    for place, title in ((room, titles.get(room, room)), (actions.APP, "Everywhere"), (actions.LIST, "In every list")):
        lines += [[], [(title, "bold $text-accent")]]
        lines += [_row(action, facts) for action in actions.of(place)]
    rooms = "  ".join(f"{entry.key} {entry.title}" for entry in ROOMS)
    lines += [[], [("Rooms", "bold $text-accent")], [(rooms, PLAIN), ("  (with Alt from a text; F2 to F6 too)", MUTED)]]
    lines += [[], [("Providers", "bold $text-accent")]]
    lines += [[(f"{SHAPES[shape]}  ", SHAPE_STYLES[shape]), (told, PLAIN)] for shape, told in _SHAPES_TOLD.items()]
    lines += [[], [(f"Times are local ({zone}). ~ marks simulated figures. Escape closes this.", MUTED)]]
    return lines


def _row(action: actions.Action, facts: Collection[str]) -> Line:
    keys = " ".join(actions.shown(key) for key in action.keys) or "palette"
    style = NAME if action.works(facts) else MUTED
    return [(f"{keys:<10} ", "$text-accent"), (f"{action.title:<34} ", style), (action.help, MUTED)]
