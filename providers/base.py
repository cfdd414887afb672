"""What every provider is: `attempt` and `stream_attempt` are one shot; `generate` adds the retries and the price.

A custom provider subclasses BaseLLMProvider and writes `_make_request` alone; vendors override the one-shot methods.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar

from providers.attempts import Deadline, RetryPolicy, Unobserved, attempt_with_retries
from providers.clock import SYSTEM_CLOCK, Clock, Randomness, seeded
from providers.errors import (
    AuthenticationError,
    ConnectionFailedError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitError,
)
from providers.limits import MAX_SECONDS, between, texts
from providers.open_stream import OpenStream
from providers.pricing import Catalogue, Price, count_tokens, seed_prices
from providers.redaction import redact
from providers.types import (
    Completion,
    GenerationRequest,
    LLMResponse,
    StreamEvent,
    StreamFinished,
    StreamStarted,
    TextDelta,
    TokenUsage,
)

FIRST_TEXT_LIMIT = 10.0
"""Seconds a stream may take to its first text."""
SILENCE_LIMIT = 15.0
"""Seconds a stream may be silent between chunks."""


SLOW_CHECK = 5.0
"""Seconds within which the smallest question is answered by a provider that is fast enough."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """One look at a provider: reachable, authenticated, fast enough. What could not be told is None."""

    is_healthy: bool
    latency_ms: float | None = None
    last_error: str | None = None
    reachable: bool | None = None
    authenticated: bool | None = None
    fast_enough: bool | None = None
    error: ProviderError | None = field(default=None, repr=False, compare=False)
    """What the provider said, where it said no."""


class BaseLLMProvider:
    """One provider with one default model. Times are seconds; costs are USD."""

    kind: ClassVar[str] = "custom"
    """The name that routing, prices, usage records and fixtures know this provider by."""
    default_model: ClassVar[str] = "default"
    local: ClassVar[bool] = False
    """Runs on the user's own machine: no charge for each token."""
    prefills: ClassVar[bool] = False
    """Continues a conversation that ends with an assistant message, so that a cut stream can go on elsewhere."""

    def __init__(
        self,
        model_id: str | None = None,
        *,
        model: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 4,
        base_delay: float = 1.0,
        max_delay: float = 8.0,
        max_connections: int = 100,
        mock_mode: bool = False,
        prices: Catalogue | None = None,
        clock: Clock = SYSTEM_CLOCK,
        draws: Randomness | None = None,
    ) -> None:
        """Raises InputError naming what is wrong."""
        texts(model_id=model_id, model=model, api_key=api_key, base_url=base_url)
        self.model = model or model_id or self.default_model
        self.model_id = model_id or self.resolve_model(self.model) or self.model
        self.api_key = api_key
        self.base_url = base_url
        self.timeout = between("timeout", timeout, 0.001, MAX_SECONDS)
        self.max_connections = between("max_connections", max_connections, 1, 1_000_000, whole=True)
        self.mock_mode = mock_mode
        self.retry_policy = RetryPolicy(
            "always",
            between("max_retries", max_retries, 0, 1000, whole=True),
            between("base_delay", base_delay, 0, MAX_SECONDS),
            2.0,
            between("max_delay", max_delay, 0, MAX_SECONDS),
        )
        self.clock = clock
        self.draws = draws or seeded()
        self._prices = prices

    # --- what a subclass provides ---------------------------------------------------------------------------------

    async def _make_request(self, request: GenerationRequest) -> Completion | LLMResponse | Mapping[str, Any] | str:
        """Ask once; raise ProviderError when it fails. The only method that a custom provider must write."""
        raise NotImplementedError(f"{type(self).__name__} must define _make_request()")

    def resolve_model(self, model: str) -> str | None:
        """The vendor's id for a model name, or None when this provider does not serve it."""
        return model if model == getattr(self, "model", self.default_model) else None

    def lacks(self) -> str | None:
        """What keeps it from being asked, in a sentence, such as a missing credential; None: nothing that it knows."""
        return None

    def is_available(self) -> bool:
        """Whether it has all that it needs to be asked; whether its credential is good, only the vendor knows."""
        return self.lacks() is None

    def cannot(self, request: GenerationRequest, model_id: str) -> str | None:
        """What of a request it cannot do, in a sentence, such as a tool of another vendor; None: nothing it knows of.

        A gateway asks before it sends, and goes on to the next.
        """
        return None

    async def close(self) -> None:
        """Release connections; safe to call twice."""

    # --- one shot -------------------------------------------------------------------------------------------------

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        """One call, no retry, no time limit of its own. Raises ProviderError."""
        return _completion(await self._make_request(request), model_id)

    async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
        """One stream, no retry. Ends with StreamFinished, or raises ProviderError. Closing it closes the connection."""
        completion = await self.attempt(request, model_id)
        yield StreamStarted(self.kind, completion.model)
        if completion.text:
            yield TextDelta(completion.text)
        yield StreamFinished(completion)

    async def stream_batches(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[list[StreamEvent]]:
        """`stream_attempt` with what came together in one list, which costs less at every step of the way."""
        async with aclosing(self.stream_attempt(request, model_id)) as events:
            async for event in events:
                yield [event]

    # --- the provider by itself -----------------------------------------------------------------------------------

    @property
    def prices(self) -> Catalogue:
        """Unless others were given: the list of 2024, and today's prices for models that it does not have."""
        if self._prices is None:
            self._prices = seed_prices()
        return self._prices

    def usage_of(self, request: GenerationRequest, completion: Completion) -> TokenUsage:
        """The completion's usage; counted here and marked estimated where the vendor sent none."""
        if completion.usage is not None:
            return completion.usage
        model = completion.model or self._target(request)
        spoken = (
            (completion.text or "")
            + (completion.reasoning_text or "")
            + "".join(c.arguments for c in completion.tool_calls)
        )
        return TokenUsage(
            input_tokens=count_tokens(request.chat(), model), output_tokens=count_tokens(spoken, model), estimated=True
        )

    def priced_as(self, completion: Completion, model_id: str) -> tuple[str, ...]:
        """The names that an answer is priced by, in order: what the vendor says it ran, then what was asked.

        A deployment's own name, for one, says nothing of its price.
        """
        return (completion.model, model_id) if completion.model else (model_id,)

    def price_of(self, usage: TokenUsage, model: str, *, busy_seconds: float | None = None) -> Price | None:
        """The price of `usage` on `model` here and now; None is unpriced. A self-hosted one costs its seconds."""
        return self.prices.price(self.kind, model, usage, at=self.clock.time_us(), busy_seconds=busy_seconds)

    def respond(
        self, request: GenerationRequest, completion: Completion, *, started: float, ttft: float | None = None
    ) -> LLMResponse:
        """The whole answer with usage, price and times."""
        usage = self.usage_of(request, completion)
        seconds = self.clock.monotonic() - started
        # Not every vendor says which model answered.
        asked = self._target(request)
        price = None
        for name in self.priced_as(completion, asked):
            price = price or self.price_of(usage, name, busy_seconds=seconds)
        if price is not None and usage.total_cost_usd is None:
            usage.input_cost_usd, usage.output_cost_usd, usage.total_cost_usd = price.input, price.output, price.total
        return LLMResponse(
            text=completion.text or "",
            provider=self.kind,
            model=self.model,
            model_id=completion.model or asked,
            requested_model=request.model,
            usage=usage,
            cost_usd=usage.total_cost_usd,
            finish_reason=completion.finish_reason,
            stop=completion.stop,
            latency_ms=seconds * 1000,
            ttft_ms=None if ttft is None else (ttft - started) * 1000,
            reasoning_text=completion.reasoning_text,
            tool_calls=completion.tool_calls,
            mode="mock" if self.mock_mode else "live",
            metadata=completion.metadata,
        )

    def _target(self, request: GenerationRequest) -> str:
        return (self.resolve_model(request.model) or request.model) if request.model else self.model_id

    async def generate(self, request: GenerationRequest | str) -> LLMResponse:
        """Answer, retrying 1-2-4-8 s as the failover table allows. Raises the last ProviderError."""
        asked = GenerationRequest.of(request)
        model_id = self._target(asked)
        started = self.clock.monotonic()
        completion = await attempt_with_retries(
            lambda: self.attempt(asked, model_id),
            policy=self.retry_policy,
            clock=self.clock,
            draws=self.draws,
            deadline=self._deadline(asked),
            attempt_timeout=asked.timeout or self.timeout,
            observer=Unobserved(),
        )
        return self.respond(asked, completion, started=started)

    async def generate_stream(self, request: GenerationRequest | str) -> AsyncIterator[StreamEvent]:
        """Answer as it is written. A failure before the first text is retried, a later one ends it."""
        asked = GenerationRequest.of(request)
        model_id = self._target(asked)
        started = self.clock.monotonic()
        opened = await attempt_with_retries(
            lambda: OpenStream.open(self.stream_batches(asked, model_id)),
            policy=self.retry_policy,
            clock=self.clock,
            draws=self.draws,
            deadline=self._deadline(asked),
            attempt_timeout=min(FIRST_TEXT_LIMIT, asked.timeout or self.timeout),
            observer=Unobserved(),
        )
        first = self.clock.monotonic()
        try:
            async for batch in opened.batches(self.clock, SILENCE_LIMIT):
                for event in batch:
                    if isinstance(event, StreamFinished):
                        event.response = self.respond(asked, event.completion, started=started, ttft=first)
                    yield event
        finally:
            await opened.close()

    def _deadline(self, request: GenerationRequest) -> Deadline:
        """Room for every try and every backoff: a provider by itself is bounded by its attempts, not by a chain."""
        policy, limit = self.retry_policy, request.timeout or self.timeout
        if request.timeout is not None:
            return Deadline(self.clock, request.timeout)
        waits = sum(max(policy.backoff(i, self.draws), policy.max_retry_after) for i in range(policy.retries))
        return Deadline(self.clock, limit * (policy.retries + 1) + waits + 1.0)

    async def health_check(self, *, timeout: float = 10.0) -> HealthReport:
        """Reachable, authenticated and fast enough, tested by the smallest possible question. Times are seconds."""
        started = self.clock.monotonic()
        try:
            async with self.clock.timeout(timeout):
                await self.attempt(GenerationRequest(prompt="ping", max_tokens=1), self.model_id)
        except ProviderError as error:
            return _refused(error, (self.clock.monotonic() - started) * 1000)
        except TimeoutError:
            return HealthReport(False, timeout * 1000, f"no answer within {timeout:g} s", False, None, False)
        except Exception as error:
            message = redact(f"{type(error).__name__}: {error}")
            return HealthReport(False, (self.clock.monotonic() - started) * 1000, message)
        seconds = self.clock.monotonic() - started
        if seconds > SLOW_CHECK:
            slow = f"answered after {seconds:.1f} s; up to {SLOW_CHECK:g} s is fast enough"
            return HealthReport(False, seconds * 1000, slow, True, True, False)
        return HealthReport(True, seconds * 1000, None, True, True, True)

    async def __aenter__(self) -> BaseLLMProvider:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _refused(error: ProviderError, latency_ms: float) -> HealthReport:
    """What an error says of the provider: one that answers is there, and one that minds the request knows the key."""
    reachable = not isinstance(error, (ConnectionFailedError, ProviderTimeoutError))
    authenticated: bool | None = None
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        authenticated = False
    elif isinstance(error, (RateLimitError, QuotaExhaustedError, InvalidRequestError, ModelNotFoundError)):
        authenticated = True
    return HealthReport(
        False,
        latency_ms,
        f"{type(error).__name__}: {error}",
        reachable,
        authenticated,
        latency_ms <= SLOW_CHECK * 1000 if reachable else None,
        error,
    )


def _completion(value: Completion | LLMResponse | Mapping[str, Any] | str, model_id: str) -> Completion:
    """What a custom provider returned, as a completion."""
    if isinstance(value, Completion):
        return value
    if isinstance(value, str):
        return Completion(text=value, finish_reason="stop", model=model_id)
    if isinstance(value, LLMResponse):
        usage = value.usage if value.usage.total_tokens or value.cost_usd is not None else None
        if usage is not None and usage.total_cost_usd is None:
            usage.total_cost_usd = value.cost_usd
        return Completion(
            text=value.text,
            reasoning_text=value.reasoning_text,
            finish_reason=value.finish_reason or "stop",
            stop=value.stop,
            usage=usage,
            tool_calls=value.tool_calls,
            model=value.model_id,
            metadata=value.metadata,
        )
    if isinstance(value, Mapping) and isinstance(value.get("text"), str):
        tokens = {k: value[k] for k in ("input_tokens", "output_tokens") if isinstance(value.get(k), int)}
        return Completion(
            text=value["text"],
            finish_reason=str(value.get("finish_reason") or "stop"),
            model=str(value.get("model") or model_id),
            usage=TokenUsage(**tokens) if len(tokens) == 2 else None,
        )
    raise MalformedResponseError(
        f"_make_request returned {type(value).__name__}; use a string, a mapping with 'text' or a Completion"
    )


__all__ = ["BaseLLMProvider", "HealthReport", "OpenStream", "ProviderTimeoutError"]
