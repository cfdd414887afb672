"""Raw bodies of streams in their single events, whatever the format: where a fault can cut, hold back or damage one.

Nothing is decoded and nothing is lost: the frames and the rest, joined, are the bytes that came.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Final, Protocol
from zlib import crc32

EVENT_STREAM: Final = "application/vnd.amazon.eventstream"

_BLANK_LINE: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_STRUCTURE: Final = re.compile(rb'["\\{}\[\]]')
_PRELUDE: Final = Struct(">II")
_WORD: Final = Struct(">I")
_OVERHEAD: Final = 16
"""Bytes of an event-stream frame beside its headers and its payload: two lengths and two checksums."""


class FrameSplitter(Protocol):
    def feed(self, data: bytes) -> list[bytes]:
        """The frames completed by these bytes, each with what separates it from the next."""
        ...

    def rest(self) -> bytes:
        """What came after the last frame."""
        ...


def splitter(content_type: str) -> FrameSplitter:
    """The splitter for a stream of this content type."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == EVENT_STREAM:
        return _Prefixed()
    if kind == "text/event-stream":
        return _Separated(_BLANK_LINE)
    if kind == "application/json":
        return _Elements()
    return _Separated(re.compile(rb"\n"))


def is_blank(frame: bytes) -> bool:
    """Whether a frame holds no event: line ends, or the bracket that closes an array."""
    return not frame.strip(b" \t\r\n]")


def damaged(frame: bytes, content_type: str) -> bytes:
    """The frame with the second half of its payload missing: its framing holds, its JSON does not."""
    if content_type.startswith(EVENT_STREAM):
        return _damaged_message(frame)
    begin = frame.find(b"data:") + 5 if "event-stream" in content_type and b"data:" in frame else 0
    payload = frame[begin:]
    text = payload.rstrip()
    return frame[:begin] + text[: (len(text) + 1) // 2] + payload[len(text) :]


def _damaged_message(frame: bytes) -> bytes:
    """A whole event-stream frame again, checksums and all, around half of the payload."""
    total, headers = _PRELUDE.unpack_from(frame)
    payload = frame[12 + headers : total - 4]
    kept = payload[: len(payload) // 2]
    prelude = _PRELUDE.pack(_OVERHEAD + headers + len(kept), headers)
    message = prelude + _WORD.pack(crc32(prelude)) + frame[12 : 12 + headers] + kept
    return message + _WORD.pack(crc32(message))


class _Separated:
    """Events that end with a separator: lines, or blank lines."""

    __slots__ = ("_kept", "_separator")

    def __init__(self, separator: re.Pattern[bytes]) -> None:
        self._separator = separator
        self._kept = b""

    def feed(self, data: bytes) -> list[bytes]:
        data = self._kept + data
        frames, begin = [], 0
        for match in self._separator.finditer(data):
            frames.append(data[begin : match.end()])
            begin = match.end()
        self._kept = data[begin:]
        return frames

    def rest(self) -> bytes:
        return self._kept


class _Prefixed:
    """Event-stream messages, which say their length first."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> list[bytes]:
        data = self._kept + data
        frames, begin = [], 0
        while len(data) - begin >= 4:
            end = begin + max(_WORD.unpack_from(data, begin)[0], _OVERHEAD)
            if end > len(data):
                break
            frames.append(data[begin:end])
            begin = end
        self._kept = data[begin:]
        return frames

    def rest(self) -> bytes:
        return self._kept


class _Elements:
    """The elements of one JSON array; the brackets and commas around them go with the element that follows."""

    __slots__ = ("_depth", "_kept", "_quoted", "_scanned")

    def __init__(self) -> None:
        self._kept = b""
        self._scanned = 0
        self._depth = 0
        self._quoted = False

    def feed(self, data: bytes) -> list[bytes]:
        data = self._kept + data
        frames, begin, position = [], 0, self._scanned
        while match := _STRUCTURE.search(data, position):
            mark, position = match[0], match.end()
            if mark == b"\\":
                if position == len(data):
                    position -= 1  # what it escapes has not come yet
                    break
                position += 1
            elif mark == b'"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth += 1 if mark in b"[{" else -1
                if self._depth == 1 and mark in b"]}":
                    frames.append(data[begin:position])
                    begin = position
        else:
            position = len(data)
        self._kept, self._scanned = data[begin:], position - begin
        return frames

    def rest(self) -> bytes:
        return self._kept
