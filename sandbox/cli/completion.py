"""`sandbox completion`: completion scripts for shells."""

from __future__ import annotations

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

    session.output.out.line(build().generate_completion(prog_name="sandbox", shell=shell).rstrip())
