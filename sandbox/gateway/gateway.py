"""The one path of every request, in reading order: cache, plan, budgets, candidates, cost, usage record, response.

Mock, replay, live, scenarios, server, command line and UI all come through here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from providers.attempts import Deadline
from providers.base import BaseLLMProvider
from providers.clock import SYSTEM_CLOCK, Clock, Randomness, random_id, seeded
from providers.errors import InvalidRequestError, ProviderTimeoutError
from providers.pricing import Catalogue, catalogue
from providers.redaction import redact
from providers.types import Completion, GenerationRequest, LLMResponse, StreamEvent
from sandbox.cache.base import CacheStore
from sandbox.cache.semantic import SemanticIndex
from sandbox.core.bus import Bus
from sandbox.core.events import (
    BreakerClosed,
    BreakerForced,
    BreakerHalfOpened,
    BreakerOpened,
    PlannedCandidate,
    ProviderEnabled,
    RequestReceived,
    RouteChosen,
)
from sandbox.costs.bound import GatewayCosts
from sandbox.costs.budgets import Budgets
from sandbox.gateway.answers import pack, unpack
from sandbox.gateway.breaker import Breaker, BreakerPolicy, OnChange, Transition
from sandbox.gateway.call import DEFAULT_OPTIONS, Call, CallOptions, kept_name
from sandbox.gateway.deployments import Deployment, ProviderStatus, Registry
from sandbox.gateway.flights import Flights
from sandbox.gateway.keeping import Keeping
from sandbox.gateway.ledger import Exchanged, Ledger, Recorder
from sandbox.gateway.limits import RateLimits
from sandbox.gateway.policies import Policy
from sandbox.gateway.quotas import DayQuota
from sandbox.gateway.router import Candidate, Plan, Router
from sandbox.gateway.spending import allowance
from sandbox.gateway.streaming import StreamRun, replayed
from sandbox.gateway.turns import Turns
from sandbox.gateway.walk import Tools, Walk, check_withheld

BreakerMaker = Callable[[str, BreakerPolicy, OnChange], Breaker]
"""Makes the breaker of a provider's id."""

_BY_STATE = {"open": BreakerOpened, "half_open": BreakerHalfOpened, "closed": BreakerClosed}


logger = logging.getLogger(__name__)


class Gateway:
    """Answers requests through a chain of registered providers. One gateway belongs to one event loop."""

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        mode: str = "live",
        clock: Clock = SYSTEM_CLOCK,
        draws: Randomness | None = None,
        ids: Callable[[], str] = random_id,
        bus: Bus | None = None,
        prices: Catalogue | None = None,
        cache: CacheStore | None = None,
        cache_ttl: float = 3600.0,
        similar_questions: SemanticIndex | None = None,
        record: Recorder | None = None,
        store_prompts: bool = False,
        exchanged: Exchanged | None = None,
        budgets: Budgets | None = None,
        breakers: BreakerMaker | None = None,
        turns: Turns | None = None,
        costs: GatewayCosts | None = None,
    ) -> None:
        self.policy = policy or Policy()
        self.mode = mode
        self.clock = clock
        self.bus = bus or Bus()
        self.prices = prices or catalogue("current")
        self.registry = Registry()
        draws = draws or seeded()
        self.router = Router(self.registry, self.policy, prices=self.prices, clock=clock, draws=draws, turns=turns)
        self._ids = ids
        self._keeping = Keeping(
            cache,
            ttl=cache_ttl,
            policy=self.policy,
            mode=mode,
            bus=self.bus,
            prices=self.prices,
            similar=similar_questions,
        )
        self.budgets = budgets
        self._breakers = breakers
        self.costs = costs
        """What was spent, from the records of this gateway's mode; None where none are kept."""
        self._flights = Flights()
        self._tools = Tools(self.policy, self.router, self.prices, clock, draws, self.bus)
        self._ledger = Ledger(
            prices=self.prices,
            clock=clock,
            bus=self.bus,
            mode=mode,
            record=record,
            store_prompts=store_prompts,
            exchanged=exchanged,
        )

    # --- providers ------------------------------------------------------------------------------------------------

    def register(
        self,
        id: str,
        provider: BaseLLMProvider,
        *,
        priority: int = 100,
        weight: float = 1.0,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        quota: DayQuota | None = None,
        breaker: Breaker | None = None,
    ) -> Deployment:
        """Add a provider under a unique id. Raises InputError when the id is taken.

        `breaker`: one that another gateway has too, in place of one of its own.
        """
        if breaker is None:

            def changed(change: Transition) -> None:
                self._breaker_changed(id, change)

            own = self.policy.breaker_for(id)
            if self._breakers is not None and own.mode != "off" and self.policy.breaker_model is None:
                breaker = self._breakers(id, own, changed)
            else:
                breaker = self.policy.new_breaker(id, self.clock, changed, self.registry.__len__)
        limits = (
            RateLimits(requests_per_minute, tokens_per_minute, self.clock, quota)
            if requests_per_minute or tokens_per_minute or quota
            else None
        )
        return self.registry.add(Deployment(id, provider, breaker, self.clock, priority, weight=weight, limits=limits))

    def breaker(self, id: str) -> Breaker:
        """The breaker of a registered provider, to force or to reset by hand."""
        return self.registry.get(id).breaker

    def enable(self, id: str, reason: str = "by hand") -> None:
        """Put a disabled provider back into rotation; one that is in it stays there."""
        if self.registry.get(id).enable() and self.bus.active:
            self.bus.publish(ProviderEnabled(self.clock.time_us(), "", id, None, reason))

    def health(self) -> list[ProviderStatus]:
        """How every provider is doing, in the order of the chain."""
        report = []
        for one in self.registry:
            gone = one.disabled(one.provider.model_id)
            metrics = one.metrics
            report.append(
                ProviderStatus(
                    one.id,
                    one.kind,
                    one.model,
                    one.breaker.snapshot(),
                    gone.message if gone else None,
                    metrics.attempts,
                    metrics.success_rate,
                    metrics.average_latency_ms,
                    metrics.last_error,
                    format(metrics.cost_usd, "f"),
                )
            )
        return report

    def _breaker_changed(self, id: str, change: Transition) -> None:
        if not self.bus.active:
            return
        now = self.clock.time_us()
        until = None if change.until is None else now + round((change.until - self.clock.monotonic()) * 1e6)
        cls = _BY_STATE.get(change.to_state)
        if cls is not None:
            self.bus.publish(cls(now, "", id, change.from_state, change.reason, until))
        else:
            self.bus.publish(BreakerForced(now, "", id, change.from_state, change.reason, until, change.to_state))

    # --- requests -------------------------------------------------------------------------------------------------

    def use_stores(self, *, cache: CacheStore | None, record: Recorder | None) -> None:
        """Keep answers and hand usage records over there from now on, those of requests under way too."""
        self._keeping.use(cache)
        self._ledger.use(record)

    def plan(self, request: GenerationRequest | str, options: CallOptions = DEFAULT_OPTIONS) -> Plan:
        """What `generate` would do, without doing it. Raises InputError for an unknown model, provider or strategy."""
        return self.router.plan(
            GenerationRequest.of(request),
            strategy=options.strategy,
            first=options.provider,
            pinned=options.pinned,
            fallbacks=options.fallbacks,
            peek=True,
        )

    async def generate(self, request: GenerationRequest | str, options: CallOptions = DEFAULT_OPTIONS) -> LLMResponse:
        """The whole answer. Raises the request's one ProviderError (see `final_error`), or an InputError."""
        call = self._begin(GenerationRequest.of(request), options, stream=False)
        key = self._key(call)
        if key is None:
            return await self._ask(call, None)
        kept = await self._lookup(call, key)
        if kept is not None:
            return self._ledger.hit(call, kept, coalesced=False)
        if key in self._flights:
            return await self._follow(call, key)
        if call.request.timeout is not None:
            # Its own deadline is no measure for others, so nobody is to depend on this call.
            return await self._ask(call, key)
        return await self._flights.join(key, lambda: self._ask(call, key))

    async def stream(
        self, request: GenerationRequest | str, options: CallOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[StreamEvent]:
        """The answer as it is written; the last event is StreamFinished with the response.

        After the first text a failure follows the stream policy; the caller's `aclose` closes upstream at once.
        """
        async with aclosing(self.stream_batches(request, options)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def stream_batches(
        self, request: GenerationRequest | str, options: CallOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[list[StreamEvent]]:
        """`stream` with the events that came together in one list, for who passes many streams on."""
        call = self._begin(GenerationRequest.of(request), options, stream=True)
        key = self._key(call)
        kept = None if key is None else await self._lookup(call, key)
        if kept is not None:
            yield list(replayed(self._ledger.hit(call, kept, coalesced=False)))
            return
        run: StreamRun | None = None
        try:
            candidates = self._planned(call)
            await self._reserve(call)
            run = StreamRun(call, Walk(call, candidates, self._tools), self._tools, self._ledger)
            async with aclosing(run.batches()) as batches:
                async for batch in batches:
                    yield batch
        except (asyncio.CancelledError, GeneratorExit):
            # A caller that leaves at the last event has had its answer, and that is booked.
            if run is None or run.response is None:
                self._ledger.cancelled(call)
            raise
        except Exception as error:
            self._ledger.failed(call, error)
            raise
        if key is not None and run.response is not None and options.store_stream:
            await self._keeping.keep(call, key, run.response)

    # --- steps ----------------------------------------------------------------------------------------------------

    def _begin(self, request: GenerationRequest, options: CallOptions, *, stream: bool) -> Call:
        clock = self.clock
        now = clock.monotonic()
        seconds = request.timeout or self.policy.deadline
        call = Call(
            options.request_id or self._ids(),
            request,
            options,
            clock,
            now,
            clock.time_us(),
            Deadline(clock, seconds),
            stream,
        )
        if self.bus.active:
            self.bus.publish(
                RequestReceived(
                    call.arrived_us,
                    call.id,
                    request.tenant_id,
                    request.agent_id,
                    kept_name(request.model),
                    self.mode,
                    stream,
                    seconds,
                )
            )
        return call

    def _key(self, call: Call) -> str | None:
        try:
            return self._keeping.key(call)
        except (TypeError, ValueError) as error:
            refused = InvalidRequestError(f"the request holds something that cannot be sent as JSON: {error}")
            self._ledger.failed(call, refused)
            raise refused from None

    async def _lookup(self, call: Call, key: str) -> LLMResponse | None:
        try:
            return await self._keeping.find(call, key)
        except asyncio.CancelledError:
            self._ledger.cancelled(call)
            raise

    async def _follow(self, call: Call, key: str) -> LLMResponse:
        """Share the answer of an identical question that is being asked already, within this call's own deadline."""
        timer = self.clock.timeout(call.deadline.remaining())
        try:
            async with timer:
                response = await self._flights.join(key, lambda: self._ask(call, key))
        except asyncio.CancelledError:
            self._ledger.cancelled(call)
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and timer.expired():
                seconds = call.deadline.seconds
                error = ProviderTimeoutError(
                    f"the request's deadline of {seconds:g} s passed while an identical one was under way"
                )
            self._ledger.failed(call, error)
            raise error from None
        shared = unpack(pack(response))
        assert shared is not None  # noqa: S101  just packed
        return self._ledger.hit(call, shared, coalesced=True)

    async def _ask(self, call: Call, key: str | None) -> LLMResponse:
        """Plan, walk the candidates, close the books."""
        try:
            candidates = self._planned(call)
            await self._reserve(call)
            walk = Walk(call, candidates, self._tools)
            request = call.request

            async def shot(candidate: Candidate) -> Completion:
                completion = await candidate.deployment.provider.attempt(request, candidate.model_id)
                check_withheld(self.policy, completion)
                return completion

            answer = await walk.advance(shot, attempt_timeout=self.policy.attempt_timeout)
            walk.settle_success(answer, self.clock.monotonic() - answer.began)
            response = self._ledger.answered(call, answer, answer.value, ttft=None)
        except asyncio.CancelledError:
            self._ledger.cancelled(call)
            raise
        except Exception as error:
            self._ledger.failed(call, error)
            raise
        if key is not None:
            await self._keeping.keep(call, key, response)
        return response

    def _planned(self, call: Call) -> Sequence[Candidate]:
        options = call.options
        call.plan = plan = self.router.plan(
            call.request,
            strategy=options.strategy,
            first=options.provider,
            pinned=options.pinned,
            fallbacks=options.fallbacks,
        )
        if self.bus.active:
            listed = tuple(PlannedCandidate(c.deployment.id, c.model, c.why) for c in plan.candidates.listed)
            self.bus.publish(RouteChosen(self.clock.time_us(), call.id, str(plan.strategy), listed))
        return plan.candidates

    async def _reserve(self, call: Call) -> None:
        """Hold what the call may cost at most on the dearest candidate that its budgets still pay for."""
        if self.budgets is None or not self.budgets.active:
            return
        # A stream may go on beyond the deadline, which runs to its first text.
        left = call.deadline.remaining()
        seconds = max(left, self.policy.streaming.max_stream) if call.stream else left
        request, router = call.request, self.router
        pinned = call.plan if call.options.pinned else None
        lanes = router.lanes(request.model, call.options.fallbacks) if pinned is None else pinned.candidates
        estimate = router.estimates(request)
        timer = self.clock.timeout(left)
        try:
            async with timer:
                call.allowance = await allowance(self.budgets, call, lanes, estimate, seconds=seconds)
        except TimeoutError:
            raise call.deadline.passed() from None

    async def close(self) -> None:
        """Close every provider, also when one of them fails at it; safe to call twice."""
        results = await asyncio.gather(*(one.provider.close() for one in self.registry), return_exceptions=True)
        for one, result in zip(self.registry, results, strict=False):
            if isinstance(result, Exception):
                logger.warning("closing provider %s failed: %s", one.id, redact(str(result)))
