"""Keeps the screen's state on the disk: written off the loop, the newest last, and once more when the program ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sandbox.tui import state


class Keeper:
    """`encode` gives the file's content; `complain` hears one sentence when it cannot be written."""

    def __init__(self, path: Path, encode: Callable[[], bytes], complain: Callable[[str], None]) -> None:
        self._path = path
        self._encode = encode
        self._complain = complain
        self._unsaved: bytes | None = None
        self._saving: asyncio.Task[None] | None = None

    def save_soon(self) -> None:
        """Write what is true now, in the background."""
        self._unsaved = self._encode()
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save())

    async def save_now(self) -> None:
        """Write what is true now, and return when that is done."""
        self._unsaved = None
        if self._saving is not None:
            await self._saving
        await self._write(self._encode())

    def save_last(self) -> None:
        """Write what is true now, at once: the program is falling."""
        state.write(self._path, self._encode())

    async def _save(self) -> None:
        while self._unsaved is not None:
            data, self._unsaved = self._unsaved, None
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        problem = await asyncio.to_thread(state.write, self._path, data)
        if problem:
            self._complain(problem)
