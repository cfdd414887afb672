"""Listening in on a transport: nothing of what passes is changed or held back, and all of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from providers.clock import seeded
from providers.errors import ConnectionFailedError, FixtureError, ProviderTimeoutError
from providers.faults import Fault, FaultBoard
from providers.mock.vendor_speech import VendorSpeech
from providers.transports.aiohttp_client import AiohttpTransport
from providers.transports.base import Transport, WireRequest
from providers.transports.canned import PiecewiseResponse, WholeResponse
from providers.transports.faulty import FaultyTransport
from providers.transports.openai_sdk import openai_transport
from providers.transports.recording import Captured, RecordingTransport
from sandbox.core.virtual import VirtualClock, run_virtual
from tests import fake_vendor
from tests.fake_clock import FakeClock
from tests.fake_vendor import serving

ASK = WireRequest("/chat/completions", b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}')
STREAM = WireRequest(ASK.path, ASK.body[:-1] + b',"stream":true}', stream=True)
TYPE = {"content-type": "text/event-stream", "x-request-id": "r-1"}


class Scripted:
    """A transport that does as told: raises, or answers with pieces, each after some seconds."""

    def __init__(
        self,
        *pieces: tuple[float, bytes] | BaseException,
        clock: FakeClock | VirtualClock | None = None,
        headers_after: float = 0.0,
        refuse: BaseException | None = None,
    ) -> None:
        self.pieces = pieces
        self.clock = clock or FakeClock()
        self.headers_after = headers_after
        self.refuse = refuse
        self.closed = False

    async def send(self, request: WireRequest) -> PiecewiseResponse:
        if self.headers_after:
            await self.clock.sleep(self.headers_after)
        if self.refuse is not None:
            raise self.refuse
        return PiecewiseResponse(200, TYPE, self._play(), tokens_per_second=7.0)

    async def _play(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            if piece[0]:
                await self.clock.sleep(piece[0])
            yield piece[1]

    async def close(self) -> None:
        self.closed = True


class Kept(list[Captured | None]):
    """Takes everything that is kept."""

    def begin(self, request: WireRequest) -> Callable[[Captured | None], None]:
        return self.append

    @property
    def only(self) -> Captured:
        (captured,) = self
        assert captured is not None
        return captured


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_bytes_status_and_headers_pass_and_are_kept(kept: Kept) -> None:
    inner = Scripted((0, b"one "), (0, b""), (0, b"two"))
    clock = FakeClock()
    transport = RecordingTransport(inner, begin=kept.begin, clock=clock)
    response = await transport.send(STREAM)
    assert (response.status, response.headers) == (200, TYPE)
    assert [piece async for piece in response.chunks()] == [b"one ", b"", b"two"]
    captured = kept.only
    assert (captured.request, captured.status, captured.headers, captured.end) == (STREAM, 200, TYPE, "clean")
    assert b"".join(data for _, data in captured.chunks) == b"one two"
    assert captured.at_us == clock.time_us()
    await response.close()
    await response.close()
    assert len(kept) == 1
    assert captured.end == "clean"
    await transport.close()
    assert inner.closed


async def test_a_whole_answer_is_read_whole(kept: Kept) -> None:
    response = await RecordingTransport(Scripted((0, b"a"), (0, b"b")), begin=kept.begin).send(ASK)
    assert await response.read() == b"ab"
    assert [data for _, data in kept.only.chunks] == [b"a", b"b"]


async def test_looking_twice_at_the_pieces_goes_on_with_them(kept: Kept) -> None:
    response = await RecordingTransport(Scripted((0, b"a"), (0, b"b")), begin=kept.begin).send(STREAM)
    assert await anext(response.chunks()) == b"a"
    assert [piece async for piece in response.chunks()] == [b"b"]
    assert kept.only.end == "clean"


def test_times_are_kept_to_the_microsecond(kept: Kept) -> None:
    gaps = [0.000001, 1.234567, 0.0, 0.1, 0.2, 30.000003]

    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
        inner = Scripted(*((gap, b"x") for gap in gaps), clock=clock, headers_after=0.312001)
        response = await RecordingTransport(inner, begin=kept.begin, clock=clock).send(STREAM)
        async for _ in response.chunks():
            pass

    run_virtual(main())
    captured = kept.only
    assert captured.headers_after_us == 312_001
    assert [after for after, _ in captured.chunks] == [1, 1_234_567, 0, 100_000, 200_000, 30_000_003]


@pytest.mark.parametrize(
    ("error", "end"), [(ConnectionFailedError("reset"), "connection_reset"), (ProviderTimeoutError("late"), "timeout")]
)
async def test_a_connection_that_breaks_is_kept_with_what_had_come(kept: Kept, error: Exception, end: str) -> None:
    response = await RecordingTransport(Scripted((0, b"half"), error), begin=kept.begin).send(STREAM)
    chunks = response.chunks()
    assert await anext(chunks) == b"half"
    with pytest.raises(type(error)) as caught:
        await anext(chunks)
    assert caught.value is error
    await response.close()
    assert (kept.only.end, kept.only.status, [data for _, data in kept.only.chunks]) == (end, 200, [b"half"])


@pytest.mark.parametrize(
    ("error", "end"),
    [(ConnectionFailedError("refused"), "connection_reset"), (ProviderTimeoutError("late"), "timeout")],
)
async def test_no_answer_at_all_is_kept(kept: Kept, error: Exception, end: str) -> None:
    with pytest.raises(type(error)):
        await RecordingTransport(Scripted(refuse=error), begin=kept.begin).send(STREAM)
    assert (kept.only.end, kept.only.status, kept.only.chunks) == (end, None, [])


async def test_what_is_no_matter_of_the_connection_is_not_kept(kept: Kept) -> None:
    with pytest.raises(FixtureError):
        await RecordingTransport(Scripted(refuse=FixtureError("no match")), begin=kept.begin).send(STREAM)
    assert kept == [None]


async def test_a_caller_that_leaves_is_told_from_an_end(kept: Kept) -> None:
    response = await RecordingTransport(Scripted((0, b"a"), (0, b"b")), begin=kept.begin).send(STREAM)
    assert await anext(response.chunks()) == b"a"
    await response.close()
    assert (kept.only.end, [data for _, data in kept.only.chunks]) == ("left", [b"a"])


def test_a_cancelled_call_is_not_kept_and_a_cancelled_answer_was_left(kept: Kept) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
        silent = RecordingTransport(Scripted(clock=clock, headers_after=60), begin=kept.begin, clock=clock)
        with pytest.raises(TimeoutError):
            async with clock.timeout(1):
                await silent.send(STREAM)
        stalled = RecordingTransport(Scripted((0, b"a"), (60, b"b"), clock=clock), begin=kept.begin, clock=clock)
        response = await stalled.send(STREAM)
        with pytest.raises(TimeoutError):
            async with clock.timeout(1):
                async for _ in response.chunks():
                    pass

    run_virtual(main())
    assert kept[0] is None
    assert kept[1] is not None
    assert kept[1].end == "left"


async def test_an_endless_answer_passes_and_is_forgotten(kept: Kept) -> None:
    inner = Scripted(*((0, b"x" * 400) for _ in range(10)))
    response = await RecordingTransport(inner, begin=kept.begin, limit=1000).send(STREAM)
    assert len(await response.read()) == 4000
    assert kept == [None]


async def test_what_nobody_wants_is_not_touched() -> None:
    whole = WholeResponse(200, {}, b"x")

    class Inner:
        async def send(self, request: WireRequest) -> WholeResponse:
            return whole

        async def close(self) -> None:
            pass

    assert await RecordingTransport(Inner(), begin=lambda request: None).send(ASK) is whole


async def test_a_simulated_pace_is_still_known(kept: Kept) -> None:
    response = await RecordingTransport(Scripted((0, b"a")), begin=kept.begin).send(STREAM)
    assert getattr(response, "tokens_per_second", None) == 7.0


# --- over each stack ------------------------------------------------------------------------------------------------

STACKS: dict[str, Callable[[str], Transport]] = {
    "aiohttp": lambda url: AiohttpTransport(url, headers={"authorization": "Bearer canary-key"}),
    "sdk": lambda url: openai_transport(url, api_key="canary-key"),
    "faulty": lambda url: FaultyTransport(
        AiohttpTransport(url), provider="openai", faults=FaultBoard(), speech=VendorSpeech("openai"), draws=seeded(1)
    ),
}


@pytest.mark.parametrize("stack", STACKS)
async def test_pieces_pass_at_once_over_every_stack(stack: str, kept: Kept) -> None:
    async with serving() as vendor:
        vendor.script = [fake_vendor.stream_gated()]
        transport = RecordingTransport(STACKS[stack](vendor.url), begin=kept.begin)
        response = await transport.send(STREAM)
        chunks = response.chunks()
        first = await anext(chunks)
        # The vendor waits for the gate: what it has sent so far is here already.
        assert b"Think of " in first
        vendor.gate.set()
        rest = [piece async for piece in chunks]
        await response.close()
        assert b"".join(data for _, data in kept.only.chunks) == first + b"".join(rest)
        assert kept.only.chunks[0][1] == first
        assert all(after >= 0 for after, _ in kept.only.chunks)
        assert "authorization" not in {name.lower() for name in kept.only.request.headers}
        await transport.close()


@pytest.mark.parametrize("stack", STACKS)
async def test_connections_are_used_again_after_a_recorded_answer(stack: str, kept: Kept) -> None:
    async with serving() as vendor:
        transport = RecordingTransport(STACKS[stack](vendor.url), begin=kept.begin)
        for _ in range(3):
            response = await transport.send(ASK)
            await response.read()
            await response.close()
        assert len(vendor.connections) == 1
        assert [captured is not None and captured.end for captured in kept] == ["clean"] * 3
        await transport.close()


@pytest.mark.parametrize("stack", STACKS)
async def test_an_error_status_is_an_answer_like_any_other(stack: str, kept: Kept) -> None:
    async with serving() as vendor:
        vendor.script = [fake_vendor.raw(429, b'{"error":{"message":"slow"}}', retry_after="3")]
        transport = RecordingTransport(STACKS[stack](vendor.url), begin=kept.begin)
        response = await transport.send(ASK)
        assert (response.status, await response.read()) == (429, b'{"error":{"message":"slow"}}')
        assert (kept.only.status, kept.only.headers["retry-after"], kept.only.end) == (429, "3", "clean")
        await transport.close()


async def test_a_provoked_failure_outside_leaves_no_trace_inside(kept: Kept) -> None:
    async with serving() as vendor:
        board = FaultBoard()
        board.set("openai", Fault("http_error", status=503))
        inner = RecordingTransport(AiohttpTransport(vendor.url), begin=kept.begin)
        transport = FaultyTransport(
            inner, provider="openai", faults=board, speech=VendorSpeech("openai"), draws=seeded(1)
        )
        assert (await transport.send(ASK)).status == 503
        assert kept == []
        await transport.close()
