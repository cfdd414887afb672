"""Events as JSON lines, and back: a saved trace is re-emitted through the same bus that carried it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import orjson

from providers.errors import InputError
from sandbox.core.events import EVENT_TYPES, Event, PlannedCandidate

SCHEMA = "sandbox-trace"
VERSION = 1


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"a trace cannot hold {type(value).__name__}")


_Parts = tuple[tuple[str, ...], Callable[[Event], tuple[Any, ...]]]


def encode(event: Event, *, whole: bool = False) -> bytes:
    """One line without its newline: sorted keys, money as decimal strings. `whole`: with what traces do without."""
    kind = type(event)
    names, values = (_WHOLE if whole else _PARTS).get(kind) or _parts(kind, whole)
    return orjson.dumps(dict(zip(names, values(event), strict=True)), default=_plain)


_PARTS: dict[type[Event], _Parts] = {}
_WHOLE: dict[type[Event], _Parts] = {}


def _parts(kind: type[Event], whole: bool) -> _Parts:
    """The sorted keys of an event's line, and how to read their values; a run writes millions of lines of few kinds."""
    kept = (field.name for field in fields(kind) if whole or field.metadata.get("traced", True))
    names = tuple(sorted(["event", *kept]))
    read = attrgetter(*("__class__.__name__" if name == "event" else name for name in names))
    parts = (_WHOLE if whole else _PARTS)[kind] = names, read
    return parts


def decode(line: bytes | str) -> Event:
    """The event of one line. Raises InputError when it is none."""
    try:
        body = orjson.loads(line)
        cls = EVENT_TYPES[body.pop("event")]
        for field in fields(cls):
            value = body.get(field.name)
            if value is not None and "Decimal" in str(field.type):
                body[field.name] = Decimal(value)
        if "candidates" in body:
            body["candidates"] = tuple(PlannedCandidate(**c) for c in body["candidates"])
        return cls(**body)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise InputError(f"not a trace event ({type(error).__name__}): {str(line)[:80]!r}") from None


def header(**facts: Any) -> bytes:
    """A trace's first line."""
    return orjson.dumps({"schema": SCHEMA, "version": VERSION, **facts}, option=orjson.OPT_SORT_KEYS)


class TraceWriter:
    """A bus observer that appends each event to a file; use as a context manager."""

    def __init__(self, path: Path, **facts: Any) -> None:
        try:
            self._file: IO[bytes] = path.open("wb")
        except OSError as error:
            raise InputError(f"cannot write the trace to {path}: {error.strerror}") from None
        self._file.write(header(**facts) + b"\n")

    def __call__(self, event: Event) -> None:
        self._file.write(encode(event) + b"\n")

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with naming(self._file):
            self._file.close()


@contextmanager
def naming(file: IO[bytes]) -> Iterator[None]:
    """An OSError of writing, such as a full disk's, says of which file it speaks."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file.name)) from None


def read_header(line: bytes) -> dict[str, Any]:
    """The facts of a trace's first line. Raises InputError for a foreign or newer file."""
    try:
        head = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise InputError("not a trace: the first line must be its JSON header") from None
    if not isinstance(head, dict) or head.get("schema") != SCHEMA or head.get("version") != VERSION:
        raise InputError(f"not a trace of version {VERSION}: its header says {str(head)[:80]}")
    return head


def read(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of a trace. Raises InputError for a foreign or newer file."""
    source = iter(lines)
    read_header(next(source, b""))
    for line in source:
        if line.strip():
            yield decode(line)
