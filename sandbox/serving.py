"""What the faces know of the gateway as a server: any of them may start one, and none imports another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sandbox.runtime import Runtime


class ServerControl(Protocol):
    """A server over a runtime, in the event loop of that runtime."""

    @property
    def url(self) -> str:
        """Its base address for programs on this machine, without `/v1`."""
        ...

    @property
    def elsewhere(self) -> Sequence[str]:
        """The same for other machines, where it was bound to all addresses of this one."""
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

    @property
    def asks_callers(self) -> bool:
        """Whether the vendors' endpoints answer those alone who show a key or token with scope `chat`."""
        ...

    async def start(self) -> None:
        """Listen. Raises OSError where the address cannot be had."""
        ...

    async def stop(self) -> None:
        """Take no more requests, let those under way end within a bound, end the rest; safe to call twice.

        Cancelled, it ends at once what is left.
        """
        ...


class WebControl(Protocol):
    """The terminal UI in a browser, on a served gateway. Belongs to the same event loop."""

    @property
    def url(self) -> str:
        """Its base address on this machine."""
        ...

    @property
    def elsewhere(self) -> Sequence[str]:
        """The same for other machines, where it was bound to all addresses of this one."""
        ...

    async def start(self) -> None:
        """Listen. Raises OSError where the address cannot be had."""
        ...

    async def stop(self) -> None:
        """Close every tab, and end what runs for them; safe to call twice."""
        ...


class OpenWeb(Protocol):
    """Makes one that does not listen yet, on a server that may not listen yet either.

    `hosts`: further names by which it is reached. Raises ConfigError where it cannot be had.
    """

    def __call__(self, server: ServerControl, *, host: str, port: int, hosts: Collection[str] = ()) -> WebControl: ...


class OpenServer(Protocol):
    """Makes a server that does not listen yet; the process hands one in to the faces.

    Raises ConfigError for an address that it may not be reached by.
    """

    def __call__(self, runtime: Runtime, *, host: str, port: int) -> ServerControl: ...
