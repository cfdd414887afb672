"""Items and events of the Responses API in any shape: an answer or a ProviderError, never anything else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from providers.dialects import dialect
from providers.errors import ProviderError, StreamInterruptedError
from providers.types import StreamFinished, TextDelta
from tests.providers.dialects.recorded import cut, drain, fold
from tests.providers.dialects.test_fuzz import JSON, WRONG, read_everything

NAME = "openai_responses"
FEW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KINDS = [
    "response.created", "response.in_progress", "response.completed", "response.incomplete", "response.failed",
    "response.output_item.added", "response.output_item.done", "response.content_part.added",
    "response.content_part.done", "response.output_text.delta", "response.output_text.done", "response.refusal.delta",
    "response.refusal.done", "response.function_call_arguments.delta", "response.function_call_arguments.done",
    "response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done", "response.reasoning_text.delta", "response.reasoning_text.done", "error",
    "response.of_next_year",
]  # fmt: skip
TYPES = st.sampled_from(
    ["message", "function_call", "reasoning", "output_text", "refusal", "summary_text", "reasoning_text", "x"]
)
FIELDS = [
    "type", "item", "part", "delta", "text", "refusal", "arguments", "name", "call_id", "id", "output_index",
    "content_index", "summary_index", "summary", "content", "annotations", "response", "output", "status", "error",
    "usage", "input_tokens", "output_tokens", "input_tokens_details", "incomplete_details", "reason", "model", "code",
]  # fmt: skip
SHAPES = st.recursive(
    JSON | TYPES,
    lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5) | st.lists(inner, max_size=2),
    max_leaves=12,
)
EVENTS = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(FIELDS), SHAPES, max_size=5),
)


@FEW
@given(st.lists(EVENTS, min_size=1, max_size=6), st.lists(st.integers(0, 500), max_size=4))
@example([{"type": "response.completed", "response": {"output": [{"type": "message", "content": "text"}]}}], [])
@example(
    [{"type": "response.output_item.done", "output_index": {}, "item": {"type": "function_call", "name": "f"}}], []
)
def test_events_of_any_shape(events: list[dict[str, Any]], places: list[int]) -> None:
    try:
        body = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
    except TypeError:
        return
    read_everything(NAME, body, places)
    seen, error = drain(dialect(NAME).decoder(), cut(body, places))
    if error is None:
        # Whatever was told, the pieces are the answer.
        last = seen[-1]
        assert isinstance(last, StreamFinished)
        assert fold(seen) == last.completion
    elif isinstance(error, StreamInterruptedError):
        assert error.partial_text == "".join(e.text for e in seen if isinstance(e, TextDelta))
    for event in events:
        response = event.get("response")
        if isinstance(response, dict):
            read_everything(NAME, orjson.dumps(response), [])


@FEW
@given(st.dictionaries(st.sampled_from(["role", "content", "output", *FIELDS]), SHAPES, max_size=6))
def test_items_of_any_shape(item: dict[str, Any]) -> None:
    try:
        body = orjson.dumps({"model": "m", "input": [{"role": "user", "content": "a"}, item]})
    except TypeError:
        return
    read_everything(NAME, body, [])


@pytest.mark.parametrize(
    "field", ["role", "content", "type", "name", "call_id", "arguments", "output", "id", "summary", "phase"]
)
@pytest.mark.parametrize("kind", ["message", "function_call", "function_call_output", "reasoning", "item_reference"])
def test_an_items_field_of_the_wrong_shape(kind: str, field: str) -> None:
    whole = {
        "type": kind,
        "role": "user",
        "content": "a",
        "call_id": "c",
        "name": "f",
        "arguments": "{}",
        "output": "a",
    }
    for value in WRONG:
        body = {"model": "m", "input": [{"role": "user", "content": "a"}, {**whole, field: value}]}
        read_everything(NAME, orjson.dumps(body), [])


@pytest.mark.parametrize("name", ["openai_responses", "openai_completions"])
@pytest.mark.parametrize(
    "field",
    [
        "input", "prompt", "instructions", "text", "tools", "tool_choice", "max_output_tokens", "max_tokens", "model",
        "temperature", "top_p", "stop", "seed", "n", "stream", "stream_options", "reasoning", "parallel_tool_calls",
        "suffix", "echo", "logprobs",
    ],
)  # fmt: skip
def test_a_request_field_of_the_wrong_shape(name: str, field: str) -> None:
    for value in [*WRONG, {"format": {"type": "json_schema", "schema": 7}}, [{"type": "function", "name": 7}]]:
        body = {"model": "m", "input": "Hi", "prompt": "Hi", "tools": [{"type": "function", "name": "f"}]}
        read_everything(name, orjson.dumps({**body, field: value}), [])


def test_a_hundred_thousand_deltas_are_read_in_one_pass() -> None:
    """Each event costs the same, however long the answer has grown."""
    piece = orjson.dumps({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"})
    decoder = dialect(NAME).decoder()
    for _ in range(100):
        decoder.feed((b"data: " + piece + b"\n\n") * 1000)
    with pytest.raises(ProviderError) as caught:
        decoder.close()
    assert isinstance(caught.value, StreamInterruptedError)
    assert len(caught.value.partial_text) == 100_000
