"""What commands that serve something have in common: an address, the faults of a scenario, waiting to be ended."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from providers.clock import SYSTEM_CLOCK
from providers.errors import InputError
from sandbox.cli.exits import CommandFailed

if TYPE_CHECKING:
    from sandbox.cli.session import Session
    from sandbox.scenarios.faults import Schedule

_GARBAGE_EVERY = 20_000
"""Objects made and not freed before the youngest are looked through."""


def check_port(port: int, option: str = "--port") -> None:
    """Raises InputError."""
    if not 0 <= port <= 65535:
        raise InputError(f"{option} is {port}; a port is between 0 and 65535")


def schedule_of(scenario: str | None, session: Session) -> Schedule | None:
    """The faults of a scenario by its name, or of a file, on real time. Raises ScenarioError."""
    if scenario is None:
        return None
    from sandbox.cli.shelf import place_of
    from sandbox.scenarios.loader import load_schedule

    return load_schedule(place_of(scenario, session), SYSTEM_CLOCK, session.output.note)


def work_for_long() -> None:
    """Requests free what they make: to look for garbage as often as at a start would be a tenth of their cost."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(_GARBAGE_EVERY, 20, 50)


def unavailable(host: str, port: int, error: OSError, instead: str = "--port 0") -> CommandFailed:
    """The address cannot be had."""
    why = (error.strerror or str(error)).lower()
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return CommandFailed("AddressUnavailable", f"cannot listen on {place}: {why}; try {instead}")


@contextmanager
def told_to_end(*signals: signal.Signals) -> Iterator[asyncio.Event]:
    """An event that these signals set, for as long as this lasts; without signal handlers they just end the process."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):
        for one in signals:
            loop.add_signal_handler(one, ended.set)
    try:
        yield ended
    finally:
        with suppress(NotImplementedError):
            for one in signals:
                loop.remove_signal_handler(one)


async def terminated() -> None:
    """Wait to be told to end; Ctrl-C cancels the waiting."""
    with told_to_end(signal.SIGTERM) as ended:
        await ended.wait()
