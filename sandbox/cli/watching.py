"""Runs something again whenever a file is saved, until somebody presses Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from providers.clock import SYSTEM_CLOCK, Clock
from providers.errors import InputError
from sandbox.cli.output import Output

if TYPE_CHECKING:
    from sandbox.scenarios.results import Result

POLL: Final = 0.2
"""Seconds between two looks at the file."""


def watch(path: Path, turn: Callable[[], Sequence[Result]], output: Output, clock: Clock = SYSTEM_CLOCK) -> None:
    """Take a turn now and after every change of the file; says what came out differently. Raises KeyboardInterrupt.

    A turn that raises InputError has its sentence shown, and the file is watched on.
    """
    from sandbox.scenarios.changes import changes

    seen: tuple[int, int] | None = (0, 0)
    before: dict[str, Result] = {}
    # A loop for the pauses alone: while a turn is under way it rests, because a turn has a loop of its own.
    with asyncio.Runner() as runner:
        while True:
            stamp = _stamp(path)
            if stamp != seen:
                seen = stamp
                try:
                    results = turn()
                except InputError as error:
                    output.note(str(error), "red")
                else:
                    for result in results:
                        if result.preset in before:
                            _tell(output, result.preset, changes(before[result.preset], result))
                    before = {result.preset: result for result in results}
                output.note(f"watching {path}; Ctrl-C ends", "dim")
                output.out.flush()
            runner.run(clock.sleep(POLL))


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is saved; None: it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _tell(output: Output, preset: str, lines: Sequence[str]) -> None:
    if not lines:
        output.note(f"{preset}: nothing changed")
        return
    output.note(f"{preset}, against the run before:", "bold")
    for line in lines:
        output.note(f"  {line}")
