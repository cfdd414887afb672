"""What there is to say of one row, and of the whole run, in lines of styled text. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BreakerChanged,
    ChunkReceived,
)
from sandbox.core.figures import duration_ms
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.faults import TimedFault
from sandbox.scenarios.recorder import Take
from sandbox.scenarios.recording import FaultBegan, FaultEnded, Figures, Recording
from sandbox.scenarios.telling import (
    actual_text,
    clock_time,
    expected_text,
    fault_text,
    milliseconds,
    percent,
    usd,
    window_text,
)
from sandbox.tui.drawing import cost_line, request_line, step_lines, time_line
from sandbox.tui.lab.events import LONGEST_NAME, failure_word, request_name, row_of
from sandbox.tui.lab.figures import comparison_lines
from sandbox.tui.pieces import BAD, DOT, FAILED, GOOD, MUTED, NAME, OK, PLAIN, WARN, Line
from sandbox.tui.story import Attempt, RequestStory, breaker_state
from sandbox.tui.tables import LEVELS

_TITLE: Final = "bold $text-accent"
_LABEL: Final = 14
_LOOKED_BACK: Final = 2_000
"""Events before a breaker's change among which its causes are looked for."""


def row_lines(take: Take, position: int, width: int) -> list[Line]:
    """Everything about the event of a row: the story of its request, or what it means."""
    recording = take.recording
    event = recording.event(position)
    row = row_of(event, take.scenario.faults, simulated=recording.simulated)
    at = clock_time(recording.times[position])
    lines: list[Line] = [[(f"{at}  ", MUTED), (f"{row.who}  " if row.who else "", NAME), (row.text, row.style)], []]
    if isinstance(event, (FaultBegan, FaultEnded)):
        return lines + _fault(take, take.scenario.faults[event.number])
    if isinstance(event, BreakerChanged):
        lines += _meaning(event)
        lines += _causes(recording, position, event)
        position = _request_behind(recording, position, event)
        if position < 0:
            return lines
        lines.append([])
    if recording.requests[position] < 0:
        return lines
    return lines + _request(take, position, width)


# --- a request ------------------------------------------------------------------------------------------------------


def _request(take: Take, position: int, width: int) -> list[Line]:
    recording = take.recording
    positions = recording.of_request(position)
    story = _story(recording, positions)
    lines: list[Line] = [[(request_name(story.request_id), _TITLE), (f"{DOT}{story.tenant}", MUTED)]]
    if len(story.request_id) > LONGEST_NAME:
        lines.append([(story.request_id, MUTED)])
    if recording.thinned_us is not None and recording.times[positions[-1]] >= recording.thinned_us:
        lines.append([("not all of its events were kept: there were too many in this run", WARN)])
    lines += [request_line(story), []]
    for step, line in step_lines(story, story.started_us, width):
        lines.append(line)
        if isinstance(step, Attempt):
            lines.append([("   ", PLAIN), (_attempt(step, story), MUTED)])
    lines.append([])
    if story.status == "failed":
        lines.append([(f"{FAILED} {story.error_type}: {story.error_message}", BAD)])
    elif story.status == "done":
        lines.append([(f"{OK} answered by {story.provider}", GOOD), (f"{DOT}{story.model}", MUTED)])
    lines += [line for line in (time_line(story), cost_line(story)) if line]
    lines += _chunks(recording, positions, width)
    growth = next((found for at in positions if (found := recording.growth(at)) is not None), None)
    if growth is not None and not growth.succeeded and growth.waste:
        lines.append([("paid for nothing ", PLAIN), (usd(growth.waste, simulated=recording.simulated), WARN)])
    return lines


def _story(recording: Recording, positions: Sequence[int]) -> RequestStory:
    """The story of a request, with the changes of the breakers that it met."""
    events = {at: recording.event(at) for at in positions}
    asked = {event.provider for event in events.values() if isinstance(event, AttemptStarted)}
    moments = recording.moments
    for index in range(bisect_left(moments, positions[0]), bisect_left(moments, positions[-1])):
        event = recording.event(moments[index])
        if isinstance(event, BreakerChanged) and event.provider in asked:
            events[moments[index]] = event
    story = RequestStory(recording.names[recording.requests[positions[0]]])
    for at in sorted(events):
        story.apply(events[at])
    return story


def _attempt(attempt: Attempt, story: RequestStory) -> str:
    began = clock_time(attempt.started_us - EPOCH_US)
    facts = [f"began {began}"]
    if attempt.started_us > story.started_us:
        facts[0] += f", {duration_ms((attempt.started_us - story.started_us) / 1000)} after the request came"
    if attempt.breaker != "closed":
        facts.append(f"breaker {attempt.breaker.replace('_', ' ')}")
    if attempt.message:
        facts.append(attempt.message)
    return DOT.join(facts)


def _chunks(recording: Recording, positions: Sequence[int], width: int) -> list[Line]:
    """When the pieces of a streamed answer came."""
    times = [recording.times[at] for at in positions if isinstance(recording.event(at), ChunkReceived)]
    if len(times) < 2:
        return []
    began, ended = recording.times[positions[0]], recording.times[positions[-1]]
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    told = (
        f"{len(times)} pieces{DOT}the first after {duration_ms((times[0] - began) / 1000)}{DOT}"
        f"then every {duration_ms(gaps[len(gaps) // 2] / 1000)}{DOT}longest gap {duration_ms(gaps[-1] / 1000)}"
    )
    columns = max(1, min(60, width - 2))
    counts = [0] * columns
    for at in times:
        counts[min(columns - 1, (at - began) * columns // max(1, ended - began))] += 1
    top = max(counts)
    drawn = "".join(LEVELS[min(7, count * 7 // top)] if count else "·" for count in counts)
    return [[(told, PLAIN)], [(drawn, "$success")]]


# --- breakers and faults --------------------------------------------------------------------------------------------


def _meaning(event: BreakerChanged) -> list[Line]:
    state, id = breaker_state(event), event.provider
    if state == "open" and event.until_us is not None:
        until = clock_time(event.until_us - EPOCH_US)
        text = (
            f"Nobody asks {id} until {until}: every request goes to the next provider at once, without waiting for it."
        )
    elif state == "half_open":
        text = f"One request is let through to see whether {id} is well; all others still go elsewhere."
    elif state == "closed":
        text = f"{id} is asked again as before, and nothing is held against it."
    else:
        text = f"Nobody asks {id}."
    return [[(text, PLAIN)]]


def _causes(recording: Recording, position: int, event: BreakerChanged) -> Iterator[Line]:
    """The failures of the provider that led to an open breaker, the last five."""
    if breaker_state(event) != "open":
        return
    found = []
    for at in range(position - 1, max(-1, position - 1 - _LOOKED_BACK), -1):
        one = recording.event(at)
        if isinstance(one, BreakerChanged) and one.provider == event.provider and breaker_state(one) != "half_open":
            break
        if isinstance(one, AttemptFailed) and one.provider == event.provider:
            found.append((at, one))
    if not found:
        return
    yield []
    count = min(5, len(found))
    yield [(f"Because of the last {count} failures" if count > 1 else "Because of this failure", MUTED)]
    for at, failed in reversed(found[:5]):
        time = clock_time(recording.times[at])
        yield [
            (f"{time}  ", MUTED),
            (f"{FAILED} ", BAD),
            (f"{failure_word(failed)}{DOT}{request_name(failed.request_id)}", PLAIN),
        ]


def _request_behind(recording: Recording, position: int, event: BreakerChanged) -> int:
    """The attempt that made a breaker change; -1: none did."""
    kinds = (AttemptStarted,) if breaker_state(event) == "half_open" else (AttemptFailed, AttemptSucceeded)
    for at in recording.nearby(position):
        one = recording.event(at)
        if isinstance(one, kinds) and getattr(one, "provider", "") == event.provider:
            return at
    return -1


def _fault(take: Take, timed: TimedFault) -> list[Line]:
    recording = take.recording
    end_us = recording.ended_us if timed.end_us is None else min(timed.end_us, recording.ended_us)
    place = recording.places.get(timed.provider)
    lines: list[Line] = [
        _fact("fault", fault_text(timed)),
        _fact("provider", timed.provider),
        _fact("when", window_text(timed)),
    ]
    if place is None:
        return [*lines, [], [(f"{timed.provider} is not in this preset's chain: nothing comes of it.", MUTED)]]
    before, after = recording.figures(max(0, timed.begin_us - 1)), recording.figures(end_us)
    asked = after.attempts[place] - before.attempts[place]
    failed = after.failed_attempts[place] - before.failed_attempts[place]
    requests = after.requests - before.requests
    lines += [
        [],
        [("While it lasts", MUTED)],
        _fact("requests", f"{requests:,} ended, {after.succeeded - before.succeeded:,} of them answered"),
        _fact("attempts", f"{asked:,} on {timed.provider}, {failed:,} of them failed"),
        _fact("failed over", f"{after.failovers - before.failovers:,}"),
    ]
    if after.premium is not None and before.premium is not None:
        lines.append(_fact("premium", usd(after.premium - before.premium, simulated=recording.simulated)))
    return lines


# --- the whole ------------------------------------------------------------------------------------------------------


def opening_lines(take: Take) -> list[Line]:
    """What the scenario is about, before anything has happened."""
    document = take.scenario.document
    lines: list[Line] = [[(take.scenario.name, _TITLE)], [(document.description, PLAIN)], []]
    lines.append([("Space plays it", NAME), (", n goes from event to event, ← → move through time.", PLAIN)])
    lines += [[], [("Chain", MUTED)]]
    for part in document.providers:
        lines.append([(f"  {part.key:<{_LABEL}}", NAME), (part.model, PLAIN)])
    if not document.providers:
        lines += [[(f"  {id}", NAME)] for id in take.recording.ids]
    lines += [[], [("Faults", MUTED)]]
    for timed in take.scenario.faults:
        lines.append([(f"  {timed.provider:<{_LABEL}}", NAME), (f"{fault_text(timed)}, {window_text(timed)}", WARN)])
    if not take.scenario.faults:
        lines.append([("  none: f breaks a provider at the cursor", PLAIN)])
    return lines


def summary_lines(takes: Sequence[Take], width: int) -> list[Line]:
    """The whole run: what it came to, provider by provider, and whether what was expected holds."""
    lines: list[Line] = []
    if len(takes) > 1:
        lines += [[("Compared", _TITLE)], *comparison_lines(takes, width), []]
    for take in takes:
        lines += [*_summary(take), []]
    return lines[:-1]


def _summary(take: Take) -> list[Line]:
    recording = take.recording
    figures = recording.figures(recording.ended_us)
    length = duration_ms(recording.ended_us / 1000)
    lines: list[Line] = [[(f"Preset {take.preset}", _TITLE), (f"{DOT}seed {take.seed}{DOT}{length}", MUTED)]]
    lines += [
        _fact("requests", f"{figures.requests:,}, {figures.succeeded:,} answered{DOT}{percent(figures.availability)}"),
        _fact("failed over", f"{figures.failovers:,}{DOT}retries {figures.retries:,}"),
        _fact("breaker open", duration_ms(recording.open_us(recording.ended_us) / 1000)),
        *_money(figures, recording.simulated),
    ]
    result = take.result
    if result is not None:
        m = result.metrics
        names = (("median", "p50"), ("p95", "p95"), ("p99", "p99"), ("longest", "max"))
        lines.append(
            _fact("latency", DOT.join(f"{name} {milliseconds(m[f'{key}_latency_ms'])}" for name, key in names))
        )
    lines += [[], [("Providers", MUTED)]]
    for place, id in enumerate(recording.ids):
        asked, failed, answers = figures.attempts[place], figures.failed_attempts[place], figures.answers[place]
        told = f"{asked:,} attempts, {failed:,} failed, {answers:,} answers" if asked else "never asked"
        lines.append(_fact(f"  {id}", told))
    if result is None:
        return [*lines, [], [("It was stopped before its end: r runs it again.", WARN)]]
    if result.errors_by_type:
        lines += [[], [("Errors that callers saw", MUTED)]]
        lines += [[(f"  {count:,} × {name}", BAD)] for name, count in result.errors_by_type.items()]
    if result.expectations:
        lines += [[], [("Expected", MUTED)]]
        for one in result.expectations:
            mark, style = (OK, GOOD) if one["ok"] else (FAILED, BAD)
            lines.append([(f"  {mark} ", style), (f"{expected_text(one)}: {actual_text(one['actual'])}", PLAIN)])
    return lines


def _money(figures: Figures, simulated: bool) -> list[Line]:
    if figures.unpriced:
        return [_fact("cost", f"{figures.unpriced:,} answers are unpriced", WARN)]
    total = figures.cost + figures.waste
    cost, baseline, premium, waste = (
        usd(value, simulated=simulated) for value in (total, figures.baseline, figures.premium, figures.waste)
    )
    return [
        _fact("cost", cost, NAME),
        _fact("", f"{baseline} without the outage + {premium} for failing over"),
        _fact("", f"+ {waste} for answers that nobody got"),
    ]


def _fact(label: str, value: str, style: str = PLAIN) -> Line:
    return [(f"{label:<{_LABEL}}", MUTED), (value, style)]
