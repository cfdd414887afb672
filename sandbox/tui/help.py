"""Help: what has the focus, and every key, drawn from the table of actions."""

from __future__ import annotations

from collections.abc import Collection
from textwrap import wrap

from sandbox.tui import actions
from sandbox.tui.pieces import MUTED, NAME, PLAIN, SHAPE_STYLES, SHAPES, Line
from sandbox.tui.rooms import ROOMS

_SHAPES_TOLD = {
    "closed": "closed: it is asked",
    "half_open": "half open: one probe is let through",
    "open": "open or held: nobody asks it until the next probe, in the seconds shown",
    "disabled": "disabled: its key, quota or model was refused",
}


_KEYS, _TITLE = 11, 34


def help_lines(topic: str, text: str, room: str, facts: Collection[str], zone: str, width: int) -> list[Line]:
    """`topic` and `text` are those of the focused widget; lines of `width` columns."""
    lines: list[Line] = [[(topic, "bold $text-accent")]]
    lines += [[(line, PLAIN)] for part in text.splitlines() for line in wrap(part, width)]
    titles = {entry.name: entry.title for entry in ROOMS}
    for place, title in ((room, titles.get(room, room)), (actions.APP, "Everywhere"), (actions.LIST, "In every list")):
        lines += [[], [(title, "bold $text-accent")]]
        for action in actions.of(place):
            lines += _rows(action, facts, width)
    rooms = "  ".join(f"{entry.key} {entry.title}" for entry in ROOMS)
    lines += [[], [("Rooms", "bold $text-accent")], [(rooms, PLAIN)]]
    lines.append([("From a text with Alt, or F2 to F6.", MUTED)])
    lines += [[], [("Providers", "bold $text-accent")]]
    lines += [[(f"{SHAPES[shape]}  ", SHAPE_STYLES[shape]), (told, PLAIN)] for shape, told in _SHAPES_TOLD.items()]
    return [*lines, [], [(f"Times are local ({zone}). ~ marks simulated figures.", MUTED)]]


def _rows(action: actions.Action, facts: Collection[str], width: int) -> list[Line]:
    """Key and title, and beside them (or below, where it is narrow) what the action does."""
    keys = " ".join(actions.shown(key) for key in action.keys) or "palette"
    style = NAME if action.works(facts) else MUTED
    head: Line = [(f"{keys:<{_KEYS}}", "$text-accent"), (f"{action.title:<{_TITLE}}", style)]
    beside = width - _KEYS - _TITLE
    if beside >= 30:
        first, *rest = wrap(action.help, beside) or [""]
        return [[*head, (first, MUTED)], *([(" " * (_KEYS + _TITLE) + line, MUTED)] for line in rest)]
    return [head, *([(" " * _KEYS + line, MUTED)] for line in wrap(action.help, width - _KEYS))]
