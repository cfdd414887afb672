"""Any body at all: an answer below 500, in the caller's format, and the server goes on."""

from __future__ import annotations

import logging
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.server.gateway.support import BODIES, in_a_thread

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

scalars = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.text(max_size=12)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KNOWN = [
    "model", "messages", "max_tokens", "stream", "tools", "tool_choice", "response_format", "stop", "temperature",
    "top_p", "n", "seed", "stream_options", "fallbacks", "system", "input", "prompt", "instructions", "text",
    "metadata", "logit_bias", "thinking", "output_config", "stop_sequences", "parallel_tool_calls", "reasoning",
]  # fmt: skip
kinds = st.sampled_from(["text", "image_url", "image", "tool_use", "tool_result", "refusal", "file"])
parts = st.fixed_dictionaries({}, optional={"type": kinds, "text": values, "image_url": values, "source": values})
messages = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "assistant", "system", "tool", "developer"]) | values,
            "content": st.text(max_size=20) | st.lists(parts, max_size=3) | values,
            "tool_calls": values,
            "tool_call_id": values,
        },
    ),
    max_size=3,
)


@pytest.fixture(scope="module")
def url() -> Any:
    with in_a_thread(chain=["openai", "anthropic"], retry={"retries": 0}, breaker={"mode": "off"}) as address:
        yield address


def ask(url: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    try:
        connection.request("POST", path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def is_well(status: int, answer: bytes, path: str) -> None:
    assert status < 500, answer
    assert b"Traceback" not in answer
    if status >= 400:
        told = orjson.loads(answer)
        assert isinstance(told["error"]["message"], str)
        assert (told.get("type") == "error") is ("messages" in path)


@pytest.mark.parametrize("path", list(BODIES))
@SETTINGS
@given(data=st.data())
def test_any_change_to_a_good_body(url: str, caplog: Any, path: str, data: st.DataObject) -> None:
    body: dict[str, Any] = dict(BODIES[path])
    for name in data.draw(st.lists(st.sampled_from(KNOWN), min_size=1, max_size=3)):
        body[name] = data.draw(messages | values if name in ("messages", "input") else values)
    try:
        written = orjson.dumps(body)
    except TypeError:
        import json

        written = json.dumps(body).encode()
    is_well(*ask(url, path, written), path)


@pytest.mark.parametrize("path", list(BODIES))
@SETTINGS
@given(body=st.binary(max_size=60) | values.map(lambda value: repr(value).encode("utf-8", "replace")))
def test_any_bytes(url: str, path: str, body: bytes) -> None:
    is_well(*ask(url, path, body), path)


@SETTINGS
@given(
    headers=st.dictionaries(
        st.sampled_from(["x-sandbox-tenant", "x-sandbox-agent", "x-sandbox-deadline-ms", "x-sandbox-stream-policy"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20),
        min_size=1,
    )
)
def test_any_headers(url: str, headers: dict[str, str]) -> None:
    body = orjson.dumps(BODIES["/v1/chat/completions"])
    status, answer = ask(url, "/v1/chat/completions", body, headers)
    # A deadline may be too short for any answer.
    assert status < 500 or status == 504, answer


@pytest.mark.parametrize("path", list(BODIES))
@pytest.mark.parametrize("depth", [90, 200, 1000, 100_000])
def test_nesting_without_end(url: str, path: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    is_well(*ask(url, path, deep), path)
    for name in ("messages", "input", "prompt", "thinking", "tool_choice", "stop", "metadata", "fallbacks"):
        body = orjson.dumps({key: value for key, value in BODIES[path].items() if key != name})
        is_well(*ask(url, path, b'{"%b":%b,' % (name.encode(), deep) + body[1:]), path)


def test_the_server_had_no_trouble(url: str, caplog: Any) -> None:
    with caplog.at_level(logging.ERROR):
        status, _ = ask(url, "/v1/chat/completions", orjson.dumps(BODIES["/v1/chat/completions"]))
    assert status == 200
    assert not caplog.records
