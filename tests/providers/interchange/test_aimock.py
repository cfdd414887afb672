"""aimock's fixtures, read and written: what a provider makes of them, and what is said to be lost."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import ConfigError, FixtureError
from providers.exchange import Exchange, FixtureLibrary, Query, load, save
from providers.exchange.library import packaged_folder
from providers.exchange.listing import streamed
from providers.interchange import aimock
from providers.interchange.aimock_export import entry_of
from providers.interchange.taken import Taken
from providers.vendors.conformance import replay

PROVIDERS = ["openai", "azure_openai", "anthropic", "bedrock", "gemini", "deepseek", "vllm", "ollama"]


def taken(*entries: Any, provider: str = "openai") -> Taken:
    return aimock.take({"fixtures": list(entries)}, "a.json", provider=provider)


def only(entry: dict[str, Any], provider: str = "openai") -> Exchange:
    exchange, *other = taken(entry, provider=provider).exchanges
    # Where streams are an API of their own, a fixture answers both.
    assert len(other) == (provider in ("bedrock", "gemini"))
    return exchange


def says(text: str = "Hi there", question: str | None = "hello", **more: Any) -> dict[str, Any]:
    match = {} if question is None else {"userMessage": question}
    return {"match": match, "response": {"content": text}, **more}


# --- answers ----------------------------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16, "prompt_tokens_details": {"cached_tokens": 4}}
CALL = {"name": "get_weather", "arguments": {"city": "Brno"}}


@pytest.mark.parametrize("more", [{}, {"chunkSize": 3}], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_answer_for_every_provider(provider: str, more: dict[str, Any]) -> None:
    entry = says("Let me look.", response={"content": "Let me look.", "toolCalls": [CALL], "usage": USAGE}, **more)
    exchange = only(entry, provider)
    assert exchange.provider == provider
    assert streamed(exchange) is bool(more)
    row = await replay(exchange)
    assert (row["ok"], row["text"], row["stop"]) == (True, "Let me look.", "tool_calls")
    assert row["tool_calls"] == [{"name": "get_weather", "arguments": {"city": "Brno"}}]
    assert (row["usage"]["input_tokens"], row["usage"]["output_tokens"]) == (9, 7)
    if provider not in ("ollama", "vllm", "azure_openai"):
        assert row["usage"]["cached_input_tokens"] == 4


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"content": "Hi"}, {"text": "Hi", "stop": "stop"}),
        ({"content": {"answer": 4}}, {"text": '{"answer":4}'}),
        ({"content": "Hi", "finishReason": "length"}, {"stop": "length", "finish_reason": "length"}),
        ({"content": "Hi", "finishReason": "content_filter"}, {"stop": "content_filter"}),
        ({"content": "Hi", "reasoning": "Well."}, {"text": "Hi", "reasoning_text": "Well."}),
        ({"content": "Hi", "model": "gpt-9", "id": "chatcmpl-7"}, {"model": "gpt-9"}),
        (
            {"toolCalls": [{"name": "f", "arguments": '{"a": 1}', "id": "call_x"}]},
            {"text": None, "stop": "tool_calls", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]},
        ),
        (
            {"blocks": [
                {"type": "toolCall", "name": "f", "arguments": {"a": 1}}, {"type": "text", "text": "one "},
                {"type": "text", "text": "two"},
            ]},
            {"text": "one two", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]},
        ),
    ],
)  # fmt: skip
async def test_what_is_answered(response: dict[str, Any], expected: dict[str, Any]) -> None:
    row = await replay(only(says(response=response)))
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        (
            "openai",
            {"error_class": "RateLimitError", "error_type": "rate_limit_error", "error_code": "rate_limit_exceeded"},
        ),
        ("anthropic", {"error_class": "RateLimitError", "error_type": "rate_limit_error", "error_code": None}),
        ("bedrock", {"error_class": "RateLimitError", "error_type": "rate_limit_error"}),
        ("gemini", {"error_class": "RateLimitError", "error_type": "rate_limit_error", "error_code": "429"}),
        ("ollama", {"error_class": "RateLimitError", "error_type": None}),
    ],
)
async def test_a_refusal_in_the_words_of_the_provider(provider: str, expected: dict[str, Any]) -> None:
    error = {"message": "Slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
    entry = says(response={"error": error, "status": 429, "retryAfter": 30})
    row = await replay(only(entry, provider))
    assert (row["error_message"], row["retry_after"]) == ("Slow down", 30)
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, "InvalidRequestError"), (401, "AuthenticationError"), (403, "PermissionDeniedError"),
        (404, "ModelNotFoundError"), (429, "RateLimitError"), (500, "ServiceUnavailableError"),
        (503, "ServiceUnavailableError"), (None, "ServiceUnavailableError"),
    ],
)  # fmt: skip
async def test_every_status(status: int | None, error_class: str) -> None:
    response: dict[str, Any] = {"error": {"message": "No"}}
    if status is not None:
        response["status"] = status
    row = await replay(only(says(response=response)))
    assert (row["error_class"], row["error_message"], row["error_type"], row["error_code"]) == (
        error_class, "No", None, None,
    )  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"chunkSize": 3}], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", ["bedrock", "gemini"])
async def test_both_forms_are_answered_where_a_stream_is_an_api_of_its_own(provider: str, more: dict[str, Any]) -> None:
    both = taken(says("Hi there", **more), provider=provider).exchanges
    assert [streamed(exchange) for exchange in both] == [bool(more), not more]
    assert len({exchange.api for exchange in both}) == 2
    for exchange in both:
        assert (await replay(exchange))["text"] == "Hi there"
    refused = taken(says(response={"error": {"message": "No"}, "status": 503}), provider=provider)
    assert [exchange.response and exchange.response.status for exchange in refused.exchanges] == [503, 503]
    assert len(refused.notes) == len(set(refused.notes))


# --- questions --------------------------------------------------------------------------------------------------------


def found(folder: Path, text: str, counts: dict[str, int] | None = None) -> str | None:
    """What answers a question, when the fixtures of a folder are the library."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    match = FixtureLibrary([folder]).find(Query("openai", "chat.completions", orjson.dumps(body)), counts)
    assert match is None or match.exchange.response is not None
    return None if match is None else orjson.loads(match.exchange.response.body)["choices"][0]["message"]["content"]  # type: ignore[union-attr]


def test_a_part_of_the_question_is_enough_and_is_no_pattern(tmp_path: Path) -> None:
    save(only(says("by part", "what (is) a fuse?")), tmp_path, case="one")
    assert found(tmp_path, "Tell me: what (is) a fuse? Please.") == "by part"
    assert found(tmp_path, "what is a fuse?") is None


def test_without_a_question_everything_is_answered(tmp_path: Path) -> None:
    save(only(says("always", None)), tmp_path, case="any")
    assert found(tmp_path, "whatever") == "always"


def test_a_sequence_is_played_in_order(tmp_path: Path) -> None:
    entries = [says(f"answer {n}", match={"userMessage": "again", "sequenceIndex": n}) for n in range(3)]
    for number, exchange in enumerate(taken(*entries).exchanges):
        save(exchange, tmp_path, case=f"s{number}")
    counts: dict[str, int] = {}
    library = FixtureLibrary([tmp_path])
    body = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "again"}]})
    played = [library.require(Query("openai", "chat.completions", body), counts).exchange for _ in range(4)]
    assert [exchange.sequence for exchange in played] == [1, 2, 3, 3]


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "pieces", "times"),
    [
        # The head, four pieces of five characters, the end.
        ({"chunkSize": 5}, 6, [0, 0, 0, 0, 0, 0]),
        ({"chunkSize": 10, "latency": 50}, 4, [50, 50, 50, 50]),
        ({"chunkSize": 10, "streamingProfile": {"ttft": 200, "tps": 40}}, 4, [200, 25, 25, 25]),
        ({"chunkSize": 10, "streamingProfile": {"tps": 40}}, 4, [25, 25, 25, 25]),
        ({"chunkSize": 10, "streamingProfile": {"ttft": 200}, "latency": 7}, 4, [200, 7, 7, 7]),
        (
            {"chunkSize": 10, "streamingProfile": {"ttft": 1}, "recordedTimings": {"ttftMs": 9}},
            4,
            [1, 0, 0, 0],
        ),
        (
            {"recordedTimings": {"ttftMs": 312.5, "interChunkDelaysMs": [12, 9.001, 3], "totalDurationMs": 900}},
            4,
            [312.5, 12, 9.001, 3],
        ),
        (
            {"recordedTimings": {"ttftMs": 300, "interChunkDelaysMs": [12, 8, 4]}, "replaySpeed": 2},
            4,
            [150, 6, 4, 2],
        ),
        (
            {"recordedTimings": {"ttftMs": 300, "interChunkDelaysMs": [12, 8]}, "chunkSize": 5},
            6,
            [300, 12, 8, 10, 10, 10],
        ),
        ({"chunkSize": 10, "truncateAfterChunks": 2, "latency": 5}, 2, [5, 5]),
        ({"chunkSize": 10, "truncateAfterChunks": 0}, 0, []),
        ({"chunkSize": 10, "disconnectAfterMs": 12, "latency": 5}, 2, [5, 5]),
        ({"chunkSize": 10, "truncateAfterChunks": 99}, 4, [0, 0, 0, 0]),
    ],
)
async def test_how_a_stream_comes(how: dict[str, Any], pieces: int, times: list[float]) -> None:
    exchange = only(says("Twenty characters ok", **how))
    response = exchange.response
    assert response is not None
    assert [chunk.after_ms for chunk in response.chunks] == times
    assert len(response.chunks) == pieces
    cut = pieces < 4
    assert exchange.error == ("connection_reset" if cut else None)
    row = await replay(exchange)
    assert row["error_class"] == ("ConnectionFailedError" if cut else None)
    if not cut:
        assert row["text"] == "Twenty characters ok"


def test_the_time_of_a_single_piece_is_that_of_a_whole_answer() -> None:
    exchange = only(says(recordedTimings={"ttftMs": 420, "interChunkDelaysMs": [], "totalDurationMs": 420}))
    assert exchange.response is not None
    assert (streamed(exchange), exchange.response.after_ms) == (False, 420)


# --- what is lost -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (says(chaos={"dropRate": 0.1}), "chaos has no equivalent and was left out"),
        (says(response={"content": "x", "webSearches": ["q"]}), "response.webSearches has no equivalent"),
        (says(streamingProfile={"tps": 5, "jitter": 0.1}), "streamingProfile.jitter has no equivalent"),
        (says(match={"userMessage": "x", "model": "gpt-4o"}), "any model is answered"),
        (says(match={"userMessage": "x", "systemMessage": ["a", "b"]}), "match.systemMessage is kept in the request"),
        (says(match={"userMessage": "x", "hasToolResult": True}), "match.hasToolResult is not looked at here"),
        (says(match={"userMessage": "x", "turnIndex": 1}), "match.turnIndex counts the requests of a run here"),
        (says(response={"content": "x", "audio": "b64"}), "response.audio has no equivalent"),
    ],
)
def test_what_has_no_equivalent_is_told_and_the_rest_is_taken(entry: dict[str, Any], told: str) -> None:
    result = taken(says(), entry)
    assert len(result.exchanges) == 2
    assert any(note.startswith("a.json: fixtures[1]: ") and told in note for note in result.notes), result.notes


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (says(response={"embedding": [0.1]}), "an answer of 'embedding' is none of a chat; left out"),
        (says(response={}), "an answer of nothing is none of a chat; left out"),
        (says(match={"userMessage": "x", "endpoint": "image"}), "match.endpoint 'image' is no chat; left out"),
        (says(match={"toolCallId": "call_1"}), "it matches by toolCallId alone, for which there is no rule here"),
    ],
)
def test_what_is_no_chat_is_left_out_and_told(entry: dict[str, Any], told: str) -> None:
    result = taken(entry, says())
    assert len(result.exchanges) == 1
    assert f"a.json: fixtures[0]: {told}" in result.notes[0]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"fixtures": {}}, "fixtures is '{}'; it must be a list of objects"),
        ({"fixtures": [7]}, "fixtures is '\\[7\\]'; it must be a list of objects"),
        ({"fixtures": [{}]}, r"fixtures\[0\].match is missing"),
        ({"fixtures": [{"match": {}}]}, r"fixtures\[0\].response is missing"),
        (
            {"fixtures": [says(match={"userMessage": 7})]},
            r"fixtures\[0\].match.userMessage is '7'; it must be a string",
        ),
        ({"fixtures": [says(match={"sequenceIndex": -1})]}, r"match.sequenceIndex is '-1'; it must be a whole number"),
        ({"fixtures": [says(latency="fast")]}, r"fixtures\[0\].latency is 'fast'; it must be milliseconds"),
        ({"fixtures": [says(chunkSize=1.5)]}, r"chunkSize is '1.5'; it must be a whole number"),
        ({"fixtures": [says(recordedTimings={"interChunkDelaysMs": [1, "x"]})]}, r"interChunkDelaysMs is 'x'"),
        ({"fixtures": [says(response={"toolCalls": [{"arguments": "{}"}]})]}, r"toolCalls\[0\].name is 'None'"),
        (
            {"fixtures": [says(response={"error": {"message": "x"}, "status": 200})]},
            "status is '200'; it must be an HTTP",
        ),
        ({"fixtures": [says(response={"error": "x"})]}, r"response.error is 'x'; it must be an object"),
        ({"fixtures": [says(response={"error": {"message": "x"}, "retryAfter": "x"})]}, "it must be seconds from 0 on"),
    ],
)
def test_a_mistake_is_named_with_its_place(document: dict[str, Any], told: str) -> None:
    with pytest.raises(FixtureError, match=f"^a.json: .*{told}"):
        aimock.take(document, "a.json")


def test_an_unknown_provider_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown provider kind 'opnai': did you mean 'openai'"):
        taken(says(), provider="opnai")


KEYS = st.sampled_from(
    ["userMessage", "content", "toolCalls", "error", "status", "name", "arguments", "usage", "message", "type", "text",
     "ttft", "tps", "ttftMs", "interChunkDelaysMs", "sequenceIndex", "model"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.floats(0, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["match", "response", "latency", "chunkSize", "streamingProfile", "recordedTimings", "blocks"]),
        JSON,
    ),
    st.sampled_from(["openai", "anthropic", "gemini", "bedrock"]),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_no_document_raises_anything_else(entry: dict[str, Any], provider: str) -> None:
    with suppress(FixtureError):
        taken({"match": {}, "response": {"content": "x"}, **entry}, provider=provider)


# --- there and back ---------------------------------------------------------------------------------------------------

KEPT = (
    "text",
    "reasoning_text",
    "tool_calls",
    "stop",
    "usage",
    "error_class",
    "error_message",
    "error_type",
    "retry_after",
)
LIBRARY = sorted(path.relative_to(packaged_folder()) for path in packaged_folder().glob("*/*.json"))


async def there_and_back(exchange: Exchange) -> Exchange | None:
    entry = await entry_of(exchange, lambda note: None)
    if entry is None:
        return None
    # As a file, so that nothing but JSON counts.
    document = orjson.loads(orjson.dumps({"fixtures": [entry]}))
    return aimock.take(document, "a.json", provider=exchange.provider).exchanges[0]


@pytest.mark.parametrize("path", LIBRARY, ids=str)
async def test_what_a_fixture_says_survives_the_way_there_and_back(path: Path) -> None:
    exchange = load(packaged_folder() / path)
    back = await there_and_back(exchange)
    row = await replay(exchange)
    if back is None:
        # Silence, a connection that breaks before or inside a whole answer, a good answer with a failure or nothing.
        assert row["error_class"] is not None or not (row["text"] or row["tool_calls"])
        assert exchange.response is None or exchange.response.status < 400
        return
    again = await replay(back)
    lost = {name for name in KEPT if row[name] != again[name]}
    if row["error_class"] == "StreamInterruptedError":
        # aimock breaks the connection where the recorded body ends early.
        lost -= {"error_class", "error_message"}
    if exchange.error is not None or row["error_class"] == "StreamInterruptedError" or row["usage"] is None:
        # What was counted before the cut is written after it; and where nothing was counted, Bedrock's format says 0.
        lost -= {"usage"}
    if "jurassic" in path.name:
        # These bodies hold no numbers; they came in headers.
        lost -= {"usage"}
    if not row["text"]:
        # An empty one is none.
        lost -= {"text"}
    if row["stop"] == "other":
        lost -= {"stop"}
    assert lost == set()


@pytest.mark.parametrize("path", LIBRARY, ids=str)
async def test_what_is_written_is_what_aimock_takes(path: Path) -> None:
    """The rules of `aimock validate` (its `fixture-loader`), which refuses a whole file for one entry."""
    entry = await entry_of(load(packaged_folder() / path), lambda note: None)
    if entry is None:
        return
    response = entry["response"]
    assert {"content", "toolCalls", "error"} & set(response)
    assert response.get("content") != ""
    details = {"prompt_tokens_details", "completion_tokens_details"}
    for name, value in response.get("usage", {}).items():
        numbers = value.values() if name in details else [value]
        assert all(isinstance(number, int) for number in numbers), name


async def test_times_survive_the_way_there_and_back() -> None:
    exchange = load(packaged_folder() / "openai" / "chat-stream.json")
    back = await there_and_back(exchange)
    assert exchange.response is not None
    assert back is not None
    assert back.response is not None
    times = [[chunk.after_ms for chunk in each.response.chunks if each.response] for each in (exchange, back)]  # type: ignore[union-attr]
    assert times[0] == times[1]


async def test_the_question_survives_the_way_there_and_back(tmp_path: Path) -> None:
    exchange = load(packaged_folder() / "openai" / "circuit-breakers-plain.json")
    entry = await entry_of(exchange, lambda note: None)
    assert entry is not None
    assert entry["match"] == {
        "endpoint": "chat", "userMessage": "Explain circuit breakers to a cook.", "model": "gpt-4o-mini",
    }  # fmt: skip
    back = await there_and_back(exchange)
    assert back is not None
    assert re.search(back.pattern or "", "Please: Explain circuit breakers to a cook. Now.")


@pytest.mark.parametrize(
    ("change", "match", "told"),
    [
        ({"match": "any"}, {"endpoint": "chat"}, None),
        ({"match": "regex", "pattern": re.escape("a (b)?")}, {"endpoint": "chat", "userMessage": "a (b)?"}, None),
        ({"match": "regex", "pattern": "^a+$"}, None, "the pattern '^a+$' has no equivalent in JSON"),
        ({"match": "last_user_message", "sequence": 3}, {"sequenceIndex": 2}, None),
    ],
)
async def test_how_a_fixture_matches_is_written(
    change: dict[str, Any], match: dict[str, Any] | None, told: str | None
) -> None:
    exchange = load(packaged_folder() / "openai" / "chat-plain.json")
    for name, value in change.items():
        setattr(exchange, name, value)
    notes: list[str] = []
    entry = await entry_of(exchange, notes.append)
    assert entry is not None
    if match is not None:
        assert match.items() <= entry["match"].items()
    if exchange.match == "any":
        assert entry["match"] == match
    assert [note for note in notes if told and note.startswith(told)] == notes if told else notes == []
