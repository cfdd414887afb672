"""What a command works with: the options, the settings, the output, and the runtime while it needs one."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.cli.options import GlobalOptions
from sandbox.cli.output import Output
from sandbox.core.offline import following

if TYPE_CHECKING:
    from sandbox.cli.attach import OpenAttached
    from sandbox.cli.wiretap import OpenWiretap
    from sandbox.costs.budgets import Budgets
    from sandbox.runtime import Runtime
    from sandbox.serving import OpenServer, OpenWeb, ServerControl, WebControl
    from sandbox.settings import Loaded, Settings
    from sandbox.usage.base import UsageStore


@dataclass(slots=True)
class Session:
    options: GlobalOptions
    output: Output
    _loaded: Loaded | None = field(default=None)
    open_wiretap: OpenWiretap | None = None
    """The face that serves the vendors' fakes, where the process has one."""
    open_server: OpenServer | None = None
    """The face that serves the gateway, likewise."""
    open_attached: OpenAttached | None = None
    """The terminal UI on a gateway elsewhere."""
    open_web: OpenWeb | None = None
    """The terminal UI in a browser."""

    @property
    def loaded(self) -> Loaded:
        """The settings with their origins, read on first use. Raises ConfigError."""
        if self._loaded is None:
            from sandbox.cli import logs
            from sandbox.settings.loading import load

            options = self.options
            flags = {"mode": options.mode, "preset": options.preset, "ui.ascii": options.ascii or None}
            self._loaded = load(options.config, flags=flags)
            level = "DEBUG" if options.debug else self._loaded.settings.log_level
            logs.configure(level, self.output.err.file, self._loaded.secrets)
        return self._loaded

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    @asynccontextmanager
    async def runtime(
        self, *, stores_only: bool = False, cache: bool = True, unhurried: bool = False
    ) -> AsyncIterator[Runtime]:
        """The wired engine for as long as it is needed. Raises ConfigError for what is not available.

        `stores_only`: for looking at what is kept, which needs no provider and so no key in any mode. Without `cache`
        it is not opened, and nobody hears that it cannot be. `unhurried`:
        simulated answers take their time, unless the user said otherwise.
        """
        settings = self.settings
        from sandbox.runtime import Runtime

        if stores_only:
            from sandbox.stores import to_look_at, with_backends

            settings = to_look_at(settings)
            if not cache:
                settings = with_backends(settings, {"cache": "off"})
        if unhurried:
            from sandbox.settings.pace import at_reading_pace

            settings = at_reading_pace(settings)
        with following(settings.mode):
            runtime = await Runtime.open(settings, answers=not stores_only)
            # The start is over and the work may be long; what the start made stays for good and need not be looked at.
            gc.freeze()
            gc.enable()
            try:
                yield runtime
            finally:
                await runtime.close()

    def server(self, runtime: Runtime, *, host: str, port: int) -> ServerControl:
        """The gateway as a server that does not listen yet. Raises ConfigError for an address that it may not have."""
        if self.open_server is None:
            raise RuntimeError("this process was given no server")
        return self.open_server(runtime, host=host, port=port)

    def web(self, server: ServerControl, *, host: str, port: int) -> WebControl:
        """The UI in a browser, not listening yet. Raises ConfigError where it is not installed."""
        if self.open_web is None:
            raise RuntimeError("this process was given no UI for browsers")
        return self.open_web(server, host=host, port=port, hosts=self.settings.server.hosts)

    @asynccontextmanager
    async def budgets(self) -> AsyncIterator[Budgets]:
        """The budgets of the mode, to look at: that needs no provider."""
        async with self.runtime(stores_only=True, cache=False) as runtime:
            budgets = runtime.budgets_of(self.settings.booked)
            try:
                yield budgets
            finally:
                await budgets.close()

    async def carry_budgets(self) -> None:
        """Let the ledgers of every mode that can be looked at from here hold what was spent this month.

        Raises UsageUnavailable where that cannot be read.
        """
        async with self.runtime(stores_only=True, cache=False) as runtime:
            if runtime.usage is None:
                return
            for mode in ("mock", "replay", "live"):
                budgets = runtime.budgets_of(mode)
                try:
                    await budgets.carry_over(runtime.usage)
                finally:
                    await budgets.close()

    @asynccontextmanager
    async def usage(self) -> AsyncIterator[UsageStore]:
        """The usage records. Raises UsageUnavailable where there are none to read."""
        from sandbox.usage.base import UsageUnavailable

        async with self.runtime(stores_only=True, cache=False) as runtime:
            if runtime.usage is None:
                raise UsageUnavailable("; ".join(runtime.notes) or "usage is not recorded")
            yield runtime.usage
