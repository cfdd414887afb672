"""The run as a picture over time: who answered, whose breaker was open, what failed, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from textual import events
from textual.content import Content
from textual.message import Message

from sandbox.scenarios.narration import narrate
from sandbox.scenarios.recorder import Take
from sandbox.tui.lab.drawing import (
    Drawn,
    Scale,
    axis_line,
    busiest,
    drawn,
    fault_lines,
    lane_lines,
    latency_line,
    legend_lines,
    rate_line,
)
from sandbox.tui.lab.figures import comparison_lines, expectation_mark, figure_lines
from sandbox.tui.lines import LinesPane
from sandbox.tui.pieces import BAD, GOOD, MUTED, NAME, PLAIN, WARN, Line, clip
from sandbox.tui.tables import LEVELS

LONGEST_LABEL = 13
NOTE = 16
"""Columns at the right for what a line comes to."""
MOODS = {"plain": PLAIN, "good": GOOD, "warn": WARN, "bad": BAD}


@dataclass(slots=True)
class View:
    """What is to be seen."""

    takes: Sequence[Take] = ()
    """The run, and perhaps the same outage under another preset."""
    at_us: int = 0
    added: int = 0
    """How many of the faults, the last ones, the user has added."""
    told: Line = field(default_factory=list)
    """In place of the sentence about the moment: what is going on in the program."""
    tall: bool = False
    """There is room for two lines to a lane."""
    most: int = 99
    """Lines that there is room for."""
    levels: str = LEVELS


class Timeline(LinesPane, can_focus=False):
    """Every line of it stands on one scale, so that what happened at one time is in one column.

    Only lines that have changed are painted again: while a run plays, most of them stay.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Timeline {
        height: 1;
        width: 1fr;
        padding: 0 1;
        overflow: hidden;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    """

    @dataclass
    class Pointed(Message):
        """A time was clicked at."""

        at_us: int

    def __init__(self) -> None:
        super().__init__(id="lab-timeline")
        self.view = View()
        self._kept: dict[tuple[int, ...], tuple[Take, Drawn]] = {}
        """By the take's identity, which stays its own because the take is kept with it."""
        self._written: list[Line] = []
        self._scale: Scale | None = None

    def show(self, view: View) -> None:
        self.view = view
        width = self.columns
        if not width:
            return
        lines, before = self.lines_for(width), self._written
        self._written = lines
        if len(lines) != len(before) or not self._lines:
            self.styles.height = len(lines)
            self.put([Content.assemble(*line) for line in lines])
            return
        for number, (line, old) in enumerate(zip(lines, before, strict=True)):
            if line != old:
                self._lines[number] = Content.assemble(*line)
                self._strips.pop(number, None)
                self.refresh_line(number)

    def rebuild(self) -> None:
        self._written = []
        self.show(self.view)

    # --- lines ----------------------------------------------------------------------------------------------------

    def _scale_for(self, width: int) -> Scale:
        view = self.view
        label, note = _margins([id for take in view.takes for id in take.recording.ids], width)
        end_us = max(1, *(take.recording.ended_us for take in view.takes))
        begin_us = min(take.recording.begin_us for take in view.takes)
        return Scale(width, label, note, end_us, view.at_us, view.levels, begin_us)

    def columns_for(self, ids: Sequence[str]) -> int:
        """How many columns there are for time beside the names of these providers."""
        return max(1, self.columns - sum(_margins(ids, self.columns)))

    def _drawn(self, take: Take, scale: Scale) -> Drawn:
        seen = take.recording.seen
        key = id(take), scale.columns, scale.begin_us, scale.end_us, seen
        if key not in self._kept:
            shown = {(id(one), one.recording.seen) for one in self.view.takes}
            # A recording is large: those that are no longer shown go.
            self._kept = {known: kept for known, kept in self._kept.items() if (known[0], known[-1]) in shown}
            self._kept[key] = take, drawn(take, scale.columns, scale.end_us, scale.begin_us)
        return self._kept[key][1]

    def lines_for(self, width: int) -> list[Line]:
        view = self.view
        if not view.takes:
            return [view.told]
        scale = self._scale = self._scale_for(width)
        first = view.takes[0]
        shown = self._drawn(first, scale)
        figures = first.recording.figures(view.at_us)
        told = view.told
        if not told:
            moment = narrate(first, view.at_us)
            told = [(clip(moment.within(width), width), MOODS[moment.mood])]
        faults = fault_lines(first.scenario.faults, scale, 4 if view.tall else 2, added=view.added)
        if len(view.takes) > 1:
            last = comparison_lines(view.takes, width)
        elif not view.at_us:
            # All figures are nothing yet: there is room for what a newcomer wants to know.
            last = legend_lines(view.levels, width, tall=view.tall)
            last += [mark] if (mark := expectation_mark(first)) else []
        else:
            last = figure_lines(first, figures, view.at_us, width)
        room = view.most - 2 - len(faults) - len(last)
        lanes = self._lanes(scale)
        if len(lanes) > max(2, room):
            left = len(lanes) - max(2, room) + 1
            lanes = [*lanes[:-left], [(f"… {left} lines more, in a taller terminal", MUTED)]]
        curves = [rate_line(shown, scale), latency_line(shown, scale)] if len(view.takes) == 1 or view.tall else []
        lines = [told, axis_line(scale), *lanes, *faults, *curves[: max(0, room - len(lanes))], *last]
        return lines[: max(3, view.most)]

    def _lanes(self, scale: Scale) -> list[Line]:
        view = self.view
        lines: list[Line] = []
        top = busiest([self._drawn(take, scale) for take in view.takes])
        for take in view.takes:
            figures = take.recording.figures(view.at_us)
            if len(view.takes) > 1:
                lines.append([(f"preset {take.preset}", NAME), ("", MUTED)])
            lines += lane_lines(take, self._drawn(take, scale), scale, figures, top, tall=view.tall)
        return lines

    def on_click(self, event: events.Click) -> None:
        scale, offset = self._scale, event.get_content_offset(self)
        if scale is not None and offset is not None and self.view.takes:
            column = offset.x - scale.label
            if 0 <= column < scale.columns:
                self.post_message(self.Pointed(scale.time(column)))


def _margins(ids: Sequence[str], width: int) -> tuple[int, int]:
    """Columns at the left for names, and at the right for what a line comes to."""
    label = min(LONGEST_LABEL, max(map(len, [*ids, "faults"])) + 1)
    return label, min(NOTE, max(0, width - label - 20))
