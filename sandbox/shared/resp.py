"""Redis's wire format, version 3: commands as bytes, and answers out of bytes that come in any pieces.

https://redis.io/docs/latest/develop/reference/protocol-spec/. redis-py reads it from a stream, through a task and half
a dozen coroutines for each answer; a request that is answered from the cache would spend half its time there.
"""

from __future__ import annotations

from typing import Any

from sandbox.shared.errors import RedisRefused

_END = b"\r\n"
_BLOBS = frozenset(b"$=!")
_ERRORS = frozenset(b"-!")


class Push(list[Any]):
    """What the server says unasked."""


class _More(Exception):
    """The answer is not whole yet."""


def packed(command: tuple[Any, ...]) -> bytes:
    """A command and its arguments; what is not bytes goes as text."""
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        blob = part if type(part) is bytes else str(part).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(blob), blob))
    return b"".join(parts)


class Answers:
    """Takes what arrives and gives the answers that are whole. An error among them is a RedisRefused, not raised."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Any]:
        """Raises ValueError for what is not this format."""
        buffer = self._buffer + data if self._buffer else data
        answers, place = [], 0
        try:
            while place < len(buffer):
                answer, place = _answer(buffer, place)
                answers.append(answer)
        except _More:
            pass
        self._buffer = buffer[place:]
        return answers


def _answer(buffer: bytes, place: int) -> tuple[Any, int]:
    """The answer that begins there, and where the next one does. Raises _More."""
    end = buffer.find(_END, place)
    if end < 0:
        raise _More
    kind, head, after = buffer[place], buffer[place + 1 : end], end + 2
    if kind in _BLOBS:
        return _blob(buffer, kind, int(head), after)
    if kind == 58 or kind == 40:  # : (
        return int(head), after
    if kind == 43:  # +
        return head, after
    if kind == 45:  # -
        return RedisRefused(head.decode(errors="replace")), after
    if kind == 95:  # _
        return None, after
    if kind == 35:  # #
        return head == b"t", after
    if kind == 44:  # ,
        return float(head), after
    if kind in b"*~>":
        items: list[Any] | None = None if head == b"-1" else Push() if kind == 62 else []
        for _ in range(0 if items is None else int(head)):
            item, after = _answer(buffer, after)
            items.append(item)  # type: ignore[union-attr]
        return items, after
    if kind in b"%|":
        pairs: dict[Any, Any] = {}
        for _ in range(int(head)):
            key, after = _answer(buffer, after)
            pairs[key], after = _answer(buffer, after)
        # An attribute is said of the answer behind it, which is what counts.
        return (pairs, after) if kind == 37 else _answer(buffer, after)
    raise ValueError(f"an answer of Redis cannot begin with {chr(kind)!r}")


def _blob(buffer: bytes, kind: int, size: int, after: int) -> tuple[Any, int]:
    if size < 0:
        return None, after
    stop = after + size
    if len(buffer) < stop + 2:
        raise _More
    blob = buffer[after:stop]
    if kind in _ERRORS:
        return RedisRefused(blob.decode(errors="replace")), stop + 2
    # A verbatim text begins with three letters of its kind and a colon.
    return (blob[4:] if kind == 61 else blob), stop + 2
