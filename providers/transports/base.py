"""Who moves the bytes: one request out, bytes back as they arrive.

A transport never interprets a body or a status; it raises only ConnectionFailedError and ProviderTimeoutError, and only
when there is no HTTP answer to hand over. Wrappers (faulty, recording) are transports too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class WireRequest:
    """One HTTP request. `path` is relative to the transport's base URL and begins with `/`."""

    path: str
    body: bytes
    stream: bool = False
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers beside the transport's own (authorization, content-type)."""
    api: str = "chat.completions"
    """Whose format path and body have, by the name that recordings carry; real connections ignore it."""
    tokens_per_second: float | None = None
    """The fastest pace wanted of a transport that keeps a pace of its own; real connections ignore it."""


class WireResponse(Protocol):
    """One HTTP answer whose body may still be on its way."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""

    async def read(self) -> bytes:
        """The whole body; releases the connection."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they arrive, in any split; ConnectionFailedError when the connection breaks."""
        ...

    async def close(self) -> None:
        """Release or cut the connection at once; safe to call twice."""
        ...


class Transport(Protocol):
    async def send(self, request: WireRequest) -> WireResponse: ...

    async def close(self) -> None: ...
