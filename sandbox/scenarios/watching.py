"""Writes down what a running gateway does, in the shape of a scenario's run: what draws the one draws the other.

Its scenario has no traffic of its own; its faults are those that somebody provokes meanwhile, in windows that end when
they are healed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

from providers.faults import Fault
from sandbox.core.events import (
    BreakerChanged,
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    CostComputed,
    Event,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    RouteChosen,
    UsageRecorded,
)
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.faults import TimedFault
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.recorder import Recorder, Take
from sandbox.scenarios.recording import CODES, FaultBegan, FaultEnded, Growth, Recording
from sandbox.scenarios.rolling import BIN_US, KEPT_US, RollingRecording
from sandbox.scenarios.source import parse

KEPT: Final = 100_000
"""Events that are kept, some 12 MB. Lanes, curves and figures go back as far as they are looked at nevertheless."""
NAME: Final = "live"
_SLACK_US: Final = 60_000_000
"""How much older than needed events may become before they go."""
_MANY_FAULTS: Final = 200
_MANY_MARKS: Final = 2 * KEPT_US // BIN_US
_MANY_OPEN: Final = 10_000
"""Requests under way of which something is known; of more, the oldest are forgotten."""
_NOTHING: Final = Decimal(0)
_RECORDED, _BEGAN, _ENDED = CODES[UsageRecorded], CODES[FaultBegan], CODES[FaultEnded]
_AS = {"open": BreakerOpened, "forced_open": BreakerOpened, "half_open": BreakerHalfOpened}


@dataclass(slots=True)
class _Open:
    """What is known of a request under way."""

    first: str = ""
    """Whom its plan asks first."""
    cost: CostComputed | None = None
    log_id: str = ""


class Watch(Recorder):
    """Takes events of the bus in their order; `began_us` is UTC, all other times are microseconds since then."""

    recording: RollingRecording

    def __init__(self, ids: Sequence[str], began_us: int, *, simulated: bool = True, kept: int = KEPT) -> None:
        self._scenario = _blank_scenario()
        super().__init__(self._scenario, ids, None, kept)
        self.recording.simulated = simulated
        self.began_us = began_us
        self._bin_ends_us = 0
        self._open: dict[str, _Open] = {}
        self._provoked: dict[tuple[str, Fault], int] = {}
        """What is provoked now, with its place among the faults."""
        self._faults: list[TimedFault] = []
        self._take = Take(self._scenario, "", 0, self.recording, None)

    def _blank(self, ids: Sequence[str], duration_us: int) -> Recording:
        return RollingRecording(ids)

    # --- what happens ---------------------------------------------------------------------------------------------

    def __call__(self, event: Event, late_us: int = 0) -> None:
        """`late_us`: by how much the clock that gave the event its time is behind."""
        late_us -= self.began_us
        # Clocks are set back now and then; a recording's times never are.
        at_us = max(self._now_us, event.t_us + late_us)
        provider = getattr(event, "provider", None)
        if provider is not None and provider not in self.recording.places:
            return  # of a chain that is no longer asked
        if isinstance(event, BreakerChanged):
            until_us = None if event.until_us is None else event.until_us + late_us + EPOCH_US
            event = replace(event, until_us=until_us)
        elif isinstance(event, RouteChosen):
            self._of(event.request_id).first = event.candidates[0].provider if event.candidates else ""
        elif isinstance(event, CostComputed):
            self._of(event.request_id).cost = event
        elif isinstance(event, UsageRecorded):
            # Written down when it is known what the request comes to.
            self._of(event.request_id).log_id = event.log_id
            return
        self.take(at_us, event)
        if isinstance(event, (RequestCompleted, RequestFailed, RequestCancelled)):
            known = self._open.pop(event.request_id, _Open())
            self._put(at_us, _RECORDED, event.request_id, tuple(_growth(event, known)), moment=False)

    def _of(self, request_id: str) -> _Open:
        found = self._open.get(request_id)
        if found is None:
            if len(self._open) >= _MANY_OPEN:
                del self._open[next(iter(self._open))]
            found = self._open[request_id] = _Open()
        return found

    def found(self, provider: str, state: str, now_us: int) -> None:
        """How a breaker is that nobody told of: it was so before, or was made anew."""
        states = self.recording.states.get(provider)
        at_us = max(self._now_us, now_us - self.began_us)
        kind = _AS.get(state, BreakerClosed)
        if states is not None and _AS.get(states.at(at_us)[0], BreakerClosed) is not kind:
            states.change(at_us, kind(at_us + EPOCH_US, "", provider, "", "", None))

    def provoked(self, faults: Mapping[str, Sequence[Fault]], now_us: int) -> None:
        """What is provoked from now on."""
        at_us = self._now_us = max(self._now_us, now_us - self.began_us)
        wanted = dict.fromkeys((provider, fault) for provider, several in faults.items() for fault in several)
        for key in [key for key in self._provoked if key not in wanted]:
            number = self._provoked.pop(key)
            self._faults[number] = replace(self._faults[number], end_us=max(at_us, self._faults[number].begin_us + 1))
            self._put(at_us, _ENDED, "", (key[0], number), moment=True)
        for key in wanted:
            if key not in self._provoked and key[0] in self.recording.places:
                number = self._provoked[key] = len(self._faults)
                self._faults.append(TimedFault(key[0], at_us, None, key[1]))
                self._put(at_us, _BEGAN, "", (key[0], number), moment=True)
        scenario = replace(self._scenario, faults=tuple(self._faults))
        self._take = replace(self._take, scenario=scenario)

    # --- in bounds ------------------------------------------------------------------------------------------------

    def _put(self, at_us: int, code: int, request_id: str, parts: tuple[object, ...], moment: bool) -> None:
        recording = self.recording
        if len(recording.times) >= self._kept:
            self._forget(self._kept // 4)
        if at_us >= self._bin_ends_us:
            # One looks from the beginning of a bin on, and what there was before is to be known exactly.
            recording.marks.append((self._bin_ends_us - 1, len(recording.times), self._figures.packed()))
            self._bin_ends_us = (at_us // BIN_US + 1) * BIN_US
            if len(recording.marks) > _MANY_MARKS:
                recording.forget_before(at_us - KEPT_US)
        self._figures.take(code, parts, recording.places)
        recording.seen += 1
        self._keep(at_us, code, request_id, parts, moment)

    def _forget(self, count: int) -> None:
        gone = self.recording.forget(count)
        self.recording.forget_before(self._now_us - KEPT_US)
        self._numbers = {"": -1, **{name: number for number, name in enumerate(self.recording.names)}}
        # It only saves room: texts of answers are in it too, of which none is as another.
        self._same.clear()
        if gone and len(self._faults) > _MANY_FAULTS:
            self._forget_faults()

    def _forget_faults(self) -> None:
        recording = self.recording
        oldest_us = recording.times[0]
        stay = [
            number for number, timed in enumerate(self._faults) if timed.end_us is None or timed.end_us >= oldest_us
        ]
        places = {number: place for place, number in enumerate(stay)}
        for position in recording.moments:
            if recording.codes[position] in (_BEGAN, _ENDED):
                provider, number = recording.parts[position]
                recording.parts[position] = (provider, places[number])
        self._faults = [self._faults[number] for number in stay]
        self._provoked = {key: places[number] for key, number in self._provoked.items()}

    # --- what is looked at ----------------------------------------------------------------------------------------

    def look(self, now_us: int, span_us: int, columns: int, preset: str) -> tuple[Take, int]:
        """The last `span_us` or a little more, so that columns stay where they are while time goes on; and now.

        A column is some bins wide. Until that much has passed, the first ones lie before the start.
        """
        recording = self.recording
        at_us = max(self._now_us, now_us - self.began_us)
        column_us = -(-span_us // (columns * recording.bins.width_us)) * recording.bins.width_us
        recording.begin_us = (at_us // column_us + 1 - columns) * column_us
        recording.ended_us = recording.begin_us + columns * column_us
        recording.reached_us = at_us
        if recording.times and recording.times[0] < at_us - KEPT_US - _SLACK_US:
            self._forget(recording.until(at_us - KEPT_US))
        if self._take.preset != preset:
            self._take = replace(self._take, preset=preset)
        return self._take, at_us


def _growth(event: RequestCompleted | RequestFailed | RequestCancelled, known: _Open) -> Growth:
    if not isinstance(event, RequestCompleted):
        return Growth(known.log_id, 0, 0, 0, _NOTHING, _NOTHING, event.waste_usd)
    if event.cached:
        return Growth(known.log_id, 1, 0, 0, _NOTHING, _NOTHING, event.waste_usd)
    failovers = int(bool(known.first) and known.first != event.provider)
    premium = None if known.cost is None else known.cost.premium_usd
    if event.cost_usd is None or premium is None:
        return Growth(known.log_id, 1, failovers, 1, _NOTHING, _NOTHING, event.waste_usd)
    return Growth(known.log_id, 1, failovers, 0, event.cost_usd, event.cost_usd - premium, event.waste_usd)


def _blank_scenario() -> Scenario:
    text = f"version: 1\nname: {NAME}\nduration: {KEPT_US // 1_000_000}s\ntraffic: [{{rate: 1}}]\n"
    return check(parse(text, Path(f"{NAME}.yaml")))
