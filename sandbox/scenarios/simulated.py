"""A provider that behaves as its part of the scenario says: latency, pace and faults, without a byte on any wire."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from providers.base import BaseLLMProvider
from providers.clock import Clock
from providers.errors import (
    ConnectionFailedError,
    ContextLengthError,
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    StreamInterruptedError,
)
from providers.faults import TERMINAL, Fault
from providers.pricing import Catalogue
from providers.transports.damage import FOREVER
from providers.transports.faulty import RESET_AFTER, provoked_error
from providers.types import (
    Completion,
    GenerationRequest,
    RawUsage,
    StreamEvent,
    StreamFinished,
    StreamStarted,
    TextDelta,
    TokenUsage,
)
from sandbox.scenarios.draws import draw, lognormal
from sandbox.scenarios.faults import Schedule
from sandbox.scenarios.schema import ProviderPart, Spread

PIECES: Final = 20
"""Most pieces in which an answer is streamed; a cut or a stall comes at its own token all the same."""
WORD: Final = "word "


@dataclass(slots=True)
class Turn:
    """One request of the scenario, on its way through the gateway in the request's metadata."""

    index: int
    input_tokens: int
    output_tokens: int
    attempts: int = 0


TURN: Final = "scenario_turn"
"""Key of a request's metadata under which its Turn lies."""


class SimulatedProvider(BaseLLMProvider):
    """Registered under the part's id, priced under its real name."""

    def __init__(
        self,
        part: ProviderPart,
        *,
        seed: int,
        schedule: Schedule,
        clock: Clock,
        prices: Catalogue,
        resolve: BaseLLMProvider,
    ) -> None:
        """`resolve` is the real provider of that name, which knows its vendor's models and what they can do."""
        self.kind = part.name  # type: ignore[misc]  # this one's own, not the class's
        self._real = resolve
        super().__init__(model=part.model, timeout=86_400.0, prices=prices, clock=clock)
        self.model_id = resolve.resolve_model(part.model) or part.model
        self.local = resolve.local  # type: ignore[misc]
        self.prefills = resolve.prefills if part.prefills is None else bool(part.prefills)  # type: ignore[misc]
        self._part = part
        self._seed = seed
        self._schedule = schedule
        self._window = part.context_window

    def resolve_model(self, model: str) -> str | None:
        """It serves the model that the scenario gives it, by any of that model's names, and no other."""
        if model == self.model:
            return self._real.resolve_model(model) or model
        resolved = self._real.resolve_model(model)
        return resolved if resolved is not None and resolved == self._real.resolve_model(self.model) else None

    # --- one attempt ----------------------------------------------------------------------------------------------

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        turn, faults, first, pace = self._begin(request)
        fault = self._terminal(faults)
        await self._fail_before(fault, first, request)
        spoken = turn.output_tokens / pace if pace else 0.0
        if fault is not None and fault.kind in ("stream_cut", "stream_stall"):
            await self._break(fault, first, pace, turn, spoken)
        else:
            await self.clock.sleep(first + spoken)
        self._spoil(fault)
        return self._completion(turn, model_id)

    async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
        turn, faults, first, pace = self._begin(request)
        fault = self._terminal(faults)
        await self._fail_before(fault, first, request)
        began = self.clock.monotonic()
        total = turn.output_tokens
        breaks = self._breaks_at(fault, total)
        sent = 0
        for upto in _stops(total, breaks):
            at = began + first + (sent / pace if pace else 0.0)
            await self.clock.sleep(max(0.0, at - self.clock.monotonic()))
            if sent == breaks and fault is not None:
                began += await self._break_stream(fault, turn, sent)
            if sent == 0:
                yield StreamStarted(self.kind, model_id)
            yield TextDelta(WORD * (upto - sent))
            sent = upto
        at = began + first + (total / pace if pace else 0.0)
        await self.clock.sleep(max(0.0, at - self.clock.monotonic()))
        if breaks == total and fault is not None:
            await self._break_stream(fault, turn, total)
        yield StreamFinished(self._completion(turn, model_id))

    # --- drawing --------------------------------------------------------------------------------------------------

    def _begin(self, request: GenerationRequest) -> tuple[Turn, list[Fault], float, float | None]:
        """The turn, the faults of this attempt, seconds to the first token, tokens a second (None: at once)."""
        turn: Turn = request.metadata[TURN]
        attempt, turn.attempts = turn.attempts, turn.attempts + 1
        key = self._part.key
        faults = [
            fault
            for number, fault in self._schedule.numbered(key)
            if fault.probability >= 1.0
            or draw(self._seed, f"fault {number}", key, turn.index, attempt) < fault.probability
        ]
        latency = self._part.latency
        if isinstance(latency, Spread):
            unit = draw(self._seed, "latency", key, turn.index, attempt)
            latency = round(lognormal(latency.p50, latency.p99, unit) * 1e6) / 1e6
        pace = self._part.tokens_per_second
        add = 0.0
        for fault in faults:
            if fault.kind == "latency":
                latency *= fault.times
                add += fault.add
            elif fault.kind == "slow_stream":
                pace = fault.tokens_per_second if pace is None else min(pace, fault.tokens_per_second)
        return turn, faults, latency + add, pace

    def _terminal(self, faults: list[Fault]) -> Fault | None:
        for fault in faults:
            if fault.kind == "quota":
                wait = self._schedule.quota_wait(self._part.key, fault)
                if wait is not None:
                    return Fault("rate_limit", retry_after=wait, after=fault.after)
            elif fault.kind in TERMINAL:
                return fault
        return None

    # --- failing --------------------------------------------------------------------------------------------------

    async def _fail_before(self, fault: Fault | None, first: float, request: GenerationRequest) -> None:
        """Raise what an attempt ends in that gives no answer."""
        if fault is None:
            self._check_window(request)
            return
        match fault.kind:
            case "timeout":
                await self.clock.sleep(FOREVER)
                raise ProviderTimeoutError(f"{self._part.key} sent no answer")
            case "hang":
                await self.clock.sleep(FOREVER)
                raise StreamInterruptedError(f"{self._part.key} fell silent")
            case "connection_reset":
                await self.clock.sleep(RESET_AFTER)
                raise ConnectionFailedError(f"{self._part.key} closed the connection without an answer")
            case "malformed_body" | "empty_body":
                await self.clock.sleep(fault.after)
                what = "empty" if fault.kind == "empty_body" else "not JSON"
                raise MalformedResponseError(f"the answer is {what} (provoked)", status=200)
            case "http_error" | "rate_limit" | "auth" | "content_filter":
                await self.clock.sleep(fault.after)
                raise provoked_error(fault, fault.retry_after)
        self._check_window(request)

    def _check_window(self, request: GenerationRequest) -> None:
        window, turn = self._window, request.metadata[TURN]
        if window is not None and turn.input_tokens > window:
            raise ContextLengthError(
                f"the prompt has {turn.input_tokens} tokens; the context window has {window}", status=400
            )
        messages = request.messages
        if messages and messages[-1].get("role") == "assistant" and self._part.prefills == "refused":
            raise InvalidRequestError("this model does not go on from an assistant's message", status=400)

    async def _break(self, fault: Fault, first: float, pace: float | None, turn: Turn, spoken: float) -> None:
        """A whole answer whose connection breaks or stalls on the way."""
        share = min(fault.after_tokens, turn.output_tokens)
        await self.clock.sleep(first + (share / pace if pace else 0.0))
        if fault.kind == "stream_stall":
            await self.clock.sleep(FOREVER if fault.duration is None else fault.duration)
            if fault.duration is not None:
                await self.clock.sleep(spoken - (share / pace if pace else 0.0))
                return
        raise ConnectionFailedError(f"the connection to {self._part.key} broke in the middle of its answer")

    def _spoil(self, fault: Fault | None) -> None:
        """Raise what a whole answer ends in that came, but is wrong."""
        if fault is None:
            return
        match fault.kind:
            case "truncated_body" | "malformed_event":
                raise MalformedResponseError("the answer is not JSON (provoked)", status=200)
            case "wrong_content_type":
                raise MalformedResponseError("the answer is a web page (provoked)", status=200)
            case "error_event":
                raise provoked_error(fault)

    def _breaks_at(self, fault: Fault | None, total: int) -> int | None:
        """After how many tokens a stream meets its fault; None: never."""
        if fault is None:
            return None
        match fault.kind:
            case "stream_cut" | "stream_stall" | "truncated_body" | "error_event":
                return fault.after_tokens if fault.after_tokens <= total else None
            case "malformed_event":
                return min(max(0, fault.event - 2), total)
            case "wrong_content_type":
                return 0
        return None

    async def _break_stream(self, fault: Fault, turn: Turn, sent: int) -> float:
        """Raise what the stream ends in; a stall that ends gives the seconds it took."""
        if fault.kind == "stream_stall":
            await self.clock.sleep(FOREVER if fault.duration is None else fault.duration)
            if fault.duration is not None:
                return fault.duration
        raise self._billed(self._stream_error(fault), turn, sent)

    def _stream_error(self, fault: Fault) -> ProviderError:
        key = self._part.key
        match fault.kind:
            case "malformed_event":
                return MalformedResponseError("a stream event cannot be read (provoked)", status=200)
            case "wrong_content_type":
                return MalformedResponseError("the answer is a web page (provoked)", status=200)
            case "error_event":
                return provoked_error(fault)
            case "truncated_body":
                return StreamInterruptedError("the stream ended before the answer was complete")
        return ConnectionFailedError(f"the connection to {key} broke in the middle of its answer")

    def _billed(self, error: ProviderError, turn: Turn, sent: int) -> ProviderError:
        """What had been written is charged."""
        if sent:
            error.billed = TokenUsage(turn.input_tokens, sent)
        return error

    # --- answering ------------------------------------------------------------------------------------------------

    def _completion(self, turn: Turn, model_id: str) -> Completion:
        return Completion(
            text=_text(turn.output_tokens),
            finish_reason="stop",
            stop="stop",
            usage=TokenUsage(turn.input_tokens, turn.output_tokens),
            raw_usage=RawUsage(turn.input_tokens, turn.output_tokens),
            model=model_id,
        )


@lru_cache(64)
def _text(tokens: int) -> str:
    return WORD * tokens


def _stops(total: int, breaks: int | None) -> list[int]:
    """After how many tokens each piece of a stream ends; a fault's token is one of them."""
    step = max(1, -(-total // PIECES))
    stops = {*range(step, total, step), total}
    if breaks is not None and 0 < breaks < total:
        stops.add(breaks)
    return sorted(stops)
