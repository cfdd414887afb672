"""`LLMRouter`: the interface of the GreenLang document, thin over one gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from providers.base import BaseLLMProvider, HealthReport
from providers.clock import SYSTEM_CLOCK, Clock, Randomness
from providers.limits import MAX_SECONDS, between
from providers.pricing import seed_prices
from providers.types import GenerationRequest, LLMResponse, StreamEvent
from sandbox.core.bus import Bus
from sandbox.gateway.breaker import Breaker, BreakerPolicy
from sandbox.gateway.checks import HealthWatch
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import preset
from sandbox.gateway.strategies import RoutingStrategy
from sandbox.health.history import HealthHistory
from sandbox.usage.base import UsageRecord


class LLMRouter:
    """Routes requests over registered providers with failover, breakers and metrics. Times are seconds, costs USD.

    Priced by the list of 2024, and today's for models it does not have; nothing is cached or written to disk.
    """

    def __init__(
        self,
        strategy: RoutingStrategy | str = RoutingStrategy.PRIORITY,
        health_check_interval: float = 30.0,
        enable_circuit_breaker: bool = True,
        circuit_breaker_threshold: int = 5,
        circuit_breaker_timeout: float = 60.0,
        max_retries: int = 3,
        *,
        clock: Clock = SYSTEM_CLOCK,
        draws: Randomness | None = None,
        bus: Bus | None = None,
    ) -> None:
        """`max_retries` is how many providers one request may ask. Raises InputError naming what is wrong."""
        between("health_check_interval", health_check_interval, 0.001, MAX_SECONDS)
        between("circuit_breaker_threshold", circuit_breaker_threshold, 1, 1_000_000, whole=True)
        between("circuit_breaker_timeout", circuit_breaker_timeout, 0, MAX_SECONDS)
        between("max_retries", max_retries, 1, 1000, whole=True)
        breaker = (
            BreakerPolicy(
                "consecutive", failure_threshold=circuit_breaker_threshold, recovery_timeout=circuit_breaker_timeout
            )
            if enable_circuit_breaker
            else BreakerPolicy("off")
        )
        policy = replace(
            preset("greenlang"), strategy=RoutingStrategy.of(str(strategy)), breaker=breaker, max_candidates=max_retries
        )
        self._counts = {"total_requests": 0, "successful_requests": 0, "failed_requests": 0, "failover_count": 0}
        self._cost = Decimal(0)
        self.gateway = Gateway(policy, clock=clock, draws=draws, bus=bus, prices=seed_prices(), record=self._count)
        self._watch = HealthWatch(self.gateway, interval=health_check_interval)

    def register_provider(
        self, name: str, provider: BaseLLMProvider, priority: int = 100, *, weight: float = 1.0
    ) -> None:
        """Add a provider; priority 1 is the highest, `weight` its share under the strategy `weighted`.

        Raises InputError when the name is taken.
        """
        self.gateway.register(name, provider, priority=priority, weight=weight)

    def circuit_breaker(self, name: str) -> Breaker:
        """The breaker of a provider, to force or to reset by hand."""
        return self.gateway.breaker(name)

    async def generate(self, request: GenerationRequest | str) -> LLMResponse:
        """The answer of the first provider that gives one. Raises ProviderError."""
        return await self.gateway.generate(request)

    def generate_stream(self, request: GenerationRequest | str) -> AsyncIterator[StreamEvent]:
        """The answer as it is written; the last event holds the response."""
        return self.gateway.stream(request)

    def get_metrics(self) -> dict[str, Any]:
        """`global` counts requests, `providers` counts attempts; success rates are 0 to 100, latencies milliseconds."""
        return {
            "global": {**self._counts, "total_cost_usd": self._cost},
            "providers": {
                one.id: {
                    "total_requests": one.metrics.attempts,
                    "successful_requests": one.metrics.successes,
                    "failed_requests": one.metrics.failures,
                    "success_rate": one.metrics.success_rate * 100.0,
                    "avg_latency_ms": one.metrics.average_latency_ms,
                    "total_tokens": one.metrics.tokens,
                    "total_cost_usd": one.metrics.cost_usd,
                    "circuit_breaker_state": one.breaker.state,
                }
                for one in self.gateway.registry
            },
        }

    async def health_check_all(self) -> dict[str, HealthReport]:
        """Ask every provider the smallest question: reachable, authenticated, fast enough. Good news re-enables one."""
        return await self._watch.check_all()

    async def start_health_monitoring(self) -> None:
        """Check all providers every `health_check_interval` seconds in the background.

        One whose key or model was refused is left out until a check, every five minutes, finds that it works again.
        """
        await self._watch.start()

    async def stop_health_monitoring(self) -> None:
        """End the background checks; safe to call twice."""
        await self._watch.stop()

    @property
    def health_history(self) -> HealthHistory:
        """Latency and success of each provider over the last hour, of checks and, while they run, of real traffic."""
        return self._watch.history

    async def close(self) -> None:
        """Stop the monitoring and close every provider; safe to call twice."""
        await self._watch.stop()
        await self.gateway.close()

    async def __aenter__(self) -> LLMRouter:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _count(self, record: UsageRecord) -> None:
        counts = self._counts
        counts["total_requests"] += 1
        counts["successful_requests" if record.success else "failed_requests"] += 1
        counts["failover_count"] += record.failovers
        self._cost += (record.estimated_cost or 0) + record.waste_cost
