"""Provoked failures, at the level of bytes, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from providers.clock import seeded
from providers.dialects import dialect, names
from providers.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ContentFilterError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from providers.faults import PACE, TERMINAL, Fault, FaultBoard
from providers.transports.base import WireRequest, WireResponse
from providers.transports.canned import PiecewiseResponse, WholeResponse
from providers.transports.damage import FOREVER
from providers.transports.faulty import RESET_AFTER, FaultyTransport
from providers.transports.frames import is_blank, splitter
from providers.types import TextDelta
from sandbox.core.virtual import VirtualClock, run_virtual
from tests.fake_vendor import completion, stream_bytes

DIALECTS = [name for name in names() if name != "ollama_generate"]
PIECES = ["one ", "two ", "three ", "four ", "five"]


@dataclass
class Upstream:
    """A healthy transport that answers after `latency`, at `pace` tokens a second."""

    clock: Any
    spoken: Any
    latency: float = 0.5
    pace: float | None = None
    chunks: list[bytes] | None = None
    calls: int = 0
    closed: int = 0
    asked: list[WireRequest] = field(default_factory=list)

    async def send(self, request: WireRequest) -> WireResponse:
        self.calls += 1
        self.asked.append(request)
        await self.clock.sleep(self.latency)
        if not request.stream:
            body = self.spoken.encode_completion(completion("".join(PIECES)), model="m", response_id="i", created=1)
            return self._counted(WholeResponse(200, {"content-type": "application/json"}, body))
        kind = self.spoken.encoder(model="", response_id="", created=0).content_type
        return self._counted(PiecewiseResponse(200, {"content-type": kind}, self._stream(), self.pace))

    def _counted(self, response: Any) -> WireResponse:
        upstream = self

        class Counted(type(response)):
            __slots__ = ()

            async def close(self) -> None:
                upstream.closed += 1
                await super().close()

        response.__class__ = Counted
        return response

    async def _stream(self) -> AsyncGenerator[bytes]:
        for chunk in self.chunks or stream_bytes(self.spoken, PIECES):
            yield chunk
            if self.pace:
                await self.clock.sleep(1 / self.pace)

    async def close(self) -> None:
        pass


@dataclass
class Rig:
    clock: Any
    upstream: Upstream
    board: FaultBoard
    transport: FaultyTransport
    spoken: Any

    async def call(self, *, stream: bool = False) -> tuple[list[str], ProviderError | None]:
        """One call: the texts that arrived, and the error that ended it."""
        texts: list[str] = []
        response = None
        try:
            response = await self.transport.send(WireRequest("/p", b"{}", stream=stream))
            if response.status != 200:
                return [], self.spoken.decode_error(response.status, response.headers, await response.read())
            if not stream:
                return [self.spoken.decode_completion(await response.read()).text], None
            decoder = self.spoken.decoder()
            async for data in response.chunks():
                texts += [event.text for event in decoder.feed(data) if isinstance(event, TextDelta) and event.text]
            texts += [event.text for event in decoder.close() if isinstance(event, TextDelta) and event.text]
        except ProviderError as error:
            return texts, error
        finally:
            if response is not None:
                await response.close()
        return texts, None


def rigged(name: str, *faults: Fault, test: Callable[[Rig], Awaitable[None]], seed: int = 0, **upstream: Any) -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        spoken = dialect(name)
        below = Upstream(clock, spoken, **upstream)
        board = FaultBoard(clock)
        board.set("p", faults)
        transport = FaultyTransport(
            below,
            provider="p",
            faults=board,
            speech=lambda _: spoken,
            draws=seeded(seed),
            clock=clock,
        )
        await test(Rig(clock, below, board, transport, spoken))

    run_virtual(main())


def test_every_kind_of_fault_is_tested_here():
    tested = {
        "http_error", "rate_limit", "quota", "auth", "content_filter", "malformed_body", "empty_body", "latency",
        "connection_reset", "timeout", "hang", "stream_cut", "stream_stall", "slow_stream", "truncated_body",
        "malformed_event", "no_end_marker", "error_event", "wrong_content_type", "trickle",
    }  # fmt: skip
    assert tested == set(TERMINAL + PACE)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize(
    ("fault", "expected", "status"),
    [
        (Fault("http_error", status=500), ServiceUnavailableError, 500),
        (Fault("http_error", status=503), ServiceUnavailableError, 503),
        (Fault("http_error", status=529), ServiceUnavailableError, 529),
        (Fault("http_error", status=400), InvalidRequestError, 400),
        (Fault("http_error", status=401), AuthenticationError, 401),
        (Fault("http_error", status=402), QuotaExhaustedError, None),
        (Fault("http_error", status=403), PermissionDeniedError, 403),
        (Fault("http_error", status=404), ModelNotFoundError, 404),
        (Fault("http_error", status=408), ProviderTimeoutError, 408),
        (Fault("http_error", status=422), InvalidRequestError, 422),
        (Fault("http_error", status=429), RateLimitError, 429),
        (Fault("rate_limit", retry_after=7), RateLimitError, 429),
        (Fault("auth"), AuthenticationError, 401),
        (Fault("content_filter"), ContentFilterError, 400),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_failing_answers_are_the_vendors_own(name, fault, expected, status, stream):
    async def test(rig: Rig) -> None:
        _, error = await rig.call(stream=stream)
        assert type(error) is expected
        if expected is AuthenticationError and name.startswith("bedrock"):
            assert error.status == 403  # AWS's own
        elif status is not None:
            assert error.status == status
        assert rig.upstream.calls == 0  # a call that fails so never reaches the provider
        assert rig.clock.monotonic() == 0

    rigged(name, fault, test=test)


def test_the_answer_may_take_a_while_to_fail():
    async def test(rig: Rig) -> None:
        await rig.call()
        assert rig.clock.monotonic() == pytest.approx(0.05)

    rigged("openai_chat", Fault("http_error", after=0.05), test=test)


@pytest.mark.parametrize(("wanted", "told"), [(7.0, 7.0), (None, None), (0.5, 0.5)])
@pytest.mark.parametrize("name", DIALECTS)
def test_a_rate_limit_says_when_to_come_back(name, wanted, told):
    async def test(rig: Rig) -> None:
        _, error = await rig.call()
        assert error.retry_after == told

    rigged(name, Fault("rate_limit", retry_after=wanted), test=test)


def test_a_quota_lasts_for_its_requests_and_comes_back_with_its_window():
    async def test(rig: Rig) -> None:
        await rig.clock.sleep(12)  # windows count from the moment the fault began, not from the first call
        outcomes = [(await rig.call())[1] for _ in range(4)]
        assert outcomes[:2] == [None, None]
        assert [type(error) for error in outcomes[2:]] == [RateLimitError, RateLimitError]
        assert outcomes[2].retry_after == pytest.approx(60 - 12 - 2 * 0.5)
        await rig.clock.sleep(47.5)
        assert (await rig.call())[1] is None

    rigged("openai_chat", Fault("quota", requests=2, per=60), test=test)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_malformed_body_cannot_be_read(name, stream):
    async def test(rig: Rig) -> None:
        _, error = await rig.call(stream=stream)
        assert isinstance(error, MalformedResponseError | StreamInterruptedError)
        assert stream or isinstance(error, MalformedResponseError)

    rigged(name, Fault("malformed_body"), test=test)


@pytest.mark.parametrize("name", DIALECTS)
def test_an_empty_body_is_an_error_in_both_forms(name):
    async def test(rig: Rig) -> None:
        assert isinstance((await rig.call())[1], MalformedResponseError)
        assert isinstance((await rig.call(stream=True))[1], StreamInterruptedError)

    rigged(name, Fault("empty_body"), test=test)


def test_a_reset_comes_ten_milliseconds_after_the_call():
    async def test(rig: Rig) -> None:
        _, error = await rig.call()
        assert isinstance(error, ConnectionFailedError)
        assert rig.clock.monotonic() == pytest.approx(RESET_AFTER)

    rigged("openai_chat", Fault("connection_reset", after=1.0), test=test)


def test_a_timeout_sends_no_headers_until_the_caller_gives_up():
    async def test(rig: Rig) -> None:
        with pytest.raises(TimeoutError):
            async with rig.clock.timeout(30):
                await rig.transport.send(WireRequest("/p", b"{}"))
        assert rig.clock.monotonic() == pytest.approx(30)
        _, error = await rig.call()
        assert isinstance(error, ProviderTimeoutError)
        assert rig.clock.monotonic() == pytest.approx(30 + FOREVER)

    rigged("openai_chat", Fault("timeout"), test=test)


@pytest.mark.parametrize("stream", [False, True])
def test_a_hang_sends_headers_and_nothing_after_them(stream):
    async def test(rig: Rig) -> None:
        response = await rig.transport.send(WireRequest("/p", b"{}", stream=stream))
        assert response.status == 200
        assert rig.clock.monotonic() == 0
        with pytest.raises(TimeoutError):
            async with rig.clock.timeout(15):
                await response.read()
        await response.close()

    rigged("openai_chat", Fault("hang"), test=test)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("count", [0, 1, 3, 5])
@pytest.mark.parametrize("split", [None, 1, 7, 10_000])
def test_a_cut_lets_so_many_texts_through(name, count, split):
    async def test(rig: Rig) -> None:
        texts, error = await rig.call(stream=True)
        assert texts == PIECES[:count]
        assert isinstance(error, ConnectionFailedError)
        assert rig.upstream.closed == 1

    rigged(name, Fault("stream_cut", after_tokens=count), test=test, chunks=in_pieces(name, split))


@pytest.mark.parametrize("name", DIALECTS)
def test_a_text_of_many_tokens_counts_as_many(name):
    """Gemini sends dozens at once."""
    sentences = ["0123456789" * 4] * 4

    async def cut(rig: Rig) -> None:
        texts, error = await rig.call(stream=True)
        assert (texts, type(error)) == (sentences[:2], ConnectionFailedError)

    async def slow(rig: Rig) -> None:
        assert await rig.call(stream=True) == (sentences, None)
        assert rig.clock.monotonic() == pytest.approx(0.5 + 40 / 10)

    chunks = list(stream_bytes(dialect(name), sentences))
    rigged(name, Fault("stream_cut", after_tokens=15), test=cut, chunks=chunks)
    rigged(name, Fault("slow_stream", tokens_per_second=10), test=slow, chunks=chunks)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_cut_beyond_the_end_never_happens(name):
    async def test(rig: Rig) -> None:
        assert await rig.call(stream=True) == (PIECES, None)

    rigged(name, Fault("stream_cut", after_tokens=6), test=test)


def test_a_cut_of_a_whole_answer_breaks_its_body():
    async def test(rig: Rig) -> None:
        assert isinstance((await rig.call())[1], ConnectionFailedError)

    rigged("openai_chat", Fault("stream_cut"), test=test)


def in_pieces(name: str, size: int | None) -> list[bytes] | None:
    """A whole stream cut into equal pieces, wherever its events end; None: as its encoder writes it."""
    if size is None:
        return None
    whole = b"".join(stream_bytes(dialect(name), PIECES))
    return [whole[i : i + size] for i in range(0, len(whole), size)]


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("split", [None, 7, 10_000])
def test_a_truncated_stream_ends_early_and_cleanly(name, split):
    async def test(rig: Rig) -> None:
        response = await rig.transport.send(WireRequest("/p", b"{}", stream=True))
        body = await response.read()
        await response.close()
        assert b"".join(stream_bytes(dialect(name), PIECES)).startswith(body)
        texts, error = await rig.call(stream=True)
        assert texts == PIECES[:2]
        assert isinstance(error, StreamInterruptedError)

    rigged(name, Fault("truncated_body", after_tokens=2), test=test, chunks=in_pieces(name, split))


@pytest.mark.parametrize(
    ("fault", "kept"), [(Fault("truncated_body"), None), (Fault("truncated_body", after_bytes=9), 9)]
)
@pytest.mark.parametrize("name", DIALECTS)
def test_a_truncated_answer_cannot_be_read(name, fault, kept):
    async def test(rig: Rig) -> None:
        response = await rig.transport.send(WireRequest("/p", b"{}"))
        body = await response.read()
        assert kept is None or len(body) == kept
        assert "content-length" not in response.headers
        assert isinstance((await rig.call())[1], MalformedResponseError)

    rigged(name, fault, test=test)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("split", [None, 1, 7, 10_000])
def test_the_malformed_event_is_the_one_named(name, split):
    """Everything before it arrives, nothing after it does, and the framing around it holds."""
    head = len(_events(name, stream_bytes(dialect(name), PIECES)[:3]))

    async def test(rig: Rig) -> None:
        texts, error = await rig.call(stream=True)
        assert texts == PIECES[:2]
        assert isinstance(error, MalformedResponseError | StreamInterruptedError)

    rigged(name, Fault("malformed_event", event=head + 1), test=test, chunks=in_pieces(name, split))


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stream_with_fewer_events_has_its_last_one_malformed(name):
    async def test(rig: Rig) -> None:
        response = await rig.transport.send(WireRequest("/p", b"{}", stream=True))
        body = await response.read()
        await response.close()
        good = _events(name, stream_bytes(dialect(name), PIECES))
        bad = _events(name, [body])
        assert len(bad) == len(good)
        assert [a == b for a, b in zip(good, bad, strict=True)] == [True] * (len(good) - 1) + [False]

    rigged(name, Fault("malformed_event", event=500), test=test)


def _events(name: str, chunks: list[bytes]) -> list[bytes]:
    frames = splitter(dialect(name).encoder(model="", response_id="", created=0).content_type)
    found = [frame for chunk in chunks for frame in frames.feed(chunk)]
    # A broken element of an array never ends.
    return found if is_blank(frames.rest()) else [*found, frames.rest()]


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("split", [None, 7, 10_000])
def test_without_its_end_marker_a_stream_has_all_of_its_text(name, split):
    async def test(rig: Rig) -> None:
        texts, error = await rig.call(stream=True)
        assert texts == PIECES
        # Some formats have said all before the last event, the others cannot be trusted to be whole.
        assert error is None or isinstance(error, StreamInterruptedError)
        response = await rig.transport.send(WireRequest("/p", b"{}", stream=True))
        body = await response.read()
        await response.close()
        assert _events(name, [body]) == _events(name, stream_bytes(dialect(name), PIECES))[:-1]

    rigged(name, Fault("no_end_marker"), test=test, chunks=in_pieces(name, split))


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize(
    ("status", "expected"), [(529, ServiceUnavailableError), (429, RateLimitError), (400, InvalidRequestError)]
)
def test_an_error_event_comes_under_a_200(name, status, expected):
    async def test(rig: Rig) -> None:
        texts, error = await rig.call(stream=True)
        assert texts == PIECES[:2]
        assert type(error) is expected
        assert "provoked" in error.message

    rigged(name, Fault("error_event", status=status, after_tokens=2), test=test)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stream_may_begin_with_its_error(name):
    async def test(rig: Rig) -> None:
        texts, error = await rig.call(stream=True)
        assert texts == []
        assert isinstance(error, ServiceUnavailableError)

    rigged(name, Fault("error_event", after_tokens=0), test=test)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_whole_answer_with_an_error_in_it_is_a_200(name):
    async def test(rig: Rig) -> None:
        response = await rig.transport.send(WireRequest("/p", b"{}"))
        assert response.status == 200
        await response.close()
        assert (await rig.call())[1] is not None

    rigged(name, Fault("error_event"), test=test)


def test_a_wrong_content_type_leaves_the_body_alone():
    async def test(rig: Rig) -> None:
        response = await rig.transport.send(WireRequest("/p", b"{}", stream=True))
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert await response.read() == b"".join(stream_bytes(rig.spoken, PIECES))
        await response.close()

    rigged("openai_chat", Fault("wrong_content_type"), test=test)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_trickle_brings_everything_a_few_bytes_at_a_time(name):
    whole = len(b"".join(stream_bytes(dialect(name), PIECES)))

    async def test(rig: Rig) -> None:
        assert await rig.call(stream=True) == (PIECES, None)
        assert rig.clock.monotonic() == pytest.approx(0.5 + whole / 50)
        response = await rig.transport.send(WireRequest("/p", b"{}", stream=True))
        assert {len(piece) async for piece in response.chunks()} <= set(range(1, 6))
        await response.close()

    rigged(name, Fault("trickle", bytes_per_second=50), test=test)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_stall_is_silent_and_then_goes_on(name):
    async def test(rig: Rig) -> None:
        assert await rig.call(stream=True) == (PIECES, None)
        assert rig.clock.monotonic() == pytest.approx(0.5 + 20)

    rigged(name, Fault("stream_stall", after_tokens=2, duration=20), test=test)


def test_a_stall_without_an_end_lasts_until_the_caller_gives_up():
    async def test(rig: Rig) -> None:
        response = await rig.transport.send(WireRequest("/p", b"{}", stream=True))
        with pytest.raises(TimeoutError):
            async with rig.clock.timeout(100):
                await response.read()
        assert rig.clock.monotonic() == pytest.approx(100.5, abs=1)
        await response.close()
        assert rig.upstream.closed == 1

    rigged("openai_chat", Fault("stream_stall", after_tokens=2), test=test)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_slow_stream_keeps_its_pace(name):
    async def test(rig: Rig) -> None:
        assert await rig.call(stream=True) == (PIECES, None)
        assert rig.clock.monotonic() == pytest.approx(0.5 + len(PIECES) / 2)

    rigged(name, Fault("slow_stream", tokens_per_second=2), test=test)


def test_a_transport_with_a_pace_of_its_own_is_asked_to_slow_down():
    async def test(rig: Rig) -> None:
        await rig.call(stream=True)
        assert rig.upstream.asked[0].tokens_per_second == 2
        assert rig.clock.monotonic() < 2  # it said that it keeps a pace, so nothing is added to it

    rigged("openai_chat", Fault("slow_stream", tokens_per_second=2), test=test, pace=50)


def test_a_slow_whole_answer_takes_about_as_long_as_its_text():
    async def test(rig: Rig) -> None:
        await rig.call()
        assert 5 < rig.clock.monotonic() < 60

    rigged("openai_chat", Fault("slow_stream", tokens_per_second=5), test=test)


def test_latencies_add_up_and_multiply():
    async def test(rig: Rig) -> None:
        assert (await rig.call())[1] is None
        assert rig.clock.monotonic() == pytest.approx(0.5 * 3 + 0.2 + 0.1)

    rigged("openai_chat", Fault("latency", add=0.2, times=3), Fault("latency", add=0.1), test=test)


def test_the_first_listed_terminal_fault_wins_and_pace_faults_compose():
    async def test(rig: Rig) -> None:
        texts, error = await rig.call(stream=True)
        assert texts == PIECES[:2]
        assert isinstance(error, ConnectionFailedError)
        assert rig.clock.monotonic() == pytest.approx(0.5 + 1.0 + 3 / 2, abs=0.6)

    rigged(
        "openai_chat",
        Fault("latency", add=1.0),
        Fault("stream_cut", after_tokens=2),
        Fault("http_error", status=503),
        Fault("slow_stream", tokens_per_second=2),
        test=test,
    )


def test_a_probability_is_drawn_for_each_call():
    async def test(rig: Rig) -> None:
        failures = [(await rig.call())[1] is not None for _ in range(400)]
        assert 0.2 < sum(failures) / len(failures) < 0.4

    rigged("openai_chat", Fault("http_error", probability=0.3), test=test)


def test_the_same_draws_give_the_same_failures():
    seen: list[list[bool]] = []

    async def test(rig: Rig) -> None:
        seen.append([(await rig.call())[1] is not None for _ in range(50)])

    for seed in (1, 1, 2):
        rigged("openai_chat", Fault("http_error", probability=0.5), test=test, seed=seed)
    assert seen[0] == seen[1] != seen[2]


def test_a_provider_can_be_broken_and_healed_while_it_runs():
    async def test(rig: Rig) -> None:
        assert (await rig.call())[1] is None
        rig.board.set("p", Fault("http_error"))
        assert isinstance((await rig.call())[1], ServiceUnavailableError)
        rig.board.set("other", Fault("http_error"))
        assert set(rig.board.all()) == {"p", "other"}
        rig.board.set("p", None)
        assert (await rig.call())[1] is None
        rig.board.clear()
        assert rig.board.all() == {}

    rigged("openai_chat", test=test)


def test_an_upstream_error_passes_through_a_cut():
    async def test(rig: Rig) -> None:
        async def failing(request: WireRequest) -> WireResponse:
            wire = rig.spoken.encode_error(RateLimitError("real", status=429))
            return WholeResponse(wire.status, wire.headers, wire.body)

        rig.upstream.send = failing
        _, error = await rig.call(stream=True)
        assert isinstance(error, RateLimitError)
        assert "real" in error.message

    rigged("openai_chat", Fault("stream_cut"), test=test)
