"""Tells Google's two framings of a stream apart by their first byte, and finds the elements of the JSON array."""

from __future__ import annotations

import re
from typing import Final

from providers.dialects.lines import MAX_PIECE
from providers.dialects.sse import SseEvent, SseSplitter
from providers.errors import MalformedResponseError

END: Final[SseEvent] = (b"", b"]")
"""The array was closed. Known by identity."""

_OUTSIDE: Final = re.compile(rb'"(?:[^"\\]*")?|[{}\[\]]')
"""A bracket; a string, where it ends here and holds no escape; else its opening quote."""
_INSIDE: Final = re.compile(rb'["\\]')


class FramingSplitter:
    """Server-sent events, unless the first byte that is no white space opens an array."""

    __slots__ = ("_inner",)

    def __init__(self) -> None:
        self._inner: SseSplitter | ArraySplitter | None = None

    def feed(self, data: bytes) -> list[SseEvent]:
        if self._inner is None:
            data = data.lstrip()
            if not data:
                return []
            self._inner = ArraySplitter() if data[:1] == b"[" else SseSplitter()
        return self._inner.feed(data)

    def close(self) -> list[SseEvent]:
        return self._inner.close() if self._inner is not None else []

    def foreign(self) -> bytes:
        return self._inner.foreign() if self._inner is not None else b""


class ArraySplitter:
    """The objects of one JSON array as they close, wherever the reads were cut; nothing is parsed here."""

    __slots__ = ("_depth", "_kept", "_quoted", "_size", "_skip")

    def __init__(self) -> None:
        # A list, not one growing string: a long element that arrives in many reads must not be copied at each of them.
        self._kept: list[bytes] = []
        self._size = 0
        self._depth = 0
        """0 before the array, 1 between its elements, more within one."""
        self._quoted = False
        self._skip = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """The elements completed by these bytes, and END; whatever else than a comma stands between them is one too.

        Raises MalformedResponseError for one beyond the size limit.
        """
        found: list[SseEvent] = []
        begin, place = 0, self._skip
        while match := (_INSIDE if self._quoted else _OUTSIDE).search(data, place):
            mark, place = match[0], match.end()
            if mark == b"\\":
                # What it escapes ends nothing, and may come only with the next read.
                place += 1
            elif mark[:1] == b'"' and self._depth > 1:
                self._quoted = len(mark) == 1 and not self._quoted
            elif mark in b"[{":
                if self._depth == 0:
                    begin = place
                elif self._depth == 1:
                    found += _between(data[begin : match.start()])
                    begin = match.start()
                self._depth += 1
            elif self._depth > 1:
                self._depth -= 1
                if self._depth == 1:
                    found.append((b"", self._element(data[begin:place])))
                    begin = place
            else:
                found += _between(data[begin : match.start() if mark == b"]" else place])
                return [*found, END] if mark == b"]" else found
        self._skip = max(0, place - len(data))
        if self._depth > 1:
            self._keep(data[begin:])
        else:
            found += _between(data[begin:])
        return found

    def close(self) -> list[SseEvent]:
        """The beginning of an element that the bytes' end cut off."""
        return [(b"", b"".join(self._kept))] if self._kept else []

    def foreign(self) -> bytes:
        """Nothing: what opens with a bracket was taken for an array."""
        return b""

    def _element(self, end: bytes) -> bytes:
        self._keep(end)
        whole = b"".join(self._kept)
        self._kept.clear()
        self._size = 0
        return whole

    def _keep(self, data: bytes) -> None:
        self._kept.append(data)
        self._size += len(data)
        if self._size > MAX_PIECE:
            raise MalformedResponseError(f"the stream has an element of more than {MAX_PIECE // (1024 * 1024)} MiB")


def _between(text: bytes) -> list[SseEvent]:
    """What stands between two elements and should not: to be refused in its turn, after the elements before it."""
    strange = text.strip(b" \t\r\n,")
    return [(b"", strange)] if strange else []
