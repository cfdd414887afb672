"""Server-sent events out of bytes, as the WHATWG standard reads them: any split, any line end, comments and blank lines ignored."""

from __future__ import annotations

from providers.dialects.lines import MAX_LINE, LineSplitter, too_long

_BOM = b"\xef\xbb\xbf"

SseEvent = tuple[bytes, bytes]
"""The event's name (empty where it has none) and its data, several data lines joined by LF."""


class SseSplitter:
    __slots__ = ("_begun", "_data", "_foreign", "_lines", "_name", "_seen", "_size")

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._begun = False
        self._seen = False
        self._foreign: list[bytes] = []

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events completed by these bytes. Raises MalformedResponseError for one beyond the line limit."""
        lines = self._lines.feed(data)
        if not lines:
            return []
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BOM)
        return self._read(lines)

    def close(self) -> list[SseEvent]:
        """The event that the end of the bytes completes, where the last blank line is missing."""
        rest = self._lines.rest()
        return self._read([rest.removeprefix(_BOM) if not self._begun else rest, b""])

    def foreign(self) -> bytes:
        """The whole text when it was no event stream at all, such as a JSON error or a proxy's page; else empty."""
        return b"" if self._seen else b"\n".join(self._foreign)

    def _read(self, lines: list[bytes]) -> list[SseEvent]:
        events: list[SseEvent] = []
        pending = self._data
        for line in lines:
            if line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                pending.append(value)
                self._seen = True
                self._size += len(value)
                if self._size > MAX_LINE:
                    raise too_long()
            elif not line:
                if pending:
                    events.append((self._name, pending[0] if len(pending) == 1 else b"\n".join(pending)))
                    pending.clear()
                    self._size = 0
                self._name = b""
            else:
                self._other(line)
        return events

    def _other(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"event":
            self._name = value.strip()
            self._seen = True
        elif field == b"data":
            self._data.append(b"")
            self._seen = True
        elif not self._seen and field not in (b"", b"id", b"retry"):
            self._size += len(line)
            if self._size > MAX_LINE:
                raise too_long()
            self._foreign.append(line)
