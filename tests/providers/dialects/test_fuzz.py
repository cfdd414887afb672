"""Whatever bytes arrive, a dialect answers with a ProviderError or an answer, never with anything else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from providers.dialects import dialect
from providers.dialects.base import Quirks
from providers.errors import InvalidRequestError, MalformedResponseError, ProviderError, StreamInterruptedError
from tests.providers.dialects.recorded import cut, drain, recordings
from tests.shared_material import needs_wire

NAMES = [
    "openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "bedrock_converse", "bedrock_invoke",
    "gemini", "gemini_array", "ollama", "ollama_generate",
]  # fmt: skip
FEW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read_everything(name: str, body: bytes, places: list[int]) -> None:
    format_ = dialect(name)
    with suppress(ProviderError):
        format_.decode_completion(body)
    with suppress(InvalidRequestError):
        request = format_.decode_request(body).request
        for other in NAMES:
            with suppress(InvalidRequestError):
                dialect(other).encode_request(request, model="m", stream=True, quirks=Quirks())
    for status in (200, 400, 429, 503):
        assert isinstance(format_.decode_error(status, {}, body), ProviderError)
    drain(format_.decoder(), cut(body, places))


@pytest.mark.parametrize("name", NAMES)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_random_bytes(name: str, body: bytes, places: list[int]) -> None:
    read_everything(name, body, places)
    for prefix, suffix in ((b"data: ", b"\n\n"), (b"event: error\ndata:", b"\n\n"), (b"{", b"}\n")):
        read_everything(name, prefix + body + suffix, places)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes, list[int]]:
    """A recorded body with bytes overwritten, cut out, doubled, or JSON words swapped for others."""
    recording = draw(st.sampled_from(recordings()))
    body = bytearray(draw(st.sampled_from([recording.body[:4000], recording.request[:4000]])))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(body) - 1)))
        length = draw(st.integers(0, 40))
        match draw(st.integers(0, 3)):
            case 0:
                body[place : place + length] = draw(st.binary(max_size=8))
            case 1:
                del body[place : place + length]
            case 2:
                body[place:place] = body[place : place + length]
            case _:
                old, new = draw(
                    st.permutations(
                        [b"null", b"[]", b"{}", b"7", b'"x"', b"true", b'"index"', b'"delta"', b'"text"', b'"content"']
                    )
                )[:2]
                body = bytearray(bytes(body).replace(old, new))
    return recording.dialect.name, bytes(body), draw(st.lists(st.integers(0, 4000), max_size=4))


@needs_wire
@FEW
@given(mutated())
def test_mutations_of_recorded_traffic(case: tuple[str, bytes, list[int]]) -> None:
    name, body, places = case
    read_everything(name, body, places)


FIELDS = [
    "choices", "message", "content", "delta", "tool_calls", "usage", "error", "type", "messages", "role", "system",
    "tools", "tool_choice", "options", "format", "stop", "index", "function", "arguments", "name", "response", "done",
    "input", "content_block", "finish_reason", "max_tokens", "prompt", "images", "prompt_tokens_details", "details",
    "metadata",
    "candidates", "parts", "text", "thought", "thoughtSignature", "functionCall", "functionResponse", "args",
    "contents", "finishReason", "usageMetadata", "promptFeedback", "blockReason", "generationConfig",
    "systemInstruction", "toolConfig", "functionDeclarations", "parameters", "properties", "items", "inlineData",
    "fileData", "mimeType", "violations", "quotaId", "retryDelay",
]  # fmt: skip
SHAPES = st.recursive(
    JSON,
    lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5) | st.lists(inner, max_size=2),
    max_leaves=12,
)


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(SHAPES)
@example({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [7]}]}], "max_tokens": 5})
@example({"messages": [{"role": "assistant", "tool_calls": [{"function": 7}]}]})
@example({"type": "content_block_start", "index": [], "content_block": {"type": "tool_use", "name": "f"}})
def test_json_of_the_wrong_shape(name: str, value: object) -> None:
    try:
        body = orjson.dumps(value)
    except TypeError:
        return
    read_everything(name, body, [])
    read_everything(name, b"data: " + body + b"\n\n", [])


@needs_wire
@FEW
@given(st.data())
def test_a_recorded_answer_cut_short_is_malformed(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from([r for r in recordings() if r.status < 400 and r.framing == "json"]))
    body = recording.body.rstrip()
    with pytest.raises(MalformedResponseError):
        recording.dialect.decode_completion(body[: data.draw(st.integers(0, len(body) - 1))])


WRONG: list[Any] = [
    7, True, "x", [], {}, [7], ["x"], [[]], [{}], {"a": 7}, {"type": 7}, {"options": 7}, {"format": 7},
    [{"type": "text", "text": 7}], [{"type": "image_url"}], [{"type": "image_url", "image_url": 7}],
    [{"type": "image_url", "image_url": {"url": "data:x"}}], [{"type": "image", "source": 7}],
    [{"type": "tool_result", "content": 7}], [{"type": "tool_use", "input": 7, "name": 7, "id": 7}],
    [{"type": "file", "file": 7}], [{"type": "input_audio"}], [{"function": 7}],
    [{"id": 7, "function": {"name": "f", "arguments": "{}"}}], [{"function": {"name": "f", "arguments": "{"}}],
    {"type": "function", "function": 7}, {"type": "tool", "name": 7}, {"type": "json_schema"},
    {"type": "json_schema", "json_schema": 7}, [{"type": "function", "function": {"name": "f", "parameters": 7}}],
    [{"name": "f", "input_schema": 7}], [{"name": 7}], {"format": {"schema": {}}},
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "field", ["content", "tool_calls", "thinking_blocks", "images", "name", "tool_call_id", "reasoning"]
)
def test_a_message_field_of_the_wrong_shape(name: str, field: str) -> None:
    for role in ("system", "user", "assistant", "tool"):
        for value in WRONG:
            messages = [{"role": "user", "content": "a"}, {"role": role, "content": "b", field: value}]
            read_everything(name, orjson.dumps({"model": "m", "max_tokens": 5, "messages": messages}), [])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "field",
    [
        "system", "tools", "tool_choice", "response_format", "format", "options", "stop", "stop_sequences", "images",
        "n", "output_config", "stream", "stream_options", "thinking", "max_tokens", "temperature", "seed", "model",
        "prompt", "messages",
    ],
)  # fmt: skip
def test_a_request_field_of_the_wrong_shape(name: str, field: str) -> None:
    tools = [{"type": "function", "name": "f", "function": {"name": "f"}}]
    for value in WRONG:
        body = {
            "model": "m",
            "max_tokens": 5,
            "prompt": "hi",
            "messages": [{"role": "user", "content": "a"}],
            "tools": tools,
        }
        read_everything(name, orjson.dumps({**body, field: value}), [])


def test_deep_nesting_is_malformed() -> None:
    deep = b'{"choices":' + b"[" * 5000 + b"]" * 5000 + b"}"
    for name in NAMES:
        with pytest.raises(MalformedResponseError):
            dialect(name).decode_completion(deep)
        _, error = drain(dialect(name).decoder(), [b"data: " + deep + b"\n\n"])
        assert isinstance(error, (MalformedResponseError, StreamInterruptedError))
        with pytest.raises(InvalidRequestError):
            dialect(name).decode_request(deep)
