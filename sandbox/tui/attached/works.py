"""What the rooms have a gateway do, done by one that runs elsewhere: each work asked for by its path of the admin API.

The rooms hand over the same works as in front of a gateway of their own, and hear the same reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from providers.errors import InputError, MalformedResponseError
from sandbox.desks import books, compare, places, ward
from sandbox.desks.base import Tell
from sandbox.tui.attached.client import TOO_LONG_S, GatewayClient, LinkError

if TYPE_CHECKING:
    from providers.clock import Clock
    from sandbox.comparison.question import Question
    from sandbox.costs.export import Form
    from sandbox.desks.watchman import Watchman
    from sandbox.settings import Settings

ADVICE_S: Final = 60.0
"""How long the advice over many records may take."""
CHECK_S: Final = 60.0
"""How long providers, or stores, may take to be asked."""
NOTICED_S: Final = 0.5
"""Within which a connection that is gone has been noticed."""
SWITCH_S: Final = 120.0
"""How long a switch of stores may take: those that are left commit what they took."""


@dataclass(frozen=True, slots=True)
class There:
    """The gateway elsewhere, as the works need it."""

    client: GatewayClient
    clock: Clock
    settings: Settings
    """Of this screen."""
    mode: str
    linked: asyncio.Event
    """Whether there is a connection."""
    pace: Callable[[str, object], Awaitable[None]]
    """Wait until the same of a kind may be looked at again: a room would look several times a second."""
    checks: Callable[[Sequence[str]], AbstractContextManager[Callable[[], Awaitable[None]]]]
    """Checks of these providers that are made meanwhile; the way to wait until they have been told as events."""


Work = Callable[..., Awaitable[None]]


async def do(job: Callable[..., Any], there: There, tell: Tell) -> bool:
    """Do a room's work there; returns whether there is a way to. Raises LinkError or InputError."""
    whole = job if isinstance(job, partial) else partial(job)
    work = _WORKS.get(whole.func)
    if work is None:
        return False
    await work(there, tell, *whole.args)
    return True


async def _report(
    there: There, kind: type[Any], path: str, body: dict[str, Any] | None = None, *, patience: float = TOO_LONG_S,
    **query: Any,
) -> Any:  # fmt: skip
    from sandbox.desks.wire import read

    told = await there.client.told(path, body, patience=patience, query=f"?{urlencode(query)}" if query else "")
    return _of(there, kind, told, read)


def _of(there: There, kind: type[Any], told: bytes, read: Callable[[type[Any], bytes], Any]) -> Any:
    try:
        return read(kind, told)
    except InputError as error:
        raise LinkError(f"{there.client.url} is of another version than this screen: {error}") from None


# --- costs ----------------------------------------------------------------------------------------------------------


def _view(asked: books.Asked) -> dict[str, Any]:
    return asdict(asked)


async def _look_at_costs(there: There, tell: Tell, asked: books.Asked) -> None:
    """While the gateway is gone, what was seen last stays: it is looked at again when the gateway is back."""
    while True:
        await there.linked.wait()
        await there.pace("costs", asked)
        try:
            tell(await _report(there, books.Seen, "costs/view", _view(asked)))
            return
        except LinkError as error:
            await there.clock.sleep(NOTICED_S)
            if there.linked.is_set():
                tell(books.Unreadable(str(error)))
                return


async def _advise(there: There, tell: Tell, asked: books.Asked, targets: Sequence[str]) -> None:
    body = {**_view(asked), "targets": list(targets)}
    try:
        tell(await _report(there, books.Advised, "costs/advice", body, patience=ADVICE_S))
    except LinkError as error:
        tell(books.Advised(asked, tuple(targets), (), (), str(error)))


async def _priced(there: There, tell: Tell) -> None:
    tell(await _report(there, books.Priced, "costs/models"))


async def _set_budget(
    there: There, tell: Tell, tenant: str | None, limit_usd: Decimal | None, file: Path | None
) -> None:
    await there.client.told("costs/budget", {"tenant": tenant, "limit_usd": limit_usd})
    tell(books.Budgeted(tenant, limit_usd, there.settings, None))


async def _export(there: There, tell: Tell, asked: books.Asked, form: Form, folder: Path) -> None:
    """The records come here; the file is this machine's."""
    from sandbox.costs.reports import CostReports
    from sandbox.tui.attached.records import RecordsElsewhere

    reports = CostReports(RecordsElsewhere(there.client), clock=there.clock)  # type: ignore[arg-type]
    await books.write_out(reports, asked.where(there.mode, there.clock.time_us()), form, folder, tell)


# --- health ---------------------------------------------------------------------------------------------------------


async def _look_at_providers(there: There, tell: Tell, watchman: Watchman, span: float, columns: int) -> None:
    await there.pace("providers", span)
    seen = await _report(there, ward.Providers, "providers", seconds=span, columns=columns)
    tell(seen.as_of(there.clock.time_us()))


async def _check(there: There, tell: Tell, watchman: Watchman, ids: Sequence[str], enable: bool, agreed: bool) -> None:
    body = {"providers": list(ids), "enable": enable, "agreed": agreed}
    with there.checks(ids) as told:
        if await _questioned(there, tell, "providers/check", body):
            await told()


async def _begin_rounds(there: There, tell: Tell, watchman: Watchman, agreed: bool) -> None:
    await _questioned(there, tell, "providers/monitor", {"on": True, "agreed": agreed})


async def _end_rounds(there: There, tell: Tell, watchman: Watchman) -> None:
    await _questioned(there, tell, "providers/monitor", {"on": False})


async def _questioned(there: There, tell: Tell, path: str, body: dict[str, Any]) -> bool:
    """Whether it was done; else what it may cost is told."""
    answer = await _report(there, ward.Questioned, path, body, patience=CHECK_S)
    if answer.foreseen is not None:
        tell(answer.foreseen)
    return bool(answer.success)


async def _look_at_stores(there: There, tell: Tell, figures: bool, since_us: int) -> None:
    tell(await _report(there, places.Kept, "stores", figures=str(figures).lower(), since_us=since_us))


async def _try_out(there: There, tell: Tell, id: str, wanted: places.Wanted) -> None:
    found = await _report(there, places.Found, "stores/check", asdict(wanted), patience=CHECK_S)
    tell(places.Trying(id, found.backends))
    for check in found.checks:
        tell(places.Tried(id, check))


async def _move(there: There, tell: Tell, id: str, wanted: places.Wanted, file: Path | None) -> None:
    done = await _report(there, places.Done, "stores/switch", asdict(wanted), patience=SWITCH_S)
    tell(places.Moved(id, done.changes, done.backends, None))


# --- comparing ------------------------------------------------------------------------------------------------------


async def _who(there: There, tell: Tell, wanted: Sequence[str]) -> None:
    tell(await _report(there, compare.Chosen, "compare/columns", {"keys": list(wanted)}))


async def _everybody(there: There, tell: Tell) -> None:
    tell(await _report(there, compare.Nameable, "compare/models"))


async def _compare(
    there: There, tell: Tell, id: str, question: Question, keys: Sequence[str], limit: Decimal | None
) -> None:
    scores = compare.Scores(id, question, tell)
    body = {
        "prompt": question.prompts[0],
        "repeat": question.repeat,
        "keys": list(keys),
        "limit_usd": None if limit is None else str(limit),
    }
    broken: LinkError | None = None
    try:
        async with aclosing(_steps(there, id, body)) as steps:  # type: ignore[type-var]
            async for step in steps:
                scores.take(step)
    except LinkError as error:
        broken = error
        if not scores.begun:
            raise
    finally:
        scores.end(broken)


async def _steps(there: There, id: str, body: dict[str, Any]) -> AsyncIterator[compare.Step]:
    """Raises LinkError for a stream that ends before its end."""
    from dataclasses import replace

    from providers.dialects.sse import SseSplitter
    from sandbox.desks.wire import read

    splitter, whole = SseSplitter(), False
    async for piece in there.client.pieces("compare", body):
        try:
            events = splitter.feed(piece)
        except MalformedResponseError as error:
            raise LinkError(f"its answer cannot be read: {error}") from None
        for name, data in events:
            if name == b"end":
                whole = True
                continue
            kind = compare.STEPS.get(name.decode("ascii", "replace"))
            if kind is not None:
                step = _of(there, kind, data, read)
                yield replace(step, id=id) if isinstance(step, compare.Foreseen) else step
    if not whole:
        raise LinkError(f"the connection to {there.client.url} broke before the end")


_WORKS: Final[dict[Callable[..., Any], Work]] = {
    books.look: _look_at_costs,
    books.advise: _advise,
    books.models: _priced,
    books.set_budget: _set_budget,
    books.export: _export,
    ward.look: _look_at_providers,
    ward.check: _check,
    ward.begin_rounds: _begin_rounds,
    ward.end_rounds: _end_rounds,
    places.look: _look_at_stores,
    places.try_out: _try_out,
    places.move: _move,
    compare.who: _who,
    compare.everybody: _everybody,
    compare.compare: _compare,
}
