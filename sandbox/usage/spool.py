"""Keeps records on disk while the database cannot take them.

Each batch is a file of JSON lines that appears whole under its final name, so that a reader, in this process or
another, never sees half of one. Files may be imported twice, by two processes or after a crash: the log_id makes the
second time do nothing.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from providers.clock import Clock
from sandbox.usage.base import UsageRecord
from sandbox.usage.records import as_json, from_json, mended, read_story, story_text

logger = logging.getLogger(__name__)

_number = itertools.count()


class Spool:
    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock

    @classmethod
    def beside(cls, path: Path, clock: Clock) -> Spool:
        """The spool of a database."""
        return cls(path.with_name(path.name + ".spool"), clock)

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Keep the records. Raises OSError when this disk cannot either."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{self._clock.time_us():017d}-{os.getpid()}-{next(_number)}.jsonl"
        part = path.with_suffix(".part")
        try:
            with open(part, "xb", opener=_private) as file:
                file.writelines(_line(record) for record in records)
            part.rename(path)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise

    def files(self) -> list[Path]:
        """The batches kept, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(self.folder.glob("*.jsonl"))

    def read(self, path: Path) -> list[UsageRecord]:
        """The records of one batch; none when another process has just imported it.

        A line that cannot be read is logged, and a copy of the file stays beside it under another name.
        """
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        records = []
        damaged = 0
        for line in lines:
            try:
                records.append(_record(line))
            except (ValueError, KeyError, TypeError, ArithmeticError):
                damaged += 1
        if damaged:
            kept = path.with_suffix(".damaged")
            kept.write_bytes(b"\n".join(lines))
            logger.error(
                "%d of %d usage records in %s cannot be read; the file is kept as %s", damaged, len(lines), path, kept
            )
        return records

    def remove(self, path: Path) -> None:
        """Forget a batch that the database has."""
        path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _line(record: UsageRecord) -> bytes:
    # The story is text within the line: it may hold what only a lenient JSON reader accepts.
    try:
        return orjson.dumps(as_json(record) | {"story": story_text(record.story)}) + b"\n"
    except TypeError:
        return orjson.dumps(as_json(mended(record)) | {"story": story_text(record.story)}) + b"\n"


def _record(line: bytes) -> UsageRecord:
    body = orjson.loads(line)
    body["story"] = read_story(body["story"])
    return from_json(body)
