"""What the fakes answer: every API in its vendor's form, and what is no completion."""

from __future__ import annotations

import asyncio
import re

import orjson
import pytest

from providers.dialects import spoken
from providers.types import StreamFinished
from tests.sandbox.server.support import CHAT, CLAUDE, CONVERSE, GEMINI, MESSAGES, PROMPT, TITAN, chat, tapped

SSE, NDJSON, FRAMES = "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"
STREAM = chat(stream=True)
ANSWERED = [
    ("/openai/v1/chat/completions", "chat.completions", chat(), "json"),
    ("/openai/v1/chat/completions", "chat.completions", STREAM, SSE),
    ("/openai/v1/completions", "completions", {"model": "m", "prompt": PROMPT}, "json"),
    ("/openai/v1/completions", "completions", {"model": "m", "prompt": PROMPT, "stream": True}, SSE),
    ("/openai/v1/responses", "responses", {"model": "m", "input": PROMPT}, "json"),
    ("/openai/v1/responses", "responses", {"model": "m", "input": PROMPT, "stream": True}, SSE),
    ("/azure/openai/deployments/mine/chat/completions?api-version=2024-10-21", "chat.completions", chat(), "json"),
    ("/azure/openai/v1/chat/completions", "chat.completions", STREAM, SSE),
    ("/azure/openai/v1/responses", "responses", {"model": "m", "input": PROMPT}, "json"),
    ("/azure/models/chat/completions", "chat.completions", chat(), "json"),
    ("/anthropic/v1/messages", "messages", MESSAGES, "json"),
    ("/anthropic/v1/messages?beta=true", "messages", {**MESSAGES, "stream": True}, SSE),
    ("/deepseek/chat/completions", "chat.completions", chat(), "json"),
    ("/deepseek/v1/chat/completions", "chat.completions", STREAM, SSE),
    ("/deepseek/anthropic/v1/messages", "messages", MESSAGES, "json"),
    ("/ollama/api/chat", "chat", chat(stream=False), "json"),
    ("/ollama/api/chat", "chat", chat(), NDJSON),
    ("/ollama/api/generate", "generate", {"model": "m", "prompt": PROMPT, "stream": False}, "json"),
    ("/ollama/api/generate", "generate", {"model": "m", "prompt": PROMPT}, NDJSON),
    ("/ollama/v1/chat/completions", "chat.completions", chat(), "json"),
    ("/vllm/v1/chat/completions", "chat.completions", STREAM, SSE),
    ("/vllm/v1/completions", "completions", {"model": "m", "prompt": PROMPT}, "json"),
    ("/vllm/v1/responses", "responses", {"model": "m", "input": PROMPT}, "json"),
    ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", "generateContent", GEMINI, "json"),
    ("/gemini/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "streamGenerateContent", GEMINI, SSE),
    ("/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent", "streamGenerateContent", GEMINI, "json"),
    ("/gemini/v1beta/openai/chat/completions", "chat.completions", chat(), "json"),
    ("/vertex/v1/publishers/google/models/gemini-2.5-flash:generateContent", "generateContent", GEMINI, "json"),
    ("/bedrock/model/anthropic.claude-3-haiku-20240307-v1:0/converse", "converse", CONVERSE, "json"),
    ("/bedrock/model/amazon.nova-lite-v1%3A0/converse-stream", "converse-stream", CONVERSE, FRAMES),
    ("/bedrock/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5/invoke", "invoke",
     CLAUDE, "json"),
    ("/bedrock/model/amazon.titan-text-express-v1/invoke-with-response-stream", "invoke-stream", TITAN, FRAMES),
    ("/groq/openai/v1/chat/completions", "chat.completions", STREAM, SSE),
    ("/openrouter/api/v1/chat/completions", "chat.completions", chat(), "json"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "api", "body", "kind"), ANSWERED)
async def test_every_api_answers_in_its_vendors_form(path, api, body, kind):
    async with tapped() as rig:
        answer = await rig.ask(path, body)
        (entry,) = await rig.journal()
    assert answer.status == 200
    assert kind in answer.headers["content-type"]
    dialect = spoken(api, path.partition("?")[2] and path)
    if kind == "json" and api != "streamGenerateContent":
        completion = dialect.decode_completion(answer.body)
        assert answer.headers["content-length"] == str(len(answer.body))
    else:
        assert answer.headers["transfer-encoding"] == "chunked"
        decoder = dialect.decoder()
        events = [*decoder.feed(answer.body), *decoder.close()]
        completion = next(event.completion for event in events if isinstance(event, StreamFinished))
    assert "circuit breakers" in (completion.text or "").lower()
    assert (entry["status"], entry["api"], entry["answered_by"], entry["bytes"]) == (
        200, api, "writer", len(answer.body),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "name", "value"),
    [
        (CHAT, chat(), "x-request-id", r"req_[0-9a-f]{32}"),
        (CHAT, STREAM, "openai-version", "2020-10-01"),
        (CHAT, chat(), "openai-processing-ms", r"\d+"),
        (CHAT, chat(), "x-ratelimit-remaining-requests", r"\d+"),
        ("/azure/openai/deployments/d/chat/completions", chat(), "x-ms-region", ".+"),
        ("/azure/openai/deployments/d/chat/completions", chat(), "apim-request-id", r"[0-9a-f-]{36}"),
        ("/anthropic/v1/messages", MESSAGES, "request-id", r"req_01[0-9a-f]{22}"),
        ("/anthropic/v1/messages", MESSAGES, "anthropic-ratelimit-tokens-reset", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        ("/bedrock/model/amazon.nova-lite-v1:0/converse", CONVERSE, "x-amzn-requestid", r"[0-9a-f-]{36}"),
        ("/bedrock/model/amazon.titan-text-express-v1/invoke", TITAN, "x-amzn-bedrock-output-token-count", r"[1-9]\d*"),
        ("/gemini/v1/models/g:generateContent", GEMINI, "content-type", "application/json; charset=UTF-8"),
        ("/ollama/api/chat", chat(stream=False), "content-type", "application/json; charset=utf-8"),
        ("/vllm/v1/chat/completions", chat(), "server", "uvicorn"),
        (CHAT, chat(), "date", r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
    ],
)
async def test_an_answer_has_its_vendors_headers(path, body, name, value):
    async with tapped() as rig:
        answer = await rig.ask(path, body)
    assert re.fullmatch(value, answer.headers[name])
    # What no vendor sends.
    assert "aiohttp" not in str(answer.headers)


@pytest.mark.parametrize(
    ("options", "chunks"), [(None, 0), ({"include_usage": True}, 1), ({"include_usage": False}, 0)]
)
async def test_usage_comes_in_a_stream_only_when_asked_for(options, chunks):
    body = chat(stream=True) if options is None else chat(stream=True, stream_options=options)
    async with tapped() as rig:
        answer = await rig.ask(CHAT, body)
    events = [line.removeprefix(b"data: ") for line in answer.body.split(b"\n\n") if line]
    assert events[-1] == b"[DONE]"
    assert sum(bool(orjson.loads(event).get("usage")) for event in events[:-1]) == chunks


async def test_tools_and_json_are_answered_plausibly():
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    async with tapped() as rig:
        called = (await rig.ask(CHAT, chat("What is the weather in Paris?", tools=[tool]))).json
        written = (await rig.ask(CHAT, chat(response_format={"type": "json_object"}))).json
    call = called["choices"][0]["message"]["tool_calls"][0]["function"]
    assert (call["name"], orjson.loads(call["arguments"])) == ("get_weather", {"city": "Paris"})
    assert called["choices"][0]["finish_reason"] == "tool_calls"
    assert isinstance(orjson.loads(written["choices"][0]["message"]["content"]), dict)


async def test_a_seed_decides_and_repeats():
    async def answers(seed: int) -> set[bytes]:
        async with tapped(seed=seed) as rig:
            return {(await rig.ask(CHAT, chat())).json["choices"][0]["message"]["content"] for _ in range(2)}

    one, same, other = [await answers(seed) for seed in (1, 1, 2)]
    assert one == same
    assert len(one) == 1
    assert one != other


async def test_a_prompt_beyond_the_models_window_is_refused():
    async with tapped(window_of=lambda provider, model: 10) as rig:
        answer = await rig.ask(CHAT, chat("word " * 100))
    assert (answer.status, answer.json["error"]["code"]) == (400, "context_length_exceeded")


# --- beside completions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("/openai/v1/models", lambda body: [m["id"] for m in body["data"]]),
        ("/azure/openai/v1/models", lambda body: [m["id"] for m in body["data"]]),
        ("/anthropic/v1/models", lambda body: [m["id"] for m in body["data"]]),
        ("/deepseek/models", lambda body: [m["id"] for m in body["data"]]),
        ("/vllm/v1/models", lambda body: [m["id"] for m in body["data"]]),
        ("/groq/openai/v1/models", lambda body: [m["id"] for m in body["data"]]),
        ("/openrouter/api/v1/models", lambda body: [m["id"] for m in body["data"]]),
        ("/gemini/v1beta/models", lambda body: [m["name"].removeprefix("models/") for m in body["models"]]),
        ("/ollama/api/tags", lambda body: [m["model"] for m in body["models"]]),
        ("/ollama/v1/models", lambda body: [m["id"] for m in body["data"]]),
    ],
)
async def test_models_are_listed_and_found_again(path, ids):
    async with tapped() as rig:
        answer = await rig.ask(path)
        names = ids(answer.json)
        assert answer.status == 200
        assert names
        assert len(set(names)) == len(names)
        if "/api/" in path:
            return
        one = await rig.ask(f"{path}/{names[0]}")
        assert one.status == 200
        assert names[0] in one.body.decode()
        if "vllm" not in path and "ollama" not in path and "groq" not in path:
            missing = await rig.ask(f"{path}/no-such-model")
            assert missing.status == 404
            assert "no-such-model" in missing.body.decode()


@pytest.mark.parametrize(
    ("path", "body", "count", "counted", "total"),
    [
        ("/anthropic/v1/messages", MESSAGES, "/anthropic/v1/messages/count_tokens", "input_tokens",
         lambda b: b["usage"]["input_tokens"]),
        ("/gemini/v1beta/models/g:generateContent", GEMINI, "/gemini/v1beta/models/g:countTokens", "totalTokens",
         lambda b: b["usageMetadata"]["promptTokenCount"]),
        ("/bedrock/model/amazon.nova-lite-v1:0/converse", CONVERSE, "/bedrock/model/amazon.nova-lite-v1:0/count-tokens",
         "inputTokens", lambda b: b["usage"]["inputTokens"]),
    ],
)  # fmt: skip
async def test_tokens_are_counted_as_they_are_charged(path, body, count, counted, total):
    asked = {"input": {"converse": body}} if "bedrock" in path else {k: v for k, v in body.items() if k != "max_tokens"}
    async with tapped() as rig:
        answer, number = await rig.ask(path, body), await rig.ask(count, asked)
    assert number.status == 200
    assert number.json[counted] == total(answer.json) > 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": {}}, "either converse or invokeModel"),
        ({}, "either converse or invokeModel"),
        ({"input": {"invokeModel": {"body": "no base64!"}}}, "base64"),
    ],
)
async def test_what_cannot_be_counted_is_refused(body, message):
    async with tapped() as rig:
        answer = await rig.ask("/bedrock/model/amazon.nova-lite-v1:0/count-tokens", body)
    assert answer.status == 400
    assert message in answer.json["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ollama/", b"Ollama is running"),
        ("/ollama", b"Ollama is running"),
        ("/vllm/health", b""),
        ("/vllm/ping", b""),
    ],
)
async def test_servers_say_that_they_live(path, body):
    async with tapped() as rig:
        answer = await rig.ask(path)
        assert (answer.status, answer.body) == (200, body)
        if path.startswith("/ollama"):
            assert (await rig.ask(path, method="HEAD")).body == b""


async def test_ollama_tells_of_its_models():
    async with tapped() as rig:
        shown = (await rig.ask("/ollama/api/show", {"model": "llama3.2"})).json
        assert "completion" in shown["capabilities"]
        assert (await rig.ask("/ollama/api/show", {})).status == 400
        running = (await rig.ask("/ollama/api/ps")).json["models"]
        assert running[0]["model"] in [m["model"] for m in (await rig.ask("/ollama/api/tags")).json["models"]]
        assert set((await rig.ask("/ollama/api/version")).json) == set((await rig.ask("/vllm/version")).json)
        assert (await rig.ask("/deepseek/user/balance")).json["is_available"] is True


async def test_many_at_once_are_each_answered():
    async with tapped() as rig:
        answers = await asyncio.gather(*(rig.ask(CHAT, chat(f"Tell me about topic {n}")) for n in range(60)))
        assert [answer.status for answer in answers] == [200] * 60
        assert len({answer.body for answer in answers}) > 30
        assert len(await rig.journal()) == 60
