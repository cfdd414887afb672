"""The program behind one tab: `sandbox attach`, drawn into a browser. It ends with its tab, or is ended."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from textual_serve.app_service import AppService

from providers.clock import Clock
from sandbox.settings.sources import ADMIN_TOKEN_VARIABLE

if TYPE_CHECKING:
    from aiohttp import web
    from textual_serve.download_manager import DownloadManager

LEAVE_S: Final = 3.0
"""How long it may take to leave when asked, and again when told."""


def command(gateway: str) -> list[str]:
    """What runs for each tab. The token is not in it: every user of a machine can read command lines."""
    return [sys.executable, "-m", "sandbox", "attach", gateway]


class Tab(AppService):
    def __init__(
        self,
        argv: Sequence[str],
        token: str,
        socket: web.WebSocketResponse,
        *,
        downloads: DownloadManager,
        clock: Clock,
    ) -> None:
        super().__init__(
            "sandbox attach",
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=self._gone,
            download_manager=downloads,
        )
        self._socket = socket
        self._argv = list(argv)
        self._token = token
        self._clock = clock

    async def _gone(self) -> None:
        """The program has left by itself."""
        await self._socket.close()

    async def run(self) -> None:
        # What the browser is not there to read any more is no reason to leave the program behind.
        with suppress(ConnectionError):
            await super().run()

    async def ended(self) -> None:
        """Wait until the program has nothing more to say."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stop(self) -> None:
        """Have the program leave; kill it, if it does not."""
        process = self._process
        if process is None:
            return
        for step in (self._ask_to_leave, process.terminate, process.kill):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    done: Any = step()
                    if done is not None:
                        await done
                with suppress(TimeoutError):
                    async with self._clock.timeout(LEAVE_S):
                        await process.wait()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)

    async def _ask_to_leave(self) -> None:
        await self.send_meta({"type": "quit"})
        self.stdin.close()

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        return {**super()._build_environment(width, height), ADMIN_TOKEN_VARIABLE: self._token}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        # Of its own session, so that Ctrl-C at the server's terminal reaches the server alone, which ends it.
        self._process = process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=self._build_environment(width, height),
            start_new_session=os.name == "posix",
        )
        self._stdin = process.stdin
        return process
