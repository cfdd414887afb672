"""A YAML or JSON file with the line of everything in it, so that a complaint can point at its cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from providers.errors import InputError

MAX_SIZE = 4 * 1024 * 1024
"""Bytes; larger than any such file that a person could read."""
MAX_NODES = 200_000
"""Values in one file, aliases followed: a few lines of aliases can stand for billions."""

Place = tuple[str | int, ...]
"""Keys and indices from the top of the file."""


class Source:
    """One parsed file: its `data` and where each part of it stands."""

    def __init__(self, path: Path, data: Any, lines: dict[Place, int], complaint: type[InputError]) -> None:
        self.path = path
        self.data = data
        self._lines = lines
        self._complaint = complaint

    def where(self, *place: str | int) -> str:
        """`file:line: key.key[0]` of the nearest part that exists."""
        line = self.nearest_line(*place)
        at = f"{self.path}:{line}" if line else str(self.path)
        return f"{at}: {dotted(place)}" if place else at

    def line(self, *place: str | int) -> int | None:
        """The line of a part, counted from 1; None for one that is not in the file."""
        return self._lines.get(place)

    def nearest_line(self, *place: str | int) -> int | None:
        """The line of a part, or of the nearest part around it that exists."""
        known = place
        while known and known not in self._lines:
            known = known[:-1]
        return self._lines.get(known)

    def error(self, complaint: str, *place: str | int) -> InputError:
        """A complaint about a part of the file."""
        return self._complaint(f"{self.where(*place)} {complaint}" if place else f"{self.where()}: {complaint}")


def read_text(path: Path, *, what: str, complaint: type[InputError]) -> str:
    """The file's text. Raises `complaint` for a file that cannot be read or is too large to be `what` it is to be."""
    try:
        if path.stat().st_size > MAX_SIZE:
            raise complaint(f"{path} is larger than {MAX_SIZE // 2**20} MiB; {what} is a short text")
        return path.read_bytes().decode()
    except OSError as error:
        raise complaint(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise complaint(f"{path} is not UTF-8 text") from None


def parse(text: str, path: Path, *, complaint: type[InputError]) -> Source:
    """What a text says; `path` is only named. Raises `complaint` for one that is no YAML, or too much of it."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        if node is None:
            return Source(path, None, lines, complaint)
        _walk(node, (), lines, path, complaint)
        return Source(path, loader.construct_document(node), lines, complaint)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{path}:{mark.line + 1}" if mark else str(path)
        raise complaint(f"{at}: not YAML: {error.problem or error.context}") from None
    except RecursionError:
        raise complaint(f"{path}: nested too deeply, or with an alias within itself") from None
    except (yaml.YAMLError, ValueError) as error:
        raise complaint(f"{path}: not YAML: {(str(error).splitlines() or ['it cannot be read'])[0]}") from None
    finally:
        loader.dispose()


def _walk(node: Any, place: Place, lines: dict[Place, int], path: Path, complaint: type[InputError]) -> None:
    """Note the line of every value. Raises `complaint` for a key that stands twice, or too many values."""
    if len(lines) > MAX_NODES:
        raise complaint(f"{path}: more than {MAX_NODES:,} values")
    lines.setdefault(place, node.start_mark.line + 1)
    kind = node.id
    if kind == "mapping":
        seen = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise complaint(f"{path}:{key.start_mark.line + 1}: {dotted((*place, name))} stands here twice")
            seen.add(name)
            inner = (*place, name)
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines, path, complaint)
    elif kind == "sequence":
        for index, value in enumerate(node.value):
            _walk(value, (*place, index), lines, path, complaint)


def dotted(place: Place) -> str:
    """`key.key[0]`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
