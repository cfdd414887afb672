"""Vendors that keep a waiting client company: while an answer is not ready they send what means nothing.

DeepSeek sends blank lines before a whole answer and comments before a stream (api-docs.deepseek.com/quick_start/
rate_limit), OpenRouter comments (openrouter.ai/docs/api-reference/streaming). The status has to go out with the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Final, NamedTuple

from providers.clock import SYSTEM_CLOCK, Clock
from providers.transports.base import Transport, WireRequest, WireResponse
from providers.transports.canned import PiecewiseResponse

EVERY: Final = 1.0
"""Seconds between two of them. The vendors name no figure."""


class Company(NamedTuple):
    """What is sent meanwhile."""

    whole: bytes
    """Before a whole answer; empty: nothing."""
    stream: bytes


COMPANY: Final = {
    "deepseek": Company(b"\n", b": keep-alive\n\n"),
    "openrouter": Company(b"", b": OPENROUTER PROCESSING\n\n"),
}


class KeepAliveTransport:
    """A transport around another one, whose answers may take their time."""

    def __init__(
        self, inner: Transport, company: Company, *, every: float = EVERY, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._inner = inner
        self._company = company
        self._every = every
        self._clock = clock

    async def send(self, request: WireRequest) -> WireResponse:
        words = self._company.stream if request.stream else self._company.whole
        if not words:
            return await self._inner.send(request)
        answer = asyncio.ensure_future(self._inner.send(request))
        try:
            ready = await self._ready(answer)
        except asyncio.CancelledError:
            await _given_up(answer)
            raise
        if ready:
            return answer.result()
        kind = "text/event-stream; charset=utf-8" if request.stream else "application/json"
        return _Kept({"content-type": kind}, self._kept(answer, words), answer)

    async def _ready(self, answer: asyncio.Future[WireResponse]) -> bool:
        """Whether the answer came in time; a failure is one too."""
        waiting = asyncio.ensure_future(self._clock.sleep(self._every))
        try:
            await asyncio.wait((answer, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        return answer.done()

    async def _kept(self, answer: asyncio.Future[WireResponse], words: bytes) -> AsyncGenerator[bytes]:
        yield words
        while not await self._ready(answer):
            yield words
        async for piece in answer.result().chunks():
            yield piece

    async def close(self) -> None:
        await self._inner.close()


class _Kept(PiecewiseResponse):
    """Good news in advance of an answer, which is given up with it: a generator that never ran has no clean-up."""

    __slots__ = ("_answer",)

    def __init__(
        self, headers: Mapping[str, str], source: AsyncGenerator[bytes], answer: asyncio.Future[WireResponse]
    ) -> None:
        super().__init__(200, headers, source)
        self._answer = answer

    async def close(self) -> None:
        await super().close()
        await _given_up(self._answer)


async def _given_up(answer: asyncio.Future[WireResponse]) -> None:
    """Nobody waits for the answer any more: it is called off, or closed where it has come."""
    if not answer.cancel() and not answer.cancelled() and answer.exception() is None:
        await answer.result().close()
