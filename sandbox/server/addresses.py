"""Where a server is reached, which is not what it was bound to: an address that stands for all is none to ask."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

ALL: Final[Mapping[str, str]] = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  not bound to
"""What stands for every address of a machine, and the one among them for programs on it."""


def base(host: str, port: int) -> str:
    """The base address for programs on this machine."""
    name = ALL.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def own_names(host: str) -> tuple[str, ...]:
    """What this machine is called where a server was bound to all of its addresses, as far as it knows itself.

    Nobody is asked: which of its addresses lead here from elsewhere, only others know.
    """
    name = socket.gethostname() if host in ALL else ""
    return (name,) if name and name != "localhost" else ()


def elsewhere(host: str, port: int) -> list[str]:
    """Base addresses for other machines, where a server was bound to all."""
    return [base(name, port) for name in own_names(host)]
