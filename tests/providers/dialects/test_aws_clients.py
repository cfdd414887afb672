"""AWS's and Anthropic's own clients on the other end of Bedrock: each side understands what the other writes."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import anthropic
import boto3
import httpx2
import orjson
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from providers import errors as e
from providers.dialects import spoken
from providers.dialects.accumulator import events_of
from providers.dialects.base import DecodedRequest, Dialect, StreamEncoder
from providers.types import Completion, TokenUsage, ToolCall
from tests.providers.dialects.test_converse_requests import ARN, OPUS
from tests.providers.dialects.test_requests import SCHEMA, TURNS, WEATHER

USAGE = TokenUsage(30, 12, cached_input_tokens=10)
ANSWER = Completion("Hello there", "hm", None, "stop", USAGE)
CALL = Completion(None, None, None, "tool_calls", USAGE, tool_calls=[ToolCall("call_1", "weather", '{"city":"Rome"}')])
HI: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
SPEC: Any = {"toolSpec": {"name": "weather", "description": "d", "inputSchema": {"json": SCHEMA}}}
TITAN = "amazon.titan-text-express-v1"
OPERATIONS = {
    "converse": "converse", "converse-stream": "converse-stream", "invoke": "invoke",
    "invoke-with-response-stream": "invoke-stream",
}  # fmt: skip
"""The last part of a path, and the API that it belongs to."""


class Bedrock:
    """Answers a client with what the dialects write, and keeps what the client asked."""

    def __init__(self) -> None:
        self.answer: Completion | e.ProviderError = ANSWER
        self.breaks: e.ProviderError | None = None
        self.asked: list[DecodedRequest] = []
        self.dialect: Dialect | None = None

    def respond(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.dialect = dialect = spoken(OPERATIONS[path.rpartition("/")[2]])
        asked = dialect.decode_request(body, path=path)
        self.asked.append(asked)
        if isinstance(self.answer, e.ProviderError):
            return dialect.encode_error(self.answer)
        model = asked.request.model or ""
        if not asked.stream:
            body = dialect.encode_completion(self.answer, model=model, response_id="r1", created=1_700_000_000)
            return 200, {"content-type": "application/json"}, body
        encoder = dialect.encoder(model=model, response_id="r1", created=1_700_000_000)
        return 200, {"content-type": encoder.content_type}, self._stream(encoder, self.answer)

    def _stream(self, encoder: StreamEncoder, answer: Completion) -> bytes:
        events = events_of(answer, lambda text: [piece for piece in (text[:3], text[3:]) if piece])
        pieces = [encoder.start(), *map(encoder.event, events)]
        pieces.append(encoder.finish(answer) if self.breaks is None else encoder.error(self.breaks))
        return b"".join(pieces)


@pytest.fixture
def bedrock() -> Bedrock:
    return Bedrock()


# --- boto3 ----------------------------------------------------------------------------------------------------------


class Raw(BytesIO):
    """A body as the connection below botocore hands it out."""

    def stream(self) -> Iterator[bytes]:
        while piece := self.read(50):
            yield piece


@pytest.fixture(scope="module")
def one_client() -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def client(one_client: Any, bedrock: Bedrock) -> Iterator[Any]:
    def handle(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        path = "/model/" + request.url.partition("/model/")[2]
        status, headers, body = bedrock.respond(path, bytes(request.body))
        return AWSResponse(request.url, status, headers, Raw(body))

    one_client.meta.events.register("before-send.bedrock-runtime", handle, unique_id="fake")
    yield one_client
    one_client.meta.events.unregister("before-send.bedrock-runtime", unique_id="fake")


def test_boto_reads_an_answer_of_converse_and_is_understood(client: Any, bedrock: Bedrock) -> None:
    answer = client.converse(
        modelId=OPUS,
        messages=[*HI, {"role": "assistant", "content": [{"text": "Yes?"}]}, *HI],
        system=[{"text": "Be kind"}],
        inferenceConfig={"maxTokens": 9, "temperature": 0.5, "topP": 0.5, "stopSequences": ["END"]},
        toolConfig={"tools": [SPEC], "toolChoice": {"any": {}}},
    )
    reasoning, text = answer["output"]["message"]["content"]
    assert reasoning["reasoningContent"]["reasoningText"]["text"] == "hm"
    assert text == {"text": "Hello there"}
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"] == {
        "inputTokens": 20, "outputTokens": 12, "totalTokens": 42, "cacheReadInputTokens": 10,
        "cacheWriteInputTokens": 0,
    }  # fmt: skip
    (asked,) = bedrock.asked
    request = asked.request
    assert (asked.stream, request.model, request.system, request.max_tokens) == (False, OPUS, "Be kind", 9)
    assert (request.temperature, request.top_p, request.stop) == (0.5, 0.5, ["END"])
    assert [m["content"] for m in request.messages or ()] == ["Hi", "Yes?", "Hi"]
    assert (request.tools, request.tool_choice) == ([WEATHER], "required")


def test_boto_quotes_the_slashes_of_an_arn(client: Any, bedrock: Bedrock) -> None:
    client.converse(modelId=ARN, messages=HI)
    client.invoke_model(
        modelId=ARN, body=b'{"anthropic_version":"x","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}'
    )
    assert [asked.request.model for asked in bedrock.asked] == [ARN, ARN]


def test_boto_sends_images_and_results_of_tools(client: Any, bedrock: Bedrock) -> None:
    bedrock.answer = CALL
    image = {"image": {"format": "png", "source": {"bytes": b"hi"}}}
    use = {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"x": 1}}}
    result = {"toolResult": {"toolUseId": "a", "content": [{"text": "sunny"}], "status": "error"}}
    turns = [
        {"role": "user", "content": [{"text": "Look"}, image]},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    answer = client.converse(modelId=OPUS, messages=turns, toolConfig={"tools": [SPEC]})
    assert answer["stopReason"] == "tool_use"
    assert answer["output"]["message"]["content"] == [
        {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Rome"}}}
    ]
    look, called, told = bedrock.asked[0].request.messages or ()
    assert look["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    assert called["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"x":1}'}}
    ]
    assert told == {"role": "tool", "tool_call_id": "a", "content": "sunny", "is_error": True}


def test_boto_reads_a_stream_of_converse(client: Any, bedrock: Bedrock) -> None:
    events = list(client.converse_stream(modelId=OPUS, messages=HI)["stream"])
    assert [next(iter(event)) for event in events] == [
        "messageStart", "contentBlockDelta", "contentBlockStop", "contentBlockDelta", "contentBlockDelta",
        "contentBlockStop", "messageStop", "metadata",
    ]  # fmt: skip
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert deltas[0] == {"reasoningContent": {"text": "hm"}}
    assert "".join(delta["text"] for delta in deltas[1:]) == "Hello there"
    assert events[-2]["messageStop"] == {"stopReason": "end_turn"}
    assert (events[-1]["metadata"]["usage"]["inputTokens"], events[-1]["metadata"]["metrics"]["latencyMs"]) == (20, 0)
    assert bedrock.asked[0].stream


def test_boto_puts_a_streamed_tool_call_together(client: Any, bedrock: Bedrock) -> None:
    bedrock.answer = CALL
    events = list(client.converse_stream(modelId=OPUS, messages=HI, toolConfig={"tools": [SPEC]})["stream"])
    (start,) = (event["contentBlockStart"] for event in events if "contentBlockStart" in event)
    assert start == {"start": {"toolUse": {"toolUseId": "call_1", "name": "weather"}}, "contentBlockIndex": 0}
    pieces = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert "".join(piece["toolUse"]["input"] for piece in pieces) == '{"city":"Rome"}'


def test_boto_invokes_a_model_in_its_own_format(client: Any, bedrock: Bedrock) -> None:
    body = orjson.dumps({"inputText": "User: Hi\nBot:", "textGenerationConfig": {"maxTokenCount": 9}})
    answer = orjson.loads(client.invoke_model(modelId=TITAN, body=body)["body"].read())
    assert answer == {
        "results": [{"outputText": "Hello there", "completionReason": "FINISH", "tokenCount": 12}],
        "inputTextTokenCount": 30,
    }
    request = bedrock.asked[0].request
    assert (request.model, request.last_user_text(), request.max_tokens) == (TITAN, "Hi", 9)
    events = list(client.invoke_model_with_response_stream(modelId=TITAN, body=body)["body"])
    chunks = [orjson.loads(event["chunk"]["bytes"]) for event in events]
    assert "".join(chunk["outputText"] for chunk in chunks) == "Hello there"
    assert chunks[-1]["completionReason"] == "FINISH"
    assert chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 12
    assert bedrock.asked[1].stream


MODELLED = [
    (e.RateLimitError("x", retry_after=2), "ThrottlingException", 429),
    (e.QuotaExhaustedError("x"), "ServiceQuotaExceededException", 400),
    (e.PermissionDeniedError("x"), "AccessDeniedException", 403),
    (e.ModelNotFoundError("x"), "ResourceNotFoundException", 404),
    (e.InvalidRequestError("x"), "ValidationException", 400),
    (e.ContextLengthError("x"), "ValidationException", 400),
    (e.ContentFilterError("x"), "ValidationException", 400),
    (e.ProviderTimeoutError("x"), "ModelTimeoutException", 408),
    (e.ServiceUnavailableError("x"), "ServiceUnavailableException", 503),
    (e.ServiceUnavailableError("x", status=500), "InternalServerException", 500),
    (e.ServiceUnavailableError("x", status=424), "ModelErrorException", 424),
    (e.MalformedResponseError("x"), "ModelErrorException", 424),
    (e.AllProvidersFailedError("x"), "InternalServerException", 500),
    (e.BudgetExceededError("x"), "ThrottlingException", 429),
]


def calls(client: Any) -> list[Any]:
    body = b'{"inputText":"Hi"}'
    return [
        lambda: client.converse(modelId=TITAN, messages=HI),
        lambda: client.converse_stream(modelId=TITAN, messages=HI),
        lambda: client.invoke_model(modelId=TITAN, body=body),
        lambda: client.invoke_model_with_response_stream(modelId=TITAN, body=body),
    ]


@pytest.mark.parametrize(("error", "name", "status"), MODELLED)
def test_boto_raises_its_own_typed_error(
    error: e.ProviderError, name: str, status: int, client: Any, bedrock: Bedrock
) -> None:
    bedrock.answer = error
    for call in calls(client):
        with pytest.raises(getattr(client.exceptions, name)) as caught:
            call()
        response = caught.value.response
        assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (name, status)
        assert response["Error"]["Message"].endswith("x")
        assert response["ResponseMetadata"]["HTTPHeaders"].get("retry-after") == ("2" if error.retry_after else None)


def test_boto_names_an_error_that_bedrock_does_not_describe(client: Any, bedrock: Bedrock) -> None:
    bedrock.answer = e.AuthenticationError("x")
    for call in calls(client):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"] == {"Code": "UnrecognizedClientException", "Message": "x"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (e.RateLimitError("slow"), "throttlingException"),
        (e.InvalidRequestError("no"), "validationException"),
        (e.ServiceUnavailableError("busy"), "serviceUnavailableException"),
        (e.ServiceUnavailableError("broken", status=500), "internalServerException"),
        (e.StreamInterruptedError("cut"), "modelStreamErrorException"),
        (e.PermissionDeniedError("no access"), "AccessDeniedException"),
    ],
)
def test_boto_sees_a_stream_break(error: e.ProviderError, code: str, client: Any, bedrock: Bedrock) -> None:
    bedrock.breaks = error
    _, converse_stream, _, invoke_stream = calls(client)
    for stream in (converse_stream()["stream"], invoke_stream()["body"]):
        events = []
        with pytest.raises(EventStreamError) as caught:
            for event in stream:
                events.append(event)
        assert caught.value.response["Error"] == {"Code": code, "Message": error.message}
        assert len(events) >= 2


# --- Anthropic's client for Bedrock ---------------------------------------------------------------------------------


@pytest.fixture
async def claude(bedrock: Bedrock) -> Any:
    def handle(request: httpx2.Request) -> httpx2.Response:
        status, headers, body = bedrock.respond(request.url.raw_path.decode(), request.content)
        return httpx2.Response(status, headers=headers, content=body)

    async with anthropic.AsyncAnthropicBedrock(
        aws_region="us-east-1",
        aws_access_key="AKIDEXAMPLE",
        aws_secret_key="secret",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(handle)),
    ) as client:
        yield client


ASK: Any = [{"role": "user", "content": "Hi"}]


async def test_anthropics_client_reads_an_answer(claude: Any, bedrock: Bedrock) -> None:
    for model in (OPUS, ARN):
        answer = await claude.messages.create(model=model, max_tokens=99, system="Be kind", messages=ASK)
        assert [block.type for block in answer.content] == ["thinking", "text"]
        assert (answer.content[1].text, answer.stop_reason) == ("Hello there", "end_turn")
        assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens) == (
            20,
            10,
            12,
        )
        request = bedrock.asked[-1].request
        assert (request.model, request.system, request.max_tokens, request.messages) == (model, "Be kind", 99, ASK)


async def test_anthropics_client_puts_a_stream_together(claude: Any, bedrock: Bedrock) -> None:
    bedrock.answer = Completion("Hello there", None, None, "stop", USAGE, tool_calls=CALL.tool_calls)
    async with claude.messages.stream(
        model=OPUS, max_tokens=99, messages=ASK, tools=[{"name": "weather", "input_schema": {"type": "object"}}]
    ) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == "Hello there"
    assert final.content[1].input == {"city": "Rome"}
    assert (final.usage.input_tokens, final.usage.output_tokens) == (20, 12)
    assert bedrock.asked[0].stream


async def test_anthropics_client_sends_a_conversation(claude: Any, bedrock: Bedrock) -> None:
    await claude.messages.create(
        model=OPUS,
        max_tokens=99,
        messages=[
            *ASK,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "weather", "input": {"x": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "sunny"}]},
        ],
        extra_headers={"anthropic-beta": "b1,b2"},
    )
    request = bedrock.asked[0].request
    assert (request.messages or ())[2] == TURNS[2]
    assert request.metadata["anthropic_messages"]["anthropic_beta"] == ["b1", "b2"]


@pytest.mark.parametrize(
    ("error", "theirs"),
    [
        (e.RateLimitError("x", retry_after=2), anthropic.RateLimitError),
        (e.AuthenticationError("x"), anthropic.PermissionDeniedError),
        (e.PermissionDeniedError("x"), anthropic.PermissionDeniedError),
        (e.ModelNotFoundError("x"), anthropic.NotFoundError),
        (e.ContextLengthError("x"), anthropic.BadRequestError),
        (e.ServiceUnavailableError("x"), anthropic.InternalServerError),
    ],
)
async def test_anthropics_client_raises_its_own_error(
    error: e.ProviderError, theirs: type[anthropic.APIStatusError], claude: Any, bedrock: Bedrock
) -> None:
    bedrock.answer = error
    with pytest.raises(theirs) as caught:
        await claude.messages.create(model=OPUS, max_tokens=9, messages=ASK)
    response = caught.value.response
    assert bedrock.dialect is not None
    assert type(bedrock.dialect.decode_error(response.status_code, response.headers, response.content)) is type(error)


async def test_anthropics_client_sees_a_stream_break(claude: Any, bedrock: Bedrock) -> None:
    bedrock.breaks = e.ServiceUnavailableError("Overloaded")
    async with claude.messages.stream(model=OPUS, max_tokens=9, messages=ASK) as stream:
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            async for _ in stream:
                pass
