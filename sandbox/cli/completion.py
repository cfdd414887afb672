"""`sandbox completion`: completion scripts for shells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from sandbox.cli.session import Session


def completion(
    shell: Literal["bash", "zsh", "fish"], /, *, session: Annotated[Session, Parameter(parse=False)]
) -> None:
    """Print a completion script; for bash: `source <(sandbox completion bash)`.

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    from sandbox.cli.app import build

    app = build()
    app.default(_before_a_command)
    session.output.out.line(app.generate_completion(prog_name="sandbox", shell=shell).rstrip())


def _before_a_command(
    *,
    mode: Literal["mock", "replay", "record", "live"] | None = None,
    preset: str | None = None,
    config: Path | None = None,
    debug: bool = False,
) -> None:
    """The options that the program reads by itself, told to the parser so that they are completed too."""
