"""Turns what went wrong into one sentence, a JSON object and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from providers.errors import InputError, ProviderError
from providers.redaction import redact
from sandbox.cache.base import CacheUnavailable
from sandbox.cli.exits import CommandFailed, Exit
from sandbox.cli.output import Output
from sandbox.usage.base import UsageUnavailable

if TYPE_CHECKING:
    from providers.types import AttemptRecord


def attempt_row(record: AttemptRecord) -> dict[str, Any]:
    """One attempt as `ask --json` shows it; times are milliseconds."""
    return {
        "provider": record.provider,
        "model": record.model,
        "outcome": record.outcome,
        "error_type": record.error_type,
        "status": record.status,
        "started_ms": round(record.started_ms, 3),
        "latency_ms": round(record.latency_ms, 3),
        "retry": record.retry,
        "breaker": record.breaker,
    }


def as_json(error: Exception, attempts: Sequence[AttemptRecord] = ()) -> dict[str, Any]:
    """A failure of the work, in the one shape that every `--json` command uses."""
    kind = error.kind if isinstance(error, CommandFailed) else type(error).__name__
    retry_after = None
    if isinstance(error, ProviderError):
        retry_after, attempts = error.retry_after, error.attempts or attempts
    return {
        "error": {"type": kind, "message": redact(str(error)), "retry_after": retry_after},
        "attempts": [attempt_row(record) for record in attempts],
    }


def exit_for(error: BaseException, output: Output, *, debug: bool) -> Exit:
    """Say what went wrong on stderr; returns the exit code."""
    if isinstance(error, KeyboardInterrupt):
        output.problem("interrupted")
        return Exit.INTERRUPTED
    if debug:
        output.err.write(redact("".join(traceback.format_exception(error))))
    if isinstance(error, InputError):
        output.problem(redact(str(error)))
        return Exit.USAGE
    if isinstance(error, ProviderError):
        output.problem(f"{type(error).__name__}: {error.message}")
        return Exit.FAILED
    if isinstance(error, CommandFailed | CacheUnavailable | UsageUnavailable):
        output.problem(redact(str(error)))
        return Exit.FAILED
    if isinstance(error, OSError) and error.strerror:
        place = f" {error.filename}" if error.filename else ""
        output.problem(f"the system refused{place}: {error.strerror.lower()}")
        return Exit.FAILED
    if isinstance(error, UnicodeEncodeError) and error.encoding == sys.getfilesystemencoding():
        output.problem(f"this locale cannot name a file {error.object!r}: set LC_ALL=C.UTF-8")
        return Exit.FAILED
    hint = "" if debug else "; --debug shows where"
    output.problem(redact(f"internal error, {type(error).__name__}: {error}{hint}"))
    return Exit.FAILED
