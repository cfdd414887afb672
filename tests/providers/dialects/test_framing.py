"""Lines and server-sent events out of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects import dialect, lines
from providers.dialects.lines import PieceSplitter
from providers.dialects.sse import SseEvent, SseSplitter
from providers.errors import MalformedResponseError
from tests.providers.dialects.recorded import cut


def events(*pieces: bytes) -> list[SseEvent]:
    splitter = SseSplitter()
    found = [event for piece in pieces for event in splitter.feed(piece)]
    return found + splitter.close()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"data:a\n\n", [(b"", b"a")]),
        (b"data:  two spaces\n\n", [(b"", b" two spaces")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"data\n\n", [(b"", b"")]),
        (b"event: error\ndata: x\n\n", [(b"error", b"x")]),
        (b"data: x\nevent: late\n\n", [(b"late", b"x")]),
        (b"event: lost\n\ndata: x\n\n", [(b"", b"x")]),
        (b"id: 7\nretry: 10\ndata: x\n\n", [(b"", b"x")]),
        (b": keep-alive\n\n:\n\n\n\ndata: x\n\n", [(b"", b"x")]),
        (b": comment\ndata: x\n: comment\n\n", [(b"", b"x")]),
        (b"data: x\r\n\r\ndata: y\r\r", [(b"", b"x"), (b"", b"y")]),
        (b"\xef\xbb\xbfdata: x\n\n", [(b"", b"x")]),
        (b"data: no blank line at the end", [(b"", b"no blank line at the end")]),
        (b"unknown: field\ndata: x\n\n", [(b"", b"x")]),
        (b"", []),
    ],
)
def test_events(body: bytes, expected: list[SseEvent]) -> None:
    assert events(body) == expected
    assert events(*(bytes([b]) for b in body)) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_cut_within_a_line_end_ends_one_line_only(end: bytes) -> None:
    body = end.join([b"event: e", b"data: a", b"data: b", b"", b"data: c", b"", b""])
    for place in range(len(body) + 1):
        assert events(body[:place], body[place:]) == [(b"e", b"a\nb"), (b"", b"c")]


LINES = st.lists(
    st.sampled_from([b"data: a", b"data: \xc3\xa9", b"data:", b"event: e", b": c", b"", b"x: y"]), max_size=12
)


@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 200), max_size=10))
def test_no_cut_and_no_kind_of_line_end_changes_the_events(body: list[bytes], end: bytes, places: list[int]) -> None:
    plain = b"".join(line + b"\n" for line in body)
    other = b"".join(line + end for line in body)
    assert events(*cut(other, places)) == events(plain)


@given(
    st.lists(st.binary(max_size=6).filter(lambda b: not set(b) & set(b"\r\n")), max_size=8),
    st.lists(st.integers(0, 60)),
)
def test_lines_are_what_was_joined(pieces: list[bytes], places: list[int]) -> None:
    splitter = PieceSplitter(b"\n")
    found = [line for part in cut(b"\n".join(pieces), places) for line in splitter.feed(part)]
    assert [*found, splitter.rest()] == (pieces or [b""])


def test_text_that_is_no_event_stream_is_kept_whole() -> None:
    splitter = SseSplitter()
    assert splitter.feed(b'{"error":\n\n{"message": 1}}') == []
    assert splitter.close() == []
    assert splitter.foreign() == b'{"error":\n\n{"message": 1}}'
    splitter = SseSplitter()
    splitter.feed(b"data: x\n\nnonsense\n\n")
    assert splitter.foreign() == b""


@pytest.mark.parametrize("name", ["openai_chat", "anthropic_messages", "ollama"])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_endless_line_is_refused_and_not_collected(name: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_PIECE", 500)
    decoder = dialect(name).decoder()
    decoder.feed(b"data: ")
    for _ in range(490 // step):
        decoder.feed(b"x" * step)
    with pytest.raises(MalformedResponseError, match="line or event of more than"):
        decoder.feed(b"x" * (500 + step))


def test_an_endless_event_of_many_lines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_PIECE", 500)
    splitter = SseSplitter()
    for _ in range(500 // len(b"data: x\n")):
        splitter.feed(b"data: x\n")
    with pytest.raises(MalformedResponseError):
        splitter.feed(b"data: x\n")


def test_a_long_piece_that_comes_whole_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_PIECE", 500)
    with pytest.raises(MalformedResponseError):
        SseSplitter().feed(b"data: " + b"x" * 600 + b"\n\n")
    assert len(SseSplitter().feed(b"data: x\n\n" * 200)) == 200
