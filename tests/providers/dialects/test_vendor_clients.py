"""The vendors' own clients on the other end: each side understands what the other writes."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import openai
import pytest

from providers import errors
from providers.dialects import dialect
from providers.dialects.accumulator import events_of
from providers.dialects.base import DecodedRequest
from providers.types import Completion, TokenUsage, ToolCall

USAGE = TokenUsage(30, 12, cached_input_tokens=10, reasoning_tokens=4)
ANSWER = Completion("Hello there", "hm", "stop", "stop", USAGE, model="m")
CALL = Completion(
    None, None, "tool_calls", "tool_calls", USAGE, tool_calls=[ToolCall("call_1", "weather", '{"city":"Rome"}')]
)
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
HI: Any = [{"role": "user", "content": "Hi"}]


class Server:
    """Answers a client with what a dialect writes, and keeps what the client asked."""

    def __init__(self, name: str) -> None:
        self.dialect = dialect(name)
        self.answer: Completion | errors.ProviderError = ANSWER
        self.breaks: errors.ProviderError | None = None
        self.asked: list[DecodedRequest] = []
        self.http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._handle))

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        asked = self.dialect.decode_request(request.content, path=request.url.path)
        self.asked.append(asked)
        if isinstance(self.answer, errors.ProviderError):
            wire = self.dialect.encode_error(self.answer)
            return httpx2.Response(wire.status, headers=wire.headers, content=wire.body)
        if not asked.stream:
            body = self.dialect.encode_completion(self.answer, model="m", response_id="r1", created=1_700_000_000)
            return httpx2.Response(200, headers={"content-type": "application/json"}, content=body)
        encoder = self.dialect.encoder(
            model="m", response_id="r1", created=1_700_000_000, include_usage=asked.include_usage
        )
        pieces = [
            encoder.start(),
            *(encoder.event(e) for e in events_of(self.answer, lambda text: [text[:3], text[3:]])),
        ]
        pieces.append(encoder.finish(self.answer) if self.breaks is None else encoder.error(self.breaks))
        return httpx2.Response(200, headers={"content-type": encoder.content_type}, content=b"".join(pieces))


@pytest.fixture
def chat() -> Server:
    return Server("openai_chat")


@pytest.fixture
def messages() -> Server:
    return Server("anthropic_messages")


def openai_client(server: Server) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="k", base_url="http://openai.test/v1", http_client=server.http, max_retries=0)


def anthropic_client(server: Server) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key="k", base_url="http://anthropic.test", http_client=server.http, max_retries=0
    )


async def test_openais_client_reads_an_answer(chat: Server) -> None:
    answer = await openai_client(chat).chat.completions.create(
        model="gpt-4o", messages=HI, temperature=0.5, seed=3, stop=["END"]
    )
    assert answer.choices[0].message.content == "Hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (30, 12, 42)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 10
    request = chat.asked[0].request
    assert (request.model, request.messages, request.temperature, request.seed, request.stop) == (
        "gpt-4o",
        HI,
        0.5,
        3,
        ["END"],
    )


async def test_openais_client_reads_a_tool_call(chat: Server) -> None:
    chat.answer = CALL
    answer = await openai_client(chat).chat.completions.create(
        model="m", messages=HI, tools=[TOOL], tool_choice="required"
    )
    (call,) = list(answer.choices[0].message.tool_calls or [])
    assert call.type == "function"
    assert (call.id, call.function.name, call.function.arguments) == ("call_1", "weather", '{"city":"Rome"}')
    assert answer.choices[0].finish_reason == "tool_calls"
    assert (chat.asked[0].request.tools, chat.asked[0].request.tool_choice) == ([TOOL], "required")


async def test_openais_client_reads_a_stream(chat: Server) -> None:
    stream = await openai_client(chat).chat.completions.create(
        model="m", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello there"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    last = chunks[-1].usage
    assert last is not None
    assert (last.prompt_tokens, last.completion_tokens) == (30, 12)


async def test_openais_client_puts_a_streamed_tool_call_together(chat: Server) -> None:
    chat.answer = CALL
    async with openai_client(chat).chat.completions.stream(model="m", messages=HI, tools=[TOOL]) as stream:
        final = await stream.get_final_completion()
    (call,) = list(final.choices[0].message.tool_calls or [])
    assert call.type == "function"
    assert (call.id, call.function.name, call.function.arguments) == ("call_1", "weather", '{"city":"Rome"}')


@pytest.mark.parametrize(
    ("error", "theirs"),
    [
        (errors.RateLimitError("x", retry_after=2), openai.RateLimitError),
        (errors.QuotaExhaustedError("x"), openai.RateLimitError),
        (errors.AuthenticationError("x"), openai.AuthenticationError),
        (errors.PermissionDeniedError("x"), openai.PermissionDeniedError),
        (errors.ModelNotFoundError("x"), openai.NotFoundError),
        (errors.InvalidRequestError("x"), openai.BadRequestError),
        (errors.ContextLengthError("x"), openai.BadRequestError),
        (errors.ContentFilterError("x"), openai.BadRequestError),
        (errors.ServiceUnavailableError("x", status=503), openai.InternalServerError),
        (errors.AllProvidersFailedError("x"), openai.InternalServerError),
    ],
)
async def test_openais_client_raises_its_own_error(
    error: errors.ProviderError, theirs: type[openai.APIStatusError], chat: Server
) -> None:
    chat.answer = error
    with pytest.raises(theirs) as caught:
        await openai_client(chat).chat.completions.create(model="m", messages=HI)
    assert type(
        dialect("openai_chat").decode_error(
            caught.value.status_code, caught.value.response.headers, caught.value.response.content
        )
    ) is type(error)


async def test_openais_client_sees_a_stream_break(chat: Server) -> None:
    chat.breaks = errors.ServiceUnavailableError("the provider went away")
    stream = await openai_client(chat).chat.completions.create(model="m", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="the provider went away"):
        _ = [chunk async for chunk in stream]


async def test_anthropics_client_reads_an_answer(messages: Server) -> None:
    answer = await anthropic_client(messages).messages.create(
        model="claude", max_tokens=99, system="Be kind", messages=HI, stop_sequences=["END"]
    )
    assert [(block.type, getattr(block, "text", getattr(block, "thinking", None))) for block in answer.content] == [
        ("thinking", "hm"),
        ("text", "Hello there"),
    ]
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens) == (20, 10, 12)
    request = messages.asked[0].request
    assert (request.model, request.system, request.max_tokens, request.stop) == ("claude", "Be kind", 99, ["END"])


async def test_anthropics_client_puts_a_stream_together(messages: Server) -> None:
    async with anthropic_client(messages).messages.stream(model="claude", max_tokens=99, messages=HI) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == "Hello there"
    assert final.stop_reason == "end_turn"
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert (final.usage.input_tokens, final.usage.cache_read_input_tokens, final.usage.output_tokens) == (20, 10, 12)


async def test_anthropics_client_puts_a_streamed_tool_call_together(messages: Server) -> None:
    messages.answer = CALL
    tool: Any = {"name": "weather", "input_schema": {"type": "object"}}
    async with anthropic_client(messages).messages.stream(
        model="claude", max_tokens=99, messages=HI, tools=[tool], tool_choice={"type": "any"}
    ) as stream:
        final = await stream.get_final_message()
    (block,) = final.content
    assert block.type == "tool_use"
    assert (block.id, block.name, block.input) == ("call_1", "weather", {"city": "Rome"})
    assert final.stop_reason == "tool_use"
    assert messages.asked[0].request.tool_choice == "required"


@pytest.mark.parametrize(
    ("error", "theirs"),
    [
        (errors.RateLimitError("x", retry_after=2), anthropic.RateLimitError),
        (errors.AuthenticationError("x"), anthropic.AuthenticationError),
        (errors.PermissionDeniedError("x"), anthropic.PermissionDeniedError),
        (errors.ModelNotFoundError("x"), anthropic.NotFoundError),
        (errors.ContextLengthError("x"), anthropic.BadRequestError),
        (errors.ServiceUnavailableError("x"), anthropic.InternalServerError),
    ],
)
async def test_anthropics_client_raises_its_own_error(
    error: errors.ProviderError, theirs: type[anthropic.APIStatusError], messages: Server
) -> None:
    messages.answer = error
    with pytest.raises(theirs):
        await anthropic_client(messages).messages.create(model="claude", max_tokens=9, messages=HI)


async def test_anthropics_client_sees_a_stream_break(messages: Server) -> None:
    messages.breaks = errors.ServiceUnavailableError("Overloaded")

    async def read(client: anthropic.AsyncAnthropic) -> None:
        async with client.messages.stream(model="claude", max_tokens=9, messages=HI) as stream:
            async for _ in stream:
                pass

    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        await read(anthropic_client(messages))
