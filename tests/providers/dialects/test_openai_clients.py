"""OpenAI's own client on the other end of the Responses API and of text completions."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import orjson
import pytest
from pydantic import BaseModel

from providers import errors
from providers.dialects import dialect
from providers.types import Completion
from tests.providers.dialects.test_vendor_clients import ANSWER, CALL, USAGE, Server, openai_client

ASK = "Hi"
TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": "d",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


@pytest.fixture
def responses() -> Server:
    return Server("openai_responses")


@pytest.fixture
def completions() -> Server:
    return Server("openai_completions")


# --- responses ------------------------------------------------------------------------------------------------------


async def test_a_response(responses: Server) -> None:
    answer = await openai_client(responses).responses.create(
        model="gpt-4o", input=ASK, instructions="Be kind", temperature=0.5, max_output_tokens=99
    )
    assert answer.output_text == "Hello there"
    assert (answer.status, answer.incomplete_details, answer.error) == ("completed", None, None)
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (30, 12, 42)
    assert answer.usage.input_tokens_details.cached_tokens == 10
    assert answer.usage.output_tokens_details.reasoning_tokens == 4
    request = responses.asked[0].request
    assert (request.model, request.prompt, request.system) == ("gpt-4o", ASK, "Be kind")
    assert (request.temperature, request.max_tokens) == (0.5, 99)


async def test_what_the_client_typed_is_valid_to_the_last_field(responses: Server) -> None:
    """The client builds its models without checking; here they are checked."""
    from openai.types.responses import Response

    for said in (ANSWER, CALL, Completion("cut", None, None, "length", USAGE)):
        body = responses.dialect.encode_completion(said, model="m", response_id="resp_1", created=1_700_000_000)
        data = orjson.loads(body)
        details = data["usage"]["input_tokens_details"]
        # The newest field of the type, which older servers do not send.
        details.setdefault("cache_write_tokens", 0)
        Response.model_validate(data)


async def test_a_response_that_calls_a_tool_and_the_turn_after_it(responses: Server) -> None:
    responses.answer = CALL
    client = openai_client(responses)
    first = await client.responses.create(model="m", input=ASK, tools=[TOOL], tool_choice="required")
    (call,) = first.output
    assert call.type == "function_call"
    assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", '{"city":"Rome"}')
    asked = responses.asked[0].request
    assert asked.tool_choice == "required"
    assert asked.tools == [
        {"type": "function", "function": {k: TOOL[k] for k in ("name", "parameters", "description")}}
    ]
    responses.answer = ANSWER
    history: list[Any] = [{"role": "user", "content": ASK}, *first.output]
    history.append({"type": "function_call_output", "call_id": "call_1", "output": "sunny"})
    await client.responses.create(model="m", input=history)
    assert responses.asked[1].request.messages == [
        {"role": "user", "content": ASK},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]


async def test_an_answer_given_back_keeps_its_reasoning(responses: Server) -> None:
    client = openai_client(responses)
    first = await client.responses.create(model="m", input=ASK)
    await client.responses.create(model="m", input=[*first.output, {"role": "user", "content": "More"}])  # type: ignore[list-item]
    assistant, user = responses.asked[1].request.messages or ()
    assert assistant["content"] == [{"type": "text", "text": "Hello there"}]
    assert [item["type"] for item in assistant["response_items"]] == ["reasoning"]
    assert user == {"role": "user", "content": "More"}


class City(BaseModel):
    name: str
    population: int


async def test_structured_output(responses: Server) -> None:
    responses.answer = Completion('{"name":"Rome","population":7}', None, "completed", "stop", USAGE)
    answer = await openai_client(responses).responses.parse(model="m", input=ASK, text_format=City)
    assert answer.output_parsed == City(name="Rome", population=7)
    form: Any = responses.asked[0].request.response_format
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == ("json_schema", "City", True)
    assert form["json_schema"]["schema"]["required"] == ["name", "population"]


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (Completion("cut", None, None, "length", USAGE), "incomplete", "max_output_tokens"),
        (Completion(None, None, None, "content_filter", USAGE), "incomplete", "content_filter"),
        (Completion("", None, None, "stop", USAGE), "completed", None),
    ],
)
async def test_how_a_response_ends(said: Completion, status: str, reason: str | None, responses: Server) -> None:
    responses.answer = said
    client = openai_client(responses)
    answer = await client.responses.create(model="m", input=ASK)
    assert answer.status == status
    assert (answer.incomplete_details.reason if answer.incomplete_details else None) == reason
    stream = await client.responses.create(model="m", input=ASK, stream=True)
    last = [event async for event in stream][-1]
    assert last.type == f"response.{status}"
    assert last.response.output_text == (said.text or "")  # type: ignore[union-attr]


async def test_a_refusal(responses: Server) -> None:
    responses.answer = Completion(None, None, "completed", "stop", USAGE, metadata={"refusal": "I cannot"})
    client = openai_client(responses)
    answer = await client.responses.create(model="m", input=ASK)
    assert answer.output[0].content[0].refusal == "I cannot"  # type: ignore[union-attr]
    async with client.responses.stream(model="m", input=ASK) as stream:
        final = await stream.get_final_response()
    assert final.output[0].content[0].refusal == "I cannot"  # type: ignore[union-attr]


# --- responses, streamed --------------------------------------------------------------------------------------------


async def test_the_events_of_a_stream(responses: Server) -> None:
    stream = await openai_client(responses).responses.create(model="m", input=ASK, stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))  # type: ignore[union-attr]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


async def test_every_event_is_valid_to_the_last_field(responses: Server) -> None:
    from openai.types.responses import ResponseStreamEvent
    from pydantic import TypeAdapter

    adapter: Any = TypeAdapter(ResponseStreamEvent)
    responses.answer = Completion(
        "Hello", "hm", None, "tool_calls", None, tool_calls=CALL.tool_calls, metadata={"refusal": "no"}
    )
    stream = await openai_client(responses).responses.create(model="m", input=ASK, stream=True)
    seen = set()
    async for event in stream:
        data = event.model_dump(exclude_unset=True)
        assert type(adapter.validate_python(data)) is type(event)
        seen.add(event.type)
    assert {"response.refusal.done", "response.function_call_arguments.done", "response.completed"} <= seen


async def test_the_streaming_helper_puts_an_answer_together(responses: Server) -> None:
    async with openai_client(responses).responses.stream(model="m", input=ASK) as stream:
        snapshots = [event.snapshot async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert snapshots == ["Hel", "Hello there"]
    assert final.output_text == "Hello there"
    assert final.output[0].summary[0].text == "hm"  # type: ignore[union-attr]
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (30, 12)


async def test_the_streaming_helper_puts_tool_calls_together(responses: Server) -> None:
    from providers.types import ToolCall

    calls = [*CALL.tool_calls, ToolCall("call_2", "weather", '{"city":"Oslo"}')]
    responses.answer = Completion("Looking", None, None, "tool_calls", USAGE, tool_calls=calls)
    async with openai_client(responses).responses.stream(model="m", input=ASK, tools=[TOOL]) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    told = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
    assert told == ['{"city":"Rome"}', '{"city":"Oslo"}']
    message, *rest = final.output
    assert message.type == "message"
    assert [(c.call_id, c.name, c.arguments) for c in rest] == [  # type: ignore[union-attr]
        (c.id, c.name, c.arguments) for c in calls
    ]


async def test_structured_output_streamed(responses: Server) -> None:
    responses.answer = Completion('{"name":"Rome","population":7}', None, "completed", "stop", USAGE)
    async with openai_client(responses).responses.stream(model="m", input=ASK, text_format=City) as stream:
        final = await stream.get_final_response()
    assert final.output_parsed == City(name="Rome", population=7)


@pytest.mark.parametrize(
    "error",
    [
        errors.ServiceUnavailableError("the provider went away"),
        errors.RateLimitError("too many requests"),
        errors.QuotaExhaustedError("nothing left"),
    ],
)
async def test_the_client_sees_a_stream_break(error: errors.ProviderError, responses: Server) -> None:
    responses.breaks = error
    stream = await openai_client(responses).responses.create(model="m", input=ASK, stream=True)
    with pytest.raises(openai.APIError, match=error.message) as caught:
        _ = [event async for event in stream]
    # What the client kept of the event still says which error it was.
    event = b"event: error\ndata: " + orjson.dumps({"type": "error", "error": caught.value.body}) + b"\n\n"
    with pytest.raises(type(error)):
        dialect("openai_responses").decoder().feed(event)


# --- text completions -----------------------------------------------------------------------------------------------


async def test_a_text_completion(completions: Server) -> None:
    answer = await openai_client(completions).completions.create(
        model="davinci", prompt=ASK, max_tokens=9, temperature=0.5, seed=3, stop=["END"], suffix="!", logprobs=1
    )
    (choice,) = answer.choices
    assert (answer.object, choice.text, choice.finish_reason) == ("text_completion", "Hello there", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (30, 12, 42)
    request = completions.asked[0].request
    assert (request.model, request.prompt, request.max_tokens) == ("davinci", ASK, 9)
    assert (request.temperature, request.seed, request.stop) == (0.5, 3, ["END"])
    assert request.metadata["openai_completions"] == {"suffix": "!", "logprobs": 1}


async def test_a_streamed_text_completion(completions: Server) -> None:
    stream = await openai_client(completions).completions.create(
        model="m", prompt=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "Hello there"
    assert [c.choices[0].finish_reason for c in chunks if c.choices] == [None, None, "stop"]
    assert (chunks[0].object, chunks[0].id) == ("text_completion", "r1")
    last = chunks[-1].usage
    assert last is not None
    assert (last.prompt_tokens, last.completion_tokens) == (30, 12)
    stream = await openai_client(completions).completions.create(model="m", prompt=ASK, stream=True)
    assert all(chunk.usage is None for chunk in [chunk async for chunk in stream])


async def test_the_client_sees_a_text_completion_break(completions: Server) -> None:
    completions.breaks = errors.ServiceUnavailableError("the provider went away")
    stream = await openai_client(completions).completions.create(model="m", prompt=ASK, stream=True)
    with pytest.raises(openai.APIError, match="the provider went away"):
        _ = [chunk async for chunk in stream]


# --- errors of both -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openai_responses", "openai_completions"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "theirs"),
    [
        (errors.RateLimitError("x", retry_after=2), openai.RateLimitError),
        (errors.QuotaExhaustedError("x"), openai.RateLimitError),
        (errors.AuthenticationError("x"), openai.AuthenticationError),
        (errors.PermissionDeniedError("x"), openai.PermissionDeniedError),
        (errors.ModelNotFoundError("x"), openai.NotFoundError),
        (errors.InvalidRequestError("x"), openai.BadRequestError),
        (errors.InvalidRequestError("x", status=422), openai.UnprocessableEntityError),
        (errors.ContextLengthError("x"), openai.BadRequestError),
        (errors.ContentFilterError("x"), openai.BadRequestError),
        (errors.ProviderTimeoutError("x"), openai.APIStatusError),
        (errors.ServiceUnavailableError("x", status=409), openai.ConflictError),
        (errors.ServiceUnavailableError("x", status=503), openai.InternalServerError),
    ],
)
async def test_the_client_raises_its_own_error(
    name: str, stream: bool, error: errors.ProviderError, theirs: type[openai.APIStatusError]
) -> None:
    server = Server(name)
    server.answer = error
    client = openai_client(server)
    create: Any = client.responses.create if name == "openai_responses" else client.completions.create
    asked = {"input": ASK} if name == "openai_responses" else {"prompt": ASK}
    with pytest.raises(theirs) as caught:
        await create(model="m", stream=stream, **asked)
    refused: httpx2.Response = caught.value.response
    assert type(server.dialect.decode_error(refused.status_code, refused.headers, refused.content)) is type(error)
