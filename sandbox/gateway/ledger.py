"""Closes a request's books: price, premium, response, usage record and the closing events, for every outcome once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from providers.clock import Clock, iso
from providers.errors import ProviderError, StreamInterruptedError
from providers.pricing import Catalogue
from providers.redaction import redact
from providers.types import Completion, LLMResponse, Message, TokenUsage, ToolCall
from sandbox.core.bus import Bus
from sandbox.core.events import (
    CacheHit,
    ChunkReceived,
    ComponentFailed,
    CostComputed,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    UsageRecorded,
)
from sandbox.gateway.call import Call, kept_name
from sandbox.gateway.router import foreseen_tokens
from sandbox.gateway.walk import Answer
from sandbox.usage.base import UsageRecord

logger = logging.getLogger(__name__)

_NOTHING = Decimal(0)

Recorder = Callable[[UsageRecord], None]
Exchanged = Callable[[str, Sequence[Message], str, Sequence[ToolCall], str], None]
"""Hears the id of a request, its messages, the text and the tool calls of its answer, and why that ended (`error`: it
broke off, and this is what had come)."""


class Ledger:
    def __init__(
        self,
        *,
        prices: Catalogue,
        clock: Clock,
        bus: Bus,
        mode: str,
        record: Recorder | None,
        store_prompts: bool = False,
        exchanged: Exchanged | None = None,
    ) -> None:
        self._prices = prices
        self._clock = clock
        self._bus = bus
        self._mode = mode
        self._record = record
        self._store_prompts = store_prompts
        self._exchanged = exchanged

    def use(self, record: Recorder | None) -> None:
        """Hand usage records over there from now on."""
        self._record = record

    # --- outcomes -------------------------------------------------------------------------------------------------

    def answered(
        self,
        call: Call,
        answer: Answer[Any],
        completion: Completion,
        *,
        ttft: float | None,
        busy: float | None = None,
    ) -> LLMResponse:
        """The response of a whole answer.

        `ttft` is the moment of a stream's first text, in monotonic seconds; `busy` how long the provider worked, in
        seconds (None: until now), without the pauses of a slow reader.
        """
        candidate, clock = answer.candidate, self._clock
        provider = candidate.deployment.provider
        usage = provider.usage_of(call.request, completion)
        if busy is None:
            busy = clock.monotonic() - answer.began
        price, named, now_us = None, "", clock.time_us()
        given = usage.total_cost_usd
        for model in provider.priced_as(completion, candidate.model_id):
            if price is None:
                price, named = self._prices.price(provider.kind, model, usage, at=now_us, busy_seconds=busy), model
        # A provider of the user's own may know its price itself.
        cost: Decimal | None = given
        if price is not None and given is None:
            cost = price.total
            usage.input_cost_usd, usage.output_cost_usd, usage.total_cost_usd = price.input, price.output, cost
        answer.record.cost_usd = cost
        candidate.deployment.metrics.spent(usage.total_tokens, cost)
        if candidate.deployment.limits is not None:
            candidate.deployment.limits.settle(foreseen_tokens(call.request), usage.total_tokens)
        response = LLMResponse(
            text=completion.text or "",
            provider=candidate.deployment.id,
            model=candidate.model,
            model_id=completion.model or candidate.model_id,
            requested_model=call.request.model,
            usage=usage,
            cost_usd=cost,
            waste_usd=call.waste,
            finish_reason=completion.finish_reason,
            stop=completion.stop,
            latency_ms=call.elapsed_ms(),
            ttft_ms=None if ttft is None else (ttft - call.started) * 1000.0,
            attempts=call.records,
            failovers=call.failovers,
            reasoning_text=completion.reasoning_text,
            tool_calls=completion.tool_calls,
            request_id=call.id,
            # A simulated provider among real ones says so: modes never mix.
            mode=getattr(provider, "mode", self._mode),
            metadata=completion.metadata,
        )
        premium = self._premium(call, usage, cost)
        response.metadata["premium_usd"] = premium
        bus = self._bus
        if bus.active:
            bus.publish(CostComputed(clock.time_us(), call.id, cost, call.waste, premium, self._prices.version))
        if named == candidate.model or price is None or given is not None:
            named = ""
        elif price == self._prices.price(provider.kind, candidate.model, usage, at=now_us, busy_seconds=busy):
            # A snapshot of the model, mostly, at its price: the record is to name only what makes a difference.
            named = ""
        self._book(call, response, None, priced_as=named)
        self._completed(call, response)
        return response

    def hit(self, call: Call, response: LLMResponse, *, coalesced: bool) -> LLMResponse:
        """A kept (or shared) answer becomes this call's response, at cost 0."""
        response.requested_model = call.request.model
        response.request_id = call.id
        response.mode = self._mode
        response.coalesced = coalesced
        response.waste_usd = call.waste
        response.latency_ms = call.elapsed_ms()
        if call.stream:
            response.ttft_ms = response.latency_ms
        if self._bus.active:
            self._bus.publish(
                CacheHit(
                    self._clock.time_us(),
                    call.id,
                    response.provider,
                    response.model,
                    response.saved_usd,
                    coalesced,
                    response.metadata.get("similarity"),
                )
            )
            if call.stream and response.text and self._bus.read:
                self._bus.publish(ChunkReceived(self._clock.time_us(), call.id, response.provider, response.text))
        self._book(call, response, None)
        self._completed(call, response)
        return response

    def failed(self, call: Call, error: Exception) -> None:
        if call.booked:
            return
        partial = error.partial_text if isinstance(error, StreamInterruptedError) else ""
        self._book(call, None, type(error).__name__)
        if self._bus.active:
            message = error.message if isinstance(error, ProviderError) else redact(str(error))
            retry_after = error.retry_after if isinstance(error, ProviderError) else None
            self._bus.publish(
                RequestFailed(
                    self._clock.time_us(),
                    call.id,
                    type(error).__name__,
                    message,
                    retry_after,
                    call.elapsed_ms(),
                    len(partial),
                    call.waste,
                )
            )

    def cancelled(self, call: Call) -> None:
        if call.booked:
            return
        self._book(call, None, "Cancelled")
        if self._bus.active:
            self._bus.publish(
                RequestCancelled(self._clock.time_us(), call.id, call.elapsed_ms(), len(call.shown), call.waste)
            )

    # --- parts ----------------------------------------------------------------------------------------------------

    def _completed(self, call: Call, response: LLMResponse) -> None:
        if self._bus.active:
            usage = response.usage
            self._bus.publish(
                RequestCompleted(
                    self._clock.time_us(),
                    call.id,
                    response.provider,
                    response.model,
                    response.finish_reason,
                    usage.input_tokens,
                    usage.output_tokens,
                    usage.estimated,
                    response.cost_usd,
                    response.waste_usd,
                    response.latency_ms,
                    response.ttft_ms,
                    response.failovers,
                    response.cached,
                    usage.cached_input_tokens,
                    usage.reasoning_tokens,
                )
            )

    def _premium(self, call: Call, usage: TokenUsage, cost: Decimal | None) -> Decimal | None:
        """What was paid beyond the plan's first candidate for the same tokens; negative when it was cheaper."""
        if not call.failovers:
            return _NOTHING
        if call.plan is None or cost is None:
            return None
        first = call.plan.candidates[0]
        same = TokenUsage(
            usage.input_tokens,
            usage.output_tokens,
            0,
            usage.cached_input_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
        )
        price = self._prices.price(first.deployment.kind, first.model_id, same, at=self._clock.time_us())
        return None if price is None else cost - price.total

    def _book(self, call: Call, response: LLMResponse | None, error_type: str | None, *, priced_as: str = "") -> None:
        """Settle with the budgets and hand the usage record over, once; stores in trouble keep it to themselves."""
        call.booked = True
        if call.allowance is not None:
            # What a simulated provider among real ones answers is booked elsewhere, and costs nobody anything.
            counts = response is not None and response.mode == self._mode
            call.allowance.settle(response.cost_usd if response is not None and counts else None)
        if self._exchanged is not None:
            self._tell(self._exchanged, call, response)
        if self._record is None:
            return
        request = call.request
        tenant, agent, named = request.tenant_id, request.agent_id, kept_name(request.model)
        log_id = f"{tenant}#{agent}#{iso(call.arrived_us)}-{call.id[-12:]}"
        record = UsageRecord(
            log_id=log_id,
            request_id=call.id,
            tenant_id=tenant,
            agent_id=agent,
            timestamp_us=call.arrived_us,
            mode=self._mode,
            model=named or "",
            requested_model=named,
            provider="",
            waste_cost=call.waste,
            catalogue_version=self._prices.version,
            success=error_type is None,
            error_type=error_type,
            attempts=call.attempts,
            failovers=call.failovers,
            trace_id=call.id,
            latency_ms=call.elapsed_ms(),
            prompt_hash=call.prompt_hash,
            story=self._story(call, response),
        )
        if response is not None:
            usage = response.usage
            record.mode = response.mode
            record.model = response.model
            record.provider = response.provider
            record.tokens_used = usage.total_tokens
            record.prompt_tokens = usage.input_tokens
            record.completion_tokens = usage.output_tokens
            record.cached_tokens = usage.cached_input_tokens
            record.cache_write_tokens = usage.cache_write_tokens
            record.reasoning_tokens = usage.reasoning_tokens
            record.cache_write_1h_tokens = usage.cache_write_1h_tokens
            record.service_tier = usage.service_tier
            record.region = usage.region
            record.priced_as = priced_as
            record.latency_ms = response.latency_ms
            record.estimated_cost = response.cost_usd
            record.saved_cost = response.saved_usd
            # A kept answer has none: it passed no provider.
            record.premium_cost = response.metadata.get("premium_usd", _NOTHING)
            record.ttft_ms = response.ttft_ms
            record.cached = response.cached
            record.estimated_tokens = usage.estimated
        else:
            record.estimated_cost = Decimal(0)
            record.prompt_tokens = call.wasted_input_tokens
            record.completion_tokens = call.wasted_output_tokens
            record.tokens_used = call.wasted_input_tokens + call.wasted_output_tokens
            record.estimated_tokens = True
            last = next((r for r in reversed(call.records) if r.outcome == "failed"), None)
            if last is not None:
                record.provider, record.model = last.provider, last.model
        try:
            self._record(record)
        except Exception as error:
            logger.exception("the usage record of request %s was not taken", call.id)
            if self._bus.active:
                self._bus.publish(ComponentFailed(self._clock.time_us(), call.id, "usage", redact(str(error))))
            return
        if self._bus.active:
            self._bus.publish(UsageRecorded(self._clock.time_us(), call.id, log_id))

    @staticmethod
    def _tell(exchanged: Exchanged, call: Call, response: LLMResponse | None) -> None:
        messages = call.request.chat()
        try:
            if response is None:
                exchanged(call.id, messages, call.shown, (), "error")
            else:
                exchanged(call.id, messages, response.text, response.tool_calls, response.stop)
        except Exception:
            logger.exception("what request %s was about was not taken", call.id)

    def _story(self, call: Call, response: LLMResponse | None) -> dict[str, Any]:
        """Plan and attempts. Prompt and answer only when the user opted in."""
        story: dict[str, Any] = {"stream": call.stream, "attempts": list(call.records)}
        plan = call.plan
        if plan is not None:
            story["strategy"] = str(plan.strategy)
            story["plan"] = [[c.deployment.id, c.model, c.why] for c in plan.candidates.listed]
        if response is not None:
            story["finish_reason"] = response.finish_reason
            story["coalesced"] = response.coalesced
            story["premium_usd"] = response.metadata.get("premium_usd")
            if "similarity" in response.metadata:
                story["similarity"] = response.metadata["similarity"]
        if self._store_prompts:
            story["messages"] = call.request.chat()
            story["answer"] = response.text if response is not None else call.shown
        return story
