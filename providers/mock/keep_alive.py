"""Vendors that keep a waiting client company: while an answer is not ready they send what means nothing.

DeepSeek sends blank lines before a whole answer and comments before a stream (api-docs.deepseek.com/quick_start/
rate_limit), OpenRouter comments (openrouter.ai/docs/api-reference/streaming). The status has to go out with the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
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
        if await self._ready(answer):
            return answer.result()
        kind = "text/event-stream; charset=utf-8" if request.stream else "application/json"
        return PiecewiseResponse(200, {"content-type": kind}, self._kept(answer, words))

    async def _ready(self, answer: asyncio.Future[WireResponse]) -> bool:
        """Whether the answer came in time; a failure is one too. Cancelled, it takes the request with it."""
        waiting = asyncio.ensure_future(self._clock.sleep(self._every))
        try:
            await asyncio.wait((answer, waiting), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        finally:
            waiting.cancel()
        return answer.done()

    async def _kept(self, answer: asyncio.Future[WireResponse], words: bytes) -> AsyncGenerator[bytes]:
        try:
            yield words
            while not await self._ready(answer):
                yield words
            response = answer.result()
        finally:
            answer.cancel()
        try:
            async for piece in response.chunks():
                yield piece
        finally:
            await response.close()

    async def close(self) -> None:
        await self._inner.close()
