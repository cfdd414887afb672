"""A recorded answer taken apart, drawn and compared, without a screen."""

from __future__ import annotations

from binascii import b2a_base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from providers.exchange import Chunk, Exchange, RecordedRequest, RecordedResponse, load
from providers.vendors.reading import time_line, wire_events
from sandbox.tui.fixtures import comparison, drawing
from sandbox.tui.pieces import Line
from tests.shared_material import needs_wire, wire_dir
from tests.tui.shelves import ANSWER, Shelves, chat, frames, sse

SSE, NDJSON, BINARY = "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"


def answered(body: bytes, kind: str, *, api: str = "chat.completions", path: str = "/v1", cuts: int = 0) -> Exchange:
    """A streamed answer in pieces of `cuts` bytes (0: whole), 10 ms apart."""
    pieces = [body[at : at + cuts] for at in range(0, len(body), cuts)] if cuts else [body]
    response = RecordedResponse(200, {"content-type": kind}, tuple(Chunk(10.0, piece) for piece in pieces), "chunks")
    return Exchange("openai", api, RecordedRequest(path=path, body=chat(stream=True)), response, name="openai/x.json")


def text(lines: list[Line]) -> str:
    return drawing.texts(lines)


STREAMS = [
    (b'event: a\ndata: {"n": 1}\n\n: keep-alive\n\ndata: [DONE]\n\n', SSE, "chat.completions", "/v1"),
    (b'{"n": 1}\n{"n": 2}\n', NDJSON, "chat", "/api/chat"),
    (frames(("messageStart", {"role": "assistant"}), ("messageStop", {})), BINARY, "converse-stream", "/model/m/x"),
    (b'[{"n": 1}\n,{"n": 2}]', "application/json", "streamGenerateContent", "/v1beta/x:streamGenerateContent"),
]
EVENTS = [
    [("a", '{"n":1}'), ("", ": keep-alive"), ("", "[DONE]")],
    [("", '{"n":1}'), ("", '{"n":2}')],
    [("messageStart", '{"role":"assistant"}'), ("messageStop", "{}")],
    [("", '{"n":1}'), ("", '{"n":2}')],
]


@pytest.mark.parametrize(
    ("stream", "events"), [*zip(STREAMS, EVENTS, strict=True)], ids=["sse", "ndjson", "binary", "json"]
)
@pytest.mark.parametrize("cuts", [0, 1, 3, 50])
def test_events_in_every_framing_and_any_split(stream: Any, events: list[tuple[str, str]], cuts: int) -> None:
    body, kind, api, path = stream
    found = wire_events(answered(body, kind, api=api, path=path, cuts=cuts))
    assert [(event.name, event.data) for event in found] == events
    times = [event.at_ms for event in found]
    assert times == sorted(times)
    # An event is complete when its last byte is there.
    assert cuts != 1 or times[-1] >= 10 * (len(body) - 2)


def test_a_message_that_only_wraps_base64_is_unwrapped() -> None:
    inner = b2a_base64(b'{"type": "content_block_stop"}', newline=False).decode()
    (event,) = wire_events(answered(frames(("chunk", {"bytes": inner})), BINARY, api="invoke-stream"))
    assert (event.name, event.data) == ("chunk", '{"type":"content_block_stop"}')


def test_a_damaged_message_is_shown_as_bytes() -> None:
    damaged = bytearray(frames(("messageStop", {})))
    damaged[-1] ^= 1
    (event,) = wire_events(answered(bytes(damaged), BINARY, api="converse-stream"))
    assert "no message" in event.data


def test_what_a_cut_left_over_is_the_last_event() -> None:
    found = wire_events(answered(b'data: {"n": 1}\n\ndata: {"n', SSE))
    assert [event.data for event in found] == ['{"n":1}', '{"n']


@given(st.binary(max_size=200), st.sampled_from([SSE, NDJSON, BINARY, "application/json"]), st.integers(0, 7))
def test_no_bytes_break_the_reading(body: bytes, kind: str, cuts: int) -> None:
    exchange = answered(body, kind, cuts=cuts)
    wire_events(exchange)
    for width in (40, 90):
        drawing.hung(drawing.response_lines(exchange), width)
        drawing.time_line_lines(exchange, width)
    drawing.response_text(exchange)


# --- the time line --------------------------------------------------------------------------------------------------


@pytest.fixture
def shelves(tmp_path: Path) -> Shelves:
    return Shelves(tmp_path / "packaged", tmp_path / "own")


def test_each_chunk_has_its_time_and_what_was_in_it(shelves: Shelves) -> None:
    line = time_line(load(shelves.stream("openai/s")))
    assert [piece.at_ms for piece in line.pieces] == [400, 420, 440, 460, 480]
    assert "".join(piece.text for piece in line.pieces) == ANSWER
    assert (line.first, line.first_ms, line.total_ms) == (1, 420, 480)


@pytest.mark.parametrize("width", [40, 74, 110])
def test_the_first_text_is_marked_and_no_row_is_too_wide(shelves: Shelves, width: int) -> None:
    lines = drawing.time_line_lines(load(shelves.stream("openai/s")), width)
    shown = text(lines)
    assert "5 chunks" in shown
    assert "first text after 420 ms" in shown
    marked = [row for row in shown.splitlines() if row.endswith("◀") and "It melts" in row]
    assert len(marked) == 1 or width == 40
    assert all(cell_len(row) <= width for row in shown.splitlines()[3:])


def test_a_body_without_times_says_so(shelves: Shelves) -> None:
    assert "kept whole" in text(drawing.time_line_lines(load(shelves.put("openai/p")), 80))


def test_no_answer_is_said_in_every_tab(shelves: Shelves) -> None:
    exchange = load(shelves.put("openai/t", response=None, error="timeout"))
    for lines in (drawing.response_lines(exchange), drawing.time_line_lines(exchange, 80)):
        assert "the connection fell silent before an answer" in text(lines)


def test_a_connection_that_broke_midway_is_said_below_what_came(shelves: Shelves) -> None:
    chunks = sse("It melts")[:2]
    response = {"status": 200, "headers": {"content-type": SSE}, "chunks": chunks}
    shown = text(drawing.response_lines(load(shelves.put("openai/c", response=response, error="connection_reset"))))
    assert "It melts" in shown
    assert shown.splitlines()[-1] == "✗ the connection broke after what is shown"


# --- lines ----------------------------------------------------------------------------------------------------------


def test_a_request_is_shown_whole(shelves: Shelves) -> None:
    path = shelves.put("openai/p", note="Asked by hand.", source={"repo": "someone/something", "licence": "MIT"})
    shown = text(drawing.request_lines(load(path)))
    for part in ("POST /v1/chat/completions", "Asked by hand.", '"model": "gpt-4o-mini"', "someone/something", "MIT"):
        assert part in shown


@pytest.mark.parametrize(
    "value", [{"a": [1, None, True, "x\ny"], "b": {}}, [], "plain\ntext", 12, {"ö": "日本語" * 50}]
)
def test_pretty_json_loses_nothing(value: Any) -> None:
    shown = text(drawing.json_lines(value))
    assert shown == (value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


@given(
    st.lists(st.text(st.characters(blacklist_characters="\n\r\t\x07\x08\x0b\x0c", max_codepoint=0xD7FF)), max_size=4),
    st.integers(8, 60),
)
def test_wrapped_lines_fit_and_keep_every_letter(texts: list[str], width: int) -> None:
    lines: list[Line] = [[("label ", ""), (one, "")] for one in texts]
    found = drawing.hung(lines, width)
    assert all(content.cell_length <= width for content in found)
    # What is added stands at the beginning of a line, and is blank.
    joined = "".join(content.plain for content in found).replace(" ", "")
    assert joined == "".join(f"label{one}" for one in texts).replace(" ", "")


@pytest.mark.parametrize("width", range(40, 100))
def test_no_name_of_a_field_is_torn(width: int) -> None:
    fields = "input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, error_message"
    shown = " ".join(content.plain.strip() for content in drawing.hung([[("✓ ", ""), (fields, "")]], width))
    assert shown == f"✓ {fields}"


def test_very_much_is_cut_with_a_word_about_it(shelves: Shelves) -> None:
    body = chat("x" * 10_000, tools=[{"n": number} for number in range(drawing.MAX_LINES)])
    shown = text(drawing.request_lines(load(shelves.put("openai/big", body))))
    assert "(10,002 characters)" in shown
    assert "lines more: y copies all" in shown.splitlines()[-1]


# --- two of them ----------------------------------------------------------------------------------------------------


def test_a_comparison_names_what_differs(shelves: Shelves) -> None:
    one = load(shelves.put("openai/one"), "openai/one.json")
    two = load(shelves.put("openai/two", chat("Another?", temperature=0)), "openai/two.json")
    found = comparison.compare(one, two)
    assert [difference.path for difference in found.asked] == ["body.messages[0].content", "body.temperature"]
    assert found.expected == ()
    assert found.answered == ()
    for width in (60, 140):
        shown = text(comparison.comparison_lines(found, width))
        assert "Another?" in shown
        assert "✓ the same" in shown


def test_answers_are_compared_line_by_line(shelves: Shelves) -> None:
    one = load(shelves.put("openai/one"), "openai/one.json")
    body = orjson.dumps({"id": "chatcmpl-1", "model": "gpt-4o-mini", "more": 1}).decode()
    response = {"status": 500, "headers": {"content-type": "application/json"}, "body": body}
    two = load(shelves.put("openai/two", response=response), "openai/two.json")
    found = comparison.compare(one, two)
    assert ("changed", "status 200", "status 500") in found.answered
    assert ("equal", '  "id": "chatcmpl-1",', '  "id": "chatcmpl-1",') in found.answered
    side = text(comparison.comparison_lines(found, 140)).splitlines()
    assert any(row.startswith("- status 200") and row.endswith("│ + status 500") for row in side)
    stacked = text(comparison.comparison_lines(found, 60)).splitlines()
    assert stacked.index("+ status 500") == stacked.index("- status 200") + 1


def test_long_equal_stretches_are_left_out(shelves: Shelves) -> None:
    def many(last: int) -> dict[str, Any]:
        body = orjson.dumps({"rows": [*range(200), last]}).decode()
        return {"status": 200, "headers": {"content-type": "application/json"}, "body": body}

    one = load(shelves.put("openai/one", response=many(1)), "openai/one.json")
    two = load(shelves.put("openai/two", response=many(2)), "openai/two.json")
    shown = text(comparison.comparison_lines(comparison.compare(one, two), 140))
    assert "equal lines" in shown
    assert len(shown.splitlines()) < 40


@needs_wire
def test_all_real_traffic_can_be_drawn_and_its_streams_be_read() -> None:
    folder = wire_dir()
    assert folder is not None
    for path in sorted(folder.rglob("*.json")):
        exchange = load(path)
        for width in (56, 100):
            for lines in (drawing.request_lines(exchange), drawing.response_lines(exchange)):
                assert all(content.cell_length <= width for content in drawing.hung(lines, width)), path
            drawing.time_line_lines(exchange, width)
        events = exchange.expected.get("stream_events")
        if events and exchange.response is not None and exchange.response.status < 400:
            assert len(wire_events(exchange)) == events, path
