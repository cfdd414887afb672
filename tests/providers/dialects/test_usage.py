"""Token numbers, normalised once."""

from __future__ import annotations

import orjson
import pytest

from providers.dialects import dialect
from providers.types import Completion, RawUsage, TokenUsage


def openai(usage: object) -> Completion:
    body = {"model": "m", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    return dialect("openai_chat").decode_completion(orjson.dumps(body))


@pytest.mark.parametrize(
    ("usage", "normalised"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, TokenUsage(10, 5)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 1},
            },
            TokenUsage(10, 5, cached_input_tokens=8, cache_write_tokens=1),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8},
            TokenUsage(10, 5, cached_input_tokens=8),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 8}, TokenUsage(10, 5, cached_input_tokens=8)),
        (
            {"prompt_tokens": 7, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 161}},
            TokenUsage(7, 8, cached_input_tokens=7),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 40}},
            TokenUsage(10, 50, reasoning_tokens=40),
        ),
        # xAI's own API and Gemini's compatible one leave reasoning out of the completion tokens.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 55,
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            TokenUsage(10, 45, reasoning_tokens=40),
        ),
        ({"prompt_tokens": 66, "completion_tokens": 6, "total_tokens": 100}, TokenUsage(66, 34, reasoning_tokens=28)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 40}},
            TokenUsage(10, 45, reasoning_tokens=40),
        ),
        ({"prompt_tokens": 10.0, "completion_tokens": 5.0}, TokenUsage(10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None}, TokenUsage(10, 5)),
        ({"prompt_tokens": -1, "completion_tokens": True, "total_tokens": "9"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_openais_kin(usage: object, normalised: TokenUsage | None) -> None:
    assert openai(usage).usage == normalised


def test_nothing_sent_is_nothing_known() -> None:
    completion = openai(None)
    assert completion.usage is None
    assert completion.raw_usage == RawUsage()


def test_anthropic_counts_the_cache_outside() -> None:
    usage = {
        "input_tokens": 2, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 30, "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }  # fmt: skip
    body = orjson.dumps({"type": "message", "model": "m", "content": [], "stop_reason": "end_turn", "usage": usage})
    completion = dialect("anthropic_messages").decode_completion(body)
    assert completion.raw_usage == RawUsage(2, 9, 100, 30, 4)
    assert completion.usage == TokenUsage(132, 9, 141, 100, 30, 4)


def test_an_anthropic_stream_reports_from_the_start_and_leaves_out_what_has_not_changed() -> None:
    body = (
        b'data: {"type":"message_start","message":{"model":"m",'
        b'"usage":{"input_tokens":4,"cache_read_input_tokens":9,"output_tokens":1}}}\n\n'
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\n'
        b'data: {"type":"message_delta","delta":{},"usage":{"input_tokens":6,"output_tokens":8}}\n\n'
        b'data: {"type":"message_stop"}\n\n'
    )
    decoder = dialect("anthropic_messages").decoder()
    finished = decoder.feed(body)[-1]
    assert finished.completion.raw_usage == RawUsage(6, 8, 9)  # type: ignore[union-attr]
    assert finished.completion.usage == TokenUsage(15, 8, cached_input_tokens=9)  # type: ignore[union-attr]


def test_ollama_leaves_out_a_prompt_that_it_had_in_memory() -> None:
    body = b'{"model":"m","response":"x","done":true,"eval_count":3}'
    completion = dialect("ollama").decode_completion(body)
    assert completion.raw_usage == RawUsage(None, 3)
    assert completion.usage == TokenUsage(0, 3)
