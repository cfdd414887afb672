"""The rooms of the running program: made when they are first needed, one shown, the others as they were left."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from textual import events

from sandbox.tui.actions import PLAYGROUND
from sandbox.tui.app_commands import AppCommands
from sandbox.tui.keyboard import is_bare_alt
from sandbox.tui.rooms import ROOMS, Room

if TYPE_CHECKING:
    from sandbox.core.events import Event
    from sandbox.tui.actions import Action
    from sandbox.tui.frame import TopBar
    from sandbox.tui.reports import Opened, Provoked

EARLY: Final = 20_000
"""Events, the newest ones."""


class AppRooms(AppCommands):
    _top: TopBar

    def __init__(self) -> None:
        super().__init__()
        self._rooms: dict[str, Room] = {}
        self._opened: Opened | None = None
        """What the engine said when it opened: rooms that are made later are told it too."""
        self.early: deque[tuple[int, Event | Provoked]] | None = deque(maxlen=EARLY)
        """What happened, and when, before a room was made that shows it all; None: the room was."""
        self._door = asyncio.Lock()
        self._wanted = ""
        """The room that was asked for last."""

    if TYPE_CHECKING:

        def perform(self, name: str) -> None: ...

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and is_bare_alt(event):
            event.character = None
        await super().on_event(event)

    @property
    def room(self) -> Room:
        return self._rooms[self.frame.room]

    def made_already(self, name: str) -> Room | None:
        return self._rooms.get(name)

    def load_room(self, name: str) -> Room:
        """A new one; its module is loaded with it."""
        entry = next(room for room in ROOMS if room.name == name)
        cls: Any = entry.load()
        room: Room = cls(self.state)
        return room

    def action_room(self, name: str) -> None:
        self.enter(name)

    def enter(self, name: str) -> None:
        """Show a room; it is as it was left."""
        self._wanted = name
        if name in self._rooms:
            self._show(name)
        else:
            self.run_worker(self.made(name))

    async def made(self, name: str) -> Room:
        """A room, behind the one that is shown unless it is asked for."""
        async with self._door:
            if name not in self._rooms:
                room = self.load_room(name)
                room.display = False
                await self.screen_stack[0].mount(room, after=self._top)
                self._rooms[name] = room
                if self._opened is not None:
                    room.on_report(self._opened)
        if self._wanted == name != self.frame.room:
            self._show(name)
        return self._rooms[name]

    def _show(self, name: str) -> None:
        self.frame.room = self.state.room = name
        for one, room in self._rooms.items():
            room.display = one == name
        self._rooms[name].enter()

    def _laid_out(self) -> None:
        for room in self._rooms.values():
            room.lay_out()

    def action_lower(self, which: str) -> None:
        """A click on a tab of the narrow layout."""
        self.state.lower = which
        self._laid_out()

    async def perform_there(self, action: Action) -> None:
        """Do an action of another room, there."""
        self._wanted = action.place
        await self.made(action.place)
        self._show(action.place)
        self.perform(action.name)

    def action_in_room(self, what: str, value: str) -> None:
        """Something that only the room that is shown can do: a click, or a choice in jump mode."""
        getattr(self.room, f"action_{what}")(value)

    async def action_provider(self, id: str) -> None:
        """A click on the provider strip."""
        room: Any = await self.made(PLAYGROUND)
        room.break_provider(id)
