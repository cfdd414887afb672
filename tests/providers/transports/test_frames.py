"""Streams in their events: nothing is lost or made up, however the bytes came."""

from __future__ import annotations

import time
from itertools import pairwise
from struct import pack
from zlib import crc32

import orjson
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from providers.transports import frames as frames_module
from providers.transports.frames import EVENT_STREAM, damaged, splitter


def message(payload: bytes) -> bytes:
    headers = b"\x0b:event-type\x07\x00\x05chunk"
    prelude = pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = prelude + pack(">I", crc32(prelude)) + headers + payload
    return whole + pack(">I", crc32(whole))


STREAMS = {
    "text/event-stream; charset=utf-8": [
        b'data: {"a":1}\n\n',
        b'event: x\r\ndata: {"b":[2,"\\"]}"]}\r\n\r\n',
        b": keep-alive\n\n",
        b"data: [DONE]\n\n",
    ],
    "application/x-ndjson": [b'{"a":1}\n', b'{"b":"}{"}\n', b'{"done":true}\n'],
    EVENT_STREAM: [message(b'{"p":"abc"}'), message(b""), message(b'{"bytes":"AA=="}')],
    "application/json": [b'[{"a":[1,{"x":"]"}]}', b',\r\n{"b":"\\\\\\"}"}', b',{"c":2}'],
}


@pytest.mark.parametrize("kind", STREAMS)
@given(cuts=st.lists(st.integers(0, 200), max_size=12), tail=st.binary(max_size=9))
def test_the_same_events_however_the_bytes_were_cut(kind: str, cuts: list[int], tail: bytes) -> None:
    whole = b"".join(STREAMS[kind])
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    frames = splitter(kind)
    found = [frame for a, b in pairwise(edges) for frame in frames.feed(whole[a:b])]
    assert found == STREAMS[kind]
    more = frames.feed(tail)
    assert b"".join([*more, frames.rest()]) == tail


@pytest.mark.parametrize("kind", STREAMS)
@given(pieces=st.lists(st.binary(max_size=40), max_size=8))
def test_no_byte_is_lost_of_what_is_no_stream_at_all(kind: str, pieces: list[bytes]) -> None:
    frames = splitter(kind)
    found = [frame for piece in pieces for frame in frames.feed(piece)]
    assert b"".join([*found, frames.rest()]) == b"".join(pieces)


@pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson", "application/json"])
@given(value=st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(0, 9), max_size=4))
def test_a_damaged_event_keeps_its_frame_and_loses_its_sense(kind: str, value: dict[str, object]) -> None:
    payload = orjson.dumps(value)
    frame = b"data: " + payload + b"\n\n" if "event-stream" in kind else payload + b"\n"
    bad = damaged(frame, kind)
    assert bad.endswith(b"\n\n" if "event-stream" in kind else b"\n")
    assert len(splitter("text/event-stream" if "event-stream" in kind else "ndjson").feed(bad)) == 1
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(bad.removeprefix(b"data: "))


def test_a_damaged_message_has_right_checksums_around_broken_json() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(damaged(message(b'{"text":"hello"}'), EVENT_STREAM))
    (event,) = list(buffer)
    assert event.payload == b'{"text":'
    assert event.headers[":event-type"] == "chunk"


@given(
    frame=st.binary(max_size=40)
    | st.binary(min_size=12, max_size=30).map(lambda rest: pack(">I", 4 + len(rest)) + rest)
)
def test_what_is_no_message_is_damaged_too(frame: bytes) -> None:
    bad = damaged(frame, EVENT_STREAM)
    assert len(bad) <= len(frame)
    assert bad != frame or not frame


@pytest.mark.parametrize("kind", STREAMS)
def test_a_frame_that_comes_in_many_reads_is_looked_at_once(kind: str) -> None:
    reads = 4000
    first = pack(">I", 1 << 30) if kind == EVENT_STREAM else b'[{"a":"' if kind == "application/json" else b"data: "
    frames = splitter(kind)
    frames.feed(first)
    piece = b"x" * 1000
    began = time.process_time()
    for _ in range(reads):
        assert frames.feed(piece) == []
    # A hundredth of it; several seconds where each read looks through, or copies, all before it.
    assert time.process_time() - began < 1.0
    assert len(frames.rest()) == len(first) + reads * len(piece)


@pytest.mark.parametrize("kind", STREAMS)
def test_a_frame_without_end_is_handed_on_and_not_collected(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "MAX_KEPT", 100)
    first = pack(">I", 1 << 30) if kind == EVENT_STREAM else b'[{"a":"' if kind == "application/json" else b"data: "
    frames = splitter(kind)
    assert frames.feed(first + b"x" * 50) == []
    assert frames.feed(b"x" * 50) == [first + b"x" * 100]
    assert frames.rest() == b""
