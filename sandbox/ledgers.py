"""Opens the ledgers that budgets are kept in, and reads the budgets off the settings."""

from __future__ import annotations

from collections.abc import Iterator

from providers.clock import Clock
from sandbox.costs.base import Budget, BudgetStore
from sandbox.costs.sheltered import ShelteredBudgetStore
from sandbox.settings import Settings
from sandbox.stores import Failed


def open_ledgers(settings: Settings, mode: str, *, clock: Clock, failed: Failed) -> BudgetStore:
    """The ledgers of a mode, which all processes of this data folder share; `failed` hears of trouble with them."""
    from sandbox.costs.sqlite import SqliteBudgetStore

    file = SqliteBudgetStore(settings.data_dir / "budgets.db", mode=mode, clock=clock)
    return ShelteredBudgetStore(file, clock=clock, told=lambda sentence: failed("budgets", sentence))


def declared_budgets(settings: Settings) -> Iterator[Budget]:
    """The budgets that the settings set."""
    shares = tuple(settings.budgets.thresholds)
    if settings.budget_limit is not None:
        yield Budget(None, settings.budget_limit, shares)
    for tenant, limit in settings.budgets.tenants.items():
        yield Budget(tenant, limit, shares)
