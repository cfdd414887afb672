"""What the process says when it ends."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    """The work failed: no provider answered, a record is missing, a store cannot be opened."""
    USAGE = 2
    """Wrong use: an option, a name, a settings file."""
    CHECK_FAILED = 3
    INTERRUPTED = 130


class CommandFailed(Exception):
    """The work of a command failed for a reason of its own; `kind` is the error's type in JSON."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
