"""Who is compared: models by name, `provider/model`, provider or pattern; each one pinned to one provider."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from providers.errors import InputError
from providers.hints import did_you_mean
from providers.types import GenerationRequest
from sandbox.gateway.call import CallOptions
from sandbox.gateway.router import Candidate

if TYPE_CHECKING:
    from sandbox.gateway.deployments import Deployment
    from sandbox.gateway.gateway import Gateway

MOST = 32
"""Models of one comparison: more columns than anyone reads, and few enough that a stray `*` does no harm."""
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One model at one provider, and no other."""

    provider: str
    """The registered id."""
    model: str
    model_id: str
    """The vendor's own name of it."""
    name: str = ""
    """What its column is called: the model, and the provider too where that alone would not tell columns apart."""

    @property
    def key(self) -> str:
        """The name by which `choose` finds it again."""
        return f"{self.provider}/{self.model}"

    def candidate(self, gateway: Gateway) -> Candidate:
        """As the gateway's router has it."""
        deployment = gateway.registry.get(self.provider)
        return Candidate(deployment, self.model, self.model_id, True, f"serves {self.model}")


def choose(gateway: Gateway, names: Iterable[str]) -> list[Contestant]:
    """The contestants that names mean, in their order, each once.

    A name is a provider (its own model), a model (its first provider in the chain is asked), `provider/model`, or a
    pattern of the last two such as `claude-3-*`. Raises InputError for one that means nobody, naming the nearest.
    """
    found = distinct(one for name in names for one in _meant(gateway, name.strip()))
    if not found:
        raise InputError("no model is named: name one or more, separated by commas")
    if len(found) > MOST:
        raise InputError(f"{len(found)} models are named; {MOST} can be compared at once")
    return _told_apart(found)


def standing(gateway: Gateway, *, most: int = MOST, distinct: bool = False) -> list[Contestant]:
    """Whom to compare where nobody is named: each provider's own model; `distinct`: each model once."""
    found: dict[str, Contestant] = {}
    for deployment in gateway.registry:
        own = _own(deployment)
        found.setdefault(own.model if distinct else own.provider, own)
    return _told_apart(list(found.values())[:most])


def known(gateway: Gateway) -> Iterator[Contestant]:
    """Every name of a model at each provider that serves it: its own, then short names, then priced ones."""
    for deployment in gateway.registry:
        provider = deployment.provider
        for name in dict.fromkeys((*_declared(deployment), *gateway.prices.models_of(deployment.kind))):
            model_id = provider.resolve_model(name)
            if model_id is not None:
                yield _contestant(deployment, name, model_id)


def distinct(contestants: Iterable[Contestant]) -> list[Contestant]:
    """Each model of each provider once, by the first of its names."""
    found: dict[tuple[str, str], Contestant] = {}
    for one in contestants:
        found.setdefault((one.provider, one.model_id), one)
    return list(found.values())


# --- one name -------------------------------------------------------------------------------------------------------


def _meant(gateway: Gateway, name: str) -> Sequence[Contestant]:
    if not name:
        return ()
    registry = gateway.registry
    if _WILD.intersection(name):
        return _matching(gateway, name)
    provider, slash, model = name.partition("/")
    if slash and provider in registry:
        return [_at(gateway, registry.get(provider), model)]
    if name in registry:
        return [_own(registry.get(name))]
    served = _first_serving(gateway, name)
    if served is not None:
        return [served]
    raise _unknown(gateway, name)


def _at(gateway: Gateway, deployment: Deployment, model: str) -> Contestant:
    model_id = deployment.provider.resolve_model(model)
    if model_id is None:
        own = sorted(set(_declared(deployment)))
        raise InputError(
            f"{deployment.id} does not serve {model!r}: {did_you_mean(model, own, cutoff=0.5)}"
            f"its own model is {deployment.model}; a new one goes into its `models` setting"
        )
    # One that nobody knows is refused now and not in the middle of the comparison.
    gateway.plan(GenerationRequest(prompt=model, model=model), CallOptions(provider=deployment.id))
    return _contestant(deployment, model, model_id)


def _declared(deployment: Deployment) -> Iterator[str]:
    """The names that the settings and the vendor's class give, as far as they are known without the prices."""
    yield deployment.model
    yield from getattr(deployment.provider, "models", ())
    yield from getattr(deployment.provider, "aliases", ())


def _first_serving(gateway: Gateway, model: str) -> Contestant | None:
    """At the first provider of the chain that serves the model; one that merely could does not count unless priced."""
    for deployment in sorted(gateway.registry, key=lambda one: (one.priority, one.order)):
        model_id = deployment.provider.resolve_model(model)
        if model_id is None:
            continue
        declared = model_id != model or model in _declared(deployment)
        if declared or gateway.prices.find(deployment.kind, model_id) is not None:
            return _contestant(deployment, model, model_id)
    return None


def _matching(gateway: Gateway, pattern: str) -> list[Contestant]:
    wanted = pattern.lower()
    providers, slash, _ = wanted.partition("/")
    by_provider = bool(slash) and any(fnmatchcase(one.id.lower(), providers) for one in gateway.registry)
    names = list(known(gateway))
    if by_provider:
        matching = [one for one in names if fnmatchcase(one.key.lower(), wanted)]
    else:
        # One that several serve is asked at the first of them, as by its plain name.
        models = dict.fromkeys(one.model for one in names if fnmatchcase(one.model.lower(), wanted))
        matching = [served for served in (_first_serving(gateway, model) for model in models) if served is not None]
    found = distinct(matching)
    if not found:
        hint = did_you_mean(wanted.strip("*?"), {one.model for one in names}, cutoff=0.5)
        raise InputError(f"the pattern {pattern!r} matches no model: {hint}`sandbox models` lists them")
    if len(found) > MOST:
        raise InputError(f"the pattern {pattern!r} matches {len(found)} models; narrow it to {MOST} or fewer")
    return found


def _unknown(gateway: Gateway, name: str) -> InputError:
    names = {one.model for one in known(gateway)} | {one.id for one in gateway.registry}
    hint = did_you_mean(name, names, cutoff=0.5)
    asked = ", ".join(one.id for one in gateway.registry)
    if gateway.prices.find(None, name) is not None:
        return InputError(f"no configured provider serves {name!r}: {hint}configured are {asked}")
    return InputError(f"unknown model {name!r}: {hint}`sandbox models` lists them, and providers can be named: {asked}")


# --- making them ----------------------------------------------------------------------------------------------------


def _contestant(deployment: Deployment, model: str, model_id: str) -> Contestant:
    return Contestant(deployment.id, model, model_id, name=model)


def _own(deployment: Deployment) -> Contestant:
    return _contestant(deployment, deployment.model, deployment.provider.model_id)


def _told_apart(contestants: list[Contestant]) -> list[Contestant]:
    models = [one.model for one in contestants]
    return [replace(one, name=one.key) if models.count(one.model) > 1 else one for one in contestants]
