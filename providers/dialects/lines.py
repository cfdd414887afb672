"""Bytes in any split become whole pieces, in bounded memory: the ground under server-sent events and NDJSON."""

from __future__ import annotations

from providers.errors import MalformedResponseError

MAX_PIECE = 16 * 1024 * 1024
"""Bytes that one line or one event may have. The largest real ones, a whole answer in one event, stay far below."""


class PieceSplitter:
    """Splits at a separator made of line ends (`LF` for lines, two of them for events), wherever the reads were cut.

    Line ends may be LF, CRLF or CR, even with a cut between CR and LF; the pieces have only LF.
    """

    __slots__ = ("_after_cr", "_kept", "_separator", "_size")

    def __init__(self, separator: bytes) -> None:
        self._separator = separator
        # A list, not one growing string: a long piece that arrives in many reads must not be copied at each of them.
        self._kept: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces completed by these bytes, without their ends. Raises MalformedResponseError beyond MAX_PIECE."""
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        if not self._kept and data.endswith(self._separator) and len(data) <= MAX_PIECE:
            # What a server flushes are mostly whole pieces.
            return data[: -len(self._separator)].split(self._separator)
        if data[:1] == b"\n" and self._kept and self._kept[-1][-1:] == b"\n":
            # The separator itself was cut, so that it is found below.
            data = self._kept.pop() + data
        head, found, tail = data.rpartition(self._separator)
        if not found:
            self._keep(data)
            return []
        if self._kept:
            self._kept.append(head)
            head = b"".join(self._kept)
            self._kept.clear()
        self._size = 0
        if tail:
            self._keep(tail)
        pieces = head.split(self._separator)
        if len(head) > MAX_PIECE and max(map(len, pieces)) > MAX_PIECE:
            raise _too_long()
        return pieces

    def rest(self) -> bytes:
        """What came after the last separator."""
        return b"".join(self._kept)

    def _with_lf(self, data: bytes) -> bytes:
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data[-1:] == b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, data: bytes) -> None:
        if data:
            self._kept.append(data)
            self._size += len(data)
            if self._size > MAX_PIECE:
                raise _too_long()


def _too_long() -> MalformedResponseError:
    return MalformedResponseError(f"the stream has a line or event of more than {MAX_PIECE // (1024 * 1024)} MiB")
