"""Turns a request into a plan: which candidates, with which of their models, in which order, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from providers.clock import Clock, Randomness
from providers.errors import InputError
from providers.hints import did_you_mean
from providers.pricing import Catalogue, estimate_tokens
from providers.types import GenerationRequest, TokenUsage, content_text
from sandbox.gateway.deployments import Deployment, Registry
from sandbox.gateway.policies import Policy
from sandbox.gateway.strategies import Draft, RoutingStrategy, order

FORESEEN_OUTPUT = 1024
"""Output tokens assumed for a request that sets no max_tokens."""


class Candidate(NamedTuple):
    """One deployment with the model that it would answer with."""

    deployment: Deployment
    model: str
    model_id: str
    exact: bool
    """Serves the asked model itself (or none was asked)."""
    why: str


@dataclass(slots=True)
class Plan:
    """Candidates in the order in which they will be asked."""

    strategy: RoutingStrategy
    requested_model: str | None
    candidates: list[Candidate]


def foreseen_tokens(request: GenerationRequest) -> int:
    """Estimated input tokens of a request, without a tokeniser."""
    total = 3
    for message in request.chat():
        total += 4 + estimate_tokens(content_text(message.get("content")))
    if request.tools:
        total += estimate_tokens(str(request.tools))
    return total


class Router:
    """Plans over a registry. What depends only on the asked model is computed once for each."""

    def __init__(
        self, registry: Registry, policy: Policy, *, prices: Catalogue, clock: Clock, draws: Randomness
    ) -> None:
        self._registry = registry
        self.policy = policy
        self.strategy = RoutingStrategy.of(policy.strategy)
        self._prices = prices
        self._clock = clock
        self._draws = draws
        self._turn = 0
        self._known: dict[str | None, tuple[tuple[Candidate, ...], tuple[Candidate, ...]]] = {}
        registry.on_change(self._known.clear)

    def plan(
        self,
        request: GenerationRequest,
        *,
        strategy: RoutingStrategy | None = None,
        first: str | None = None,
        peek: bool = False,
    ) -> Plan:
        """`first` is a provider to ask before the others; `peek` looks without taking a turn.

        Raises InputError for an unknown model or provider.
        """
        chosen = strategy or self.strategy
        exact, equivalent = self._groups(request.model)
        foreseen: dict[tuple[str, str], Decimal | None] = {}

        def cost(candidate: Candidate) -> Decimal | None:
            key = (candidate.deployment.kind, candidate.model_id)
            if key not in foreseen:
                foreseen[key] = self.estimate(request, candidate)
            return foreseen[key]

        draft = Draft(cost, self._draws, self._turn)
        if not peek:
            self._turn += 1
        groups: Iterable[tuple[Candidate, ...]] = (
            (exact, equivalent) if self.policy.exact_first else (_by_rank(exact + equivalent),)
        )
        planned = [candidate for group in groups for candidate in order(chosen, group, draft)]
        if first is not None:
            head = self._registry.get(first)
            planned.sort(key=lambda c: c.deployment is not head)
            if planned and planned[0].deployment is head:
                planned[0] = planned[0]._replace(why=f"asked for by name; {planned[0].why}")
        if self.policy.max_candidates is not None:
            del planned[self.policy.max_candidates :]
        return Plan(chosen, request.model, planned)

    def estimate(self, request: GenerationRequest, candidate: Candidate) -> Decimal | None:
        """Foreseen USD of this request on a candidate, up to its max_tokens; None is unpriced."""
        usage = TokenUsage(input_tokens=foreseen_tokens(request), output_tokens=request.max_tokens or FORESEEN_OUTPUT)
        price = self._prices.price(candidate.deployment.kind, candidate.model_id, usage, at=self._clock.time_us())
        return None if price is None else price.total

    def window(self, candidate: Candidate) -> int | None:
        """Context window in tokens, where known."""
        return self._prices.context_window(candidate.deployment.kind, candidate.model_id)

    # --- which model each deployment would use --------------------------------------------------------------------

    def _groups(self, model: str | None) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
        groups = self._known.get(model)
        if groups is None:
            groups = self._known[model] = self._compute(model)
            if len(self._known) > 512:  # names come from callers: keep the memory bounded
                self._known.pop(next(iter(self._known)))
        return groups

    def _compute(self, model: str | None) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
        if len(self._registry) == 0:
            raise InputError(
                "no provider is configured: use --mode mock, or set a provider's key (see `sandbox doctor`)"
            )
        exact: list[Candidate] = []
        equivalent: list[Candidate] = []
        for deployment in self._registry:
            provider = deployment.provider
            if model is None:
                exact.append(Candidate(deployment, deployment.model, provider.model_id, True, "its configured model"))
                continue
            model_id = provider.resolve_model(model)
            if model_id is not None:
                exact.append(Candidate(deployment, model, model_id, True, f"serves {model}"))
                continue
            name, why = stand_in(deployment, model, self.policy.equivalents)
            equivalent.append(
                Candidate(deployment, name, provider.resolve_model(name) or provider.model_id, False, why)
            )
        if model is not None:
            self._check_known(model, exact)
        return _by_rank(tuple(exact)), _by_rank(tuple(equivalent))

    def _check_known(self, model: str, exact: list[Candidate]) -> None:
        """A model is known when it is configured, priced, or has equivalents."""
        if any(c.model == c.deployment.model or c.model_id != model or model in _extra(c) for c in exact):
            return
        if any(model in names for names in self.policy.equivalents.values()):
            return
        if any(self._prices.find(c.deployment.kind, c.model_id) for c in exact) or self._prices.find(None, model):
            return
        hint = did_you_mean(model, self._names(), cutoff=0.5)
        raise InputError(
            f"unknown model {model!r}: {hint}`sandbox models` lists them; "
            "a new one goes into a provider's `models` setting"
        )

    def _names(self) -> list[str]:
        names = {name for tier in self.policy.equivalents.values() for name in tier}
        for deployment in self._registry:
            names.add(deployment.model)
            names.update(getattr(deployment.provider, "aliases", ()))
        return sorted(names)


def _extra(candidate: Candidate) -> Iterable[str]:
    return getattr(candidate.deployment.provider, "models", ())


def _by_rank(candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    return tuple(sorted(candidates, key=lambda c: (c.deployment.priority, c.deployment.order)))


def stand_in(deployment: Deployment, model: str, equivalents: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    """The model that a deployment answers with in place of `model`, and why: its tier's, else its configured one."""
    own = deployment.model
    if deployment.provider.local:
        return own, f"its own model in place of {model}"
    for tier, names in equivalents.items():
        if model in names:
            for name in names:
                if deployment.provider.resolve_model(name) is not None:
                    return name, f"{tier} like {model}"
            return own, f"its configured model: it has none that is {tier} like {model}"
    return own, f"its configured model in place of {model}"
