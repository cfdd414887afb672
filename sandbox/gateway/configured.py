"""The policy that the settings describe: a preset with what the user set on top."""

from __future__ import annotations

from dataclasses import replace

from sandbox.gateway.naming import Route
from sandbox.gateway.policies import Policy, StreamLimits, preset
from sandbox.gateway.strategies import RoutingStrategy
from sandbox.settings import Settings


def configured_policy(settings: Settings, name: str | None = None) -> Policy:
    """The policy of preset `name` (or the settings' own). Raises InputError for an unknown preset or strategy."""
    return settings_on(preset(name or settings.preset), settings)


def settings_on(policy: Policy, settings: Settings) -> Policy:
    """The policy with what the user set on top. Raises InputError for an unknown strategy."""
    retry = {k: v for k, v in settings.retry if v is not None}
    breaker = {k: v for k, v in settings.breaker if v is not None}
    streaming = settings.streaming
    return replace(
        policy,
        chain=tuple(settings.chain) if settings.chain is not None else policy.chain,
        strategy=RoutingStrategy.of(settings.strategy) if settings.strategy else policy.strategy,
        retry=replace(policy.retry, **retry),
        breaker=replace(policy.breaker, **breaker),
        breakers={id: replace(one, **breaker) for id, one in policy.breakers.items()},
        deadline=settings.deadline or policy.deadline,
        attempt_timeout=settings.attempt_timeout or policy.attempt_timeout,
        streaming=StreamLimits(streaming.policy, streaming.first_text, streaming.silence, streaming.max_stream),
        failover_on_content_filter=settings.failover_on_content_filter,
        equivalents={**policy.equivalents, **{tier: tuple(names) for tier, names in settings.equivalents.items()}},
        routes={
            name: Route(tuple(route.models), RoutingStrategy.of(route.strategy) if route.strategy else None)
            for name, route in settings.routes.items()
        },
    )
