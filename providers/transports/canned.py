"""Answers that are already in this process: what replay, faults and simulation hand out in place of a connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping


class WholeResponse:
    """A body that is complete."""

    __slots__ = ("_body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def read(self) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._body:
            yield self._body

    async def close(self) -> None:
        pass


class PiecewiseResponse:
    """A body that a generator produces, in its own time. Closing the response closes the generator.

    `tokens_per_second` is the pace that the generator keeps, None where it keeps none.
    """

    __slots__ = ("_source", "headers", "status", "tokens_per_second")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        source: AsyncIterator[bytes],
        tokens_per_second: float | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.tokens_per_second = tokens_per_second
        self._source = source

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self._source])

    def chunks(self) -> AsyncIterator[bytes]:
        return self._source

    async def close(self) -> None:
        # What is no generator needs no clean-up of its own.
        if isinstance(self._source, AsyncGenerator):
            await self._source.aclose()
