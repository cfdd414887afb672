"""The registered providers: what the gateway knows about each, and whether it may be asked now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from providers.base import BaseLLMProvider
from providers.clock import Clock
from providers.errors import InputError, ProviderError
from providers.hints import did_you_mean
from sandbox.gateway.breaker import Breaker, Snapshot
from sandbox.gateway.limits import RateLimits
from sandbox.health.metrics import ProviderMetrics

RETEST_AFTER = 300.0
"""Seconds before something disabled by an error is asked once more."""
MAX_DISABLED = 1_000
"""Models of one provider that can be out at a time; beyond it the one that has been out longest is forgotten."""


@dataclass(slots=True)
class _Disabled:
    error: ProviderError
    until: float


@dataclass(slots=True, eq=False)
class Deployment:
    """One registered provider with its breaker, limits and metrics. Its id is unique in a gateway."""

    id: str
    provider: BaseLLMProvider
    breaker: Breaker
    clock: Clock
    priority: int = 100
    """1 is asked first."""
    order: int = 0
    weight: float = 1.0
    limits: RateLimits | None = None
    metrics: ProviderMetrics = field(default_factory=ProviderMetrics)
    _disabled: dict[str | None, _Disabled] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.provider.kind

    @property
    def model(self) -> str:
        """The configured model, which answers when nothing better fits."""
        return self.provider.model

    def disable(self, error: ProviderError, model_id: str | None) -> None:
        """Take the model (or with None the whole credential) out of rotation, to be re-tested after a while."""
        now = self.clock.monotonic()
        # Callers name the models: without an end to it, names that are never asked again would pile up.
        kept = {key: entry for key, entry in self._disabled.items() if now < entry.until and key != model_id}
        if len(kept) >= MAX_DISABLED:
            del kept[next(key for key in kept if key is not None)]
        kept[model_id] = _Disabled(error, now + RETEST_AFTER)
        self._disabled = kept

    def enable(self) -> bool:
        """Forget every disabling; returns whether there was one."""
        was = bool(self._disabled)
        self._disabled.clear()
        return was

    def disabled(self, model_id: str) -> ProviderError | None:
        """The error that took this model out, while it is out."""
        if not self._disabled:
            return None
        for key in (None, model_id):
            entry = self._disabled.get(key)
            if entry is not None:
                if self.clock.monotonic() < entry.until:
                    return entry.error
                # Due for a re-test: the next request is the test, and a failure disables it anew.
                del self._disabled[key]
        return None

    def out_for(self) -> float | None:
        """Seconds until its credential, or the model it was configured with, is asked again; None: neither is out."""
        now = self.clock.monotonic()
        entries = [self._disabled[key] for key in (None, self.provider.model_id) if key in self._disabled]
        return max((entry.until - now for entry in entries if now < entry.until), default=None)

    def available(self, model_id: str, tokens: int = 0) -> bool:
        """Whether a request of about `tokens` could be sent now; takes nothing."""
        return (
            self.breaker.would_admit()
            and self.disabled(model_id) is None
            and (self.limits is None or self.limits.wait(tokens) == 0.0)
        )


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One line of `health`."""

    id: str
    kind: str
    model: str
    breaker: Snapshot
    disabled: str | None
    attempts: int
    success_rate: float
    average_latency_ms: float
    last_error: str | None
    cost_usd: str


class Registry:
    """Deployments in the order of their registration."""

    def __init__(self) -> None:
        self._by_id: dict[str, Deployment] = {}
        self._listeners: list[Callable[[], None]] = []

    def add(self, deployment: Deployment) -> Deployment:
        """Raises InputError when the id is taken."""
        if deployment.id in self._by_id:
            raise InputError(f"provider {deployment.id!r} is registered already")
        deployment.order = len(self._by_id)
        self._by_id[deployment.id] = deployment
        self._changed()
        return deployment

    def remove(self, id: str) -> Deployment:
        removed = self._by_id.pop(id, None) or self.get(id)
        self._changed()
        return removed

    def replace(self, id: str, provider: BaseLLMProvider) -> BaseLLMProvider:
        """Another provider in a deployment's place, with a clean record; returns the one before."""
        deployment = self.get(id)
        before, deployment.provider = deployment.provider, provider
        deployment.enable()
        deployment.breaker.reset()
        self._changed()
        return before

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def get(self, id: str) -> Deployment:
        """Raises InputError naming the nearest id."""
        try:
            return self._by_id[id]
        except KeyError:
            raise InputError(
                f"unknown provider {id!r}: {did_you_mean(id, self._by_id)}there are {', '.join(self._by_id) or 'none'}"
            ) from None

    def serving(self, model: str) -> list[tuple[str, str]]:
        """Of each deployment that serves a model, its vendor and the vendor's name for it."""
        named = [(deployment.kind, deployment.provider.resolve_model(model)) for deployment in self]
        return [(kind, model_id) for kind, model_id in named if model_id is not None]

    def __iter__(self) -> Iterator[Deployment]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, id: str) -> bool:
        return id in self._by_id
