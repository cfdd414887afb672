"""The vocabulary of provoked failures, shared by `--fail`, the UI, the wiretap and scenarios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from providers.clock import SYSTEM_CLOCK, Clock
from providers.durations import seconds
from providers.errors import InputError
from providers.hints import did_you_mean

TERMINAL: Final = (
    "http_error", "rate_limit", "quota", "auth", "content_filter", "malformed_body", "empty_body",
    "connection_reset", "timeout", "hang", "stream_cut", "stream_stall", "truncated_body", "malformed_event",
    "error_event", "no_end_marker", "wrong_content_type",
)  # fmt: skip
PACE: Final = ("slow_stream", "trickle", "latency")
KINDS: Final = TERMINAL + PACE
INSTEAD: Final = frozenset(
    {
        "http_error", "rate_limit", "quota", "auth", "content_filter", "malformed_body", "empty_body",
        "connection_reset", "timeout", "hang",
    }
)  # fmt: skip
"""Kinds that answer in the provider's place; the others meet its answer."""

ANSWERED: Final = frozenset(
    {"http_error", "rate_limit", "auth", "content_filter", "quota", "malformed_body", "empty_body"}
)
"""Kinds with an answer of their own, which comes `after` some time; when the others happen follows from what they are.
"""

Reader = Callable[[Any], Any]
"""Takes what was written and gives the field's value; raises ValueError saying what would be right."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure to provoke. Times are seconds."""

    kind: str
    status: int = 503
    retry_after: float | None = None
    after: float = 0.0
    """How long the provider takes to fail."""
    after_tokens: int = 3
    duration: float | None = None
    """How long a stall lasts; None: for ever."""
    tokens_per_second: float = 5.0
    after_bytes: int | None = None
    """How much of a body comes before it ends early; None: half of it, of a stream `after_tokens`."""
    event: int = 10
    """Which event of a stream is malformed, counted from 1; its last one where it has fewer."""
    bytes_per_second: float = 200.0
    content_type: str = "text/html; charset=utf-8"
    add: float = 0.0
    times: float = 1.0
    requests: int = 0
    per: float = 60.0
    probability: float = 1.0


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError("a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1e9:
        raise ValueError("a number from 0 on")
    return value


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError("a whole number")
    return int(number)


def _from_one(value: Any) -> int:
    if not _whole(value):
        raise ValueError("a whole number from 1 on")
    return _whole(value)


def _rate(value: Any) -> float:
    if not _number(value):
        raise ValueError("a number above 0")
    return _number(value)


def _duration(value: Any) -> float:
    try:
        return _number(seconds(value))
    except ValueError:
        raise ValueError("a duration such as 0.5, 50ms or 2s") from None


def _status(value: Any) -> int:
    if not 400 <= _number(value) <= 599:
        raise ValueError("an HTTP error status, which is between 400 and 599")
    return _whole(value)


def _share(value: Any) -> float:
    if not _number(value) <= 1:
        raise ValueError("a probability between 0 and 1")
    return _number(value)


def _header(value: Any) -> str:
    if not (isinstance(value, str) and value.isascii() and value.isprintable() and "/" in value):
        raise ValueError("a content type such as text/html")
    return value


# What each kind takes: the name as it is written, the field of Fault, and its reader. `KIND:ARG` sets the first one.
_TOKENS: Final = ("after_tokens", "after_tokens", _whole)
_TAKES: Final[dict[str, tuple[tuple[str, str, Reader], ...]]] = {
    "http_error": (("status", "status", _status), ("retry_after", "retry_after", _duration)),
    "rate_limit": (("retry_after", "retry_after", _duration),),
    "quota": (("requests", "requests", _whole), ("per", "per", _duration)),
    "stream_cut": (_TOKENS,),
    "stream_stall": (_TOKENS, ("for", "duration", _duration)),
    "truncated_body": (("after_bytes", "after_bytes", _whole), _TOKENS),
    "malformed_event": (("event", "event", _from_one),),
    "error_event": (("status", "status", _status), _TOKENS),
    "wrong_content_type": (("content_type", "content_type", _header),),
    "slow_stream": (("tokens_per_second", "tokens_per_second", _rate),),
    "trickle": (("bytes_per_second", "bytes_per_second", _rate),),
    "latency": (("add", "add", _duration), ("times", "times", _number)),
}
_ALWAYS: Final = (("probability", "probability", _share), ("after", "after", _duration))


def takes() -> dict[str, tuple[str, ...]]:
    """What each kind takes in its object form, by the names that are written."""
    return {kind: tuple(name for name, *_ in (*_TAKES.get(kind, ()), *_ALWAYS)) for kind in KINDS}


def parse_fault(text: str) -> Fault:
    """A fault from `KIND[:ARG]`; a bare status such as `503` means `http_error:503`, `429` a rate limit.

    What follows a bare status is its Retry-After. Raises InputError naming the value and the nearest kind.
    """
    kind, _, argument = text.strip().partition(":")
    kind = kind.strip().replace("-", "_")
    if kind.isdigit() and kind != "429":
        status = _read(_status, kind, f"fault {text!r}", "status")
        wait = _read(_duration, argument.strip(), f"fault {text!r}", "retry_after") if argument else None
        return Fault("http_error", status=status, retry_after=wait)
    if kind == "429":
        kind = "rate_limit"
    _check_kind(kind, text)
    if not argument:
        return Fault(kind)
    if kind not in _TAKES:
        raise InputError(f"fault {kind!r} takes no argument, but {argument!r} was given")
    name, field, read = _TAKES[kind][0]
    return Fault(kind, **{field: _read(read, argument.strip(), f"fault {text!r}", name)})


def fault_from(raw: object, where: str = "the fault") -> Fault:
    """A fault from its object form, as scenarios and the wiretap take it, or from text as `parse_fault` does.

    The object's keys are `kind`, what the kind takes (`status`, `retry_after`, `for`, …), `after` and `probability`.
    Raises InputError naming `where`, the key, its value and what would be right.
    """
    if isinstance(raw, str):
        return parse_fault(raw)
    if not isinstance(raw, Mapping) or not isinstance(raw.get("kind"), str):
        raise InputError(f"{where} is {str(raw)[:60]!r}; it must be text such as '503' or an object with a kind")
    kind = raw["kind"]
    _check_kind(kind, kind)
    takes = {name: (field, read) for name, field, read in (*_TAKES.get(kind, ()), *_ALWAYS)}
    fields = {}
    for name, value in raw.items():
        if name == "kind":
            continue
        if name not in takes:
            hint = did_you_mean(str(name), takes)
            raise InputError(f"{where}: {kind} has no {str(name)[:40]!r}; {hint}it takes {', '.join(takes)}")
        field, read = takes[name]
        fields[field] = _read(read, value, where, name)
    return Fault(kind, **fields)


def idle_keys(raw: object) -> dict[str, str]:
    """The keys of a fault's object form that change nothing for its kind, each with a sentence that says so.

    They are no mistake: one tries several kinds on one window by changing a word.
    """
    if not isinstance(raw, Mapping) or "after" not in raw:
        return {}
    kind = raw.get("kind")
    if kind not in KINDS or kind in ANSWERED:
        return {}
    when = next((name for name, *_ in _TAKES.get(kind, ()) if name in ("after_tokens", "after_bytes", "event")), None)
    hint = "" if when is None else f"; {when} says when it comes"
    return {"after": f"it changes nothing for {kind}, only for {', '.join(sorted(ANSWERED))}{hint}"}


def _check_kind(kind: str, text: str) -> None:
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS)
        raise InputError(
            f"unknown fault {text[:60]!r}: {hint}use an HTTP status such as 503, or one of {', '.join(KINDS)}"
        )


def _read(read: Reader, value: Any, where: str, name: str) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise InputError(f"{where}: {name} is {str(value)[:60]!r}; it must be {error}") from None


class FaultSource(Protocol):
    """Where a faulty transport asks what to provoke."""

    def active(self, provider: str) -> Sequence[Fault]:
        """The faults on a registered provider now, in the order they were listed."""
        ...

    def quota_wait(self, provider: str, fault: Fault) -> float | None:
        """Count one call against a quota fault: None while it lasts, else the seconds until it is full again."""
        ...


class FaultBoard:
    """The faults that a person or a command switches on and off while the program runs, by registered provider."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._followed: FaultSource | None = None
        self._faults: dict[str, tuple[Fault, ...]] = {}
        self._quotas: dict[tuple[str, Fault], Quota] = {}

    def set(self, provider: str, faults: Fault | Sequence[Fault] | None) -> None:
        """Replace the provider's faults; None or an empty list heals it."""
        for key in [key for key in self._quotas if key[0] == provider]:
            del self._quotas[key]
        chosen = (faults,) if isinstance(faults, Fault) else tuple(faults or ())
        if not chosen:
            self._faults.pop(provider, None)
            return
        self._faults[provider] = chosen
        for fault in chosen:
            if fault.kind == "quota":
                self._quotas[provider, fault] = Quota(self._clock.monotonic())

    def get(self, provider: str) -> tuple[Fault, ...]:
        """Those that were set."""
        return self._faults.get(provider, ())

    def follow(self, source: FaultSource | None) -> None:
        """Provoke what another source says too, such as a scenario; what was set by hand comes before it."""
        self._followed = source

    def active(self, provider: str) -> Sequence[Fault]:
        own = self._faults.get(provider, ())
        return own if self._followed is None else (*own, *self._followed.active(provider))

    def clear(self) -> None:
        self._faults.clear()
        self._quotas.clear()

    def all(self) -> dict[str, tuple[Fault, ...]]:
        """Every provider that has faults, with them."""
        return dict(self._faults)

    def quota_wait(self, provider: str, fault: Fault) -> float | None:
        quota = self._quotas.get((provider, fault))
        if quota is not None:
            return quota.take(fault, self._clock.monotonic())
        return None if self._followed is None else self._followed.quota_wait(provider, fault)


class Quota:
    """Calls counted in fixed windows from the moment the fault began."""

    __slots__ = ("_began", "_used", "_window")

    def __init__(self, began: float) -> None:
        self._began = began
        self._window = 0
        self._used = 0

    def take(self, fault: Fault, now: float) -> float | None:
        per = fault.per or 60.0
        window = int((now - self._began) // per)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used < fault.requests:
            self._used += 1
            return None
        return self._began + (window + 1) * per - now
