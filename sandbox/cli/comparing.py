"""How `compare` tells a person what may come, what is coming, and what came."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING

from sandbox.cli import columns
from sandbox.cli.output import Output, Stream
from sandbox.comparison import telling
from sandbox.comparison.estimate import total, unpriced
from sandbox.comparison.export import answer_text
from sandbox.comparison.run import Began, Discarded, Ended, Update, Wrote
from sandbox.core.figures import dollars, duration_ms
from sandbox.core.tables import fitting

if TYPE_CHECKING:
    from providers.clock import Clock
    from sandbox.comparison.contestants import Contestant
    from sandbox.comparison.estimate import Estimate
    from sandbox.comparison.question import Cell, Question
    from sandbox.comparison.standings import Outcome, Standing
    from sandbox.comparison.words import Part
    from sandbox.gateway.gateway import Gateway

REDRAW = 0.1
"""Seconds between two looks at the line of progress."""


class Progress:
    """One line on a terminal's stderr that says how far it is; elsewhere nothing."""

    def __init__(self, stream: Stream, clock: Clock, contestants: Sequence[Contestant], question: Question) -> None:
        self._stream = stream
        self._clock = clock
        self._names = [one.name for one in contestants]
        self._all = len(contestants) * len(question.prompts) * question.repeat
        self._done = 0
        self._words: dict[Cell, int] = {}
        self._shown = 0
        self._began = clock.monotonic()
        self._drawing: asyncio.Task[None] | None = None

    def tell(self, update: Update) -> None:
        match update:
            case Began(cell) | Discarded(cell):
                self._words[cell] = 0
            case Wrote(cell, text):
                self._words[cell] += text.count(" ")
            case Ended(cell):
                del self._words[cell]
                self._done += 1

    async def __aenter__(self) -> Progress:
        if self._stream.terminal:
            self._drawing = asyncio.create_task(self._draw())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.gather(self._drawing, return_exceptions=True)
            self._put("")

    async def _draw(self) -> None:
        while True:
            self._put(self.line())
            await self._clock.sleep(REDRAW)

    def line(self) -> str:
        elapsed = duration_ms((self._clock.monotonic() - self._began) * 1000)
        writing = [f"{self._names[cell.contestant]} {words} words" for cell, words in self._words.items() if words]
        return " · ".join([f"{self._done} of {self._all} answers", elapsed, *writing])

    def _put(self, text: str) -> None:
        room = (columns.width_of(self._stream) or 80) - 1
        text = text[:room]
        # The stream's own `write` keeps texts of others from steering the terminal; this one is meant to.
        blank = " " * max(0, self._shown - len(text))
        self._stream.file.write(f"\r{text}{blank}" + ("" if text else "\r"))
        self._stream.flush()
        self._shown = len(text)


# --- before ---------------------------------------------------------------------------------------------------------


def show_estimate(output: Output, found: Sequence[Estimate], gateway: Gateway) -> None:
    """What each model may cost at most."""
    simulated = gateway.mode != "live"
    rows = [
        (
            one.contestant.name,
            one.contestant.provider,
            f"{one.requests:,}",
            f"~{one.input_tokens:,}",
            f"{one.output_tokens:,}",
            "free" if one.free and not one.cost_usd else dollars(one.cost_usd, simulated=simulated),
        )
        for one in found
    ]
    head = ("model", "provider", "requests", "in", "out up to", "up to")
    output.table(rows, head, right=range(2, 6))
    rest = f", and {len(unpriced(found))} unpriced" if unpriced(found) else ""
    output.note(
        f"up to {dollars(total(found), simulated=simulated)} in all{rest}; prices {gateway.prices.version}", "dim"
    )


def consent_sentence(found: Sequence[Estimate], limit: Decimal) -> str:
    unknown = [one.contestant.name for one in unpriced(found)]
    amount = f"this comparison may cost up to {dollars(total(found))}"
    if not unknown:
        return f"{amount}, which is more than {dollars(limit)}"
    return f"{amount} and what {', '.join(unknown)} costs, which nobody knows: unpriced"


# --- after ----------------------------------------------------------------------------------------------------------


def show_outcome(output: Output, outcome: Outcome, volumes: Sequence[int], pair: tuple[int, int] | None) -> None:
    out = output.out
    width = columns.width_of(out)
    if len(outcome.by_prompt) == 1:
        _answers(output, outcome.overall, width)
    _table(output, outcome, volumes, width)
    if outcome.question.repeat > 1:
        out.line()
        out.line(f"spread over {outcome.question.repeat} turns", "bold")
        rows = [(one.contestant.name, *telling.ranges(one)) for one in outcome.overall]
        output.table(rows, ("model", *telling.RANGES), right=range(1, 5))
    if len(volumes) > 1:
        out.line()
        out.line("30 days, by requests a day", "bold")
        rows = [(one.contestant.name, *telling.month_row(one, volumes)) for one in outcome.overall]
        head = ("model", *(f"{volume:,}" for volume in volumes))
        output.table(rows, head, right=range(1, len(head)))
    if len(outcome.by_prompt) > 1:
        _matrix(output, outcome, width)
    if pair is not None:
        _difference(output, outcome, pair)
    for note in telling.troubles(outcome):
        output.note(note, "yellow")
    for note in telling.notes(outcome):
        output.note(note, "dim")


def _answers(output: Output, standings: Sequence[Standing], width: int | None) -> None:
    texts = [(f"{number} {one.contestant.name}", answer_text(one)) for number, one in enumerate(standings, 1)]
    if width is not None:
        for line in columns.side_by_side(texts, width):
            output.out.line(line)
        return
    for title, text in texts:
        output.out.line(f"── {title}")
        output.out.line(text)
        output.out.line()


def _table(output: Output, outcome: Outcome, volumes: Sequence[int], width: int | None) -> None:
    head: tuple[str, ...] = telling.head(volumes[0])
    rows: list[tuple[str, ...]] = [telling.figures(one, volumes[0]) for one in outcome.overall]
    left = fitting(head, rows, width, telling.FIRST_OUT)
    if len(volumes) > 1 and 9 in left:
        left.remove(9)
    # The marks go last: terminals do not agree how wide they are.
    left = [*left[1:], left[0]]
    output.table(
        [[row[at] for at in left] for row in rows],
        [head[at] for at in left],
        right=[position for position, at in enumerate(left) if at > 2],
    )
    if any(one.cheapest or one.fastest for one in outcome.overall):
        output.out.line(telling.LEGEND, "dim")


def _matrix(output: Output, outcome: Outcome, width: int | None) -> None:
    output.out.line()
    output.out.line("by prompt", "bold")
    room = 40 if width is None else max(12, width // 4)
    rows = []
    for number, (prompt, row) in enumerate(zip(outcome.question.prompts, outcome.by_prompt, strict=True), 1):
        short = " ".join(prompt.split())
        short = short if len(short) <= room else short[: room - 1] + "…"
        rows.append((str(number), short, *(telling.cell(one) for one in row)))
    head = ("", "prompt", *(one.contestant.name for one in outcome.overall))
    left = fitting(head, rows, width, range(len(head) - 1, 2, -1))
    output.table([[row[at] for at in left] for row in rows], [head[at] for at in left])
    if len(left) < len(head):
        output.note(f"{len(head) - len(left)} models do not fit; --export or --json has them all", "yellow")


def _difference(output: Output, outcome: Outcome, pair: tuple[int, int]) -> None:
    """Answers to each prompt, what only the first has in brackets and what only the second has in braces."""
    from sandbox.comparison.words import alike, difference

    out = output.out
    for number, row in enumerate(outcome.by_prompt, 1):
        left, right = (row[at] for at in pair)
        if not (left.answers and right.answers):
            output.note("no difference to show: not both have answered", "yellow")
            continue
        parts = difference(left.answers[0].text, right.answers[0].text)
        which = f"prompt {number}: " if len(outcome.by_prompt) > 1 else ""
        out.line()
        out.line(f"{which}[-{left.contestant.name}-] {{+{right.contestant.name}+}} · {alike(parts):.0%} alike", "bold")
        out.line("".join(_part(out, part) for part in parts))


def _part(out: Stream, part: Part) -> str:
    if part.kind == "removed":
        return out.paint(f"[-{part.text}-]", "red")
    return out.paint(f"{{+{part.text}+}}", "green") if part.kind == "added" else part.text
