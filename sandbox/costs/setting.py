"""A budget as a user writes it: from words to an amount, into the settings of a running program, into their file."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

from providers.errors import InputError
from sandbox.costs.base import Budget
from sandbox.settings.model import Settings


def amount_of(text: str, tenant: str | None, *, option: str) -> Decimal | None:
    """USD a month, from text such as 20 or $0.50; None for `none`. Raises InputError naming the option."""
    if text.strip().lower() == "none":
        return None
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise InputError(f"{option} is {text!r}; write an amount of USD a month such as 20, or none") from None
    return Budget(tenant, amount).limit_usd


def key_of(tenant: str | None) -> str:
    """The settings' key that holds a tenant's budget, or that of all together, by which its origin is known."""
    return "budget_limit" if tenant is None else "budgets.tenants"


def with_budget(settings: Settings, tenant: str | None, limit_usd: Decimal | None) -> Settings:
    """The settings with this budget in place of the tenant's before; None: with none."""
    if tenant is None:
        return settings.model_copy(update={"budget_limit": limit_usd})
    tenants = {name: limit for name, limit in settings.budgets.tenants.items() if name != tenant}
    if limit_usd is not None:
        tenants[tenant] = limit_usd
    return settings.model_copy(update={"budgets": settings.budgets.model_copy(update={"tenants": tenants})})


def write_budget(file: Path, tenant: str | None, limit_usd: Decimal | None) -> bool:
    """Say it in the settings file, for whatever starts from then on; returns whether that changed it.

    Raises ConfigError.
    """
    from sandbox.settings.editing import put

    key = ("budget_limit",) if tenant is None else ("budgets", "tenants", tenant)
    return put(file, key, None if limit_usd is None else _literal(limit_usd))


def _literal(amount: Decimal) -> str:
    """The amount in TOML; as text where a float would not be exactly it."""
    text = format(amount, "f")
    return text if Decimal(str(float(text))) == amount else f'"{text}"'
