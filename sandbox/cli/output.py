"""Where a command writes: data on stdout, narration on stderr, colour only where a person sees it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, Any, Literal

from sandbox.core.figures import decimal as decimal

Colour = Literal["plain", "bold", "dim", "red", "green", "yellow", "blue", "cyan"]

_CODES: dict[Colour, str] = {
    "plain": "", "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36",
}  # fmt: skip

_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_STEERING = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")


class OutputLost(OSError):
    """What a command was asked for cannot be written, as on a full disk; a reader that has gone is no such thing."""


class Stream:
    """One output stream, with styles if it is a terminal that wants them. What cannot be written raises OutputLost."""

    def __init__(self, file: IO[str], environ: Mapping[str, str] = os.environ, *, narration: bool = False) -> None:
        """`narration`: what cannot be written of it is lost, and the work goes on."""
        self.file = file
        self._narration = narration
        self.terminal = file.isatty()
        self.unicode = (getattr(file, "encoding", None) or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8")
        self.styled = self.terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

    def paint(self, text: str, colour: Colour) -> str:
        code = _CODES[colour]
        return f"\x1b[{code}m{text}\x1b[0m" if self.styled and code and text else text

    def write(self, text: str) -> None:
        """A terminal gets no control characters but line ends, tabs and colours: text of others could steer it."""
        if self.terminal and not text.isprintable():
            text = _STEERING.sub("�", text.replace("\r\n", "\n"))
        with self._kept():
            self.file.write(text)

    def line(self, text: str = "", colour: Colour = "plain") -> None:
        self.write(self.paint(text, colour) + "\n")

    def flush(self) -> None:
        with self._kept():
            self.file.flush()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            if not self._narration:
                raise OutputLost(error.errno, error.strerror) from None


class Output:
    def __init__(self, out: IO[str] | None = None, err: IO[str] | None = None) -> None:
        self.out = Stream(out or sys.stdout)
        self.err = Stream(err or sys.stderr, narration=True)

    def json(self, value: Any) -> None:
        """One document: spread out for a person at a terminal, else one line."""
        self.out.line(self._document(value, spread=self.out.terminal))

    def json_line(self, value: Any) -> None:
        """One line of a series, handed over at once."""
        self.out.line(self._document(value, spread=False))
        self.out.flush()

    def _document(self, value: Any, *, spread: bool) -> str:
        import orjson

        text = orjson.dumps(value, default=plain, option=orjson.OPT_INDENT_2 if spread else 0).decode()
        if self.out.unicode or text.isascii():
            return text
        # A stream in another encoding would lose characters; escaped, they arrive.
        import json

        return json.dumps(json.loads(text), indent=2 if spread else None)

    def table(self, rows: Iterable[Sequence[str]], header: Sequence[str] = (), *, right: Iterable[int] = ()) -> None:
        """Columns as wide as their widest cell; `right` names the ones that are aligned to the right.

        Each row is one line, whatever line ends and tabs the names of others hold.
        """
        from sandbox.core.tables import text_width

        lines = [[_BREAKS.sub(" ", cell) for cell in row] for row in rows]
        ranked = set(right)
        columns = zip(*([list(header)] if header else []), *lines, strict=True)
        widths = [max(map(text_width, column)) for column in columns]
        if header:
            self.out.line(_row(header, widths, ranked), "bold")
        for line in lines:
            self.out.line(_row(line, widths, ranked))

    def note(self, text: str, colour: Colour = "plain") -> None:
        self.err.line(text, colour)

    def problem(self, text: str) -> None:
        self.err.line(f"{self.err.paint('sandbox:', 'red')} {text}")


def _row(cells: Sequence[str], widths: Sequence[int], right: set[int]) -> str:
    from sandbox.core.tables import text_width

    padded = []
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        blank = " " * (width - text_width(cell))
        padded.append(blank + cell if place in right else cell + blank)
    return "  ".join(padded).rstrip()


def plain(value: Any) -> Any:
    """What JSON has no word for: money as a decimal string."""
    if isinstance(value, Decimal):
        return decimal(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")
