"""Reads a JSON or YAML file of another tool: bounded in size, by a loader that makes plain values and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from providers.errors import FixtureError
from providers.exchange.document import read_file
from providers.interchange.taken import check_size

Format = Literal["aimock", "vcr"]

_KEYS: Final[dict[str, Format]] = {"fixtures": "aimock", "interactions": "vcr", "http_interactions": "vcr"}
"""What a file of each format has at its top."""


def read_document(path: Path) -> dict[str, Any]:
    """The document of a file. Raises FixtureError naming the file, and the line where it cannot be read."""
    data = read_file(path)
    document = _yaml(data, path) if path.suffix.lower() in (".yaml", ".yml") else _json(data, path)
    check_size(document, str(path))
    if not isinstance(document, dict):
        raise FixtureError(f"{path} holds a {type(document).__name__}; fixtures and cassettes are objects")
    return document


def format_of(document: dict[str, Any], path: Path) -> Format:
    """Which tool a document is of. Raises FixtureError for none of the known ones."""
    for key, name in _KEYS.items():
        if key in document:
            return name
    keys = ", ".join(map(repr, list(document)[:5])) or "nothing"
    raise FixtureError(
        f"{path} has neither 'fixtures' (aimock) nor 'interactions' (VCR) at its top, but {keys}; name its --format"
    )


def _json(data: bytes, path: Path) -> Any:
    import orjson

    try:
        return orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise FixtureError(f"{path} is not JSON: {error}") from None


def _yaml(data: bytes, path: Path) -> Any:
    import yaml

    # Safe loaders build plain values only; a tag that would run code is an error for them.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(data, loader)  # noqa: S506  # it is one of the safe ones
    except yaml.constructor.ConstructorError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise FixtureError(f"{path}{line}: {error.problem}; only plain values are read") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise FixtureError(f"{path}{line} is not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        told = str(error).partition("\n")[0]
        raise FixtureError(f"{path} is not YAML: {told or type(error).__name__}") from None
