"""Asks before something that cannot be taken back."""

from __future__ import annotations

import sys

from providers.errors import InputError
from sandbox.cli.session import Session


def confirmed(session: Session, question: str, *, doing: str) -> bool:
    """Whether the user says yes. Raises InputError where nobody can be asked; `doing` is what needs --yes then."""
    if not (sys.stdin and sys.stdin.isatty()):
        raise InputError(f"{doing} needs --yes where nobody can be asked")
    session.output.err.write(f"{question} [y/N] ")
    session.output.err.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
