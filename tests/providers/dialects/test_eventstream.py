"""Event-stream messages out of bytes and into bytes, as AWS's own client reads them."""

from __future__ import annotations

from struct import error as StructError
from struct import pack
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects import eventstream
from providers.dialects.eventstream import Frame, FrameSplitter, write_frame
from providers.errors import MalformedResponseError
from tests.providers.dialects.recorded import cut

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
FRAMES = st.tuples(st.dictionaries(NAMES, TEXTS, max_size=4), st.binary(max_size=80))


def message(headers: bytes, payload: bytes = b"", *, total: int | None = None) -> bytes:
    """A message around raw headers, with right checksums, whatever else is wrong with it."""
    size = 16 + len(headers) + len(payload) if total is None else total
    prelude = pack(">II", size, len(headers))
    body = prelude + pack(">I", crc32(prelude)) + headers + payload
    return body + pack(">I", crc32(body))


def header(name: bytes, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([kind]) + value


def read(*pieces: bytes) -> list[Frame]:
    splitter = FrameSplitter()
    found = [frame for piece in pieces for frame in splitter.feed(piece)]
    return found + splitter.close()


def theirs(*pieces: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """What botocore makes of the bytes."""
    buffer = EventStreamBuffer()
    found = []
    for piece in pieces:
        buffer.add_data(piece)
        found += [(event.headers, event.payload) for event in buffer]
    return found


# --- against AWS's own client ---------------------------------------------------------------------------------------


@given(st.lists(FRAMES, max_size=4), st.lists(st.integers(0, 600), max_size=8))
def test_what_is_written_is_read_alike_by_both_however_it_is_cut(
    frames: list[tuple[dict[str, str], bytes]], places: list[int]
) -> None:
    body = b"".join(write_frame(headers, payload) for headers, payload in frames)
    pieces = cut(body, places)
    assert theirs(*pieces) == frames
    assert read(*pieces) == frames
    assert read(*(bytes([b]) for b in body)) == frames


TYPES: list[tuple[int, bytes, object]] = [
    (0, b"", True),
    (1, b"", False),
    (2, pack(">b", -7), -7),
    (3, pack(">h", -700), -700),
    (4, pack(">i", -70_000), -70_000),
    (5, pack(">q", -7_000_000_000), -7_000_000_000),
    (6, pack(">H", 3) + b"\x00\xff\x01", b"\x00\xff\x01"),
    (7, pack(">H", 3) + "že".encode(), "že"),
    (8, pack(">q", 1_735_689_600_000), 1_735_689_600_000),
    (9, UUID(int=5).bytes, UUID(int=5).bytes),
]


@pytest.mark.parametrize(("kind", "value", "expected"), TYPES)
def test_every_type_of_header_is_read(kind: int, value: bytes, expected: object) -> None:
    body = message(header(b"a", kind, value) + header(b"after", 7, pack(">H", 1) + b"x"), b"{}")
    assert read(body) == theirs(body) == [({"a": expected, "after": "x"}, b"{}")]
    (frame,) = read(body)
    assert frame.text("a") == (expected if kind == 7 else "")
    assert frame.text("absent") == ""


HEADER = header(b"a", 7, pack(">H", 1) + b"x")
BAD: dict[str, bytes] = {
    "a wrong checksum of the lengths": message(HEADER)[:8] + b"\0\0\0\0" + message(HEADER)[12:],
    "a wrong checksum of the message": message(HEADER)[:-1] + bytes([message(HEADER)[-1] ^ 1]),
    "a damaged payload": message(HEADER, b"{}").replace(b"{}", b"{]"),
    "a payload too long": message(b"", total=eventstream.MAX_PAYLOAD + 17),
    "a header twice": message(HEADER + HEADER),
    "a header of no known type": message(header(b"a", 10, b"")),
    "a text that is no UTF-8": message(header(b"a", 7, pack(">H", 1) + b"\xff")),
    "a name that is no UTF-8": message(header(b"\xff", 0, b"")),
    "a header without a type": message(b"\x01a"),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_malformed_for_both_and_loses_nothing_before_it(body: bytes) -> None:
    with pytest.raises((ParserError, UnicodeDecodeError, KeyError, StructError)):
        theirs(body)
    good = write_frame({"a": "b"}, b"{}")
    for pieces in ([good + body], [good, body], [bytes([b]) for b in good + body]):
        splitter, found = FrameSplitter(), []
        with pytest.raises(MalformedResponseError, match="the event stream has"):
            for piece in pieces:
                for frame in splitter.feed(piece):
                    found.append(frame)
        assert found == [({"a": "b"}, b"{}")]


@pytest.mark.parametrize(
    "body",
    [
        message(b"", total=15),
        message(HEADER, total=16),
        message(header(b"a", 7, pack(">H", 9) + b"x")),
        message(header(b"a", 9, b"short")),
        message(header(b"a", 5, b"\0\0")),
        message(b"\x09abc"),
    ],
)
def test_lengths_that_do_not_fit_are_malformed(body: bytes) -> None:
    """AWS's own client reads past some of these."""
    with pytest.raises(MalformedResponseError):
        read(body)


@given(st.lists(FRAMES, min_size=1, max_size=3), st.data())
def test_a_flipped_bit_is_never_missed(frames: list[tuple[dict[str, str], bytes]], data: st.DataObject) -> None:
    body = bytearray(b"".join(write_frame(headers, payload) for headers, payload in frames))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = read(bytes(body))
    except MalformedResponseError:
        return
    # A first byte can become that of a text; nothing else passes.
    assert found == []
    assert place == 0


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_are_messages_or_malformed(body: bytes, places: list[int]) -> None:
    try:
        found = read(*cut(body, places))
    except MalformedResponseError:
        return
    assert body[:1] in b"{[< \r\n\t" or found == theirs(body)


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_a_message_of_the_largest_size_is_read_and_a_larger_one_refused_by_its_first_bytes() -> None:
    payload = bytes(eventstream.MAX_PAYLOAD)
    assert read(*cut(write_frame({"a": "b"}, payload), range(0, len(payload), 1_000_000)))[0].payload == payload
    with pytest.raises(MalformedResponseError, match="a message of"):
        read(write_frame({"a": "b"}, payload + b"x")[:12])
    big = pack(">II", eventstream.MAX_HEADERS + 17, eventstream.MAX_HEADERS + 1)
    with pytest.raises(MalformedResponseError, match="of headers"):
        read(big + pack(">I", crc32(big)))


def test_no_more_than_one_message_is_kept() -> None:
    splitter = FrameSplitter()
    frame = write_frame({"a": "b"}, b"x" * 1000)
    for _ in range(50):
        for piece in (frame[:500], frame[500:] + frame[:500], frame[500:]):
            list(splitter.feed(piece))
            assert len(splitter._kept) <= len(frame)


def test_text_in_place_of_messages_is_kept_whole_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    splitter = FrameSplitter()
    assert list(splitter.feed(b'\n{"message":')) == []
    assert list(splitter.feed(b'"no"}')) == []
    assert splitter.close() == []
    assert splitter.foreign() == b'\n{"message":"no"}'
    monkeypatch.setattr(eventstream, "MAX_PAYLOAD", 100)
    with pytest.raises(MalformedResponseError, match="text of more than 100 bytes"):
        for _ in range(11):
            list(splitter.feed(b"x" * 10))


def test_a_message_that_the_end_cut_is_none_and_no_text_either() -> None:
    splitter = FrameSplitter()
    assert list(splitter.feed(write_frame({"a": "b"}, b"{}")[:-1])) == []
    assert (splitter.close(), splitter.foreign()) == ([], b"")
