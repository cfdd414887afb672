"""What the unified client, the backend manager and the agents share: the settings, the active backend, the runtimes.

A runtime belongs to one event loop, but a client made at import is used by as many as there are calls of `asyncio.run`.
So each loop gets a runtime of its own, with the first call made in it. An asynchronous generator holds it: a loop that
ends closes the generators that began in it while it can still run them, and that closes the runtime where it belongs.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from providers.clock import SYSTEM_CLOCK, Clock
from sandbox.compat.litellm_config import LiteLLMConfig, LLMBackend

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from providers.base import BaseLLMProvider
    from providers.transports.judged import Judge
    from sandbox.compat.machine_time import MachineTime
    from sandbox.costs.limit import AlertCallback
    from sandbox.gateway.call import CallOptions
    from sandbox.health.monitor import HealthMonitor
    from sandbox.runtime import Runtime
    from sandbox.settings import Settings
    from sandbox.settings.model import ProviderSettings

logger = logging.getLogger(__name__)

LONGEST_TIMEOUT: Final = 600.0
"""Seconds: more than one attempt is ever given, so that the time of the whole call is what counts."""
BEAT_SECONDS: Final = 60.0
"""How often the uptime of a self-hosted server is written down while nothing happens."""


class _Kept(NamedTuple):
    runtime: Runtime
    lease: AsyncGenerator[None]


class UnifiedEngine:
    """One set of backends.

    Making it costs nothing: the settings are read by the first use, and anew by the first after `close`, so that a
    module may make one before its environment is complete.
    """

    def __init__(
        self,
        config: LiteLLMConfig | None = None,
        *,
        mock_mode: bool = False,
        timeout: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
        runtime: Runtime | None = None,
    ) -> None:
        """`config`: in place of what the settings say. `timeout`: seconds for a call with its retries, on all backends.

        Live, unless `mock_mode` or SANDBOX_MODE says otherwise. `runtime`: one that runs already, a server's for one;
        its mode, prices, policy and clock are taken as they are, and closing it is its owner's.
        """
        self._given = config
        self._config = config
        self._mock_mode = mock_mode
        self._timeout = timeout
        self._runtime = runtime
        self._settings: Settings | None = None
        self._kept: WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept] = WeakKeyDictionary()
        self._machine: MachineTime | None = None
        self._monitor: HealthMonitor | None = None
        self._alerts: list[AlertCallback] = []
        self._judges: dict[str, Judge] = {}
        self._limit: tuple[Decimal | None] | None = None
        """The budget that was set at run time, in a tuple because it may be none; None: the settings'."""
        self.clock = clock if runtime is None else runtime.clock

    @property
    def settings(self) -> Settings:
        """Raises ConfigError for settings that are wrong."""
        if self._runtime is not None:
            return self._runtime.settings
        if self._settings is None:
            from sandbox.settings import load

            mode = "mock" if self._mock_mode else os.environ.get("SANDBOX_MODE") or "live"
            self._settings = load(flags={"mode": mode, "preset": "unified"}).settings
        return self._settings

    @property
    def config(self) -> LiteLLMConfig:
        """The backends. To change them goes through `reconfigure` and `switch`. Raises ConfigError as `settings`."""
        if self._config is None:
            self._config = LiteLLMConfig.of(self.settings)
        if self._timeout is not None:
            timeout, self._timeout = self._timeout, None
            for backend in LLMBackend:
                self._config.update(backend, timeout=timeout)
        return self._config

    @property
    def machine(self) -> MachineTime:
        """The uptime of the backend that costs by the hour."""
        if self._machine is None:
            from sandbox.compat.machine_time import MachineTime

            settings = self.settings
            self._machine = MachineTime(settings.data_dir, mode=settings.booked, clock=self.clock)
            if self.config.active is LLMBackend.VLLM:
                self._machine.on()
        return self._machine

    # --- runtimes -------------------------------------------------------------------------------------------------

    async def runtime(self) -> Runtime:
        """The runtime of the loop that is running. Raises ConfigError for settings that cannot work."""
        if self._runtime is not None:
            return self._runtime
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            kept = self._kept[loop] = _Kept(self._opened(), self._lease(loop))
            # To its `yield`, where the end of the loop finds it.
            await anext(kept.lease)
        return kept.runtime

    def _runtimes(self) -> Iterator[Runtime]:
        if self._runtime is not None:
            yield self._runtime
        yield from [kept.runtime for kept in self._kept.values()]

    async def _lease(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
        monitor = self._new_monitor()
        try:
            await monitor.start()
            yield
        finally:
            kept = self._kept.pop(loop, None)
            await monitor.stop()
            self.machine.close()
            if kept is not None:
                await kept.runtime.close()

    def _opened(self) -> Runtime:
        from providers.pricing import seed_prices
        from sandbox.gateway.configured import configured_policy
        from sandbox.runtime import Runtime

        settings = self.settings
        settings = settings.model_copy(
            update={
                "chain": list(LLMBackend),
                "cache": settings.cache.model_copy(update={"backend": "off"}),
                "providers": {**settings.providers, **{one: self._provided(settings, one) for one in LLMBackend}},
            }
        )
        policy = configured_policy(settings)
        policy = replace(
            policy,
            # There is no next provider to go to instead, so a Retry-After is waited for as long as the call lasts.
            retry=replace(policy.retry, max_retry_after=LONGEST_TIMEOUT),
            attempt_timeout=LONGEST_TIMEOUT,
        )
        runtime = Runtime.of(settings, clock=self.clock, prices=seed_prices(), policy=policy)
        for one in runtime.gateway.registry:
            one.provider.timeout = LONGEST_TIMEOUT
            self._watch(one.provider, one.id)
        if self._limit is not None:
            runtime.set_budget(None, self._limit[0])
        for callback in self._alerts:
            runtime.budgets.register_alert_callback(callback)
        return runtime

    def _provided(self, settings: Settings, backend: LLMBackend) -> ProviderSettings:
        """A backend's provider settings, with what the configuration says of it."""
        one, configured = self.config.backend(backend), settings.providers[backend]
        served = {"model": one.models[one.default_tier], "models": [*configured.models, *one.models.values()]}
        return configured.model_copy(update={"base_url": one.endpoint, **served})

    async def close(self) -> None:
        """Close the runtime of the loop that is running; the next use reads the settings anew. Safe to call twice."""
        kept = self._kept.get(asyncio.get_running_loop())
        if kept is not None:
            await kept.lease.aclose()
        await self.stop()
        if not self._kept:
            self._machine, self._settings, self._config, self._limit = None, None, self._given, None
            self._judges.clear()

    # --- changes --------------------------------------------------------------------------------------------------

    def reconfigure(self, backend: LLMBackend, *, judge: Judge | None = None, **changes: Any) -> None:
        """Change a backend (see `LiteLLMConfig.update`) and ask it as it is then from now on. Raises InputError.

        `judge`: of where its address leads, from now on.
        """
        self.config.update(backend, **changes)
        if judge is not None:
            self._judges[backend] = judge
        for runtime in self._runtimes():
            runtime.reconfigure(backend, self._provided(runtime.settings, backend))
            provider = runtime.gateway.registry.get(backend).provider
            provider.timeout = LONGEST_TIMEOUT
            self._watch(provider, backend)

    def _watch(self, provider: BaseLLMProvider, backend: str) -> None:
        """Have an address that was given at run time judged by whoever calls it."""
        judge = self._judges.get(backend)
        if judge is not None:
            provider.judge = judge  # type: ignore[attr-defined]  # both backends are on a wire

    def switch(self, backend: LLMBackend) -> None:
        """Answer by another backend from now on. One that costs by the hour begins to, or ceases."""
        machine = self.machine
        self.config.switch(backend)
        if backend is LLMBackend.VLLM:
            machine.on()
        else:
            machine.off()

    def limit(self, amount: Decimal | None) -> None:
        """What may be spent in a month, in every runtime; None: no limit. Raises InputError for what is no budget."""
        for runtime in self._runtimes():
            runtime.set_budget(None, amount)
        self._limit = (amount,)

    def alert(self, callback: AlertCallback) -> None:
        """Call when a threshold of a budget is crossed, in whichever runtime."""
        self._alerts.append(callback)
        for runtime in self._runtimes():
            runtime.budgets.register_alert_callback(callback)

    # --- calls ----------------------------------------------------------------------------------------------------

    def options(self, backend: LLMBackend) -> CallOptions:
        """The backend alone answers, and nothing is cached."""
        from sandbox.gateway.call import CallOptions

        # Text once given cannot be taken back.
        return CallOptions(provider=backend, pinned=True, no_cache=True, restarts=False)

    def used(self, backend: LLMBackend) -> AbstractContextManager[None]:
        """Around a call."""
        return self.machine.used() if backend is LLMBackend.VLLM else nullcontext()

    # --- in the background ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """With a runtime of somebody else's: write the uptime down in the background; a second start changes nothing.

        A runtime of its own does so by itself.
        """
        if self._monitor is None:
            self._monitor = self._new_monitor()
            await self._monitor.start()

    async def stop(self) -> None:
        """End that, and write it down a last time; safe to call twice."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            await monitor.stop()
        if self._machine is not None:
            self._machine.close()

    def _new_monitor(self) -> HealthMonitor:
        from sandbox.health.monitor import HealthMonitor

        return HealthMonitor(self._beat, interval=BEAT_SECONDS, clock=self.clock)

    async def _beat(self) -> None:
        """Write the uptime down, and let the budget know what it costs."""
        if self.config.active is not LLMBackend.VLLM:
            return
        from sandbox.compat.machine_time import month_costs

        self.machine.write()
        runtime = await self.runtime()
        if runtime.budgets.active and runtime.usage is not None:
            await month_costs(runtime, self.machine)
