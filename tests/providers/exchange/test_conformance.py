"""Every recording through the real provider: what `fixtures replay` prints and `fixtures verify` compares."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random

import orjson
import pytest

from providers.dialects import API_DIALECTS
from providers.errors import FixtureError
from providers.exchange import Chunk, Exchange, FixtureLibrary, RecordedRequest, RecordedResponse
from providers.vendors.conformance import Split, compare, provider_of, replay
from tests.shared_material import needs_wire, wire_dir


def bytewise(body: bytes) -> Iterable[bytes]:
    return (bytes([b]) for b in body)


def ragged(body: bytes) -> Iterable[bytes]:
    draws = Random(7)
    place = 0
    while place < len(body):
        step = draws.randint(1, 300)
        yield body[place : place + step]
        place += step


def recordings() -> list[Exchange]:
    folder = wire_dir()
    if folder is None:
        return []
    library = FixtureLibrary([folder])
    found = [library.exchange(name) for provider in library.providers() for name in library.cases(provider)]
    return [exchange for exchange in found if exchange.api in API_DIALECTS]


@needs_wire
@pytest.mark.parametrize("exchange", recordings(), ids=lambda exchange: exchange.name)
async def test_a_recording_means_the_same_to_the_provider_however_it_is_cut(exchange: Exchange) -> None:
    cuts: list[Split | None] = [None, bytewise, ragged]
    rows = [await replay(exchange, split=cut) for cut in cuts]
    assert compare(rows[0], exchange.expected) == []
    assert rows[1] == rows[2] == rows[0]
    row = rows[0]
    assert row["file"] == exchange.name
    assert row["ok"] is (exchange.expected["error_message"] is None)
    assert (row["error_class"] is None) is row["ok"]
    if exchange.expected["stream_events"] and row["text"]:
        assert 1 <= row["deltas"] <= exchange.expected["stream_events"]


@needs_wire
def test_every_vendor_is_spoken_to_by_its_own_class() -> None:
    classes = {(exchange.provider, exchange.api): provider_of(exchange).kind for exchange in recordings()}
    assert classes == {
        ("anthropic", "messages"): "anthropic",
        ("azure_openai", "chat.completions"): "azure_openai",
        ("azure_openai", "responses"): "azure_openai",
        ("bedrock", "converse"): "bedrock",
        ("bedrock", "converse-stream"): "bedrock",
        ("bedrock", "invoke"): "bedrock",
        ("bedrock", "invoke-stream"): "bedrock",
        ("deepseek", "chat.completions"): "deepseek",
        ("deepseek", "responses"): "deepseek",
        ("gemini", "chat.completions"): "openai",
        ("gemini", "generateContent"): "gemini",
        ("gemini", "streamGenerateContent"): "gemini",
        ("groq", "chat.completions"): "openai",
        ("ollama", "chat"): "ollama",
        ("ollama", "chat.completions"): "openai",
        ("ollama", "generate"): "ollama",
        ("openai", "chat.completions"): "openai",
        ("openai", "completions"): "openai",
        ("openai", "responses"): "openai",
        ("openrouter", "chat.completions"): "openai",
        ("vertex", "generateContent"): "gemini",
        ("vertex", "streamGenerateContent"): "gemini",
        ("vllm", "chat.completions"): "vllm",
        ("vllm", "completions"): "vllm",
    }


def test_an_api_that_its_vendor_does_not_offer_goes_through_openais_class() -> None:
    exchange = Exchange("deepseek", "completions", RecordedRequest(), None)
    assert provider_of(exchange).kind == "openai"


def made(
    body: bytes, *, status: int = 200, stream: bool = False, kind: str = "application/json", **fields: object
) -> Exchange:
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    return Exchange(
        "openai",
        "chat.completions",
        RecordedRequest(path="/v1/chat/completions", body=asked),
        RecordedResponse(status, {"content-type": kind}, (Chunk(0, body),)),
        name="openai/case.json",
        **fields,  # type: ignore[arg-type]
    )


ANSWER = orjson.dumps(
    {
        "id": "c",
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
)


async def test_the_row_of_an_answer() -> None:
    assert await replay(made(ANSWER), file="some/where.json") == {
        "file": "some/where.json",
        "ok": True,
        "text": "Hello",
        "reasoning_text": None,
        "finish_reason": "stop",
        "stop": "stop",
        "input_tokens": 3,
        "output_tokens": 2,
        "cached_input_tokens": None,
        "cache_write_tokens": None,
        "reasoning_tokens": None,
        "usage": {
            "input_tokens": 3,
            "output_tokens": 2,
            "total_tokens": 5,
            "cached_input_tokens": 0,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
            "estimated": False,
        },
        "tool_calls": [],
        "model": "gpt-4o",
        "error_type": None,
        "error_code": None,
        "error_class": None,
        "error_message": None,
        "retryable": None,
        "retry_after": None,
        "deltas": 0,
    }


async def test_the_row_of_an_error() -> None:
    body = b'{"error":{"message":"Slow down","type":"requests","code":"rate_limit_exceeded"}}'
    exchange = made(body, status=429)
    assert exchange.response is not None
    exchange.response.headers["retry-after"] = "7"
    row = await replay(exchange)
    facts = {
        k: row[k]
        for k in ("ok", "text", "stop", "error_type", "error_class", "error_message", "retryable", "retry_after")
    }
    assert facts == {
        "ok": False,
        "text": None,
        "stop": None,
        "error_type": "requests",
        "error_class": "RateLimitError",
        "error_message": "Slow down",
        "retryable": True,
        "retry_after": 7.0,
    }


async def test_a_stream_that_was_cut_gives_what_had_come() -> None:
    chunk = b'data: {"id":"c","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
    row = await replay(made(chunk, stream=True, kind="text/event-stream"))
    assert (row["ok"], row["text"], row["error_class"], row["deltas"]) == (False, "Hel", "StreamInterruptedError", 1)
    row = await replay(made(chunk, stream=True, kind="text/event-stream", error="connection_reset"))
    assert (row["text"], row["error_class"]) == ("Hel", "ConnectionFailedError")


async def test_no_answer_at_all() -> None:
    exchange = made(b"", error="timeout")
    exchange.response = None
    assert (await replay(exchange))["error_class"] == "ProviderTimeoutError"


async def test_a_request_that_cannot_be_read_still_replays_its_answer() -> None:
    exchange = made(b'{"error":{"message":"no messages","type":"invalid_request_error"}}', status=400)
    exchange.request.body = None
    assert (await replay(exchange))["error_class"] == "InvalidRequestError"


async def test_every_difference_is_told() -> None:
    row = await replay(made(ANSWER))
    assert compare(row, {"text": "Hello", "input_tokens": 3, "error_message": None}) == []
    assert compare(row, {}) == []
    assert compare(row, {"text": "Bye", "output_tokens": 9}) == [
        'text is "Hello", expected "Bye"',
        "output_tokens is 2, expected 9",
    ]
    failed = await replay(made(b"<html>"))
    assert compare(failed, {"text": None, "error_message": None})[0].startswith("it failed with MalformedResponseError")


def test_an_api_that_no_provider_speaks_is_named() -> None:
    exchange = made(b"")
    exchange.api = "embeddings"
    with pytest.raises(
        FixtureError, match=r"openai/case\.json: api is 'embeddings'; this version reads chat.completions"
    ):
        provider_of(exchange)


@needs_wire
def test_the_recordings_are_where_the_test_looks() -> None:
    folder = wire_dir()
    assert isinstance(folder, Path)
    assert len(recordings()) >= 73
