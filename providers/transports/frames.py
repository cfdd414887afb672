"""Raw bodies of streams in their single events, whatever the format: where a fault can cut, hold back or damage one.

Nothing is decoded and nothing is lost: the frames and the rest, joined, are the bytes that came.
"""

from __future__ import annotations

import re
from itertools import pairwise
from struct import Struct
from typing import Final, Protocol
from zlib import crc32

EVENT_STREAM: Final = "application/vnd.amazon.eventstream"

MAX_KEPT: Final = 32 << 20
"""Bytes that one frame may have before it is handed on unfinished."""

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
    """A whole event-stream frame again, checksums and all, around half of the payload; half of what is none."""
    total, headers = _PRELUDE.unpack_from(frame) if len(frame) >= _OVERHEAD else (0, 0)
    if total != len(frame) or headers > total - _OVERHEAD:
        return frame[: len(frame) // 2]
    payload = frame[12 + headers : total - 4]
    kept = payload[: len(payload) // 2]
    prelude = _PRELUDE.pack(_OVERHEAD + headers + len(kept), headers)
    message = prelude + _WORD.pack(crc32(prelude)) + frame[12 : 12 + headers] + kept
    return message + _WORD.pack(crc32(message))


class _Kept:
    """What waits for the rest of its frame. Looked at once, and copied when it is whole: it may come in many reads."""

    __slots__ = ("_kept", "_scanned")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._scanned = 0
        """How much of it holds no end of a frame."""

    def rest(self) -> bytes:
        return bytes(self._kept)

    def _cut(self, ends: list[int], scanned: int) -> list[bytes]:
        """The frames that end at these places; `scanned` counts from the last of them, or from the beginning."""
        frames = [bytes(self._kept[begin:end]) for begin, end in pairwise([0, *ends])]
        if ends:
            del self._kept[: ends[-1]]
        self._scanned = scanned
        if len(self._kept) > MAX_KEPT:
            # Longer than anything that the reader above takes, who is to say so.
            frames.append(bytes(self._kept))
            self._kept.clear()
            self._scanned = 0
        return frames


class _Separated(_Kept):
    """Events that end with a separator: lines, or blank lines."""

    __slots__ = ("_separator",)

    def __init__(self, separator: re.Pattern[bytes]) -> None:
        super().__init__()
        self._separator = separator

    def feed(self, data: bytes) -> list[bytes]:
        self._kept += data
        ends = [match.end() for match in self._separator.finditer(self._kept, self._scanned)]
        # A separator of up to four bytes may have begun.
        return self._cut(ends, max(0, len(self._kept) - (ends[-1] if ends else 0) - 3))


class _Prefixed(_Kept):
    """Event-stream messages, which say their length first."""

    __slots__ = ()

    def feed(self, data: bytes) -> list[bytes]:
        self._kept += data
        ends, begin = [], 0
        while len(self._kept) - begin >= 4:
            begin += max(_WORD.unpack_from(self._kept, begin)[0], _OVERHEAD)
            if begin > len(self._kept):
                break
            ends.append(begin)
        return self._cut(ends, 0)


class _Elements(_Kept):
    """The elements of one JSON array; the brackets and commas around them go with the element that follows."""

    __slots__ = ("_depth", "_quoted")

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._quoted = False

    def feed(self, data: bytes) -> list[bytes]:
        self._kept += data
        ends, position = [], self._scanned
        while match := _STRUCTURE.search(self._kept, position):
            mark, position = match[0], match.end()
            if mark == b"\\":
                if position == len(self._kept):
                    position -= 1  # what it escapes has not come yet
                    break
                position += 1
            elif mark == b'"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth += 1 if mark in b"[{" else -1
                if self._depth == 1 and mark in b"]}":
                    ends.append(position)
        else:
            position = len(self._kept)
        return self._cut(ends, position - (ends[-1] if ends else 0))
