"""Answers from recordings, byte for byte, under the unmodified provider: in process, with no port and no network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from providers.clock import Clock
from providers.errors import ConnectionFailedError, ProviderError, ProviderTimeoutError
from providers.transports.base import WireRequest, WireResponse
from providers.transports.canned import PiecewiseResponse, WholeResponse

Split = Callable[[bytes], Iterable[bytes]]
"""Cuts a body into the pieces in which it is to arrive."""


class RecordedAnswer(Protocol):
    """What came back: the part of a recorded response that matters here."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def chunks(self) -> Sequence[tuple[float, bytes]]:
        """Milliseconds after the piece before, the first after the headers; and the piece."""
        ...

    @property
    def after_ms(self) -> float:
        """Milliseconds from the request to the headers."""
        ...


class Recording(Protocol):
    """One recorded exchange."""

    @property
    def response(self) -> RecordedAnswer | None:
        """None: there was no answer at all, and `error` says why."""
        ...

    @property
    def error(self) -> str | None:
        """`connection_reset` or `timeout`: how the connection ended, after whatever of the answer there was."""
        ...


async def replayed(recording: Recording, *, clock: Clock | None = None, split: Split | None = None) -> WireResponse:
    """The recorded answer. With a clock headers and pieces come at their recorded times, else at once.

    Raises ConnectionFailedError or ProviderTimeoutError where the recording has no answer.
    """
    answer = recording.response
    if answer is None:
        raise _failure(recording.error, "before an answer")
    if clock is not None and answer.after_ms:
        await clock.sleep(answer.after_ms / 1000)
    chunks = answer.chunks
    if split is not None:
        chunks = [(0.0, piece) for piece in split(b"".join(data for _, data in chunks))]
    if recording.error is None and clock is None and len(chunks) <= 1:
        return WholeResponse(answer.status, answer.headers, chunks[0][1] if chunks else b"")
    return PiecewiseResponse(answer.status, answer.headers, _played(chunks, recording.error, clock))


async def _played(
    chunks: Sequence[tuple[float, bytes]], error: str | None, clock: Clock | None
) -> AsyncGenerator[bytes]:
    began = clock.monotonic() if clock is not None else 0.0
    due_us = 0
    for after_ms, data in chunks:
        due_us += round(after_ms * 1000)
        if clock is not None and after_ms:
            # Up to a point in time, not for a while: many short sleeps would drift, and a slow reader delays nothing.
            await clock.sleep(max(0.0, began + due_us / 1e6 - clock.monotonic()))
        if data:
            yield data
    if error is not None:
        raise _failure(error, "in the middle of the answer")


def _failure(error: str | None, when: str) -> ProviderError:
    if error == "timeout":
        return ProviderTimeoutError(f"the recorded connection fell silent {when}")
    return ConnectionFailedError(f"the recorded connection broke {when}")


class ReplayTransport:
    """Answers requests with recordings in their order; the last one answers all that follow."""

    def __init__(
        self,
        recordings: Recording | Sequence[Recording],
        *,
        split: Split | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._recordings = list(recordings) if isinstance(recordings, Sequence) else [recordings]
        if not self._recordings:
            raise ValueError("a replay needs at least one recording")
        self._split = split
        self._clock = clock
        self.requests: list[WireRequest] = []
        """What was asked, in order."""

    async def send(self, request: WireRequest) -> WireResponse:
        turn = min(len(self.requests), len(self._recordings) - 1)
        self.requests.append(request)
        return await replayed(self._recordings[turn], clock=self._clock, split=self._split)

    async def close(self) -> None:
        pass
