"""What happens to a stream: opening it like any attempt, and the four policies for a failure after its first text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import get_args

from providers.errors import (
    InputError,
    InvalidRequestError,
    ProviderError,
    ProviderTimeoutError,
    StreamInterruptedError,
)
from providers.open_stream import OpenStream
from providers.types import (
    Completion,
    GenerationRequest,
    LLMResponse,
    StreamEvent,
    StreamFinished,
    StreamInterrupted,
    StreamRestarted,
    StreamStarted,
    TextDelta,
    ToolCallDelta,
)
from sandbox.core.events import ChunkReceived, StreamRestartedElsewhere
from sandbox.gateway.answers import completion_of
from sandbox.gateway.call import Call
from sandbox.gateway.ledger import Ledger
from sandbox.gateway.policies import Policy, StreamPolicy
from sandbox.gateway.router import Candidate
from sandbox.gateway.walk import Answer, Tools, Walk, check_withheld


class StreamRun:
    """One streamed request over one walk."""

    def __init__(self, call: Call, walk: Walk, tools: Tools, ledger: Ledger) -> None:
        self._call = call
        self._walk = walk
        self._tools = tools
        self._ledger = ledger
        self._limits = tools.policy.streaming
        self._policy = call.options.stream_policy or self._limits.policy
        self._ends_at = call.started + self._limits.max_stream
        self._first_text: float | None = None
        self._waited = 0.0
        """Seconds spent waiting for the present stream, without the reader's pauses."""
        if self._policy not in get_args(StreamPolicy):
            raise InputError(f"unknown stream policy {self._policy!r}: there are {', '.join(get_args(StreamPolicy))}")
        if self._policy == "restart" and not call.options.restarts:
            self._policy = "fail"
        self.response: LLMResponse | None = None

    def batches(self) -> AsyncGenerator[list[StreamEvent]]:
        """Every event for the caller, in order, what came together in one list.

        Raises the request's one ProviderError.
        """
        return self._buffered() if self._policy == "buffer" else self._direct()

    async def _direct(self) -> AsyncGenerator[list[StreamEvent]]:
        call, walk, clock = self._call, self._walk, self._tools.clock
        timeout = min(self._limits.first_text, self._tools.policy.attempt_timeout)
        broken: tuple[Candidate, ProviderError] | None = None
        prefill: GenerationRequest | None = None
        while True:
            try:
                answer = await walk.advance(self._opener(prefill), attempt_timeout=timeout, only=self._only(broken))
            except ProviderError as last:
                if broken is None:
                    raise
                # The caller holds a partial text, so what it must hear is how that one ended.
                yield [self._interrupted(broken[1])]
                raise broken[1] from last
            stream, continues = answer.value
            opened = self._waited = clock.monotonic() - answer.began
            walk.settle_probe(answer, opened)
            if self._first_text is None:
                self._first_text = clock.monotonic()
            if not continues:
                call.pieces.clear()
            kept = len(call.pieces)
            ended = False
            try:
                if broken is not None:
                    if not continues:
                        yield [
                            StreamRestarted(
                                answer.candidate.deployment.id,
                                answer.candidate.model,
                                f"{type(broken[1]).__name__}: {broken[1].message}",
                            )
                        ]
                    self._publish_restart(answer.candidate, broken)
                finished: StreamFinished | None = None
                async for batch in self._pass_on(stream, answer, again=broken is not None):
                    if isinstance(batch[-1], StreamFinished):
                        # The last one. Left here instead of read to their end, the generators would be closed by the
                        # loop, each in a task of its own.
                        finished, batch = batch[-1], batch[:-1]
                    if batch:
                        yield batch
                if finished is not None:
                    ended = True
                    walk.settle_success(answer, opened)
                    yield [self._finish(answer, finished.completion)]
                    return
            except ProviderError as error:
                ended = True
                walk.settle_failure(answer, error)
                prefill = self._prefilled()
                if self._policy == "fail" or (prefill is None and not call.options.restarts):
                    yield [self._interrupted(error)]
                    raise
                walk.left(answer.candidate, error)
                broken = (answer.candidate, error)
                # The deadline ran to the first text; the next candidate's first text gets one of its own.
                call.deadline.renew(until=self._ends_at)
            finally:
                if not ended:
                    walk.settle_cancelled(answer, "".join(call.pieces[kept:]))
                # Also when the caller goes away in the middle: upstream is closed now, not when it is collected.
                await stream.close()

    # --- opening --------------------------------------------------------------------------------------------------

    def _opener(self, prefill: GenerationRequest | None) -> Opener:
        return Opener(self._call.request, prefill, self._tools.policy, restarts=self._call.options.restarts)

    def _only(self, broken: object) -> Callable[[Candidate], bool] | None:
        """Whom a caller that cannot start anew may still be sent to."""
        return None if broken is None or self._call.options.restarts else _goes_on_from_text

    def _prefilled(self) -> GenerationRequest | None:
        """The request that asks to go on from the partial text; None: start anew."""
        request = self._call.request
        # Vendors refuse a prefill that ends in white space, and any together with tools or JSON output.
        text = self._call.shown.rstrip()
        if self._policy != "continue" or not text or request.wants_json() or request.tools:
            return None
        messages = list(request.messages or ())
        if request.prompt is not None:
            messages.append({"role": "user", "content": request.prompt})
        messages.append({"role": "assistant", "content": text})
        return replace(request, prompt=None, messages=messages)

    # --- passing on -----------------------------------------------------------------------------------------------

    async def _pass_on(
        self, stream: OpenStream, answer: Answer[tuple[OpenStream, bool]], *, again: bool
    ) -> AsyncIterator[list[StreamEvent]]:
        """The stream's events within its limits, noted as shown and published."""
        call, clock, bus = self._call, self._tools.clock, self._tools.bus
        provider = answer.candidate.deployment.id
        joins = again and bool(call.pieces)
        async for batch in self._within_limits(stream):
            for event in batch:
                if isinstance(event, TextDelta):
                    if joins:
                        joins = False
                        if call.shown[-1:].isspace():
                            event.text = event.text.lstrip()
                    call.pieces.append(event.text)
                    if bus.read:
                        bus.publish(ChunkReceived(clock.time_us(), call.id, provider, event.text))
                elif isinstance(event, StreamStarted):
                    event.provider = provider
            if again:
                batch = [event for event in batch if not isinstance(event, StreamStarted)]
            if batch:
                yield batch

    async def _within_limits(self, stream: OpenStream) -> AsyncIterator[list[StreamEvent]]:
        """The stream's events. Raises StreamInterruptedError when it is silent, or goes on, for too long."""
        clock, silence = self._tools.clock, self._limits.silence
        batches = stream.batches(clock, silence)
        while True:
            asked = clock.monotonic()
            left = self._ends_at - asked
            try:
                if left > silence:
                    batch = await anext(batches)
                else:
                    async with clock.timeout(left):
                        batch = await anext(batches)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise StreamInterruptedError(
                    f"the stream lasted longer than {self._limits.max_stream:g} s", partial_text=stream.text
                ) from None
            self._waited += clock.monotonic() - asked
            yield batch

    def _finish(self, answer: Answer[tuple[OpenStream, bool]], completion: Completion) -> StreamFinished:
        call = self._call
        if answer.value[1]:
            # Before the text is joined: what the other candidate wrote is its own, and booked already.
            completion.usage = answer.candidate.deployment.provider.usage_of(call.request, completion)
            completion.text = call.shown
        self.response = self._ledger.answered(call, answer, completion, ttft=self._first_text, busy=self._waited)
        return StreamFinished(completion, self.response)

    def _interrupted(self, error: ProviderError) -> StreamInterrupted:
        error.attempts = tuple(self._call.records)
        if isinstance(error, StreamInterruptedError):
            error.partial_text = self._call.shown
        # Booked before the reader hears of it: it may leave at once.
        self._ledger.failed(self._call, error)
        return StreamInterrupted(error, self._call.shown)

    def _publish_restart(self, candidate: Candidate, broken: tuple[Candidate, ProviderError]) -> None:
        bus, clock, call = self._tools.bus, self._tools.clock, self._call
        if bus.active:
            origin, error = broken
            bus.publish(
                StreamRestartedElsewhere(
                    clock.time_us(),
                    call.id,
                    origin.deployment.id,
                    candidate.deployment.id,
                    type(error).__name__,
                    len(call.shown),
                )
            )

    # --- buffer ---------------------------------------------------------------------------------------------------

    async def _buffered(self) -> AsyncGenerator[list[StreamEvent]]:
        """Hold the text until it is whole, so that any failure fails over unseen."""
        call, walk, clock = self._call, self._walk, self._tools.clock
        answer = await walk.advance(self._whole, attempt_timeout=None)
        held, first = answer.value
        walk.settle_success(answer, first - answer.began)
        whole, busy = clock.monotonic(), clock.monotonic() - answer.began
        provider, bus = answer.candidate.deployment.id, self._tools.bus
        try:
            for event in held:
                if isinstance(event, TextDelta):
                    call.pieces.append(event.text)
                    if bus.read:
                        bus.publish(ChunkReceived(clock.time_us(), call.id, provider, event.text))
                elif isinstance(event, StreamStarted):
                    event.provider = provider
                elif isinstance(event, StreamFinished):
                    self.response = event.response = self._ledger.answered(
                        call, answer, event.completion, ttft=whole, busy=busy
                    )
                yield [event]
        finally:
            if self.response is None:
                walk.settle_unread(answer, next(e.completion for e in held if isinstance(e, StreamFinished)))

    async def _whole(self, candidate: Candidate) -> tuple[list[StreamEvent], float]:
        """One shot at a candidate's stream, to its end."""
        call, clock = self._call, self._tools.clock
        limit, left = min(self._limits.first_text, self._tools.policy.attempt_timeout), call.deadline.remaining()
        began, timer = clock.monotonic(), clock.timeout(max(0.0, min(limit, left)))
        try:
            async with timer:
                stream = await OpenStream.open(
                    candidate.deployment.provider.stream_batches(call.request, candidate.model_id)
                )
        except TimeoutError:
            if timer.expired() and limit <= left:
                raise ProviderTimeoutError(f"no text within {limit:g} s") from None
            raise
        first = clock.monotonic()
        breaker = candidate.deployment.breaker
        if breaker.state == "half_open":
            # The first text is all that a probe waits for, although nobody sees it yet.
            breaker.success(breaker.generation, first - began)
        try:
            events = [event async for batch in self._within_limits(stream) for event in batch]
            self._check_whole(events)
            return events, first
        except ProviderError:
            # As after a text that was shown: the next first text gets a deadline of its own.
            call.deadline.renew(until=self._ends_at)
            raise
        except asyncio.CancelledError:
            self._walk.broke_off(candidate, stream.text)
            raise
        finally:
            await stream.close()

    def _check_whole(self, events: list[StreamEvent]) -> None:
        for event in events:
            if isinstance(event, StreamFinished):
                check_withheld(self._tools.policy, event.completion)


class Opener:
    """One shot at a candidate's stream, up to its first text; says too whether it goes on from the partial text."""

    __slots__ = ("_plain", "_policy", "_prefill", "_restarts")

    def __init__(
        self, plain: GenerationRequest, prefill: GenerationRequest | None, policy: Policy, *, restarts: bool
    ) -> None:
        self._plain = plain
        self._prefill = prefill
        self._policy = policy
        self._restarts = restarts

    async def __call__(self, candidate: Candidate) -> tuple[OpenStream, bool]:
        provider = candidate.deployment.provider
        if self._prefill is not None and provider.prefills:
            try:
                return await self._opened(candidate, self._prefill), True
            except InvalidRequestError:
                # Newer models refuse a prefill although their vendor's API has it: start anew on the same candidate.
                if not self._restarts:
                    raise
        return await self._opened(candidate, self._plain), False

    async def _opened(self, candidate: Candidate, request: GenerationRequest) -> OpenStream:
        stream = await OpenStream.open(candidate.deployment.provider.stream_batches(request, candidate.model_id))
        if (completion := stream.already_whole) is not None:
            try:
                check_withheld(self._policy, completion)
            except ProviderError:
                await stream.close()
                raise
        return stream


def _goes_on_from_text(candidate: Candidate) -> bool:
    return candidate.deployment.provider.prefills


def replayed(response: LLMResponse) -> Iterator[StreamEvent]:
    """A kept answer as the events of a stream."""
    yield StreamStarted(response.provider, response.model_id)
    if response.text:
        yield TextDelta(response.text)
    for index, call in enumerate(response.tool_calls):
        yield ToolCallDelta(index, call.id, call.name, call.arguments)
    yield StreamFinished(completion_of(response), response)
