"""Runs a scenario and writes down what happens, as it happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BreakerChanged,
    CandidateSkipped,
    ChunkReceived,
    Event,
    FallbackTaken,
    ProviderDisabled,
    ProviderEnabled,
    RequestCompleted,
    RequestFailed,
    RequestReceived,
    RetryScheduled,
    RouteChosen,
    UsageRecorded,
)
from sandbox.core.pacing import Stopped
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.loader import Scenario
from sandbox.scenarios.recording import (
    CODES,
    KINDS,
    MOMENTS,
    FaultBegan,
    FaultEnded,
    Figures,
    Recording,
    reader,
)
from sandbox.scenarios.results import Result, Tally
from sandbox.scenarios.runner import Lab, Pace, policy_of

KEPT: Final = 200_000
"""Events that are kept whole, some 25 MB; what comes later is counted, and kept only where it is a moment."""
KEPT_MOMENTS: Final = 50_000
"""Moments that are kept beyond that."""
MARKS: Final = 4_096
_FIRST_STRIDE: Final = 256

_ALIKE: Final = (
    RequestReceived, RouteChosen, CandidateSkipped, AttemptStarted, ChunkReceived, RetryScheduled, FallbackTaken,
)  # fmt: skip
"""Kinds of which most are as another one was, but for time and request: kept once."""


@dataclass(frozen=True, slots=True)
class Take:
    """One run and what was recorded of it."""

    scenario: Scenario
    preset: str
    seed: int
    recording: Recording
    result: Result | None
    """None: it was stopped before its end."""


def record(
    scenario: Scenario,
    *,
    preset: str | None = None,
    seed: int | None = None,
    pace: Pace | None = None,
    kept: int = KEPT,
) -> Take:
    """Run a scenario and record it, up to where `pace` raises Stopped. Raises ScenarioError or InputError."""
    lab = Lab(scenario, policy_of(scenario, preset), scenario.document.seed if seed is None else seed)
    recorder = Recorder(scenario, lab.ids(), lab.tally, kept)
    lab.observers.append(recorder)

    def paced(now_us: int, then_us: int) -> None:
        assert pace is not None  # noqa: S101  else nobody calls this
        try:
            pace(now_us, then_us)
        except Stopped:
            # At once: the requests that are cut off now are no part of the run.
            recorder.stop()
            raise

    result = None
    with suppress(Stopped):
        result = lab.run(pace=None if pace is None else paced)
    return Take(scenario, lab.policy.name, lab.seed, recorder.finish(result), result)


class Recorder:
    """An observer of the bus, to be called after the tally has counted an event."""

    recording: Recording

    def __init__(self, scenario: Scenario, ids: Sequence[str], tally: Tally | None, kept: int = KEPT) -> None:
        """Without a tally somebody else says what a request comes to."""
        self.recording = self._blank(ids, scenario.duration_us)
        self._tally = tally
        self._kept = kept
        self._moments_left = KEPT_MOMENTS
        self._figures = Figures(attempts=[0 for _ in ids], failed_attempts=[0 for _ in ids], answers=[0 for _ in ids])
        self.recording.marks.append((-1, 0, self._figures.packed()))
        self._stride = _FIRST_STRIDE
        self._numbers: dict[str, int] = {"": -1}
        self._same: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._now_us = 0
        self._stopped = False
        self._edges = sorted(
            [(timed.begin_us, number, timed.provider, FaultBegan) for number, timed in enumerate(scenario.faults)]
            + [
                (timed.end_us, number, timed.provider, FaultEnded)
                for number, timed in enumerate(scenario.faults)
                if timed.end_us is not None
            ],
            key=lambda edge: edge[:2],
            reverse=True,
        )  # fmt: skip
        bins, places, states = self.recording.bins, self.recording.places, self.recording.states

        def rotated(at_us: int, event: ProviderDisabled | ProviderEnabled) -> None:
            states[event.provider].rotate(at_us, isinstance(event, ProviderDisabled))

        def changed(at_us: int, event: Any) -> None:
            states[event.provider].change(at_us, event)

        def succeeded(at_us: int, event: AttemptSucceeded) -> None:
            index = bins.index(at_us)
            bins.ok[places[event.provider]][index] += 1
            # One that answers is back in rotation, whoever noticed first.
            states[event.provider].rotate(at_us, False)

        def gone_wrong(at_us: int, event: AttemptFailed) -> None:
            index = bins.index(at_us)
            bins.bad[places[event.provider]][index] += 1

        def arrived(at_us: int, event: Event) -> None:
            index = bins.index(at_us)
            bins.arrived[index] += 1

        def failed(at_us: int, event: Event) -> None:
            index = bins.index(at_us)
            bins.failed[index] += 1

        watching: dict[type[Event], Callable[[int, Any], None]] = {
            RequestReceived: arrived,
            RequestFailed: failed,
            AttemptSucceeded: succeeded,
            AttemptFailed: gone_wrong,
            RequestCompleted: lambda at_us, event: bins.answered(at_us, event.latency_ms),
            ProviderDisabled: rotated,
            ProviderEnabled: rotated,
        }
        self._kinds = {
            kind: (
                code,
                reader(kind),
                changed if issubclass(kind, BreakerChanged) else watching.get(kind),
                code in MOMENTS,
                kind in _ALIKE,
            )
            for kind, code in CODES.items()
        }

    def _blank(self, ids: Sequence[str], duration_us: int) -> Recording:
        return Recording(ids, duration_us)

    def __call__(self, event: Event) -> None:
        if not self._stopped:
            self.take(event.t_us - EPOCH_US, event)

    def take(self, at_us: int, event: Event) -> None:
        """Write an event down, at a time since the start."""
        while self._edges and self._edges[-1][0] <= at_us:
            self._pass_edge()
        self._now_us = at_us
        code, read, watch, moment, alike = self._kinds[type(event)]
        parts = read(event)
        if isinstance(event, UsageRecorded):
            parts = self._grown(event.log_id)
        elif alike:
            parts = self._same.setdefault(parts, parts)
        if watch is not None:
            watch(at_us, event)
        self._put(at_us, code, event.request_id, parts, moment)

    def _put(self, at_us: int, code: int, request_id: str, parts: tuple[Any, ...], moment: bool) -> None:
        recording = self.recording
        thinned = recording.thinned_us is not None
        if not thinned and len(recording.times) >= self._kept:
            thinned = True
            recording.thinned_us = at_us
            self._mark(at_us)
        self._figures.take(code, parts, recording.places)
        recording.seen += 1
        if not thinned or (moment and self._moments_left):
            self._moments_left -= thinned
            self._keep(at_us, code, request_id, parts, moment)
        if recording.seen % self._stride == 0:
            self._mark(at_us)

    def _keep(self, at_us: int, code: int, request_id: str, parts: tuple[Any, ...], moment: bool) -> None:
        recording = self.recording
        position = len(recording.times)
        number = self._numbers.get(request_id)
        if number is None:
            number = self._numbers[request_id] = len(recording.names)
            recording.names.append(request_id)
            recording.lasts.append(-1)
        recording.times.append(at_us)
        recording.codes.append(code)
        recording.parts.append(parts)
        recording.requests.append(number)
        if number >= 0:
            recording.before.append(recording.lasts[number])
            recording.lasts[number] = position
        else:
            recording.before.append(-1)
        if moment:
            recording.moments.append(position)
        if moment or KINDS[code] is RequestCompleted:
            recording.ends.append(position)

    def _mark(self, at_us: int) -> None:
        """Note the figures here; half of the notes go when there are too many."""
        marks = self.recording.marks
        marks.append((at_us, len(self.recording.times), self._figures.packed()))
        if len(marks) > MARKS:
            del marks[1:-1:2]
            self._stride *= 2

    def _pass_edge(self) -> None:
        at_us, number, provider, kind = self._edges.pop()
        code = CODES[kind]
        self._put(at_us, code, "", (provider, number), moment=True)

    def _grown(self, log_id: str) -> tuple[Any, ...]:
        """What the request that has just ended added to the tally: a Growth."""
        tally, figures = self._tally, self._figures
        assert tally is not None  # noqa: S101  else nobody calls this
        return (
            log_id,
            tally.succeeded - figures.succeeded,
            tally.failovers - figures.failovers,
            tally.unpriced - figures.unpriced,
            tally.cost - figures.cost,
            tally.baseline - figures.baseline,
            tally.waste - figures.waste,
        )

    def stop(self) -> None:
        """What comes now is no longer part of the run."""
        self._stopped = True

    def finish(self, result: Result | None) -> Recording:
        """The whole recording; no event follows."""
        recording = self.recording
        recording.ended_us = self._now_us if result is None else round(result.virtual_seconds * 1e6)
        while self._edges and self._edges[-1][0] <= recording.ended_us:
            self._pass_edge()
        self._mark(recording.ended_us)
        return recording
