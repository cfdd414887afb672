"""What processes may have in common: the link to their Redis server, breakers, and the ledgers of budgets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from providers.clock import Clock
from providers.errors import InputError
from providers.redaction import redact
from sandbox.costs.base import Budget, BudgetStore
from sandbox.costs.sheltered import ShelteredBudgetStore
from sandbox.settings import Settings
from sandbox.stores import Failed, is_out_of_reach

if TYPE_CHECKING:
    from sandbox.gateway.shared_breakers import SharedBreakers
    from sandbox.gateway.shared_turns import SharedTurns
    from sandbox.shared.link import RedisLink

logger = logging.getLogger(__name__)


def shared_link(settings: Settings) -> RedisLink | None:
    """The connection to the server through which processes share their state; None where each keeps its own.

    It connects with its first question. Raises InputError for an address that is none.
    """
    address = settings.shared.endpoint_url or settings.cache.endpoint_url
    if settings.shared.state != "redis" or is_out_of_reach(settings, address):
        return None
    if find_spec("redis") is None:
        raise InputError("shared.state is redis, whose client is not installed: add the extra `redis`")
    from sandbox.shared.address import RedisAddress
    from sandbox.shared.link import ASK_S, REQUEST_S, RedisLink

    return RedisLink(RedisAddress.of(settings.cache, address), ask_s=settings.cache.timeout * ASK_S / REQUEST_S)


@dataclass(frozen=True, slots=True)
class SharedHealth:
    """How the server is through which processes share their state."""

    place: str
    """Its address; never a credential."""
    problem: str | None
    """In a sentence; None: it answers."""
    server: str = ""
    user: str = ""
    latency_ms: float | None = None
    """Of one small question."""


async def shared_health(link: RedisLink) -> SharedHealth:
    """Ask it. What is shared goes on alone while it is away."""
    from sandbox.shared.errors import RedisAway, RedisRefused

    place = str(link.address)
    try:
        found = await link.check()
    except (RedisAway, RedisRefused) as error:
        return SharedHealth(place, redact(str(error)))
    return SharedHealth(place, None, f"{found.server}, {found.mode}", found.user, round(found.seconds * 1000, 3))


async def check_shared(settings: Settings) -> str | None:
    """What processes share their state through; None where each keeps its own.

    Raises InputError, RedisAway or RedisRefused, with what to do.
    """
    link = shared_link(settings)
    if link is None:
        return None
    try:
        found = await link.check()
    finally:
        await link.close()
    return f"{found.server} at {link.address} as {found.user}"


def shared_breakers(link: RedisLink, scope: str, *, clock: Clock, failed: Failed) -> SharedBreakers:
    """The breakers of one gateway; gateways of the same scope share them."""
    from sandbox.gateway.shared_breakers import SharedBreakers

    return SharedBreakers(
        link,
        scope=scope,
        clock=clock,
        failed=lambda sentence: failed("breakers", sentence),
        recovered=lambda sentence: logger.warning("%s", sentence),
    )


def shared_turns(link: RedisLink, scope: str) -> SharedTurns:
    """The turns of round robin of one gateway; gateways of the same scope share them."""
    from sandbox.gateway.shared_turns import SharedTurns

    return SharedTurns(link, scope=scope)


def open_ledgers(settings: Settings, mode: str, *, link: RedisLink | None, clock: Clock, failed: Failed) -> BudgetStore:
    """The ledgers of a mode, which all processes of this data folder share, or with a link all of that Redis server.

    `failed` hears of trouble with them.
    """
    store: BudgetStore
    if link is None:
        from sandbox.costs.sqlite import SqliteBudgetStore

        store = SqliteBudgetStore(settings.data_dir / "budgets.db", mode=mode, clock=clock)
    else:
        from sandbox.costs.redis import RedisBudgetStore

        store = RedisBudgetStore(link, mode=mode, clock=clock)
    return ShelteredBudgetStore(store, clock=clock, told=lambda sentence: failed("budgets", sentence))


def declared_budgets(settings: Settings) -> Iterator[Budget]:
    """The budgets that the settings set."""
    shares = tuple(settings.budgets.thresholds)
    if settings.budget_limit is not None:
        yield Budget(None, settings.budget_limit, shares)
    for tenant, limit in settings.budgets.tenants.items():
        yield Budget(tenant, limit, shares)
