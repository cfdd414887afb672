"""Google's own client on the other end, over a loopback connection: each side understands what the other writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import orjson
import pytest
from aiohttp import web
from google import genai
from google.genai import types
from google.genai.errors import APIError, ClientError, ServerError
from pydantic import BaseModel

from providers import errors
from providers.dialects import spoken
from providers.dialects.accumulator import events_of
from providers.dialects.base import DecodedRequest
from providers.types import Completion, TokenUsage, ToolCall
from tests.fake_vendor import FakeVendor, serving

USAGE = TokenUsage(30, 12, cached_input_tokens=10, reasoning_tokens=4)
ANSWER = Completion("Hello there", "hm", "STOP", "stop", USAGE, model="m")
CALL = Completion(
    None, None, None, "tool_calls", USAGE,
    tool_calls=[ToolCall("call_1", "weather", '{"city":"Rome"}'), ToolCall("call_2", "weather", '{"city":"Bonn"}')],
)  # fmt: skip


def weather(city: str) -> str:
    """The weather in a city."""
    raise AssertionError("only declared, never called")


class Google:
    """Answers the client with what the dialect writes, and keeps what the client asked."""

    def __init__(self, vendor: FakeVendor) -> None:
        self.vendor = vendor
        self.vendor.script = [self._behave]
        self.answer: Completion | errors.ProviderError = ANSWER
        self.breaks: errors.ProviderError | None = None
        self.asked: list[DecodedRequest] = []
        # Its own choice, aiohttp, warns of how the client uses it.
        self.http = httpx2.AsyncClient()
        options = types.HttpOptions(
            base_url=vendor.url, httpx_async_client=self.http, retry_options=types.HttpRetryOptions(attempts=1)
        )
        self.models = genai.Client(api_key="k", http_options=options).aio.models

    async def _behave(self, vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        api = request.path.rpartition(":")[2]
        dialect = spoken(api, request.path_qs)
        self.asked.append(dialect.decode_request(body, path=request.path_qs))
        if isinstance(self.answer, errors.ProviderError):
            wire = dialect.encode_error(self.answer)
            return web.Response(status=wire.status, headers=wire.headers, body=wire.body)
        if not self.asked[-1].stream:
            whole = dialect.encode_completion(self.answer, model="m", response_id="r1", created=0)
            return web.Response(body=whole, content_type="application/json")
        encoder = dialect.encoder(model="m", response_id="r1", created=0)
        pieces = [encoder.event(event) for event in events_of(self.answer, lambda text: [text[:3], text[3:]])]
        pieces.append(encoder.finish(self.answer) if self.breaks is None else encoder.error(self.breaks))
        response = web.StreamResponse(headers={"content-type": encoder.content_type})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        await response.write_eof()
        return response


@pytest.fixture
async def google() -> AsyncIterator[Google]:
    async with serving() as vendor:
        server = Google(vendor)
        yield server
        await server.http.aclose()


async def test_an_answer(google: Google) -> None:
    config = types.GenerateContentConfig(
        system_instruction="Be kind", temperature=0.5, top_p=0.9, max_output_tokens=99, seed=3, stop_sequences=["END"]
    )
    answer = await google.models.generate_content(model="gemini-2.5-flash", contents="Hi", config=config)
    assert answer.text == "Hello there"
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    assert answer.candidates[0].content is not None
    assert [(p.text, bool(p.thought)) for p in answer.candidates[0].content.parts or []] == [
        ("hm", True),
        ("Hello there", False),
    ]
    assert (answer.model_version, answer.response_id) == ("m", "r1")
    usage = answer.usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (30, 8, 42)
    assert (usage.thoughts_token_count, usage.cached_content_token_count) == (4, 10)
    request = google.asked[0].request
    assert (request.model, request.system, request.last_user_text()) == ("gemini-2.5-flash", "Be kind", "Hi")
    assert (request.temperature, request.top_p, request.max_tokens, request.seed, request.stop) == (
        0.5,
        0.9,
        99,
        3,
        ["END"],
    )


async def test_a_stream(google: Google) -> None:
    stream = await google.models.generate_content_stream(model="gemini-2.5-flash", contents="Hi")
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.text or "" for chunk in chunks) == "Hello there"
    assert len([chunk for chunk in chunks if chunk.text]) == 2
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.total_token_count == 42
    assert google.asked[0].stream


@pytest.mark.parametrize("streamed", [False, True])
async def test_tool_calls(google: Google, streamed: bool) -> None:
    google.answer = CALL
    config = types.GenerateContentConfig(
        tools=[weather],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
    )
    if streamed:
        stream = await google.models.generate_content_stream(model="m", contents="Hi", config=config)
        calls = [call async for chunk in stream for call in chunk.function_calls or []]
    else:
        calls = (await google.models.generate_content(model="m", contents="Hi", config=config)).function_calls or []
    assert [(c.id, c.name, c.args) for c in calls] == [
        ("call_1", "weather", {"city": "Rome"}),
        ("call_2", "weather", {"city": "Bonn"}),
    ]
    request = google.asked[0].request
    assert request.tool_choice == "required"
    assert request.tools is not None
    function = request.tools[0]["function"]
    assert (function["name"], function["description"]) == ("weather", "The weather in a city.")
    assert function["parameters"]["properties"]["city"]["type"] == "string"


async def test_a_conversation_with_results_comes_back_whole(google: Google) -> None:
    google.answer = CALL
    first = await google.models.generate_content(model="m", contents="Hi")
    assert first.candidates is not None
    assert first.candidates[0].content is not None
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": "sunny"}))
        for call in first.function_calls or []
    ]
    turns: list[Any] = [
        types.UserContent("Hi"),
        first.candidates[0].content,
        types.Content(role="user", parts=results),
        types.UserContent([types.Part.from_bytes(data=b"png", mime_type="image/png"), types.Part(text="And this?")]),
    ]
    await google.models.generate_content(model="m", contents=turns)
    user, answer, *said, last = google.asked[1].request.chat()
    assert user == {"role": "user", "content": "Hi"}
    assert [call["function"]["arguments"] for call in answer["tool_calls"]] == ['{"city":"Rome"}', '{"city":"Bonn"}']
    assert [(m["role"], m["tool_call_id"], m["content"]) for m in said] == [
        ("tool", "call_1", "sunny"),
        ("tool", "call_2", "sunny"),
    ]
    assert last["content"][0]["image_url"]["url"] == "data:image/png;base64,cG5n"


class Person(BaseModel):
    name: str
    age: int | None = None


async def test_a_json_answer(google: Google) -> None:
    google.answer = Completion('{"name":"Ann","age":7}', None, "STOP", "stop", USAGE)
    for config in (
        types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person),
        types.GenerateContentConfig(
            response_mime_type="application/json", response_json_schema=Person.model_json_schema()
        ),
    ):
        answer = await google.models.generate_content(model="m", contents="Hi", config=config)
        assert orjson.loads(answer.text or "") == {"name": "Ann", "age": 7}
        if config.response_schema is not None:
            assert answer.parsed == Person(name="Ann", age=7)
        form = google.asked[-1].request.response_format
        assert isinstance(form, dict)
        assert form["type"] == "json_schema"
        assert form["json_schema"]["schema"]["properties"]["name"]["type"] == "string"


ERRORS: list[tuple[errors.ProviderError, type[APIError], int, str]] = [
    (errors.RateLimitError("x", retry_after=2), ClientError, 429, "RESOURCE_EXHAUSTED"),
    (errors.QuotaExhaustedError("x"), ClientError, 429, "RESOURCE_EXHAUSTED"),
    (errors.BudgetExceededError("x"), ClientError, 429, "RESOURCE_EXHAUSTED"),
    (errors.AuthenticationError("x"), ClientError, 401, "UNAUTHENTICATED"),
    (errors.PermissionDeniedError("x"), ClientError, 403, "PERMISSION_DENIED"),
    (errors.ModelNotFoundError("x"), ClientError, 404, "NOT_FOUND"),
    (errors.InvalidRequestError("x"), ClientError, 400, "INVALID_ARGUMENT"),
    (errors.ContextLengthError("x"), ClientError, 400, "INVALID_ARGUMENT"),
    (errors.ContentFilterError("x"), ClientError, 400, "INVALID_ARGUMENT"),
    (errors.ProviderTimeoutError("x"), ClientError, 408, "DEADLINE_EXCEEDED"),
    (errors.ServiceUnavailableError("x"), ServerError, 503, "UNAVAILABLE"),
    (errors.ServiceUnavailableError("x", status=500), ServerError, 500, "INTERNAL"),
    (errors.ServiceUnavailableError("x", status=504), ServerError, 504, "DEADLINE_EXCEEDED"),
    (errors.CircuitBreakerOpenError("x"), ServerError, 503, "UNAVAILABLE"),
    (errors.AllProvidersFailedError("x"), ServerError, 502, "UNAVAILABLE"),
]


@pytest.mark.parametrize(
    ("error", "theirs", "code", "status"), ERRORS, ids=[f"{type(e).__name__}-{code}" for e, _, code, _ in ERRORS]
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_client_raises_its_own_error(
    google: Google, streamed: bool, error: errors.ProviderError, theirs: type[APIError], code: int, status: str
) -> None:
    google.answer = error

    async def ask() -> None:
        if not streamed:
            await google.models.generate_content(model="m", contents="Hi")
        else:
            async for _ in await google.models.generate_content_stream(model="m", contents="Hi"):
                pass

    with pytest.raises(theirs) as caught:
        await ask()
    assert (type(caught.value), caught.value.code, caught.value.status) == (theirs, code, status)
    assert caught.value.message is not None
    assert caught.value.message.endswith("x")
    if error.retry_after is not None:
        assert "'retryDelay': '2s'" in str(caught.value)


async def test_the_client_sees_a_stream_break(google: Google) -> None:
    google.breaks = errors.ServiceUnavailableError("The model is overloaded.")
    seen = ""
    stream = await google.models.generate_content_stream(model="m", contents="Hi")

    async def read() -> None:
        nonlocal seen
        async for chunk in stream:
            seen += chunk.text or ""

    with pytest.raises(ServerError, match=r"503 UNAVAILABLE.*The model is overloaded"):
        await read()
    assert seen == "Hello there"


async def test_the_client_reads_a_filtered_answer(google: Google) -> None:
    google.answer = Completion(None, None, None, "content_filter", USAGE)
    answer = await google.models.generate_content(model="m", contents="Hi")
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.SAFETY
    assert not answer.text
