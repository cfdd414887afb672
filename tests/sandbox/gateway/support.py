"""Scripted providers and a gateway in virtual time, for tests that need exact moments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import replace
from functools import wraps
from typing import Any

from providers.base import BaseLLMProvider
from providers.clock import seeded, sequential_ids
from providers.errors import ProviderError, StreamInterruptedError
from providers.types import (
    Completion,
    GenerationRequest,
    StreamEvent,
    StreamFinished,
    StreamStarted,
    TextDelta,
    TokenUsage,
)
from sandbox.core.bus import Bus
from sandbox.core.events import Event
from sandbox.core.virtual import VirtualClock, run_virtual
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy
from sandbox.usage.base import UsageRecord

Step = str | ProviderError | float | tuple[Any, ...]
"""An answer's text, an error to raise, seconds to wait first, or several of these in a row."""


class Scripted(BaseLLMProvider):
    """Plays one step for each attempt; the last step repeats. For streams a text is sent word by word."""

    def __init__(
        self, clock: Any, *steps: Step, kind: str = "openai", model: str = "gpt-4", prefills: bool = False
    ) -> None:
        self.kind = kind  # type: ignore[misc]
        self.prefills = prefills  # type: ignore[misc]
        super().__init__(model=model, clock=clock)
        self.steps = list(steps) or ["hello from " + kind]
        self.requests: list[GenerationRequest] = []
        self.times: list[float] = []
        self.closed = 0

    def resolve_model(self, model: str) -> str | None:
        return model if model.startswith("gpt") == (self.kind == "openai") and model != "unserved" else None

    def _next(self, request: GenerationRequest) -> tuple[Any, ...]:
        self.requests.append(request)
        self.times.append(self.clock.monotonic())
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return step if isinstance(step, tuple) else (step,)

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        for part in self._next(request):
            if isinstance(part, (int, float)):
                await self.clock.sleep(part)
            elif isinstance(part, ProviderError):
                raise fresh(part)
            elif isinstance(part, Completion):
                return part
            else:
                return answer(part, model_id)
        raise AssertionError("a script step must end in a text or an error")

    async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
        try:
            yield StreamStarted(self.kind, model_id)
            said = ""
            for part in self._next(request):
                if isinstance(part, (int, float)):
                    await self.clock.sleep(part)
                elif isinstance(part, ProviderError):
                    raise fresh(part)
                elif part == "<cut>":
                    raise StreamInterruptedError("the connection broke", partial_text=said)
                elif part == "<end>":
                    return
                else:
                    for word in part.split(" "):
                        piece = word if not said else " " + word
                        said += piece
                        yield TextDelta(piece)
            yield StreamFinished(answer(said, model_id))
        finally:
            self.closed += 1


def fresh(error: ProviderError) -> ProviderError:
    """A new instance, so that one script step can fail several times."""
    return type(error)(error.message, status=error.status, retry_after=error.retry_after)


def answer(text: str, model_id: str) -> Completion:
    return Completion(text=text, finish_reason="stop", usage=TokenUsage(100, 50), model=model_id)


class Bench:
    """A gateway with its clock, everything it published and every usage record."""

    def __init__(self, policy: Policy | None = None, **changes: Any) -> None:
        loop: Any = asyncio.get_running_loop()
        self.clock = VirtualClock(loop)
        self.events: list[Event] = []
        self.records: list[UsageRecord] = []
        bus = Bus()
        bus.subscribe(self.events.append)
        gateway_args = {k: changes.pop(k) for k in ("cache", "prices") if k in changes}
        self.gateway = Gateway(
            replace(policy or Policy(), **changes),
            mode="mock",
            clock=self.clock,
            draws=seeded(1),
            ids=sequential_ids(),
            bus=bus,
            record=self.records.append,
            **gateway_args,
        )

    def add(self, id: str, *steps: Step, **kwargs: Any) -> Scripted:
        settings = {
            k: kwargs.pop(k) for k in ("priority", "weight", "requests_per_minute", "tokens_per_minute") if k in kwargs
        }
        provider = Scripted(self.clock, *steps, **{"kind": id, **kwargs})
        self.gateway.register(id, provider, **settings)
        return provider

    def names(self) -> list[str]:
        return [type(e).__name__ for e in self.events]


def virtual(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test in virtual time."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            await test(*args, **kwargs)

        run_virtual(main())

    return run


async def collect(stream: AsyncGenerator[StreamEvent]) -> list[StreamEvent]:
    return [event async for event in stream]


def text_of(events: Iterable[StreamEvent]) -> str:
    return "".join(e.text for e in events if isinstance(e, TextDelta))
