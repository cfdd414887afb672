"""What an answer says beside its counts that changes its price: how long a cache is kept, class of service, region."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from providers.dialects import dialect
from providers.dialects.usage import tier_of
from providers.pricing import catalogue
from providers.types import Completion, StreamFinished, TokenUsage

CLAUDE = {
    "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600},
}  # fmt: skip
NOVA = {
    "inputTokens": 10, "outputTokens": 5, "totalTokens": 1015, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 1000,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 600}, {"ttl": "5m", "inputTokens": 400}],
}  # fmt: skip
WRITTEN = TokenUsage(1010, 5, cache_write_tokens=1000, cache_write_1h_tokens=600)


def anthropic(usage: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": "message", "model": "m", "content": [], "stop_reason": "end_turn", "usage": usage})


def converse(usage: dict[str, Any], **beside: Any) -> bytes:
    output = {"message": {"role": "assistant", "content": [{"text": "x"}]}}
    return orjson.dumps({"output": output, "stopReason": "end_turn", "usage": usage, **beside})


def chat(**beside: Any) -> bytes:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return orjson.dumps({"model": "m", "choices": [{"message": {"content": "x"}}], "usage": usage, **beside})


def gemini(**beside: Any) -> bytes:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, **beside}
    candidate = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}
    return orjson.dumps({"candidates": [candidate], "usageMetadata": usage})


def responses(**beside: Any) -> bytes:
    usage = {"input_tokens": 10, "output_tokens": 5}
    return orjson.dumps({"object": "response", "status": "completed", "output": [], "usage": usage, **beside})


PLAIN = TokenUsage(10, 5)
SAID: dict[str, tuple[str, bytes, TokenUsage]] = {
    "anthropic, two times to live": ("anthropic_messages", anthropic(CLAUDE), WRITTEN),
    "anthropic, more kept than written": (
        "anthropic_messages",
        anthropic({**CLAUDE, "cache_creation": {"ephemeral_1h_input_tokens": 5000}}),
        TokenUsage(1010, 5, cache_write_tokens=1000, cache_write_1h_tokens=1000),
    ),
    "anthropic, batch": (
        "anthropic_messages",
        anthropic({"input_tokens": 10, "output_tokens": 5, "service_tier": "batch", "inference_geo": "us"}),
        TokenUsage(10, 5, service_tier="batch", region="us"),
    ),
    "anthropic, fast": (
        "anthropic_messages",
        anthropic({"input_tokens": 10, "output_tokens": 5, "service_tier": "standard", "speed": "fast"}),
        TokenUsage(10, 5, service_tier="fast"),
    ),
    "anthropic, nothing special": (
        "anthropic_messages",
        anthropic(
            {
                "input_tokens": 10, "output_tokens": 5, "service_tier": "standard", "speed": "standard",
                "inference_geo": "global", "cache_creation": None,
            }
        ),
        PLAIN,
    ),
    "anthropic, a model that cannot be bound": (
        "anthropic_messages",
        anthropic({"input_tokens": 10, "output_tokens": 5, "inference_geo": "not_available"}),
        PLAIN,
    ),
    "anthropic, nonsense": (
        "anthropic_messages",
        anthropic(
            {"input_tokens": 10, "output_tokens": 5, "service_tier": 3, "inference_geo": ["us"], "cache_creation": 1}
        ),
        PLAIN,
    ),
    "claude on bedrock": ("bedrock_invoke", anthropic(CLAUDE), WRITTEN),
    "converse, two times to live": ("bedrock_converse", converse(NOVA), WRITTEN),
    "converse, flex": (
        "bedrock_converse",
        converse({"inputTokens": 10, "outputTokens": 5}, serviceTier={"type": "flex"}),
        TokenUsage(10, 5, service_tier="flex"),
    ),
    "converse, default": (
        "bedrock_converse",
        converse({"inputTokens": 10, "outputTokens": 5, "cacheDetails": [3, {}]}, serviceTier={"type": "default"}),
        PLAIN,
    ),
    "chat, priority": ("openai_chat", chat(service_tier="priority"), TokenUsage(10, 5, service_tier="priority")),
    "chat, default": ("openai_chat", chat(service_tier="default"), PLAIN),
    "chat, bought in advance": ("openai_chat", chat(service_tier="scale"), TokenUsage(10, 5, service_tier="scale")),
    "chat, nonsense": ("openai_chat", chat(service_tier={"x": 1}), PLAIN),
    "chat, endless": ("openai_chat", chat(service_tier="x" * 65), PLAIN),
    "responses, flex": ("openai_responses", responses(service_tier="flex"), TokenUsage(10, 5, service_tier="flex")),
    "gemini, flex": ("gemini", gemini(serviceTier="flex"), TokenUsage(10, 5, service_tier="flex")),
    "gemini, standard": ("gemini", gemini(serviceTier="standard"), PLAIN),
    "vertex, on demand": ("gemini", gemini(trafficType="ON_DEMAND"), PLAIN),
    "vertex, priority": (
        "gemini", gemini(trafficType="ON_DEMAND_PRIORITY"), TokenUsage(10, 5, service_tier="priority"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_what_an_answer_says(case: str) -> None:
    name, body, usage = SAID[case]
    assert dialect(name).decode_completion(body).usage == usage


ROUND_TRIPS = {
    "anthropic_messages": [
        WRITTEN, TokenUsage(10, 5, service_tier="batch", region="us"), TokenUsage(10, 5, service_tier="fast"),
    ],
    "bedrock_converse": [WRITTEN, TokenUsage(10, 5, service_tier="priority")],
    "openai_chat": [TokenUsage(10, 5, service_tier="flex")],
    "openai_completions": [TokenUsage(10, 5, service_tier="flex")],
    "openai_responses": [TokenUsage(10, 5, service_tier="flex")],
    "gemini": [TokenUsage(10, 5, service_tier="flex")],
}  # fmt: skip


@pytest.mark.parametrize(("name", "usage"), [(name, usage) for name, usages in ROUND_TRIPS.items() for usage in usages])
def test_what_is_written_is_read_again(name: str, usage: TokenUsage) -> None:
    completion = Completion(text="x", finish_reason="stop", usage=usage)
    body = dialect(name).encode_completion(completion, model="m", response_id="r", created=0)
    assert dialect(name).decode_completion(body).usage == usage
    encoder = dialect(name).encoder(model="m", response_id="r", created=0)
    decoder = dialect(name).decoder()
    events = [*decoder.feed(encoder.start() + encoder.finish(completion)), *decoder.close()]
    finished = next(event for event in events if isinstance(event, StreamFinished))
    assert finished.completion.usage == usage


def test_a_stream_keeps_what_only_its_beginning_says() -> None:
    beginning = {**CLAUDE, "service_tier": "batch", "inference_geo": "us"}
    events = [
        {"type": "message_start", "message": {"model": "m", "usage": beginning}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    finished = dialect("anthropic_messages").decoder().feed(b"".join(b"data: %b\n\n" % orjson.dumps(e) for e in events))
    usage = finished[-1].completion.usage  # type: ignore[union-attr]
    assert usage == TokenUsage(
        1010, 7, cache_write_tokens=1000, cache_write_1h_tokens=600, service_tier="batch", region="us"
    )


@pytest.mark.parametrize(
    ("sent", "tier"),
    [
        (None, None), ("", None), ("auto", None), ("STANDARD", None), ("TRAFFIC_TYPE_UNSPECIFIED", None),
        ("batch", "batch"), ("FLEX", "flex"), ("ON_DEMAND_FLEX", "flex"), ("reserved", "reserved"),
        ("PROVISIONED_THROUGHPUT", "provisioned_throughput"),
    ],
)  # fmt: skip
def test_words_for_classes_of_service(sent: str | None, tier: str | None) -> None:
    assert tier_of(sent) == tier


@pytest.mark.parametrize(
    ("provider", "model", "case", "total"),
    [
        # 10 plain at 3, 400 for five minutes at 3.75, 600 for an hour at 6, 5 of answer at 15 a million.
        ("anthropic", "claude-sonnet-4-5", "anthropic, two times to live", "0.005205"),
        # The same at 1.1 times the list price, which bedrock's regional profiles cost.
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "converse, two times to live", "0.0057255"),
        # Half of 5 and 25 a million, and a tenth more for the region.
        ("anthropic", "claude-opus-5", "anthropic, batch", "0.00009625"),
        ("openai", "gpt-5", "chat, priority", "0.000125"),
        ("openai", "gpt-5", "chat, default", "0.0000625"),
        ("openai", "gpt-5", "chat, bought in advance", None),
        ("bedrock", "amazon.nova-lite-v1:0", "converse, flex", None),
    ],
)
def test_what_is_said_is_priced(provider: str, model: str, case: str, total: str | None) -> None:
    name, body, _ = SAID[case]
    usage = dialect(name).decode_completion(body).usage
    assert usage is not None
    price = catalogue().price(provider, model, usage)
    assert (None if price is None else price.total) == (None if total is None else Decimal(total))
