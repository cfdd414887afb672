"""The other side of the wire, in this process: requests are decoded, answered and encoded with the provider's own dialect.

An answer comes from a matching recorded exchange, else from the synthetic writer. No socket is opened.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from providers.clock import SYSTEM_CLOCK, Clock
from providers.dialects.base import Dialect, StreamEncoder
from providers.errors import ProviderError
from providers.mock.pace import INSTANT, REALISTIC, Pace
from providers.mock.writer import SyntheticWriter, Written, pieces_of
from providers.transports.base import WireRequest, WireResponse
from providers.transports.canned import PiecewiseResponse, WholeResponse
from providers.types import TextDelta, ToolCallDelta

if TYPE_CHECKING:
    from providers.exchange import FixtureLibrary

_ID_PREFIX: Final = {"openai_chat": "chatcmpl-", "anthropic_messages": "msg_"}


@dataclass(frozen=True, slots=True)
class Simulation:
    """How the simulated side of providers answers; one can be shared by all of them."""

    seed: int = 0
    pace: Pace | Literal["instant", "realistic"] = "instant"
    library: FixtureLibrary | None = None
    """Recorded exchanges that are asked first."""
    fixtures_only: bool = False
    """No match is an error: replay mode."""
    window_of: Callable[[str, str], int | None] | None = None
    """The context window, in tokens, of a provider's model; None: prompts of any length are answered."""
    writer: SyntheticWriter | None = field(default=None)
    """In place of one with `seed`."""


class SimulatedTransport:
    """A transport whose far end is here."""

    def __init__(
        self, dialect: Dialect, *, provider: str, simulation: Simulation | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        chosen = simulation or Simulation()
        self._dialect = dialect
        self._provider = provider
        self._clock = clock
        self._library = chosen.library
        self._fixtures_only = chosen.fixtures_only
        self._window_of = chosen.window_of
        self._writer = chosen.writer or SyntheticWriter(chosen.seed)
        self._pace: Pace = (
            {"instant": INSTANT, "realistic": REALISTIC}[chosen.pace] if isinstance(chosen.pace, str) else chosen.pace
        )
        self._prefix = _ID_PREFIX.get(dialect.name, "")

    async def send(self, request: WireRequest) -> WireResponse:
        dialect, writer, provider = self._dialect, self._writer, self._provider
        try:
            asked, stream, include_usage = dialect.decode_request(request.body, path=request.path)
            model = asked.model or ""
            dice = writer.dice(asked, asked.chat(), provider, model)
            window = self._window_of(provider, model) if self._window_of is not None else None
            written = writer.write(asked, provider=provider, model=model, window=window, dice=dice)
        except ProviderError as error:
            wire = dialect.encode_error(error)
            return WholeResponse(wire.status, wire.headers, wire.body)
        timing = self._pace.timing(provider, model, dice)
        rate = timing.tokens_per_second if timing is not None else None
        if request.tokens_per_second is not None:
            rate = min(rate or request.tokens_per_second, request.tokens_per_second)
        if timing is not None:
            await self._clock.sleep(timing.first_token)
        ident = dice.token()
        response_id = self._prefix + ident
        created = self._clock.time_us() // 1_000_000
        if stream:
            encoder = dialect.encoder(
                model=model, response_id=response_id, created=created, include_usage=include_usage
            )
            headers = {"content-type": encoder.content_type, "x-request-id": f"req_{ident}"}
            return PiecewiseResponse(200, headers, self._stream(encoder, written, rate), rate)
        body = dialect.encode_completion(written.completion, model=model, response_id=response_id, created=created)
        headers = {"content-type": "application/json", "x-request-id": f"req_{ident}"}
        if rate is None:
            return WholeResponse(200, headers, body)
        return PiecewiseResponse(200, headers, self._late(body, written, rate), rate)

    async def _late(self, body: bytes, written: Written, rate: float) -> AsyncGenerator[bytes]:
        usage = written.completion.usage
        await self._clock.sleep((usage.output_tokens if usage is not None else 0) / rate)
        yield body

    async def _stream(self, encoder: StreamEncoder, written: Written, rate: float | None) -> AsyncGenerator[bytes]:
        clock = self._clock
        began = clock.monotonic()
        count = 0
        yield encoder.start()
        for event in _events(written):
            yield encoder.event(event)
            count += 1
            if rate is not None:
                # Up to a point in time, not for a while: many short sleeps would drift.
                await clock.sleep(max(0.0, began + count / rate - clock.monotonic()))
        yield encoder.finish(written.completion)

    async def close(self) -> None:
        pass


def _events(written: Written) -> list[TextDelta | ToolCallDelta]:
    """The answer in the pieces in which it is streamed, about a token each."""
    events: list[TextDelta | ToolCallDelta] = [TextDelta(piece) for piece in written.pieces]
    for index, call in enumerate(written.completion.tool_calls):
        events.append(ToolCallDelta(index, call.id, call.name))
        events += [ToolCallDelta(index, arguments=piece) for piece in pieces_of(call.arguments)]
    return events
