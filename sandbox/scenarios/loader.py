"""From a file to a scenario that can run; every complaint names the file, the line, the key and what would be right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from providers.clock import Clock
from providers.errors import InputError, ScenarioError
from providers.factory import KINDS
from providers.hints import did_you_mean
from sandbox.gateway.policies import Policy
from sandbox.scenarios.faults import Schedule, TimedFault, faults_of, without_effect
from sandbox.scenarios.peers import policy_named
from sandbox.scenarios.source import Place, Source, read

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from sandbox.scenarios.schema import Document

SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A checked scenario. Two of the same content have the same `sha256`, wherever they lie and however spelled."""

    document: Document
    faults: tuple[TimedFault, ...]
    source: Source
    sha256: str

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def notes(self) -> list[str]:
        """What it says that changes nothing, each in one sentence with its line."""
        return without_effect(self.source)

    @property
    def duration_us(self) -> int:
        return round(self.document.duration * 1e6)


def load(path: Path) -> Scenario:
    """The scenario of a file. Raises ScenarioError."""
    return check(read(path))


def load_schedule(path: Path, clock: Clock, told: Callable[[str], None] | None = None) -> Schedule:
    """Only the faults of a scenario file, on a clock: for whoever brings traffic of its own. Raises ScenarioError.

    `told` hears of each thing that changes nothing, in a sentence.
    """
    source = read(path)
    _check_top(source)
    schedule = Schedule(faults_of(source), clock)
    if told is not None:
        for sentence in without_effect(source):
            told(sentence)
    return schedule


def check(source: Source) -> Scenario:
    """Raises ScenarioError for the first thing that is wrong."""
    from pydantic import ValidationError

    from sandbox.scenarios.schema import Document

    _check_top(source)
    try:
        document = Document.model_validate(source.data)
    except ValidationError as error:
        raise _told(source, _foremost(source, error.errors(include_url=False))) from None
    faults = tuple(faults_of(source))
    _check_names(source, document, faults)
    _check_times(source, document, faults)
    return Scenario(document, faults, source, _digest(document, faults))


def chain_of(document: Document, policy: Policy) -> list[str]:
    """The ids of the chain, in order."""
    return [one.key for one in document.providers] or list(policy.chain)


# --- complaints -----------------------------------------------------------------------------------------------------


def _keys() -> list[str]:
    from sandbox.scenarios.schema import Document

    return list(Document.model_fields)


def _check_top(source: Source) -> None:
    data = source.data
    if not isinstance(data, dict):
        raise source.error("a scenario is a mapping that begins with `version: 1`")
    known = _keys()
    for key in data:
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise source.error(f"is no key of a scenario; {hint}the keys are {', '.join(known)}", str(key))
    version = data.get("version")
    if version != 1 or isinstance(version, bool):
        raise source.error(f"is {_shown(version)}; it must be 1", "version")


_WANTED: Final = {
    "string_type": "text",
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "float_type": "a number", "float_parsing": "a number", "finite_number": "a number that is not infinite",
    "bool_type": "true or false", "bool_parsing": "true or false",
    "model_type": "a mapping", "model_attributes_type": "a mapping", "dict_type": "a mapping",
    "tuple_type": "a list", "list_type": "a list",
    "string_pattern_mismatch": "small letters, digits and dashes, such as bedrock-brownout",
}  # fmt: skip
"""What was wanted, by the kind of complaint."""


def _foremost(source: Source, problems: Sequence[ErrorDetails]) -> ErrorDetails:
    """The first complaint; of several about a value that may have several forms, the one that sees farthest into it."""
    first = _place(source, problems[0])
    return max(
        (one for one in problems if _place(source, one)[: len(first)] == first),
        key=lambda one: (len(_place(source, one)), one["type"] not in _WANTED),
    )


def _told(source: Source, problem: ErrorDetails) -> InputError:
    place = _place(source, problem)
    kind, message = problem["type"], problem["msg"]
    value = _value(source.data, place)
    if kind == "extra_forbidden":
        known = _siblings(place)
        hint = did_you_mean(str(place[-1]), known)
        return source.error(f"is no key here; {hint}the keys are {', '.join(known)}", *place)
    if kind == "missing":
        return ScenarioError(f"{source.where(*place[:-1])}: {place[-1]} is missing")
    if kind in ("literal_error", "enum"):
        options = [
            word.strip(" '")
            for word in str(problem.get("ctx", {}).get("expected", "")).replace(" or ", ", ").split(",")
        ]
        hint = did_you_mean(str(value), options)
        return source.error(f"is {_shown(value)}; {hint}use {', '.join(options)}", *place)
    if kind == "value_error":
        cause = str(problem.get("ctx", {}).get("error", message))
        return source.error(
            f"is {_shown(value)}: {cause}" if not isinstance(value, (dict, list)) else f"is wrong: {cause}", *place
        )
    if kind in _WANTED:
        return source.error(f"is {_shown(value)}; it must be {_WANTED[kind]}", *place)
    told = message
    for theirs in ("Input should", "String should", "Tuple should"):
        told = told.replace(theirs, "it must")
    return source.error(f"is {_shown(value)}; {told.partition(' after validation')[0]}", *place)


def _place(source: Source, problem: ErrorDetails) -> Place:
    """Where in the file: pydantic's path has steps for the members of unions too, which are in no file."""
    place: list[int | str] = []
    value: Any = source.data
    for step in problem["loc"]:
        here = (isinstance(value, dict) and step in value) or (isinstance(value, list) and isinstance(step, int))
        if here:
            place.append(step)
            value = value[step]
    if problem["type"] == "missing":
        place.append(problem["loc"][-1])
    return tuple(place)


def _siblings(place: Place) -> list[str]:
    """The keys that may stand where this one stands."""
    from sandbox.scenarios import schema

    owner: Any = schema.Document
    parts: dict[str, Any] = {
        "providers": schema.ProviderPart, "traffic": schema.TrafficPart, "policy": schema.PolicyPart,
        "budgets": schema.BudgetPart,
        "retry": schema.RetryPart, "breaker": schema.BreakerPart, "streaming": schema.StreamingPart,
        "expect": schema.Expectation, "latency": schema.Spread,
    }  # fmt: skip
    for step in place[:-1]:
        owner = parts.get(step, owner) if isinstance(step, str) else owner
    return [field.alias or name for name, field in owner.model_fields.items()]


def _value(data: Any, place: Place) -> Any:
    for step in place:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


# --- what the shapes do not tell ------------------------------------------------------------------------------------


def _check_names(source: Source, document: Document, faults: Sequence[TimedFault]) -> None:
    try:
        policy = policy_named(document.preset)
    except InputError as error:
        raise source.error(f"cannot be used: {error}", "preset") from None
    seen: set[str] = set()
    for index, one in enumerate(document.providers):
        if one.name not in KINDS:
            hint = did_you_mean(one.name, KINDS)
            raise source.error(f"is {one.name!r}; {hint}use one of {', '.join(KINDS)}", "providers", index, "name")
        if one.key in seen:
            raise source.error(f"is {one.key!r}, which is taken: give each its own id", "providers", index, "id")
        seen.add(one.key)
    _check_budgets(source, document)
    chain = chain_of(document, policy)
    for index, fault in enumerate(faults):
        _check_id(source, fault.provider, chain, "faults", index, "provider")
    for index, expectation in enumerate(document.expect):
        for name in ("breaker", "provider"):
            value = getattr(expectation, name)
            if value is not None:
                _check_id(source, value, chain, "expect", index, name)
        if expectation.metric is not None:
            from sandbox.scenarios.results import METRICS

            if expectation.metric not in METRICS:
                hint = did_you_mean(expectation.metric, METRICS)
                raise source.error(
                    f"is {expectation.metric!r}; {hint}use {', '.join(METRICS)}", "expect", index, "metric"
                )


def _check_budgets(source: Source, document: Document) -> None:
    tenants = {stream.tenant for stream in document.traffic}
    seen: set[str | None] = set()
    for index, budget in enumerate(document.budgets):
        name = budget.tenant
        if name in seen:
            whose = "of all together" if name is None else f"of {name!r}"
            raise source.error(f"is a second budget {whose}", "budgets", index)
        if name is not None and name not in tenants:
            hint = did_you_mean(name, tenants)
            raise source.error(
                f"is {name!r}, which sends no traffic; {hint}there are {', '.join(sorted(tenants))}",
                "budgets", index, "tenant",
            )  # fmt: skip
        seen.add(name)


def _check_id(source: Source, id: str, chain: Iterable[str], *place: str | int) -> None:
    known = list(chain)
    if id not in known:
        hint = did_you_mean(id, known)
        raise source.error(f"is {id!r}, which is not in the chain; {hint}it has {', '.join(known)}", *place)


def _check_times(source: Source, document: Document, faults: Sequence[TimedFault]) -> None:
    from sandbox.scenarios.schema import MAX_REQUESTS
    from sandbox.scenarios.traffic import expected

    duration = document.duration
    for index, stream in enumerate(document.traffic):
        end = duration if stream.end is None else stream.end
        if stream.begin >= duration:
            raise source.error(f"is {stream.begin:g} s, at or after the end ({duration:g} s)", "traffic", index, "from")
        if end > duration:
            raise source.error(f"is {end:g} s, after the scenario's end ({duration:g} s)", "traffic", index, "to")
        if end <= stream.begin:
            raise source.error(f"is {end:g} s, which is not after from ({stream.begin:g} s)", "traffic", index, "to")
    total = expected(document.traffic, duration)
    if total > MAX_REQUESTS:
        raise source.error(f"makes {total:,.0f} requests; the limit is {MAX_REQUESTS:,}", "traffic")
    for index, fault in enumerate(faults):
        if fault.begin_us >= duration * 1e6:
            begins = fault.begin_us / 1e6
            raise source.error(f"is {begins:g} s, at or after the end ({duration:g} s)", "faults", index, "from")
        if fault.end_us is not None and fault.end_us > duration * 1e6:
            raise source.error(
                f"is {fault.end_us / 1e6:g} s, after the scenario's end ({duration:g} s); leave it out for no end",
                "faults", index, "to",
            )  # fmt: skip


def _digest(document: Document, faults: Sequence[TimedFault]) -> str:
    import orjson

    plain = document.model_dump(mode="json", by_alias=True, exclude={"faults"})
    plain["faults"] = [
        [f.provider, f.begin_us, f.end_us, repr(f.fault), [list(ramp) for ramp in f.ramps]] for f in faults
    ]
    return sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()
