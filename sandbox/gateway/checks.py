"""Looks after a gateway's providers: asks each how it is, puts out what has no valid key, and puts it back again.

A check asks the provider directly: it is no request, passes no breaker and is on no books. A breaker is opened and
closed by real traffic alone; a check decides only about a refused key or model, which time by itself does not mend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from providers.base import HealthReport
from sandbox.core.events import HealthChecked, ProviderDisabled
from sandbox.gateway.deployments import Deployment
from sandbox.gateway.gateway import Gateway
from sandbox.health.history import HealthHistory
from sandbox.health.monitor import HealthMonitor

CHECK_INTERVAL = 30.0
"""Seconds between two rounds."""


class HealthWatch:
    """`start` begins the rounds; `history` holds all checks and, while there are rounds, the real traffic too."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        interval: float = CHECK_INTERVAL,
        timeout: float = 10.0,
        history: HealthHistory | None = None,
    ) -> None:
        """`timeout`: seconds that one check may take. `history`: one that listens to the gateway's bus already."""
        self._gateway = gateway
        self.interval = interval
        self._timeout = timeout
        self._listens = history is not None
        self.history = history or HealthHistory(gateway.clock)
        self.reports: dict[str, HealthReport] = {}
        """Of each provider the last one."""
        self._unsubscribe: Callable[[], None] | None = None
        self._monitor = HealthMonitor(self.round, interval=interval, clock=gateway.clock)

    @property
    def running(self) -> bool:
        return self._monitor.running

    async def start(self) -> None:
        """Check in the background, first at once; a second start changes nothing."""
        if self._unsubscribe is None and not self._listens:
            self._unsubscribe = self._gateway.bus.subscribe(self.history)
        await self._monitor.start()

    async def stop(self) -> None:
        """End, and wait for the end; safe to call twice."""
        await self._monitor.stop()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    async def check_all(self) -> dict[str, HealthReport]:
        """Ask every provider now, those that are out of rotation too."""
        return await self._ask(self._gateway.registry)

    async def check(self, id: str) -> HealthReport:
        """Ask one provider now. Raises InputError for an unknown one."""
        return (await self._ask([self._gateway.registry.get(id)]))[id]

    async def round(self) -> None:
        """What happens at each interval: what is out of rotation is left alone until shortly before its time is up.

        So it is a check that tries it again, and not somebody's request.
        """
        await self._ask(one for one in self._gateway.registry if self._is_due(one))

    def _is_due(self, deployment: Deployment) -> bool:
        out = deployment.out_for()
        return out is None or out <= self.interval

    async def _ask(self, deployments: Iterable[Deployment]) -> dict[str, HealthReport]:
        asked = list(deployments)
        reports = await asyncio.gather(*(one.provider.health_check(timeout=self._timeout) for one in asked))
        return {one.id: self._heard(one, report) for one, report in zip(asked, reports, strict=True)}

    def _heard(self, deployment: Deployment, report: HealthReport) -> HealthReport:
        gateway, id = self._gateway, deployment.id
        self.reports[id] = report
        event = HealthChecked(
            gateway.clock.time_us(),
            "",
            id,
            report.is_healthy,
            report.latency_ms,
            report.last_error,
            report.reachable,
            report.authenticated,
            report.fast_enough,
        )
        if self._unsubscribe is None and not self._listens:
            self.history(event)
        if gateway.bus.active:
            gateway.bus.publish(event)
        if report.authenticated and report.error is None:
            gateway.enable(id, "a health check was answered")
        elif report.error is not None and gateway.policy.disables:
            self._put_out(deployment, report)
        return report

    def _put_out(self, deployment: Deployment, report: HealthReport) -> None:
        error = report.error
        if error is None or error.recovery.disables is None:
            return
        provider, gateway = deployment.provider, self._gateway
        was_out = deployment.out_for() is not None
        of_model = error.recovery.disables == "model"
        deployment.disable(error, provider.model_id if of_model else None)
        if not was_out and gateway.bus.active:
            model = provider.model if of_model else None
            gateway.bus.publish(ProviderDisabled(gateway.clock.time_us(), "", deployment.id, model, error.message))
