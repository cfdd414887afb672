"""Cassettes of VCR: Python's and Ruby's, with bodies of every kind."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode, encodebytes
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.dialects import dialect
from providers.errors import FixtureError
from providers.exchange import Exchange, FixtureLibrary, Query, save
from providers.interchange import vcr
from providers.interchange.documents import read_document
from providers.interchange.taken import Taken
from providers.vendors.completing import completed
from providers.vendors.conformance import replay
from tests import fake_vendor

URL = "https://api.openai.com/v1/chat/completions"
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is a fuse?"}]}
ANSWER = dialect("openai_chat").encode_completion(
    fake_vendor.completion(), model="gpt-4o", response_id="chatcmpl-1", created=1
)
STREAM = b"".join(fake_vendor.stream_bytes(dialect("openai_chat"), fake_vendor.PIECES))


def interaction(
    answer: Any = None, *, body: Any = None, uri: str = URL, status: Any = 200, **headers: str
) -> dict[str, Any]:
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return {
        "request": {
            "method": "POST",
            "uri": uri,
            "headers": {"content-type": ["application/json"], "Authorization": ["Bearer canary-token-1"]},
            "body": orjson.dumps(ASKED).decode() if body is None else body,
        },
        "response": {
            "status": {"code": status, "message": "OK"},
            "headers": {"Content-Type": ["application/json"], **named},
            "body": {"string": ANSWER.decode()} if answer is None else answer,
        },
    }


def taken(*interactions: Any, provider: str | None = None, name: str = "interactions") -> Taken:
    return vcr.take({name: list(interactions), "version": 1}, "tape.yaml", provider=provider)


def only(one: dict[str, Any], **options: Any) -> Exchange:
    result = taken(one, **options)
    assert result.notes == []
    (exchange,) = result.exchanges
    return exchange


async def test_a_tape_as_vcrpy_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "tape.yaml"
    path.write_text(yaml.safe_dump({"interactions": [interaction()], "version": 1}))
    (exchange,) = vcr.take(read_document(path), str(path)).exchanges
    assert (exchange.provider, exchange.api, exchange.recorded_from) == ("openai", "chat.completions", "live")
    assert (exchange.request.path, exchange.request.body) == ("/v1/chat/completions", ASKED)
    assert exchange.request.headers["content-type"] == "application/json"
    row = await replay(exchange)
    assert (row["text"], row["output_tokens"]) == (fake_vendor.TEXT, 15)


BODIES = {
    "wrapped": {"string": ANSWER.decode()},
    "bytes": {"string": ANSWER},
    "plain": ANSWER.decode(),
    "ruby": {"encoding": "UTF-8", "string": ANSWER.decode()},
    "ruby, packed": {"encoding": "ASCII-8BIT", "base64_string": encodebytes(ANSWER).decode()},
    "parsed": orjson.loads(ANSWER),
}


@pytest.mark.parametrize("form", BODIES)
def test_bodies_of_every_form(form: str) -> None:
    response = only(interaction(BODIES[form])).response
    assert response is not None
    assert orjson.loads(response.body) == orjson.loads(ANSWER)


def test_bodies_that_were_parsed_before_they_were_kept() -> None:
    one = interaction()
    one["request"] = {"method": "POST", "uri": URL, "parsed_body": ASKED}
    one["response"] = {"status": {"code": 200}, "parsed_body": orjson.loads(ANSWER)}
    exchange = only(one)
    assert exchange.request.body == ASKED
    assert exchange.response is not None
    assert orjson.loads(exchange.response.body)["id"] == "chatcmpl-1"


def test_httpx_of_old() -> None:
    one = interaction()
    one["response"] = {
        "status_code": 200,
        "http_version": "HTTP/1.1",
        "headers": {"a": "b"},
        "content": ANSWER.decode(),
    }
    response = only(one).response
    assert response is not None
    assert (response.body, response.headers) == (ANSWER, {"a": "b"})


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_packed_bodies_are_unpacked(encoding: str) -> None:
    packed = gzip.compress(ANSWER) if encoding == "gzip" else zlib.compress(ANSWER)
    for body in ({"string": packed}, {"base64_string": b64encode(packed).decode()}):
        response = only(interaction(body, content_encoding=encoding)).response
        assert response is not None
        assert response.body == ANSWER
        assert "content-encoding" not in response.headers


def test_a_body_that_was_unpacked_already_keeps_only_the_header() -> None:
    for encoding in ("gzip", "deflate", "br", "zstd"):
        response = only(interaction(content_encoding=encoding)).response
        assert response is not None
        assert response.body == ANSWER


@pytest.mark.parametrize(
    ("body", "encoding", "told"),
    [
        (gzip.compress(ANSWER)[:2] + b"\xff" * 20, "gzip", "is not the gzip that its headers say"),
        (b"\xff\xfe\xfd", "deflate", "is not the deflate that its headers say"),
        (b"\x1b\xff\x01", "br", "is packed with br, which this program does not unpack"),
        (b"\x28\xb5\x2f\xfd", "zstd", "is packed with zstd"),
        (gzip.compress(b"0" * ((64 << 20) + 1)), "gzip", "is larger than 64 MiB when it is unpacked"),
    ],
    ids=["broken gzip", "broken deflate", "brotli", "zstd", "bomb"],
)
def test_what_cannot_be_unpacked_is_left_out(body: bytes, encoding: str, told: str) -> None:
    result = taken(interaction({"string": body}, content_encoding=encoding), interaction())
    assert len(result.exchanges) == 1
    (note,) = result.notes
    assert note.startswith("tape.yaml: interactions[0]: ")
    assert told in note


async def test_streams_and_errors_and_framed_events() -> None:
    streamed = interaction({"string": STREAM.decode()}, body=orjson.dumps({**ASKED, "stream": True}).decode())
    streamed["response"]["headers"] = {"content-type": ["text/event-stream; charset=utf-8"]}
    row = await replay(only(streamed))
    assert (row["text"], row["deltas"]) == (fake_vendor.TEXT, 5)
    refused = interaction({"string": '{"error":{"message":"No","type":"t","code":null}}'}, status=401)
    assert (await replay(only(refused)))["error_class"] == "AuthenticationError"
    frames = b"".join(fake_vendor.stream_bytes(dialect("bedrock_converse"), fake_vendor.PIECES))
    url = (
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream"
    )
    asked = '{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}'
    framed = interaction({"string": frames}, uri=url, body=asked)
    framed["response"]["headers"] = {"content-type": ["application/vnd.amazon.eventstream"]}
    exchange = only(framed)
    assert exchange.response is not None
    assert exchange.response.form == "body_base64"
    assert (await replay(exchange))["text"] == fake_vendor.TEXT


async def test_a_tape_as_ruby_writes_it() -> None:
    one = {
        "request": {
            "method": "post",
            "uri": "https://api.anthropic.com/v1/messages",
            "body": {"encoding": "UTF-8", "string": '{"model":"claude-haiku-4-5","max_tokens":9,"messages":[]}'},
            "headers": {"X-Api-Key": ["<KEY>"]},
        },
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"Content-Type": ["application/json"], "Set-Cookie": ["a", "b"]},
            "body": {
                "encoding": "ASCII-8BIT",
                "string": dialect("anthropic_messages")
                .encode_completion(fake_vendor.completion(), model="m", response_id="msg_1", created=1)
                .decode(),
            },
        },
        "recorded_at": "Mon, 01 Jan 2024 00:00:00 GMT",
    }
    (exchange,) = taken(one, name="http_interactions").exchanges
    assert (exchange.provider, exchange.api, exchange.request.method) == ("anthropic", "messages", "POST")
    assert exchange.recorded_at == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert (await replay(exchange))["text"] == fake_vendor.TEXT


def test_equal_requests_are_answered_in_the_order_of_the_tape(tmp_path: Path) -> None:
    other = interaction(body='{"model":"gpt-4o","messages":[{"role":"user","content":"Other"}]}')
    result = taken(interaction({"string": "{}"}, status=500), other, interaction(), interaction({"string": "[]"}))
    assert [exchange.sequence for exchange in result.exchanges] == [1, None, 2, 3]
    for number, exchange in enumerate(result.exchanges):
        save(exchange, tmp_path, case=f"t{number}")
    library, counts = FixtureLibrary([tmp_path]), dict[str, int]()
    query = Query("openai", "chat.completions", orjson.dumps(ASKED))
    played = [library.require(query, counts).exchange.response.status for _ in range(3)]  # type: ignore[union-attr]
    assert played == [500, 200, 200]


def test_whose_a_local_address_is_must_be_said() -> None:
    local = interaction(uri="http://localhost:9999/v1/chat/completions")
    (note,) = taken(local).notes
    assert note == (
        "tape.yaml: interactions[0]: 'http://localhost:9999/v1/chat/completions' is nobody's address in particular; "
        "name the --provider"
    )
    assert only(local, provider="vllm").provider == "vllm"
    # An address that says whose it is goes before the option.
    assert only(interaction(), provider="vllm").provider == "openai"


def test_other_calls_are_left_out_without_their_query_and_their_user() -> None:
    (note,) = taken(interaction(uri="https://me:canary-2@api.openai.com/v1/models?key=canary-1")).notes
    assert "POST 'https://api.openai.com/v1/models' calls no API that this program speaks; left out" in note


@pytest.mark.parametrize("place", ["header", "query", "body", "answer"])
def test_no_credential_of_a_tape_gets_through(place: str, tmp_path: Path) -> None:
    one = interaction()
    canary = "sk-canary-0123456789"
    match place:
        case "header":
            one["request"]["headers"]["x-api-key"] = [canary]
        case "query":
            one["request"]["uri"] = f"{URL}?key=canary-42-canary"
        case "body":
            one["request"]["body"] = orjson.dumps({**ASKED, "user": canary}).decode()
        case "answer":
            one["response"]["body"] = {"string": f'{{"error":{{"message":"Incorrect API key provided: {canary}"}}}}'}
    path = save(completed(only(one)), tmp_path)
    assert "canary" not in path.read_text()


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"interactions": {}}, "interactions is '{}'; it must be a list of objects"),
        ({"interactions": [{}]}, r"interactions\[0\].request is missing"),
        ({"interactions": [{"request": {}}]}, r"interactions\[0\].response is missing"),
        ({"interactions": [{"request": {"uri": 7}, "response": {}}]}, r"request.uri is '7'; it must be a string"),
        (
            {"interactions": [{"request": {"uri": URL}, "response": {"status": "fine"}}]},
            "response.status is 'fine'; it must be an HTTP status such as",
        ),
        (
            {"http_interactions": [{"request": {"uri": URL, "body": {"base64_string": "?"}}, "response": {}}]},
            "body.base64_string is '\\?'; it must be base64 text",
        ),
        (
            {"interactions": [{"request": {"uri": URL, "headers": 7}, "response": {}}]},
            r"request.headers is '7'; it must be an object",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(document: dict[str, Any], told: str) -> None:
    with pytest.raises(FixtureError, match=f"^tape.yaml: .*{told}"):
        vcr.take(document, "tape.yaml")


YAML = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.text(max_size=5) | st.binary(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["string", "base64_string", "code", "encoding", "content-encoding", "x"]) | st.integers(0, 3),
        inner, max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip
PARTS = ["body", "headers", "status", "uri", "method", "parsed_body", "content", "status_code"]


@given(st.dictionaries(st.sampled_from(PARTS), YAML), st.dictionaries(st.sampled_from(PARTS), YAML))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_tape_raises_anything_else(request: dict[str, Any], response: dict[str, Any]) -> None:
    one = interaction()
    with suppress(FixtureError):
        for exchange in taken(
            {"request": {**one["request"], **request}, "response": {**one["response"], **response}}
        ).exchanges:
            assert exchange.response is not None
