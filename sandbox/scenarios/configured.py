"""A scenario on the configuration that somebody runs: the same outage and traffic, their policy."""

from __future__ import annotations

from dataclasses import replace

from providers import factory
from providers.errors import InputError
from sandbox.gateway.configured import settings_on
from sandbox.gateway.policies import Policy
from sandbox.scenarios.loader import Scenario
from sandbox.scenarios.peers import policy_named
from sandbox.scenarios.schema import ProviderPart
from sandbox.settings import Settings

NAME = "settings"
"""What such a policy is called in results and traces."""


def configured(scenario: Scenario, settings: Settings, preset: str | None = None) -> tuple[Scenario, Policy]:
    """The scenario with the settings' shares and limits, and their policy.

    What the scenario itself sets of a policy does not count, but for its cache. Where it lists providers, these play:
    faults and expectations name them; settings of a provider of the same id say its weight and its limits. Otherwise
    the settings' chain plays. `preset`: with the settings on top, in place of their own.

    Raises InputError for an unknown preset or strategy, or a chain of which nobody can play.
    """
    document = scenario.document
    policy = settings_on(policy_named(preset or settings.preset), settings)
    listed = [_with_limits(part, settings) for part in document.providers] or _chain(settings, policy)
    name = NAME if preset is None else f"{preset} + {NAME}"
    policy = replace(
        policy,
        name=name,
        chain=tuple(part.key for part in listed),
        cache=document.policy.cache,
        # Routes name the settings' providers, which are not always those that play.
        routes={} if document.providers else policy.routes,
    )
    return replace(scenario, document=document.model_copy(update={"providers": tuple(listed)})), policy


def _chain(settings: Settings, policy: Policy) -> list[ProviderPart]:
    parts = []
    for position, id in enumerate(policy.chain):
        one = settings.providers.get(id)
        kind = (one.kind if one is not None else None) or id
        if one is not None and one.enabled and kind in factory.KINDS:
            model = one.model or factory.provider_class(kind).default_model
            part = ProviderPart.model_validate({"name": kind, "id": id, "model": model})
            parts.append((position if one.priority is None else one.priority, _with_limits(part, settings)))
    if not parts:
        raise InputError(f"of the chain ({', '.join(policy.chain)}) no provider can play: set `chain`")
    return [part for _, part in sorted(parts, key=lambda pair: pair[0])]


def _with_limits(part: ProviderPart, settings: Settings) -> ProviderPart:
    """What the scenario leaves open of a provider's share and limits, as the settings of the same id say."""
    one = settings.providers.get(part.key)
    if one is None:
        return part
    open_ = ("weight", "requests_per_minute", "tokens_per_minute")
    return part.model_copy(update={name: getattr(one, name) for name in open_ if getattr(part, name) is None})
