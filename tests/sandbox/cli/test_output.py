from __future__ import annotations

import io
import logging
from decimal import Decimal

import pytest

from sandbox.cli import logs
from sandbox.cli.output import Output, Stream, decimal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("file", "environ", "styled"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colour_only_for_a_terminal_that_wants_it(file: io.StringIO, environ: dict[str, str], styled: bool) -> None:
    assert ("\x1b[" in Stream(file, environ).paint("text", "red")) is styled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a\nb"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[2J\x1b]0;title\x07", "�[2J�]0;title�"),
        ("\x1b]52;c;cHduZWQ=\x1b\\", "�]52;c;cHduZWQ=�\\"),
        ("a\rb\x08c\x7fd\x9b2Je\x00", "a�b�c�d�2Je�"),
        ("日本語 é 👍", "日本語 é 👍"),
    ],
)
def test_what_would_steer_a_terminal_does_not_reach_it(text: str, shown: str) -> None:
    terminal, piped = Terminal(), io.StringIO()
    for file in (terminal, piped):
        Stream(file, {"TERM": "xterm"}).line(text)
        Stream(file, {"TERM": "xterm"}).write(text)
    assert terminal.getvalue() == f"{shown}\n{shown}"
    # A program gets it as it is.
    assert piped.getvalue() == f"{text}\n{text}"


def test_json_is_one_line_for_a_program_and_spread_out_for_a_person() -> None:
    piped, shown = io.StringIO(), Terminal()
    for file in (piped, shown):
        Output(file, io.StringIO()).json({"cost": Decimal("0.10"), "text": "é"})
    assert piped.getvalue() == '{"cost":"0.1","text":"é"}\n'
    assert shown.getvalue().count("\n") == 4


def test_columns_line_up() -> None:
    out = io.StringIO()
    Output(out, io.StringIO()).table([("a", "1"), ("bcd", "10")], ("name", "n"), right=(1,))
    assert out.getvalue() == "name   n\na      1\nbcd   10\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("0", "0"),
        ("0.00", "0"),
        ("1E-9", "0.000000001"),
        ("12.500", "12.5"),
        ("100", "100"),
        ("-0.5", "-0.5"),
    ],
)
def test_money_in_json_is_a_decimal_string(value: str | None, text: str | None) -> None:
    assert decimal(None if value is None else Decimal(value)) == text


def test_log_lines_hold_no_credential() -> None:
    file = io.StringIO()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        logs.configure("INFO", file, ["my-own-password"])
        log = logging.getLogger("sandbox.test")
        log.info("calling with %s and sk-abcdefghijkl", "my-own-password")
        try:
            raise ValueError("Bearer abcdefghijkl my-own-password")
        except ValueError:
            log.exception("failed")
        log.debug("not shown")
    finally:
        root.handlers, root.level = handlers, level
    text = file.getvalue()
    assert "my-own-password" not in text
    assert "abcdefghijkl" not in text
    assert "ValueError" in text
    assert "not shown" not in text


def test_a_row_of_a_table_is_one_line_whatever_names_hold() -> None:
    shown = io.StringIO()
    Output(shown, io.StringIO()).table([("漢字", "1"), ("a\nb\tc", "22"), ("plain", "333")], ("name", "n"), right=(1,))
    assert shown.getvalue().splitlines() == ["name     n", "漢字     1", "a b c   22", "plain  333"]
