"""The other side of the wire, in this process: requests are decoded and answers encoded with the provider's dialect.

An answer comes from a matching recorded exchange, else from the synthetic writer. No socket is opened.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from providers.clock import SYSTEM_CLOCK, Clock
from providers.dialects import ID_PREFIXES, spoken
from providers.dialects.base import Dialect, StreamEncoder
from providers.errors import FixtureError, MalformedResponseError, ProviderError, StreamInterruptedError
from providers.mock.pace import PACES, Instant, Pace, Timing
from providers.mock.vendor_headers import WHOLE_TYPES, Moment, answer_headers, own_headers
from providers.mock.vendor_speech import VendorSpeech
from providers.mock.writer import Dice, SyntheticWriter, Written, pieces_of
from providers.transports.base import WireRequest, WireResponse
from providers.transports.canned import PiecewiseResponse, WholeResponse
from providers.transports.replay import replayed
from providers.types import Completion, GenerationRequest, Message, StreamFinished, TextDelta, ToolCallDelta

if TYPE_CHECKING:
    from providers.exchange import Exchange, FixtureLibrary, Match, RecordedResponse

Observer = Callable[[WireRequest, str | None], None]
"""Hears of every request which recording answers it; None: the writer does."""


class Writer(Protocol):
    """What a simulated provider says."""

    def dice(self, request: GenerationRequest, messages: Sequence[Message], provider: str, model: str) -> Dice:
        """The choices that belong to this request."""
        ...

    def write(
        self, request: GenerationRequest, *, provider: str, model: str, window: int | None, dice: Dice
    ) -> Written:
        """The answer. Raises the ProviderError that the provider refuses with."""
        ...


@dataclass(frozen=True, slots=True)
class Simulation:
    """How the simulated side of providers answers; one can be shared by all of them."""

    seed: int = 0
    pace: Pace | Literal["instant", "realistic"] = "instant"
    library: FixtureLibrary | None = None
    """Recorded exchanges that are asked first."""
    fixtures_only: bool = False
    """No match is an error: replay mode. Without a library the packaged recordings are meant."""
    window_of: Callable[[str, str], int | None] | None = None
    """The context window, in tokens, of a provider's model; None: prompts of any length are answered."""
    writer: Writer | None = None
    """In place of the synthetic one with `seed`."""


class SimulatedTransport:
    """A transport whose far end is here."""

    def __init__(
        self,
        *,
        provider: str,
        simulation: Simulation | None = None,
        clock: Clock = SYSTEM_CLOCK,
        observe: Observer | None = None,
    ) -> None:
        chosen = simulation or Simulation()
        self._provider = provider
        self._clock = clock
        self._observe = observe
        self._speech = VendorSpeech(provider, clock)
        self._library = chosen.library or (_packaged() if chosen.fixtures_only else None)
        if self._library is not None:
            from providers.exchange import Query

            self._query = Query
        self._fixtures_only = chosen.fixtures_only
        self._turns: dict[str, int] = {}
        self._window_of = chosen.window_of
        self._writer: Writer = chosen.writer or SyntheticWriter(chosen.seed)
        self._pace: Pace = PACES[chosen.pace] if isinstance(chosen.pace, str) else chosen.pace
        self._paced = not isinstance(self._pace, Instant)

    async def send(self, request: WireRequest) -> WireResponse:
        """Answer. Raises FixtureError where only recordings may answer and none does."""
        match = None if self._library is None else self._recorded(self._library, request)
        if self._observe is not None:
            self._observe(request, None if match is None else match.exchange.name)
        return await self._write(request) if match is None else await self._replay(match, request)

    def restart(self) -> None:
        """Begin every sequence of recordings anew."""
        self._turns.clear()

    # --- from recordings ------------------------------------------------------------------------------------------

    def _recorded(self, library: FixtureLibrary, request: WireRequest) -> Match | None:
        query = self._query(self._provider, request.api, request.body, request.path)
        return (library.require if self._fixtures_only else library.find)(query, self._turns)

    async def _replay(self, match: Match, request: WireRequest) -> WireResponse:
        from providers.exchange.framing import is_stream

        exchange = match.exchange
        recorded = exchange.response
        if recorded is None:
            return await replayed(exchange, clock=self._clock if self._paced else None)
        streamed = is_stream(exchange.api, recorded)
        # An equal request asked for the form that was recorded; other rules match a request for the other form too.
        alike = match.rule == "exact" or streamed is request.stream
        if not alike and recorded.status == 200 and exchange.error is None:
            dialect = spoken(request.api, request.path)
            try:
                completion = _read(dialect, exchange, recorded.body, streamed)
            except ProviderError as error:
                # A failure under a 200, which the other form has no place for.
                wire = self._speech(request).encode_error(error)
                return WholeResponse(wire.status, wire.headers, wire.body)
            written = Written(completion, pieces_of(completion.text or ""))
            ident = completion.response_id or exchange.name
            return self._encoded(request, dialect, written, completion.model or "", request.stream, True, ident)
        response = await replayed(exchange, clock=self._clock if self._paced else None)
        response.headers = self._completed(exchange, recorded)
        return response

    def _completed(self, exchange: Exchange, recorded: RecordedResponse) -> Mapping[str, str]:
        """Recorded headers, with what a recording may lack and clients read: the content type and the request's id."""
        from providers.exchange.framing import content_type

        headers = {**own_headers(self._provider, Moment(Dice(exchange.name).token(32))), **recorded.headers}
        if "content-type" not in headers:
            kind = content_type(exchange.api, recorded)
            headers["content-type"] = kind or WHOLE_TYPES.get(exchange.api, "application/json")
        return headers

    # --- from the writer ------------------------------------------------------------------------------------------

    async def _write(self, request: WireRequest) -> WireResponse:
        dialect, writer, provider = spoken(request.api, request.path), self._writer, self._provider
        try:
            asked, stream, include_usage = dialect.decode_request(request.body, path=request.path)
            model = asked.model or ""
            dice = writer.dice(asked, asked.chat(), provider, model)
            window = self._window_of(provider, model) if self._window_of is not None else None
            written = writer.write(asked, provider=provider, model=model, window=window, dice=dice)
        except ProviderError as error:
            wire = self._speech(request).encode_error(error)
            return WholeResponse(wire.status, wire.headers, wire.body)
        timing = self._pace.timing(provider, model, dice)
        rate = timing.tokens_per_second if timing is not None else None
        if request.tokens_per_second is not None:
            rate = min(rate or request.tokens_per_second, request.tokens_per_second)
        if timing is not None:
            await self._clock.sleep(timing.first_token)
        return self._encoded(request, dialect, written, model, stream, include_usage, dice.token(32), timing, rate)

    def _encoded(
        self,
        request: WireRequest,
        dialect: Dialect,
        written: Written,
        model: str,
        stream: bool,
        include_usage: bool,
        ident: str,
        timing: Timing | None = None,
        rate: float | None = None,
    ) -> WireResponse:
        now_us = self._clock.time_us()
        created = now_us // 1_000_000
        prefix = ID_PREFIXES.get(dialect.name, "")
        response_id = ident if ident.startswith(prefix) and prefix else prefix + ident[:24]
        usage = written.completion.usage
        moment = Moment(
            ident if len(ident) == 32 else Dice(ident).token(32),
            0 if timing is None else round(timing.first_token * 1000),
            now_us,
            request.api,
            usage.input_tokens if usage is not None else 0,
            usage.output_tokens if usage is not None else 0,
        )
        if stream:
            encoder = dialect.encoder(
                model=model, response_id=response_id, created=created, include_usage=include_usage
            )
            headers = answer_headers(self._provider, encoder.content_type, moment)
            return PiecewiseResponse(200, headers, self._stream(encoder, written, rate), rate)
        body = dialect.encode_completion(written.completion, model=model, response_id=response_id, created=created)
        headers = answer_headers(self._provider, WHOLE_TYPES.get(request.api, "application/json"), moment)
        if rate is None:
            return WholeResponse(200, headers, body)
        return PiecewiseResponse(200, headers, self._late(body, written, rate), rate)

    async def _late(self, body: bytes, written: Written, rate: float) -> AsyncGenerator[bytes]:
        usage = written.completion.usage
        await self._clock.sleep((usage.output_tokens if usage is not None else 0) / rate)
        yield body

    async def _stream(self, encoder: StreamEncoder, written: Written, rate: float | None) -> AsyncGenerator[bytes]:
        clock = self._clock
        began = now = clock.monotonic()
        yield encoder.start()
        for count, event in enumerate(_events(written), 1):
            yield encoder.event(event)
            if rate is not None:
                held, now = clock.monotonic() - now, clock.monotonic()
                if held > 1 / rate:
                    # Whoever takes the bytes held them up, as a stall does: what is left comes as much later.
                    began += held
                # Up to a point in time, not for a while: many short sleeps would drift.
                await clock.sleep(max(0.0, began + count / rate - now))
                now = clock.monotonic()
        yield encoder.finish(written.completion)

    async def close(self) -> None:
        pass


def _read(dialect: Dialect, exchange: Exchange, body: bytes, streamed: bool) -> Completion:
    """The recorded answer itself, to be written in the form that was asked for. Raises what it says of a failure."""
    try:
        if not streamed:
            return dialect.decode_completion(body)
        decoder = dialect.decoder()
        events = decoder.feed(body)
        events += decoder.close()
        return next(event.completion for event in events if isinstance(event, StreamFinished))
    except (MalformedResponseError, StreamInterruptedError, StopIteration) as error:
        raise FixtureError(f"{exchange.name}: the recorded answer cannot be read: {error}") from None


def _packaged() -> FixtureLibrary:
    from providers.exchange import FixtureLibrary

    return FixtureLibrary.standard()


def _events(written: Written) -> list[TextDelta | ToolCallDelta]:
    """The answer in the pieces in which it is streamed, about a token each."""
    events: list[TextDelta | ToolCallDelta] = [TextDelta(piece) for piece in written.pieces]
    for index, call in enumerate(written.completion.tool_calls):
        events.append(ToolCallDelta(index, call.id, call.name))
        events += [ToolCallDelta(index, arguments=piece) for piece in pieces_of(call.arguments)]
    return events
