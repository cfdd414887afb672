"""`sandbox run -- CMD…`: a program whose base URLs lead to a gateway that is started for it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated

from cyclopts import Parameter

from providers.errors import InputError
from sandbox.cli.listening import schedule_of
from sandbox.cli.serve import arrange
from sandbox.cli.session import Session
from sandbox.core.descriptors import raise_limit
from sandbox.core.offline import OFFLINE_MODES
from sandbox.core.tally import Tally

HOST = "127.0.0.1"
KEYS: Mapping[str, str] = {
    "OPENAI_API_KEY": "sandbox",
    "ANTHROPIC_API_KEY": "sandbox",
    "AZURE_OPENAI_API_KEY": "sandbox",
    # Azure's client asks for a version as for a key.
    "OPENAI_API_VERSION": "2024-10-21",
}
"""What clients refuse to start without, where the caller has set nothing; the gateway does not read any of it."""


async def run(
    *command: str,
    scenario: str | None = None,
    fail: list[str] | None = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Run a program against a gateway that is started for it; its exit code is the program's.

    The program finds the gateway by OPENAI_BASE_URL, OPENAI_API_BASE, ANTHROPIC_BASE_URL and AZURE_OPENAI_ENDPOINT.

    Parameters
    ----------
    command
        The program and its arguments, after --.
    scenario
        Break providers from the start on, as a built-in scenario (`sandbox scenarios list`) or a file says.
    fail
        PROVIDER=KIND[:ARG]: make every attempt on a provider fail, such as openai=503 or bedrock=rate_limit:2.
    """
    if not command:
        raise InputError("there is no command to run: `sandbox run -- python app.py`")
    schedule = schedule_of(scenario, session)
    raise_limit()
    async with session.runtime() as runtime:
        arrange(session, runtime, schedule, fail or [])
        tally = Tally()
        unsubscribe = runtime.bus.subscribe(tally)
        server = session.server(runtime, host=HOST, port=0)
        await server.start()
        try:
            if schedule is not None:
                schedule.start()
            code = await _run(command, environment(os.environ, server.clients))
        finally:
            await server.stop()
            unsubscribe()
    session.output.note(tally.sentence(simulated=runtime.mode in OFFLINE_MODES))
    return code


def environment(given: Mapping[str, str], clients: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The program's variables: its clients lead here, and no proxy stands between."""
    here = {name: ",".join(filter(None, (given.get(name), HOST, "localhost"))) for name in ("NO_PROXY", "no_proxy")}
    return {**KEYS, **given, **here, **dict(clients)}


async def _run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code; of a program that a signal ended, what a shell makes of that. Raises InputError."""
    # Listened to before there is a program: a signal that comes while it is started would else leave it behind.
    with _heard() as signals:
        try:
            process = await asyncio.create_subprocess_exec(*command, env=dict(environ))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InputError(f"cannot run {command[0]!r}: {why}") from None
        except ValueError as error:
            raise InputError(f"cannot run {command[0]!r}: {error}") from None
        passing_on = asyncio.get_running_loop().create_task(_pass_on(signals, process))
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        finally:
            passing_on.cancel()
    return code if code >= 0 else 128 - code


async def _pass_on(signals: asyncio.Queue[signal.Signals], process: asyncio.subprocess.Process) -> None:
    """Signals to this process are meant for the program, which decides when to end."""
    # At a terminal Ctrl-C and Ctrl-\ reach the program by themselves.
    known = {signal.SIGINT, getattr(signal, "SIGQUIT", None)} if sys.stdin is not None and sys.stdin.isatty() else set()
    while True:
        one = await signals.get()
        if one not in known:
            with suppress(ProcessLookupError):
                process.send_signal(one)


@contextmanager
def _heard() -> Iterator[asyncio.Queue[signal.Signals]]:
    """What would else end this process, in order."""
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    wanted = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    try:
        with suppress(NotImplementedError):
            for one in wanted:
                loop.add_signal_handler(one, signals.put_nowait, one)
        yield signals
    finally:
        with suppress(NotImplementedError):
            for one in wanted:
                loop.remove_signal_handler(one)
