"""The framing of `application/vnd.amazon.eventstream`: binary messages with typed headers and two checksums.

A message is its length, the length of its headers, a checksum of those eight bytes, the headers, the payload, and a
checksum of all before it; numbers are big-endian. Source: smithy.io/2.0/aws/amazon-eventstream.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple
from zlib import crc32

from providers.errors import MalformedResponseError

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"

MAX_HEADERS: Final = 128 * 1024
MAX_PAYLOAD: Final = 24 * 1024 * 1024
"""Bytes; the limits of AWS's own clients."""

_PRELUDE: Final = Struct(">III")
_WORD: Final = Struct(">I")
_LENGTH: Final = Struct(">H")
_OVERHEAD: Final = _PRELUDE.size + _WORD.size
_NUMBERS: Final = {2: Struct(">b"), 3: Struct(">h"), 4: Struct(">i"), 5: Struct(">q"), 8: Struct(">q")}
"""Header types that are a number: byte, short, int, long, and a timestamp in milliseconds since 1970."""
_BYTES: Final = 6
_TEXT: Final = 7
_UUID: Final = 9

HeaderValue = bool | int | bytes | str


class Frame(NamedTuple):
    """One message."""

    headers: Mapping[str, HeaderValue]
    payload: bytes

    def text(self, name: str) -> str:
        """A header's text; empty where it is absent or no text."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class FrameSplitter:
    """Messages out of bytes in any split. Keeps at most one message, and none longer than the limits."""

    __slots__ = ("_is_text", "_kept", "_total")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._total = 0
        self._is_text: bool | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The messages completed by these bytes, read one by one, so that those before a bad one are not lost.

        Raises MalformedResponseError for a wrong length, checksum or header.
        """
        self._kept += data
        return self._frames()

    def close(self) -> list[Frame]:
        """Nothing: a message that the end of the bytes cut is no message."""
        return []

    def foreign(self) -> bytes:
        """The whole text when it was no event stream at all, such as a JSON error or a proxy's page; else empty."""
        return bytes(self._kept) if self._is_text else b""

    def _frames(self) -> Iterator[Frame]:
        kept = self._kept
        if self._is_text is None and kept:
            # No message is long enough to begin like this.
            self._is_text = kept[:1] in b"{[< \r\n\t"
        if self._is_text:
            if len(kept) > MAX_PAYLOAD:
                raise _malformed(f"text of more than {MAX_PAYLOAD} bytes in place of messages")
            return
        while len(kept) >= (self._total or _PRELUDE.size):
            if not self._total:
                self._total = _length(kept)
                continue
            message = bytes(kept[: self._total])
            del kept[: self._total]
            self._total = 0
            yield _read(message)


def _length(data: bytearray) -> int:
    total, headers, checksum = _PRELUDE.unpack_from(data)
    if crc32(data[:8]) != checksum:
        raise _malformed("a wrong checksum of a message's lengths")
    if not _OVERHEAD + headers <= total <= _OVERHEAD + headers + MAX_PAYLOAD or headers > MAX_HEADERS:
        raise _malformed(f"a message of {total} bytes with {headers} of headers")
    return int(total)


def _read(message: bytes) -> Frame:
    end = len(message) - _WORD.size
    if crc32(message[:end]) != _WORD.unpack_from(message, end)[0]:
        raise _malformed("a wrong checksum of a message")
    begin = _PRELUDE.size + _WORD.unpack_from(message, 4)[0]
    try:
        return Frame(_headers(message[_PRELUDE.size : begin]), message[begin:end])
    except (StructError, IndexError, UnicodeDecodeError):
        raise _malformed("a header that cannot be read") from None


@lru_cache(64)
def _headers(data: bytes) -> Mapping[str, HeaderValue]:
    # Remembered, because a stream has the same few headers in all its messages.
    headers: dict[str, HeaderValue] = {}
    place = 0
    while place < len(data):
        end = place + 1 + data[place]
        name = data[place + 1 : end].decode()
        if name in headers:
            raise _malformed(f"the header {name!r} twice in one message")
        headers[name], place = _value(data[end], data, end + 1)
    return headers


def _value(kind: int, data: bytes, place: int) -> tuple[HeaderValue, int]:
    """A header's value and where the next one begins."""
    if kind in (0, 1):
        return kind == 0, place
    number = _NUMBERS.get(kind)
    if number is not None:
        return int(number.unpack_from(data, place)[0]), place + number.size
    if kind == _UUID:
        end = place + 16
    elif kind in (_BYTES, _TEXT):
        end = place + _LENGTH.size + _LENGTH.unpack_from(data, place)[0]
        place += _LENGTH.size
    else:
        raise _malformed(f"a header of type {kind}")
    if end > len(data):
        raise IndexError
    return data[place:end].decode() if kind == _TEXT else data[place:end], end


def _malformed(what: str) -> MalformedResponseError:
    return MalformedResponseError(f"the event stream has {what}")


def write_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message, all of whose headers are texts."""
    packed = b"".join(_packed(name.encode(), value.encode()) for name, value in headers.items())
    lengths = _PRELUDE.pack(_OVERHEAD + len(packed) + len(payload), len(packed), 0)[:8]
    message = lengths + _WORD.pack(crc32(lengths)) + packed + payload
    return message + _WORD.pack(crc32(message))


def _packed(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + bytes((_TEXT,)) + _LENGTH.pack(len(value)) + value
