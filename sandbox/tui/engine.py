"""The gateway in the engine's thread: what the screen asks of it, and what it tells."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from providers.clock import SYSTEM_CLOCK, Clock, random_id
from providers.errors import InputError, ProviderError
from sandbox.core.events import ComponentFailed, Event, ExchangeRecorded
from sandbox.core.offline import follow
from sandbox.desks.estimate import candidates
from sandbox.desks.lights import light_of
from sandbox.desks.watchman import Watchman
from sandbox.tui.listener import Listener
from sandbox.tui.questions import midnight_us, question
from sandbox.tui.reports import (
    Answered,
    Armed,
    Ask,
    Estimated,
    Opened,
    ProviderInfo,
    Provoked,
    Refused,
    Report,
    Spent,
    Unavailable,
)
from sandbox.tui.thread import EngineThread
from sandbox.tui.thread import sentence as sentence

if TYPE_CHECKING:
    from providers.faults import Fault
    from sandbox.runtime import Runtime
    from sandbox.serving import OpenServer
    from sandbox.settings import Settings

logger = logging.getLogger(__name__)


Opener = Callable[["Settings", Clock], Awaitable["Runtime"]]

Job = Callable[["Runtime", Callable[[Report], None]], Coroutine[Any, Any, None]]
"""Work on the engine's loop: what it tells goes to the rooms as reports."""


async def open_runtime(settings: Settings, clock: Clock) -> Runtime:
    """The real one. Imported here, because it costs more than the first paint may."""
    from sandbox.runtime import Runtime

    return await Runtime.open(settings, clock=clock)


class Engine(EngineThread):
    """Owns the thread. Every method may be called from any thread and returns at once, `close` excepted."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        opener: Opener = open_runtime,
        open_server: OpenServer | None = None,
    ) -> None:
        """`open_server`: the face that serves the gateway, where the process has one."""
        super().__init__(settings, clock=clock)
        self._listener = Listener(open_server, clock, self.outbox.append)
        self.watchman = Watchman(clock)  # for work on the engine's loop only
        self._opener = opener
        self._runtime: Runtime | None = None
        self._refusal = ""
        self._ready = asyncio.Event()

    # --- commands -------------------------------------------------------------------------------------------------

    def submit(self, ask: Ask) -> str:
        """Ask; returns the request's id, by which its events are known. It may still be cancelled before it starts."""
        request_id = ask.request_id or random_id()
        self._call(lambda: self._spawn(request_id, self._ask(request_id, ask)))
        return request_id

    def work(self, id: str, job: Job) -> None:
        """Do a room's own work with the runtime. Like a request it can be cancelled by its id and ends in Settled;
        what it raises is told as Refused."""
        self._call(lambda: self._spawn(id, self._work(id, job)))

    def errand(self, job: Job) -> None:
        """The same, of no length: nothing is told but what the job tells."""
        self._chore(self._errand(job))

    def estimate(self, ask: Ask) -> None:
        """Answered by an Estimated report."""
        self._chore(self._estimate(ask))

    def provoke(self, provider: str, fault: Fault | None) -> None:
        """Make every call to a provider fail so, or heal it; answered by a Provoked report."""
        self._chore(self._provoke(provider, fault))

    def heal(self) -> None:
        """Switch every fault off."""
        self._chore(self._provoke(None, None))

    def use_preset(self, name: str) -> None:
        """Answered by Opened, or Unavailable."""
        self._chore(self._use_preset(name))

    def reopen(self, settings: Settings) -> None:
        """Go on with other settings; what runs is cancelled. Answered by Opened or Unavailable."""
        self._chore(self._reopen(settings))

    def record_next(self, wanted: bool = True) -> None:
        """Keep the next exchange with a provider as a fixture, or do not after all; answered by an Armed report."""
        self._chore(self._record_next(wanted))

    def forget_fixtures(self) -> None:
        """Files of recordings have changed: read them anew."""
        self._chore(self._forget_fixtures())

    def breaker(self, provider: str, command: str) -> None:
        """`force_open`, `force_close`, `disable` or `reset` the breaker; `enable`: ask the provider again."""
        self._chore(self._breaker(provider, command))

    def listen(self, port: int) -> None:
        """Serve the gateway to other programs of this machine; answered by a Served report."""
        self._chore(self._listen(port))

    def stop_listening(self) -> None:
        """Answered by a Served report, when what was under way has ended."""
        self._chore(self._listener.stop())

    def recount(self) -> None:
        """Tell what was spent today; answered by a Spent report."""
        self._chore(self._tell_spent())

    # --- the thread -----------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        opening = asyncio.create_task(self._open(self.settings))
        await self._leave.wait()
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await self._listener.close()
        await self._end_requests()
        for chore in self._chores:
            chore.cancel()
        await self.watchman.leave()
        if self._runtime is not None:
            await self._runtime.close()

    # --- opening --------------------------------------------------------------------------------------------------

    async def _open(self, settings: Settings) -> None:
        follow(settings.mode)
        try:
            runtime = await self._opener(settings, self.clock)
        except Exception as error:
            self._refusal = sentence(error)
            self._ready.set()
            self.outbox.append(Unavailable(self._refusal))
            return
        await self._go_on_with(runtime, settings)

    async def _reopen(self, settings: Settings) -> None:
        before = self._runtime
        try:
            runtime = await self._opener(settings, self.clock)
        except Exception as error:
            self.outbox.append(Unavailable(sentence(error)))
            return
        await self._listener.leave()
        await self._end_requests()
        await self.watchman.leave()
        if before is not None:
            await before.close()
        await self._go_on_with(runtime, settings)

    async def _go_on_with(self, runtime: Runtime, settings: Settings) -> None:
        self._runtime, self.settings = runtime, settings
        follow(settings.mode)
        runtime.bus.subscribe(self.outbox.append)
        runtime.bus.subscribe(lambda event: self._recorded(runtime, event))
        await self.watchman.follow(runtime)
        self._announce(runtime)
        self.outbox += [Provoked(runtime.faults.all()), Armed(0)]
        self._ready.set()
        await self._listener.follow(runtime)
        await self._tell_spent()

    def _announce(self, runtime: Runtime) -> None:
        from sandbox.gateway.policies import PRESETS
        from sandbox.gateway.strategies import RoutingStrategy

        gateway = runtime.gateway
        policy = gateway.policy
        now_us = self.clock.time_us()
        names = dict.fromkeys(name for tier in policy.equivalents.values() for name in tier)
        infos = []
        for deployment in gateway.registry:
            infos.append(ProviderInfo(deployment.id, deployment.kind, deployment.model, deployment.provider))
            names.setdefault(deployment.model)
        self.outbox.append(
            Opened(
                mode=runtime.mode,
                preset=policy.name,
                presets=tuple(PRESETS),
                strategy=str(gateway.router.strategy),
                strategies=tuple(str(one) for one in RoutingStrategy),
                providers=tuple(infos),
                lights=tuple(light_of(deployment, now_us) for deployment in gateway.registry),
                models=tuple(sorted(names)),
                deadline_s=policy.deadline,
                notes=tuple(runtime.notes),
            )
        )

    async def _use_preset(self, name: str) -> None:
        runtime = await self._opened()
        runtime.use_preset(name)
        await self.watchman.follow(runtime)
        self._announce(runtime)

    async def _opened(self) -> Runtime:
        await self._ready.wait()
        if self._runtime is None:
            raise InputError(self._refusal)
        return self._runtime

    async def _listen(self, port: int) -> None:
        await self._listener.start(await self._opened(), port)

    # --- requests -------------------------------------------------------------------------------------------------

    def _ended(self) -> None:
        self._chore(self._tell_spent())

    async def _ask(self, request_id: str, ask: Ask) -> None:
        """Read the answer to its end: what the screen shows of it comes over the bus, but for a text that is whole."""
        try:
            runtime = await self._opened()
            request, options = question(ask, request_id)
        except (ProviderError, InputError) as error:
            self.outbox.append(Refused(request_id, type(error).__name__, sentence(error)))
            return
        try:
            if ask.stream:
                async for _ in runtime.gateway.stream(request, options):
                    pass
            else:
                response = await runtime.gateway.generate(request, options)
                self.outbox.append(Answered(request_id, response.text))
        except (ProviderError, InputError):
            pass  # told by the gateway's own event
        except Exception as error:
            logger.exception("a request failed in an unforeseen way")
            self.outbox.append(Refused(request_id, type(error).__name__, sentence(error)))

    async def _work(self, id: str, job: Job) -> None:
        try:
            await job(await self._opened(), self.outbox.append)
        except Exception as error:
            if not isinstance(error, (ProviderError, InputError)):
                logger.exception("a room's work failed in an unforeseen way")
            self.outbox.append(Refused(id, type(error).__name__, sentence(error)))

    async def _errand(self, job: Job) -> None:
        await job(await self._opened(), self.outbox.append)

    async def _estimate(self, ask: Ask) -> None:
        try:
            runtime = await self._opened()
            found = candidates(runtime.gateway, *question(ask, ""))
        except (ProviderError, InputError) as error:
            self.outbox.append(Estimated(ask, (), sentence(error)))
            return
        self.outbox.append(Estimated(ask, found))

    # --- provoking and forcing ------------------------------------------------------------------------------------

    async def _provoke(self, provider: str | None, fault: Fault | None) -> None:
        runtime = await self._opened()
        if provider is None:
            runtime.faults.clear()
        else:
            runtime.faults.set(provider, fault)
        self.outbox.append(Provoked(runtime.faults.all()))

    async def _record_next(self, wanted: bool) -> None:
        recorder = (await self._opened()).recorder
        if wanted:
            recorder.arm()
        else:
            recorder.disarm()
        self.outbox.append(Armed(recorder.armed))

    def _recorded(self, runtime: Runtime, event: Event) -> None:
        """Something was recorded or could not be: tell what is still owed."""
        failed = isinstance(event, ComponentFailed) and event.component == "recorder"
        if failed or isinstance(event, ExchangeRecorded):
            self.outbox.append(Armed(runtime.recorder.armed))

    async def _forget_fixtures(self) -> None:
        (await self._opened()).forget_fixtures()

    async def _breaker(self, provider: str, command: str) -> None:
        gateway = (await self._opened()).gateway
        if command == "enable":
            gateway.enable(provider)
            return
        getattr(gateway.breaker(provider), command)()

    # --- figures --------------------------------------------------------------------------------------------------

    async def _tell_spent(self) -> None:
        runtime = self._runtime
        if runtime is None or runtime.usage is None:
            return
        from sandbox.usage.base import UsageFilter, UsageUnavailable

        try:
            today = UsageFilter(mode=runtime.gateway.mode, since_us=midnight_us(self.clock))
            totals = await runtime.usage.totals(today)
        except UsageUnavailable as error:
            logger.warning("what was spent today is unknown: %s", error)
            return
        self.outbox.append(Spent(totals.cost_usd + totals.waste_usd))
