"""What the faces know of the gateway as a server: any of them may start one, and none imports another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sandbox.runtime import Runtime


class ServerControl(Protocol):
    """A server over a runtime, in the event loop of that runtime."""

    @property
    def url(self) -> str:
        """Its base address, without `/v1`."""
        ...

    @property
    def running(self) -> bool: ...

    @property
    def under_way(self) -> int:
        """Requests that are being answered."""
        ...

    @property
    def clients(self) -> Sequence[tuple[str, str]]:
        """What points each client here: the variable that its SDK reads, and the address."""
        ...

    @property
    def admin_token(self) -> str | None:
        """By which whoever started it may administer it, until it ends; None where the settings say who may."""
        ...

    async def start(self) -> None:
        """Listen. Raises OSError where the address cannot be had."""
        ...

    async def stop(self) -> None:
        """Take no more requests, let those under way end within a bound, end the rest; safe to call twice.

        Cancelled, it ends at once what is left.
        """
        ...


class OpenServer(Protocol):
    """Makes a server that does not listen yet; the process hands one in to the faces.

    Raises ConfigError for an address that it may not be reached by.
    """

    def __call__(self, runtime: Runtime, *, host: str, port: int) -> ServerControl: ...
