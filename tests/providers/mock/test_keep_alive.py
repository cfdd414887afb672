"""What vendors send while an answer is not ready."""

from __future__ import annotations

import asyncio

import pytest

from providers.errors import ConnectionFailedError
from providers.mock.keep_alive import COMPANY, KeepAliveTransport
from providers.transports.base import WireRequest
from providers.transports.canned import PiecewiseResponse, WholeResponse
from sandbox.core.virtual import VirtualClock, run_virtual

PLAIN, STREAM = WireRequest("/x", b"{}"), WireRequest("/x", b"{}", stream=True)


class Slow:
    """An upstream that takes its time."""

    def __init__(self, clock, seconds: float, *, status: int = 200, error: Exception | None = None) -> None:
        self.clock, self.seconds, self.status, self.error = clock, seconds, status, error
        self.cancelled = self.closed = False

    async def send(self, request):
        try:
            await self.clock.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        upstream = self

        class Answer(WholeResponse):
            async def close(self) -> None:
                upstream.closed = True

        return Answer(self.status, {"content-type": "application/json", "x-own": "1"}, b"{}")

    async def close(self) -> None:
        pass


def met(seconds: float, request, *, provider: str = "deepseek", **options):
    """What is heard of an upstream that takes `seconds`, with the virtual time of each piece."""

    async def main():
        clock = VirtualClock(asyncio.get_running_loop())
        upstream = Slow(clock, seconds, **options)
        response = await KeepAliveTransport(upstream, COMPANY[provider], every=1.0, clock=clock).send(request)
        heard = []
        async for piece in response.chunks():
            heard.append((clock.monotonic(), piece))
        await response.close()
        return response, heard, upstream

    return run_virtual(main())


@pytest.mark.parametrize(
    ("request_", "provider", "word"),
    [
        (STREAM, "deepseek", b": keep-alive\n\n"),
        (PLAIN, "deepseek", b"\n"),
        (STREAM, "openrouter", b": OPENROUTER PROCESSING\n\n"),
    ],
)
def test_a_word_a_second_until_the_answer(request_, provider, word):
    response, heard, upstream = met(3.5, request_, provider=provider)
    assert response.status == 200
    assert heard == [(1.0, word), (2.0, word), (3.0, word), (3.5, b"{}")]
    assert upstream.closed


def test_a_quick_answer_is_left_as_it_is():
    response, heard, _ = met(0.5, STREAM)
    assert heard == [(0.5, b"{}")]
    assert response.headers["x-own"] == "1"
    assert met(0.5, STREAM, status=503)[0].status == 503


def test_who_says_nothing_waits_in_silence():
    response, heard, _ = met(3.5, PLAIN, provider="openrouter")
    assert heard == [(3.5, b"{}")]
    assert response.headers["x-own"] == "1"


@pytest.mark.parametrize("seconds", [0.5, 3.5])
def test_a_failure_is_passed_on(seconds):
    with pytest.raises(ConnectionFailedError, match="gone"):
        met(seconds, STREAM, error=ConnectionFailedError("gone"))


def test_who_leaves_early_leaves_nothing_behind():
    async def main():
        clock = VirtualClock(asyncio.get_running_loop())
        waiting = Slow(clock, 100.0)
        sending = asyncio.ensure_future(
            KeepAliveTransport(waiting, COMPANY["deepseek"], every=10.0, clock=clock).send(STREAM)
        )
        await clock.sleep(5)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await clock.sleep(0)
        kept = Slow(clock, 100.0)
        response = await KeepAliveTransport(kept, COMPANY["deepseek"], every=1.0, clock=clock).send(STREAM)
        assert isinstance(response, PiecewiseResponse)
        assert await anext(response.chunks()) == b": keep-alive\n\n"
        await response.close()
        await clock.sleep(0)
        return waiting.cancelled, kept.cancelled

    assert run_virtual(main()) == (True, True)


@pytest.mark.parametrize(
    ("seconds", "read", "waited", "cancelled", "closed"),
    [(9.5, False, 0.5, True, False), (1.5, True, 2.0, False, True), (1.5, False, 2.0, False, True)],
    ids=["before a word is read", "when the answer has come", "when it has come and no word was read"],
)
def test_an_answer_that_nobody_reads_is_called_off_or_closed(seconds, read, waited, cancelled, closed):
    async def main():
        clock = VirtualClock(asyncio.get_running_loop())
        upstream = Slow(clock, seconds)
        response = await KeepAliveTransport(upstream, COMPANY["deepseek"], every=1.0, clock=clock).send(STREAM)
        if read:
            await anext(response.chunks())
        await clock.sleep(waited)
        await response.close()
        await clock.sleep(0)
        return upstream.cancelled, upstream.closed

    assert run_virtual(main()) == (cancelled, closed)


def test_who_leaves_at_the_moment_of_the_answer_closes_it():
    async def main():
        clock = VirtualClock(asyncio.get_running_loop())
        upstream = Slow(clock, 0.5)
        sending = asyncio.ensure_future(
            KeepAliveTransport(upstream, COMPANY["deepseek"], every=1.0, clock=clock).send(STREAM)
        )
        send = upstream.send

        async def then_leave(request):
            answer = await send(request)
            asyncio.get_running_loop().call_soon(sending.cancel)
            return answer

        upstream.send = then_leave
        with pytest.raises(asyncio.CancelledError):
            await sending
        return upstream.closed

    assert run_virtual(main())
