"""The vocabulary of provoked failures, shared by `--fail`, the UI, the wiretap and scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from providers.clock import SYSTEM_CLOCK, Clock
from providers.errors import InputError
from providers.hints import did_you_mean

TERMINAL: Final = (
    "http_error", "rate_limit", "quota", "auth", "content_filter", "malformed_body", "empty_body",
    "connection_reset", "timeout", "hang", "stream_cut", "stream_stall",
)  # fmt: skip
PACE: Final = ("slow_stream", "latency")
KINDS: Final = TERMINAL + PACE

# The argument that `KIND:ARG` sets, where a kind takes one.
_ARGUMENT: Final = {
    "http_error": "status",
    "rate_limit": "retry_after",
    "quota": "requests",
    "stream_cut": "after_tokens",
    "stream_stall": "after_tokens",
    "slow_stream": "tokens_per_second",
    "latency": "add",
}


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
    add: float = 0.0
    times: float = 1.0
    requests: int = 0
    per: float = 60.0
    probability: float = 1.0


def parse_fault(text: str) -> Fault:
    """A fault from `KIND[:ARG]`; a bare status such as `503` means `http_error:503`, `429` a rate limit.

    Raises InputError naming the value and the nearest kind.
    """
    kind, _, argument = text.strip().partition(":")
    kind = kind.strip().replace("-", "_")
    if kind.isdigit():
        kind, argument = ("rate_limit", argument) if kind == "429" else ("http_error", kind)
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS)
        raise InputError(f"unknown fault {text!r}: {hint}use an HTTP status such as 503, or one of {', '.join(KINDS)}")
    if not argument:
        return Fault(kind)
    name = _ARGUMENT.get(kind)
    if name is None:
        raise InputError(f"fault {kind!r} takes no argument, but {argument!r} was given")
    try:
        number = float(argument.rstrip("s") if name in ("retry_after", "add") else argument)
    except ValueError:
        raise InputError(f"fault {text!r}: {argument!r} is not a number for {name}") from None
    if number < 0 or number != number or number > 1e9:
        raise InputError(f"fault {text!r}: {name} must be a number from 0 on")
    if name == "status" and not (number.is_integer() and 400 <= number <= 599):
        raise InputError(f"fault {text!r}: an HTTP error status is between 400 and 599")
    value: float | int = int(number) if name in ("status", "after_tokens", "requests") else number
    return Fault(kind, **{name: value})  # type: ignore[arg-type]


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
        self._faults: dict[str, tuple[Fault, ...]] = {}
        self._quotas: dict[tuple[str, Fault], _Quota] = {}

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
                self._quotas[provider, fault] = _Quota(self._clock.monotonic())

    def get(self, provider: str) -> tuple[Fault, ...]:
        return self._faults.get(provider, ())

    active = get

    def clear(self) -> None:
        self._faults.clear()
        self._quotas.clear()

    def all(self) -> dict[str, tuple[Fault, ...]]:
        """Every provider that has faults, with them."""
        return dict(self._faults)

    def quota_wait(self, provider: str, fault: Fault) -> float | None:
        quota = self._quotas.get((provider, fault))
        return quota.take(fault, self._clock.monotonic()) if quota is not None else None


class _Quota:
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
