"""Ledgers that go on when their store does not: no request fails for a store, and none is paid without a limit either.

While the store is away this process keeps to the limits by what it knows, and cannot see what others spend. What it
spends meanwhile it books as soon as the store is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from providers.clock import Clock
from sandbox.costs.base import Balance, BudgetStore, BudgetUnavailable, Debt, Grant
from sandbox.costs.memory import MemoryBudgetStore

_Key = tuple[str | None, int, tuple[str, ...]]
"""Hold, period and scopes of a debt."""


class ShelteredBudgetStore:
    """A BudgetStore around another that may fail; it never does itself."""

    def __init__(self, store: BudgetStore, *, clock: Clock, told: Callable[[str], None]) -> None:
        """`told` hears once of each trouble, in a sentence."""
        self._store = store
        self._clock = clock
        self._told = told
        self._spare: MemoryBudgetStore | None = None
        """The ledgers while there is trouble."""
        self._known: dict[str, Balance] = {}
        """What the store last said, by scope."""
        self._period = 0
        self._owed: dict[_Key, int] = {}
        """What could not be settled yet; of holds that the store never saw, the sum."""
        self._paying = asyncio.Lock()

    @property
    def generation(self) -> int:
        return self._store.generation

    @property
    def in_trouble(self) -> bool:
        return self._spare is not None

    # --- steps ----------------------------------------------------------------------------------------------------

    async def begin(self, period: int, used: Mapping[str, int]) -> None:
        try:
            # First what is owed: the records that `used` was added up from have it too, and it is to count once.
            await self._pay()
            await self._store.begin(period, used)
        except BudgetUnavailable as error:
            self._in_trouble(error).know(period, used)

    async def reserve(
        self, period: int, limits: Mapping[str, int], amounts: Sequence[int], *, expires_us: int
    ) -> Grant:
        try:
            await self._pay()
            grant = await self._store.reserve(period, limits, amounts, expires_us=expires_us)
        except BudgetUnavailable as error:
            return await self._in_trouble(error).reserve(period, limits, amounts, expires_us=expires_us)
        self._out_of_trouble(period, grant.balances)
        return grant

    def extend(self, hold: str, period: int, limits: Mapping[str, int], amount: int) -> bool:
        if self._spare is not None:
            return self._spare.extend(hold, period, limits, amount)
        try:
            return self._store.extend(hold, period, limits, amount)
        except BudgetUnavailable:
            return False

    def settle(self, debt: Debt) -> Mapping[str, Balance]:
        spare = self._spare
        balances: Mapping[str, Balance] = {} if spare is None else spare.settle(debt)
        # Holds that the store never saw are all alike to it.
        own = self._owe(debt if spare is None or debt.hold not in spare else debt._replace(hold=None))
        try:
            for key, cost in list(self._owed.items()):
                told = self._store.settle(Debt(*key, cost))
                del self._owed[key]
                if key == own:
                    balances = told
        except BudgetUnavailable:
            pass  # the next step tries again; until then the hold stands for it
        return balances

    async def settle_all(self, debts: Sequence[Debt]) -> None:
        for debt in debts:
            self.settle(debt)

    def claim(self, period: int, scope: str, mark: str) -> bool:
        try:
            return (self._spare or self._store).claim(period, scope, mark)
        except BudgetUnavailable:
            return False

    async def balances(self, period: int, scopes: Sequence[str]) -> Mapping[str, Balance]:
        try:
            await self._pay()
            found = await self._store.balances(period, scopes)
        except BudgetUnavailable as error:
            return await self._in_trouble(error).balances(period, scopes)
        self._out_of_trouble(period, found)
        return found

    async def close(self) -> None:
        try:
            await self._pay()
        except BudgetUnavailable as error:
            self._told(f"{error}; what was spent meanwhile is in the usage records alone")
        await self._store.close()

    # --- trouble --------------------------------------------------------------------------------------------------

    def _owe(self, debt: Debt) -> _Key:
        key = (debt.hold, debt.period, debt.scopes)
        self._owed[key] = self._owed.get(key, 0) + debt.cost
        return key

    async def _pay(self) -> None:
        """Settle what is owed, before anybody looks at what is left."""
        if not self._owed and not self._paying.locked():
            return
        async with self._paying:
            owed, self._owed = self._owed, {}
            debts = [Debt(*key, cost) for key, cost in owed.items()]
            try:
                await self._store.settle_all(debts)
            except BaseException:
                for debt in debts:
                    self._owe(debt)
                raise

    def _in_trouble(self, error: BudgetUnavailable) -> MemoryBudgetStore:
        if self._spare is None:
            self._spare = MemoryBudgetStore(self._clock)
            # What is held counts as spent: who holds it is not seen from here.
            self._spare.know(self._period, {scope: one.used + one.reserved for scope, one in self._known.items()})
            self._told(f"{error}; the limits are kept by this process alone until it can")
        return self._spare

    def _out_of_trouble(self, period: int, balances: Mapping[str, Balance]) -> None:
        self._spare = None
        if period != self._period:
            self._period, self._known = period, {}
        self._known.update(balances)
