"""Keeps an eye on the providers for the screen: what became of each over time, and the background checks.

It stays while gateways and modes change, and belongs to the engine's loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from providers.clock import Clock
from providers.errors import InputError
from sandbox.core.events import (
    EVENT_TYPES,
    AttemptFailed,
    AttemptSucceeded,
    BreakerChanged,
    Event,
    HealthChecked,
    ProviderDisabled,
    ProviderEnabled,
)
from sandbox.health.history import HealthHistory

if TYPE_CHECKING:
    from sandbox.gateway.checks import HealthWatch
    from sandbox.gateway.gateway import Gateway
    from sandbox.runtime import Runtime

Change = BreakerChanged | ProviderDisabled | ProviderEnabled
_HEARD: Final = frozenset(
    kind
    for kind in EVENT_TYPES.values()
    if issubclass(
        kind, (AttemptFailed, AttemptSucceeded, BreakerChanged, HealthChecked, ProviderDisabled, ProviderEnabled)
    )
)
"""All others are passed over in one look-up: a server has many."""
KEPT_CHANGES: Final = 50
"""Of each provider; the oldest go first."""


class Watchman:
    """`follow` whenever the gateway is another one, `leave` before it is closed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._mode = ""
        self.follows: Gateway | None = None
        """The gateway that it looks after."""
        self._watch: HealthWatch | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._forget()

    def _forget(self) -> None:
        self.history = HealthHistory(self._clock)
        self.checks: dict[str, HealthChecked] = {}
        self.failures: dict[str, AttemptFailed] = {}
        """Of each provider the last one."""
        self.changes: dict[str, deque[Change]] = {}
        self.round_us: int | None = None
        """When the last round of checks ended."""

    def __call__(self, event: Event) -> None:
        """An observer of the bus."""
        if type(event) not in _HEARD:
            return
        self.history(event)
        if isinstance(event, HealthChecked):
            self.checks[event.provider] = event
        elif isinstance(event, AttemptFailed):
            self.failures[event.provider] = event
        elif isinstance(event, Change):
            self.changes.setdefault(event.provider, deque(maxlen=KEPT_CHANGES)).append(event)

    @property
    def watch(self) -> HealthWatch:
        """What asks the providers. Raises InputError between two gateways."""
        if self._watch is None:
            raise InputError("the gateway is being opened anew: try again in a moment")
        return self._watch

    @property
    def running(self) -> bool:
        """Whether there are rounds."""
        return self._watch is not None and self._watch.running

    async def follow(self, runtime: Runtime) -> None:
        """Look after this runtime's gateway from now on.

        Rounds go on, unless the mode is another one: what was agreed to for one says nothing of the other's costs, and
        figures of two modes never mix.
        """
        went_on = self.running and runtime.mode == self._mode
        await self.leave()
        if runtime.mode != self._mode:
            self._forget()
        self._mode, self.follows = runtime.mode, runtime.gateway
        self._unsubscribe = runtime.bus.subscribe(self, texts=False)
        self._watch = _rounds(runtime, self)
        if went_on:
            await self._watch.start()

    async def leave(self) -> None:
        """Ask nobody any more; safe to call twice."""
        if self._watch is not None:
            await self._watch.stop()
            self._watch = None
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None


def _rounds(runtime: Runtime, keeper: Watchman) -> HealthWatch:
    """Its module is slow to load, which the start is not to wait for."""
    from sandbox.gateway.checks import HealthWatch

    class Rounds(HealthWatch):
        async def round(self) -> None:
            # Else it would be this check that is kept as the next exchange, and not what the user is about to ask.
            if runtime.recorder.armed:
                return
            await super().round()
            keeper.round_us = runtime.clock.time_us()

    return Rounds(runtime.gateway, history=keeper.history)
