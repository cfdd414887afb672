"""The command palette over the table of actions: every one by its name, with its key."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from sandbox.tui import actions
from sandbox.tui.rooms import ROOMS

if TYPE_CHECKING:
    from sandbox.tui.application import SandboxApp


class ActionCommands(Provider):
    """All actions, those too that cannot be done just now: choosing one of them says so."""

    def _entries(self) -> list[tuple[str, str, partial[None]]]:
        app = cast("SandboxApp", self.app)
        entries = []
        for action in actions.ACTIONS:
            if action.place != actions.LIST:
                key = action.key_for(typing=False)
                told = f"{actions.shown(key)} · {action.help}" if key else action.help
                entries.append((action.title, told, partial(app.perform, action.name)))
        for room in ROOMS:
            entries.append(
                (f"Go to {room.title}", f"{room.key} · Its state is as you left it.", partial(app.enter, room.name))
            )
        return entries

    async def discover(self) -> Hits:
        for title, told, run in self._entries():
            yield DiscoveryHit(title, run, help=told)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, told, run in self._entries():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=told)
