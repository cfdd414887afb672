"""The comparisons of this session, without a widget: what is asked, what has come, how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from providers.clock import random_id
from providers.errors import InputError
from sandbox.comparison.question import Question
from sandbox.comparison.run import Began, Discarded, Ended, Update, Wrote
from sandbox.comparison.standings import Outcome
from sandbox.desks.compare import Came, Column, Foreseen, Stepped, compare
from sandbox.tui.reports import Refused, Report, Settled

if TYPE_CHECKING:
    from sandbox.tui.engine import Engine


@dataclass(slots=True)
class Shown:
    """One column while it is written: its first turn is what one reads."""

    pieces: list[str] = field(default_factory=list)
    begun: bool = False
    words: int = 0
    ended: int = 0
    """Turns that have come to their end."""

    @property
    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""


@dataclass(slots=True)
class Race:
    """One comparison, under way or at its end."""

    id: str
    question: Question
    columns: tuple[Column, ...]
    began_us: int
    shown: list[Shown]
    outcome: Outcome | None = None
    running: bool = True
    earlier: bool = False
    """Of an earlier session: its answers may not have been kept."""

    def take(self, update: Update) -> None:
        column = self.shown[update.cell.contestant]
        first = update.cell.turn == 0
        match update:
            case Began():
                column.begun = True
            case Wrote(_, text) if first:
                column.pieces.append(text)
                column.words += text.count(" ")
            case Discarded() if first:
                column.pieces.clear()
                column.words = 0
            case Ended(_, sample):
                column.ended += 1
                if first:
                    column.pieces[:] = [sample.text]


def earlier(outcome: Outcome) -> Race:
    """One of an earlier session, at its end."""
    columns = tuple(Column(one.contestant.key, one.contestant.name, one.contestant.provider) for one in outcome.overall)
    shown = [
        Shown([one.samples[0].text] if one.samples else [], begun=True, ended=len(one.samples))
        for one in outcome.by_prompt[0]
    ]
    return Race(random_id(), outcome.question, columns, 0, shown, outcome, running=False, earlier=True)


class Races:
    """One comparison at a time is under way."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.race: Race | None = None
        self._held: Race | None = None
        """Waits for an agreement to what it may cost."""
        self.agreed = False
        """A paid comparison was agreed to in this session."""

    @property
    def running(self) -> bool:
        return self.race is not None and self.race.running

    @property
    def waiting(self) -> bool:
        """Whether an answer to what it may cost is awaited."""
        return self._held is not None

    def start(self, question: Question, columns: Sequence[Column], now_us: int, limit: Decimal) -> None:
        """Begin; above the limit, or for the first paid one of the session, it is foreseen instead."""
        race = Race(random_id(), question, tuple(columns), now_us, [Shown() for _ in columns])
        self._held = race
        self._submit(race, limit if self.agreed else Decimal(0))

    def agree(self, now_us: int) -> None:
        """Go on with what was foreseen."""
        if self._held is not None:
            self.agreed = True
            self._held.began_us = now_us
            self._submit(self._held, None)

    def decline(self) -> None:
        self._held = None

    def restore(self, text: str, mode: str) -> None:
        """Show what was compared before the program began; what came of another mode waits for that one."""
        from sandbox.comparison.keeping import read

        with suppress(InputError):
            # Only a hand, or another version of the program, writes what cannot be read.
            outcome = read(text)
            if outcome.mode == mode:
                self.race = earlier(outcome)

    def kept(self, *, with_answers: bool) -> str | None:
        """The last comparison for a later session; None where there is none."""
        race = self.race
        if race is None or race.running or race.outcome is None:
            return None
        from sandbox.comparison.keeping import written

        return written(race.outcome, with_answers=with_answers)

    def cancel(self) -> None:
        for race in (self._held, self.race):
            if race is not None:
                self._engine.cancel(race.id)
        self._held = None

    def _submit(self, race: Race, limit: Decimal | None) -> None:
        keys = [column.key for column in race.columns]
        self._engine.work(race.id, partial(compare, race.id, race.question, keys, limit))

    # --- what the engine tells ------------------------------------------------------------------------------------

    def report(self, report: Report) -> str | None:
        """Take a report in; returns a sentence where the comparison was refused."""
        held = self._held
        if isinstance(report, (Stepped, Came)) and held is not None and report.id == held.id:
            # It costs nothing to speak of and is on its way.
            self.race, self._held = held, None
        race = self.race
        if isinstance(report, Stepped) and race is not None and report.id == race.id:
            race.take(report.update)
        elif isinstance(report, Came) and race is not None and report.id == race.id:
            race.outcome = report.outcome
            race.running = not report.whole
        elif isinstance(report, Refused):
            return self._refused(report)
        elif isinstance(report, Settled) and race is not None and report.request_id == race.id:
            race.running = False
        return None

    def _refused(self, report: Refused) -> str | None:
        for race in (self._held, self.race):
            if race is not None and report.request_id == race.id:
                race.running = False
                self._held = None
                return report.message
        return None

    def foreseen(self, report: Foreseen) -> bool:
        """Whether it is this comparison that waits."""
        return self._held is not None and self._held.id == report.id
