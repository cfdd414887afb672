"""A budget, what is known of its ledger, and what a store of ledgers must do.

A ledger belongs to one mode, one scope and one period. Its amounts are whole picodollars, as in the usage records, so
that it adds up to the last digit. Periods are calendar months in UTC, named by the microsecond in which they begin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from providers.errors import InputError
from sandbox.settings.units import LARGEST_BUDGET, MOST_DECIMALS, is_budget

ALL = "all"
"""The scope of the budget over all tenants."""
_TENANT = "tenant:"
THRESHOLDS = (Decimal("0.75"), Decimal("0.9"), Decimal(1))


def scope_of(tenant: str | None) -> str:
    """The scope of a tenant's budget; None: of the one over all tenants."""
    return ALL if tenant is None else _TENANT + tenant


def tenant_of(scope: str) -> str | None:
    """The tenant of a scope; None for the one over all."""
    return None if scope == ALL else scope.removeprefix(_TENANT)


def whose(tenant: str | None) -> str:
    """A budget's owner in a sentence."""
    return "all tenants" if tenant is None else f"tenant {tenant}"


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent in a month, by one tenant or by all. Raises InputError for what is no budget."""

    tenant: str | None
    """None: all tenants together."""
    limit_usd: Decimal
    thresholds: tuple[Decimal, ...] = THRESHOLDS
    """Shares of the limit at which somebody is told; each once a period."""

    def __post_init__(self) -> None:
        limit = self.limit_usd
        if not all(isinstance(one, Decimal) for one in (limit, *self.thresholds)):
            raise InputError(
                f"the budget of {whose(self.tenant)} is {limit!r} with thresholds at {self.thresholds!r}; each must be "
                "a Decimal"
            )
        if not is_budget(limit):
            raise InputError(
                f"the budget of {whose(self.tenant)} is {limit}; it must be from 0 to {LARGEST_BUDGET:,} USD a month, "
                f"with at most {MOST_DECIMALS} decimals"
            )
        if any(not share.is_finite() or not 0 < share <= 1 for share in self.thresholds):
            listed = ", ".join(map(str, self.thresholds))
            raise InputError(f"the thresholds are {listed}; each must be a share of the limit above 0 up to 1")
        object.__setattr__(self, "thresholds", tuple(sorted(set(self.thresholds))))

    @property
    def scope(self) -> str:
        return scope_of(self.tenant)


class Balance(NamedTuple):
    """What a ledger says, in picodollars."""

    used: int
    """Spent by requests that have ended."""
    reserved: int
    """Held for requests under way."""


NOTHING = Balance(0, 0)


class Grant(NamedTuple):
    """The answer to `reserve`."""

    hold: str | None
    """What to settle; None: nothing was granted."""
    amount: int
    balances: Mapping[str, Balance]
    """Of each scope: with the hold, or as they were when it was refused."""


class Debt(NamedTuple):
    """What a request spent, and the hold that it ends; None: it had none."""

    hold: str | None
    period: int
    scopes: tuple[str, ...]
    cost: int


class BudgetStore(Protocol):
    """Ledgers of one mode. Every call is one step that nothing else, in whichever process, comes between.

    Each raises BudgetUnavailable when the ledgers cannot be used, and has then changed nothing.
    """

    @property
    def generation(self) -> int:
        """Grows when other ledgers have taken the place of these, so that `begin` is due again."""
        ...

    async def begin(self, period: int, used: Mapping[str, int]) -> None:
        """Make the ledgers of these scopes say no less than this was used; to be repeated at will."""
        ...

    async def reserve(
        self, period: int, limits: Mapping[str, int], amounts: Sequence[int], *, expires_us: int
    ) -> Grant:
        """Hold the first of the amounts that leaves every scope within its limit. Holds past their end are let go.

        A hold of 0 needs a scope whose limit is not reached.
        """
        ...

    def extend(self, hold: str, period: int, limits: Mapping[str, int], amount: int) -> bool:
        """Make a hold that much, if every limit allows it and it has not ended."""
        ...

    def settle(self, debt: Debt) -> Mapping[str, Balance]:
        """Let go of the hold and book what was really spent, also where the hold has ended or there never was one."""
        ...

    async def settle_all(self, debts: Sequence[Debt]) -> None:
        """The same for several, for whoever can wait."""
        ...

    def claim(self, period: int, scope: str, mark: str) -> bool:
        """Whether this is the first claim of that mark in that period: what is to happen once, happens once."""
        ...

    async def balances(self, period: int, scopes: Sequence[str]) -> Mapping[str, Balance]:
        """The ledgers as they are now."""
        ...

    async def close(self) -> None:
        """Safe to call twice."""
        ...


class BudgetUnavailable(Exception):
    """The ledgers cannot be used; the message says why in one sentence."""


def fits(balances: Mapping[str, Balance], limits: Mapping[str, int], amount: int) -> bool:
    """Whether a hold of that amount leaves every scope within its limit; one of 0 needs a limit not yet reached."""
    return all(
        balances[scope].used + balances[scope].reserved + max(amount, 1) <= limit for scope, limit in limits.items()
    )
