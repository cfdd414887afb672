"""The HTTP library's own log lines, without those that tell only what a client did wrong."""

from __future__ import annotations

import logging
from typing import Final

from aiohttp import http_exceptions, web

_CLIENTS_FAULT: Final = (http_exceptions.HttpProcessingError, web.RequestPayloadError)


def http_logger(name: str) -> logging.Logger:
    """The logger of that name. What is no HTTP at all is answered with a 400; it is no trouble of this program's."""
    logger = logging.getLogger(name)
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], _CLIENTS_FAULT))
