"""What an outage is like for many gateways at once, each with breakers of its own or all of them with the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from sandbox.core.bus import Bus
from sandbox.core.events import AttemptStarted, BreakerChanged, BreakerOpened, Event
from sandbox.scenarios.faults import TimedFault

Breakers = Literal["local", "shared"]
MAX_REPLICAS: Final = 100
HERD_US: Final = 1_000_000
"""How long a herd is counted, in microseconds."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """How the first provider to fail was treated, from its first fault to the end of those that touch it."""

    replicas: int
    breakers: Breakers
    provider: str | None
    """None: there was no fault."""
    turned_away_s: float | None
    """Seconds from the fault until the last replica's breaker had opened; None: not all did."""
    wasted_attempts: int
    """Attempts at it after the first breaker had opened, while the fault lasted."""
    herd: int | None
    """Attempts in the first second in which it was asked again after the fault; None: it never was."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "replicas": self.replicas,
            "breakers": self.breakers,
            "provider": self.provider,
            "turned_away_s": self.turned_away_s,
            "wasted_attempts": self.wasted_attempts,
            "herd": self.herd,
        }


class FleetTally:
    """Listens to every replica and passes on what it hears, with the replica's number where that matters."""

    def __init__(self, replicas: int, breakers: Breakers, faults: Sequence[TimedFault], start_us: int) -> None:
        self.replicas = replicas
        self.breakers: Breakers = breakers
        self._outage = outage_of(faults)
        self._start_us = start_us
        self._opened: dict[int, int] = {}
        """When each replica's breaker first opened."""
        self._wasted = 0
        self._herd = 0
        self._back_us: int | None = None
        """When the provider was first asked after the fault."""

    def bus(self, replica: int, main: Bus) -> Bus:
        """The bus of one replica; what it carries comes out of the main one."""
        own = Bus()

        def pass_on(event: Event) -> None:
            self._see(replica, event)
            if isinstance(event, BreakerChanged) and self.breakers == "local" and self.replicas > 1:
                event = replace(event, reason=f"replica {replica + 1}: {event.reason}")
            main.publish(event)

        own.subscribe(pass_on)
        return own

    def _see(self, replica: int, event: Event) -> None:
        outage = self._outage
        if outage is None or not isinstance(event, (AttemptStarted, BreakerOpened)) or event.provider != outage[0]:
            return
        at_us, (_, begin_us, end_us) = event.t_us - self._start_us, outage
        if isinstance(event, BreakerOpened):
            if at_us >= begin_us and (end_us is None or at_us < end_us):
                self._opened.setdefault(replica, at_us)
        elif end_us is None or at_us < end_us:
            self._wasted += bool(self._opened)
        else:
            if self._back_us is None:
                self._back_us = at_us
            self._herd += at_us < self._back_us + HERD_US

    def result(self) -> Fleet:
        opened = self._opened
        everybody = 1 if self.breakers == "shared" else self.replicas
        turned_away = None
        if self._outage is not None and len(opened) == everybody:
            turned_away = (max(opened.values()) - self._outage[1]) / 1e6
        return Fleet(
            self.replicas,
            self.breakers,
            None if self._outage is None else self._outage[0],
            turned_away,
            self._wasted,
            self._herd if self._back_us is not None else None,
        )


def outage_of(faults: Sequence[TimedFault]) -> tuple[str, int, int | None] | None:
    """The provider that fails first, and the time of its first fault with those that touch it; the end may be never."""
    if not faults:
        return None
    first = min(faults, key=lambda timed: timed.begin_us)
    end_us = first.end_us
    for timed in sorted(faults, key=lambda timed: timed.begin_us):
        if timed.provider == first.provider and end_us is not None and timed.begin_us <= end_us:
            end_us = None if timed.end_us is None else max(end_us, timed.end_us)
    return first.provider, first.begin_us, end_us
