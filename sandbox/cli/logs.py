"""Log lines on stderr, without credentials."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import IO

from providers.redaction import redact

_HANDLER = "sandbox.cli"


class Redaction(logging.Filter):
    """Masks known credentials and anything shaped like one in a record's text and traceback."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)
        self._formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage(), self._secrets), None
        if record.exc_info and not record.exc_text:
            record.exc_text = self._formatter.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text, self._secrets)
        return True


class _Line(logging.Formatter):
    """One line as the program's other narration looks; who said it matters only when looking closely."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        source = f"{record.name}: " if record.levelno < logging.WARNING else ""
        return f"sandbox: {record.levelname.lower()}: {source}{record.message}"


def configure(level: str, file: IO[str], secrets: Iterable[str] = ()) -> None:
    """Send log lines of `level` and above to `file`; replaces what an earlier call configured."""
    handler = logging.StreamHandler(file)
    handler.name = _HANDLER
    handler.addFilter(Redaction(secrets))
    handler.setFormatter(_Line())
    root = logging.getLogger()
    root.handlers = [h for h in root.handlers if h.name != _HANDLER] + [handler]
    root.setLevel(level)
