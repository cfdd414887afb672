"""What the Compare room has the engine do, on the engine's thread, and what it is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, get_args

from sandbox.comparison.contestants import Contestant, choose, distinct, known, standing
from sandbox.comparison.estimate import Estimate, estimates, needs_consent
from sandbox.comparison.question import Cell, Question
from sandbox.comparison.run import Began, Discarded, Ended, Run, Update, Wrote
from sandbox.comparison.sample import Sample, cancelled, failed
from sandbox.comparison.standings import Outcome, outcome_of
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


@dataclass(frozen=True, slots=True)
class Entered:
    """A comparison begins."""

    mode: str
    catalogue: str
    contestants: tuple[Contestant, ...]


Step = Foreseen | Entered | Update
STEPS: Final[dict[str, type[Step]]] = {kind.__name__: kind for kind in get_args(Step)}


async def race(
    id: str,
    question: Question,
    keys: Sequence[str],
    limit: Decimal | None,
    runtime: Runtime,
    told: Callable[[Step], None],
) -> None:
    """Ask all, telling every step. With a limit a dear comparison is only foreseen; None: it was agreed to."""
    gateway = runtime.gateway
    contestants = choose(gateway, keys)
    if limit is not None:
        question.check()
        found = estimates(gateway, question, contestants)
        if needs_consent(gateway.mode, found, limit):
            told(Foreseen(id, tuple(found), limit))
            return
    run = Run(gateway, question, contestants, told=told)
    told(Entered(gateway.mode, gateway.prices.version, run.contestants))
    await run.go()


class Scores:
    """What the steps of a race come to, told after each."""

    def __init__(self, id: str, question: Question, tell: Tell) -> None:
        self._id = id
        self._question = question
        self._tell = tell
        self._entered: Entered | None = None
        self._samples: dict[Cell, Sample] = {}
        self._under_way: dict[Cell, tuple[str, list[str]]] = {}
        """The id and the text so far of what has begun."""

    @property
    def begun(self) -> bool:
        """Whether anybody was asked."""
        return self._entered is not None

    def take(self, step: Step) -> None:
        if isinstance(step, Foreseen):
            self._tell(step)
            return
        if isinstance(step, Entered):
            self._entered = step
            return
        match step:
            case Began(cell, request_id):
                self._under_way[cell] = request_id, []
            case Wrote(cell, text):
                self._under_way[cell][1].append(text)
            case Discarded(cell):
                self._under_way[cell][1].clear()
            case Ended(cell, sample):
                self._under_way.pop(cell, None)
                self._samples[cell] = sample
        self._tell(Stepped(self._id, step))
        if isinstance(step, Ended):
            self._score(whole=False)

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes. What is still under way was given up, or its end is not known for this reason."""
        entered = self._entered
        if entered is None:
            return
        for cell, (request_id, pieces) in list(self._under_way.items()):
            contestant = entered.contestants[cell.contestant]
            if error is None:
                sample = cancelled(request_id, contestant, "".join(pieces), entered.mode)
            else:
                sample = failed(request_id, contestant, error, entered.mode)
            self.take(Ended(cell, sample))
        self._score(whole=True)

    def _score(self, *, whole: bool) -> None:
        if self._entered is not None:
            mode, catalogue, contestants = self._entered.mode, self._entered.catalogue, self._entered.contestants
            stands = outcome_of(self._question, contestants, self._samples, mode, catalogue)
            self._tell(Came(self._id, stands, whole))


async def compare(
    id: str, question: Question, keys: Sequence[str], limit: Decimal | None, runtime: Runtime, tell: Tell
) -> None:
    """A race as the room shows it."""
    scores = Scores(id, question, tell)
    try:
        await race(id, question, keys, limit, runtime, scores.take)
    finally:
        scores.end()
