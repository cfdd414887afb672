"""What no vendor would take: refused in the vendor's words, with a hint; never a 500, never a hang."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.server.wiretap import tap as tap_module
from sandbox.server.wiretap.routes import PREFIXES, ROUTES
from tests.sandbox.server.support import CHAT, CONVERSE, GEMINI, MESSAGES, Rig, chat, http, parsed, tapped

# Each vendor's own words for a path that it does not know, and for one by another method.
UNKNOWN = [
    ("/openai/v1/nothing", "Invalid URL (POST /v1/nothing)", 404, lambda b: b["error"]["message"]),
    ("/azure/openai/nothing", "404", 404, lambda b: b["error"]["code"]),
    ("/anthropic/v1/nothing", "not_found_error", 404, lambda b: b["error"]["type"]),
    ("/bedrock/model", "com.amazon.coral.service#UnknownOperationException", 404, lambda b: b["Output"]["__type"]),
    ("/gemini/v1beta/nothing", "NOT_FOUND", 404, lambda b: b["error"]["status"]),
    ("/vertex/v1/nothing", 404, 404, lambda b: b["error"]["code"]),
    ("/deepseek/nothing", "Not Found. Please check the configuration.", 404, lambda b: b["error_msg"]),
    ("/vllm/nothing", "Not Found", 404, lambda b: b["detail"]),
    ("/groq/openai/v1/nothing", "unknown_url", 404, lambda b: b["error"]["code"]),
    ("/openrouter/api/v1/nothing", 404, 404, lambda b: b["error"]["code"]),
]


@pytest.mark.parametrize(("path", "words", "status", "said"), UNKNOWN)
async def test_an_unknown_path_is_refused_in_the_vendors_words(path, words, status, said):
    async with tapped() as rig:
        answer = await rig.ask(path, b"whatever")
        (entry,) = await rig.journal()
    assert answer.status == status
    assert said(answer.json) == words
    assert answer.headers["content-type"] == "application/json"
    assert f"there is no {path}" in entry["hint"]
    assert answer.headers["x-wiretap-hint"] == entry["hint"]
    assert (entry["provider"], entry["status"]) == (PREFIXES[path.split("/")[1]], status)


async def test_ollama_and_nobody_refuse_in_plain_words():
    async with tapped() as rig:
        answer = await rig.ask("/ollama/api/nothing", {})
        assert (answer.status, answer.body, answer.headers["content-type"]) == (
            404,
            b"404 page not found",
            "text/plain",
        )
        answer = await rig.ask("/v1/chat/completions", chat())
        assert answer.status == 404
        assert "did you mean /openai/v1/chat/completions?" in answer.json["error"]
        assert "every vendor has a prefix of its own: openai, azure, anthropic" in answer.headers["x-wiretap-hint"]


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [(CHAT, "GET", "POST"), ("/ollama/api/tags", "POST", "GET"), ("/ollama/", "DELETE", "GET, HEAD"),
     ("/bedrock/model/m/converse", "PUT", "POST"), ("/anthropic/v1/messages", "HEAD", "POST"),
     ("/gemini/v1/models/g:generateContent", "OPTIONS", "POST")],
)  # fmt: skip
async def test_another_method_is_refused_with_those_that_are_known(path, method, allowed):
    async with tapped() as rig:
        answer = await rig.ask(path, method=method)
        (entry,) = await rig.journal()
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert entry["hint"] == f"{path} takes {allowed.replace(', ', ' or ')}, not {method}"
    assert (answer.body == b"") == (method == "HEAD")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1, 2]", b'"text"', b"null", b"\xff\xfe", b'{"model": NaN}', b"[" * 5000]
)
@pytest.mark.parametrize(
    ("path", "words"),
    [
        (CHAT, b'"invalid_request_error"'),
        ("/azure/openai/deployments/d/chat/completions", b'"invalid_request_error"'),
        ("/anthropic/v1/messages", b'"invalid_request_error"'),
        ("/bedrock/model/m/converse", b'"message"'),
        ("/gemini/v1/models/g:generateContent", b'"INVALID_ARGUMENT"'),
        ("/ollama/api/chat", b'{"error":"'),
        ("/ollama/v1/chat/completions", b'"invalid_request_error"'),
        ("/vllm/v1/chat/completions", b'"BadRequestError"'),
        ("/anthropic/v1/messages/count_tokens", b'"invalid_request_error"'),
    ],
)
async def test_what_is_no_json_object_is_the_vendors_400(path, words, body):
    async with tapped() as rig:
        answer = await rig.ask(path, body, method="POST")
        (entry,) = await rig.journal()
    assert answer.status == 400
    assert words in answer.body
    assert "body of the request" in entry["hint"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {}),
        (CHAT, chat(n=3)),
        (CHAT, {"model": "m", "messages": [1]}),
        ("/anthropic/v1/messages", chat()),
        ("/gemini/v1/models/g:generateContent", {"contents": []}),
        ("/bedrock/model/m/converse", {"messages": "x"}),
        ("/openai/v1/responses", {"model": "m"}),
        ("/ollama/api/generate", {"prompt": 1}),
    ],
)
async def test_json_that_is_no_such_request_is_a_400_too(path, body):
    async with tapped() as rig:
        assert (await rig.ask(path, body)).status == 400


@pytest.mark.parametrize(
    ("path", "words"),
    [(CHAT, b"invalid_request_error"), ("/anthropic/v1/messages", b"request_too_large"),
     ("/bedrock/model/m/converse", b"message"), ("/openai/v1/nothing", b"Invalid URL")],
)  # fmt: skip
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(path, words, chunked):
    body = orjson.dumps(chat("x" * 3000))
    async with tapped(max_body=2000) as rig:
        if chunked:
            head = http(path, b"", Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
            got, _ = await rig.raw(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        else:
            got, _ = await rig.raw(http(path, body))
    status, headers, said = parsed(got)
    assert status == (404 if "nothing" in path else 413)
    assert words in said
    assert headers["connection"] == "close"


async def test_an_announced_giant_is_refused_before_it_comes():
    async with tapped() as rig:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 40}\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port)
        writer.write(head)
        async with asyncio.timeout(5):
            assert parsed(await reader.readuntil(b"\r\n\r\n"))[0] == 413
        writer.close()


async def test_compressed_bodies_are_read_and_broken_ones_refused(caplog):
    async with tapped() as rig:
        good = await rig.ask(CHAT, gzip.compress(orjson.dumps(chat())), headers={"content-encoding": "gzip"})
        bad = await rig.ask(CHAT, b"no gzip at all", headers={"content-encoding": "gzip"})
    assert good.status == 200
    told = "The body of the request cannot be read: Can not decode content-encoding: gzip"
    assert (bad.status, bad.json["error"]["message"]) == (400, told)
    assert caplog.records == []


async def test_a_body_that_breaks_off_is_no_request():
    async with tapped() as rig:
        broken = http(CHAT, b"", Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
        got, _ = await rig.raw(broken + b"zz\r\nnot a length")
        assert parsed(got)[0] == 400
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port)
        writer.write(http(CHAT, b"{}").replace(b"Content-Length: 2", b"Content-Length: 200"))
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.05)
        assert (await rig.ask(CHAT, chat())).status == 200
    del reader


@pytest.mark.parametrize(
    "data",
    [b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n",
     b"POST /openai HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"],
)  # fmt: skip
async def test_what_is_no_http_ends_the_connection(data, caplog):
    async with tapped() as rig:
        got, _ = await rig.raw(data)
        assert not got or parsed(got)[0] in (400, 505)
        assert (await rig.ask(CHAT, chat())).status == 200
    assert caplog.records == []


# --- the last resort ----------------------------------------------------------------------------------------------


async def test_what_nobody_foresaw_is_the_vendors_trouble_and_the_logs_story(monkeypatch, caplog):
    def fail(*args: Any) -> None:
        raise ZeroDivisionError("a bug")

    async with tapped() as rig:
        monkeypatch.setattr(tap_module.Chosen, "__init__", fail)
        answer = await rig.ask("/anthropic/v1/messages", MESSAGES, headers={"x-wiretap-fault": "503"})
        (entry,) = await rig.journal()
        monkeypatch.undo()
        assert (await rig.ask("/anthropic/v1/messages", MESSAGES)).status == 200
    assert (answer.status, answer.json["error"]["type"]) == (500, "api_error")
    assert entry["hint"] == "internal error, ZeroDivisionError: a bug"
    assert any(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)


# --- anything at all ----------------------------------------------------------------------------------------------

SEGMENTS = st.one_of(
    st.sampled_from(
        [*PREFIXES, "v1", "v1beta", "models", "model", "chat", "completions", "messages", "api", "converse"]
    ),
    st.text(st.characters(blacklist_characters="/?#\r\n\0 ", max_codepoint=255, min_codepoint=33), max_size=12),
)
PATHS = st.one_of(
    st.lists(SEGMENTS, max_size=6).map(lambda parts: "/" + "/".join(parts)),
    st.sampled_from([route.pattern.replace("{model}", "m").replace("{model*}", "m") for route in ROUTES]),
    st.sampled_from(["/__wiretap/faults", "/__wiretap/journal", "/__wiretap/reset", "/__wiretap/x", "/__wiretapx"]),
)
QUERIES = st.one_of(st.just(""), st.sampled_from(["?alt=sse", "?limit=-1", "?limit=3", "?key=x&&=", "?%", "??"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["model", "messages", "stream", "max_tokens", "prompt", "input", "contents", "tools", "tool_choice", "system",
     "response_format", "stop", "temperature", "stream_options", "inputText", "provider", "faults", "n", "seed",
     "inferenceConfig", "generationConfig", "toolConfig", "format", "options", "anthropic_version"]
)  # fmt: skip
BASES = st.sampled_from([{}, chat(), MESSAGES, GEMINI, CONVERSE, {"model": "m", "prompt": "x"}, {"inputText": "x"}])
BODIES = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda base, extra: orjson.dumps({**base, **extra}), BASES, st.dictionaries(FIELDS, JSON, max_size=4)),
    JSON.map(orjson.dumps),
)
HEADERS = st.dictionaries(
    st.sampled_from(["x-wiretap-fault", "content-type", "accept", "expect", "connection", "content-encoding", "x-key"]),
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
        st.sampled_from(["503", "429:2", "stream_cut:2", "truncated_body", "malformed_event", "error_event", "close",
                         "100-continue", "empty_body", "malformed_body", "connection_reset", "no_end_marker",
                         "deflate", "\x80\xff"]),
    ),
    max_size=3,
)  # fmt: skip
METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture(scope="module")
def rig(loop: asyncio.AbstractEventLoop) -> Iterator[Rig]:
    """One wiretap for all examples."""

    async def life() -> AsyncIterator[Rig]:
        async with tapped() as rig:
            yield rig

    living = life()
    yield loop.run_until_complete(anext(living))
    loop.run_until_complete(living.aclose())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=METHODS, path=PATHS, query=QUERIES, body=BODIES, headers=HEADERS)
def test_anything_at_all_is_answered(rig, loop, method, path, query, body, headers):
    target = path + query
    lines = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Connection": "close", **headers}
    lines["Content-Length"] = str(len(body))
    lines["Connection"] = "close"
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    data = f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body

    got, reset = loop.run_until_complete(rig.raw(data, seconds=10))
    faults = headers.get("x-wiretap-fault", "")
    if reset or not got:
        assert "connection_reset" in faults or "stream_cut" in faults
        return
    status, _, _ = parsed(got.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"))
    assert status < 500 or faults.strip()[:1] == "5"
    loop.run_until_complete(rig.provoke("openai"))
    for entry in rig.tap.journal.entries():
        assert "internal error" not in (entry.hint or ""), entry
