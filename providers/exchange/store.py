"""Writes exchanges to disk: always without credentials, never half a file, never over another's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import orjson

from providers.errors import FixtureError
from providers.exchange.cleaning import redacted
from providers.exchange.document import NAME, NAME_RULE
from providers.exchange.format import Exchange, document_of
from providers.exchange.library import packaged_folder


def save(exchange: Exchange, folder: Path, *, case: str | None = None, secrets: Sequence[str] = ()) -> Path:
    """Write to `<folder>/<provider>/<case>.json`, redacted and atomically; returns the path.

    A `case` that there is already is replaced. Without one the name is `<api>-<kind>-NN`, the first number that is
    taken neither in `folder` nor in the packaged library. Raises FixtureError when it cannot.
    """
    for what, name in (("provider", exchange.provider), ("case", case)):
        if name is not None and not NAME.fullmatch(name):
            raise FixtureError(
                f"{what} is {name[:60]!r}; it must be a name such as 'openai' or 'greeting-stream', of {NAME_RULE}"
            )
    document = document_of(redacted(exchange, secrets))
    shelf = folder / exchange.provider
    try:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        raise FixtureError(f"the exchange cannot be written as JSON: {error}") from None
    try:
        shelf.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _write(text, shelf, case, f"{exchange.api.replace('.', '-').lower()}-{exchange.kind or 'plain'}")
    except OSError as error:
        raise FixtureError(f"cannot write a fixture to {shelf}: {error.strerror}") from None


def _write(data: bytes, shelf: Path, case: str | None, stem: str) -> Path:
    """All or nothing: a reader or a crash never sees half a file."""
    import tempfile

    handle, name = tempfile.mkstemp(dir=shelf, prefix=f".{case or stem}-"[:64], suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if case is not None:
            return temporary.replace(shelf / f"{case}.json")
        number = 1
        packaged = packaged_folder() / shelf.name
        while True:
            path = shelf / f"{stem}-{number:02d}.json"
            # A file of the packaged library's name would hide that one.
            if not (packaged / path.name).exists() and _published(temporary, path):
                return path
            number += 1
    finally:
        temporary.unlink(missing_ok=True)


def _published(temporary: Path, path: Path) -> bool:
    """Give a file its name unless there is one of that name: of two processes only one gets it."""
    if path.exists():
        return False
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except OSError:
        # A file system without links. Between the look and the renaming another process could take the name.
        temporary.replace(path)
    return True
