"""`sandbox attach`: the terminal UI on a gateway that `sandbox serve` runs."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

from cyclopts import Parameter

from providers.errors import InputError
from sandbox.cli.session import Session
from sandbox.settings.sources import ADMIN_TOKEN_VARIABLE

if TYPE_CHECKING:
    from sandbox.settings import Settings

BROWSER_DRIVER = "TEXTUAL_DRIVER"
"""Set where the screen is drawn into a browser, so that no terminal is needed."""


class OpenAttached(Protocol):
    """The terminal UI on a gateway elsewhere; the process hands it in. Returns the exit code."""

    def __call__(
        self, settings: Settings, url: str, token: str | None, *, ask_token: Callable[[], str] | None
    ) -> int: ...


def attach(
    url: str = "http://127.0.0.1:4000",
    *,
    token: str | None = None,
    token_file: Path | None = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Open the terminal UI on a running `sandbox serve`: ask it, compare models, break it, see its costs and health.

    The token is taken from SANDBOX_ADMIN_TOKEN, else asked for.

    Parameters
    ----------
    url
        Where the gateway is.
    token
        A key or token with scope admin. Other users of this machine can read a command line: rather use the others.
    token_file
        A file with it and nothing else.
    """
    if session.open_attached is None:
        raise RuntimeError("this process was given no terminal UI")
    output = session.output
    if not (output.out.terminal and output.err.terminal) and BROWSER_DRIVER not in os.environ:
        raise InputError("the terminal UI needs a terminal; `sandbox health` and `sandbox costs` tell without one")
    if token is not None and token_file is not None:
        raise InputError("give --token or --token-file, not both")
    known = token or _read(token_file) or os.environ.get(ADMIN_TOKEN_VARIABLE)
    interactive = sys.stdin is not None and sys.stdin.isatty()
    return session.open_attached(session.settings, url, known, ask_token=_ask if interactive else None)


def _ask() -> str:
    return getpass.getpass("admin token (not shown): ").strip()


def _read(file: Path | None) -> str | None:
    """Raises InputError."""
    if file is None:
        return None
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise InputError(f"cannot read the token from {file}: {why.lower()}") from None
    token = text.strip()
    if not token or len(token.split()) > 1:
        raise InputError(f"{file} must hold one token and nothing else")
    return token
