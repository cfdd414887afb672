"""What the Compare room shows of a comparison, as lines of text and style. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.comparison import telling
from sandbox.comparison.estimate import Estimate, total, unpriced
from sandbox.comparison.standings import Outcome, Standing
from sandbox.comparison.words import alike, difference
from sandbox.core.figures import dollars
from sandbox.core.tables import fitting, text_width
from sandbox.tui.pieces import (
    BAD,
    CANCELLED,
    DOT,
    FAILED,
    GOOD,
    MUTED,
    NAME,
    PLAIN,
    SPINNER,
    WARN,
    Line,
    clip,
)
from sandbox.tui.tables import BAR, bar, cell, table_lines

if TYPE_CHECKING:
    from sandbox.tui.compare.session import Race

_MARKS = "bold $text-success"
VOLUMES: tuple[int, ...] = (*(step * 10**power for power in range(1, 7) for step in (1, 2, 5)), 10**7)
"""Requests a day, as the arrow keys step through them."""


NARROWEST = 30
"""Columns that an answer needs to stand beside others."""
LOWEST = 9
"""Lines that it needs to stand above others, its border among them."""


def arranged(count: int, width: int, height: int) -> tuple[int, int]:
    """In how many columns and rows so many answers stand; (1, 1): one at a time."""
    most = max(1, width // NARROWEST)
    rows = -(-count // most)
    if count < 2 or most < 2 or (rows > 1 and height // rows < LOWEST):
        return 1, 1
    return -(-count // rows), rows


def beside(volume: int, step: int) -> int:
    """The next volume up or down."""
    if step > 0:
        return next((one for one in VOLUMES if one > volume), VOLUMES[-1])
    return next((one for one in reversed(VOLUMES) if one < volume), VOLUMES[0])


# --- a column -------------------------------------------------------------------------------------------------------


def standing(race: Race, number: int) -> Standing | None:
    """How a model stands, once all of its turns have come."""
    if race.outcome is None or (race.running and race.shown[number].ended < race.question.repeat):
        return None
    return race.outcome.overall[number]


def readable(one: Standing) -> bool:
    """Whether there is an answer, and it was kept."""
    return any(sample.text for sample in one.answers)


def marked(race: Race) -> bool:
    """Whether somebody is the cheapest or the fastest, which is known at the end."""
    outcome = None if race.running else race.outcome
    return outcome is not None and any(one.cheapest or one.fastest for one in outcome.overall)


def title(race: Race, number: int) -> str:
    one = None if race.running else standing(race, number)
    marks = "" if one is None else telling.marks(one)
    return " ".join(filter(None, (str(number + 1), race.columns[number].name, marks)))


def subtitle(race: Race, number: int, now_us: int, frame: int) -> str:
    """In one line below a column: its figures, or how far it is."""
    one = standing(race, number)
    if one is None:
        return activity(race, number, now_us, frame) if race.running else "nothing came"
    if not one.answers:
        return _trouble(one)[0]
    shown = telling.figures(one, 1)
    return DOT.join((shown.cost, shown.total))


def activity(race: Race, number: int, now_us: int, frame: int) -> str:
    column = race.shown[number]
    facts = [SPINNER[frame % len(SPINNER)]]
    if race.question.repeat > 1:
        facts.append(f"{column.ended} of {race.question.repeat}")
    if column.words:
        facts.append(f"{column.words} {'word' if column.words == 1 else 'words'}")
    seconds = (now_us - race.began_us) / 1e6
    if seconds >= 1:
        facts.append(f"{seconds:.1f} s")
    if not column.begun:
        facts.append("waits")
    return " ".join(facts)


def verdict(race: Race, number: int) -> list[Line]:
    """Below an answer: what went wrong with it."""
    if race.outcome is None or race.shown[number].ended == 0:
        return []
    first = race.outcome.overall[number].samples[0]
    if first.problem is None:
        return []
    if first.status == "cancelled":
        return [[(f"{CANCELLED} Cancelled: {'what had come is kept' if first.text else 'nothing had come'}.", WARN)]]
    return [[(f"{FAILED} {first.problem.type}", f"bold {BAD}")], [(first.problem.message, PLAIN)]]


def _trouble(one: Standing) -> tuple[str, str]:
    """A word for what went wrong, and its style."""
    problem = one.problem
    if problem is None:
        return f"{CANCELLED} not asked", WARN
    cancelled = problem.type == "Cancelled"
    return f"{CANCELLED if cancelled else FAILED} {problem.type}", WARN if cancelled else BAD


# --- the block of figures -------------------------------------------------------------------------------------------


def figure_lines(race: Race, width: int, now_us: int, frame: int) -> list[Line]:
    """One row for each model, all aligned; below it what has to be known of the figures."""
    head = telling.head(1)[1:-1]
    standings = [standing(race, number) for number in range(len(race.columns))]
    rows: list[tuple[str, ...]] = []
    for number, (column, one) in enumerate(zip(race.columns, standings, strict=True)):
        name = f"{number + 1} {column.name}"
        if one is None or not one.answers:
            rows.append((name, column.provider, *("" for _ in head[2:])))
        else:
            rows.append((name, *telling.figures(one, 1)[2:-1]))
    first_out = [at - 1 for at in telling.FIRST_OUT if at != 9]
    left = fitting(head, rows, width - 5, first_out)
    widths = {at: max(text_width(row[at]) for row in (head, *rows)) for at in left}
    lines: list[Line] = [[(_aligned(head, left, widths), MUTED)]]
    for number, (row, one) in enumerate(zip(rows, standings, strict=True)):
        named = cell(row[0], widths[0], right=False)
        if one is None or not one.answers:
            told, style = (activity(race, number, now_us, frame), MUTED) if one is None else _trouble(one)
            lines.append([(named, NAME), (f"  {clip(told, width - len(named) - 2)}", style)])
            continue
        marks = "" if race.running else telling.marks(one)
        lines.append([(named, NAME), (_aligned(row, left, widths)[len(named) :], PLAIN), (f"  {marks}", _MARKS)])
    return lines + _notes(race, width)


def _notes(race: Race, width: int) -> list[Line]:
    outcome = race.outcome
    if outcome is None or race.running:
        return []
    lines: list[Line] = []
    if race.question.repeat > 1:
        lines.append([(f"medians of {race.question.repeat} turns; a shows the spread", MUTED)])
    lines += [[(clip(trouble, width), WARN)] for trouble in telling.troubles(outcome)]
    return lines + [[(note, MUTED)] for note in telling.notes(outcome)]


def _aligned(row: Sequence[str], left: Sequence[int], widths: dict[int, int]) -> str:
    return "  ".join(cell(row[at], widths[at], right=at > 1) for at in left)


# --- the month ------------------------------------------------------------------------------------------------------


def month_lines(race: Race, volume: int, width: int) -> list[Line]:
    """A bar for each model: what 30 days cost at the volume."""
    costs: list[Decimal | None] = []
    told: list[str] = []
    for number in range(len(race.columns)):
        one = standing(race, number)
        costs.append(None if one is None else one.monthly(volume))
        told.append(telling.NOTHING if one is None else telling.month_row(one, (volume,))[0])
    most = max((cost for cost in costs if cost is not None), default=Decimal(0))
    money = max(map(text_width, told))
    names = [f"{number} {column.name}" for number, column in enumerate(race.columns, 1)]
    named = min(max(map(text_width, names)), max(8, width - money - 14))
    room = max(1, width - named - money - 4)
    lines: list[Line] = []
    for name, cost, text in zip(names, costs, told, strict=True):
        share = float(cost / most) if cost is not None and most else 0.0
        lines.append(
            [
                (cell(clip(name, named), named, right=False), NAME),
                (f"  {cell(text, money, right=True)}  ", PLAIN),
                (bar(share, room), BAR),
            ]
        )
    return lines


# --- what dialogs show ----------------------------------------------------------------------------------------------


def spread_lines(outcome: Outcome, volume: int) -> list[Line]:
    """Everything in figures: the spread of each, and a month at several volumes."""
    lines: list[Line] = [[("Spread", "bold $text-accent")]]
    head = ("model", *telling.RANGES)
    lines += table_lines(head, [(one.contestant.name, *telling.ranges(one)) for one in outcome.overall])
    at = telling.volumes((volume,))
    lines += [[], [("30 days, by requests a day", "bold $text-accent")]]
    months = [(one.contestant.name, *telling.month_row(one, at)) for one in outcome.overall]
    lines += table_lines(("model", *(f"{one:,}" for one in at)), months)
    lines += [[], [("Paid in all", "bold $text-accent")]]
    rows = [
        (
            one.contestant.name,
            f"{len(one.answers)} of {len(one.samples)}",
            dollars(one.spent_usd, simulated=one.simulated.cost),
            dollars(one.waste_usd, simulated=one.simulated.cost),
            ", ".join(one.served_by) or telling.NOTHING,
        )
        for one in outcome.overall
    ]
    lines += table_lines(("model", "answers", "paid", "of it for nothing", "answered by"), rows)
    notes = (*telling.troubles(outcome), *telling.notes(outcome))
    return [*lines, [], *([(note, MUTED)] for note in notes)]


def difference_lines(left: Standing, right: Standing) -> list[Line]:
    """Two answers in one text; signs say what is whose, and colour repeats it."""
    one, other = left.answers[0].text, right.answers[0].text
    parts = difference(one, other)
    lines: list[Line] = [
        [(f"[-{left.contestant.name}-]", BAD), ("  ", PLAIN), (f"{{+{right.contestant.name}+}}", GOOD),
         (f"  {alike(parts):.0%} alike", MUTED)],
        [],
        [],
    ]  # fmt: skip
    drawn = {"same": ("", "", PLAIN), "removed": ("[-", "-]", BAD), "added": ("{+", "+}", GOOD)}
    for part in parts:
        before, after, style = drawn[part.kind]
        for number, text in enumerate(f"{before}{part.text}{after}".split("\n")):
            if number:
                lines.append([])
            if text:
                lines[-1].append((text, style))
    return lines


def foreseen_lines(found: Sequence[Estimate], limit: Decimal) -> list[Line]:
    """What a comparison may cost, for somebody to agree to."""
    rows = [
        (
            one.contestant.name,
            f"{one.requests:,}",
            "free" if one.free and not one.cost_usd else dollars(one.cost_usd),
        )
        for one in found
    ]
    unknown = len(unpriced(found))
    rest = f" and {unknown} unpriced" if unknown else ""
    lines = table_lines(("model", "requests", "up to"), rows)
    lines += [[], [(f"Up to {dollars(total(found))}{rest} in all, real money.", NAME)]]
    if total(found) > limit:
        lines.append([(f"That is more than {dollars(limit)}, above which this is always asked.", MUTED)])
    return lines
