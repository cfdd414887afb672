"""The composition root: the only place that wires objects. Every face opens one Runtime and calls its gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from providers.base import BaseLLMProvider
from providers.clock import SYSTEM_CLOCK, Clock, Randomness, random_id, seeded
from providers.errors import InputError
from providers.pricing import Catalogue
from sandbox.cache.base import CacheStore
from sandbox.core.bus import Bus
from sandbox.core.events import BackendSwitched, ComponentFailed, ExchangeRecorded
from sandbox.core.offline import OFFLINE_MODES, is_local
from sandbox.costs.base import Budget, BudgetStore
from sandbox.costs.bound import GatewayCosts
from sandbox.costs.budgets import Budgets
from sandbox.gateway.configured import configured_policy
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy
from sandbox.gateway.quotas import Quotas
from sandbox.provider_set import Gathered, ProviderSet
from sandbox.settings import Settings
from sandbox.settings.loading import secrets_of
from sandbox.settings.model import ProviderSettings
from sandbox.settings.prices import listed_prices, with_machines
from sandbox.sharing import (
    SharedHealth,
    declared_budgets,
    open_ledgers,
    shared_breakers,
    shared_health,
    shared_link,
    shared_turns,
)
from sandbox.stores import BackendUnavailable, Part, Place, Stores, Switched, backends_at
from sandbox.usage.base import UsageStore

if TYPE_CHECKING:
    from decimal import Decimal

    from providers.vendors.recording import Saved
    from sandbox.backends import BackendCheck, StoreHealth
    from sandbox.cache.semantic import SemanticIndex
    from sandbox.shared.link import RedisLink
    from sandbox.telemetry.export import Telemetry

logger = logging.getLogger(__name__)


class Runtime:
    """Everything one process needs to answer requests, built from settings. Belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        draws: Randomness,
        ids: Callable[[], str],
        prices: Catalogue,
        answers: bool = True,
    ) -> None:
        self.settings = settings
        self.mode = settings.mode
        self.clock = clock
        self.bus = Bus()
        lines = logging.getLogger("sandbox")
        if lines.isEnabledFor(logging.INFO):
            from sandbox.core.log_lines import LogLines

            self.bus.subscribe(LogLines(lines))
        self.notes: list[str] = []
        """What does not work as configured, one sentence each; the program goes on without it."""
        self._answers = answers
        self._draws = draws
        self._ids = ids
        self._similar: SemanticIndex | None = None
        self._quotas = Quotas(clock)
        self._telemetry: Telemetry | None = None
        self.prices = with_machines(prices, settings)
        self._providers = ProviderSet(
            settings, prices=self.prices, clock=clock, draws=draws, saved=self._recorded, failed=self._failed
        )
        self.faults, self.recorder = self._providers.faults, self._providers.recorder
        self._link: RedisLink | None = None
        self._sharing: list[Callable[[], Awaitable[None]]] = []
        """Ends what this gateway shares with others; to be awaited before the link is closed."""
        self._leaving: set[asyncio.Task[None]] = set()
        self._stores = Stores(settings, clock=clock, told=self._note, failed=self._failed)
        self.cache: CacheStore | None = None
        self.usage: UsageStore | None = None
        self.budgets: Budgets
        self.gateway: Gateway

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        draws: Randomness | None = None,
        ids: Callable[[], str] = random_id,
        prices: Catalogue | None = None,
        policy: Policy | None = None,
        stores: bool = True,
        answers: bool = True,
    ) -> Runtime:
        """Build everything; with `stores=False` nothing is cached or recorded on disk.

        `prices`, `policy`: in place of the settings' own. `answers=False`: for looking at what is kept, which needs no
        provider, and so no credential of one in any mode.

        Raises ConfigError or InputError for settings that cannot work.
        """
        prices = prices or listed_prices(settings)
        runtime = cls(settings, clock=clock, draws=draws or seeded(), ids=ids, prices=prices, answers=answers)
        # First everything that can be refused, so that a refusal leaves no store open.
        policy = policy or configured_policy(settings)
        runtime._chain(policy)
        if stores:
            runtime._open_stores()
        runtime.budgets = runtime.budgets_of(settings.booked, shared=stores)
        runtime.gateway = runtime._build(policy)
        if answers and settings.telemetry.endpoint is not None:
            runtime._open_telemetry(settings.telemetry.endpoint)
        return runtime

    @classmethod
    async def open(cls, settings: Settings, *, clock: Clock = SYSTEM_CLOCK, answers: bool = True) -> Runtime:
        """`of`, from inside the event loop that the runtime is to belong to."""
        runtime = cls.of(settings, clock=clock, answers=answers)
        await runtime._stores.connect(runtime._link)
        await runtime._quotas.recall(runtime.usage, settings.booked)
        return runtime

    def use_preset(self, name: str) -> Gateway:
        """Answer by another preset from now on, with fresh breakers. Raises InputError for an unknown one."""
        policy = configured_policy(self.settings, name)
        left, self._sharing = self._sharing, []
        self.gateway = self._build(policy)
        for close in left:
            # What calls under way still report arrives; nobody listens for its breakers any more.
            task = asyncio.ensure_future(close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        return self.gateway

    @property
    def backends(self) -> dict[Part, str]:
        """What the cache and the usage records are on now; `off` for one that is done without."""
        return self._stores.backends

    async def store_health(self) -> list[StoreHealth]:
        """How the cache and the usage records are, for whoever shows it."""
        from sandbox.backends import store_health

        return await store_health(self._stores)

    async def shared_health(self) -> SharedHealth | None:
        """How the server is through which processes share their state; None where each keeps its own."""
        return None if self._link is None else await shared_health(self._link)

    async def check_backend(self, place: Place, *, part: Part | None = None) -> list[BackendCheck]:
        """Try out what a switch would put the cache and the usage records, or one of them, on."""
        from sandbox.backends import check_backends

        return await check_backends(self.settings, backends_at(place, part, self.settings), clock=self.clock)

    async def switch_backend(self, place: Place, *, part: Part | None = None, checked: bool = False) -> list[Switched]:
        """Put the cache and the usage records, or one of them, here or on AWS while requests go on.

        Each is tried out first, unless its caller has just `checked` it. Each request's record goes to exactly one
        store; the stores before are closed when this returns what changed. Raises BackendUnavailable, with nothing
        changed. It is for this runtime alone: `write_place` says it in the settings.
        """
        if not checked:
            bad = [check for check in await self.check_backend(place, part=part) if check.problem is not None]
            if bad:
                raise BackendUnavailable("; ".join([*(str(check.problem) for check in bad), "nothing was changed"]))
        backends = backends_at(place, part, self.settings)
        return await self._stores.switch(backends, self._switched, self.budgets.carry_over)

    def set_budget(self, tenant: str | None, limit_usd: Decimal | None) -> None:
        """What a tenant (None: all together) may spend in a month from now on, USD; None: there is no limit.

        It is for this runtime alone: `sandbox.costs.setting.write_budget` says it in the settings. Raises InputError.
        """
        from sandbox.costs.setting import with_budget

        if limit_usd is not None:
            self.budgets.set(Budget(tenant, limit_usd, tuple(self.settings.budgets.thresholds)))
        elif any(one.tenant == tenant for one in self.budgets):
            self.budgets.remove(tenant)
        self.settings = with_budget(self.settings, tenant, limit_usd)

    def budgets_of(self, mode: str, *, shared: bool = True) -> Budgets:
        """The settings' budgets over the ledgers of a mode, which all processes of this data folder share, or none."""
        from sandbox.costs.memory import MemoryBudgetStore

        store: BudgetStore = MemoryBudgetStore(self.clock)
        if shared:
            store = open_ledgers(self.settings, mode, link=self._link, clock=self.clock, failed=self._failed)
        budgets = Budgets(
            store,
            mode=mode,
            clock=self.clock,
            bus=self.bus,
            usage=self.usage,
            told=lambda sentence: logger.warning("%s", sentence),
        )
        for budget in declared_budgets(self.settings):
            budgets.set(budget)
        return budgets

    def reconfigure(self, id: str, configured: ProviderSettings) -> None:
        """A provider with other settings from now on, its address for one; calls under way end as they began.

        Raises ConfigError for settings that cannot work, and has then changed nothing.
        """
        provider = self._providers.remake(self.settings, id, configured)
        self.settings = self.settings.model_copy(update={"providers": {**self.settings.providers, id: configured}})
        if provider is None:
            return
        if id in self.gateway.registry:
            self.gateway.registry.replace(id, provider)
        else:
            self._register(self.gateway, id, configured, provider, len(self.gateway.registry) + 1)

    def forget_fixtures(self) -> None:
        """Files of recordings have changed: the next request finds them as they are now."""
        self._providers.forget_fixtures()

    async def close(self) -> None:
        """Finish what is under way and release everything; safe to call twice."""
        try:
            await self._providers.close()
        finally:
            await self._close_stores()

    async def __aenter__(self) -> Runtime:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- parts ----------------------------------------------------------------------------------------------------

    def _open_stores(self) -> None:
        self._stores.open(reading=not self._answers)
        self.cache, self.usage = self._stores.cache, self._stores.usage
        try:
            self._link = shared_link(self.settings)
        except InputError as error:
            self._note(f"{error}: nothing is shared with other processes")

    def _switched(self, changes: Sequence[Switched]) -> None:
        self.settings = self._stores.settings
        self.cache, self.usage = self._stores.cache, self._stores.usage
        self.gateway.use_stores(cache=self.cache, record=None if self.usage is None else self.usage.record)
        for change in changes:
            if self.bus.active:
                self.bus.publish(BackendSwitched(self.clock.time_us(), "", change.part, change.before, change.after))

    def _open_telemetry(self, endpoint: str) -> None:
        from urllib.parse import urlsplit

        if self.mode in OFFLINE_MODES and not is_local(urlsplit(endpoint).hostname):
            self._note(f"{self.mode} mode stays on this machine: nothing is sent to telemetry.endpoint")
            return
        try:
            from sandbox.telemetry.export import Telemetry
        except ModuleNotFoundError as error:
            self._note(f"telemetry.endpoint needs the extra `otel` ({error}): pip install llm-failover-sandbox[otel]")
            return
        contents = None
        if self.settings.telemetry.content:
            from sandbox.telemetry.contents import Contents

            contents = Contents(secrets_of(self.settings))
        self._telemetry = Telemetry.to(endpoint, self.bus, contents=contents)

    def _exchanged(self, *told: Any) -> None:
        """Tell the telemetry what a request was about, where there is one."""
        if self._telemetry is not None:
            self._telemetry.exchanged(*told)

    def _recorded(self, saved: Saved) -> None:
        self.forget_fixtures()
        if self.bus.active:
            exchange = saved.exchange
            self.bus.publish(
                ExchangeRecorded(self.clock.time_us(), "", exchange.provider, exchange.api, str(saved.path))
            )

    def _failed(self, component: str, sentence: str) -> None:
        logger.warning("%s", sentence)
        if self.bus.active:
            self.bus.publish(ComponentFailed(self.clock.time_us(), "", component, sentence))

    def _note(self, sentence: str) -> None:
        self.notes.append(sentence)
        logger.warning("%s", sentence)

    async def _close_stores(self) -> None:
        telemetry, self._telemetry = self._telemetry, None
        if telemetry is not None:
            await asyncio.to_thread(telemetry.close)
        try:
            await asyncio.gather(*self._leaving, *(close() for close in self._sharing))
        finally:
            try:
                await self.budgets.close()
            finally:
                await self._stores.close()

    def _chain(self, policy: Policy) -> list[Gathered]:
        """Raises ConfigError when nobody of the chain can be asked."""
        return self._providers.of_chain(self.settings, policy) if self._answers else []

    def _build(self, policy: Policy) -> Gateway:
        settings = self.settings
        gateway = Gateway(
            policy,
            mode=settings.booked,
            clock=self.clock,
            draws=self._draws,
            ids=self._ids,
            bus=self.bus,
            prices=self.prices,
            cache=self.cache,
            cache_ttl=settings.cache.ttl,
            similar_questions=self._similar_questions(),
            **self._shared(policy),
            record=self.usage.record if self.usage is not None else None,
            store_prompts=settings.usage.store_prompts,
            exchanged=self._exchanged if settings.telemetry.content else None,
            budgets=self.budgets,
            costs=None if self.usage is None else GatewayCosts(self.usage, self.budgets, clock=self.clock),
        )
        for position, (id, configured, provider) in enumerate(self._chain(policy), 1):
            self._register(gateway, id, configured, provider, position)
        return gateway

    def _register(
        self, gateway: Gateway, id: str, configured: ProviderSettings, provider: BaseLLMProvider, position: int
    ) -> None:
        """Add a provider as its settings say, by default in that position of the chain."""
        gateway.register(
            id,
            provider,
            priority=position if configured.priority is None else configured.priority,
            weight=1.0 if configured.weight is None else configured.weight,
            requests_per_minute=configured.requests_per_minute,
            tokens_per_minute=configured.tokens_per_minute,
            quota=self._quotas.of(id, configured.requests_per_day),
        )

    def _shared(self, policy: Policy) -> dict[str, Any]:
        """Breakers and turns that all processes of the same mode and preset share; none where each has its own."""
        if self._link is None:
            return {}
        scope = f"{self.settings.booked}:{policy.name}"
        breakers = shared_breakers(self._link, scope, clock=self.clock, failed=self._failed)
        turns = shared_turns(self._link, scope)
        self._sharing += [breakers.close, turns.close]
        return {"breakers": breakers.breaker, "turns": turns}

    def _similar_questions(self) -> SemanticIndex | None:
        """What compares questions, where that is wanted; one for all gateways."""
        cache = self.settings.cache
        if self._similar is None and cache.semantic and self._answers:
            from sandbox.cache.embedding import index_of

            id, provider = cache.semantic_embedder, None
            if id != "hashing" and self.mode not in OFFLINE_MODES:
                provider = self._providers.of(self.settings, id, self.settings.providers[id], named=True)
                if provider is None:
                    self._note(f"cache.semantic_embedder is {id}, which is disabled: questions are not compared")
                    return None
            self._similar = index_of(cache, provider, clock=self.clock)
        return self._similar
