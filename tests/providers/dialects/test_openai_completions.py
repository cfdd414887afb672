"""What is particular to text completions: a chat as one prompt, and a text where chats have a message."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from providers.dialects import dialect
from providers.dialects.base import Quirks
from providers.errors import InvalidRequestError, MalformedResponseError, ServiceUnavailableError
from providers.types import Completion, GenerationRequest, Message, StreamFinished, TextDelta, TokenUsage, ToolCall
from tests.providers.dialects.recorded import decode, drain
from tests.providers.dialects.test_requests import SCHEMA, SCHEMA_FORMAT, TIME, sent

NAME = "openai_completions"
TEXTS = dialect(NAME)


def asked(body: dict[str, Any]) -> GenerationRequest:
    return TEXTS.decode_request(orjson.dumps({"model": "m", **body})).request


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "prompt"),
    [
        (GenerationRequest("Once upon a time"), "Once upon a time"),
        (GenerationRequest("Hi", system="Be kind"), "Be kind\n\nUser: Hi\n\nAssistant:"),
        (
            GenerationRequest(
                "And now?",
                system="Be kind",
                messages=[
                    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                    {"role": "developer", "content": "Be brief"},
                    {"role": "assistant", "content": "c"},
                    {"role": "tool", "tool_call_id": "x", "content": "d"},
                ],
            ),
            "Be kind\n\nBe brief\n\nUser: ab\n\nAssistant: c\n\nTool: d\n\nUser: And now?\n\nAssistant:",
        ),
        (
            GenerationRequest(
                messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "Once upon "}]
            ),
            "User: a\n\nAssistant: Once upon",
        ),
        (GenerationRequest(messages=[{"role": "system", "content": "a"}]), "a\n\nAssistant:"),
    ],
)
def test_a_chat_becomes_one_prompt(request_: GenerationRequest, prompt: str) -> None:
    assert sent(NAME, request_) == {"model": "m", "prompt": prompt, "max_tokens": 1024}


def test_every_field() -> None:
    request = GenerationRequest("Hi", temperature=0.5, top_p=0.9, max_tokens=7, stop="END", seed=3)
    assert sent(NAME, request, stream=True) == {
        "model": "m", "prompt": "Hi", "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": "END",
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    quirks = Quirks(sampling=False, stream_usage=False, max_tokens_field="max_completion_tokens", extra_body={"a": 1})
    assert sent(NAME, request, stream=True, quirks=quirks) == {
        "model": "m", "prompt": "Hi", "max_tokens": 7, "stop": "END", "stream": True, "a": 1,
    }  # fmt: skip


def test_a_json_answer_is_asked_for_in_words() -> None:
    prompt = sent(NAME, GenerationRequest("Hi", response_format=SCHEMA_FORMAT))["prompt"]
    assert prompt.startswith("Answer with one valid JSON value")
    assert orjson.dumps(SCHEMA).decode() in prompt
    assert prompt.endswith("User: Hi\n\nAssistant:")


def test_fields_of_the_format_itself_travel_on() -> None:
    own = {"suffix": "!", "echo": True, "logprobs": 2, "best_of": 1, "min_p": 0.1}
    request = asked({"prompt": ["Hi"], "max_tokens": 5, "n": 1, "something": 1, **own})
    assert request.metadata == {NAME: {**own, "something": 1}}
    assert sent(NAME, request) == {"model": "m", "prompt": "Hi", "max_tokens": 5, **own}


def test_without_a_limit_the_api_writes_sixteen_tokens() -> None:
    assert asked({"prompt": "Hi"}).max_tokens == 16


def test_azure_names_the_model_in_the_path() -> None:
    path = "/openai/deployments/my%20model/completions?api-version=1"
    assert TEXTS.decode_request(b'{"prompt":"Hi"}', path=path).request.model == "my model"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "prompt is missing; it must be a string or a list of one string"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": [1, 2, 3]}, "prompt is a list of token ids; give the text"),
        ({"prompt": [[1, 2], [3]]}, "prompt is a list of token ids; give the text"),
        ({"prompt": ["a", "b"]}, "prompt is a list of 2 texts; ask for them one at a time"),
        ({"prompt": []}, r"prompt is '\[\]'; it must be a string"),
        ({"prompt": {"a": 1}}, "it must be a string or a list of one string"),
        ({"prompt": "a", "n": 2}, "n is 2; only one choice"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens is 0"),
    ],
)
def test_a_body_that_is_no_such_request_is_refused_in_one_sentence(body: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        asked(body)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"role": "user", "content": [{"type": "image_url"}]}, r"messages\[0\] has a part of type 'image_url'"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}, r"messages\[0\] calls a tool"),
    ],
)
def test_what_a_text_cannot_hold_is_refused_in_one_sentence(message: Message, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        sent(NAME, GenerationRequest(messages=[message]))
    with pytest.raises(InvalidRequestError, match="the completions API has no tools"):
        sent(NAME, GenerationRequest("Hi", tools=[TIME]))


# --- answers --------------------------------------------------------------------------------------------------------


def chunk(text: Any, finish: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    return b"data: " + orjson.dumps({"id": "c1", "model": "m", "choices": [choice], **fields}) + b"\n\n"


def test_what_a_text_cannot_hold_is_left_out_of_an_answer() -> None:
    said = Completion("Hi", "hm", "tool_calls", "tool_calls", TokenUsage(1, 2), tool_calls=[ToolCall("c", "f", "{}")])
    body = orjson.loads(TEXTS.encode_completion(said, model="m", response_id="r", created=1))
    assert body["choices"] == [{"text": "Hi", "index": 0, "logprobs": None, "finish_reason": "stop"}]


def test_the_last_piece_may_come_with_the_reason() -> None:
    body = chunk("a") + chunk(" b", "length", usage=None) + b"data: [DONE]\n\n"
    seen, error = drain(TEXTS.decoder(), [body])
    assert error is None
    assert [event.text for event in seen if isinstance(event, TextDelta)] == ["a", " b"]
    last = seen[-1]
    assert isinstance(last, StreamFinished)
    assert (last.completion.text, last.completion.stop, last.completion.model) == ("a b", "length", "m")


def test_an_empty_answer_is_an_empty_text() -> None:
    completion, error = decode(TEXTS, [chunk("", "stop")])
    assert error is None
    assert completion.text == ""
    body = orjson.dumps({"choices": [{"text": "", "finish_reason": "stop"}]})
    assert TEXTS.decode_completion(body).text == ""


@pytest.mark.parametrize("text", [7, None, [], {}])
def test_a_text_that_is_none_is_malformed(text: Any) -> None:
    with pytest.raises(MalformedResponseError, match="not a text completion"):
        TEXTS.decode_completion(orjson.dumps({"choices": [{"text": text}]}))
    _, error = drain(TEXTS.decoder(), [chunk("a") + chunk(text)])
    assert type(error) is MalformedResponseError


def test_a_chats_answer_is_no_text_completion() -> None:
    body = orjson.dumps({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]})
    with pytest.raises(MalformedResponseError, match="not a text completion"):
        TEXTS.decode_completion(body)


def test_a_finish_reason_that_says_error_is_one() -> None:
    _, error = drain(TEXTS.decoder(), [chunk("a") + chunk("", "error")])
    assert type(error) is ServiceUnavailableError
    with pytest.raises(ServiceUnavailableError):
        TEXTS.decode_completion(orjson.dumps({"choices": [{"text": "a", "finish_reason": "error"}]}))
