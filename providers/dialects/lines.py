"""Bytes in any split become whole lines, in bounded memory: the ground under server-sent events and NDJSON."""

from __future__ import annotations

from providers.errors import MalformedResponseError

MAX_LINE = 16 * 1024 * 1024
"""Bytes that one line or one event may have. The largest real ones (a whole JSON answer in one event) stay far below."""


class LineSplitter:
    """Splits at LF, CRLF or CR, wherever the reads were cut, even between CR and LF."""

    __slots__ = ("_after_cr", "_pieces", "_size")

    def __init__(self) -> None:
        # A list, not one growing string: a long line that arrives in many reads must not be copied at each of them.
        self._pieces: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines completed by these bytes, without their ends. Raises MalformedResponseError beyond MAX_LINE."""
        if not data:
            return []
        if self._after_cr or b"\r" in data:
            if self._after_cr and data[:1] == b"\n":
                data = data[1:]
            self._after_cr = data[-1:] == b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            self._keep(data)
            return []
        if self._pieces:
            head = b"".join((*self._pieces, head))
            self._pieces, self._size = [], 0
        if tail:
            self._keep(tail)
        lines = head.split(b"\n")
        if len(head) > MAX_LINE and max(map(len, lines)) > MAX_LINE:
            raise too_long()
        return lines

    def rest(self) -> bytes:
        """What came after the last line end."""
        return b"".join(self._pieces)

    def _keep(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MAX_LINE:
            raise too_long()


def too_long() -> MalformedResponseError:
    return MalformedResponseError(f"the stream has a line or event of more than {MAX_LINE // (1024 * 1024)} MiB")
