"""How streams begin, break and end."""

from __future__ import annotations

import orjson
import pytest

from providers import errors
from providers.dialects import dialect
from providers.types import (
    Completion,
    ReasoningDelta,
    StreamFinished,
    StreamStarted,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
    UsageReported,
)
from tests.providers.dialects.recorded import decode, drain

SSE_NAMES = ["openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "gemini"]
LINED = [*SSE_NAMES, "ollama", "ollama_generate"]
NAMES = [*LINED, "gemini_array", "bedrock_converse", "bedrock_invoke"]


def written(name: str, *deltas: str, finish: bool = True) -> bytes:
    encoder = dialect(name).encoder(model="m", response_id="r", created=0)
    body = encoder.start() + b"".join(encoder.event(TextDelta(delta)) for delta in deltas)
    completion = Completion("".join(deltas), finish_reason=None, stop="stop", usage=TokenUsage(3, 2))
    return body + (encoder.finish(completion) if finish else b"")


def chunk(delta: object = None, finish: str | None = None, **fields: object) -> bytes:
    body = {
        "id": "c1",
        "model": "m",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}],
        **fields,
    }
    return b"data: " + orjson.dumps(body) + b"\n\n"


@pytest.mark.parametrize("name", NAMES)
def test_events_come_in_order_and_the_finish_comes_once(name: str) -> None:
    decoder = dialect(name).decoder()
    events = decoder.feed(written(name, "Hel", "lo"))
    assert isinstance(events[0], StreamStarted)
    assert events[0].model == (None if name == "bedrock_converse" else "m")
    assert [e.text for e in events if isinstance(e, TextDelta) and e.text] == ["Hel", "lo"]
    assert isinstance(events[-2], UsageReported)
    assert isinstance(events[-1], StreamFinished)
    assert events[-1].completion.text == "Hello"
    assert decoder.finished
    assert decoder.feed(written(name, "more")) == []
    assert decoder.feed(b"\xff nonsense") == []
    assert decoder.close() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_without_a_finish_is_an_interruption_with_its_text(name: str) -> None:
    for body in (written(name, "Hel", "lo", finish=False), b""):
        events, error = drain(dialect(name).decoder(), [body])
        assert isinstance(error, errors.StreamInterruptedError)
        assert error.partial_text == "".join(e.text for e in events if isinstance(e, TextDelta))


@pytest.mark.parametrize(
    ("name", "sentinel"), [("openai_chat", b"data: [DONE]\n\n"), ("anthropic_messages", b"event: message_stop")]
)
def test_a_complete_stream_that_lacks_its_sentinel_finishes(name: str, sentinel: bytes) -> None:
    body = written(name, "Hello")
    assert sentinel in body
    completion, error = decode(dialect(name), [body[: body.index(sentinel)]])
    assert error is None
    assert (completion.text, completion.stop) == ("Hello", "stop")


def test_openai_finishes_at_once_after_its_usage_even_if_the_sentinel_never_comes() -> None:
    body = written("openai_chat", "Hello")
    decoder = dialect("openai_chat").decoder()
    assert isinstance(decoder.feed(body[: body.index(b"data: [DONE]")])[-1], StreamFinished)
    assert decoder.finished


def test_a_sentinel_without_a_finish_reason_is_no_clean_end() -> None:
    for name, sentinel in (
        ("openai_chat", b"data: [DONE]\n\n"),
        ("anthropic_messages", b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
    ):
        _, error = decode(dialect(name), [written(name, "Hello", finish=False) + sentinel])
        assert isinstance(error, errors.StreamInterruptedError)
        assert error.partial_text == "Hello"


NONSENSE = [b"{not json", b"[1, 2]", b'"text"', b"7", b"null", b"\xff\xfe", b"{}}"]


@pytest.mark.parametrize(
    ("name", "nonsense"),
    [
        *((name, nonsense) for name in LINED for nonsense in NONSENSE),
        ("openai_chat", b'{"choices":5}'),
        ("openai_chat", b'{"choices":["x"]}'),
        ("openai_chat", b'{"choices":[{"delta":{"content":7}}]}'),
        ("openai_chat", b'{"choices":[{"delta":{"tool_calls":[7]}}]}'),
        ("anthropic_messages", b'{"type":"content_block_delta","index":0}'),
        ("anthropic_messages", b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":7}}'),
        ("anthropic_messages", b'{"type":"message_start"}'),
        ("gemini", b'{"candidates":7}'),
        ("gemini", b'{"candidates":[{"content":{"parts":[{"text":7}]}}]}'),
        ("gemini", b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":7}}]}}]}'),
        ("gemini", b'{"candidates":[{"finishReason":{}}]}'),
        ("gemini", b'{"usageMetadata":7}'),
        ("ollama", b'{"message":7}'),
        ("ollama", b'{"message":{"content":7}}'),
    ],
)
def test_an_event_that_cannot_be_read_is_malformed_and_loses_nothing_before_it(name: str, nonsense: bytes) -> None:
    line = nonsense + b"\n" if name.startswith("ollama") else b"data: " + nonsense + b"\n\n"
    decoder = dialect(name).decoder()
    events = decoder.feed(written(name, "Hel", "lo", finish=False) + line + written(name, "more"))
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Hello"
    assert type(decoder.failure) is errors.MalformedResponseError
    assert not decoder.finished
    with pytest.raises(errors.MalformedResponseError):
        decoder.feed(b"x")
    with pytest.raises(errors.MalformedResponseError):
        decoder.close()


def test_a_character_may_be_cut_anywhere() -> None:
    for name in NAMES:
        body = written(name, "žluťoučký 🐎")
        for place in range(1, len(body)):
            completion, _ = decode(dialect(name), [body[:place], body[place:]])
            assert completion.text == "žluťoučký 🐎"


# --- errors inside a 200 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "event", "cls"),
    [
        (
            "openai_chat",
            b'data: {"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded"}}\n\n',
            errors.RateLimitError,
        ),
        (
            "openai_chat",
            b'event: error\ndata: {"error":{"message":"x","status_code":503}}\n\n',
            errors.ServiceUnavailableError,
        ),
        ("openai_chat", b"event: error\ndata: upstream died\n\n", errors.ServiceUnavailableError),
        (
            "openai_chat",
            b'data: {"error":{"code":502,"message":"down"},"choices":[]}\n\n',
            errors.ServiceUnavailableError,
        ),
        (
            "openai_chat",
            b'data: {"object":"error","message":"x","type":"BadRequestError","code":400}\n\n',
            errors.InvalidRequestError,
        ),
        (
            "openai_chat",
            b'data: {"error":{"message":"no","code":"insufficient_quota"}}\n\n',
            errors.QuotaExhaustedError,
        ),
        (
            "anthropic_messages",
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
            errors.ServiceUnavailableError,
        ),
        (
            "anthropic_messages",
            b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"slow"}}\n\n',
            errors.RateLimitError,
        ),
        (
            "gemini",
            b'data: {"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}\r\n\r\n',
            errors.ServiceUnavailableError,
        ),
        (
            "gemini",
            b'data: {"error":{"code":429,"message":"Slow down.","status":"RESOURCE_EXHAUSTED"}}\r\n\r\n',
            errors.RateLimitError,
        ),
        ("gemini", b'data: {"promptFeedback":{"blockReason":"SAFETY"}}\r\n\r\n', errors.ContentFilterError),
        ("ollama", b'{"error":"an error was encountered while running the model"}\n', errors.ServiceUnavailableError),
        ("ollama", b'{"error":"too much","status":429}\n', errors.RateLimitError),
        ("ollama", b'{"error":"model \'x\' not found"}\n', errors.ModelNotFoundError),
    ],
)
@pytest.mark.parametrize("deltas", [(), ("Hel", "lo")])
def test_an_error_event_raises_its_class_first_or_in_the_middle(
    name: str, event: bytes, cls: type[errors.ProviderError], deltas: tuple[str, ...]
) -> None:
    before = written(name, *deltas, finish=False) if deltas else b""
    events, error = drain(dialect(name).decoder(), [before + event])
    assert type(error) is cls
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "".join(deltas)


def test_tokens_that_a_broken_stream_reported_are_kept_as_billed() -> None:
    body = (
        b'data: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n'
    )
    _, error = drain(dialect("anthropic_messages").decoder(), [body])
    assert error is not None
    assert error.model == "m"
    assert error.billed == TokenUsage(9, 1)


@pytest.mark.parametrize("name", SSE_NAMES)
def test_a_plain_json_error_in_place_of_a_stream_is_that_error(name: str) -> None:
    body = b'{"error":{"type":"authentication_error","message":"no"}}'
    for pieces in ([body], [body[:9], body[9:]], [body + b"\n\n"]):
        _, error = drain(dialect(name).decoder(), pieces)
        assert type(error) is errors.AuthenticationError


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_ignores_streaming_is_understood(name: str) -> None:
    said = Completion("Hello", finish_reason=None, stop="stop", usage=TokenUsage(3, 2))
    body = dialect(name).encode_completion(said, model="m", response_id="r", created=0)
    completion, error = decode(dialect(name), [body])
    assert error is None
    assert (completion.text, completion.usage) == ("Hello", TokenUsage(3, 2))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "page", [b"<html><title>502 Bad Gateway</title></html>", b"upstream connect error\n", b"<!doctype html>"]
)
def test_a_proxys_page_in_place_of_a_stream_is_malformed(name: str, page: bytes) -> None:
    for pieces in ([page], [page + b"\n\n"]):
        _, error = drain(dialect(name).decoder(), pieces)
        assert type(error) is errors.MalformedResponseError


# --- OpenAI's kin ---------------------------------------------------------------------------------------------------


def test_usage_in_every_chunk_keeps_the_last() -> None:
    body = chunk({"content": "a"}, usage={"prompt_tokens": 4, "completion_tokens": 1})
    body += chunk({"content": "b"}, "stop", usage={"prompt_tokens": 4, "completion_tokens": 2}) + b"data: [DONE]\n\n"
    completion, _ = decode(dialect("openai_chat"), [body])
    assert completion.usage == TokenUsage(4, 2)


def test_groqs_usage_is_found_under_its_own_name() -> None:
    body = chunk({"content": "a"}) + chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 4, "completion_tokens": 1}})
    completion, error = decode(dialect("openai_chat"), [body])
    assert error is None
    assert completion.usage == TokenUsage(4, 1)


def test_other_choices_are_not_mixed_in() -> None:
    body = chunk({"content": "a"}) + chunk({"content": "b"}).replace(b'"index":0', b'"index":1') + chunk({}, "stop")
    completion, _ = decode(dialect("openai_chat"), [body])
    assert completion.text == "a"


def test_text_after_the_finish_reason_is_ignored() -> None:
    completion, _ = decode(
        dialect("openai_chat"), [chunk({"content": "a"}) + chunk({}, "stop") + chunk({"content": "b"})]
    )
    assert completion.text == "a"


def test_white_space_around_the_data_means_nothing() -> None:
    body = (chunk({"content": "a"}) + chunk({}, "stop") + b"data: [DONE] \n\n").replace(b"data: ", b"data: \t ")
    decoder = dialect("openai_chat").decoder()
    finished = decoder.feed(body)[-1]
    assert isinstance(finished, StreamFinished)
    assert finished.completion.text == "a"


def test_a_finish_reason_that_says_error_is_one() -> None:
    _, error = drain(dialect("openai_chat").decoder(), [chunk({"content": "a"}) + chunk({}, "error")])
    assert type(error) is errors.ServiceUnavailableError


def tool_chunk(**call: object) -> bytes:
    return chunk({"tool_calls": [call]})


def test_tool_calls_without_an_index_or_with_one_index_for_all_stay_apart() -> None:
    whole = [
        {"id": "a", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "function": {"name": "f", "arguments": '{"x":2}'}},
    ]
    expected = [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "f", '{"x":2}')]
    for extra in ({}, {"index": 0}):
        body = b"".join(tool_chunk(**call, **extra) for call in whole) + chunk({}, "tool_calls")
        events, _ = drain(dialect("openai_chat").decoder(), [body])
        finished = events[-1]
        assert isinstance(finished, StreamFinished)
        assert finished.completion.tool_calls == expected
        assert [e.index for e in events if isinstance(e, ToolCallDelta)] == [0, 1]


def test_an_id_repeated_in_every_piece_is_still_one_call() -> None:
    pieces = [tool_chunk(index=0, id="a", function={"name": "f", "arguments": text}) for text in ('{"x"', ":1}")]
    completion, _ = decode(dialect("openai_chat"), [*pieces, chunk({}, "tool_calls")])
    assert completion.tool_calls == [ToolCall("a", "f", '{"x":1}')]


def test_a_call_without_an_id_gets_a_steady_one() -> None:
    body = tool_chunk(index=0, function={"name": "f", "arguments": "{}"}) + chunk({}, "stop")
    first, _ = decode(dialect("openai_chat"), [body])
    again, _ = decode(dialect("openai_chat"), [body])
    assert first.tool_calls == again.tool_calls
    assert first.tool_calls[0].id.startswith("call_")
    assert first.stop == "tool_calls"


# --- Anthropic ------------------------------------------------------------------------------------------------------


def anthropic(*events: dict[str, object]) -> list[bytes]:
    return [b"event: %s\ndata: %s\n\n" % (str(e["type"]).encode(), orjson.dumps(e)) for e in events]


def test_anthropics_blocks_of_every_kind() -> None:
    pieces = anthropic(
        {
            "type": "message_start",
            "message": {"id": "m1", "model": "claude", "usage": {"input_tokens": 5, "output_tokens": 1}},
        },
        {"type": "ping"},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "an_event_of_next_year"},
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        },
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
        {"type": "content_block_stop", "index": 2},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    )
    events, error = drain(dialect("anthropic_messages").decoder(), pieces)
    assert error is None
    finished = events[-1]
    assert isinstance(finished, StreamFinished)
    answer = finished.completion
    assert (answer.reasoning_text, answer.text) == ("hm", "Hi")
    assert answer.tool_calls == [ToolCall("t", "f", "{}")]
    assert answer.usage == TokenUsage(5, 20)
    assert answer.metadata["thinking_blocks"] == [{"type": "thinking", "thinking": "hm", "signature": "sig"}]
    assert [e.text for e in events if isinstance(e, (ReasoningDelta, TextDelta)) and e.text] == ["hm", "Hi"]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("refusal", "content_filter"),
        ("max_tokens", "length"),
        ("pause_turn", "other"),
        ("stop_sequence", "stop"),
        ("new", "other"),
    ],
)
def test_anthropics_stop_reasons(reason: str, stop: str) -> None:
    pieces = anthropic(
        {"type": "message_start", "message": {"model": "claude"}},
        {"type": "message_delta", "delta": {"stop_reason": reason}},
        {"type": "message_stop"},
    )
    completion, _ = decode(dialect("anthropic_messages"), pieces)
    assert (completion.finish_reason, completion.stop) == (reason, stop)


# --- Ollama ---------------------------------------------------------------------------------------------------------


def test_an_old_ollama_without_a_reason_ends_cleanly_all_the_same() -> None:
    body = b'{"model":"m","response":"Hi","done":false}\n{"model":"m","response":"","done":true,"eval_count":2}'
    completion, error = decode(dialect("ollama"), [body])
    assert error is None
    assert (completion.text, completion.finish_reason, completion.stop) == ("Hi", None, "stop")
