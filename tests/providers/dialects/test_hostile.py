"""What a server could send to break this program later, or to wear it out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from providers.dialects import dialect, sse
from providers.errors import InvalidRequestError, MalformedResponseError, StreamInterruptedError
from providers.types import Completion, StreamFinished
from tests.providers.dialects.recorded import drain

WRITERS = [
    "openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "bedrock_converse", "bedrock_invoke",
    "gemini", "gemini_array", "ollama", "ollama_generate",
]  # fmt: skip


def event(body: dict[str, Any]) -> bytes:
    name = b"event: %s\n" % str(body["type"]).encode() if "type" in body else b""
    return name + b"data: " + orjson.dumps(body) + b"\n\n"


def chat(delta: object, finish: str | None = None) -> bytes:
    return event({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def claude(*events: dict[str, Any]) -> bytes:
    begin = {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 1}}}
    end = [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]
    return b"".join(map(event, [begin, *events, *end]))


def block(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": {"type": kind, **fields}}


def delta(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **fields}}


def responses(*events: dict[str, Any]) -> bytes:
    begin = {"type": "response.created", "response": {"id": "r", "model": "m"}}
    end = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    return b"".join(map(event, [begin, *events, end]))


def finished(name: str, body: bytes) -> Completion:
    events, error = drain(dialect(name).decoder(), [body])
    assert error is None
    assert isinstance(events[-1], StreamFinished)
    return events[-1].completion


# --- what would break only later ------------------------------------------------------------------------------------

THINKING = block("thinking", thinking="", signature="")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic_messages", claude(block("tool_use", id="t", name=7, input={}))),
        (
            "anthropic_messages",
            claude(block("tool_use", id="t", name="f"), delta("input_json_delta", partial_json={"a": 1})),
        ),
        ("anthropic_messages", claude(THINKING, delta("signature_delta", signature=7))),
        (
            "anthropic_messages",
            claude(block("thinking", thinking="", signature=["s"]), delta("signature_delta", signature="s")),
        ),
        (
            "openai_chat",
            chat({"tool_calls": [{"index": 0, "function": {"name": 7, "arguments": "{}"}}]}) + chat({}, "stop"),
        ),
        ("openai_chat", chat({"refusal": ["no"]}) + chat({}, "stop")),
        ("openai_responses", responses({"type": "response.refusal.delta", "delta": ["no"]})),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["at once", "at the end"])
def test_a_piece_that_is_no_text_is_malformed_where_it_stands(name: str, body: bytes, whole: bool) -> None:
    if not whole:
        # The last event's blank line is missing, so that all is read when the bytes end.
        body = body.removesuffix(b"\n\n")
    events, error = drain(dialect(name).decoder(), [body])
    assert isinstance(error, (MalformedResponseError, StreamInterruptedError))
    assert not any(isinstance(one, StreamFinished) for one in events)


@pytest.mark.parametrize("count", [2**53, 2**63, 2**64 - 1])
def test_what_is_no_count_is_not_counted(count: int) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": count, "prompt_tokens_details": {"cached_tokens": count}}
    body = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    answer = dialect("openai_chat").decode_completion(orjson.dumps(body))
    assert answer.usage is None
    for name in WRITERS:
        assert dialect(name).encode_completion(answer, model="m", response_id="r", created=0)


@pytest.mark.parametrize("notes", [7, "x", ["x"], [{"type": 7}], [{"url_citation": {}}], {"a": 1}])
def test_notes_of_a_foreign_shape_are_no_notes(notes: object) -> None:
    message = {"content": "x", "annotations": notes}
    body = orjson.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})
    try:
        answer = dialect("openai_chat").decode_completion(body)
    except MalformedResponseError:
        return
    for name in WRITERS:
        assert dialect(name).encode_completion(answer, model="m", response_id="r", created=0)


@pytest.mark.parametrize("kind", [7, ["auto"], {}])
def test_a_choice_of_tools_that_is_no_word_is_refused(kind: object) -> None:
    body = {"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], "tool_choice": {"type": kind}}
    with pytest.raises(InvalidRequestError, match="tool_choice"):
        dialect("anthropic_messages").decode_request(orjson.dumps(body))


@pytest.mark.parametrize(
    "kind", ["response.output_text.sung", "response.function_call_arguments.doubted", "response.output_item.moved"]
)
def test_events_of_next_year_about_things_of_today_are_passed_over(kind: str) -> None:
    text = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"}
    assert finished("openai_responses", responses(text, {"type": kind, "output_index": 0})).text == "Hi"


# --- what would take ever longer ------------------------------------------------------------------------------------

MANY = 20_000
SECONDS = 3.0
"""Of the processor's time. Such a stream takes a tenth of it; where each piece looks through all before it, twice."""


def calls_without_numbers() -> Iterable[bytes]:
    for number in range(MANY):
        yield chat({"tool_calls": [{"id": f"c{number}", "function": {"name": "f", "arguments": "{}"}}]})


def signed_parts() -> Iterable[bytes]:
    call = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s"}
    for part in (call, {"text": "x", "thoughtSignature": "s"}):
        for _ in range(MANY):
            yield event({"candidates": [{"content": {"parts": [part]}, "index": 0}]})


@pytest.mark.parametrize(
    ("name", "pieces"), [("openai_chat", calls_without_numbers), ("gemini", signed_parts)], ids=["calls", "signatures"]
)
def test_ten_thousand_pieces_are_read_in_the_time_that_each_takes(name: str, pieces: Any) -> None:
    body = [*pieces()]
    decoder = dialect(name).decoder()
    began = time.process_time()
    for piece in body:
        decoder.feed(piece)
    assert time.process_time() - began < SECONDS


def test_long_texts_beside_the_answer_are_whole() -> None:
    pieces = [f"{number:05} " for number in range(2000)]
    thinking = claude(
        THINKING,
        *(delta("thinking_delta", thinking=piece) for piece in pieces),
        *(delta("signature_delta", signature=piece) for piece in pieces[:2]),
    )
    answer = finished("anthropic_messages", thinking)
    signed = {"type": "thinking", "thinking": "".join(pieces), "signature": "".join(pieces[:2])}
    assert answer.metadata["thinking_blocks"] == [signed]
    refusal = b"".join(chat({"refusal": piece}) for piece in pieces) + chat({}, "stop") + b"data: [DONE]\n\n"
    assert finished("openai_chat", refusal).metadata["refusal"] == "".join(pieces)


def test_endless_text_that_is_no_event_stream_is_refused_and_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_PIECE", 500)
    decoder = dialect("openai_chat").decoder()
    with pytest.raises(MalformedResponseError, match="not an event stream"):
        for _ in range(100):
            decoder.feed(b"foo bar\n\n")
