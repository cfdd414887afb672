"""What one side of a format writes the other side reads: answers, streams and requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects import dialect, forms
from providers.dialects.accumulator import events_of
from providers.dialects.base import Quirks
from providers.types import (
    Completion,
    GenerationRequest,
    StopReason,
    StreamFinished,
    TokenUsage,
    ToolCall,
    content_text,
)
from tests.providers.dialects.recorded import cut, decode, drain, fold

NAMES = [
    "openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "bedrock_converse", "bedrock_invoke",
    "gemini", "gemini_array", "ollama", "ollama_generate",
]  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
NAME = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
OBJECT = st.dictionaries(NAME, st.none() | st.booleans() | st.integers(-9, 9) | TEXT, max_size=3)
GOOGLES_STOPS: list[tuple[str, StopReason]] = [
    ("STOP", "stop"),
    ("MAX_TOKENS", "length"),
    ("SAFETY", "content_filter"),
    ("RECITATION", "content_filter"),
    ("MALFORMED_FUNCTION_CALL", "other"),
]
STOPS: dict[str, list[tuple[str, StopReason]]] = {
    "openai_chat": [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter")],
    "openai_responses": [
        ("completed", "stop"),
        ("max_output_tokens", "length"),
        ("content_filter", "content_filter"),
        ("max_messages", "other"),
    ],
    "openai_completions": [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter")],
    "anthropic_messages": [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
    ],
    "bedrock_converse": [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_tool_use", "other"),
    ],
    # A model of no known family speaks OpenAI's form.
    "bedrock_invoke": [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter")],
    "gemini": GOOGLES_STOPS,
    "gemini_array": GOOGLES_STOPS,
    "ollama": [("stop", "stop"), ("length", "length")],
    "ollama_generate": [("stop", "stop"), ("length", "length")],
}
CALLED = {
    "openai_chat": "tool_calls",
    "openai_responses": "completed",
    "anthropic_messages": "tool_use",
    "bedrock_converse": "tool_use",
    "bedrock_invoke": "tool_calls",
    "gemini": "STOP",
    "gemini_array": "STOP",
    "ollama": "stop",
}
TEXT_ONLY = {"openai_completions", "ollama_generate"}
"""Formats without tools; of these OpenAI's has no reasoning either."""


@st.composite
def usages(draw: st.DrawFn, name: str) -> TokenUsage:
    given_, written = draw(st.integers(0, 5000)), draw(st.integers(0, 5000))
    if name.startswith("ollama"):
        return TokenUsage(given_, written)
    cached = draw(st.integers(0, given_))
    # Google charges for keeping a cache by the hour and counts no writes.
    kept = 0 if name.startswith("gemini") else draw(st.integers(0, given_ - cached))
    # Converse does not say how much of an answer was reasoning.
    reasoning = 0 if name == "bedrock_converse" else draw(st.integers(0, written))
    return TokenUsage(given_, written, 0, cached, kept, reasoning)


@st.composite
def completions(draw: st.DrawFn, name: str) -> Completion:
    """Answers that the format can hold."""
    calls = []
    if name not in TEXT_ONLY:
        for index in range(draw(st.integers(0, 2))):
            calls.append(ToolCall(f"call_{index}", draw(NAME), orjson.dumps(draw(OBJECT)).decode()))
    reason, stop = draw(st.sampled_from(STOPS[name]))
    if calls and stop == "stop":
        reason, stop = CALLED[name], "tool_calls"
    # Ollama and text completions always send a text, and an empty one of thinking means none.
    text = draw(TEXT) if name.startswith("ollama") or name in TEXT_ONLY else draw(st.none() | TEXT)
    reasoning = None if name == "openai_completions" else draw(st.none() | TEXT.filter(bool))
    # Converse names no model.
    model = None if name == "bedrock_converse" else "m"
    return Completion(text, reasoning, reason, stop, draw(usages(name)), tool_calls=calls, model=model, response_id="r")


def said(completion: Completion) -> dict[str, Any]:
    return {
        "text": completion.text,
        "reasoning": completion.reasoning_text,
        "finish": completion.finish_reason,
        "stop": completion.stop,
        "usage": completion.usage,
        "calls": completion.tool_calls,
        "model": completion.model,
    }


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_answer_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    completion = data.draw(completions(name))
    body = dialect(name).encode_completion(completion, model="m", response_id="r", created=1_700_000_000)
    assert said(dialect(name).decode_completion(body)) == said(completion)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_stream_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    completion = data.draw(completions(name))
    size = data.draw(st.integers(1, 9))
    encoder = dialect(name).encoder(model="m", response_id="r", created=1_700_000_000, include_usage=True)
    events = events_of(completion, lambda text: [text[i : i + size] for i in range(0, len(text), size)])
    assert said(fold(events))["calls"] == completion.tool_calls
    body = encoder.start() + b"".join(encoder.event(event) for event in events) + encoder.finish(completion)
    back, error = decode(dialect(name), cut(body, data.draw(st.lists(st.integers(0, len(body)), max_size=5))))
    assert error is None
    assert said(back) == said(completion)


@pytest.mark.parametrize("name", NAMES)
def test_usage_goes_into_a_stream_only_when_asked_for_where_the_format_knows_the_difference(name: str) -> None:
    encoder = dialect(name).encoder(model="m", response_id="r", created=0, include_usage=False)
    completion = Completion("", finish_reason=None, stop="stop", usage=TokenUsage(1, 2))
    back, error = decode(dialect(name), [encoder.start() + encoder.finish(completion)])
    assert error is None
    assert (back.usage is None) == (name in ("openai_chat", "openai_completions"))


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("stop", ["stop", "length", "tool_calls", "content_filter", "other"])
def test_an_answer_of_one_vendor_can_be_written_for_another(source: str, target: str, stop: StopReason) -> None:
    """The reason is translated; what a format has no word for becomes a plain stop."""
    calls = [ToolCall("c", "f", "{}")] if stop == "tool_calls" else []
    first = Completion("Hi", None, None, stop, TokenUsage(2, 1), tool_calls=calls)
    there = dialect(source).decode_completion(
        dialect(source).encode_completion(first, model="m", response_id="r", created=0)
    )
    back = dialect(target).decode_completion(
        dialect(target).encode_completion(there, model="m", response_id="r", created=0)
    )
    assert (back.text, back.usage) == ("Hi", TokenUsage(2, 1))
    if "ollama" not in source + target and stop != "other":
        if stop == "tool_calls" and "openai_completions" in (source, target):
            assert back.stop == "stop"
        else:
            assert back.stop == stop


def test_a_models_broken_arguments_still_reach_formats_that_take_only_objects() -> None:
    completion = Completion(tool_calls=[ToolCall("c", "f", '{"x": ')], stop="tool_calls", finish_reason="tool_calls")
    for name in ("anthropic_messages", "gemini", "ollama"):
        back = dialect(name).decode_completion(
            dialect(name).encode_completion(completion, model="m", response_id="r", created=0)
        )
        assert orjson.loads(back.tool_calls[0].arguments) == {"arguments": '{"x": '}


def test_signed_thinking_is_sent_back_unchanged() -> None:
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}]
    completion = Completion("Hi", "hm", "end_turn", "stop", metadata={"thinking_blocks": blocks})
    messages = dialect("anthropic_messages")
    back = messages.decode_completion(messages.encode_completion(completion, model="m", response_id="r", created=0))
    assert back.metadata["thinking_blocks"] == blocks
    request = GenerationRequest(
        messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "Hi", "thinking_blocks": blocks}]
    )
    sent = orjson.loads(messages.encode_request(request, model="m", stream=False, quirks=Quirks()))
    assert sent["messages"][1]["content"] == [*blocks, {"type": "text", "text": "Hi"}]
    assert b"thinking_blocks" not in dialect("openai_chat").encode_request(
        request, model="m", stream=False, quirks=Quirks()
    )


# --- requests -------------------------------------------------------------------------------------------------------

WORDS = st.text("abc xyz", min_size=1, max_size=12).filter(str.strip)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """User turns, answers, tool calls with their results, images; the last turn is the user's."""
    messages: list[dict[str, Any]] = []
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    for turn in range(draw(st.integers(0, 3))):
        messages.append({"role": "user", "content": draw(WORDS | st.just([{"type": "text", "text": "look"}, image]))})
        if draw(st.booleans()):
            calls = []
            for index in range(draw(st.integers(1, 2))):
                function = {"name": draw(NAME), "arguments": orjson.dumps(draw(OBJECT)).decode()}
                calls.append({"id": f"call_{turn}_{index}", "type": "function", "function": function})
            messages.append({"role": "assistant", "content": draw(st.none() | WORDS), "tool_calls": calls})
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(WORDS)} for call in calls]
        messages.append({"role": "assistant", "content": draw(WORDS)})
    messages.append({"role": "user", "content": draw(WORDS)})
    return messages


TOOLS: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        lambda name, about: {
            "type": "function",
            "function": {
                "name": name,
                "description": about,
                "parameters": {"type": "object", "properties": {"x": {"type": "string"}}},
            },
        },
        NAME,
        WORDS,
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tool: tool["function"]["name"],
)


@st.composite
def requests(draw: st.DrawFn) -> GenerationRequest:
    tools = draw(st.none() | TOOLS)
    choice: str | Mapping[str, Any] | None = None
    if tools:
        named = forms.named_tool(tools[0]["function"]["name"])
        choice = draw(st.none() | st.sampled_from(["auto", "none", "required"]) | st.just(named))
    schema = {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": {"type": "object", "additionalProperties": False}},
    }
    return GenerationRequest(
        messages=draw(conversations()),
        system=draw(st.none() | WORDS),
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        max_tokens=draw(st.integers(1, 9999)),
        stop=draw(st.none() | st.lists(WORDS, min_size=1, max_size=3)),
        seed=draw(st.none() | st.integers(0, 2**31 - 1)),
        response_format=draw(st.none() | st.just(schema) | st.just({"type": "json_object"})),
        tools=tools,
        tool_choice=choice,
    )


PATHS = {
    "gemini": (
        "/v1beta/models/claude-opus-4-5:generateContent",
        "/v1beta/models/claude-opus-4-5:streamGenerateContent",
    ),
    "bedrock_converse": ("/model/claude-opus-4-5/converse", "/model/claude-opus-4-5/converse-stream"),
    "bedrock_invoke": ("/model/claude-opus-4-5/invoke", "/model/claude-opus-4-5/invoke-with-response-stream"),
}
"""Formats whose path says the model, and whether the answer streams."""
CLAUDES = ("anthropic_messages", "bedrock_converse", "bedrock_invoke")
"""Formats without seeds, and without a field for JSON of any shape."""


@pytest.mark.parametrize("name", ["openai_chat", "openai_responses", *CLAUDES, "gemini", "ollama"])
@pytest.mark.parametrize("stream", [True, False])
@given(request_=requests())
def test_a_request_comes_back_as_it_was(name: str, stream: bool, request_: GenerationRequest) -> None:
    format_ = dialect(name)
    body = format_.encode_request(request_, model="claude-opus-4-5", stream=stream, quirks=Quirks())
    back = format_.decode_request(body, path=PATHS.get(name, ("", ""))[stream])
    assert back.stream is stream
    assert back.request.model == "claude-opus-4-5"
    assert (back.request.temperature, back.request.top_p) == (request_.temperature, request_.top_p)
    assert back.request.max_tokens == request_.max_tokens
    if name == "openai_responses":
        assert (back.request.stop, back.request.seed) == (None, None)
    else:
        assert back.request.stop_list() == request_.stop_list()
    if name not in CLAUDES:
        assert back.request.seed == (request_.seed if name != "openai_responses" else None)
        assert back.request.response_format == request_.response_format
    # Converse has no choice to call nothing: it leaves the tools out.
    if name != "ollama" and not (name == "bedrock_converse" and (not request_.tools or request_.tool_choice == "none")):
        assert back.request.tool_choice == request_.tool_choice
        assert (back.request.tools or None) == (request_.tools or None)
    asked = [spoken(m) for m in request_.chat() if m["role"] != "system"]
    assert [spoken(m) for m in back.request.chat() if m["role"] != "system"] == asked
    assert (request_.system or "") in "".join(
        content_text(m["content"]) for m in back.request.chat() if m["role"] == "system"
    )
    again = format_.encode_request(back.request, model="claude-opus-4-5", stream=stream, quirks=Quirks())
    if not (name in CLAUDES and request_.response_format == {"type": "json_object"}):
        assert again == body


def spoken(message: dict[str, Any]) -> tuple[Any, ...]:
    calls = [
        (c["id"], c["function"]["name"], orjson.loads(c["function"]["arguments"]))
        for c in message.get("tool_calls") or ()
    ]
    content = message.get("content")
    images = [part for part in content if part["type"] == "image_url"] if isinstance(content, list) else []
    return message["role"], content_text(content), images, calls, message.get("tool_call_id")


def test_openais_request_is_kept_to_the_letter() -> None:
    request = GenerationRequest(
        messages=[
            {"role": "developer", "content": "x"},
            {"role": "user", "content": [{"type": "text", "text": "a"}], "name": "n"},
        ]
    )
    body = dialect("openai_chat").encode_request(request, model="m", stream=False, quirks=Quirks())
    assert orjson.loads(body) == {"model": "m", "messages": request.messages}
    assert dialect("openai_chat").decode_request(body).request.messages == request.messages


@given(WORDS, st.booleans(), st.none() | st.floats(0, 1), st.integers(1, 99))
def test_a_lone_question_is_the_text_to_complete(
    prompt: str, stream: bool, temperature: float | None, limit: int
) -> None:
    request = GenerationRequest(prompt=prompt, temperature=temperature, max_tokens=limit, stop=["END"], seed=1)
    format_ = dialect("openai_completions")
    body = format_.encode_request(request, model="m", stream=stream, quirks=Quirks())
    back = format_.decode_request(body)
    assert back.request == GenerationRequest(
        prompt=prompt, model="m", temperature=temperature, max_tokens=limit, stop=["END"], seed=1
    )
    assert (back.stream, back.include_usage) == (stream, stream)
    assert format_.encode_request(back.request, model="m", stream=stream, quirks=Quirks()) == body


@given(WORDS, st.none() | WORDS, st.none() | st.just({"type": "json_object"}))
def test_generate_takes_one_turn(prompt: str, system: str | None, form: dict[str, str] | None) -> None:
    request = GenerationRequest(prompt=prompt, system=system, response_format=form, max_tokens=5)
    format_ = dialect("ollama_generate")
    body = format_.encode_request(request, model="m", stream=True, quirks=Quirks())
    assert orjson.loads(body)["prompt"] == prompt
    back = format_.decode_request(body, path="/api/generate")
    assert (back.request.last_user_text(), back.request.system, back.request.response_format) == (prompt, system, form)
    assert format_.encode_request(back.request, model="m", stream=True, quirks=Quirks()) == body


def test_the_final_event_is_the_whole_answer() -> None:
    completion = Completion(
        "a b", "hm", "stop", "stop", TokenUsage(1, 2), tool_calls=[ToolCall("i", "f", "{}")], model="m"
    )
    events = events_of(completion, str.split)
    last = events[-1]
    assert isinstance(last, StreamFinished)
    assert last.completion is completion
    assert fold(events).text == "ab"
    events, error = drain(dialect("openai_chat").decoder(), [])
    assert (events, error is None) == ([], False)
