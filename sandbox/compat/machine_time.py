"""When the backend that costs by the hour is up, as the unified client sees it, and what that costs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from providers.clock import Clock
from providers.pricing.row import self_hosted_cost
from sandbox.costs.periods import month_after, month_of
from sandbox.costs.uptime import Uptime, UptimeUnavailable
from sandbox.usage.base import UsageFilter, UsageUnavailable

if TYPE_CHECKING:
    from sandbox.runtime import Runtime

logger = logging.getLogger(__name__)

SERVER: Final = "vllm"
_SOON_US: Final = 1_000_000
"""Calls write the uptime down, but not more often than this."""


class MachineTime:
    """Up from `on` to `off`, and while a call that is made between them uses it. See `sandbox.costs.uptime`."""

    def __init__(self, folder: Path, *, mode: str, clock: Clock) -> None:
        self._uptime = Uptime(folder / "uptime.db", mode=mode, clock=clock)
        self._clock = clock
        self._is_on = False
        self._span: int | None = None
        self._written_us = 0
        self._warned = False

    def on(self) -> None:
        self._is_on = True
        self.write()

    def off(self) -> None:
        self.write()
        self._is_on, self._span = False, None

    def write(self) -> None:
        """It is up until now, if it is on. Trouble is told once: no call fails for it."""
        if not self._is_on:
            return
        self._written_us = self._clock.time_us()
        try:
            if self._span is None:
                self._span = self._uptime.begin(SERVER)
            else:
                self._uptime.extend(self._span)
        except UptimeUnavailable as error:
            self._trouble(error)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Around a call to it."""
        began = self._clock.time_us()
        try:
            yield
        finally:
            if self._is_on:
                if abs(self._clock.time_us() - self._written_us) >= _SOON_US:
                    self.write()
            else:
                try:
                    self._uptime.begin(SERVER, began)
                except UptimeUnavailable as error:
                    self._trouble(error)

    def hours(self, since_us: int, until_us: int) -> float:
        """How long it was up in that range. Raises UptimeUnavailable."""
        return self._uptime.seconds(SERVER, since_us, until_us) / 3600

    def cost(self, since_us: int, until_us: int, hourly: Decimal) -> Decimal:
        """USD for its uptime in that range. Raises UptimeUnavailable."""
        return self_hosted_cost(self._uptime.seconds(SERVER, since_us, until_us), hourly)

    def close(self) -> None:
        """Write, and let go of the file until it is needed again."""
        self.write()
        self._uptime.close()

    def _trouble(self, error: UptimeUnavailable) -> None:
        if not self._warned:
            logger.warning("%s: what the server costs is not known", error)
        self._warned = True


def hourly_rate(runtime: Runtime) -> Decimal | None:
    """USD an hour, for whichever model: the setting, else the catalogue's figure; None where there is none."""
    row = runtime.prices.find(SERVER, "any")
    return None if row is None else row.hourly_usd


async def month_costs(runtime: Runtime, machine: MachineTime) -> dict[str, Decimal]:
    """USD spent this calendar month (UTC) by each provider that cost anything, failed attempts included.

    The self-hosted one costs its uptime, whatever its requests were apportioned of it. The budget learns of that here.
    Raises UsageUnavailable.
    """
    if runtime.usage is None:
        raise UsageUnavailable("; ".join(runtime.notes) or "usage is not recorded")
    period = month_of(runtime.clock.time_us())
    where = UsageFilter(mode=runtime.settings.booked, since_us=period, until_us=month_after(period))
    parts = await runtime.usage.breakdown(where, "provider")
    costs = {id: total.cost_usd + total.waste_usd for id, total in parts if total.cost_usd or total.waste_usd}
    machine.write()
    rate = hourly_rate(runtime)
    if rate is not None:
        try:
            up = machine.cost(period, month_after(period), rate)
        except UptimeUnavailable as error:
            raise UsageUnavailable(str(error)) from error
        if up:
            costs[SERVER] = up
            await runtime.budgets.correct(sum(costs.values(), Decimal(0)))
    return costs
