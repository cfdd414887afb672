"""What goes on at a moment of a recorded run, in a sentence for someone who has never seen it."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, NamedTuple

from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.faults import TimedFault
from sandbox.scenarios.recorder import Take
from sandbox.scenarios.telling import fault_text, fulfilled, short_time, usd

_LOOK_BACK_US: Final = 5_000_000
"""Who has answered in this time is who answers now; of a long run, a fiftieth."""
_NOBODY: Final = "nobody answers"

Mood = Literal["plain", "good", "warn", "bad"]


class Told(NamedTuple):
    """Clauses, what matters most first: where there is little room, the last ones may be left out."""

    clauses: tuple[str, ...]
    mood: Mood

    @property
    def text(self) -> str:
        return "; ".join(self.clauses)

    def within(self, width: int) -> str:
        """As much as fits into that many columns, but at least the first clause."""
        clauses = self.clauses
        while len(clauses) > 1 and len("; ".join(clauses)) > width:
            clauses = clauses[:-1]
        return "; ".join(clauses)


def narrate(take: Take, at_us: int) -> Told:
    """The sentence of a moment."""
    if at_us >= take.recording.ended_us:
        return _end(take)
    now = _Moment(take, at_us)
    return now.breakers() or now.ailing() or now.well()


class _Moment:
    def __init__(self, take: Take, at_us: int) -> None:
        self.take = take
        self.recording = take.recording
        self.at_us = at_us

    def breakers(self) -> Told | None:
        """Whose breaker is not closed, and who is out of rotation."""
        gone = {
            id: since for id, one in self.recording.states.items() if (since := one.out_since(self.at_us)) is not None
        }
        if gone:
            return self._missing(
                f"{_names([*gone])} out of rotation since {short_time(max(gone.values()))}", max(gone.values())
            )
        states = {id: one.at(self.at_us) for id, one in self.recording.states.items()}
        for id, (state, since, _) in states.items():
            if state == "half_open":
                probed = f"{id} is probed since {short_time(since)}: one request is let through"
                return _told("warn", probed, self._answers(0))
        shut = {id: (since, change) for id, (state, since, change) in states.items() if state == "open"}
        if not shut:
            return None
        id, (since, change) = next(iter(shut.items()))
        probe = (
            "" if change is None or change.until_us is None else f"probe at {short_time(change.until_us - EPOCH_US)}"
        )
        if len(shut) > 1:
            return self._missing(f"{_names([*shut], whose=True)} open", max(since for since, _ in shut.values()), probe)
        why = f"why: {change.reason}" if change is not None and change.reason else ""
        return self._missing(f"{id}'s breaker is open since {short_time(since)}", since, why, probe)

    def _missing(self, what: str, since_us: int, *more: str) -> Told:
        answers = self._answers(since_us)
        return _told("bad" if answers == _NOBODY else "warn", what, answers, *more)

    def ailing(self) -> Told | None:
        """Faults of which no breaker has taken notice."""
        active = [timed for timed in self.take.scenario.faults if timed.at(self.at_us) and timed.fault.probability]
        if not active:
            return None
        since = max(timed.begin_us for timed in active)
        closed = (
            "its breaker is still closed" if len({timed.provider for timed in active}) == 1 else "no breaker is open"
        )
        return _told("warn", f"{_faults(active)} since {short_time(since)}", closed, self._answers(since))

    def well(self) -> Told:
        """Nothing is the matter, or no longer."""
        ended = [
            timed.end_us
            for timed in self.take.scenario.faults
            if timed.end_us is not None and timed.end_us <= self.at_us
        ]
        changes = [
            since for one in self.recording.states.values() for _, since, change in [one.at(self.at_us)] if change
        ]
        if ended or changes:
            since = max([*ended, *changes])
            return _told("good", f"all is well again since {short_time(since)}", self._answers(since))
        return _told("plain", "all is well", self._answers(0))

    def _answers(self, since_us: int) -> str:
        """Who answers now, as far as what happened since a time can tell; empty: nothing tells yet."""
        length_us = self.recording.ended_us - self.recording.begin_us
        begin = max(since_us, self.at_us - max(_LOOK_BACK_US, length_us // 50))
        before, now = self.recording.figures(begin), self.recording.figures(self.at_us)
        if now.requests == before.requests:
            if sum(now.attempts) > sum(before.attempts):
                return "nothing has come back yet"
            return "nothing is asked now" if self.at_us - begin >= _LOOK_BACK_US else ""
        if now.succeeded == before.succeeded:
            return _NOBODY
        answers = [after - first for after, first in zip(now.answers, before.answers, strict=True)]
        if now.cached - before.cached > sum(answers) // 2:
            return "the cache answers"
        return f"{self.recording.ids[answers.index(max(answers))]} answers"


def _told(mood: Mood, *clauses: str) -> Told:
    return Told(tuple(filter(None, clauses)), mood)


def _names(ids: list[str], *, whose: bool = False) -> str:
    if len(ids) > 3:
        return f"{len(ids)} breakers are" if whose else f"{len(ids)} providers are"
    named = " and ".join(filter(None, (", ".join(ids[:-1]), ids[-1])))
    return f"the breakers of {named} are" if whose else f"{named} {'is' if len(ids) == 1 else 'are'}"


def _faults(active: list[TimedFault]) -> str:
    if len(active) > 2:
        return f"{len(active)} faults"
    if len({timed.provider for timed in active}) == 1:
        return f"{' and '.join(map(fault_text, active))} on {active[0].provider}"
    return " and ".join(f"{fault_text(timed)} on {timed.provider}" for timed in active)


def _end(take: Take) -> Told:
    result = take.result
    if result is None:
        return _told("warn", f"stopped at {short_time(take.recording.ended_us)}", "r runs it again")
    numbers = result.metrics
    clauses = [f"the end: {numbers['succeeded']:,} of {numbers['requests']:,} answered"]
    if numbers["failovers"]:
        clauses.append(f"{numbers['failovers']:,} by another{_extra(numbers['failover_cost_usd'])}")
    if result.expectations:
        clauses.append(f"{fulfilled(result.expectations)} expectations hold")
    return _told("good" if result.ok and not numbers["failed"] else "warn", *clauses)


def _extra(premium: float | Decimal | None) -> str:
    if not premium:
        return ""
    return f" for {usd(abs(Decimal(premium)))} {'more' if premium > 0 else 'less'}"
