"""Where a host name leads is judged by every look-up: what it led to when somebody gave it may not be so any more.

A name whose owner answers first with an address that may be called and then with another (DNS rebinding) would else
have this process ask whatever it can reach.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from providers.errors import ConnectionFailedError

Judge = Callable[[str], str | None]
"""What is wrong with calling an address, to follow "is"; None: nothing."""


class JudgedResolver(ThreadedResolver):
    """The system's, without what may not be called. Connections are made to what was judged, and nothing else."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises ConnectionFailedError where one of the addresses may not be called, as when the name was given."""
        found = await super().resolve(host, port, family)
        for one in found:
            refusal = self._judge(one["host"])
            if refusal is not None:
                raise ConnectionFailedError(f"{host} is at {one['host']}, and that is {refusal}")
        return found
