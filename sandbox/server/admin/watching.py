"""How the gateway is, for whoever watches it from elsewhere, and what a watcher may do to it: break, heal, force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from providers.errors import InputError, ModelNotFoundError
from providers.faults import fault_from
from sandbox import __version__
from sandbox.gateway.policies import PRESETS
from sandbox.gateway.strategies import RoutingStrategy
from sandbox.usage.base import UsageFilter

if TYPE_CHECKING:
    from sandbox.runtime import Runtime

Command = Literal["force_open", "force_close", "disable", "reset", "enable"]
"""What can be done to a breaker by hand; `enable` puts a provider back into rotation, after a refused key."""
COMMANDS: tuple[str, ...] = get_args(Command)


async def gateway_state(runtime: Runtime, since_us: int | None) -> dict[str, Any]:
    """Everything that a screen needs at its start. Raises UsageUnavailable, where it is asked what was spent since."""
    gateway = runtime.gateway
    policy = gateway.policy
    names = dict.fromkeys(name for tier in policy.equivalents.values() for name in tier)
    names |= dict.fromkeys(one.model for one in gateway.registry)
    return {
        "version": __version__,
        "t_us": runtime.clock.time_us(),
        "mode": gateway.mode,
        "preset": policy.name,
        "presets": list(PRESETS),
        "strategy": str(gateway.router.strategy),
        "strategies": [str(one) for one in RoutingStrategy],
        "deadline_s": policy.deadline,
        "models": sorted(names),
        "providers": [
            {
                "id": one.id,
                "kind": one.kind,
                "model": one.model,
                "breaker": str(one.breaker.state),
                "retry_after_s": one.breaker.retry_after,
                "disabled": one.disabled,
            }
            for one in gateway.health()
        ],
        "faults": faults_of(runtime),
        "notes": list(runtime.notes),
        "spent_usd": await _spent(runtime, since_us),
    }


def faults_of(runtime: Runtime) -> dict[str, list[dict[str, Any]]]:
    """What is provoked by hand, by provider, in the form in which it is asked for."""
    from sandbox.scenarios.provoking import written

    return {provider: [written(one) for one in faults] for provider, faults in runtime.faults.all().items()}


def provoke(runtime: Runtime, provider: str | None, fault: str | Mapping[str, Any] | None) -> None:
    """Have every attempt on a provider fail so from now on; without a fault it is healed, without a provider all are.

    Raises InputError for a fault that is unknown.
    """
    if provider is None:
        runtime.faults.clear()
    else:
        runtime.faults.set(provider, None if fault is None else fault_from(fault, "fault"))


def check_known(runtime: Runtime, provider: str) -> None:
    """Raises ModelNotFoundError, which is a 404, for a provider that is not in the chain."""
    try:
        runtime.gateway.registry.get(provider)
    except InputError as error:
        raise ModelNotFoundError(str(error), status=404) from None


def command(runtime: Runtime, provider: str, what: Command) -> None:
    """Force a breaker, or let it go."""
    gateway = runtime.gateway
    if what == "enable":
        gateway.enable(provider)
    else:
        getattr(gateway.breaker(provider), what)()


async def _spent(runtime: Runtime, since_us: int | None) -> str | None:
    if since_us is None or runtime.usage is None:
        return None
    totals = await runtime.usage.totals(UsageFilter(mode=runtime.gateway.mode, since_us=since_us))
    return format(totals.cost_usd + totals.waste_usd, "f")
