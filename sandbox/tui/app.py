"""The way in: opens the terminal UI and gives the terminal back, whatever happens."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from sandbox.serving import OpenServer
    from sandbox.settings import Loaded, Settings
    from sandbox.tui.application import SandboxApp


def run(settings: Settings | Loaded, *, notes: Sequence[str] = (), open_server: OpenServer | None = None) -> int:
    """Open the terminal UI; returns the exit code. `notes` are sentences to show at the start.

    `open_server`: the face that serves the gateway, which the UI may start.
    """
    secrets: tuple[str, ...] = getattr(settings, "secrets", ())
    chosen = cast("Settings", getattr(settings, "settings", settings))
    loaded = cast("Loaded | None", None if chosen is settings else settings)

    def make() -> SandboxApp:
        from sandbox.tui.application import SandboxApp

        return SandboxApp(chosen, notes=notes, secrets=secrets, loaded=loaded, open_server=open_server)

    return _shown(make)


def attach(settings: Settings, url: str, token: str | None, *, ask_token: Callable[[], str] | None = None) -> int:
    """Open the terminal UI on a gateway elsewhere; returns the exit code.

    `ask_token`: asks a person for a token, where one is wanted and none is known. Raises InputError for an address that
    is none, ConnectionFailedError or PermissionDeniedError where the gateway cannot be had.
    """
    from sandbox.tui.attached.client import GatewayClient, gateway_address
    from sandbox.tui.attached.probe import admitted, is_private

    address = gateway_address(url)
    token = admitted(address, token, ask_token)
    notes = [] if is_private(address) else ["the token goes over the network unencrypted: use https, or an SSH tunnel"]

    def make() -> SandboxApp:
        from sandbox.tui.application import SandboxApp

        secrets = () if token is None else (token,)
        return SandboxApp(settings, notes=notes, secrets=secrets, attached=GatewayClient(address, token))

    return _shown(make)


def _shown(make: Callable[[], SandboxApp]) -> int:
    from sandbox.tui.keyboard import free_alt_digits

    # Collecting while everything is loaded costs an eighth of the start; the application goes on with it afterwards.
    gc.disable()
    root = logging.getLogger()
    handlers = root.handlers[:]
    app: SandboxApp | None = None
    try:
        app = make()
        free_alt_digits()
        root.handlers[:] = [_ScreenLog(app, [one for handler in handlers for one in handler.filters])]
        app.run()
    finally:
        root.handlers[:] = handlers
        gc.enable()
        if app is not None:
            app.engine.close()
    if app.failure is not None:
        sys.stderr.write(f"sandbox: {app.failure}\n")
        return 1
    return app.return_code or 0


class _ScreenLog(logging.Handler):
    """While the screen is up, log lines go to its notice line: on stderr they would tear it."""

    def __init__(self, app: SandboxApp, filters: Iterable[Any]) -> None:
        super().__init__(logging.WARNING)
        self._app = app
        for one in filters:
            self.addFilter(one)

    def emit(self, record: logging.LogRecord) -> None:
        from sandbox.tui.reports import Noted

        self._app.engine.outbox.append(Noted(record.getMessage()))
