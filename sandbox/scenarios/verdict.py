"""Whether what was expected of a run is so, each with what it really was."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.scenarios.results import Tally, TransitionSeen
from sandbox.scenarios.schema import Expectation


def judge(expectation: Expectation, tally: Tally) -> dict[str, Any]:
    """The expectation as written, `ok`, and `actual`: a number, seconds after `of`, or None for what never happened."""
    written = expectation.model_dump(by_alias=True, exclude_none=True)
    if expectation.metric is not None:
        ok, actual = _metric(expectation, tally)
    elif expectation.breaker is not None:
        ok, actual = _breaker(expectation, tally.transitions)
    else:
        ok, actual = _provider(expectation, tally)
    return {**written, "ok": ok, "actual": actual}


def _metric(expectation: Expectation, tally: Tally) -> tuple[bool, float | None]:
    assert expectation.metric is not None  # noqa: S101  the caller has looked
    value = tally.metrics()[expectation.metric]
    if value is None:
        # Unpriced, or nothing succeeded: no number to hold against a limit.
        return False, None
    return _within(expectation, value), float(value)


def _within(expectation: Expectation, value: float | Decimal) -> bool:
    exact = Decimal(str(value))
    if expectation.min is not None and exact < Decimal(str(expectation.min)):
        return False
    if expectation.max is not None and exact > Decimal(str(expectation.max)):
        return False
    return expectation.equals is None or exact == Decimal(str(expectation.equals))


def _breaker(expectation: Expectation, seen: list[TransitionSeen]) -> tuple[bool, float | None]:
    own = [one for one in seen if one.provider == expectation.breaker]
    if expectation.stays is not None:
        first = next((one for one in own if one.to_state != expectation.stays), None)
        return first is None, None if first is None else first.at_us / 1e6
    limit = expectation.opens_within if expectation.opens_within is not None else expectation.closes_within
    wanted = "open" if expectation.opens_within is not None else "closed"
    assert limit is not None and expectation.of is not None  # noqa: S101, PT018  the schema sees to it
    since = round(expectation.of * 1e6)
    found = next((one for one in own if one.to_state == wanted and one.at_us >= since), None)
    if found is None:
        return False, None
    after = (found.at_us - since) / 1e6
    return after <= limit, after


def _provider(expectation: Expectation, tally: Tally) -> tuple[bool, int]:
    watched = tally.watched(expectation)
    attempts = expectation.max_attempts is not None or expectation.min_attempts is not None
    value = watched.attempts if attempts else watched.answers
    least = expectation.min_attempts if attempts else expectation.min_answers
    most = expectation.max_attempts if attempts else expectation.max_answers
    return (least is None or value >= least) and (most is None or value <= most), value
