"""Reads a JSON document that a person may have written: every complaint names the file, the line and the key."""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Sequence
from json import JSONDecoder
from pathlib import Path
from typing import Any, Final, get_args

import orjson

from providers.errors import FixtureError
from providers.hints import did_you_mean

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What may be part of a file's name."""
NAME_RULE: Final = "at most 100 letters, digits, dots, dashes and underscores"
MAX_FILE: Final = 64 << 20
"""Bytes of a file that is read whole; no exchange comes near it."""

Place = tuple[str | int, ...]
"""The way to a value: keys of objects and indices of lists."""


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises FixtureError for one that cannot be read or is larger than any exchange."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise FixtureError(f"{path} is larger than {MAX_FILE >> 20} MiB, which no recording is")
        return path.read_bytes()
    except OSError as error:
        raise FixtureError(f"cannot read {path}: {error.strerror}") from None


class Document:
    """A JSON object with the place it came from. Every method raises FixtureError for a value that is not right."""

    __slots__ = ("place", "raw", "where")

    def __init__(self, raw: dict[str, Any], where: str, place: Place = ()) -> None:
        self.raw = raw
        self.where = where
        self.place = place

    def key(self, name: str) -> str:
        """A key as a complaint names it, such as `response.chunks[3].data`."""
        return shown(*self.place, name)

    def complain(self, name: str, complaint: str) -> FixtureError:
        error = FixtureError(f"{self.where}: {complaint}")
        error.place = (*self.place, name)
        return error

    def wrong(self, name: str, value: object, right: str) -> FixtureError:
        return self.complain(name, f"{self.key(name)} is {str(value)[:60]!r}; it must be {right}")

    def check_keys(self, known: Sequence[str]) -> None:
        for key in self.raw:
            if key not in known:
                hint = did_you_mean(str(key), known).rstrip() or f"the keys are {', '.join(known)}"
                raise self.complain(key, f"unknown key {shown(*self.place, key)!r}; {hint}")

    def name(self, name: str) -> str:
        value = self.raw.get(name)
        if not isinstance(value, str) or not NAME.fullmatch(value):
            raise self.wrong(name, value, "a name such as 'openai' or 'chat.completions'")
        return value

    def text(self, name: str) -> str | None:
        value = self.raw.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(name, value, "a string")

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.raw.get(name) or ()
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        raise self.wrong(name, value, "a list of field names such as ['temperature']")

    def ordinal(self, name: str) -> int | None:
        value = self.raw.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise self.wrong(name, value, "a whole number from 1 on")

    def milliseconds(self, name: str) -> float:
        return self.amount(name, "milliseconds from 0 on")

    def amount(self, name: str, right: str) -> float:
        """A number from 0 on; 0 where there is none."""
        value = self.raw.get(name)
        if value is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
            raise self.wrong(name, value, right)
        return float(value)

    def choice(self, name: str, kind: object, default: str | None) -> str | None:
        value = self.raw.get(name)
        words = get_args(kind)
        if value is None:
            return default
        if value in words:
            return str(value)
        raise self.wrong(name, value, "one of " + ", ".join(words))

    def object(self, name: str) -> dict[str, Any]:
        value = self.raw.get(name)
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        raise self.wrong(name, value, "an object")

    def inner(self, name: str, *, required: bool = False) -> Document:
        if required and self.raw.get(name) is None:
            raise self.complain(name, f"{self.key(name)} is missing")
        return Document(self.object(name), self.where, (*self.place, name))

    def inners(self, name: str) -> list[Document]:
        value = self.raw.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(name, value, "a list of objects")
        return [Document(item, self.where, (*self.place, name, index)) for index, item in enumerate(value)]

    def headers(self) -> dict[str, str]:
        value = self.object("headers")
        if not all(isinstance(text, str) for text in value.values()):
            raise self.wrong("headers", value, "an object of strings")
        return {header.lower(): text for header, text in value.items()}

    def bytes_of(self, plain: str, encoded: str) -> bytes:
        """The bytes of a text, of JSON, or of base64, whichever of the two keys is there."""
        value, packed = self.raw.get(plain), self.raw.get(encoded)
        if packed is not None:
            try:
                return a2b_base64(packed, strict_mode=True)
            except (ValueError, TypeError):
                raise self.wrong(encoded, packed, "base64 text") from None
        if value is None:
            return b""
        if isinstance(value, str):
            try:
                return value.encode()
            except UnicodeEncodeError:
                raise self.wrong(plain, ascii(value), f"whole characters; half of one goes to {encoded}") from None
        if isinstance(value, (dict, list)):
            # Written by hand as JSON for legibility; the bytes then are the compact ones.
            try:
                return orjson.dumps(value)
            except orjson.JSONEncodeError:
                raise self.complain(plain, f"{self.key(plain)} is nested too deep; write it as text") from None
        raise self.wrong(plain, value, "text or JSON")


def shown(*place: str | int) -> str:
    """A place as a complaint names it."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")


# --- lines ----------------------------------------------------------------------------------------------------------

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = JSONDecoder()


def line_of(text: str, place: Sequence[str | int]) -> int:
    """The line, from 1, on which the value at `place` of a valid JSON text begins, or the nearest one around it."""
    at = _skip(text, 0)
    try:
        for step in place:
            inner = _inside(text, at, step)
            if inner is None:
                break
            at = inner
    except (RecursionError, ValueError, IndexError):
        # Nested deeper than this module's reader goes: the line around it is known still.
        pass
    return text.count("\n", 0, at) + 1


def _inside(text: str, at: int, step: str | int) -> int | None:
    """Where the value of a key, or of an index, begins in the object or list that begins at `at`."""
    if text[at] not in "{[" or (text[at] == "{") is isinstance(step, int):
        return None
    closing = "}" if text[at] == "{" else "]"
    at = _skip(text, at + 1)
    index = 0
    while text[at] != closing:
        name: str | int = index
        if closing == "}":
            name, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        if name == step:
            return at
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1
    return None


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at
