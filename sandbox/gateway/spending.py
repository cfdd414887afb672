"""Which candidates a request may still pay for: what its budgets grant, and what costs nothing anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from providers.errors import BudgetExceededError
from providers.types import AttemptRecord
from sandbox.costs.budgets import Budgets
from sandbox.costs.reservation import Reservation
from sandbox.gateway.call import Call
from sandbox.gateway.router import Candidate

Estimate = Callable[[Candidate], Decimal | None]


def is_free(candidate: Candidate, estimate: Decimal | None) -> bool:
    """Whether an answer costs nothing more than the machine that runs anyway. Unpriced is not free."""
    return candidate.deployment.provider.local or estimate == 0


async def allowance(
    budgets: Budgets, call: Call, candidates: Iterable[Candidate], estimate: Estimate, *, seconds: float
) -> Allowance | None:
    """What the budgets grant the call, held for so long at most; None where none is its tenant's.

    `candidates` are one for each price; `estimate` is what each costs at most.
    """
    priced = [(candidate, estimate(candidate)) for candidate in candidates]
    amounts = {cost or Decimal(0) for candidate, cost in priced if not is_free(candidate, cost)}
    reservation = await budgets.reserve(
        call.id, call.request.tenant_id, amounts, at_us=call.arrived_us, seconds=seconds
    )
    return None if reservation is None else Allowance(call, reservation, estimate)


class Allowance:
    """What one call may pay for. A candidate that its reservation does not cover is passed over."""

    __slots__ = ("_call", "_estimate", "_reservation")

    def __init__(self, call: Call, reservation: Reservation, estimate: Estimate) -> None:
        self._call = call
        self._reservation = reservation
        self._estimate = estimate

    def covers(self, candidate: Candidate) -> bool:
        """Whether an attempt on the candidate is paid for."""
        cost = self._estimate(candidate)
        if is_free(candidate, cost):
            return True
        if cost is None:
            return self._reservation.amount is not None
        return self._reservation.covers(cost, self._call.waste)

    def admits(self, candidate: Candidate) -> bool:
        """The same, before the attempt: where waste has eaten from what is held, more is asked for."""
        if self.covers(candidate):
            return True
        cost, waste = self._estimate(candidate), self._call.waste
        return cost is not None and waste > 0 and self._reservation.extend(cost, waste)

    def settle(self, cost: Decimal | None) -> None:
        """Book what the call cost, with what it wasted."""
        self._reservation.settle(cost, self._call.waste)

    def refusal(self, attempts: Sequence[AttemptRecord] = ()) -> BudgetExceededError:
        """What a call ends in for which nothing free is left."""
        error = self._reservation.refusal(self._call.clock.time_us())
        error.attempts = tuple(attempts)
        return error
