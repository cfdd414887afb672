"""Recorded exchanges as a transport."""

from __future__ import annotations

import asyncio
from itertools import accumulate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from providers.errors import ConnectionFailedError, ProviderTimeoutError
from providers.exchange import Chunk, Exchange, RecordedRequest, RecordedResponse
from providers.transports.base import WireRequest
from providers.transports.replay import ReplayTransport
from sandbox.core.virtual import VirtualClock, run_virtual

ASK = WireRequest("/v1/chat/completions", b"{}")


def recorded(
    *chunks: tuple[float, bytes], status: int = 200, error: str | None = None, answered: bool = True
) -> Exchange:
    response = (
        RecordedResponse(status, {"content-type": "x"}, tuple(Chunk(*chunk) for chunk in chunks)) if answered else None
    )
    return Exchange("openai", "chat.completions", RecordedRequest(), response, error=error)


async def test_the_recorded_bytes_come_back():
    transport = ReplayTransport(recorded((0, b"hello "), (0, b"world"), status=201))
    response = await transport.send(ASK)
    assert (response.status, response.headers, await response.read()) == (201, {"content-type": "x"}, b"hello world")
    assert transport.requests == [ASK]


async def test_pieces_come_as_recorded_or_as_asked():
    exchange = recorded((0, b"hello "), (0, b"world"))
    response = await ReplayTransport(exchange).send(ASK)
    assert [piece async for piece in response.chunks()] == [b"hello ", b"world"]
    by_byte = ReplayTransport(exchange, split=lambda body: [body[i : i + 1] for i in range(len(body))])
    response = await by_byte.send(ASK)
    assert [piece async for piece in response.chunks()] == [bytes([b]) for b in b"hello world"]


async def test_several_recordings_answer_in_order_and_the_last_one_stays():
    transport = ReplayTransport([recorded(status=503), recorded((0, b"ok"))])
    assert [(await transport.send(ASK)).status for _ in range(3)] == [503, 200, 200]


@pytest.mark.parametrize(
    ("error", "expected"), [("connection_reset", ConnectionFailedError), ("timeout", ProviderTimeoutError)]
)
async def test_a_connection_that_failed_fails_again(error, expected):
    with pytest.raises(expected):
        await ReplayTransport(recorded(error=error, answered=False)).send(ASK)


@pytest.mark.parametrize(
    ("error", "expected"), [("connection_reset", ConnectionFailedError), ("timeout", ProviderTimeoutError)]
)
async def test_a_connection_that_failed_half_way_hands_out_the_half(error, expected):
    response = await ReplayTransport(recorded((0, b"half"), error=error)).send(ASK)
    chunks = response.chunks()
    assert await anext(chunks) == b"half"
    with pytest.raises(expected):
        await anext(chunks)


def test_recorded_distances_are_kept_on_a_clock():
    async def main() -> list[float]:
        clock = VirtualClock(asyncio.get_running_loop())
        response = await ReplayTransport(recorded((250, b"a"), (40, b"b")), clock=clock).send(ASK)
        return [clock.monotonic() async for _ in response.chunks()]

    assert run_virtual(main()) == pytest.approx([0.25, 0.29])


@example(1001, [1003, 1005, 1007])  # microseconds that no float of milliseconds is exactly
@given(st.integers(0, 10**8), st.lists(st.integers(0, 10**8), max_size=6))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_recorded_times_are_kept_to_the_microsecond(headers: int, gaps: list[int]):
    """However they are summed, and whatever a float makes of them."""

    async def main() -> list[int]:
        clock = VirtualClock(asyncio.get_running_loop())
        exchange = recorded(*((us / 1000, b"x") for us in gaps))
        exchange.response.after_ms = headers / 1000
        began = clock.time_us()
        response = await ReplayTransport(exchange, clock=clock).send(ASK)
        return [clock.time_us() - began, *[clock.time_us() - began async for _ in response.chunks()]]

    assert run_virtual(main()) == list(accumulate([headers, *gaps]))


def test_a_slow_reader_delays_nothing_that_was_recorded():
    async def main() -> list[float]:
        clock = VirtualClock(asyncio.get_running_loop())
        response = await ReplayTransport(recorded((100, b"a"), (100, b"b"), (100, b"c")), clock=clock).send(ASK)
        times = []
        async for _ in response.chunks():
            times.append(clock.monotonic())
            await clock.sleep(0.15 if len(times) == 1 else 0)
        return times

    assert run_virtual(main()) == pytest.approx([0.1, 0.25, 0.3])


def test_a_replay_without_a_recording_is_a_mistake():
    with pytest.raises(ValueError, match="at least one"):
        ReplayTransport([])
