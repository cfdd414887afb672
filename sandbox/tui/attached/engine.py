"""An engine whose gateway is another program's: the same commands, over HTTP, and the same events.

What the gateway's admin API has no verb for is said to be impossible, in one sentence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson

from providers.attempts import RetryPolicy
from providers.clock import SYSTEM_CLOCK, Clock, seeded
from providers.errors import InputError, ProviderError
from providers.faults import fault_from
from sandbox.core.events import (
    ClientAsked,
    Event,
    HealthChecked,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
)
from sandbox.core.trace import decode
from sandbox.tui.attached.client import TOO_LONG_S, GatewayClient, LinkError
from sandbox.tui.attached.state import asked_body, estimated, lights, opened
from sandbox.tui.engine import Engine
from sandbox.tui.questions import midnight_us
from sandbox.tui.reports import (
    Answered,
    Armed,
    Estimated,
    Linked,
    Noted,
    Provoked,
    Refused,
    Spent,
    Unavailable,
)
from sandbox.tui.thread import sentence

if TYPE_CHECKING:
    from providers.dialects.sse import SseEvent
    from providers.faults import Fault
    from sandbox.runtime import Runtime
    from sandbox.settings import Settings
    from sandbox.tui.engine import Job
    from sandbox.tui.reports import Ask

logger = logging.getLogger(__name__)

AGAIN: Final = RetryPolicy(base_delay=0.5, max_delay=8.0)
"""How long a gateway that is gone is left alone."""
LOOK_S: Final = 3.0
"""How often it is asked for what no event tells: faults that others provoke, another preset, what was spent."""
PACE_S: Final = 1.0
"""Least seconds between two looks at the same: each is a request, and a room would make several a second."""
END_S: Final = 5.0
"""How long the events of a request may take longer than its answer."""
_ENDS = (RequestCompleted, RequestFailed, RequestCancelled)


@dataclass(slots=True)
class _Own:
    """A request of this screen, which the gateway knows by another id."""

    there: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class _Awaited:
    """Providers whose checks have not been told yet."""

    ids: set[str]
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, provider: str) -> None:
        self.ids.discard(provider)
        if not self.ids:
            self.over.set()


class AttachedEngine(Engine):
    """Begins anew whenever the gateway is back."""

    def __init__(self, settings: Settings, client: GatewayClient, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(settings, clock=clock, opener=_nowhere)
        self._client = client
        self._state: dict[str, Any] | None = None
        self._own: dict[str, _Own] = {}
        self._names: dict[str, str] = {}
        """Ids of this screen's requests, by the gateway's."""
        self._looked: dict[str, tuple[object, float]] = {}
        """What of each kind the rooms looked at last, and when."""
        self._awaited: list[_Awaited] = []
        self._linked = asyncio.Event()
        """Else there is no connection, and whoever follows the events has said why."""

    # --- the thread -------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        async with self._client:
            tasks = [asyncio.create_task(one) for one in (self._follow(), self._look_now_and_then())]
            await self._leave.wait()
            await self._end_requests()
            tasks += self._chores
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        retry = 0
        while True:
            try:
                async for event in self._client.events():
                    if event[0] == b"hello":
                        await self._look(anew=True)
                        retry = 0
                    else:
                        self._heard(event)
                why = f"{self._client.url} has ended"
            except LinkError as error:
                why = str(error)
            except Exception as error:
                logger.exception("the gateway's events could not be followed")
                why = sentence(error)
            self._linked.clear()
            wait = AGAIN.backoff(retry, seeded())
            retry += 1
            self.outbox.append(Linked(why, self.clock.time_us() + round(wait * 1e6)))
            await self.clock.sleep(wait)

    async def _look_now_and_then(self) -> None:
        while True:
            await self.clock.sleep(LOOK_S)
            if self._state is not None:
                await self._guarded(self._look())

    async def _look(self, *, anew: bool = False) -> None:
        """Ask how the gateway is, and tell what is different. A connection that is gone is told by who follows it."""
        before = None if anew else self._state
        try:
            state = await self._client.state(midnight_us(self.clock))
        except LinkError:
            if anew:
                raise
            return
        self._state = state
        self._ready.set()
        self._linked.set()
        if before is None or lights(before) != lights(state) or before["preset"] != state["preset"]:
            self.outbox.append(opened(state, self._client.url, self.clock.time_us()))
            self.outbox.append(Armed(0))
        if before is None:
            self.outbox.append(Linked())
        if before is None or before["faults"] != state["faults"]:
            self._tell_faults(state["faults"])
        if state["spent_usd"] is not None:
            self.outbox.append(Spent(Decimal(state["spent_usd"])))

    def _tell_faults(self, faults: dict[str, list[dict[str, Any]]]) -> None:
        told = {provider: tuple(fault_from(one) for one in several) for provider, several in faults.items()}
        self.outbox.append(Provoked(told))

    # --- what happens there -----------------------------------------------------------------------------------------

    def _heard(self, heard: SseEvent) -> None:
        name, data = heard
        if name == b"missed":
            count = orjson.loads(data).get("events")
            # One that was started anew does not know how many.
            many = f"{count:,}" if isinstance(count, int) else "some"
            self.outbox.append(Noted(f"{many} events of the gateway were missed: what is shown may lack something"))
            self._chore(self._look(anew=True))
            return
        try:
            event = decode(data)
        except InputError:
            return  # of a newer version
        if isinstance(event, ClientAsked) and event.tag in self._own:
            self._own[event.tag].there = event.request_id
            self._names[event.request_id] = event.tag
            return
        if isinstance(event, HealthChecked):
            for awaited in self._awaited:
                awaited.heard(event.provider)
        self.outbox.append(self._renamed(event))

    def _renamed(self, event: Event) -> Event:
        name = self._names.get(event.request_id)
        if name is None:
            return event
        if isinstance(event, _ENDS):
            self._own[name].ended.set()
        return replace(event, request_id=name)

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _ask(self, request_id: str, ask: Ask) -> None:
        own = self._own[request_id] = _Own()
        try:
            body, headers = asked_body(ask, await self._known())
            async with self._client.completion(body, {**headers, "x-sandbox-tag": request_id}) as response:
                answer = await response.read()
            if not ask.stream:
                self.outbox.append(Answered(request_id, _text(answer)))
            await self._until_told(own, request_id, LinkError("the gateway's events did not tell how it ended"))
        except LinkError as error:
            await self._until_told(own, request_id, error)
        except (ProviderError, InputError) as error:
            self.outbox.append(Refused(request_id, type(error).__name__, sentence(error)))
        except asyncio.CancelledError:
            # Closing the connection cancels it there, which is told by an event like everything else.
            await self._until_told(own, request_id, None)
            raise
        finally:
            self._names.pop(own.there, None)
            del self._own[request_id]

    async def _until_told(self, own: _Own, request_id: str, problem: LinkError | None) -> None:
        """Wait until the events have told how it ended: they come by a connection of their own."""
        # What was refused at the door has no events.
        patience = END_S if own.there else 1.0
        try:
            async with self.clock.timeout(patience):
                await own.ended.wait()
        except TimeoutError:
            if problem is not None:
                self.outbox.append(Refused(request_id, "GatewayRefused", str(problem)))

    def _ended(self) -> None:
        self._chore(self._look())

    async def _estimate(self, ask: Ask) -> None:
        try:
            found = await estimated(self._client, ask, await self._known())
        except (LinkError, ProviderError, InputError) as error:
            self.outbox.append(Estimated(ask, (), _words(error)))
            return
        self.outbox.append(Estimated(ask, found))

    async def _known(self) -> dict[str, Any]:
        """Raises InputError where the gateway cannot be reached."""
        with suppress(TimeoutError):
            async with self.clock.timeout(TOO_LONG_S):
                await self._ready.wait()
        if self._state is None:
            raise InputError(f"{self._client.url} has not been reached yet")
        return self._state

    # --- provoking and forcing --------------------------------------------------------------------------------------

    async def _provoke(self, provider: str | None, fault: Fault | None) -> None:
        from sandbox.scenarios.provoking import written

        spelt = None if fault is None else written(fault)
        answer = await self._changed("faults", provider=provider, fault=spelt)
        if self._state is not None:
            self._state["faults"] = answer["faults"]
        self._tell_faults(answer["faults"])

    async def _breaker(self, provider: str, command: str) -> None:
        await self._changed("breaker", provider=provider, command=command)

    async def _changed(self, path: str, **body: Any) -> dict[str, Any]:
        try:
            return await self._client.change(path, **body)
        except LinkError as error:
            raise InputError(f"nothing was changed: {error}") from None

    # --- what the rooms have it do ----------------------------------------------------------------------------------

    async def _work(self, id: str, job: Job) -> None:
        try:
            await self._done(job)
        except (LinkError, InputError) as error:
            self.outbox.append(Refused(id, type(error).__name__, _words(error)))
        except Exception as error:
            logger.exception("a room's work failed in an unforeseen way")
            self.outbox.append(Refused(id, type(error).__name__, sentence(error)))

    async def _errand(self, job: Job) -> None:
        if not self._linked.is_set():
            # Whoever follows the events has said it, and the room begins anew when the gateway is back.
            return
        try:
            await self._done(job)
        except LinkError as error:
            raise InputError(str(error)) from None

    async def _done(self, job: Job) -> None:
        from sandbox.tui.attached.works import There, do

        state = await self._known()
        there = There(self._client, self.clock, self.settings, state["mode"], self._linked, self._pace, self._checks)
        if not await do(job, there, self.outbox.append):
            raise InputError(f"this is done where the gateway runs, at {self._client.url}")

    async def _pace(self, kind: str, what: object) -> None:
        before, at = self._looked.get(kind, (None, 0.0))
        if before == what:
            await self.clock.sleep(max(0.0, at + PACE_S - self.clock.monotonic()))
        self._looked[kind] = what, self.clock.monotonic()

    @contextmanager
    def _checks(self, ids: Sequence[str]) -> Iterator[Callable[[], Awaitable[None]]]:
        """Checks that are made meanwhile; the way to wait for their events, which come by a connection of their own."""
        awaited = _Awaited(set(ids))
        self._awaited.append(awaited)

        async def told() -> None:
            with suppress(TimeoutError):
                async with self.clock.timeout(END_S):
                    await awaited.over.wait()

        try:
            yield told
        finally:
            self._awaited.remove(awaited)

    async def _use_preset(self, name: str) -> None:
        await self._changed("preset", preset=name)
        await self._look()

    # --- what is not possible from here -----------------------------------------------------------------------------

    async def _reopen(self, settings: Settings) -> None:
        self._impossible("its mode")

    async def _record_next(self, wanted: bool) -> None:
        self._impossible("what it records")

    async def _forget_fixtures(self) -> None:
        return

    async def _listen(self, port: int) -> None:
        self._impossible("where it listens")

    def _impossible(self, what: str) -> None:
        self.outbox.append(Unavailable(f"{what} is chosen where the gateway is started, not from an attached screen"))


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, LinkError) else sentence(error)


async def _nowhere(settings: Settings, clock: Clock) -> Runtime:
    raise InputError("an attached screen has no gateway of its own")


def _text(answer: bytes) -> str:
    try:
        return str(orjson.loads(answer)["choices"][0]["message"]["content"] or "")
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        return ""
