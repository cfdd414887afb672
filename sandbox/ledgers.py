"""Opens the ledgers that budgets are kept in, and reads the budgets off the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from providers.clock import Clock
from sandbox.costs.base import Budget, BudgetStore
from sandbox.costs.sheltered import ShelteredBudgetStore
from sandbox.settings import Settings
from sandbox.stores import Failed

if TYPE_CHECKING:
    from sandbox.shared.link import RedisLink


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
