"""One suite for every vendor over every transport: what the code above a provider may rely on."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from providers import BaseLLMProvider, GenerationRequest, factory
from providers.errors import (
    AuthenticationError,
    ConfigError,
    ConnectionFailedError,
    ContentFilterError,
    ContextLengthError,
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
from providers.exchange import Chunk, Exchange, RecordedRequest, RecordedResponse
from providers.factory import provider_class
from providers.faults import Fault
from providers.mock import Simulation
from providers.transports.replay import ReplayTransport
from providers.types import StreamFinished, StreamStarted, TextDelta
from providers.vendors.wire import WireProvider
from tests import fake_vendor
from tests.fake_clock import FakeClock
from tests.fake_vendor import PIECES, TEXT, FakeVendor, completion, serving, stream_bytes

VENDORS = ["openai", "azure_openai", "deepseek", "vllm", "anthropic", "bedrock", "gemini", "ollama"]
WITHOUT_SDK = {"gemini", "ollama"}
OTHER_APIS = [
    "openai/responses", "openai/completions", "azure_openai/responses", "azure_openai/completions", "bedrock/invoke",
]  # fmt: skip
"""Vendors by another of their APIs than the main one."""
SPOKEN = [*VENDORS, *OTHER_APIS]
ON_THE_WIRE = [(v, t) for v in SPOKEN for t in ("sdk", "aiohttp") if t == "aiohttp" or v not in WITHOUT_SDK]
EVERYWHERE = [*ON_THE_WIRE, *((v, t) for v in SPOKEN for t in ("simulated", "replay"))]
CANARY = "canary-6f0e1b7c2a"
"""A key without the shape of one, so that only knowing its value can mask it."""
CREDENTIALS = {
    "bedrock": {
        "aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": CANARY[::-1], "aws_session_token": CANARY,
    },
}  # fmt: skip
"""Of the vendors that want something else than one key; the secret key itself is never sent."""
ASK = GenerationRequest(prompt="Explain circuit breakers to a cook.", max_tokens=200)


def create(name: str, **options: object) -> BaseLLMProvider:
    """A provider by its kind, or by its kind and API."""
    kind, _, api = name.partition("/")
    return factory.create(kind, **({"api": api} if api else {}), **options)


def kind_of(name: str) -> str:
    return name.partition("/")[0]


# --- what a test can make a vendor do, on any transport -----------------------------------------------------------


@dataclass(frozen=True)
class Ok:
    pass


@dataclass(frozen=True)
class Fail:
    error: ProviderError


@dataclass(frozen=True)
class Cut:
    """So many texts, then the connection breaks."""

    after: int


@dataclass(frozen=True)
class Bytes:
    """A 200 with this body."""

    body: bytes
    content_type: str = "application/json"


Act = Ok | Fail | Cut | Bytes


class ScriptedFaults:
    """The acts as faults, for the simulated side."""

    def __init__(self, acts: Sequence[Act]) -> None:
        self._acts = list(acts)

    def active(self, provider: str) -> Sequence[Fault]:
        act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
        match act:
            case Ok():
                return ()
            case Cut(after):
                return (Fault("stream_cut", after_tokens=after),)
            case Bytes(body):
                return (Fault("malformed_body" if body else "empty_body"),)
            case Fail(error):
                return (self._fault(error),)

    @staticmethod
    def _fault(error: ProviderError) -> Fault:
        match error:
            case RateLimitError():
                return Fault("rate_limit", retry_after=error.retry_after)
            case ContentFilterError():
                return Fault("content_filter")
            case ConnectionFailedError():
                return Fault("connection_reset")
            case AuthenticationError():
                return Fault("auth")
        return Fault("http_error", status=error.status or 503)

    def quota_wait(self, provider: str, fault: Fault) -> float | None:
        return None


def behaviours(acts: Sequence[Act]) -> list[fake_vendor.Behaviour]:
    """The acts as the loopback server's."""

    def behaviour(act: Act) -> fake_vendor.Behaviour:
        match act:
            case Ok():
                return fake_vendor.answer()
            case Fail(ConnectionFailedError()):
                return fake_vendor.reset()
            case Fail(error):
                return fake_vendor.fail(error)
            case Cut(after):
                return fake_vendor.stream_then(None, after)
            case Bytes(body, content_type):
                return fake_vendor.raw(200, body, content_type)

    return [behaviour(act) for act in acts]


def recordings(provider: WireProvider, acts: Sequence[Act], *, stream: bool) -> list[Exchange]:
    """The acts as recorded exchanges in the vendor's format."""
    spoken = provider.dialect

    def exchange(response: RecordedResponse | None, error: str | None = None) -> Exchange:
        return Exchange(provider.kind, "any", RecordedRequest(), response, error=error)

    def recording(act: Act) -> Exchange:
        match act:
            case Ok() if stream:
                chunks = tuple(Chunk(0, data) for data in stream_bytes(spoken, PIECES))
                return exchange(RecordedResponse(200, {"x-request-id": "req-ok"}, chunks))
            case Ok():
                body = spoken.encode_completion(completion(), model="the-model", response_id="id-1", created=1)
                return exchange(RecordedResponse(200, {"x-request-id": "req-ok"}, (Chunk(0, body),)))
            case Fail(ConnectionFailedError()):
                return exchange(None, "connection_reset")
            case Fail(error):
                wire = spoken.encode_error(error)
                headers = {**wire.headers, "x-request-id": "req-bad"}
                return exchange(RecordedResponse(wire.status, headers, (Chunk(0, wire.body),)))
            case Cut(after):
                chunks = tuple(Chunk(0, data) for data in stream_bytes(spoken, PIECES[:after], end=False))
                return exchange(RecordedResponse(200, {}, chunks), "connection_reset")
            case Bytes(body, content_type):
                return exchange(RecordedResponse(200, {"content-type": content_type}, (Chunk(0, body),)))

    return [recording(act) for act in acts]


@asynccontextmanager
async def acting(
    kind: str, transport: str, *acts: Act, stream: bool = False, **options: object
) -> AsyncIterator[tuple[WireProvider, FakeVendor | None]]:
    """A provider whose vendor does as told; the loopback server too, where there is one."""
    acts = acts or (Ok(),)
    options = {**CREDENTIALS.get(kind_of(kind), {"api_key": CANARY}), **options}
    if transport in ("sdk", "aiohttp"):
        async with serving() as server:
            server.script = behaviours(acts)
            server.gate.set()
            version = "/v1" if kind_of(kind) == "openai" else ""
            provider = create(kind, base_url=server.url + version, transport_kind=transport, **options)
            try:
                yield provider, server
            finally:
                await provider.close()
    elif transport == "simulated":
        async with create(kind, mock_mode=True, faults=ScriptedFaults(acts), **options) as provider:
            yield provider, None
    else:
        plain = create(kind, mock_mode=True)
        replay = ReplayTransport(recordings(plain, acts, stream=stream))
        async with create(kind, mock_mode=False, transport=replay, **options) as provider:
            yield provider, None


async def streamed(provider: BaseLLMProvider, ask: GenerationRequest = ASK) -> tuple[list[str], list[object]]:
    events = [event async for event in provider.stream_attempt(ask, provider.model_id)]
    return [event.text for event in events if isinstance(event, TextDelta) and event.text], events


async def collected(events: AsyncIterator[object], texts: list[str]) -> None:
    """Put the texts of a stream into `texts`, so that they are there when the stream breaks."""
    async for event in events:
        assert not isinstance(event, StreamFinished)
        if isinstance(event, TextDelta) and event.text:
            texts.append(event.text)


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_an_answer(kind, transport):
    async with acting(kind, transport) as (provider, _):
        answer = await provider.attempt(ASK, provider.model_id)
        assert answer.stop == "stop"
        assert answer.text == TEXT or (transport == "simulated" and "circuit breakers" in answer.text)
        assert answer.usage.input_tokens > 0
        assert answer.usage.output_tokens > 10
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
        # Simulated vendors give ids where the real ones do.
        assert answer.metadata.get("request_id") == "req-ok" or transport == "simulated"


@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_a_stream_says_the_same_as_the_answer_it_ends_with(kind, transport):
    async with acting(kind, transport, stream=True) as (provider, _):
        texts, events = await streamed(provider)
        assert isinstance(events[0], StreamStarted)
        assert events[0].provider == kind_of(kind)
        assert isinstance(events[-1], StreamFinished)
        assert [type(event) for event in events].count(StreamFinished) == 1
        assert len(texts) >= 5
        assert "".join(texts) == events[-1].completion.text
        assert events[-1].completion.stop == "stop"
        assert events[-1].completion.usage.output_tokens > 10


@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_a_whole_response(kind, transport):
    async with acting(kind, transport) as (provider, _):
        response = await provider.generate("Explain circuit breakers to a cook.")
        assert (response.provider, response.model) == (kind_of(kind), provider.model)
        assert response.text
        assert response.tokens_used == response.usage.total_tokens > 20
        assert response.mode == ("mock" if transport == "simulated" else "live")


@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_pieces_arrive_while_the_rest_is_still_to_come(kind, transport):
    async with acting(kind, transport) as (provider, server):
        server.script = [fake_vendor.stream_gated()]
        server.gate.clear()
        stream = provider.stream_attempt(ASK, provider.model_id)
        async for event in stream:
            if isinstance(event, TextDelta) and event.text:
                # The server writes on only now: a transport that collects the body first would wait for ever.
                server.gate.set()
        assert isinstance(event, StreamFinished)
        assert event.completion.text == TEXT


@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_the_request_is_the_vendors(kind, transport):
    async with acting(kind, transport) as (provider, server):
        await provider.attempt(ASK, provider.model_id)
        await streamed(provider)
        plain, stream = server.seen
        expected = {
            "openai": "/v1/chat/completions",
            "azure_openai": "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21",
            "deepseek": "/chat/completions",
            "vllm": "/v1/chat/completions",
            "anthropic": "/v1/messages",
            "bedrock": "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse",
            "gemini": "/v1beta/models/gemini-2.5-flash:generateContent",
            "ollama": "/api/chat",
            "openai/responses": "/v1/responses",
            "openai/completions": "/v1/completions",
            "azure_openai/responses": "/openai/v1/responses",
            "azure_openai/completions": "/openai/deployments/gpt-4o-mini/completions?api-version=2024-10-21",
            "bedrock/invoke": "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke",
        }
        # Where model and streaming are in the path alone.
        streams = {
            "gemini": "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            "bedrock": f"{expected['bedrock']}-stream",
            "bedrock/invoke": f"{expected['bedrock/invoke']}-with-response-stream",
        }
        assert plain.path == expected[kind]
        assert plain.headers["content-type"] == "application/json"
        if kind in streams:
            assert stream.path == streams[kind]
            assert plain.body == stream.body
        else:
            assert stream.path == expected[kind]
            assert plain.body["model"] == provider.model_id
            assert stream.body["stream"] is True
        header = {
            "azure_openai": "api-key", "anthropic": "x-api-key", "gemini": "x-goog-api-key",
            "bedrock": "x-amz-security-token",
        }.get(kind_of(kind), "authorization")  # fmt: skip
        assert CANARY in plain.headers[header]
        if kind == "anthropic":
            assert plain.headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_one_connection_serves_answers_streams_and_errors(kind, transport):
    acts = [Ok(), Fail(RateLimitError("slow down", status=429)), Ok(), Ok()]
    async with acting(kind, transport, *acts, clock=FakeClock()) as (provider, server):
        await provider.attempt(ASK, provider.model_id)
        with pytest.raises(RateLimitError):
            await provider.attempt(ASK, provider.model_id)
        await streamed(provider)
        await provider.attempt(ASK, provider.model_id)
        assert len(server.connections) == 1


@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_a_body_that_ends_a_moment_after_its_last_event_keeps_the_connection(kind, transport):
    async with acting(kind, transport, clock=FakeClock()) as (provider, server):
        server.script = [fake_vendor.stream_that_lingers(), fake_vendor.answer()]
        server.gate.clear()
        async for event in provider.stream_attempt(ASK, provider.model_id):
            if isinstance(event, StreamFinished):
                server.gate.set()
        await provider.attempt(ASK, provider.model_id)
        assert len(server.connections) == 1


@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_a_body_that_never_ends_holds_nobody_up(kind, transport):
    async with acting(kind, transport) as (provider, server):
        server.script = [fake_vendor.stream_that_lingers()]
        server.gate.clear()
        texts, events = await streamed(provider)
        assert isinstance(events[-1], StreamFinished)
        assert "".join(texts) == TEXT
        await asyncio.wait_for(server.left.wait(), 5)


# --- errors -------------------------------------------------------------------------------------------------------

ERRORS = [
    RateLimitError("too many requests", status=429, retry_after=7.0),
    QuotaExhaustedError("you exceeded your current quota", status=402),
    AuthenticationError("the key is not valid", status=401),
    PermissionDeniedError("not for you", status=403),
    ModelNotFoundError("the model does not exist", status=404),
    InvalidRequestError("messages must not be empty", status=400),
    InvalidRequestError("cannot be processed", status=422),
    ContentFilterError("refused by the content filter", status=400),
    ProviderTimeoutError("took too long", status=408),
    ServiceUnavailableError("overloaded", status=503),
    ServiceUnavailableError("internal error", status=500),
    ServiceUnavailableError("overloaded", status=529),
]


@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda e: f"{type(e).__name__}-{e.status}")
@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_every_failing_answer_is_one_class(kind, transport, error, stream):
    async with acting(kind, transport, Fail(error), stream=stream) as (provider, _):
        with pytest.raises(ProviderError) as caught:
            await (streamed(provider) if stream else provider.attempt(ASK, provider.model_id))
        raised = caught.value
        assert type(raised) is type(error)
        assert (raised.provider, raised.model) == (kind_of(kind), provider.model_id)
        assert raised.status is not None
        assert raised.retry_after == error.retry_after
        if transport != "simulated":
            assert error.message in raised.message
            assert raised.request_id == "req-bad"


@pytest.mark.parametrize(("kind", "transport"), [pair for pair in EVERYWHERE if pair[1] != "simulated"])
async def test_a_prompt_beyond_the_window(kind, transport):
    error = ContextLengthError("This model's maximum context length is 10 tokens.", status=400)
    async with acting(kind, transport, Fail(error)) as (provider, _):
        with pytest.raises(ContextLengthError):
            await provider.attempt(ASK, provider.model_id)


@pytest.mark.parametrize("kind", SPOKEN)
async def test_a_prompt_beyond_a_simulated_window(kind):
    simulation = Simulation(window_of=lambda provider, model: 10)
    async with create(kind, simulation=simulation) as provider:
        with pytest.raises(ContextLengthError):
            await provider.attempt(ASK, provider.model_id)


@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_a_connection_that_is_reset(kind, transport):
    async with acting(kind, transport, Fail(ConnectionFailedError("reset"))) as (provider, _):
        for attempt in (provider.attempt(ASK, provider.model_id), streamed(provider)):
            with pytest.raises(ConnectionFailedError) as caught:
                await attempt
            assert (caught.value.provider, caught.value.model) == (kind_of(kind), provider.model_id)
            assert caught.value.retryable


@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_a_connection_that_is_refused(kind, transport):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with create(kind, api_key=CANARY, base_url=address, transport_kind=transport) as provider:
        with pytest.raises(ConnectionFailedError, match="Connection refused"):
            await provider.attempt(ASK, provider.model_id)


@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_a_stream_that_breaks_is_no_clean_finish(kind, transport, after):
    async with acting(kind, transport, Cut(after), stream=True) as (provider, _):
        texts = []
        with pytest.raises((ConnectionFailedError, StreamInterruptedError)):
            await collected(provider.stream_attempt(ASK, provider.model_id), texts)
        # A reset may overtake what is still in the socket's buffer.
        assert len(texts) <= after if transport in ("sdk", "aiohttp") else len(texts) == after


@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_the_partial_text_of_a_broken_stream_is_kept(kind, transport):
    async with acting(kind, transport, Cut(2), stream=True, max_retries=0) as (provider, _):
        texts = []
        with pytest.raises((StreamInterruptedError, ConnectionFailedError)) as caught:
            await collected(provider.generate_stream(ASK), texts)
        if texts:
            assert isinstance(caught.value, StreamInterruptedError)
            assert caught.value.partial_text == "".join(texts)


@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_a_stream_that_just_ends_is_no_clean_finish(kind, transport):
    async with acting(kind, transport) as (provider, server):
        server.script = [fake_vendor.stream_then(lambda spoken: b"", 2)]
        with pytest.raises(StreamInterruptedError) as caught:
            await streamed(provider)
        assert caught.value.partial_text == "".join(PIECES[:2])


@pytest.mark.parametrize("pieces", [0, 2])
@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_an_error_event_inside_a_stream(kind, transport, pieces):
    def tail(spoken):
        encoder = spoken.encoder(model="m", response_id="i", created=1)
        return encoder.error(ServiceUnavailableError("overloaded"))

    async with acting(kind, transport) as (provider, server):
        server.script = [fake_vendor.stream_then(tail, pieces)]
        with pytest.raises(ProviderError, match="overloaded") as caught:
            await streamed(provider)
        assert caught.value.recovery.next_provider is True
        assert caught.value.provider == kind_of(kind)


@pytest.mark.parametrize(("kind", "transport"), [pair for pair in EVERYWHERE if pair[1] != "simulated"])
async def test_an_error_inside_a_200(kind, transport):
    async with acting(
        kind, transport, Bytes(b'{"error":{"message":"overloaded","type":"server_error","code":503}}')
    ) as (provider, _):
        with pytest.raises(ServiceUnavailableError, match="overloaded"):
            await provider.attempt(ASK, provider.model_id)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"not json", b'{"unexpected": true}'])
@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_a_body_that_is_no_answer(kind, transport, body):
    async with acting(kind, transport, Bytes(body)) as (provider, _):
        with pytest.raises(ProviderError) as caught:
            await provider.attempt(ASK, provider.model_id)
        assert caught.value.retryable
        with pytest.raises(ProviderError) as caught:
            await streamed(provider)
        assert caught.value.retryable


@pytest.mark.parametrize(("kind", "transport"), [pair for pair in EVERYWHERE if pair[1] != "simulated"])
async def test_a_web_page_in_place_of_an_api(kind, transport):
    page = Bytes(b"<html><title>Sign in</title></html>", "text/html")
    async with acting(kind, transport, page) as (provider, _):
        for attempt in (provider.attempt(ASK, provider.model_id), streamed(provider)):
            with pytest.raises(MalformedResponseError, match="base_url"):
                await attempt


# --- leaving ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_leaving_a_stream_closes_it_upstream(kind, transport):
    async with acting(kind, transport) as (provider, server):
        server.script = [fake_vendor.stream_gated()]
        server.gate.clear()
        stream = provider.stream_attempt(ASK, provider.model_id)
        async for event in stream:
            if isinstance(event, TextDelta) and event.text:
                break
        await stream.aclose()
        await asyncio.wait_for(server.left.wait(), 5)


@pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])
@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_cancelling_a_call_closes_it_upstream(kind, transport, stream):
    async with acting(kind, transport) as (provider, server):
        server.script = [fake_vendor.silence()]
        server.gate.clear()
        calling = asyncio.create_task(streamed(provider) if stream else provider.attempt(ASK, provider.model_id))
        while not server.seen:
            await asyncio.sleep(0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await asyncio.wait_for(server.left.wait(), 5)


@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_closing_twice_and_asking_again(kind, transport):
    async with acting(kind, transport) as (provider, _):
        await provider.attempt(ASK, provider.model_id)
        await provider.close()
        await provider.close()
        assert (await provider.attempt(ASK, provider.model_id)).text


# --- retries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_generate_retries_after_one_two_four_and_eight_seconds(kind, transport):
    clock = FakeClock()
    fail = Fail(ServiceUnavailableError("overloaded", status=503))
    async with acting(kind, transport, fail, fail, fail, fail, Ok(), clock=clock) as (provider, server):
        response = await provider.generate(ASK)
        assert response.text
        assert clock.slept == [1.0, 2.0, 4.0, 8.0]
        assert response.latency_ms == pytest.approx(15_000)
        assert server is None or len(server.seen) == 5


@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_a_longer_retry_after_wins_over_the_backoff(kind, transport):
    clock = FakeClock()
    fail = Fail(RateLimitError("slow down", status=429, retry_after=3.0))
    async with acting(kind, transport, fail, Ok(), clock=clock) as (provider, _):
        await provider.generate(ASK)
        assert clock.slept == [3.0]


@pytest.mark.parametrize("error", [AuthenticationError("no", status=401), InvalidRequestError("no", status=400)])
@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_what_cannot_help_is_not_repeated(kind, transport, error):
    clock = FakeClock()
    async with acting(kind, transport, Fail(error), clock=clock) as (provider, server):
        with pytest.raises(type(error)):
            await provider.generate(ASK)
        assert clock.slept == []
        assert server is None or len(server.seen) == 1


@pytest.mark.parametrize(("kind", "transport"), EVERYWHERE)
async def test_a_stream_is_retried_until_its_first_text(kind, transport):
    clock = FakeClock()
    fail = Fail(ServiceUnavailableError("overloaded", status=503))
    async with acting(kind, transport, fail, Ok(), stream=True, clock=clock) as (provider, _):
        events = [event async for event in provider.generate_stream(ASK)]
        assert isinstance(events[-1], StreamFinished)
        assert events[-1].response.text
        assert clock.slept == [1.0]


# --- credentials --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_the_key_is_in_no_error_repr_or_log(kind, transport, caplog):
    caplog.set_level(logging.DEBUG)
    echo = (
        f'{{"error":{{"message":"Incorrect API key provided: {CANARY}","type":"x","code":"invalid_api_key"}}}}'.encode()
    )
    scripts: list[Callable[[], list[fake_vendor.Behaviour]]] = [
        lambda: [fake_vendor.raw(401, echo)],
        lambda: [fake_vendor.raw(500, echo)],
        lambda: [fake_vendor.raw(200, echo)],
        lambda: [fake_vendor.raw(200, CANARY.encode())],
        lambda: [fake_vendor.raw(200, CANARY.encode(), "text/html")],
        lambda: [fake_vendor.reset()],
        lambda: [fake_vendor.body_then_reset()],
        lambda: [fake_vendor.stream_then(lambda spoken: b"data: " + echo + b"\n\n" + echo + b"\n", 1)],
    ]
    shown = []
    async with acting(kind, transport) as (provider, server):
        shown.append(repr(provider))
        for script in scripts:
            server.script = script()
            for attempt in (provider.attempt(ASK, provider.model_id), streamed(provider)):
                with pytest.raises(ProviderError) as caught:
                    await attempt
                error = caught.value
                shown += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
                while error.__cause__ or error.__context__:
                    error = error.__cause__ or error.__context__
                    shown += [repr(error), repr(getattr(error, "__dict__", ""))]
    shown.append(caplog.text)
    assert CANARY not in "\n".join(shown)
    assert CANARY[::-1] not in "\n".join(shown)


@pytest.mark.parametrize("kind", ["openai", "azure_openai", "deepseek", "anthropic", "gemini"])
async def test_a_missing_key_names_its_variable_and_the_way_without_one(kind):
    address = {"endpoint": "https://example.openai.azure.com"} if kind == "azure_openai" else {}
    async with create(kind, mock_mode=False, **address) as provider:
        for attempt in (provider.attempt(ASK, provider.model_id), streamed(provider)):
            with pytest.raises(AuthenticationError, match=f"{kind.upper()}_API_KEY.*mock_mode=True") as caught:
                await attempt
            assert (caught.value.provider, caught.value.model) == (kind, provider.model_id)


@pytest.mark.parametrize("key", ["canary\n6f0e1b7c2a", "“canary-6f0e1b7c2a”", "canary-\x00"])
@pytest.mark.parametrize(("kind", "transport"), ON_THE_WIRE)
async def test_a_key_that_no_header_can_carry_is_an_authentication_error(kind, transport, key):
    address = "https://127.0.0.1:1"
    async with create(kind, api_key=key, base_url=address, transport_kind=transport, mock_mode=False) as provider:
        with pytest.raises(AuthenticationError, match="holds a character that no key has") as caught:
            await provider.attempt(ASK, provider.model_id)
        assert "6f0e" not in str(caught.value)


async def test_space_around_a_key_is_not_part_of_it():
    assert create("openai", api_key=f" {CANARY}\n", mock_mode=False).api_key == CANARY


# --- by itself ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*VENDORS, "mock"])
async def test_mock_mode_answers_without_a_key_or_a_network(kind, network_guard):
    async with provider_class(kind)(mock_mode=True) as provider:
        first = await provider.generate("Explain circuit breakers to a cook.")
        again = await provider.generate("Explain circuit breakers to a cook.")
        other = await provider.generate("Explain sourdough to a pilot.")
        assert first.text == again.text != other.text
        assert first.mode == "mock"
        assert "sourdough" in other.text.lower()
        assert await provider.health_check()
    assert network_guard.refused == []


async def test_mock_mode_opens_no_socket(monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    for kind in VENDORS:
        async with create(kind, mock_mode=True) as provider:
            assert (await provider.generate("Hi")).text
            assert [event async for event in provider.generate_stream("Hi")]


async def test_a_custom_provider_writes_one_method():
    class Parrot(BaseLLMProvider):
        kind = "parrot"

        async def _make_request(self, request: GenerationRequest) -> str:
            return f"You said: {request.prompt}"

    async with Parrot(mock_mode=True) as provider:
        response = await provider.generate("hello")
        assert (response.text, response.provider) == ("You said: hello", "parrot")
        events = [event async for event in provider.generate_stream("hello")]
        assert [event.text for event in events if isinstance(event, TextDelta)] == ["You said: hello"]
        assert isinstance(events[-1], StreamFinished)


async def test_a_custom_provider_is_retried_like_the_others():
    clock = FakeClock()
    calls = 0

    class Flaky(BaseLLMProvider):
        async def _make_request(self, request: GenerationRequest) -> dict[str, object]:
            nonlocal calls
            calls += 1
            if calls < 3:
                raise ServiceUnavailableError("not yet")
            return {"text": "done", "input_tokens": 3, "output_tokens": 1}

    response = await Flaky(clock=clock).generate("hello")
    assert (response.text, response.tokens_used, clock.slept) == ("done", 4, [1.0, 2.0])


def test_a_kind_that_is_not_known_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'anthropic'"):
        create("antropic")
