"""How far a long piece of work has come, on a terminal; elsewhere nothing."""

from __future__ import annotations

import shutil
from types import TracebackType

from sandbox.cli.output import Stream

_WIDTH = 24


class Progress:
    """One line that is written over and over, and wiped at the end."""

    def __init__(self, stream: Stream, whole: int, noun: str) -> None:
        self._stream = stream
        self._whole = whole
        self._noun = noun
        self._shown = 0
        self._last = -1

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._shown:
            self._put("")

    def __call__(self, done: int) -> None:
        """Show that so many are done, where that is another percent than before."""
        share = min(1.0, done / self._whole) if self._whole else 1.0
        percent = int(share * 100)
        if not self._stream.terminal or percent == self._last:
            return
        self._last = percent
        full, empty = ("█", "░") if self._stream.unicode else ("#", ".")
        filled = round(share * _WIDTH)
        text = f"{full * filled}{empty * (_WIDTH - filled)} {percent:3d} % of {self._whole:,} {self._noun}"
        self._put(text[: shutil.get_terminal_size().columns - 1])

    def _put(self, text: str) -> None:
        # Past the guard of `Stream.write`: the return to the line's beginning is this program's own.
        self._stream.file.write(f"\r{text.ljust(self._shown)}\r{text}" if self._shown else text)
        self._stream.flush()
        self._shown = len(text)
