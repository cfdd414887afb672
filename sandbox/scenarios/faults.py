"""The faults of a scenario on a clock: each in its window, with numbers that may run from one value to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from providers.clock import Clock
from providers.durations import seconds
from providers.errors import InputError, ScenarioError
from providers.faults import ANSWERED, KINDS, Fault, Quota, fault_from, idle_keys, takes
from providers.hints import did_you_mean
from sandbox.scenarios.source import Place, Source

DEFAULT_AFTER: Final = 0.05
"""Seconds that a provider takes to fail with an answer of its own."""
_WINDOW: Final = ("provider", "from", "to")


@dataclass(frozen=True, slots=True)
class TimedFault:
    """A fault in a window [begin, end) of microseconds; `ramps` are fields that change evenly over the window."""

    provider: str
    begin_us: int
    end_us: int | None
    """None: it never ends."""
    fault: Fault
    ramps: tuple[tuple[str, Any, Any], ...] = ()
    """Names as scenarios write them, with the values at the window's two ends."""
    written: tuple[tuple[str, Any], ...] = ()

    def at(self, now_us: int) -> Fault | None:
        """The fault as it is at this time; None outside the window."""
        if now_us < self.begin_us or (self.end_us is not None and now_us >= self.end_us):
            return None
        if not self.ramps or self.end_us is None:
            return self.fault
        share = (now_us - self.begin_us) / (self.end_us - self.begin_us)
        values = dict(self.written)
        for name, first, last in self.ramps:
            value = first + (last - first) * share
            values[name] = round(value) if isinstance(first, int) and isinstance(last, int) else value
        return fault_from(values)


class Schedule:
    """A FaultSource that follows a clock; time counts from `start`."""

    def __init__(self, faults: Sequence[TimedFault], clock: Clock) -> None:
        self.faults = tuple(faults)
        self._by_provider: dict[str, list[tuple[int, TimedFault]]] = {}
        for number, timed in enumerate(self.faults):
            self._by_provider.setdefault(timed.provider, []).append((number, timed))
        self._clock = clock
        self._began = clock.monotonic()
        self._quotas: dict[TimedFault, Quota] = {}
        self._counted: dict[tuple[str, Fault], TimedFault] = {}

    def start(self) -> None:
        """Begin again: the windows count from now, quotas are full."""
        self._began = self._clock.monotonic()
        self._quotas.clear()
        self._counted.clear()

    def unmet(self, present: Iterable[str]) -> list[str]:
        """Providers that it breaks and that are not among these."""
        return sorted({fault.provider for fault in self.faults}.difference(present))

    @property
    def now_us(self) -> int:
        return round((self._clock.monotonic() - self._began) * 1e6)

    def active(self, provider: str) -> Sequence[Fault]:
        """The provider's faults now, in the order of the file."""
        return [fault for _, fault in self.numbered(provider)]

    def numbered(self, provider: str) -> list[tuple[int, Fault]]:
        """The provider's faults now, each with its place in the file."""
        now_us = self.now_us
        found = []
        for number, timed in self._by_provider.get(provider, ()):
            if (fault := timed.at(now_us)) is not None:
                found.append((number, fault))
                if fault.kind == "quota":
                    self._counted[provider, fault] = timed
        return found

    def quota_wait(self, provider: str, fault: Fault) -> float | None:
        """Count one call against a quota: None while it lasts, else the seconds until it is full again."""
        timed = self._counted.get((provider, fault))
        if timed is None:
            return None
        quota = self._quotas.get(timed)
        if quota is None:
            quota = self._quotas[timed] = Quota(self._began + timed.begin_us / 1e6)
        return quota.take(fault, self._clock.monotonic())


def faults_of(source: Source) -> list[TimedFault]:
    """Raises ScenarioError."""
    listed = source.data.get("faults")
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise source.error("must be a list of faults", "faults")
    return [_timed(source, index, raw) for index, raw in enumerate(listed)]


def without_effect(source: Source) -> list[str]:
    """What a checked scenario says of its faults that changes nothing, each in one sentence with its line."""
    return [
        f"{source.where('faults', index, name)}: {sentence}"
        for index, raw in enumerate(source.data.get("faults") or ())
        for name, sentence in idle_keys(raw).items()
    ]


def _timed(source: Source, index: int, raw: Any) -> TimedFault:
    place = ("faults", index)
    if not isinstance(raw, dict):
        raise source.error("must be a mapping such as {provider: openai, kind: http_error, status: 503}", *place)
    provider = raw.get("provider")
    if not isinstance(provider, str) or not provider:
        raise source.error(f"is {provider!r}; it must name a provider", *place, "provider")
    begin, end = _micros(source, raw, index, "from"), _micros(source, raw, index, "to")
    begin = begin or 0
    if end is not None and end <= begin:
        raise source.error(f"is {raw['to']!r}, which is not after from ({raw.get('from', 0)!r})", *place, "to")
    kind = raw.get("kind")
    if not isinstance(kind, str):
        raise source.error(f"is {kind!r}; it must be one of {', '.join(KINDS)}", *place, "kind")
    _check_keys(source, place, raw, kind)
    written: dict[str, Any] = {"after": DEFAULT_AFTER} if kind in ANSWERED else {}
    ramps = []
    for name, value in raw.items():
        if name in _WINDOW:
            continue
        if isinstance(value, dict) and name != "kind":
            first, last = _ends(source, (*place, name), value, end)
            ramps.append((name, first, last))
            value = first
        written[name] = value
    fault = _read(source, place, written, raw, "from")
    for name, _, last in ramps:
        _read(source, place, {**written, name: last}, raw, "to")
    return TimedFault(provider, begin, end, fault, tuple(ramps), tuple(written.items()) if ramps else ())


def _check_keys(source: Source, place: Place, raw: Mapping[str, Any], kind: str) -> None:
    """Raise ScenarioError for a key that faults of this kind do not have; an unknown kind is for `_read` to refuse."""
    if kind not in KINDS:
        return
    known = (*_WINDOW, "kind", *takes()[kind])
    for name in raw:
        if name not in known:
            hint = did_you_mean(str(name), known)
            complaint = f"{kind} has no {str(name)[:40]!r}; {hint}it takes {', '.join(known)}"
            raise ScenarioError(f"{source.where(*place, str(name))}: {complaint}")


def _read(source: Source, place: Place, written: Mapping[str, Any], raw: Mapping[str, Any], end: str) -> Fault:
    """The fault, its ramps at their `end`. Raises ScenarioError naming the key."""
    try:
        return fault_from(written, where="it")
    except InputError as error:
        named = next((name for name in raw if f": {name} is " in str(error)), "kind")
        where = (*place, named, end) if isinstance(raw[named], dict) else (*place, named)
        raise ScenarioError(f"{source.where(*where)}: {str(error).removeprefix('it: ')}") from None


def _micros(source: Source, raw: Mapping[str, Any], index: int, name: str) -> int | None:
    value = raw.get(name)
    if value is None:
        return None
    try:
        amount = seconds(value)
    except ValueError:
        amount = None
    if not isinstance(amount, (int, float)) or not 0 <= amount < 1e9:
        raise source.error(f"is {value!r}; it must be a time such as 90s or 5m", "faults", index, name)
    return round(amount * 1e6)


def _ends(source: Source, place: tuple[str | int, ...], value: Mapping[str, Any], end: int | None) -> tuple[Any, Any]:
    """The two ends of a ramp, durations in seconds."""
    if set(value) != {"from", "to"}:
        raise source.error("must be a number, or {from: …, to: …} to run from one to the other", *place)
    if end is None:
        raise source.error("runs from one value to another, so the fault needs a `to`", *place)
    ends = []
    for name in ("from", "to"):
        try:
            one = seconds(value[name])
        except ValueError:
            one = None
        if not isinstance(one, (int, float)):
            raise source.error(f"is {value[name]!r}; it must be a number or a duration", *place, name)
        ends.append(one)
    return ends[0], ends[1]
