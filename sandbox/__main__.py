"""The process: answers `--version` and `--help` before anything heavy loads, and joins faces that stay apart."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import IO

    from providers.mock.simulated import Simulation
    from sandbox.cli.session import Session
    from sandbox.cli.wiretap import Tap
    from sandbox.runtime import Runtime
    from sandbox.scenarios.faults import Schedule
    from sandbox.serving import ServerControl, WebControl
    from sandbox.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    _open_streams()
    try:
        code = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has what it wanted. Without this the interpreter would complain while it flushes at its end.
        _discard(sys.stdout)
        return 0
    except OSError as error:
        _discard(sys.stdout)
        code = 1
        with suppress(OSError):
            sys.stderr.write(f"sandbox: cannot write the output: {(error.strerror or str(error)).lower()}\n")
    except KeyboardInterrupt:
        return 130
    try:
        sys.stderr.flush()
    except OSError:
        # Narration that is lost is no failure of the work.
        _discard(sys.stderr)
    return code


def _run(arguments: list[str]) -> int:
    if arguments in (["--version"], ["-V"]):
        from sandbox import __version__

        sys.stdout.write(f"sandbox {__version__}\n")
        return 0
    if arguments in (["--help"], ["-h"], ["help"]):
        from sandbox.cli.commands import help_text

        sys.stdout.write(help_text())
        return 0
    # Imports make many objects and free none: looking for garbage among them would be a tenth of a start.
    gc.disable()
    from sandbox.cli.app import run

    return run(
        arguments,
        open_ui=_open_ui,
        open_wiretap=_open_wiretap,
        open_server=_open_server,
        open_attached=_open_attached,
        open_web=_open_web,
    )


def _open_ui(session: Session) -> int:
    """The terminal UI, found at run time: the faces are layers that do not import each other."""
    import gc
    from importlib import import_module

    # Collecting while everything is loaded costs an eighth of the start; the UI goes on with it after its first paint.
    gc.disable()
    code: int = import_module("sandbox.tui.app").run(session.loaded, open_server=_open_server)
    return code


def _open_wiretap(*, host: str, port: int, simulation: Simulation, schedule: Schedule | None) -> Tap:
    """The vendors' fakes, found at run time for the same reason."""
    from importlib import import_module

    tap: Tap = import_module("sandbox.server.wiretap").Wiretap(
        host=host, port=port, simulation=simulation, schedule=schedule
    )
    return tap


def _open_server(runtime: Runtime, *, host: str, port: int) -> ServerControl:
    """The gateway as a server, likewise."""
    from importlib import import_module

    server: ServerControl = import_module("sandbox.server.admin").AdminServer(runtime, host=host, port=port)
    return server


def _open_attached(
    settings: Settings, url: str, token: str | None, *, ask_token: Callable[[], str] | None = None
) -> int:
    """The terminal UI on a gateway elsewhere, likewise."""
    import gc
    from importlib import import_module

    gc.disable()
    code: int = import_module("sandbox.tui.app").attach(settings, url, token, ask_token=ask_token)
    return code


def _open_web(server: ServerControl, *, host: str, port: int, hosts: Collection[str] = ()) -> WebControl:
    """The terminal UI in a browser, likewise."""
    from importlib import import_module

    web: WebControl = import_module("sandbox.server.web").WebServer(
        lambda: server.url, host=host, port=port, hosts=hosts
    )
    return web


def _open_streams() -> None:
    """Standard streams that always exist and never fail on a character that the terminal cannot show."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  lives as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _discard(stream: IO[str]) -> None:
    """What is left in it goes nowhere when the interpreter flushes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
