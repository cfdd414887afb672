"""Keeps what passes through a transport: the bytes go on unchanged and at once, a copy goes to whoever wants it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from providers.clock import SYSTEM_CLOCK, Clock
from providers.errors import ConnectionFailedError, ProviderTimeoutError
from providers.transports.base import Transport, WireRequest, WireResponse

MAX_CAPTURED: Final = 32 << 20
"""Bytes of one answer that are kept in memory; a longer answer passes and is not kept."""

End = Literal["clean", "connection_reset", "timeout", "left"]
"""How an exchange ended. `left`: the caller went away before the end of the body."""


@dataclass(slots=True)
class Captured:
    """One exchange as it passed by. Nothing in it is redacted. Times are whole microseconds."""

    request: WireRequest
    at_us: int
    """When the request was sent, since 1970."""
    end: End = "clean"
    status: int | None = None
    """None: there was no answer at all."""
    headers: Mapping[str, str] = field(default_factory=dict)
    headers_after_us: int = 0
    """From the request to the headers."""
    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    """How long after the piece before, the first after the headers; and the piece."""


Keep = Callable[[Captured | None], None]
"""Called once, at the end of an exchange; with None where there is nothing to keep."""


class RecordingTransport:
    """A transport around another one. `begin` is asked for every request whether to keep it, and where to.

    Cancelled before there was an answer, or longer than `limit` bytes: nothing is kept.
    """

    def __init__(
        self,
        inner: Transport,
        *,
        begin: Callable[[WireRequest], Keep | None],
        clock: Clock = SYSTEM_CLOCK,
        limit: int = MAX_CAPTURED,
    ) -> None:
        self._inner = inner
        self._begin = begin
        self._clock = clock
        self._limit = limit

    async def send(self, request: WireRequest) -> WireResponse:
        keep = self._begin(request)
        if keep is None:
            return await self._inner.send(request)
        tape = _Tape(request, keep, self._clock, self._limit)
        try:
            response = await self._inner.send(request)
        except BaseException as error:
            tape.fail(error)
            raise
        tape.answered(response)
        return _TapedResponse(response, tape)

    async def close(self) -> None:
        await self._inner.close()


class _Tape:
    """One exchange while it passes."""

    __slots__ = ("_began", "_captured", "_clock", "_keep", "_last_us", "_room")

    def __init__(self, request: WireRequest, keep: Keep, clock: Clock, limit: int) -> None:
        self._captured = Captured(request, clock.time_us())
        self._keep: Keep | None = keep
        self._clock = clock
        self._room = limit
        self._began = clock.monotonic()
        self._last_us = 0

    def _elapsed_us(self) -> int:
        # Differences of whole numbers, so that the sum of the pieces is the time of the last one.
        now = round((self._clock.monotonic() - self._began) * 1e6)
        elapsed, self._last_us = now - self._last_us, now
        return elapsed

    def answered(self, response: WireResponse) -> None:
        captured = self._captured
        captured.status, captured.headers = response.status, response.headers
        captured.headers_after_us = self._elapsed_us()

    def take(self, data: bytes) -> None:
        if self._keep is None:
            return
        self._room -= len(data)
        if self._room < 0:
            self._hand_over(None)
        else:
            self._captured.chunks.append((self._elapsed_us(), data))

    def fail(self, error: BaseException) -> None:
        if isinstance(error, ConnectionFailedError):
            self.end("connection_reset")
        elif isinstance(error, ProviderTimeoutError):
            self.end("timeout")
        elif self._captured.status is not None:
            self.end("left")
        else:
            self._hand_over(None)

    def end(self, how: End) -> None:
        """The exchange is over; whatever comes now changes nothing."""
        if self._keep is not None:
            self._captured.end = how
            self._hand_over(self._captured)

    def _hand_over(self, captured: Captured | None) -> None:
        keep, self._keep = self._keep, None
        if keep is not None:
            keep(captured)


class _TapedResponse:
    """The answer itself, listened in on. An iterator and not a generator, so that a second look goes on with it."""

    __slots__ = ("_inner", "_source", "_tape", "headers", "status", "tokens_per_second")

    def __init__(self, inner: WireResponse, tape: _Tape) -> None:
        self._inner = inner
        self._tape = tape
        self._source: AsyncIterator[bytes] | None = None
        self.status = inner.status
        self.headers = inner.headers
        self.tokens_per_second: float | None = getattr(inner, "tokens_per_second", None)
        """The pace that a simulated answer keeps, for whoever slows it down further."""

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._source is None:
            self._source = self._inner.chunks()
        try:
            data = await anext(self._source)
        except StopAsyncIteration:
            self._tape.end("clean")
            raise
        except BaseException as error:
            self._tape.fail(error)
            raise
        self._tape.take(data)
        return data

    async def close(self) -> None:
        self._tape.end("left")
        await self._inner.close()
