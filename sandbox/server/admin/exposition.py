"""`GET /metrics`: the meters, and the state of providers and budgets at this moment, in Prometheus' text format.

The registry is this server's own: of the process it tells what every exporter tells (memory, processor time, open
files, start time), and of the machine and its Python nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Final, get_args

from sandbox import __version__
from sandbox.costs.base import BudgetUnavailable
from sandbox.gateway.breaker import State
from sandbox.server.admin.meters import Durations, Meters

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

    from sandbox.gateway.gateway import Gateway
    from sandbox.runtime import Runtime
    from sandbox.server.gateway.service import Service

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_Gauge = tuple[str, str, tuple[str, ...], list[tuple[tuple[str, ...], float]]]
"""Name, help, labels, and the values under them."""
STATES: Final[tuple[str, ...]] = get_args(State)


class Exposition:
    """Belongs to the server's event loop."""

    def __init__(self, meters: Meters, runtime: Runtime, service: Service) -> None:
        self._meters = meters
        self._runtime = runtime
        self._service = service
        self._registry: CollectorRegistry | None = None
        self._budgets: list[_Gauge] = []

    async def text(self) -> bytes:
        """The whole answer."""
        if self._registry is None:
            # Loading the library takes a tenth of a second, in which streams must go on.
            self._registry = await asyncio.to_thread(_new_registry)
            self._registry.register(self)
        self._budgets = await _budgets(self._runtime.gateway)
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the library."""
        from prometheus_client.core import GaugeMetricFamily

        yield from _counted(self._meters)
        for name, told, labels, samples in (*self._state(), *self._budgets):
            gauge = GaugeMetricFamily(name, told, labels=labels)
            for values, value in samples:
                gauge.add_metric(values, value)
            yield gauge

    def _state(self) -> list[_Gauge]:
        gateway = self._runtime.gateway
        health = gateway.health()
        return [
            ("sandbox_build_info", "The program.", ("version", "mode"), [((__version__, gateway.mode), 1.0)]),
            ("sandbox_requests_in_flight", "Requests being answered.", (), [((), float(self._service.under_way))]),
            (
                "sandbox_breaker_state",
                "1 for the state that a provider's circuit breaker is in.",
                ("provider", "state"),
                [((one.id, state), float(one.breaker.state == state)) for one in health for state in STATES],
            ),
            (
                "sandbox_provider_disabled",
                "1 where a provider's credential or model was refused, until it is tried again.",
                ("provider",),
                [((one.id,), float(one.disabled is not None)) for one in health],
            ),
        ]


def _new_registry() -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, ProcessCollector

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    return registry


async def _budgets(gateway: Gateway) -> list[_Gauge]:
    """The budget over all tenants; those of single ones would name them."""
    if gateway.budgets is None:
        return []
    try:
        status = next((one for one in await gateway.budgets.statuses() if one.tenant is None), None)
    except BudgetUnavailable:
        return []
    if status is None:
        return []
    return [
        ("sandbox_budget_limit_usd", "What may be spent this month.", (), [((), float(status.limit_usd))]),
        ("sandbox_budget_used_usd", "What has been spent of it.", (), [((), float(status.used_usd))]),
    ]


def _counted(meters: Meters) -> Iterator[Metric]:
    served = ("provider", "model")
    yield _counter("sandbox_requests", "Requests that have ended.", ("outcome",), _alone(meters.requests.items()))
    yield _counter("sandbox_request_errors", "Failed requests.", ("error",), _alone(meters.errors.items()))
    yield _counter("sandbox_attempts", "Attempts on providers.", ("provider", "outcome"), meters.attempts.items())
    yield _counter("sandbox_retries", "Retries on a provider.", ("provider",), _alone(meters.retries.items()))
    yield _counter("sandbox_failovers", "Moves to another provider.", ("from", "to"), meters.failovers.items())
    yield _counter("sandbox_tokens", "Tokens of answers.", (*served, "type"), meters.tokens.items())
    yield _counter("sandbox_cost_usd", "Cost of answers, USD.", served, meters.cost_usd.items())
    yield _counter("sandbox_unpriced", "Answers whose price is unknown.", served, meters.unpriced.items())
    yield _counter("sandbox_waste_usd", "Paid for what was not used, USD.", (), [((), meters.waste_usd)])
    yield _counter("sandbox_saved_usd", "Saved by the cache, USD.", (), [((), meters.saved_usd)])
    yield _counter("sandbox_refusals", "Requests refused at the gate.", ("reason",), _alone(meters.refusals.items()))
    yield _histogram("sandbox_request_duration_seconds", "How long requests took.", "outcome", meters.duration)
    yield _histogram(
        "sandbox_attempt_duration_seconds",
        "How long successful attempts took; of streams, to the first text.",
        "provider",
        meters.attempt_duration,
    )


def _alone(items: Iterable[tuple[str, int]]) -> list[tuple[tuple[str, ...], int]]:
    return [((label,), count) for label, count in items]


def _counter(
    name: str, told: str, labels: tuple[str, ...], items: Iterable[tuple[tuple[str, ...], int | Decimal]]
) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    counter = CounterMetricFamily(name, told, labels=labels)
    for values, amount in items:
        counter.add_metric(values, float(amount))
    return counter


def _histogram(name: str, told: str, label: str, kept: dict[str, Durations]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    histogram = HistogramMetricFamily(name, told, labels=(label,))
    for value, durations in kept.items():
        histogram.add_metric([value], durations.cumulative(), durations.total)
    return histogram
