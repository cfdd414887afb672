"""Turns a recorded run into lines of styled text: lanes, faults, curves, figures. Pure.

Every line has a label, a column for each stretch of time, and a note. What lies after the cursor is there, but faint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from math import ceil
from typing import Final, NamedTuple

from sandbox.core.figures import SIMULATED_MARK, duration_ms
from sandbox.scenarios.bins import Column
from sandbox.scenarios.faults import TimedFault
from sandbox.scenarios.recorder import Take
from sandbox.scenarios.recording import Figures
from sandbox.scenarios.telling import fault_text, short_time
from sandbox.tui.pieces import BAD, FAILED, MUTED, PLAIN, SHAPES, Line, Piece, clip
from sandbox.tui.tables import LEVELS

FULL, MIXED, IDLE = "█", "▒", "·"
NOTHING: Final = ""
CURSOR: Final = "▼"
_OWN: Final = "by hand: "
_FAINT: Final = "$foreground 35%"
_HERE: Final = " on $foreground 15%"
_STEPS_S: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 172_800, 604_800,
)  # fmt: skip
_ENOUGH: Final = 12
"""Requests over which a rate is taken, so that it does not jump with each of them."""
_TICK: Final = 10
"""Columns that a time on the axis has for itself."""
_STYLES: Final = {"half_open": "$warning", "open": "$error", "disabled": "$error", "closed": "$success"}


@dataclass(frozen=True, slots=True)
class Scale:
    """How time lies on a line of `width` columns."""

    width: int
    label: int
    note: int
    end_us: int
    at_us: int
    """Where the cursor stands."""
    levels: str = LEVELS
    """The heights of a curve."""
    begin_us: int = 0

    @property
    def columns(self) -> int:
        return max(1, self.width - self.label - self.note)

    @property
    def length_us(self) -> int:
        return max(1, self.end_us - self.begin_us)

    def column(self, at_us: int) -> int:
        return max(0, min(self.columns - 1, (at_us - self.begin_us) * self.columns // self.length_us))

    def time(self, column: int) -> int:
        """When a column begins."""
        return self.begin_us + column * self.length_us // self.columns

    @property
    def here(self) -> int:
        return self.column(self.at_us)

    def line(self, label: str, glyphs: Sequence[Piece], note: Line) -> Line:
        """A whole line: what is after the cursor is faint, and the cursor's column is marked."""
        here = self.here
        styled = [
            (glyph, (style if at <= here else _FAINT) + (_HERE if at == here else ""))
            for at, (glyph, style) in enumerate(glyphs)
        ]
        merged = [("".join(glyph for glyph, _ in run), style) for style, run in groupby(styled, lambda piece: piece[1])]
        return [(f"{clip(label, self.label - 1):<{self.label}}", PLAIN), *merged, (" ", PLAIN), *note]


class Lane(NamedTuple):
    """What a lane shows, column by column; the same wherever the cursor stands."""

    states: list[str]
    """Of the breaker; NOTHING before the start."""
    mostly: list[str]
    """The state of the larger part of each column."""
    ok: list[int]
    bad: list[int]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a take looks like on a scale, but for the cursor."""

    columns: list[Column]
    rates: list[float]
    """Requests a second, evened out where a column has but a few."""
    p99s: list[float]
    """Milliseconds; 0 where nothing was answered, and shortly before either."""
    lanes: dict[str, Lane]
    idle: list[str]
    """Providers that nobody asked and nothing happened to."""
    simulated: bool = True


def drawn(take: Take, columns: int, end_us: int, begin_us: int = 0) -> Drawn:
    """Add a take up to that many columns."""
    recording = take.recording
    found = recording.bins.columns(columns, end_us, begin_us)
    length_us = max(1, end_us - begin_us)
    faulty = {timed.provider for timed in take.scenario.faults}
    lanes, idle = {}, []
    for place, id in enumerate(recording.ids):
        ok, bad = [one.ok[place] for one in found], [one.bad[place] for one in found]
        states = recording.states[id]
        if not any(ok) and not any(bad) and not states.eventful and id not in faulty:
            idle.append(id)
            continue
        edges = [begin_us + at * length_us // columns for at in range(columns + 1)]
        seen = [states.within(begin, end) for begin, end in pairwise(edges)]
        mostly = [states.mostly(begin, end) for begin, end in pairwise(edges)]
        # What is short is shown where it is new: a probe in every column would hide that the breaker is open.
        shown = [
            NOTHING if edges[at + 1] <= 0 else one if at == 0 or seen[at - 1] != one else most
            for at, (one, most) in enumerate(zip(seen, mostly, strict=True))
        ]
        lanes[id] = Lane(shown, mostly, ok, bad)
    first_us, last_us = max(0, -begin_us), min(length_us, recording.reached_us - begin_us)
    return Drawn(found, *_curves(found, length_us, first_us, last_us), lanes, idle, recording.simulated)


def _curves(columns: Sequence[Column], length_us: int, first_us: int, last_us: int) -> tuple[list[float], list[float]]:
    """Requests a second and 99th percentiles, so that single requests do not make gaps.

    `first_us` and `last_us`, from the first column on: what is before and after has not been.
    """
    column_us = length_us / len(columns)
    count = max(1, round((last_us - first_us) / column_us))
    arrived = [0, *accumulate(one.arrived for one in columns)]
    reach = min(count // 8, ceil(_ENOUGH * count / arrived[-1]) // 2) if arrived[-1] else 0
    rates, p99s = [], []
    for at in range(len(columns)):
        begin, end = max(0, at - reach), min(len(columns), at + reach + 1)
        span_us = max(column_us, min(end * column_us, last_us) - max(begin * column_us, first_us))
        is_known = first_us < (at + 1) * column_us and at * column_us <= last_us
        rates.append((arrived[end] - arrived[begin]) / span_us * 1e6 if is_known else 0.0)
        last = next((one.p99_ms for one in reversed(columns[max(0, at - 2 * reach) : at + 1]) if one.p99_ms), None)
        p99s.append(last or 0.0)
    return rates, p99s


# --- lanes ----------------------------------------------------------------------------------------------------------


def legend_lines(levels: str, width: int, *, tall: bool) -> list[Line]:
    """What the shapes in the lanes mean."""
    answered = levels[len(levels) // 2] if tall else FULL
    told = [(answered, "$success", "answered"), (MIXED, "$warning", "some failed"), (FAILED, "$error", "failed")]
    if tall:
        told.insert(0, (SHAPES["closed"], "$success", "breaker closed"))
    else:
        told.append((IDLE, MUTED, "not asked"))
    told[1:1] = [(SHAPES["open"], "$error", "breaker open"), (SHAPES["half_open"], "$warning", "probe")]
    return flowed([[(glyph, style), (f" {word}", MUTED)] for glyph, style, word in told], width)


def busiest(shown: Sequence[Drawn]) -> int:
    """The most attempts that end in one column of a lane."""
    lanes = [lane for one in shown for lane in one.lanes.values()]
    return max((ok + bad for lane in lanes for ok, bad in zip(lane.ok, lane.bad, strict=True)), default=1)


def lane_lines(take: Take, shown: Drawn, scale: Scale, figures: Figures, top: int, *, tall: bool) -> list[Line]:
    """One lane for each provider: breaker and attempts in one line, or with room in a line each.

    `top` attempts in a column are as high as it gets.
    """
    lines: list[Line] = []
    recording = take.recording
    for id, lane in shown.lanes.items():
        place = recording.places[id]
        counts = _counts(figures, place)
        if not tall:
            # Where a breaker has just opened, what made it do so is to be seen.
            mostly = [now if now == before else "" for before, now in pairwise(["", *lane.mostly])]
            columns = zip(lane.states, mostly, lane.ok, lane.bad, strict=True)
            glyphs = [_both(*column) for column in columns]
            lines.append(scale.line(id, glyphs, counts))
            continue
        open_us = recording.open_us(scale.at_us, id)
        opened: Line = [(f"open {span_text(open_us)}", BAD)] if open_us else []
        lines.append(scale.line(id, [_state(state) for state in lane.states], opened))
        ticks = [_tick(ok, bad, top, scale.levels) for ok, bad in zip(lane.ok, lane.bad, strict=True)]
        lines.append(scale.line("", ticks, counts))
    if shown.idle:
        lines.append([(clip(f"never asked: {', '.join(shown.idle)}", scale.width), MUTED)])
    return lines


def _state(state: str) -> Piece:
    return (SHAPES[state], _STYLES[state]) if state else (" ", PLAIN)


def _both(state: str, mostly: str, ok: int, bad: int) -> Piece:
    """A column of a lane that has one line: a probe, else a breaker that refuses, else failures, else answers."""
    if not state:
        return " ", PLAIN
    if state == "half_open":
        return SHAPES["half_open"], "$error" if bad and not ok else "$warning"
    if mostly in ("open", "disabled"):
        return SHAPES[mostly], "$error"
    if bad:
        return (MIXED, "$warning") if ok else (FAILED, "$error")
    if state in ("open", "disabled"):
        return SHAPES[state], "$error"
    return (FULL, "$success") if ok else (IDLE, MUTED)


def _tick(ok: int, bad: int, top: int, levels: str) -> Piece:
    """A column of attempts: as high as there are many."""
    if bad:
        return (MIXED, "$warning") if ok else (FAILED, "$error")
    if not ok:
        return " ", PLAIN
    return levels[_height(ok, top, len(levels))], "$success"


def _height(value: float, top: float, levels: int) -> int:
    return max(0, min(levels - 1, round(value / top * levels) - 1)) if top else 0


def span_text(time_us: int) -> str:
    """`27.1 s`, `59:53`."""
    return duration_ms(time_us / 1000) if time_us < 100_000_000 else short_time(time_us)


def _counts(figures: Figures, place: int) -> Line:
    failed, attempts = figures.failed_attempts[place], figures.attempts[place]
    if failed:
        return [(f"{FAILED}{failed:,}", BAD), (f" of {attempts:,}", PLAIN)]
    answers = figures.answers[place]
    return [(f"{answers:,} answer{'s' * (answers != 1)}", PLAIN if answers else MUTED)]


def flowed(pairs: Sequence[Line], width: int) -> list[Line]:
    """Pieces side by side, in as few lines as hold them."""
    lines: list[Line] = []
    used = width
    for pair in pairs:
        needed = sum(len(text) for text, _ in pair)
        if used + 3 + needed > width:
            lines.append([*pair])
            used = needed
        else:
            lines[-1] += [("   ", PLAIN), *pair]
            used += 3 + needed
    return lines


# --- time and faults ------------------------------------------------------------------------------------------------


def axis_line(scale: Scale) -> Line:
    """The times below which things stand, and the cursor."""
    columns = scale.columns
    seconds = scale.length_us / 1e6
    step = next((one for one in _STEPS_S if one * columns >= _TICK * seconds), _STEPS_S[-1])
    cells = [" "] * columns
    at = max(0, -(-scale.begin_us // (step * 1_000_000)) * step)
    while at < scale.end_us / 1e6:
        column = scale.column(round(at * 1e6))
        text = short_time(at * 1_000_000)
        last = column + len(text)
        # The column itself is left for the cursor; a time that the cursor would cut a digit out of is left out.
        if last < columns and not column < scale.here <= last:
            cells[column + 1 : column + 1 + len(text)] = text
        at += step
    here = scale.here
    before, after = "".join(cells[:here]), "".join(cells[here + 1 :])
    return [(" " * scale.label, PLAIN), (before, MUTED), (CURSOR, "bold $text-accent"), (after, MUTED)]


def fault_lines(faults: Sequence[TimedFault], scale: Scale, most: int, *, added: int = 0) -> list[Line]:
    """The windows of the faults, in as few lines as hold them; the last `added` of them are the user's own."""
    rows: list[list[tuple[int, int, int]]] = []
    shown = [
        timed for timed in faults if timed.fault.probability and (timed.end_us is None or timed.end_us > scale.begin_us)
    ]
    first_own = len(faults) - added
    for timed in shown:
        begin = scale.column(timed.begin_us)
        end = scale.columns - 1 if timed.end_us is None else max(begin, scale.column(timed.end_us - 1))
        number = next((index for index, one in enumerate(faults) if one is timed), 0)
        row = next((row for row in rows if all(end < b or begin > e for b, e, _ in row)), None)
        if row is None:
            row = []
            rows.append(row)
        row.append((begin, end, number))
    lines: list[Line] = []
    for count, row in enumerate(rows[:most]):
        cells: list[Piece] = [(" ", PLAIN)] * scale.columns
        for begin, end, number in row:
            own = number >= first_own
            style = "$text-warning bold" if own else "$text-warning"
            text = _window(faults[number], end - begin + 1, own)
            for at, glyph in enumerate(text):
                cells[begin + at] = (glyph, style)
        left = sum(map(len, rows[most:]))
        note: Line = [(f"{left} more", MUTED)] if left and count == most - 1 else []
        lines.append(scale.line("faults" if not count else "", cells, note))
    return lines


def _window(timed: TimedFault, width: int, own: bool) -> str:
    """A window with what it is about written into it, as far as that fits: rather what fails than where."""
    if width == 1:
        return "│"
    inner = width - 2
    fault = fault_text(timed)
    text = f"{fault} on {timed.provider}"
    texts = (_OWN + text, text, fault) if own else (text, fault)
    fitting = next((one for one in texts if len(one) + 2 <= inner), None)
    told = f" {fitting} " if fitting is not None else clip(fault, inner) if inner >= 3 else ""
    lead = (inner - len(told)) // 2
    close = "▶" if timed.end_us is None else "┤"
    return "├" + "─" * lead + told + "─" * (inner - lead - len(told)) + close


# --- curves ---------------------------------------------------------------------------------------------------------


def rate_line(shown: Drawn, scale: Scale) -> Line:
    """Requests that came; where some got no answer, that is what is drawn."""
    top = max(shown.rates)
    glyphs: list[Piece] = []
    for one, rate in zip(shown.columns, shown.rates, strict=True):
        if one.failed:
            glyphs.append((FAILED, "$error"))
        else:
            glyphs.append(_curve(rate, top, scale.levels, "$primary"))
    here = shown.columns[scale.here]
    note: Line = [(f"{shown.rates[scale.here]:.3g}/s", PLAIN)]
    if here.failed:
        note.append((f" {FAILED}{here.failed:,}", BAD))
    return scale.line("req/s", glyphs, note)


def latency_line(shown: Drawn, scale: Scale) -> Line:
    """The 99th percentile of what was answered."""
    top = max(shown.p99s)
    glyphs = [_curve(value, top, scale.levels, "$secondary") for value in shown.p99s]
    here, mark = shown.p99s[scale.here], SIMULATED_MARK if shown.simulated else ""
    return scale.line("p99", glyphs, [(mark + duration_ms(here), PLAIN) if here else ("–", MUTED)])


def _curve(value: float, top: float, levels: str, style: str) -> Piece:
    return (levels[_height(value, top, len(levels))], style) if value else (" ", PLAIN)
