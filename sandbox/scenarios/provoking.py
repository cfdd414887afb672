"""Faults added to a scenario by hand at some moment of it, so that everything before that moment stays as it was.

Draws depend on a fault's place in the file, and of several that end an attempt the first listed one wins: so nothing is
ever taken out or put in between. What is to end, ends; what is new stands at the end.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from providers.errors import ScenarioError
from providers.faults import Fault, takes
from sandbox.scenarios.faults import TimedFault
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.source import parse
from sandbox.scenarios.writing import in_seconds, to_yaml

_FIELDS: Final = {"for": "duration"}
"""What scenarios call otherwise than a Fault does."""
_TIMES: Final = frozenset({"retry_after", "per", "for", "add", "after"})


def provoked(scenario: Scenario, provider: str, fault: Fault | None, at_us: int) -> Scenario:
    """The scenario with this fault on a provider from a time on, in place of what ails it then; None: it is well.

    Raises ScenarioError where what comes before could not stay the same, or the time is no time of the scenario.
    """
    data = _data(scenario)
    listed: list[Any] = data.get("faults") or []
    for number, timed in enumerate(scenario.faults):
        if timed.provider == provider and timed.at(at_us) is not None:
            listed[number] = _ended(listed[number], timed, at_us)
    if fault is not None:
        listed.append({"provider": provider, "from": in_seconds(at_us), **written(fault)})
    data["faults"] = listed
    return remade(data, scenario)


def _ended(raw: dict[str, Any], timed: TimedFault, at_us: int) -> dict[str, Any]:
    """The same fault, but only until then; everything else about it stays where it is."""
    if timed.begin_us == at_us:
        return {**raw, "probability": 0}
    window = {"provider": raw["provider"], "from": raw.get("from", 0), "to": in_seconds(at_us)}
    ended = {**window, **{name: value for name, value in raw.items() if name not in window}}
    for name, first, last in timed.ramps:
        if isinstance(first, int) and isinstance(last, int):
            raise ScenarioError(
                f"{name} of a fault on {timed.provider} runs from {first} to {last} in whole steps and cannot be cut "
                f"off at {in_seconds(at_us)} without changing what was before: change the scenario's text instead"
            )
        assert timed.end_us is not None  # noqa: S101  the loader refuses a ramp without an end
        share = (at_us - timed.begin_us) / (timed.end_us - timed.begin_us)
        ended[name] = {"from": first, "to": first + (last - first) * share}
    return ended


def written(fault: Fault) -> dict[str, Any]:
    """A fault as a scenario writes it, without what goes without saying."""
    plain = Fault(fault.kind)
    found: dict[str, Any] = {"kind": fault.kind}
    for name in takes()[fault.kind]:
        field = _FIELDS.get(name, name)
        value = getattr(fault, field)
        # The status is what people look for, so it always stands there.
        if value != getattr(plain, field) or (name == "status" and fault.kind == "http_error"):
            found[name] = in_seconds(round(value * 1e6)) if name in _TIMES else value
    return found


def renamed(scenario: Scenario, name: str) -> Scenario:
    """The same scenario under another name. Raises ScenarioError for one that cannot be a name."""
    return remade({**_data(scenario), "name": name}, scenario)


def remade(data: dict[str, Any], of: Scenario) -> Scenario:
    """A scenario from changed data: written, read and checked like any other. Raises ScenarioError."""
    return check(parse(to_yaml(data), of.source.path))


def text_of(scenario: Scenario) -> str:
    """A scenario's text as the library would write it."""
    return to_yaml(_data(scenario))


def _data(scenario: Scenario) -> dict[str, Any]:
    data: dict[str, Any] = deepcopy(scenario.source.data)
    return data
