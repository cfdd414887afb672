"""Runs a scenario: the unmodified gateway over simulated providers, all of it on one virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from providers import factory
from providers.clock import SYSTEM_CLOCK, sequential_ids
from providers.errors import InputError, ProviderError
from providers.pricing import Catalogue, catalogue
from providers.types import GenerationRequest
from sandbox.core.bus import Bus, Observer
from sandbox.core.events import Event
from sandbox.core.trace import encode, header, naming
from sandbox.core.virtual import EPOCH_US, VirtualClock, VirtualTimeLoop
from sandbox.costs.base import Budget
from sandbox.costs.budgets import Budgets
from sandbox.costs.memory import MemoryBudgetStore
from sandbox.gateway.breaker import Breaker
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy
from sandbox.gateway.strategies import RoutingStrategy
from sandbox.scenarios.configured import configured
from sandbox.scenarios.draws import SeededDraws
from sandbox.scenarios.faults import Schedule
from sandbox.scenarios.fleet import MAX_REPLICAS, Breakers, FleetTally
from sandbox.scenarios.loader import Scenario
from sandbox.scenarios.parts import TURN, PartProvider, Turn
from sandbox.scenarios.peers import policy_named
from sandbox.scenarios.results import Result, Tally
from sandbox.scenarios.schema import MAX_DRAIN, PolicyPart, ProviderPart
from sandbox.scenarios.traffic import Arrival, arrivals
from sandbox.scenarios.verdict import judge
from sandbox.scenarios.words import filled
from sandbox.settings import Settings

Fidelity = Literal["provider", "wire"]
"""How true the providers are: `provider` says what would come of an attempt, `wire` lets the vendor's own class find it
out from bytes."""
HELD: Final = 500
"""Lines of a trace that are hashed and written at a time."""
Pace = Callable[[int, int], None]
"""Called before time moves on, with now and then in microseconds; takes its own time, in which nothing happens."""


def run(
    scenario: Scenario,
    *,
    preset: str | None = None,
    seed: int | None = None,
    trace: Path | None = None,
    observers: Sequence[Observer] = (),
    pace: Pace | None = None,
    fidelity: Fidelity = "provider",
    replicas: int | None = None,
    breakers: Breakers = "local",
    settings: Settings | None = None,
) -> Result:
    """Run to the end and add up. `preset` and `seed` stand in for the scenario's own; `trace` writes the events.

    `settings`: the policy is theirs, in place of the scenario's (see `configured`).
    `replicas`: so many gateways take turns at the requests, with breakers of their own or the same ones.

    Raises ScenarioError or InputError for what cannot run, before anything has.
    """
    chosen = scenario.document.seed if seed is None else seed
    fleet = None
    if replicas is not None:
        if not 1 <= replicas <= MAX_REPLICAS:
            raise InputError(f"replicas is {replicas}; it must be 1 to {MAX_REPLICAS}")
        fleet = FleetTally(replicas, breakers, scenario.faults, EPOCH_US)
    if settings is None:
        policy = policy_of(scenario, preset)
    else:
        scenario, policy = configured(scenario, settings, preset)
    return Lab(scenario, policy, chosen, observers, fidelity=fidelity, fleet=fleet).run(trace, pace)


def policy_of(scenario: Scenario, name: str | None = None) -> Policy:
    """The preset with what the scenario sets on top. Raises InputError for an unknown preset."""
    document = scenario.document
    part: PolicyPart = document.policy
    policy = policy_named(name or document.preset)
    chain = tuple(one.key for one in document.providers) or policy.chain
    breaker = part.breaker.model_dump(exclude_none=True)
    limits = {
        name: getattr(part, name)
        for name in ("deadline", "attempt_timeout", "max_candidates", "failover_on_content_filter")
        if getattr(part, name) is not None
    }
    return replace(
        policy,
        chain=chain,
        strategy=RoutingStrategy.of(part.strategy) if part.strategy else policy.strategy,
        retry=replace(policy.retry, **part.retry.model_dump(exclude_none=True)),
        breaker=replace(policy.breaker, **breaker),
        breakers={id: replace(one, **breaker) for id, one in policy.breakers.items()},
        streaming=replace(policy.streaming, **part.streaming.model_dump(exclude_none=True)),
        cache=part.cache,
        **limits,
    )


class Lab:
    """One run. Everything in it belongs to its virtual loop."""

    def __init__(
        self,
        scenario: Scenario,
        policy: Policy,
        seed: int,
        observers: Sequence[Observer] = (),
        *,
        fidelity: Fidelity = "provider",
        fleet: FleetTally | None = None,
    ) -> None:
        self.scenario = scenario
        self.policy = policy
        self.seed = seed
        self.fidelity = fidelity
        self.fleet = fleet
        self.prices: Catalogue = catalogue(scenario.document.prices)
        self.bus = Bus()
        self.tally = Tally(self.prices, EPOCH_US, scenario.document.expect)
        self.cut = 0
        self.observers = list(observers)
        self._hash = sha256()
        self._tasks: set[asyncio.Task[None]] = set()
        self._budgets: Budgets | None = None
        self._ended_us = 0

    # --- the run --------------------------------------------------------------------------------------------------

    def run(self, trace: Path | None = None, pace: Pace | None = None) -> Result:
        """Once, to the end."""
        began = SYSTEM_CLOCK.monotonic()
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualTimeLoop)  # noqa: S101  made so a line above
            loop.before_advance = pace
            runner.run(self.main(loop, trace))
        return self.result(SYSTEM_CLOCK.monotonic() - began)

    async def main(self, loop: VirtualTimeLoop, trace: Path | None) -> None:
        clock = VirtualClock(loop)
        schedule = Schedule(self.scenario.faults, clock)
        gateways = self._gateways(clock, schedule)
        head = header(
            scenario=self.scenario.sha256, seed=self.seed, preset=self.policy.name, catalogue=self.prices.version
        )
        with _Lines(trace, self._hash) as lines:
            lines.write(head)
            # The tally first, so that whoever looks at an event finds it counted.
            self.bus.subscribe(self.tally.see)
            self.bus.subscribe(lines.take)
            for observer in self.observers:
                self.bus.subscribe(observer)
            await self._traffic(loop, clock, gateways)
            await self._drain(loop)
            for gateway in gateways:
                await gateway.close()
        self._ended_us = loop.now_us

    async def _traffic(self, loop: VirtualTimeLoop, clock: VirtualClock, gateways: Sequence[Gateway]) -> None:
        document = self.scenario.document
        for index, arrival in enumerate(arrivals(document.traffic, document.duration, self.seed)):
            wait = arrival.at_us - loop.now_us
            if wait > 0:
                await clock.sleep(wait / 1e6)
            task = loop.create_task(self._ask(gateways[index % len(gateways)], index, arrival))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        rest = self.scenario.duration_us - loop.now_us
        if rest > 0:
            await clock.sleep(rest / 1e6)

    async def _drain(self, loop: VirtualTimeLoop) -> None:
        """Let what is in flight end, up to a bound."""
        if not self._tasks:
            return
        _, left = await asyncio.wait(self._tasks, timeout=MAX_DRAIN)
        self.cut = len(left)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _ask(self, gateway: Gateway, index: int, arrival: Arrival) -> None:
        part = self.scenario.document.traffic[arrival.stream]
        request = GenerationRequest(
            prompt=filled(part.prompt, part.input_tokens),
            model=part.model,
            max_tokens=part.max_tokens,
            tenant_id=part.tenant,
            agent_id=part.agent,
            metadata={TURN: Turn(index, part.input_tokens, part.output_tokens)},
        )
        try:
            if part.stream:
                async with aclosing(gateway.stream(request)) as events:
                    async for _ in events:
                        pass
            else:
                await gateway.generate(request)
        except ProviderError:
            pass  # told by the gateway's own event, and counted by its record

    # --- parts ----------------------------------------------------------------------------------------------------

    def _gateways(self, clock: VirtualClock, schedule: Schedule) -> list[Gateway]:
        """One gateway, or a fleet of them before the same providers, caches and budgets."""
        from sandbox.cache.memory import MemoryCacheStore

        fleet, draws, ids = self.fleet, SeededDraws(self.seed), sequential_ids()
        cache = MemoryCacheStore(clock) if self.policy.cache else None
        budgets = self._kept_budgets(clock)
        gateways = [
            Gateway(
                self.policy,
                mode="mock",
                clock=clock,
                draws=draws,
                ids=ids,
                bus=self.bus if fleet is None else fleet.bus(replica, self.bus),
                prices=self.prices,
                cache=cache,
                record=self.tally.record,
                budgets=budgets,
            )
            for replica in range(1 if fleet is None else fleet.replicas)
        ]
        for position, part in enumerate(self._parts(), 1):
            provider = _player(self.fidelity)(part, seed=self.seed, schedule=schedule, clock=clock, prices=self.prices)
            self.tally.know(part.key, provider.kind, provider.model_id)
            shared: Breaker | None = None
            for gateway in gateways:
                deployment = gateway.register(
                    part.key,
                    provider,
                    priority=position,
                    weight=1.0 if part.weight is None else part.weight,
                    requests_per_minute=part.requests_per_minute,
                    tokens_per_minute=part.tokens_per_minute,
                    breaker=shared,
                )
                if fleet is not None and fleet.breakers == "shared":
                    shared = deployment.breaker
        return gateways

    def _kept_budgets(self, clock: VirtualClock) -> Budgets | None:
        """The scenario's budgets over one set of ledgers, whoever asks; None where it has none."""
        parts = self.scenario.document.budgets
        if self._budgets is None and parts:
            self._budgets = Budgets(
                MemoryBudgetStore(clock),
                mode="mock",
                clock=clock,
                bus=self.bus,
                budgets=[
                    Budget(part.tenant, Decimal(str(part.limit)), tuple(Decimal(str(one)) for one in part.thresholds))
                    for part in parts
                ],
            )
        return self._budgets

    def _parts(self) -> Sequence[ProviderPart]:
        """The scenario's providers, or the preset's chain with each provider's own model."""
        listed = self.scenario.document.providers
        if listed:
            return listed
        return [
            ProviderPart.model_validate({"name": kind, "model": factory.provider_class(kind).default_model})
            for kind in self.policy.chain
            if kind in factory.KINDS
        ]

    # --- the end --------------------------------------------------------------------------------------------------

    def result(self, wall_seconds: float) -> Result:
        tally = self.tally
        return Result(
            scenario=self.scenario.name,
            seed=self.seed,
            preset=self.policy.name,
            virtual_seconds=self._ended_us / 1e6,
            wall_seconds=wall_seconds,
            metrics=tally.metrics(),
            attempts_by_provider=_ordered(tally.attempts, self.ids()),
            failed_attempts_by_provider=_ordered(tally.failed_attempts, self.ids()),
            answers_by_provider=_ordered(tally.answers, self.ids()),
            transitions=tuple(tally.transitions),
            errors_by_type=dict(sorted(tally.errors.items())),
            expectations=tuple(judge(one, tally) for one in self.scenario.document.expect),
            trace_sha256=self._hash.hexdigest(),
            cut=self.cut,
            fidelity=self.fidelity,
            fleet=None if self.fleet is None else self.fleet.result(),
        )

    def ids(self) -> list[str]:
        """The providers, in the order of the chain."""
        return [part.key for part in self._parts()]


def _player(fidelity: Fidelity) -> type[PartProvider]:
    """What plays the scenario's providers."""
    if fidelity == "wire":
        from sandbox.scenarios.wired import WiredProvider

        return WiredProvider
    from sandbox.scenarios.simulated import SimulatedProvider

    return SimulatedProvider


def _ordered(counts: dict[str, int], ids: Sequence[str]) -> dict[str, int]:
    return {id: counts.get(id, 0) for id in ids}


class _Lines:
    """The lines of a trace: hashed always, and written where a file is wanted."""

    def __init__(self, path: Path | None, digest: Any) -> None:
        self._digest = digest
        self._held: list[bytes] = []
        self._file = None
        if path is not None:
            try:
                self._file = path.open("wb")
            except OSError as error:
                raise InputError(f"cannot write the trace to {path}: {error.strerror}") from None

    def take(self, event: Event) -> None:
        self.write(encode(event))

    def write(self, line: bytes) -> None:
        held = self._held
        held.append(line)
        if len(held) >= HELD:
            self._flush()

    def _flush(self) -> None:
        self._held.append(b"")
        data = b"\n".join(self._held)
        self._held.clear()
        self._digest.update(data)
        if self._file is not None:
            with naming(self._file):
                self._file.write(data)

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._flush()
        finally:
            if self._file is not None:
                with naming(self._file):
                    self._file.close()
