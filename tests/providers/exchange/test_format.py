"""The recorded exchange on disk: read, migrated, written, and complained about."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import FixtureError
from providers.exchange import Chunk, Exchange, RecordedRequest, RecordedResponse, load, parse
from providers.exchange.document import line_of
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


@pytest.mark.parametrize("depth", [300, 900])
def test_a_body_nested_without_end_is_named(depth: int) -> None:
    body: list[Any] = []
    for _ in range(depth):
        body = [body]
    with pytest.raises(FixtureError, match=r"response\.body is nested too deep"):
        parse(document(response={"status": 200, "body": body}))


def test_a_connection_that_broke_needs_no_response() -> None:
    exchange = parse(document(response=None, error="connection_reset"))
    assert (exchange.response, exchange.error) == (None, "connection_reset")
    cut = parse(document(error="timeout"))
    assert cut.response is not None
    assert cut.error == "timeout"


BYTES = st.binary(max_size=20)
PIECES = st.lists(st.builds(Chunk, st.floats(0, 1e6), BYTES)).map(tuple)
TYPES = st.sampled_from(["text/event-stream", "application/json", "application/vnd.amazon.eventstream"])
RESPONSES = (
    st.builds(
        RecordedResponse,
        status=st.integers(200, 599),
        headers=TYPES.map(lambda kind: {"content-type": kind}),
        chunks=PIECES,
        form=st.just("chunks"),
        after_ms=st.floats(0, 1e6),
    )
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


MICROSECONDS = st.integers(0, 10**11)


@given(MICROSECONDS, st.lists(MICROSECONDS, max_size=5))
def test_times_are_exact_to_the_microsecond(headers: int, pieces: list[int]) -> None:
    response = RecordedResponse(200, {}, tuple(Chunk(us / 1000, b"x") for us in pieces), "chunks", headers / 1000)
    text = orjson.dumps(document_of(Exchange("openai", "chat", RecordedRequest(), response)))
    # As decimals, whoever reads them.
    written = json.loads(text, parse_float=Decimal, parse_int=Decimal)["response"]
    assert [chunk["after_ms"] * 1000 for chunk in written["chunks"]] == pieces
    assert written.get("after_ms", 0) * 1000 == headers
    back = parse(orjson.loads(text)).response
    assert back is not None
    assert [round(chunk.after_ms * 1000) for chunk in back.chunks] == pieces


def test_pieces_of_framed_events_are_written_alike() -> None:
    kind = {"content-type": "application/vnd.amazon.eventstream"}
    response = RecordedResponse(200, kind, (Chunk(0, b"\x00\x00\x00\x10"), Chunk(1.5, b"\xff")), "chunks")
    document = document_of(Exchange("bedrock", "converse-stream", RecordedRequest(), response))
    assert document["response"]["chunks"] == [
        {"after_ms": 0, "data_base64": "AAAAEA=="},
        {"after_ms": 1.5, "data_base64": "/w=="},
    ]


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["status", "headers", "body", "chunks", "data", "from"]), inner)
    ),
    max_leaves=6,
)


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
        ({"response": {}}, "response.status is 'None'; it must be an HTTP status"),
        ({"response": {"status": 200, "after_ms": "x"}}, "response.after_ms is 'x'; it must be milliseconds from 0 on"),
        (
            {"response": {"status": 200, "chunks": [{"data": "a", "data_base64": "aGk="}]}},
            r"response.chunks\[0\].data and data_base64 are both given; keep one",
        ),
        (
            {"response": {"status": 200, "chunks": [{}, {"data_base46": "aGk="}]}},
            r"unknown key 'response.chunks\[1\].data_base46'; did you mean 'data_base64'\?",
        ),
        ({"response": {"status": 200, "text": ""}}, "unknown key 'response.text'; the keys are status"),
        ({"request": {"bdoy": {}}}, "unknown key 'request.bdoy'; did you mean 'body'\\?"),
        ({"recorded": {"form": "live"}}, "unknown key 'recorded.form'; did you mean 'from'\\?"),
        ({"recorded": {"at": 7}}, "recorded.at is '7'; it must be a string"),
        ({"mach": "any"}, "unknown key 'mach'; did you mean 'match'\\?"),
        ({"zzz": 1}, "unknown key 'zzz'; the keys are version"),
    ],
)
def test_a_mistake_is_named_with_the_file_and_the_key(change: dict[str, Any], says: str) -> None:
    with pytest.raises(FixtureError, match=f"^here.json: {says}"):
        parse(document(**change), "here.json")


SPREAD = """{
  "version": 1,
  "provider": "openai", "api": "chat.completions",
  "request": {"body": {"match": "not this one"}},
  "response": {
    "status": 200,
    "chunks": [
      {"after_ms": 1, "data": "a\\"}],"},
      {"after_ms": -1}
    ]
  },
  "match": "fuzzy"
}
"""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("", ""), r"line 9: response\.chunks\[1\]\.after_ms is '-1'"),
        (('"after_ms": -1', '"data": ""'), "line 12: match is 'fuzzy'"),
        (('"after_ms": -1', '"daat": ""'), r"line 9: unknown key 'response\.chunks\[1\]\.daat'; did you mean 'data'\?"),
        (('"status"', '"after_ms"'), r"line 5: response\.status is 'None'"),
        (('"api": "chat.completions",', ""), "line 1: api is 'None'"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    path = tmp_path / "case.json"
    path.write_text(SPREAD.replace(*change))
    with pytest.raises(FixtureError, match=rf"case\.json, {says}"):
        load(path)


@given(JSON)
def test_every_value_is_found_on_its_line(value: Any) -> None:
    text = json.dumps(value, indent=1)
    lines = text.splitlines()

    def check(value: Any, place: tuple[str | int, ...]) -> None:
        line = lines[line_of(text, place) - 1].strip()
        begins = {dict: "{", list: "["}.get(type(value), json.dumps(value))
        name = f'"{place[-1]}": ' if place and isinstance(place[-1], str) else ""
        assert line.startswith(name + begins)
        parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for step, part in parts:
            check(part, (*place, step))

    check(value, ())
    assert line_of(text, ("nowhere", 3)) == 1


def test_a_document_of_another_kind_is_refused() -> None:
    with pytest.raises(FixtureError, match="a fixture is a JSON object, not list"):
        parse([])


def test_a_file_larger_than_any_recording_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    monkeypatch.delattr(Path, "read_bytes")
    with pytest.raises(FixtureError, match=r"huge\.json is larger than 64 MiB"):
        load(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(FixtureError, match=r"broken\.json is not JSON"):
        load(broken)
    with pytest.raises(FixtureError, match=r"cannot read .*absent\.json"):
        load(tmp_path / "absent.json")


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
