"""Server-sent events out of bytes in any split, read as the WHATWG standard says: any line end, comments ignored."""

from __future__ import annotations

from providers.dialects.lines import MAX_PIECE, PieceSplitter
from providers.errors import MalformedResponseError

_BOM = b"\xef\xbb\xbf"

SseEvent = tuple[bytes, bytes]
"""The event's name (empty where it has none) and its data, several data lines joined by LF."""


class SseSplitter:
    __slots__ = ("_begun", "_blocks", "_foreign", "_seen", "last_id")

    def __init__(self) -> None:
        self._blocks = PieceSplitter(b"\n\n")
        self._begun = False
        self._seen = False
        self._foreign = bytearray()
        self.last_id = ""
        """Of the newest event that has one, by which a reader who comes back says how far it came."""

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events completed by these bytes. Raises MalformedResponseError for one beyond the size limit."""
        blocks = self._blocks.feed(data)
        if not blocks:
            return []
        if not self._begun:
            self._begun = True
            blocks[0] = blocks[0].removeprefix(_BOM)
        events: list[SseEvent] = []
        for block in blocks:
            # Nearly every event is one line of data, or a name and one.
            if block[:6] == b"data: " and b"\n" not in block:
                events.append((b"", block[6:]))
                continue
            name, found, data = block.partition(b"\ndata: ")
            if found and name[:7] == b"event: " and b"\n" not in name and b"\n" not in data:
                events.append((name[7:], data))
            elif block:
                self._read(block, events)
        if events:
            self._seen = True
        return events

    def close(self) -> list[SseEvent]:
        """The event that the end of the bytes completes, where the last blank line is missing."""
        events: list[SseEvent] = []
        rest = self._blocks.rest()
        if rest:
            self._read(rest if self._begun else rest.removeprefix(_BOM), events)
        return events

    def foreign(self) -> bytes:
        """The whole text when it was no event stream at all, such as a JSON error or a proxy's page; else empty."""
        return b"" if self._seen else bytes(self._foreign)

    def _read(self, block: bytes, events: list[SseEvent]) -> None:
        name = b""
        data: list[bytes] = []
        strange = False
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.strip()
            elif field == b"id":
                self.last_id = value.strip().decode("utf-8", "replace")
            elif field and field != b"retry":
                strange = True
        if name:
            self._seen = True
        elif strange and not (data or self._seen):
            self._foreign += b"\n\n" + block if self._foreign else block
            if len(self._foreign) > MAX_PIECE:
                raise MalformedResponseError(f"not an event stream, but more than {MAX_PIECE >> 20} MiB of other text")
        if data:
            self._seen = True
            events.append((name, data[0] if len(data) == 1 else b"\n".join(data)))
