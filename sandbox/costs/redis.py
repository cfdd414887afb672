"""Ledgers on a Redis server, shared by all processes of all machines. Meant to be sheltered: see ShelteredBudgetStore.

What must not pass a limit is decided on the server: `reserve` is one step there. What ends a request waits for nobody:
`settle`, `extend` and `claim` act on a mirror of the ledgers as this process last saw them, with everything of its own
since, and follow to the server in their order, each exactly once, however often they are sent. So between processes

- no limit is passed by what is held, and what was spent is booked a round trip late;
- a hold that is made larger is measured by what this process knows: others' requests of that round trip may pass it;
- a threshold that two processes cross in the same round trip may be told by both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappush
from typing import Any, Final

import orjson

from providers.clock import Clock, random_id
from sandbox.costs.base import Balance, BudgetUnavailable, Debt, Grant
from sandbox.costs.memory import MemoryBudgetStore
from sandbox.costs.redis_script import BOOK
from sandbox.shared.errors import RedisAway, RedisRefused
from sandbox.shared.link import PATIENT_S, RedisLink
from sandbox.usage.records import MAX_PICO

logger = logging.getLogger(__name__)

_BATCH: Final = 200
_PAUSE_S: Final = 0.2
"""Between two tries to send what has to arrive."""


@dataclass(slots=True)
class _Step:
    """One operation on its way: a question, which is given up when it fails, or what is sent until it is in."""

    op: dict[str, Any]
    future: asyncio.Future[list[Any]] | None = None
    """Who asks."""


class _Mirror(MemoryBudgetStore):
    """The ledgers as the server last told them, with what has happened here since."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.since: list[tuple[int, str, int, int]] = []
        """What has changed here since the last call was sent: period, scope, used, reserved."""

    def _add(self, period: int, scopes: Sequence[str] | Mapping[str, int], *, used: int = 0, reserved: int = 0) -> None:
        super()._add(period, scopes, used=used, reserved=reserved)
        self.since += [(period, scope, used, reserved) for scope in scopes]

    def adopt(self, period: int, scope: str, told: Balance, marks: Sequence[str]) -> None:
        for at, where, used, reserved in self.since:
            if (at, where) == (period, scope):
                told = Balance(told.used + used, told.reserved + reserved)
        self._ledgers[period, scope] = told
        self._claims.update((period, scope, mark) for mark in marks)

    def hold(self, hold: str, period: int, scopes: Sequence[str], amount: int, expires_us: int) -> None:
        """One that the server has granted, and has told of in its balances."""
        self._holds[hold] = (period, tuple(scopes), amount)
        heappush(self._ends, (expires_us, hold))

    def let_go(self) -> None:
        self._let_go()

    def held(self, hold: str) -> int | None:
        """How much that is now; None: it has ended."""
        self._let_go()
        entry = self._holds.get(hold)
        return None if entry is None else entry[2]

    def renewed(self) -> _Mirror:
        """For ledgers that have lost everything: what was used is still known, what was held is not held there."""
        mirror = _Mirror(self._clock)
        for (period, scope), balance in self._ledgers.items():
            mirror.know(period, {scope: balance.used})
        mirror.since = [(period, scope, used, 0) for period, scope, used, _ in self.since if used]
        mirror._claims = self._claims
        return mirror

    def used(self) -> Mapping[int, Mapping[str, int]]:
        """What the server knew to be used, by period and scope: without what is still on its way there."""
        known: dict[int, dict[str, int]] = {}
        for (period, scope), balance in self._ledgers.items():
            known.setdefault(period, {})[scope] = balance.used
        for period, scope, used, _ in self.since:
            known[period][scope] -= used
        return known


class RedisBudgetStore:
    """Implements BudgetStore for one mode. Belongs to one event loop; the link is closed here.

    The server's clock counts: the difference to this machine's is measured once, before the first step.
    """

    def __init__(
        self, link: RedisLink, *, mode: str, clock: Clock, ids: Callable[[], str] = random_id, scope: str = "llm_budget"
    ) -> None:
        self._link = link
        self._clock = clock
        self._ids = ids
        self._base = f"{{{scope}:{mode}}}"
        self._who = ids()
        self._made = ""
        self._ahead_us: int | None = None
        self._mirror = _Mirror(clock)
        self._queue: list[_Step] = []
        self._number = 0
        self._sender: asyncio.Task[None] | None = None
        self._trouble: str | None = None
        """Why the server does not do what it is asked; None: it does."""
        self.generation = 0
        link.watch(lambda _: None, lambda _: self._send())

    # --- questions --------------------------------------------------------------------------------------------------

    async def begin(self, period: int, used: Mapping[str, int]) -> None:
        await self._ask("b", period, used)

    async def reserve(
        self, period: int, limits: Mapping[str, int], amounts: Sequence[int], *, expires_us: int
    ) -> Grant:
        hold = self._ids()
        granted, *told = await self._ask(
            "r", period, limits, id=hold, amounts=[str(amount) for amount in amounts], expires=expires_us
        )
        balances = dict(zip(limits, _balances(told), strict=True))
        return Grant(hold, amounts[granted - 1], balances) if granted else Grant(None, 0, balances)

    async def balances(self, period: int, scopes: Sequence[str]) -> Mapping[str, Balance]:
        _, *told = await self._ask("g", period, dict.fromkeys(scopes, 0))
        return dict(zip(scopes, _balances(told), strict=True))

    # --- what waits for nobody --------------------------------------------------------------------------------------

    def extend(self, hold: str, period: int, limits: Mapping[str, int], amount: int) -> bool:
        self._check()
        before = self._mirror.held(hold)
        larger = before is not None and self._mirror.extend(hold, period, limits, amount)
        more = str(amount - before) if larger and before is not None else "0"
        self._tell("x", id=hold if larger else "", more=more, amount=str(amount))
        return larger

    def settle(self, debt: Debt) -> Mapping[str, Balance]:
        self._check()
        told = self._mirror.settle(debt)
        cost = str(min(debt.cost, MAX_PICO))
        self._tell("s", id=debt.hold or "", period=str(debt.period), scopes=list(debt.scopes), cost=cost)
        return told

    async def settle_all(self, debts: Sequence[Debt]) -> None:
        self._check()
        for debt in debts:
            self.settle(debt)

    def claim(self, period: int, scope: str, mark: str) -> bool:
        self._check()
        first = self._mirror.claim(period, scope, mark)
        if first:
            self._tell("c", period=str(period), scope=scope, mark=mark)
        return first

    async def close(self) -> None:
        if self._sender is not None:
            with suppress(asyncio.CancelledError):
                await self._sender
        if self._queue and self._link.away is None:
            with suppress(RedisAway, RedisRefused):
                await self._exchange(within=PATIENT_S)
        if self._queue:
            left, where = len(self._queue), self._link.address
            logger.warning("%d bookings did not reach %s; what was spent is in the usage records alone", left, where)
            self._queue.clear()
        await self._link.close()

    # --- on the way -------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raises BudgetUnavailable while the server is known to be away: then nothing is to be taken for it."""
        why = self._link.away or self._trouble
        if why is not None:
            raise BudgetUnavailable(why)

    def _tell(self, kind: str, **op: Any) -> None:
        self._number += 1
        self._queue.append(_Step({"kind": kind, "number": self._number, "now": self._clock.time_us(), **op}))
        self._send()

    async def _ask(self, kind: str, period: int, limits: Mapping[str, int], **op: Any) -> list[Any]:
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        listed = [[scope, str(min(limit, MAX_PICO))] for scope, limit in limits.items()]
        # What ends by itself ends here when it ends there.
        self._mirror.let_go()
        known = {"kind": kind, "period": str(period), "limits": listed, "now": self._clock.time_us()}
        self._queue.append(_Step({**known, **op}, future))
        self._send()
        try:
            # However many wait with it, none waits longer than for one question.
            async with self._clock.timeout(self._link.ask_s):
                return await future
        except TimeoutError:
            raise BudgetUnavailable(
                f"the Redis server {self._link.address} did not answer within {self._link.ask_s * 1000:.0f} ms"
            ) from None
        except (RedisAway, RedisRefused) as error:
            raise BudgetUnavailable(str(error)) from error

    def _send(self) -> None:
        if self._queue and (self._sender is None or self._sender.done()):
            self._sender = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Send until nothing is left, or until the server is away; what is left then goes when it is back."""
        while self._queue:
            try:
                await self._exchange(within=self._link.ask_s)
            except (RedisAway, RedisRefused) as error:
                self._trouble = str(error) if isinstance(error, RedisRefused) else None
                for step in self._queue:
                    if step.future is not None and not step.future.done():
                        step.future.set_exception(error)
                self._queue = [step for step in self._queue if step.future is None]
                if self._link.away is not None or self._trouble is not None:
                    return
                await self._clock.sleep(_PAUSE_S)

    async def _exchange(self, *, within: float) -> None:
        """One call with what is waiting. Raises RedisAway or RedisRefused, and then all of it is still waiting."""
        if self._ahead_us is None:
            seconds, micros = await self._link.ask("TIME", within=within)
            self._ahead_us = int(seconds) * 1_000_000 + int(micros) - self._clock.time_us()
        steps = [step for step in self._queue if step.future is None or not step.future.done()][:_BATCH]
        ops = [self._by_the_server(step.op) for step in steps]
        mirror, since = self._mirror, self._mirror.since
        mirror.since = []
        try:
            arguments = [self._base, self._who, self._made, self._ids(), orjson.dumps(ops)]
            made, *answer = await self._link.run(BOOK, [f"{self._base}:made"], arguments, within=within)
        except BaseException:
            mirror.since = since + mirror.since
            raise
        self._trouble = None
        name = made.decode()
        if name != self._made:
            self.generation += 1
            self._made = name
        if not answer:
            mirror.since = since + mirror.since
            self._begin_anew()
            return
        taken = set(map(id, steps))
        self._queue = [step for step in self._queue if id(step) not in taken]
        self._answer([step for step in steps if step.future is not None], *answer)

    def _begin_anew(self) -> None:
        """Other ledgers have taken the place of those that were known: tell them first what was used."""
        self._mirror = self._mirror.renewed()
        self._queue[:0] = [
            _Step(
                {
                    "kind": "b",
                    "period": str(period),
                    "limits": [[scope, str(amount)] for scope, amount in used.items()],
                    "now": self._clock.time_us(),
                },
                asyncio.get_running_loop().create_future(),
            )
            for period, used in self._mirror.used().items()
        ]

    def _answer(self, asked: Sequence[_Step], results: Sequence[Any], ledgers: Sequence[Any]) -> None:
        for step, result in zip(asked, results, strict=True):
            op, future = step.op, step.future
            if op["kind"] == "r" and result[0]:
                scopes, amount = [scope for scope, _ in op["limits"]], int(op["amounts"][result[0] - 1])
                self._mirror.hold(op["id"], int(op["period"]), scopes, amount, op["expires"])
                if future is not None and future.done():
                    # Whoever asked has gone on without it.
                    self.settle(Debt(op["id"], int(op["period"]), tuple(scopes), 0))
            if future is not None and not future.done():
                future.set_result(list(result))
        for period, scope, used, reserved, marks in ledgers:
            told = Balance(int(used), int(reserved))
            self._mirror.adopt(int(period), scope.decode(), told, [mark.decode() for mark in marks])

    def _by_the_server(self, op: dict[str, Any]) -> dict[str, Any]:
        """With times by the server's clock, as text: they have more digits than Lua writes."""
        ahead = self._ahead_us or 0
        times: dict[str, Any] = {name: str(op[name] + ahead) for name in ("now", "expires") if name in op}
        return op | times


def _balances(told: Sequence[Any]) -> list[Balance]:
    return [Balance(int(used), int(reserved)) for used, reserved in zip(told[::2], told[1::2], strict=True)]
