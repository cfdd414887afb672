"""Ledgers that live and die with their process, on an injected clock: for virtual time, and for want of a disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from itertools import count

from providers.clock import Clock
from sandbox.costs.base import NOTHING, Balance, Debt, Grant, fits


class MemoryBudgetStore:
    """A BudgetStore that nothing outlives."""

    generation = 0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ledgers: dict[tuple[int, str], Balance] = {}
        self._holds: dict[str, tuple[int, tuple[str, ...], int]] = {}
        """Of each hold its period, its scopes and its amount."""
        self._ends: list[tuple[int, str]] = []
        self._claims: set[tuple[int, str, str]] = set()
        self._numbers = count(1)

    def __contains__(self, hold: str | None) -> bool:
        return hold in self._holds

    async def begin(self, period: int, used: Mapping[str, int]) -> None:
        self.know(period, used)

    def know(self, period: int, used: Mapping[str, int]) -> None:
        """`begin`, for whoever cannot wait."""
        for scope, amount in used.items():
            have = self._of(period, scope)
            self._ledgers[period, scope] = Balance(max(have.used, amount), have.reserved)

    async def reserve(
        self, period: int, limits: Mapping[str, int], amounts: Sequence[int], *, expires_us: int
    ) -> Grant:
        self._let_go()
        have = {scope: self._of(period, scope) for scope in limits}
        amount = next((one for one in amounts if fits(have, limits, one)), None)
        if amount is None:
            return Grant(None, 0, have)
        hold = f"hold-{next(self._numbers)}"
        self._holds[hold] = (period, tuple(limits), amount)
        heappush(self._ends, (expires_us, hold))
        self._add(period, limits, reserved=amount)
        return Grant(hold, amount, {scope: self._of(period, scope) for scope in limits})

    def extend(self, hold: str, period: int, limits: Mapping[str, int], amount: int) -> bool:
        self._let_go()
        entry = self._holds.get(hold)
        if entry is None:
            return False
        _, scopes, before = entry
        if not fits({scope: self._of(period, scope) for scope in limits}, limits, amount - before):
            return False
        self._holds[hold] = (period, scopes, amount)
        self._add(period, scopes, reserved=amount - before)
        return True

    def settle(self, debt: Debt) -> Mapping[str, Balance]:
        hold, period, scopes, cost = debt
        entry = None if hold is None else self._holds.pop(hold, None)
        if entry is not None:
            self._add(entry[0], entry[1], reserved=-entry[2])
        self._add(period, scopes, used=cost)
        return {scope: self._of(period, scope) for scope in scopes}

    async def settle_all(self, debts: Sequence[Debt]) -> None:
        for debt in debts:
            self.settle(debt)

    def claim(self, period: int, scope: str, mark: str) -> bool:
        key = (period, scope, mark)
        first = key not in self._claims
        self._claims.add(key)
        return first

    async def balances(self, period: int, scopes: Sequence[str]) -> Mapping[str, Balance]:
        self._let_go()
        return {scope: self._of(period, scope) for scope in scopes}

    async def close(self) -> None:
        """Nothing is open."""

    def _of(self, period: int, scope: str) -> Balance:
        return self._ledgers.get((period, scope), NOTHING)

    def _add(self, period: int, scopes: Sequence[str] | Mapping[str, int], *, used: int = 0, reserved: int = 0) -> None:
        for scope in scopes:
            have = self._of(period, scope)
            self._ledgers[period, scope] = Balance(have.used + used, have.reserved + reserved)

    def _let_go(self) -> None:
        """Forget the holds whose time is over: whoever made them has died."""
        now_us = self._clock.time_us()
        while self._ends and self._ends[0][0] <= now_us:
            _, hold = heappop(self._ends)
            entry = self._holds.pop(hold, None)
            if entry is not None:
                self._add(entry[0], entry[1], reserved=-entry[2])
