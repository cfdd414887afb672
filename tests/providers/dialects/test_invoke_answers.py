"""What InvokeModel's answers mean, in every family's own form, whole and in chunks."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects import dialect
from providers.dialects.accumulator import events_of
from providers.dialects.bedrock import write_event
from providers.errors import MalformedResponseError, StreamInterruptedError
from providers.types import Completion, RawUsage, StopReason, StreamFinished, TokenUsage
from tests.providers.dialects.recorded import cut, decode
from tests.providers.dialects.test_round_trips import TEXT

# --- what the vendors document --------------------------------------------------------------------------------------

USAGE = TokenUsage(7, 3)
WHOLE: dict[str, tuple[dict[str, Any], str, str, StopReason, TokenUsage | None]] = {
    "titan": (
        {"inputTextTokenCount": 7, "results": [{"tokenCount": 3, "outputText": "\nHi", "completionReason": "FINISH"}]},
        "\nHi",
        "FINISH",
        "stop",
        USAGE,
    ),
    "titan filtered": (
        {
            "inputTextTokenCount": 7,
            "results": [{"tokenCount": 3, "outputText": "", "completionReason": "CONTENT_FILTERED"}],
        },
        "",
        "CONTENT_FILTERED",
        "content_filter",
        USAGE,
    ),
    "jurassic": (
        {
            "id": 1234,
            "prompt": {"text": "x", "tokens": []},
            "completions": [
                {"data": {"text": "\nHi", "tokens": []}, "finishReason": {"reason": "length", "length": 3}}
            ],
        },
        "\nHi",
        "length",
        "length",
        None,
    ),
    "llama": (
        {"generation": "Hi", "prompt_token_count": 7, "generation_token_count": 3, "stop_reason": "stop"},
        "Hi",
        "stop",
        "stop",
        USAGE,
    ),
    "mistral": ({"outputs": [{"text": "Hi", "stop_reason": "length"}]}, "Hi", "length", "length", None),
    "mistral chat": (
        {
            "id": "i",
            "object": "chat.completion",
            "model": "mistral-large-2407",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "stop_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        },
        "Hi",
        "stop",
        "stop",
        USAGE,
    ),
    "jamba": (
        {
            "id": "i",
            "model": "jamba-1.5-mini",
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        },
        "Hi",
        "stop",
        "stop",
        USAGE,
    ),
    "command": (
        {"id": "i", "prompt": "x", "generations": [{"id": "g", "text": " Hi", "finish_reason": "COMPLETE"}]},
        " Hi",
        "COMPLETE",
        "stop",
        None,
    ),
    "command r": (
        {"response_id": "i", "generation_id": "g", "text": "Hi", "chat_history": [], "finish_reason": "MAX_TOKENS"},
        "Hi",
        "MAX_TOKENS",
        "length",
        None,
    ),
    "claude's completions": (
        {"type": "completion", "completion": " Hi", "stop_reason": "stop_sequence", "stop": "\n\nHuman:"},
        " Hi",
        "stop_sequence",
        "stop",
        None,
    ),
    "nova": (
        {
            "output": {"message": {"content": [{"text": "Hi"}], "role": "assistant"}},
            "stopReason": "max_tokens",
            "usage": {"inputTokens": 5, "outputTokens": 3, "totalTokens": 10, "cacheReadInputTokenCount": 2},
        },
        "Hi",
        "max_tokens",
        "length",
        TokenUsage(7, 3, cached_input_tokens=2),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_every_familys_answer_is_known_by_its_shape(name: str) -> None:
    body, text, finish, stop, usage = WHOLE[name]
    completion = dialect("bedrock_invoke").decode_completion(orjson.dumps(body))
    assert (completion.text, completion.finish_reason, completion.stop) == (text, finish, stop)
    assert completion.usage == usage


METRICS = {"inputTokenCount": 7, "outputTokenCount": 3, "invocationLatency": 9, "firstByteLatency": 5}
LAST = {"amazon-bedrock-invocationMetrics": METRICS}
CHUNKS: dict[str, tuple[list[dict[str, Any]], str, StopReason]] = {
    "titan": (
        [
            {"outputText": "H", "index": 0, "inputTextTokenCount": 7, "completionReason": None},
            {"outputText": "i", "index": 0, "totalOutputTextTokenCount": 3, "completionReason": "FINISH", **LAST},
        ],
        "FINISH",
        "stop",
    ),
    "llama": (
        [
            {"generation": "H", "prompt_token_count": 7, "generation_token_count": 1, "stop_reason": None},
            {"generation": "i", "prompt_token_count": None, "generation_token_count": 3, "stop_reason": "stop", **LAST},
        ],
        "stop",
        "stop",
    ),
    "mistral": (
        [
            {"outputs": [{"text": "H", "stop_reason": None}]},
            {"outputs": [{"text": "i", "stop_reason": "length"}], **LAST},
        ],
        "length",
        "length",
    ),
    "mistral chat": (
        [
            {
                "id": "i",
                "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "H"}, "stop_reason": None}],
            },
            {
                "id": "i",
                "model": "m",
                "choices": [{"index": 0, "message": {"content": "i"}, "stop_reason": "stop"}],
                **LAST,
            },
        ],
        "stop",
        "stop",
    ),
    "jamba": (
        [
            {
                "id": "i",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": "H"}, "finish_reason": None}],
            },
            {"id": "i", "choices": [{"index": 0, "delta": {"content": "i"}, "finish_reason": "stop"}], **LAST},
        ],
        "stop",
        "stop",
    ),
    "command": (
        [
            {"text": "H", "is_finished": False},
            {"text": "i", "is_finished": False},
            {"is_finished": True, "finish_reason": "COMPLETE", **LAST},
        ],
        "COMPLETE",
        "stop",
    ),
    "command in one": (
        [{"id": "i", "prompt": "x", "generations": [{"id": "g", "text": "Hi", "finish_reason": "COMPLETE"}], **LAST}],
        "COMPLETE",
        "stop",
    ),
    "command r": (
        [
            {"is_finished": False, "event_type": "stream-start", "generation_id": "g"},
            {"is_finished": False, "event_type": "text-generation", "text": "Hi"},
            {
                "is_finished": True,
                "event_type": "stream-end",
                "response": {"text": "Hi"},
                "finish_reason": "MAX_TOKENS",
                **LAST,
            },
        ],
        "MAX_TOKENS",
        "length",
    ),
    "claude's completions": (
        [
            {"type": "completion", "completion": "H", "stop_reason": None, "stop": None},
            {"type": "completion", "completion": "i", "stop_reason": "stop_sequence", "stop": "\n\nHuman:", **LAST},
        ],
        "stop_sequence",
        "stop",
    ),
    "nova": (
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "H"}, "contentBlockIndex": 0}},
            {"contentBlockDelta": {"delta": {"text": "i"}, "contentBlockIndex": 0}},
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 3}, "metrics": {}, "trace": {}}, **LAST},
        ],
        "end_turn",
        "stop",
    ),
}


def chunk(body: object) -> bytes:
    return write_event("chunk", {"bytes": b64encode(orjson.dumps(body)).decode(), "p": "abc"})


@pytest.mark.parametrize("name", CHUNKS)
def test_every_familys_chunks_are_known_and_end_at_the_metrics(name: str) -> None:
    """The metrics come last, so nothing waits for the connection to end; they count where the model itself does not."""
    chunks, finish, stop = CHUNKS[name]
    decoder = dialect("bedrock_invoke").decoder()
    for body in chunks[:-1]:
        decoder.feed(chunk(body))
        assert not decoder.finished
    last = decoder.feed(chunk(chunks[-1]))[-1]
    assert isinstance(last, StreamFinished)
    completion = last.completion
    assert (completion.text, completion.finish_reason, completion.stop) == ("Hi", finish, stop)
    assert completion.usage == USAGE
    without = [{k: v for k, v in body.items() if k not in LAST} for body in chunks]
    completion, error = decode(dialect("bedrock_invoke"), [b"".join(chunk(body) for body in without)])
    assert (error, completion.text, completion.finish_reason) == (None, "Hi", finish)


def test_a_models_own_count_is_taken_before_the_metrics() -> None:
    chunks = [*CHUNKS["llama"][0][:-1], {**CHUNKS["llama"][0][-1], "generation_token_count": 5}]
    completion, _ = decode(dialect("bedrock_invoke"), [b"".join(map(chunk, chunks))])
    assert completion.raw_usage == RawUsage(7, 5)


def test_claudes_last_chunk_repeats_nothing_that_claude_has_counted() -> None:
    message = {"model": "claude", "usage": {"input_tokens": 7, "output_tokens": 1}}
    body = chunk({"type": "message_start", "message": message})
    body += chunk({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}})
    completion, error = decode(dialect("bedrock_invoke"), [body + chunk({"type": "message_stop", **LAST})])
    assert (error, completion.model, completion.raw_usage) == (None, "claude", RawUsage(7, 5))


def test_a_pretty_printed_chunk_is_one_chunk() -> None:
    body = orjson.dumps(CHUNKS["titan"][0][-1], option=orjson.OPT_INDENT_2)
    completion, error = decode(dialect("bedrock_invoke"), [write_event("chunk", {"bytes": b64encode(body).decode()})])
    assert (error, completion.text) == (None, "i")


def test_metrics_without_a_finish_reason_are_no_end() -> None:
    body = chunk({"outputText": "Hi", **LAST})
    _, error = decode(dialect("bedrock_invoke"), [body])
    assert isinstance(error, StreamInterruptedError)
    assert (error.partial_text, error.billed) == ("Hi", USAGE)


@pytest.mark.parametrize(
    "frame",
    [
        chunk({"surprise": 1}),
        chunk([1]),
        chunk({"outputText": 7}),
        chunk({"outputs": []}),
        write_event("chunk", {"bytes": "no base64!"}),
        write_event("chunk", {"bytes": 7}),
        write_event("chunk", {}),
        write_event("chunk", {"bytes": b64encode(b"{").decode()}),
    ],
)
def test_a_chunk_that_cannot_be_read_is_malformed(frame: bytes) -> None:
    _, error = decode(dialect("bedrock_invoke"), [frame])
    assert type(error) is MalformedResponseError


# --- both ways ------------------------------------------------------------------------------------------------------

MODELS = {
    "amazon.titan-text-express-v1": {"stop": "FINISH", "length": "LENGTH", "content_filter": "CONTENT_FILTERED"},
    "meta.llama3-8b-instruct-v1:0": {"stop": "stop", "length": "length"},
    "meta.llama2-13b-chat-v1": {"stop": "stop", "length": "length"},
    "mistral.mistral-7b-instruct-v0:2": {"stop": "stop", "length": "length"},
    "cohere.command-text-v14": {"stop": "COMPLETE", "length": "MAX_TOKENS", "content_filter": "ERROR_TOXIC"},
    "cohere.command-r-v1:0": {"stop": "COMPLETE", "length": "MAX_TOKENS", "content_filter": "ERROR_TOXIC"},
    "ai21.j2-ultra-v1": {"stop": "endoftext", "length": "length"},
    "ai21.jamba-1-5-mini-v1:0": {"stop": "stop", "length": "length", "content_filter": "content_filter"},
    "amazon.nova-lite-v1:0": {"stop": "end_turn", "length": "max_tokens", "content_filter": "content_filtered"},
    "anthropic.claude-3-haiku-20240307-v1:0": {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"},
}
UNCOUNTED = ("mistral-7b", "cohere", "j2")
"""Bodies without token counts; AWS sends those in headers, and in the metrics of a stream."""


@st.composite
def answers(draw: st.DrawFn, model: str) -> tuple[Completion, str]:
    stop = draw(st.sampled_from(list(MODELS[model])))
    usage = TokenUsage(draw(st.integers(0, 999)), draw(st.integers(0, 999)))
    return Completion(draw(TEXT), None, None, stop, usage), MODELS[model][stop]  # type: ignore[arg-type]


@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
def test_an_answer_comes_back_in_its_familys_form(model: str, data: st.DataObject) -> None:
    completion, word = data.draw(answers(model))
    invoke = dialect("bedrock_invoke")
    body = invoke.encode_completion(completion, model=model, response_id="r", created=0)
    back = invoke.decode_completion(body)
    assert (back.text, back.finish_reason, back.stop) == (completion.text, word, completion.stop)
    assert back.usage == (None if any(name in model for name in UNCOUNTED) else completion.usage)


@pytest.mark.parametrize("model", [model for model in MODELS if "j2" not in model])
@given(data=st.data())
def test_a_stream_comes_back_in_its_familys_form(model: str, data: st.DataObject) -> None:
    completion, word = data.draw(answers(model))
    invoke, size = dialect("bedrock_invoke"), data.draw(st.integers(1, 9))
    encoder = invoke.encoder(model=model, response_id="r", created=0)
    events = events_of(completion, lambda text: [text[i : i + size] for i in range(0, len(text), size)])
    body = encoder.start() + b"".join(map(encoder.event, events)) + encoder.finish(completion)
    back, error = decode(invoke, cut(body, data.draw(st.lists(st.integers(0, len(body)), max_size=5))))
    assert error is None
    assert (back.text, back.finish_reason, back.stop) == (completion.text, word, completion.stop)
    assert back.usage == completion.usage


@pytest.mark.parametrize("model", MODELS)
def test_a_foreign_answer_gets_the_familys_words(model: str) -> None:
    invoke = dialect("bedrock_invoke")
    for stop in ("stop", "length", "tool_calls", "content_filter", "other"):
        foreign = Completion("Hi", "hm", "whatever", stop, USAGE)  # type: ignore[arg-type]
        back = invoke.decode_completion(invoke.encode_completion(foreign, model=model, response_id="r", created=0))
        assert back.text == "Hi"
        if stop in MODELS[model]:
            assert (back.finish_reason, back.stop) == (MODELS[model][stop], stop)
