"""Bodies that come slowly, break off or are wrong: an answer's bytes as one fault lets them through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from providers.clock import Clock
from providers.errors import ConnectionFailedError, ProviderError
from providers.faults import Fault
from providers.transports.base import WireResponse
from providers.transports.frames import damaged, is_blank, splitter
from providers.types import TextDelta

FOREVER: Final = 86_400.0
"""Seconds of a silence that only the caller's own limit ends. Finite, so that virtual time has an end to move to."""
BYTES_PER_TOKEN: Final = 4
"""To count where nothing tells how many tokens there are."""
LONGEST_TOKEN: Final = 16
"""Characters of a text that counts as one token; some vendors send sentences at a time."""
TRICKLE_STEP: Final = 0.1
"""Seconds between two pieces of a trickle."""


class Decoder(Protocol):
    """The part of a stream decoder that counting needs."""

    def feed(self, data: bytes) -> Sequence[Any]: ...


@dataclass(slots=True)
class Body:
    """An answer on its way, with what a fault must know to meet it."""

    response: WireResponse
    provider: str
    stream: bool
    content_type: str
    decoder: Callable[[], Decoder]
    clock: Clock
    met: bool = False
    """`until` came to where the fault is; a stream may end before."""

    async def frames(self) -> AsyncGenerator[tuple[bytes, int]]:
        """The stream event by event, each as it came and with the number of tokens that it completes."""
        decoder: Decoder | None = self.decoder()
        frames = splitter(self.content_type)
        async for chunk in self.response.chunks():
            for frame in frames.feed(chunk):
                tokens = 0
                if decoder is not None:
                    try:
                        tokens = sum(_tokens(event) for event in decoder.feed(frame))
                    except ProviderError:
                        # What the upstream got wrong is for the reader above to find.
                        decoder = None
                yield frame, tokens
        if rest := frames.rest():
            yield rest, 0

    async def until(self, fault: Fault) -> AsyncGenerator[bytes]:
        """The stream up to `after_tokens` tokens. What comes next, be it more text or the end, meets the fault."""
        passed = 0
        async for frame, tokens in self.frames():
            if passed >= fault.after_tokens and not is_blank(frame):
                self.met = True
                return
            passed += tokens
            yield frame


def _tokens(event: object) -> int:
    """About how many tokens of text an event brings."""
    length = len(event.text) if isinstance(event, TextDelta) else 0
    return -(-length // BYTES_PER_TOKEN) if length > LONGEST_TOKEN else min(length, 1)


def broken(body: Body, fault: Fault, error_event: Callable[[bool], bytes]) -> AsyncIterator[bytes]:
    """The body as a fault that ends it, or damages it, lets it through.

    `error_event`: the fault's, in this format; it is told whether others came before it.

    Raises ConnectionFailedError where the fault breaks the connection.
    """
    match fault.kind:
        case "stream_stall":
            return _stalled(body, fault)
        case "truncated_body":
            return _truncated(body, fault)
        case "malformed_event":
            return _malformed(body, fault)
        case "no_end_marker":
            return _endless(body)
        case "error_event":
            return _failing(body, fault, error_event)
    return _cut(body, fault)


async def _cut(body: Body, fault: Fault) -> AsyncGenerator[bytes]:
    if body.stream:
        async for frame in body.until(fault):
            yield frame
        if not body.met:
            return
    else:
        rate = getattr(body.response, "tokens_per_second", None)
        if rate:
            try:
                # An answer that is whole before the cut has not met it.
                async with body.clock.timeout(fault.after_tokens / rate):
                    whole = await body.response.read()
            except TimeoutError:
                pass
            else:
                yield whole
                return
    raise ConnectionFailedError(f"the connection to {body.provider} broke in the middle of its answer")


async def _stalled(body: Body, fault: Fault) -> AsyncGenerator[bytes]:
    passed, silent = 0, False
    async for frame, tokens in body.frames() if body.stream else _whole(body):
        if not silent and (not body.stream or passed >= fault.after_tokens) and not is_blank(frame):
            silent = True
            await body.clock.sleep(FOREVER if fault.duration is None else fault.duration)
            if fault.duration is None:
                raise ConnectionFailedError(f"the connection to {body.provider} broke in the middle of its answer")
        passed += tokens
        yield frame


async def _truncated(body: Body, fault: Fault) -> AsyncGenerator[bytes]:
    """The end comes early and looks like a clean one."""
    if body.stream and fault.after_bytes is None:
        async for frame in body.until(fault):
            yield frame
        return
    left = fault.after_bytes
    if left is None:
        whole = await body.response.read()
        yield whole[: len(whole) // 2]
        return
    async for chunk in body.response.chunks():
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


async def _malformed(body: Body, fault: Fault) -> AsyncGenerator[bytes]:
    if not body.stream:
        whole = await body.response.read()
        yield damaged(whole, "application/json")
        return
    number, held = 0, b""
    async for frame, _ in body.frames():
        if is_blank(frame):
            held += frame
            continue
        if held:
            yield held if number != fault.event else damaged(held, body.content_type)
        number += 1
        held = frame
    if held:
        yield damaged(held, body.content_type) if number <= fault.event else held


async def _endless(body: Body) -> AsyncGenerator[bytes]:
    """All but the last event."""
    if not body.stream:
        yield await body.response.read()
        return
    held = b""
    async for frame, _ in body.frames():
        if is_blank(frame):
            held += frame
            continue
        if held:
            yield held
        held = frame


async def _failing(body: Body, fault: Fault, error_event: Callable[[bool], bytes]) -> AsyncGenerator[bytes]:
    begun = False
    if body.stream:
        async for frame in body.until(fault):
            begun = True
            yield frame
    if body.met or not body.stream:
        yield error_event(begun)


async def _whole(body: Body) -> AsyncGenerator[tuple[bytes, int]]:
    yield await body.response.read(), 0


async def paced(body: Body, pace: float) -> AsyncGenerator[bytes]:
    """At so many tokens a second."""
    if not body.stream:
        whole = await body.response.read()
        await body.clock.sleep(len(whole) / BYTES_PER_TOKEN / pace)
        yield whole
        return
    async for frame, tokens in body.frames():
        if tokens:
            await body.clock.sleep(tokens / pace)
        yield frame


async def trickled(response: WireResponse, bytes_per_second: float, clock: Clock) -> AsyncGenerator[bytes]:
    """A few bytes at a time, cut anywhere."""
    size = max(1, round(bytes_per_second * TRICKLE_STEP))
    async for chunk in response.chunks():
        for begin in range(0, len(chunk), size):
            piece = chunk[begin : begin + size]
            await clock.sleep(len(piece) / bytes_per_second)
            yield piece
