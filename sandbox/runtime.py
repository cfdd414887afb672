"""The composition root: the only place that wires objects. Every face opens one Runtime and calls its gateway."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from providers import factory
from providers.base import BaseLLMProvider
from providers.clock import SYSTEM_CLOCK, Clock, Randomness, random_id, seeded
from providers.errors import ConfigError, InputError
from providers.faults import FaultBoard
from providers.pricing import Catalogue
from providers.redaction import redact
from providers.vendors.recording import Recorder
from sandbox.cache.base import CacheStore
from sandbox.core.bus import Bus
from sandbox.core.events import BackendSwitched, ComponentFailed, ExchangeRecorded
from sandbox.core.offline import OFFLINE_MODES
from sandbox.costs.base import Budget, BudgetStore
from sandbox.costs.bound import GatewayCosts
from sandbox.costs.budgets import Budgets
from sandbox.gateway.configured import configured_policy
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy
from sandbox.provider_options import provider_options
from sandbox.settings import Settings
from sandbox.settings.loading import secrets_of
from sandbox.settings.model import ProviderSettings
from sandbox.settings.prices import listed_prices, with_machines
from sandbox.sharing import declared_budgets, open_ledgers, shared_breakers, shared_link, shared_turns
from sandbox.stores import BackendUnavailable, Part, Place, Stores, Switched, backends_at
from sandbox.usage.base import UsageStore

if TYPE_CHECKING:
    from decimal import Decimal

    from providers.mock.simulated import Simulation
    from providers.vendors.recording import Saved
    from sandbox.backends import BackendCheck, StoreHealth
    from sandbox.cache.semantic import SemanticIndex
    from sandbox.shared.link import RedisLink

logger = logging.getLogger(__name__)

_KEYLESS = frozenset({"ollama", "vllm", "mock"})
"""Kinds that need an address rather than a credential."""


class Runtime:
    """Everything one process needs to answer requests, built from settings. Belongs to one event loop."""

    def __init__(
        self, settings: Settings, *, clock: Clock, draws: Randomness, ids: Callable[[], str], prices: Catalogue
    ) -> None:
        self.settings = settings
        self.mode = settings.mode
        self.clock = clock
        self.bus = Bus()
        lines = logging.getLogger("sandbox")
        if lines.isEnabledFor(logging.INFO):
            from sandbox.core.log_lines import LogLines

            self.bus.subscribe(LogLines(lines))
        self.faults = FaultBoard(clock)
        self.notes: list[str] = []
        """What does not work as configured, one sentence each; the program goes on without it."""
        self._draws = draws
        self._ids = ids
        self._providers: dict[str, BaseLLMProvider] = {}
        self._replaced: list[BaseLLMProvider] = []
        """Providers that others have taken the place of, to be closed with the rest."""
        self._simulation: Simulation | None = None
        self._similar: SemanticIndex | None = None
        self.recorder = Recorder(
            settings.data_dir / "fixtures",
            always=settings.mode == "record",
            origin="wiretap" if settings.mode in OFFLINE_MODES else "live",
            secrets=tuple(secrets_of(settings)),
            saved=self._recorded,
            failed=lambda sentence: self._failed("recorder", sentence),
            clock=clock,
        )
        self.prices = with_machines(prices, settings)
        self._link: RedisLink | None = None
        self._closing: list[Callable[[], Awaitable[None]]] = []
        """What ends before the stores do."""
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
    ) -> Runtime:
        """Build everything; with `stores=False` nothing is cached or recorded on disk.

        `prices`, `policy`: in place of the settings' own.

        Raises ConfigError or InputError for settings that cannot work.
        """
        prices = prices or listed_prices(settings)
        runtime = cls(settings, clock=clock, draws=draws or seeded(), ids=ids, prices=prices)
        # First everything that can be refused, so that a refusal leaves no store open.
        policy = policy or configured_policy(settings)
        runtime._gather(policy)
        if stores:
            runtime._open_stores()
        runtime.budgets = runtime.budgets_of(settings.booked, shared=stores)
        runtime.gateway = runtime._build(policy)
        return runtime

    @classmethod
    async def open(cls, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Runtime:
        """`of`, from inside the event loop that the runtime is to belong to."""
        runtime = cls.of(settings, clock=clock)
        await runtime._stores.connect(runtime._link)
        return runtime

    def use_preset(self, name: str) -> Gateway:
        """Answer by another preset from now on, with fresh breakers. Raises InputError for an unknown one."""
        self.gateway = self._build(configured_policy(self.settings, name))
        return self.gateway

    @property
    def backends(self) -> dict[Part, str]:
        """What the cache and the usage records are on now; `off` for one that is done without."""
        return self._stores.backends

    async def store_health(self) -> list[StoreHealth]:
        """How the cache and the usage records are, for whoever shows it."""
        from sandbox.backends import store_health

        return await store_health(self._stores)

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
        return await self._stores.switch(backends_at(place, part, self.settings), self._switched)

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
        before = self._providers.pop(id, None)
        try:
            provider = self._provider(id, configured, named=True)
        except InputError:
            if before is not None:
                self._providers[id] = before
            raise
        if before is not None:
            self._replaced.append(before)
        self.settings = self.settings.model_copy(update={"providers": {**self.settings.providers, id: configured}})
        if provider is None:
            return
        if id in self.gateway.registry:
            self.gateway.registry.replace(id, provider)
        else:
            _register(self.gateway, id, configured, provider, len(self.gateway.registry) + 1)

    def forget_fixtures(self) -> None:
        """Files of recordings have changed: the next request finds them as they are now."""
        if self._simulation is not None and self._simulation.library is not None:
            self._simulation.library.forget()

    async def close(self) -> None:
        """Finish what is under way and release everything; safe to call twice."""
        try:
            for provider in (*self._providers.values(), *self._replaced):
                try:
                    await provider.close()
                except Exception as error:
                    logger.warning("closing provider %s failed: %s", provider.kind, redact(str(error)))
        finally:
            await self.recorder.close()
            await self._close_stores()

    async def __aenter__(self) -> Runtime:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- parts ----------------------------------------------------------------------------------------------------

    def _open_stores(self) -> None:
        self._stores.open()
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
        for close in self._closing:
            await close()
        await self.budgets.close()
        await self._stores.close()

    def _gather(self, policy: Policy) -> list[tuple[str, ProviderSettings, BaseLLMProvider]]:
        """The chain's providers that this mode and the settings allow. Raises ConfigError when there are none."""
        gathered = []
        for id in policy.chain:
            configured = self.settings.providers.get(id) or ProviderSettings(kind="mock" if id == "mock" else None)
            provider = self._provider(id, configured, named=self.settings.chain is not None)
            if provider is not None:
                gathered.append((id, configured, provider))
        if not gathered:
            raise ConfigError(
                f"no provider of the chain ({', '.join(policy.chain)}) can be used in mode {self.mode!r}: "
                "set a provider's API key, or use --mode mock, which needs none"
            )
        return gathered

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
            budgets=self.budgets,
            costs=None if self.usage is None else GatewayCosts(self.usage, self.budgets, clock=self.clock),
        )
        for position, (id, configured, provider) in enumerate(self._gather(policy), 1):
            _register(gateway, id, configured, provider, position)
        return gateway

    def _provider(self, id: str, configured: ProviderSettings, *, named: bool) -> BaseLLMProvider | None:
        """The provider of an id, made once; None where this mode or the settings leave it out."""
        kind = configured.kind or id
        if not configured.enabled or kind not in factory.KINDS:
            return None
        simulated = self.mode in OFFLINE_MODES
        if not simulated and not named:
            known = configured.base_url if kind in _KEYLESS else self.settings.credential(id)
            if not known:
                return None
        if id not in self._providers:
            self._providers[id] = factory.create(
                kind,
                **provider_options(self.settings, id, configured),
                registered_as=id,
                prices=self.prices,
                clock=self.clock,
                draws=self._draws,
                faults=self.faults,
                recorder=self.recorder,
                **self._side(simulated),
            )
        return self._providers[id]

    def _shared(self, policy: Policy) -> dict[str, Any]:
        """Breakers and turns that all processes of the same mode and preset share; none where each has its own."""
        if self._link is None:
            return {}
        scope = f"{self.settings.booked}:{policy.name}"
        breakers = shared_breakers(self._link, scope, clock=self.clock, failed=self._failed)
        turns = shared_turns(self._link, scope)
        self._closing += [breakers.close, turns.close]
        return {"breakers": breakers.breaker, "turns": turns}

    def _similar_questions(self) -> SemanticIndex | None:
        """What compares questions, where that is wanted; one for all gateways."""
        cache = self.settings.cache
        if self._similar is None and cache.semantic:
            from sandbox.cache.embedding import index_of

            id, provider = cache.semantic_embedder, None
            if id != "hashing" and self.mode not in OFFLINE_MODES:
                provider = self._provider(id, self.settings.providers[id], named=True)
                if provider is None:
                    self._note(f"cache.semantic_embedder is {id}, which is disabled: questions are not compared")
                    return None
            self._similar = index_of(cache, provider, clock=self.clock)
        return self._similar

    def _side(self, simulated: bool) -> dict[str, Any]:
        """Who is on the other end: the vendor, or a simulation that all providers share."""
        if not simulated:
            return {"mock_mode": False}
        if self._simulation is None:
            from providers.exchange import FixtureLibrary
            from providers.mock.simulated import Simulation

            self._simulation = Simulation(
                seed=self.settings.mock.seed,
                pace=self.settings.mock.pace or "instant",
                library=FixtureLibrary.standard(self.settings.data_dir / "fixtures"),
                fixtures_only=self.mode == "replay",
                window_of=self.prices.context_window,
            )
        return {"mock_mode": True, "simulation": self._simulation}


def _register(
    gateway: Gateway, id: str, configured: ProviderSettings, provider: BaseLLMProvider, position: int
) -> None:
    """Add a provider as its settings say, by default in that position of the chain."""
    gateway.register(
        id,
        provider,
        priority=position if configured.priority is None else configured.priority,
        weight=1.0 if configured.weight is None else configured.weight,
        requests_per_minute=configured.requests_per_minute,
        tokens_per_minute=configured.tokens_per_minute,
    )
