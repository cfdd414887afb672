"""How a request in the common form is written in each format, and what is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from providers.dialects import dialect
from providers.dialects.base import Quirks
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "additionalProperties": False}
SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}}
TIME = {"type": "function", "function": {"name": "time"}}


def sent(
    name: str, request: GenerationRequest, *, model: str = "m", stream: bool = False, quirks: Quirks | None = None
) -> dict[str, Any]:
    body = dialect(name).encode_request(request, model=model, stream=stream, quirks=quirks or Quirks())
    parsed: dict[str, Any] = orjson.loads(body)
    return parsed


# --- OpenAI ---------------------------------------------------------------------------------------------------------


def test_openai_plain_and_full() -> None:
    assert sent("openai_chat", GenerationRequest("Hi")) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    request = GenerationRequest(
        "Hi",
        system="Be kind",
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        stop="END",
        seed=3,
        response_format="json",
        tools=[WEATHER],
        tool_choice="auto",
    )
    assert sent("openai_chat", request, stream=True) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "stop": "END",
        "seed": 3,
        "response_format": {"type": "json_object"},
        "tools": [WEATHER],
        "tool_choice": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_quirks_are_data() -> None:
    quirks = Quirks(
        max_tokens_field="max_completion_tokens", stream_usage=False, sampling=False, extra_body={"user": "u"}
    )
    request = GenerationRequest("Hi", temperature=0.5, top_p=0.5, seed=1, max_tokens=9)
    assert sent("openai_chat", request, stream=True, quirks=quirks) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 9,
        "stream": True,
        "user": "u",
    }


def test_a_vendor_without_schemas_is_told_in_words() -> None:
    body = sent("openai_chat", GenerationRequest("Hi", response_format=SCHEMA_FORMAT), quirks=Quirks(json_schema=False))
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0]["role"] == "system"
    assert orjson.dumps(SCHEMA).decode() in body["messages"][0]["content"]
    assert (
        sent("openai_chat", GenerationRequest("Hi", response_format=SCHEMA_FORMAT))["response_format"] == SCHEMA_FORMAT
    )


def test_fields_of_the_format_itself_travel_on_and_a_gateways_own_do_not() -> None:
    own = {"reasoning_effort": "low", "fallbacks": ["a/b"]}
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "parallel_tool_calls": False, **own}
    request = dialect("openai_chat").decode_request(orjson.dumps(body)).request
    assert request.metadata["openai_chat"] == own
    again = sent("openai_chat", request)
    assert again["reasoning_effort"] == "low"
    assert "fallbacks" not in again
    assert "reasoning_effort" not in sent("anthropic_messages", request)


def test_azure_names_the_model_in_the_path() -> None:
    body = b'{"messages":[{"role":"user","content":"Hi"}]}'
    path = "/openai/deployments/my%20model/chat/completions?api-version=1"
    assert dialect("openai_chat").decode_request(body, path=path).request.model == "my model"


def test_include_usage_is_seen() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    assert dialect("openai_chat").decode_request(orjson.dumps(body))[1:] == (True, False)
    body["stream_options"] = {"include_usage": True}
    assert dialect("openai_chat").decode_request(orjson.dumps(body))[1:] == (True, True)


# --- Anthropic ------------------------------------------------------------------------------------------------------

TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather and time?"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"x": 1}'}},
            {"id": "b", "type": "function", "function": {"name": "time", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": "sunny"},
    {"role": "tool", "tool_call_id": "b", "content": "noon", "is_error": True},
    {"role": "user", "content": "And now?"},
]


def test_anthropic_tools_and_results() -> None:
    body = sent("anthropic_messages", GenerationRequest(messages=TURNS, tools=[WEATHER, TIME], tool_choice="required"))
    assert body["messages"] == [
        {"role": "user", "content": "Weather and time?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "a", "name": "weather", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "time", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "b", "content": "noon", "is_error": True},
            ],
        },
        {"role": "user", "content": "And now?"},
    ]
    assert body["tools"] == [
        {"name": "weather", "input_schema": SCHEMA, "description": "d"},
        {"name": "time", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert body["tool_choice"] == {"type": "any"}
    assert body["max_tokens"] == 1024


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ({"type": "function", "function": {"name": "time"}}, {"type": "tool", "name": "time"}),
        (None, None),
    ],
)
def test_anthropic_tool_choice(choice: Any, expected: Any) -> None:
    assert (
        sent("anthropic_messages", GenerationRequest("Hi", tools=[TIME], tool_choice=choice)).get("tool_choice")
        == expected
    )


def test_one_tool_at_a_time_is_said_in_both_formats() -> None:
    request = GenerationRequest("Hi", tools=[TIME], metadata={"parallel_tool_calls": False})
    assert sent("openai_chat", request)["parallel_tool_calls"] is False
    assert sent("anthropic_messages", request)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    body = dialect("anthropic_messages").encode_request(request, model="m", stream=False, quirks=Quirks())
    assert dialect("anthropic_messages").decode_request(body).request.metadata["parallel_tool_calls"] is False


def test_anthropic_system_prompts_leave_the_messages() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "One"},
        {"role": "user", "content": "Hi"},
        {"role": "developer", "content": "Two"},
    ]
    body = sent("anthropic_messages", GenerationRequest(messages=messages, system="Zero"))
    assert body["system"] == "Zero\n\nOne\n\nTwo"
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    parts = [{"type": "text", "text": "Long", "cache_control": {"type": "ephemeral"}}]
    body = sent(
        "anthropic_messages",
        GenerationRequest(messages=[{"role": "system", "content": parts}, messages[1]], system="Zero"),
    )
    assert body["system"] == [{"type": "text", "text": "Zero"}, *parts]


def test_cache_marks_go_to_anthropic_only() -> None:
    parts = [{"type": "text", "text": "Long", "cache_control": {"type": "ephemeral"}}]
    request = GenerationRequest(messages=[{"role": "user", "content": parts}])
    assert sent("anthropic_messages", request)["messages"][0]["content"] == parts
    assert sent("openai_chat", request)["messages"][0]["content"] == [{"type": "text", "text": "Long"}]


@pytest.mark.parametrize(
    ("model", "native"),
    [("claude-opus-4-5", True), ("claude-3-opus-20240229", False), ("claude-sonnet-4-20250514", False)],
)
def test_anthropic_schemas_by_field_or_in_words(model: str, native: bool) -> None:
    body = sent("anthropic_messages", GenerationRequest("Hi", system="S", response_format=SCHEMA_FORMAT), model=model)
    if native:
        assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
        assert body["system"] == "S"
    else:
        assert "output_config" not in body
        assert body["system"].startswith("S\n\n")
        assert orjson.dumps(SCHEMA).decode() in body["system"]


def test_anthropic_plain_json_is_asked_for_in_words() -> None:
    assert (
        "JSON"
        in sent("anthropic_messages", GenerationRequest("Hi", response_format="json"), model="claude-opus-4-5")[
            "system"
        ]
    )


@pytest.mark.parametrize(("prefill", "expected"), [("Sure:  \n", "Sure:"), ("Sure:", "Sure:"), ("  ", None)])
def test_anthropic_takes_a_prefill_without_trailing_space(prefill: str, expected: str | None) -> None:
    messages = sent(
        "anthropic_messages",
        GenerationRequest(messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": prefill}]),
    )["messages"]
    assert messages[1:] == ([{"role": "assistant", "content": expected}] if expected else [])


def test_anthropic_sampling_and_stops() -> None:
    request = GenerationRequest("Hi", temperature=1.7, top_p=0.5, seed=1, stop="END", max_tokens=9)
    assert sent("anthropic_messages", request, stream=True) == {
        "model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "temperature": 1, "top_p": 0.5,
        "stop_sequences": ["END"], "stream": True,
    }  # fmt: skip
    assert "temperature" not in sent("anthropic_messages", request, quirks=Quirks(sampling=False))


@pytest.mark.parametrize(
    ("name", "model", "place"),
    [
        ("anthropic_messages", "m", ()),
        ("bedrock_invoke", "anthropic.claude-haiku-4-5-20251001-v1:0", ()),
        ("bedrock_converse", "anthropic.claude-haiku-4-5-20251001-v1:0", ("inferenceConfig",)),
    ],
)
def test_where_only_one_sampler_is_taken_it_is_the_temperature(name: str, model: str, place: tuple[str, ...]) -> None:
    def written(**fields: float) -> set[str]:
        body = sent(name, GenerationRequest("Hi", **fields), model=model, quirks=Quirks(one_sampler=True))  # type: ignore[arg-type]
        for step in place:
            body = body[step]
        return {"temperature", "top_p", "topP"} & body.keys()

    assert written(temperature=0.5, top_p=0.9) == {"temperature"}
    assert written(top_p=0.9) <= {"top_p", "topP"}
    assert written(top_p=0.9)


def test_anthropic_refuses_blank_texts_so_none_are_sent() -> None:
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": " \n"},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": " ", "tool_calls": [{"id": "t", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "t", "content": " "},
        {"role": "user", "content": [{"type": "text", "text": " "}]},
        {"role": "user", "content": [{"type": "text", "text": " "}, "Go on"]},
    ]
    assert sent("anthropic_messages", GenerationRequest(messages=messages))["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": []}]},
        {"role": "user", "content": [{"type": "text", "text": "Go on"}]},
    ]


def test_anthropic_images_and_documents() -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
    ]
    assert sent("anthropic_messages", GenerationRequest(messages=[{"role": "user", "content": parts}]))["messages"][0][
        "content"
    ] == [
        {"type": "text", "text": "Look"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
    ]


def test_what_only_anthropic_has_survives_its_own_format() -> None:
    body = {
        "model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "top_k": 3,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [
            {"type": "web_search_20250305", "name": "web_search"},
            {"name": "f", "input_schema": {"type": "object"}, "strict": True, "defer_loading": True},
        ],
    }  # fmt: skip
    request = dialect("anthropic_messages").decode_request(orjson.dumps(body)).request
    assert sent("anthropic_messages", request, model="m") == body
    assert sent("openai_chat", request)["tools"][1] == {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object"}, "strict": True},
    }


# --- Ollama ---------------------------------------------------------------------------------------------------------


def test_ollama_tools_results_and_options() -> None:
    request = GenerationRequest(
        messages=TURNS,
        system="S",
        tools=[WEATHER, TIME],
        temperature=0.5,
        top_p=0.9,
        seed=3,
        max_tokens=7,
        stop="END",
        response_format=SCHEMA_FORMAT,
    )
    body = sent("ollama", request)
    assert body["stream"] is False
    assert body["options"] == {"temperature": 0.5, "top_p": 0.9, "seed": 3, "num_predict": 7, "stop": ["END"]}
    assert body["format"] == SCHEMA
    assert body["messages"][2]["tool_calls"] == [
        {"id": "a", "function": {"name": "weather", "arguments": {"x": 1}}},
        {"id": "b", "function": {"name": "time", "arguments": {}}},
    ]
    assert body["messages"][3] == {"role": "tool", "content": "sunny", "tool_call_id": "a", "tool_name": "weather"}
    assert len(body["tools"]) == 2


def test_ollama_has_no_tool_choice_so_the_tools_are_chosen() -> None:
    def offered(choice: Any) -> list[str]:
        body = sent("ollama", GenerationRequest("Hi", tools=[WEATHER, TIME], tool_choice=choice))
        return [tool["function"]["name"] for tool in body.get("tools", [])]

    assert offered("none") == []
    assert offered("required") == ["weather", "time"]
    assert offered({"type": "function", "function": {"name": "time"}}) == ["time"]


def test_ollama_streams_unless_told_not_to() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "options": {"num_predict": -1, "num_ctx": 4096},
        "keep_alive": "5m",
    }
    asked = dialect("ollama").decode_request(orjson.dumps(body), path="/api/chat")
    assert asked.stream
    assert asked.request.max_tokens is None
    again = sent("ollama", asked.request)
    assert (again["options"], again["keep_alive"]) == ({"num_ctx": 4096}, "5m")


def test_ollamas_path_tells_the_endpoint() -> None:
    body = b'{"model":"m","prompt":"Hi","system":"S","images":["aGk="]}'
    request = dialect("ollama").decode_request(body, path="/api/generate").request
    assert (request.last_user_text(), request.system) == ("Hi", "S")
    assert sent("ollama_generate", request)["images"] == ["aGk="]
    with pytest.raises(InvalidRequestError):
        dialect("ollama").decode_request(body, path="/api/chat")


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "request_", "says"),
    [
        ("anthropic_messages", GenerationRequest("Hi", tools=[TIME], tool_choice="any"), "tool_choice is 'any'"),
        (
            "anthropic_messages",
            GenerationRequest(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
            "input_audio",
        ),
        (
            "anthropic_messages",
            GenerationRequest(
                messages=[
                    {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]}
                ]
            ),
            "tool call 'f' are not a JSON object",
        ),
        (
            "anthropic_messages",
            GenerationRequest("Hi", response_format={"type": "json_schema"}),
            "json_schema.schema is missing",
        ),
        (
            "ollama",
            GenerationRequest(
                messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/a.png"}}]}]
            ),
            "only as data URLs",
        ),
        ("ollama_generate", GenerationRequest(messages=TURNS), "/api/generate takes one user message"),
        (
            "openai_chat",
            GenerationRequest("Hi", metadata={"openai_chat": {"user": {1, 2}.__contains__}}),
            "cannot be written as JSON",
        ),
        ("openai_chat", GenerationRequest("lone \ud800 surrogate"), "cannot be written as JSON"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_in_one_sentence(
    name: str, request_: GenerationRequest, says: str
) -> None:
    with pytest.raises(InvalidRequestError, match=says.replace("{", "\\{")):
        dialect(name).encode_request(request_, model="claude-opus-4-5", stream=False, quirks=Quirks())


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("openai_chat", b"", "not JSON"),
        ("openai_chat", b"[]", "it must be an object"),
        ("openai_chat", b"{}", "messages is missing"),
        ("openai_chat", b'{"messages":"Hi"}', "messages is 'Hi'; it must be a list of objects"),
        ("openai_chat", b'{"messages":[{"content":"Hi"}]}', r"messages\[0\] is not a message with a role"),
        ("openai_chat", b'{"messages":[{"role":"user","content":7}]}', r"messages\[0\].content is '7'"),
        (
            "openai_chat",
            b'{"messages":[{"role":"user","content":"a"}],"temperature":"hot"}',
            "temperature is 'hot'; it must be a number",
        ),
        ("openai_chat", b'{"messages":[{"role":"user","content":"a"}],"temperature":3}', "between 0 and 2"),
        ("openai_chat", b'{"messages":[{"role":"user","content":"a"}],"max_tokens":1.5}', "whole number"),
        ("openai_chat", b'{"messages":[{"role":"user","content":"a"}],"n":3}', "n is 3"),
        (
            "openai_chat",
            b'{"messages":[{"role":"user","content":"a"}],"stream":"yes"}',
            "stream is 'yes'; it must be true or false",
        ),
        (
            "openai_chat",
            b'{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"xml"}}',
            "response_format.type is 'xml'",
        ),
        ("openai_chat", b'{"messages":[{"role":"user","content":"a"}],"tool_choice":"any"}', "tool_choice is 'any'"),
        ("anthropic_messages", b'{"messages":[{"role":"user","content":"a"}]}', "max_tokens is missing"),
        ("anthropic_messages", b'{"max_tokens":5,"messages":[{"role":"tool","content":"a"}]}', "role 'tool'"),
        (
            "anthropic_messages",
            b'{"max_tokens":5,"messages":[{"role":"user","content":"a"}],"system":7}',
            "system must be",
        ),
        (
            "anthropic_messages",
            b'{"max_tokens":5,"messages":[{"role":"user","content":"a"}],"tool_choice":{"type":"x"}}',
            "tool_choice.type",
        ),
        ("ollama", b'{"messages":[{"role":"user","content":"a"}],"format":"xml"}', "format is 'xml'"),
        ("ollama", b'{"prompt":""}', "prompt is missing"),
        ("ollama", b'{"messages":[{"role":"user","content":"a"}],"options":7}', "options is '7'; it must be an object"),
    ],
)
def test_a_body_that_is_no_such_request_is_refused_in_one_sentence(name: str, body: bytes, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        dialect(name).decode_request(body)


def test_a_whole_number_may_be_written_as_a_float() -> None:
    body = b'{"messages":[{"role":"user","content":"a"}],"max_tokens":5.0,"n":1.0}'
    assert dialect("openai_chat").decode_request(body).request.max_tokens == 5
