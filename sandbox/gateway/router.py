"""Turns a request into a plan: which candidates, with which of their models, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from typing import Any, NamedTuple, overload

from providers.clock import Clock, Randomness
from providers.errors import InputError
from providers.hints import did_you_mean
from providers.pricing import Catalogue, estimate_tokens
from providers.types import GenerationRequest, TokenUsage, content_text
from sandbox.gateway.deployments import Deployment, Registry
from sandbox.gateway.naming import owned
from sandbox.gateway.policies import Policy
from sandbox.gateway.strategies import Draft, Group, RoutingStrategy, order
from sandbox.gateway.turns import OwnTurns, Turns

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


class Aim(NamedTuple):
    """Whom a request names."""

    model: str | None
    first: str | None = None
    """A provider to ask before the others."""
    names: tuple[str, ...] = ()
    """The only ones to ask; none: everybody."""
    strategy: str | None = None
    lenient: bool = False
    """Names of nobody who is here are passed over, as long as there is one of somebody."""


LISTED = 20
"""Candidates that are drawn with the plan, and that events and records list: enough for a person, and bounded."""


class Lineup(Sequence[Candidate]):
    """Candidates in the order in which they are asked. The first LISTED are drawn at once, the others when needed.

    How many are drawn never depends on who looks, so that a trace does not change what it records.
    """

    __slots__ = ("_rest", "_size", "_taken")

    def __init__(self, candidates: Iterable[Candidate], size: int) -> None:
        self._rest = iter(candidates)
        self._size = size
        self._taken = list(islice(self._rest, min(size, LISTED)))

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Candidate: ...

    @overload
    def __getitem__(self, index: slice) -> list[Candidate]: ...

    def __getitem__(self, index: int | slice) -> Candidate | list[Candidate]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._size))]
        if not 0 <= index < self._size:
            raise IndexError(index)
        while len(self._taken) <= index:
            self._taken.append(next(self._rest))
        return self._taken[index]

    @property
    def listed(self) -> list[Candidate]:
        return self._taken[:LISTED]


@dataclass(slots=True)
class Plan:
    """Whom to ask, in order."""

    strategy: RoutingStrategy
    requested_model: str | None
    candidates: Lineup


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
        self,
        registry: Registry,
        policy: Policy,
        *,
        prices: Catalogue,
        clock: Clock,
        draws: Randomness,
        turns: Turns | None = None,
    ) -> None:
        self._registry = registry
        self.policy = policy
        self.strategy = RoutingStrategy.of(policy.strategy)
        self._prices = prices
        self._clock = clock
        self._draws = draws
        self._turns = turns or OwnTurns()
        self._known: dict[str | None, list[Group]] = {}
        self._settled: dict[str | None, Plan] = {}
        self._lists: dict[Aim, Group] = {}
        registry.on_change(self._forget)

    def _forget(self) -> None:
        self._known.clear()
        self._settled.clear()
        self._lists.clear()

    def plan(
        self,
        request: GenerationRequest,
        *,
        strategy: RoutingStrategy | None = None,
        first: str | None = None,
        pinned: bool = False,
        fallbacks: tuple[str, ...] = (),
        peek: bool = False,
    ) -> Plan:
        """`first` is a provider to ask before the others (`pinned`: alone); `peek` looks without taking a turn.

        With `fallbacks`, or where the model is a route, those listed are the only candidates. Raises InputError for an
        unknown model or provider.
        """
        aim = self._aim(request.model, fallbacks)
        wanted = strategy or aim.strategy
        chosen = self.strategy if wanted is None else RoutingStrategy.of(wanted)
        first = first or aim.first
        if chosen is RoutingStrategy.PRIORITY and first is None and not aim.names:
            return self._by_priority(request.model)
        groups = self._groups_of(aim)
        # Only who takes turns uses one up: from a server that all share it is not drawn for nothing.
        peek = peek or chosen is not RoutingStrategy.ROUND_ROBIN
        turn = self._turns.next(request.model) if peek else self._turns.take(request.model)
        draft = Draft(self.estimates(request), self._draws, turn)
        planned: Iterator[Candidate] = chain.from_iterable(order(chosen, group, draft) for group in groups)
        if first is not None:
            planned = self._led_by(first, groups, planned)
            if pinned:
                return Plan(chosen, request.model, Lineup(planned, 1))
        return Plan(chosen, request.model, Lineup(planned, _size(groups)))

    def _by_priority(self, model: str | None) -> Plan:
        """The one plan that depends on the asked model alone, so that it is made once."""
        plan = self._settled.get(model)
        if plan is None:
            groups = self._groups(model)
            planned = chain.from_iterable(group.candidates for group in groups)
            plan = self._settled[model] = Plan(RoutingStrategy.PRIORITY, model, Lineup(planned, _size(groups)))
            _bound(self._settled)
        return plan

    def _led_by(self, first: str, groups: list[Group], planned: Iterator[Candidate]) -> Iterator[Candidate]:
        head = self._registry.get(first)
        leader = next((c for group in groups for c in group.candidates if c.deployment is head), None)
        if leader is None:
            raise InputError(f"provider {first!r} is none of those that the request lists")
        yield leader._replace(why=f"asked for by name; {leader.why}")
        yield from (c for c in planned if c.deployment is not head)

    def estimate(self, request: GenerationRequest, candidate: Candidate) -> Decimal | None:
        """Foreseen USD of this request on a candidate, up to its max_tokens; None is unpriced."""
        return self.estimates(request)(candidate)

    def estimates(self, request: GenerationRequest) -> Callable[[Candidate], Decimal | None]:
        """`estimate` for one request and many candidates: its tokens are counted once, and each model priced once."""
        known: dict[tuple[str, str], Decimal | None] = {}
        usage: TokenUsage | None = None

        def estimate(candidate: Candidate) -> Decimal | None:
            nonlocal usage
            key = (candidate.deployment.kind, candidate.model_id)
            if key not in known:
                if usage is None:
                    usage = TokenUsage(foreseen_tokens(request), request.max_tokens or FORESEEN_OUTPUT)
                price = self._prices.price(*key, usage, at=self._clock.time_us())
                known[key] = None if price is None else price.total
            return known[key]

        return estimate

    def lanes(self, model: str | None, fallbacks: tuple[str, ...] = ()) -> Iterator[Candidate]:
        """Of the candidates for a model, one for each kind and model: the others cost the same."""
        for group in self._groups_of(self._aim(model, fallbacks)):
            for lane in group.lanes:
                yield lane[0]

    def window(self, candidate: Candidate) -> int | None:
        """Context window in tokens, where known."""
        return self._prices.context_window(candidate.deployment.kind, candidate.model_id)

    # --- names ----------------------------------------------------------------------------------------------------

    def models(self) -> list[tuple[str, str | None]]:
        """The names that may be asked for, routes first, each with who serves it; None: whoever it lists."""
        found: dict[str, str | None] = dict.fromkeys(self.policy.routes)
        tiers = {name: None for names in self.policy.equivalents.values() for name in names}
        for deployment in self._registry:
            provider = deployment.provider
            known = [name for name in tiers if provider.resolve_model(name) is not None]
            for name in (deployment.model, *_extra(deployment), *known, *getattr(provider, "aliases", ())):
                found.setdefault(name, deployment.id)
        return list(found.items())

    def _aim(self, model: str | None, fallbacks: tuple[str, ...]) -> Aim:
        route = self.policy.routes.get(model) if model is not None else None
        if route is not None:
            # A route is written once for several modes, in some of which a provider has no key.
            strategy = route.strategy or RoutingStrategy.PRIORITY
            return Aim(model, None, (*route.models, *fallbacks), strategy, lenient=True)
        if fallbacks:
            names = fallbacks if model is None else (model, *fallbacks)
            return Aim(model, None, names, RoutingStrategy.PRIORITY)
        if model is not None and "/" in model:
            owner, model = self._owned(model)
            return Aim(model, owner)
        return Aim(model)

    def _owned(self, name: str) -> tuple[str | None, str]:
        owner, model = owned(name, self._registry.__contains__)
        if owner is not None and any(name == one.model or name in _extra(one) for one in self._registry):
            # Somebody's model has this very name.
            return None, name
        return owner, model

    def _groups_of(self, aim: Aim) -> list[Group]:
        return [self._listed(aim)] if aim.names else self._groups(aim.model)

    def _listed(self, aim: Aim) -> Group:
        """The candidates of a list of names, in its order. Raises InputError for a name of nobody."""
        group = self._lists.get(aim)
        if group is None:
            found: dict[tuple[str, str], Candidate] = {}
            problem: InputError | None = None
            for name in aim.names:
                try:
                    for candidate in self._serving(name):
                        found.setdefault((candidate.deployment.id, candidate.model_id), candidate)
                except InputError as error:
                    problem = problem or error
                    if not aim.lenient:
                        raise
            if problem is not None and not found:
                raise problem
            group = self._lists[aim] = Group(found.values(), listed=True)
            _bound(self._lists)
        return group

    def _serving(self, name: str) -> list[Candidate]:
        """Who serves a model itself. Raises InputError where nobody does."""
        owner, model = self._owned(name)
        serving = [
            c._replace(why="listed")
            for group in self._groups(model)
            for c in group.candidates
            if c.exact and owner in (None, c.deployment.id)
        ]
        if not serving:
            raise InputError(f"{'no provider here' if owner is None else owner} serves {model!r}, which was listed")
        return serving

    # --- which model each deployment would use --------------------------------------------------------------------

    def _groups(self, model: str | None) -> list[Group]:
        groups = self._known.get(model)
        if groups is None:
            groups = self._known[model] = self._compute(model)
            _bound(self._known)
        return groups

    def _compute(self, model: str | None) -> list[Group]:
        """Those that serve the model, then those that stand in; as one group where the policy sees no difference."""
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
        return [Group(exact), Group(equivalent)] if self.policy.exact_first else [Group(exact + equivalent)]

    def _check_known(self, model: str, exact: list[Candidate]) -> None:
        """A model is known when it is configured, priced, or has equivalents."""
        if any(c.model == c.deployment.model or c.model_id != model or model in _extra(c.deployment) for c in exact):
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


def _size(groups: list[Group]) -> int:
    return sum(len(group.candidates) for group in groups)


def _bound(memo: dict[Any, Any]) -> None:
    """Names of models come from callers: keep what is remembered of them bounded."""
    if len(memo) > 512:
        del memo[next(iter(memo))]


def _extra(deployment: Deployment) -> Iterable[str]:
    return getattr(deployment.provider, "models", ())


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
