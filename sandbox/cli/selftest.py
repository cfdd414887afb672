"""`sandbox selftest`: the figures that programs with their own calculator rely on."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from sandbox.cli.exits import Exit
from sandbox.cli.session import Session


def selftest(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> Exit:
    """Check the cost calculator against known figures; exits with 3 when one is wrong.

    Parameters
    ----------
    json
        Print {"ok": …, "items": […]}.
    """
    from sandbox.compat import selftest as checks

    lines = checks.lines()
    ok = checks.passed()
    if json:
        items = [{"ok": line.startswith("✓"), "text": line[2:]} for line in lines if line.startswith(("✓", "✗"))]
        session.output.json({"ok": ok, "items": items})
    else:
        for line in lines:
            session.output.out.line(line)
    return Exit.DONE if ok else Exit.CHECK_FAILED
