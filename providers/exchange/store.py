"""Writes exchanges to disk: always without credentials, never half a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from providers.errors import FixtureError
from providers.exchange.format import Chunk, Exchange, RecordedResponse, document_of
from providers.redaction import MASK, redact, redact_headers

_SECRET_FIELDS: Final = frozenset(
    {"api_key", "apikey", "api-key", "authorization", "password", "secret", "access_token"}
)


def redacted(exchange: Exchange, secrets: Sequence[str] = ()) -> Exchange:
    """A copy without credentials: headers that carry them, `secrets` by value, anything else by its shape.

    Raises FixtureError for a binary body that holds one, as it cannot be changed without breaking its checksums.
    """
    request = exchange.request
    clean = replace(
        request,
        path=redact(request.path, secrets),
        headers=redact_headers(request.headers),
        body=_redacted_value(request.body, secrets),
    )
    response = exchange.response
    if response is not None:
        response = replace(
            response, headers=redact_headers(response.headers), chunks=_redacted_chunks(response, secrets)
        )
    return replace(
        exchange,
        request=clean,
        response=response,
        expected=_redacted_value(exchange.expected, secrets),
        note=None if exchange.note is None else redact(exchange.note, secrets),
    )


def _redacted_value(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {
            k: MASK if str(k).lower() in _SECRET_FIELDS and isinstance(v, str) else _redacted_value(v, secrets)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_redacted_value(item, secrets) for item in value]
    return value


def _redacted_chunks(response: RecordedResponse, secrets: Sequence[str]) -> tuple[Chunk, ...]:
    # Latin-1 maps every byte to one character and back, so that bytes which are no text survive unchanged.
    whole = response.body.decode("latin-1")
    known = [secret.encode().decode("latin-1") for secret in secrets]
    if redact(whole, known) == whole:
        return response.chunks
    if response.form == "body_base64":
        raise FixtureError("the recorded answer is binary and holds a credential; it was not saved")
    chunks = tuple(
        Chunk(c.after_ms, redact(c.data.decode("latin-1"), known).encode("latin-1")) for c in response.chunks
    )
    joined = b"".join(chunk.data for chunk in chunks).decode("latin-1")
    if redact(joined, known) == joined:
        return chunks
    # A credential lies across a boundary: the split is worth less than the secret.
    return (Chunk(chunks[0].after_ms, redact(whole, known).encode("latin-1")),)


def save(exchange: Exchange, folder: Path, *, case: str | None = None, secrets: Sequence[str] = ()) -> Path:
    """Write to `<folder>/<provider>/<case>.json`, redacted and atomically; returns the path.

    Without `case` the name is `<api>-<kind>-NN`, the first number that is free. Raises FixtureError when it cannot.
    """
    document = document_of(redacted(exchange, secrets))
    shelf = folder / exchange.provider
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        path = shelf / f"{case}.json" if case else _free_name(shelf, exchange)
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        _write(path, text)
    except OSError as error:
        raise FixtureError(f"cannot write a fixture to {shelf}: {error.strerror}") from None
    except TypeError as error:
        raise FixtureError(f"the exchange cannot be written as JSON: {error}") from None
    return path


def _free_name(shelf: Path, exchange: Exchange) -> Path:
    stem = f"{exchange.api.replace('.', '-').lower()}-{exchange.kind or 'plain'}"
    number = 1
    while (path := shelf / f"{stem}-{number:02d}.json").exists():
        number += 1
    return path


def _write(path: Path, data: bytes) -> None:
    """All or nothing: a reader or a crash never sees half a file."""
    import tempfile

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
