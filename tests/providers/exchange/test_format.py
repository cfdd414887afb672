"""The recorded exchange on disk: read, migrated, written, and complained about."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import FixtureError
from providers.exchange import Chunk, Exchange, RecordedRequest, RecordedResponse, load, parse
from providers.exchange.format import VERSION, document_of, migrate
from tests.shared_material import needs_wire, wire_dir


def document(**fields: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "provider": "openai",
        "api": "chat.completions",
        "request": {
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": {"Accept": "*/*"},
            "body": {"model": "m"},
        },
        "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"},
        **fields,
    }


def test_a_whole_document() -> None:
    exchange = parse(
        document(
            recorded={"at": "2026-01-01T00:00:00Z", "from": "live"},
            expected={"text": "Hi"},
            match="regex",
            pattern="^Hi",
            ignore=["temperature"],
            sequence=2,
            note="why",
        )
    )
    assert exchange == Exchange(
        provider="openai",
        api="chat.completions",
        request=RecordedRequest("POST", "/v1/chat/completions", {"accept": "*/*"}, {"model": "m"}),
        response=RecordedResponse(200, {"content-type": "application/json"}, (Chunk(0.0, b"{}"),), "body"),
        expected={"text": "Hi"},
        recorded_at="2026-01-01T00:00:00Z",
        recorded_from="live",
        match="regex",
        pattern="^Hi",
        ignore=("temperature",),
        sequence=2,
        note="why",
    )


@pytest.mark.parametrize(
    ("response", "chunks"),
    [
        ({"status": 200, "body": "žluť"}, [(0, "žluť".encode())]),
        ({"status": 200, "body": {"a": [1]}}, [(0, b'{"a":[1]}')]),
        ({"status": 200, "body_base64": "/wA="}, [(0, b"\xff\x00")]),
        ({"status": 204}, [(0, b"")]),
        (
            {"status": 200, "chunks": [{"after_ms": 12.5, "data": "a"}, {"data_base64": "/w=="}]},
            [(12.5, b"a"), (0, b"\xff")],
        ),
        ({"status": 200, "chunks": []}, []),
    ],
)
def test_bodies_of_every_form(response: dict[str, Any], chunks: list[tuple[float, bytes]]) -> None:
    exchange = parse(document(response=response))
    assert exchange.response is not None
    assert list(exchange.response.chunks) == chunks
    assert exchange.response.body == b"".join(data for _, data in chunks)
    assert parse(document_of(exchange)) == exchange


def test_a_connection_that_broke_needs_no_response() -> None:
    exchange = parse(document(response=None, error="connection_reset"))
    assert (exchange.response, exchange.error) == (None, "connection_reset")
    cut = parse(document(error="timeout"))
    assert cut.response is not None
    assert cut.error == "timeout"


BYTES = st.binary(max_size=20)
PIECES = st.lists(st.builds(Chunk, st.floats(0, 1e6), BYTES)).map(tuple)
RESPONSES = (
    st.builds(RecordedResponse, status=st.integers(200, 599), chunks=PIECES, form=st.just("chunks"))
    | st.builds(RecordedResponse, chunks=BYTES.map(lambda b: (Chunk(0.0, b),)), form=st.just("body_base64"))
    | st.builds(RecordedResponse, chunks=st.text().map(lambda t: (Chunk(0.0, t.encode()),)), form=st.just("body"))
)
BODIES = st.none() | st.text() | st.dictionaries(st.text(), st.integers(-9, 9))


@given(
    st.builds(
        Exchange,
        provider=st.sampled_from(["openai", "ollama"]),
        api=st.just("chat"),
        request=st.builds(RecordedRequest, path=st.just("/x?y=1"), body=BODIES),
        response=RESPONSES,
        error=st.sampled_from([None, "timeout", "connection_reset"]),
        expected=st.dictionaries(st.text(), st.none() | st.text()),
        recorded_at=st.none() | st.just("2026-01-01T00:00:00Z"),
        recorded_from=st.sampled_from(["live", "wiretap", "authored"]),
        match=st.sampled_from(["exact", "last_user_message", "any"]),
        ignore=st.sampled_from([(), ("a", "b.0")]),
        sequence=st.none() | st.integers(1, 9),
    )
)
def test_what_is_written_is_read_back(exchange: Exchange) -> None:
    text = orjson.dumps(document_of(exchange))
    assert parse(orjson.loads(text)) == exchange
    assert orjson.loads(text)["version"] == VERSION


# --- version 0 ------------------------------------------------------------------------------------------------------


@needs_wire
def test_every_unnumbered_recording_loads_unchanged() -> None:
    folder = wire_dir()
    assert folder is not None
    count = 0
    for path in folder.glob("*/*.json"):
        raw = orjson.loads(path.read_bytes())
        exchange = load(path)
        count += 1
        assert exchange.response is not None
        assert exchange.response.status == raw["response"]["status"]
        if "body" in raw["response"]:
            assert exchange.response.body == raw["response"]["body"].encode()
        assert (exchange.provider, exchange.api, exchange.kind) == (raw["provider"], raw["api"], raw["kind"])
        assert exchange.request.body == raw["request"]["body"]
        assert exchange.expected == raw["expected"]
        assert exchange.recorded_from == "live"
        again = parse(orjson.loads(orjson.dumps(document_of(exchange))))
        again.name = exchange.name
        assert again == exchange
    assert count >= 128


def test_migration_leaves_the_given_document_alone() -> None:
    raw = document()
    del raw["version"]
    raw["response"]["framing"] = "json"
    before = orjson.dumps(raw)
    migrated = migrate(raw)
    assert (migrated["version"], "framing" in migrated["response"]) == (1, False)
    assert orjson.dumps(raw) == before


# --- complaints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "version 2 is newer than this program reads"),
        ({"version": "x"}, "version is 'x'"),
        ({"provider": None}, "provider is 'None'"),
        ({"provider": "../x"}, "provider is '../x'"),
        ({"api": 7}, "api is '7'"),
        ({"request": None}, "request is missing"),
        ({"request": {"path": 7}}, "request.path is '7'; it must be a string"),
        ({"request": {"headers": {"a": 1}}}, "request.headers is .*; it must be an object of strings"),
        ({"response": None}, "response is missing"),
        ({"response": {"status": "200"}}, "response.status is '200'; it must be an HTTP status"),
        ({"response": {"status": 9}}, "response.status is '9'"),
        (
            {"response": {"status": 200, "body": "a", "body_base64": "aGk="}},
            "response.body and body_base64 are both given",
        ),
        ({"response": {"status": 200, "body": 7}}, "response.body is '7'"),
        ({"response": {"status": 200, "body_base64": "?"}}, "response.body_base64 is '\\?'; it must be base64 text"),
        ({"response": {"status": 200, "chunks": "x"}}, "response.chunks is 'x'"),
        ({"response": {"status": 200, "chunks": [{"after_ms": -1}]}}, r"response.chunks\[0\].after_ms is '-1'"),
        ({"response": {"status": 200, "chunks": [{"data": 7}]}}, r"response.chunks\[0\].data is '7'"),
        ({"recorded": {"from": "hearsay"}}, "recorded.from is 'hearsay'; it must be one of live, wiretap, authored"),
        ({"error": "boom"}, "error is 'boom'; it must be one of connection_reset, timeout"),
        ({"expected": []}, "expected is '\\[\\]'; it must be an object"),
        ({"match": "fuzzy"}, "match is 'fuzzy'; it must be one of exact, last_user_message, regex, any"),
        ({"match": "regex", "pattern": "("}, "pattern '\\(' is not a regular expression"),
        ({"ignore": "temperature"}, "ignore is 'temperature'; it must be a list of field names"),
        ({"sequence": 0}, "sequence is '0'; it must be a whole number from 1 on"),
        ({"mach": "any"}, "unknown key 'mach'; did you mean 'match'\\?"),
        ({"zzz": 1}, "unknown key 'zzz'; the keys are version"),
    ],
)
def test_a_mistake_is_named_with_the_file_and_the_key(change: dict[str, Any], says: str) -> None:
    with pytest.raises(FixtureError, match=f"^here.json: {says}"):
        parse(document(**change), "here.json")


def test_a_document_of_another_kind_is_refused() -> None:
    with pytest.raises(FixtureError, match="a fixture is a JSON object, not list"):
        parse([])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(FixtureError, match=r"broken\.json is not JSON"):
        load(broken)
    with pytest.raises(FixtureError, match=r"cannot read .*absent\.json"):
        load(tmp_path / "absent.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["status", "headers", "body", "chunks", "data", "from"]), inner)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["version", "provider", "request", "response", "recorded", "match", "ignore", "expected", "error"]
        ),
        JSON,
    )
)
def test_no_document_raises_anything_but_a_fixture_error(change: dict[str, Any]) -> None:
    with suppress(FixtureError):
        assert isinstance(parse(document(**change)), Exchange)
