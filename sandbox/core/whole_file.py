"""Files that appear whole or not at all, however long the writing takes and however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from providers.errors import InputError


@contextmanager
def whole_file(path: Path, *, overwrite: bool, option: str = "path", otherwise: str = "") -> Iterator[BinaryIO]:
    """A file to write to, which gets its name when the block ends well; readable by the user alone, if it is new.

    Where the path is a link, the file behind it. Raises InputError, naming the option, where there is such a file and
    it is to stay (`otherwise` says what else the user can do), or where none can be made; OSError when the writing
    fails.
    """
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        there = target.exists()
        if there and not target.is_file():
            what = "a folder; name a file in it" if target.is_dir() else "no ordinary file"
            raise InputError(f"{option} {path}: that is {what}")
        if there and not overwrite:
            raise InputError(f"{option} {path}: there is such a file; name another one{otherwise}")
        mode = target.stat().st_mode & 0o777 if there else 0o600
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    except OSError as error:
        raise InputError(f"{option} {path}: {(error.strerror or str(error)).lower()}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        if overwrite:
            part.replace(target)
        else:
            _publish(part, target, option)
    finally:
        with suppress(OSError):
            part.unlink()


def free_stem(folder: Path, stem: str, endings: Iterable[str]) -> Path:
    """`stem`, else `stem-2`, `stem-3`, … in the folder: the first that no file with one of the endings has."""
    name, count, endings = stem, 1, tuple(endings)
    while any(folder.joinpath(f"{name}{ending}").exists() for ending in endings):
        count += 1
        name = f"{stem}-{count}"
    return folder / name


def _publish(part: Path, path: Path, option: str) -> None:
    """Give the file its name unless another has taken it meanwhile."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise InputError(f"{option} {path}: somebody else has just made such a file; name another one") from None
    except OSError:
        # A file system without links. Between the look and the renaming another process could take the name.
        part.replace(path)
