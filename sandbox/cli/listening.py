"""What commands that serve something have in common: an address, the faults of a scenario, waiting to be ended."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from providers.clock import SYSTEM_CLOCK
from providers.errors import InputError
from sandbox.cli.exits import CommandFailed

if TYPE_CHECKING:
    from sandbox.scenarios.faults import Schedule


def check_port(port: int) -> None:
    """Raises InputError."""
    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}; a port is between 0 and 65535")


def schedule_of(scenario: str | None) -> Schedule | None:
    """The faults of a built-in scenario or a file, on real time. Raises ScenarioError, or InputError for a name."""
    if scenario is None:
        return None
    from sandbox.scenarios.builtin import find
    from sandbox.scenarios.loader import load_schedule

    return load_schedule(find(scenario), SYSTEM_CLOCK)


def unavailable(host: str, port: int, error: OSError) -> CommandFailed:
    """The address cannot be had."""
    why = (error.strerror or str(error)).lower()
    return CommandFailed("AddressUnavailable", f"cannot listen on {host}:{port}: {why}; try --port 0")


async def terminated(*signals: signal.Signals) -> None:
    """Wait to be told to end, by SIGTERM unless other signals are given; otherwise Ctrl-C cancels the waiting."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Where there are no signal handlers the process just ends.
    with suppress(NotImplementedError):
        for one in signals or (signal.SIGTERM,):
            loop.add_signal_handler(one, ended.set)
    try:
        await ended.wait()
    finally:
        with suppress(NotImplementedError):
            for one in signals or (signal.SIGTERM,):
                loop.remove_signal_handler(one)
