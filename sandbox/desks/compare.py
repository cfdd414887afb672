"""What the Compare room has the engine do, on the engine's thread, and what it is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.comparison.contestants import Contestant, choose, distinct, known, standing
from sandbox.comparison.estimate import Estimate, estimates, needs_consent
from sandbox.comparison.question import Question
from sandbox.comparison.run import Ended, Run, Update
from sandbox.comparison.standings import Outcome, outcome
from sandbox.desks.base import RoomReport, Tell

if TYPE_CHECKING:
    from providers.pricing import PriceRow
    from sandbox.gateway.gateway import Gateway
    from sandbox.runtime import Runtime

MOST_COLUMNS = 6
AT_FIRST = 3
"""How many models are compared before any were chosen."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What of a price is shown: USD per million tokens, or for an hour; None: there is none of that kind."""

    input: Decimal | None
    output: Decimal | None
    hourly_usd: Decimal | None
    local: bool
    """It costs nothing more than the machine."""

    @classmethod
    def of(cls, row: PriceRow | None) -> Listed | None:
        return None if row is None else cls(row.input, row.output, row.hourly_usd, row.local)


@dataclass(frozen=True, slots=True)
class Column(RoomReport):
    """A model that can be compared."""

    key: str
    """By which it is chosen again."""
    name: str
    provider: str
    own: bool = False
    """The provider's configured model."""
    price: Listed | None = None


@dataclass(frozen=True, slots=True)
class Chosen(RoomReport):
    """Who is compared; a sentence where some of those wanted cannot be."""

    columns: tuple[Column, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Nameable(RoomReport):
    """Everybody who could be compared."""

    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Foreseen(RoomReport):
    """What a comparison may cost; it waits for an agreement."""

    id: str
    estimates: tuple[Estimate, ...]
    limit: Decimal


@dataclass(frozen=True, slots=True)
class Stepped(RoomReport):
    """Something has come of a comparison under way."""

    id: str
    update: Update


@dataclass(frozen=True, slots=True)
class Came(RoomReport):
    """How the comparison stands; `whole`: nothing more comes of it."""

    id: str
    outcome: Outcome
    whole: bool


async def who(wanted: Sequence[str], runtime: Runtime, tell: Tell) -> None:
    """The columns for these keys, as far as they still mean somebody; for none some that differ."""
    from providers.errors import InputError

    gateway, found, lost = runtime.gateway, [], []
    for key in wanted:
        try:
            choose(gateway, [key])
        except InputError:
            lost.append(key)
        else:
            found.append(key)
    chosen = choose(gateway, found) if found else standing(gateway, most=AT_FIRST, distinct=True)
    problem = f"not available here: {', '.join(lost)}" if lost else ""
    tell(Chosen(tuple(Column(one.key, one.name, one.provider) for one in chosen[:MOST_COLUMNS]), problem))


async def everybody(runtime: Runtime, tell: Tell) -> None:
    """All that could be compared, with their prices."""
    gateway = runtime.gateway
    own = {one.key for one in standing(gateway)}
    tell(
        Nameable(
            tuple(
                Column(one.key, one.model, one.provider, one.key in own, _price(gateway, one))
                for one in distinct(known(gateway))
            )
        )
    )


def _price(gateway: Gateway, one: Contestant) -> Listed | None:
    return Listed.of(gateway.prices.find(gateway.registry.get(one.provider).kind, one.model_id))


async def compare(
    id: str, question: Question, keys: Sequence[str], limit: Decimal | None, runtime: Runtime, tell: Tell
) -> None:
    """Ask all, telling every step. With a limit a dear comparison is only foreseen; None: it was agreed to."""
    gateway = runtime.gateway
    contestants = choose(gateway, keys)
    if limit is not None:
        question.check()
        found = estimates(gateway, question, contestants)
        if needs_consent(gateway.mode, found, limit):
            tell(Foreseen(id, tuple(found), limit))
            return

    def told(update: Update) -> None:
        tell(Stepped(id, update))
        if isinstance(update, Ended):
            tell(Came(id, outcome(run), False))

    run = Run(gateway, question, contestants, told=told)
    try:
        await run.go()
    finally:
        tell(Came(id, outcome(run), True))
