"""What one provider has done since the program started: the numbers behind health, routing by latency and the UI."""

from __future__ import annotations

from decimal import Decimal

SMOOTHING = 0.2
"""Weight of the newest latency in the moving average."""


class ProviderMetrics:
    """Counts attempts, not requests; latencies are seconds of successful attempts (time to first text for streams)."""

    __slots__ = ("cost_usd", "failures", "last_error", "latency_sum", "rank", "successes", "tokens")

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.rank = -1.0
        """Moving average of the latencies of successes; -1: none yet, which sorts before any."""
        self.latency_sum = 0.0
        self.tokens = 0
        self.cost_usd = Decimal(0)
        self.last_error: str | None = None

    @property
    def attempts(self) -> int:
        return self.successes + self.failures

    @property
    def success_rate(self) -> float:
        """From 0 to 1; 1 before the first attempt."""
        return self.successes / self.attempts if self.attempts else 1.0

    @property
    def average_latency_ms(self) -> float:
        return self.latency_sum / self.successes * 1000 if self.successes else 0.0

    def succeeded(self, seconds: float) -> None:
        self.successes += 1
        self.latency_sum += seconds
        self.rank = seconds if self.rank < 0 else self.rank + SMOOTHING * (seconds - self.rank)

    def failed(self, error: str) -> None:
        self.failures += 1
        self.last_error = error

    def spent(self, tokens: int, cost: Decimal | None) -> None:
        self.tokens += tokens
        if cost:
            self.cost_usd += cost
