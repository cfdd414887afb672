"""A provider that behaves as its part of the scenario says: latency, pace and faults, without a byte on any wire."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

from providers.errors import (
    ConnectionFailedError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    StreamInterruptedError,
)
from providers.faults import TERMINAL, Fault
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
from sandbox.scenarios.parts import TURN, PartProvider, Turn
from sandbox.scenarios.schema import ProviderPart
from sandbox.scenarios.words import pieces, spoken

PIECES: Final = 20
"""About the pieces in which an answer is streamed; a cut or a stall comes at its own token all the same."""
LONGEST_PIECE: Final = 1.0
"""Seconds that the tokens of one piece may take; a slow stream has more pieces."""


class SimulatedProvider(PartProvider):
    """Fast: nothing is written in any format."""

    def __init__(self, part: ProviderPart, **options: Any) -> None:
        super().__init__(part, mock_mode=True, **options)

    # --- one attempt ----------------------------------------------------------------------------------------------

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        turn, faults, first, pace = self._begin(request)
        fault = self._terminal(faults)
        await self._fail_before(fault, request)
        spent = turn.output_tokens / pace if pace else 0.0
        if fault is not None and fault.kind in ("stream_cut", "stream_stall"):
            await self._break(fault, first, pace, turn.output_tokens)
        elif fault is not None and fault.kind == "error_event":
            await self.clock.sleep(first)
        else:
            await self.clock.sleep(first + spent)
        self._spoil(fault)
        return self._completion(turn, model_id)

    async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
        turn, faults, first, pace = self._begin(request)
        fault = self._terminal(faults)
        await self._fail_before(fault, request)
        if fault is not None and fault.kind == "wrong_content_type":
            # What is no event stream is read as a whole, to see what it is.
            await self.clock.sleep(first + (turn.output_tokens / pace if pace else 0.0))
            raise self._stream_error(fault)
        began = self.clock.monotonic()
        total = turn.output_tokens
        words = pieces(total)
        breaks = self._breaks_at(fault, total)
        sent = 0
        for upto in _stops(total, breaks, pace):
            at = began + first + (sent / pace if pace else 0.0)
            await self.clock.sleep(max(0.0, at - self.clock.monotonic()))
            if sent == breaks and fault is not None:
                began += await self._break_stream(fault, turn, sent)
            if sent == 0:
                yield StreamStarted(self.kind, model_id)
            yield TextDelta("".join(words[sent:upto]))
            sent = upto
        at = began + first + (total / pace if pace else 0.0)
        await self.clock.sleep(max(0.0, at - self.clock.monotonic()))
        if breaks == total and fault is not None:
            await self._break_stream(fault, turn, total)
        yield StreamFinished(self._completion(turn, model_id))

    # --- drawing --------------------------------------------------------------------------------------------------

    def _begin(self, request: GenerationRequest) -> tuple[Turn, list[Fault], float, float | None]:
        """The turn, the faults of this attempt, seconds to the first token, tokens a second (None: at once)."""
        turn, _, faults, latency = self._draw(request)
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

    async def _fail_before(self, fault: Fault | None, request: GenerationRequest) -> None:
        """Raise what an attempt ends in that gives no answer."""
        if fault is not None:
            await self._fail(fault)
        messages = request.messages
        self._check_acceptable(request.metadata[TURN], messages[-1] if messages else None)

    async def _fail(self, fault: Fault) -> None:
        """Raise what a fault makes of an attempt, where it makes that before any answer."""
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

    async def _break(self, fault: Fault, first: float, pace: float | None, total: int) -> None:
        """A whole answer whose connection breaks or stalls on the way."""
        spent = total / pace if pace else 0.0
        if fault.kind == "stream_stall":
            await self.clock.sleep(first + spent)
            await self.clock.sleep(FOREVER if fault.duration is None else fault.duration)
            if fault.duration is not None:
                return
        elif pace and fault.after_tokens > total:
            await self.clock.sleep(first + spent)
            return
        else:
            await self.clock.sleep(first + (fault.after_tokens / pace if pace else 0.0))
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
            text=spoken(turn.output_tokens),
            finish_reason="stop",
            stop="stop",
            usage=TokenUsage(turn.input_tokens, turn.output_tokens),
            raw_usage=RawUsage(turn.input_tokens, turn.output_tokens),
            model=model_id,
        )


def _stops(total: int, breaks: int | None, pace: float | None) -> list[int]:
    """After how many tokens each piece of a stream ends; the last token before a fault is a piece of its own."""
    step = max(1, -(-total // PIECES))
    if pace is not None:
        # Whoever watches for silence sees the pauses between pieces, not those between tokens.
        step = min(step, max(1, int(pace * LONGEST_PIECE)))
    stops = {*range(step, total, step), total}
    if breaks is not None:
        stops.update(stop for stop in (breaks - 1, breaks) if 0 < stop < total)
    return sorted(stops)
