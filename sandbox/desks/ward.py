"""What the Health room has the engine do with providers, on the engine's thread, and what it is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

from sandbox.comparison.contestants import choose
from sandbox.comparison.estimate import Estimate, estimates, needs_consent, total, unpriced
from sandbox.comparison.question import Question
from sandbox.core.events import AttemptFailed, HealthChecked
from sandbox.core.offline import OFFLINE_MODES
from sandbox.desks.base import RoomReport, Tell
from sandbox.desks.lights import Light, light_of
from sandbox.desks.watchman import Change, Watchman
from sandbox.desks.wire import AnyEvent
from sandbox.gateway.breaker import BreakerPolicy
from sandbox.gateway.checks import CHECK_INTERVAL
from sandbox.gateway.deployments import Deployment, ProviderStatus
from sandbox.health.history import Slice, Tally

if TYPE_CHECKING:
    from sandbox.gateway.gateway import Gateway
    from sandbox.runtime import Runtime

SPANS: Final = {"5 min": 300.0, "15 min": 900.0, "1 h": 3600.0}
"""How far back the curves go, seconds; the last is as far as is known."""


@dataclass(frozen=True, slots=True)
class ProviderView:
    """One provider, of one moment."""

    status: ProviderStatus
    light: Light
    retest_us: int | None
    """When it is asked again, for one that is out of rotation."""
    policy: BreakerPolicy | None
    """None: its breaker goes by rules of its own."""
    curve: tuple[Tally, ...]
    """All that it was asked in the time looked at, oldest first."""
    window: Slice
    """The sums of it."""
    check: HealthChecked | None
    failure: AttemptFailed | None
    """The last ones."""
    changes: tuple[Annotated[Change, AnyEvent()], ...]
    """What became of its breaker and its place in the rotation, oldest first."""

    @property
    def id(self) -> str:
        return self.status.id

    def later(self, by_us: int) -> ProviderView:
        """As a clock tells it that is so much ahead: what is to come is told by countdowns."""
        light, retest = self.light, self.retest_us
        until = None if light.until_us is None else light.until_us + by_us
        return replace(self, light=replace(light, until_us=until), retest_us=None if retest is None else retest + by_us)


@dataclass(frozen=True, slots=True)
class Providers(RoomReport):
    """Every provider, and the monitor."""

    mode: str
    at_us: int
    simulated: bool
    preset: str
    providers: tuple[ProviderView, ...]
    watched: bool
    """Whether there are checks in the background."""
    interval_s: float
    round_us: int | None
    """When the last round ended."""

    def as_of(self, now_us: int) -> Providers:
        """The same for a clock that shows this while the gateway's shows `at_us`."""
        by_us = now_us - self.at_us
        round_us = None if self.round_us is None else self.round_us + by_us
        return replace(
            self, at_us=now_us, round_us=round_us, providers=tuple(one.later(by_us) for one in self.providers)
        )


@dataclass(frozen=True, slots=True)
class Foreseen(RoomReport):
    """What was asked for may cost real money, and waits for an agreement."""

    ids: tuple[str, ...]
    """Whom to ask; empty: everybody, again and again."""
    enable: bool
    estimates: tuple[Estimate, ...]
    total_usd: Decimal
    """Of one check of each, as far as it is known."""
    unknown: int
    """How many may cost anything."""
    hourly_usd: Decimal | None
    """Of the checks in the background."""
    recorded: bool
    """Whether each is kept as a recording too."""


@dataclass(frozen=True, slots=True)
class Questioned:
    """Whether it was done; if not, what it may cost, which somebody has to agree to first."""

    success: bool
    foreseen: Foreseen | None


async def look(watchman: Watchman, span: float, columns: int, runtime: Runtime, tell: Tell) -> None:
    """Every provider as it is now, with so many seconds before."""
    gateway, now_us = runtime.gateway, runtime.clock.time_us()
    providers = tuple(_view(watchman, status, gateway, span, columns, now_us) for status in gateway.health())
    tell(
        Providers(
            runtime.mode,
            now_us,
            runtime.mode in OFFLINE_MODES,
            gateway.policy.name,
            providers,
            watchman.running,
            CHECK_INTERVAL,
            watchman.round_us,
        )
    )


def _view(
    watchman: Watchman, status: ProviderStatus, gateway: Gateway, span: float, columns: int, now_us: int
) -> ProviderView:
    deployment = gateway.registry.get(status.id)
    policy, id = gateway.policy, status.id
    return ProviderView(
        status,
        light_of(deployment, now_us),
        _retest(deployment, now_us),
        None if policy.breaker_model is not None else policy.breaker_for(id),
        tuple(one.both for one in watchman.history.columns(id, span, columns)),
        watchman.history.window(id, span),
        watchman.checks.get(id),
        watchman.failures.get(id),
        tuple(watchman.changes.get(id, ())),
    )


def _retest(deployment: Deployment, now_us: int) -> int | None:
    out = deployment.out_for()
    return None if out is None else now_us + round(out * 1e6)


async def check(
    watchman: Watchman, ids: Sequence[str], enable: bool, agreed: bool, runtime: Runtime, tell: Tell
) -> None:
    """Ask these providers how they are, put into rotation again before where that is wanted.

    Unless it was `agreed` to, what may cost money is only foreseen. What comes of it is on the bus.
    """
    if not agreed and foresee(runtime, ids, enable, None, tell):
        return
    watch = watchman.watch
    for id in ids:
        if enable:
            runtime.gateway.enable(id)
    await asyncio.gather(*(watch.check(id) for id in ids))


async def begin_rounds(watchman: Watchman, agreed: bool, runtime: Runtime, tell: Tell) -> None:
    """Ask everybody again and again from now on. Unless it was `agreed` to, what may cost money is only foreseen."""
    watch = watchman.watch
    everybody = [deployment.id for deployment in runtime.gateway.registry]
    if agreed or not foresee(runtime, everybody, False, watch.interval, tell):
        await watch.start()


async def end_rounds(watchman: Watchman, runtime: Runtime, tell: Tell) -> None:
    await watchman.watch.stop()


def foresee(runtime: Runtime, ids: Sequence[str], enable: bool, interval: float | None, tell: Tell) -> bool:
    """Whether asking them, once or every `interval` seconds, may cost money; then that is told."""
    gateway = runtime.gateway
    found = estimates(gateway, Question(("ping",), max_tokens=1), choose(gateway, ids))
    if not needs_consent(gateway.mode, found, Decimal(0)):
        return False
    once = total(found)
    hourly = None if interval is None else once * Decimal(3600) / Decimal(str(interval))
    tell(
        Foreseen(
            () if interval is not None else tuple(ids),
            enable,
            tuple(found),
            once,
            len(unpriced(found)),
            hourly,
            runtime.mode == "record",
        )
    )
    return True
