"""A provider of a scenario that speaks its vendor's format: the real class, dialect and faults over bytes in process.

Slower than `simulated`, for the same story: what an attempt draws is the same, and so are its times, tokens and costs.
What the story cannot know without the bytes, and only that, may come out differently:

- an answer's text comes token by token, not in about twenty pieces;
- `malformed_event`: the bytes count their format's own events too, know one event late which was the last, and some
  formats' last event holds nothing that is missed;
- `no_end_marker`: the last event of some formats holds the finish (Gemini, Ollama) or the usage (Bedrock);
- `error_event` in a whole answer, which is an error under a 200: formats that rely on the status cannot tell its class;
- `trickle`: there is nothing to trickle without bytes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from providers.faults import Fault
from providers.mock.pace import Timing
from providers.mock.simulated import Simulation
from providers.mock.writer import Dice, Written
from providers.types import (
    Completion,
    GenerationRequest,
    Message,
    RawUsage,
    StreamEvent,
    TokenUsage,
)
from sandbox.scenarios.faults import Schedule
from sandbox.scenarios.parts import Drawn, PartProvider
from sandbox.scenarios.schema import ProviderPart
from sandbox.scenarios.words import pieces, spoken

_UNDER_WAY: ContextVar[Drawn] = ContextVar("the attempt that this task makes")
"""From the provider to the far end of its wire, past all that bytes do not carry."""


class WiredProvider(PartProvider):
    """The vendor's own class over a far end that plays the part."""

    def __init__(self, part: ProviderPart, *, seed: int, schedule: Schedule, **options: Any) -> None:
        super().__init__(
            part,
            seed=seed,
            schedule=schedule,
            simulation=Simulation(pace=_PartPace(part), writer=_PartWriter(self)),
            faults=_DrawnFaults(schedule),
            registered_as=part.key,
            **options,
        )

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        _UNDER_WAY.set(self._draw(request))
        return await self._vendor.attempt(request, model_id)

    async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
        _UNDER_WAY.set(self._draw(request))
        source = self._vendor.stream_attempt(request, model_id)
        try:
            async for event in source:
                yield event
        finally:
            await source.aclose()

    async def close(self) -> None:
        await self._vendor.close()

    def written(self, request: GenerationRequest, model: str) -> Written:
        """What the far end answers to the attempt under way. Raises what it refuses with."""
        turn = _UNDER_WAY.get().turn
        messages = request.chat()
        self._check_acceptable(turn, messages[-1] if messages else None)
        completion = Completion(
            text=spoken(turn.output_tokens),
            stop="stop",
            usage=TokenUsage(turn.input_tokens, turn.output_tokens),
            raw_usage=RawUsage(turn.input_tokens, turn.output_tokens),
            model=model,
        )
        return Written(completion, pieces(turn.output_tokens))

    def dice(self) -> Dice:
        """For the ids of the attempt under way."""
        drawn = _UNDER_WAY.get()
        return Dice(self._seed, self._part.key, drawn.turn.index, drawn.attempt)


class _PartWriter:
    """Says as many words as the scenario has tokens."""

    def __init__(self, part: WiredProvider) -> None:
        self._part = part

    def dice(self, request: GenerationRequest, messages: Sequence[Message], provider: str, model: str) -> Dice:
        return self._part.dice()

    def write(
        self, request: GenerationRequest, *, provider: str, model: str, window: int | None, dice: Dice
    ) -> Written:
        return self._part.written(request, model)


class _PartPace:
    def __init__(self, part: ProviderPart) -> None:
        self._rate = part.tokens_per_second

    def timing(self, provider: str, model: str, dice: Dice) -> Timing:
        return Timing(_UNDER_WAY.get().first_token, self._rate)


class _DrawnFaults:
    """The faults whose draw fell on the attempt under way: they happen for certain."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._listed: dict[Fault, Fault] = {}
        """Faults as they are in the scenario, by what they are once the draw has fallen on them."""

    def active(self, provider: str) -> Sequence[Fault]:
        certain = []
        self._listed.clear()
        for fault in _UNDER_WAY.get().faults:
            happens = fault if fault.probability >= 1.0 else replace(fault, probability=1.0)
            self._listed[happens] = fault
            certain.append(happens)
        return certain

    def quota_wait(self, provider: str, fault: Fault) -> float | None:
        return self._schedule.quota_wait(provider, self._listed.get(fault, fault))
