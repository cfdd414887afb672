"""What Converse's answers mean, whole and streamed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from providers.dialects import dialect
from providers.dialects.bedrock import write_event
from providers.errors import StreamInterruptedError
from providers.types import Completion, RawUsage, StreamFinished, TokenUsage, ToolCall
from tests.providers.dialects.recorded import decode


def converse(content: list[dict[str, Any]], **fields: Any) -> Completion:
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn", **fields}
    return dialect("bedrock_converse").decode_completion(orjson.dumps(body))


THINKING = [
    {"type": "thinking", "thinking": "hm", "signature": "s"},
    {"type": "redacted_thinking", "data": "eA=="},
    {"type": "thinking", "thinking": ", yes"},
]
BLOCKS: list[dict[str, Any]] = [
    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
    {"reasoningContent": {"redactedContent": "eA=="}},
    {"reasoningContent": {"reasoningText": {"text": ", yes"}}},
]


def test_reasoning_keeps_its_signatures() -> None:
    completion = converse([*BLOCKS, {"text": "Hi"}])
    assert (completion.reasoning_text, completion.text) == ("hm, yes", "Hi")
    assert completion.metadata["thinking_blocks"] == THINKING
    written = dialect("bedrock_converse").encode_completion(completion, model="m", response_id="r", created=0)
    assert orjson.loads(written)["output"]["message"]["content"] == [*BLOCKS, {"text": "Hi"}]


def test_tools_that_aws_runs_are_no_calls_and_cited_text_is_text() -> None:
    completion = converse(
        [
            {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}},
            {"toolResult": {"toolUseId": "s", "content": []}},
            {"citationsContent": {"content": [{"text": "As "}, {"text": "said."}], "citations": [{"title": "t"}]}},
            {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": [1]}}},
        ]
    )
    assert completion.text == "As said."
    assert completion.tool_calls == [ToolCall("a", "f", '{"x":[1]}')]


def test_what_comes_beside_an_answer_is_kept() -> None:
    trace = {"guardrail": {"actionReason": "No action."}}
    completion = converse([{"text": "Hi"}], metrics={"latencyMs": 7}, trace=trace)
    assert completion.metadata == {"vendor_latency_ms": 7, "trace": trace}
    converse_ = dialect("bedrock_converse")
    whole = orjson.loads(converse_.encode_completion(completion, model="m", response_id="r", created=0))
    assert (whole["metrics"], whole["trace"]) == ({"latencyMs": 7}, trace)
    encoder = converse_.encoder(model="m", response_id="r", created=0)
    back, _ = decode(converse_, [encoder.start() + encoder.finish(completion)])
    assert back.metadata == completion.metadata


@pytest.mark.parametrize(
    ("usage", "raw", "normalised"),
    [
        (
            {"inputTokens": 3, "outputTokens": 9, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 20},
            RawUsage(3, 9, 100, 20),
            TokenUsage(123, 9, 132, 100, 20),
        ),
        (
            {"inputTokens": 3, "outputTokens": 9, "cacheReadInputTokenCount": 5, "cacheWriteInputTokenCount": 0},
            RawUsage(3, 9, 5, 0),
            TokenUsage(8, 9, 17, 5),
        ),
        ({}, RawUsage(), None),
    ],
)
def test_converse_counts_the_cache_outside(usage: Any, raw: RawUsage, normalised: TokenUsage | None) -> None:
    completion = converse([], usage=usage)
    assert (completion.raw_usage, completion.usage) == (raw, normalised)


def frames(*events: tuple[str, dict[str, Any]]) -> bytes:
    return b"".join(write_event(name, body) for name, body in events)


def delta(index: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": fields}


START = ("messageStart", {"role": "assistant"})
STOP = ("messageStop", {"stopReason": "end_turn"})
METADATA = ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}})


def test_a_converse_stream_ends_with_its_usage_and_not_before() -> None:
    decoder = dialect("bedrock_converse").decoder()
    decoder.feed(frames(START, delta(0, text="Hi"), ("contentBlockStop", {"contentBlockIndex": 0}), STOP))
    assert not decoder.finished
    last = decoder.feed(frames(METADATA))[-1]
    assert isinstance(last, StreamFinished)
    assert decoder.finished
    assert (last.completion.text, last.completion.usage) == ("Hi", TokenUsage(3, 2))
    # The other way round, and with what is newer than this code.
    completion, error = decode(dialect("bedrock_converse"), [frames(START, METADATA, ("newEvent", {}), STOP)])
    assert (error, completion.usage) == (None, TokenUsage(3, 2))


def test_a_converse_stream_that_lacks_only_its_usage_is_complete() -> None:
    completion, error = decode(dialect("bedrock_converse"), [frames(START, delta(0, text="Hi"), STOP)])
    assert (error, completion.text, completion.finish_reason, completion.usage) == (None, "Hi", "end_turn", None)
    _, error = decode(dialect("bedrock_converse"), [frames(START, delta(0, text="Hi"), METADATA)])
    assert isinstance(error, StreamInterruptedError)
    assert (error.partial_text, error.billed) == ("Hi", TokenUsage(3, 2))


def test_streamed_reasoning_keeps_its_signatures_and_calls_their_pieces() -> None:
    use = {"toolUseId": "a", "name": "f"}
    own = {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}
    body = frames(
        START,
        delta(0, reasoningContent={"text": "h"}),
        delta(0, reasoningContent={"text": "m"}),
        delta(0, reasoningContent={"signature": "s"}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        delta(1, reasoningContent={"redactedContent": "eA=="}),
        delta(2, reasoningContent={"text": ", yes"}),
        ("contentBlockStart", {"contentBlockIndex": 3, "start": {"toolUse": use}}),
        delta(3, toolUse={"input": '{"x"'}),
        delta(3, toolUse={"input": ":1}"}),
        ("contentBlockStop", {"contentBlockIndex": 3}),
        ("contentBlockStart", {"contentBlockIndex": 4, "start": {"toolUse": own}}),
        delta(4, toolUse={"input": '{"query":"x"}'}),
        ("contentBlockStart", {"contentBlockIndex": 5, "start": {"toolUse": {**use, "toolUseId": "b"}}}),
        ("contentBlockStop", {"contentBlockIndex": 5}),
        delta(6, citation={"title": "t"}),
        ("messageStop", {"stopReason": "tool_use"}),
        METADATA,
    )
    completion, error = decode(dialect("bedrock_converse"), [body])
    assert error is None
    assert completion.reasoning_text == "hm, yes"
    assert completion.metadata["thinking_blocks"] == THINKING
    assert completion.tool_calls == [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "f", "{}")]
