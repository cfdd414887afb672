"""The Lab's view of the running gateway: the same lanes as of an outage that is replayed, while it happens.

It stands in the place of the replay, which is put aside meanwhile. What is shown follows the time; when one moves in
it, it stands still, and what goes on happening is written down behind it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from sandbox.scenarios.recorder import Take
from sandbox.scenarios.rolling import RollingRecording
from sandbox.tui.lab.commands import LabCommands
from sandbox.tui.lab.events import holds
from sandbox.tui.lab.feed import SPANS_S, Feed
from sandbox.tui.lab.picker import LIVE, RUN
from sandbox.tui.lab.player import Player

if TYPE_CHECKING:
    from sandbox.scenarios.loader import Scenario
    from sandbox.tui.lab.header import LabHeader
    from sandbox.tui.lab.timeline import Timeline
    from sandbox.tui.state import UIState

BUSY_US: Final = 200_000
"""How often it is drawn while something happens."""
IDLE_US: Final = 1_000_000
"""How often while nothing does."""
LOOKED: Final = 2_000
"""Rows that are looked through for the words of the filter at one time, the newest ones."""


class LivePlayer(Player):
    """Follows the time while it plays."""

    def __init__(self) -> None:
        super().__init__()
        self.begin_us = 0
        self.playing = True

    @property
    def step_us(self) -> int:
        return max(1, (self.length_us - self.begin_us) // 100)

    @property
    def at_end(self) -> bool:
        return False

    def go(self, at_us: int) -> None:
        self.at_us = max(self.begin_us, min(at_us, self.length_us))

    def advance(self, elapsed_us: int) -> None:
        """It is moved by what happens."""


@dataclass(slots=True)
class Aside:
    """The replay, while the running gateway is shown."""

    take: Take | None
    beside: Take | None
    player: Player
    unfinished: tuple[Scenario, str] | None
    """What was being worked out, and under which preset."""


class LabFollowing(LabCommands):
    header: LabHeader
    timeline: Timeline

    def __init__(self, state: UIState) -> None:
        super().__init__(state)
        self.live = False
        """The running gateway is shown."""
        self.aside: Aside | None = None
        self.span = state.lab_span % len(SPANS_S)
        """Which of the times that one looks back."""
        self._live_painted_us = 0
        self._live_seen: tuple[object, ...] = ()
        self._held: tuple[tuple[object, ...], list[int], int] = ((), [], 0)
        """For which words and level, the rows that hold them, and up to where was looked; counted from the start."""

    @cached_property
    def feed(self) -> Feed:
        """What the running gateway does."""
        return Feed(self.ui.clock.time_us, elsewhere=bool(self.ui.frame.attached))

    @property
    def wants_live(self) -> bool:
        """Whether it is the first thing to show: on a gateway elsewhere, unless somebody chose the replay."""
        return (self._state.lab_view or ("live" if self.ui.frame.attached else "replay")) == "live"

    def remember(self, state: UIState) -> None:
        at_us = state.lab_at_us
        super().remember(state)
        if self.aside is not None:
            state.lab_at_us = at_us if self.aside.take is None else self.aside.player.at_us
        state.lab_span = self.span
        if self.live != self.wants_live:
            state.lab_view = "live" if self.live else "replay"

    # --- coming and going -----------------------------------------------------------------------------------------

    def action_live(self) -> None:
        if self.live:
            self.leave_live()
        else:
            self.go_live()

    def go_live(self) -> None:
        """Show the running gateway."""
        if self.live:
            return
        work = self.work
        self.player.playing = False
        self.aside = Aside(self.take, self.beside, self.player, None if work is None else (work.scenario, work.preset))
        self.workers.cancel_group(self, "replay")
        self.work = self.beside = self.take = None
        self.live = True
        player = LivePlayer()
        player.choice = self.player.choice
        self.player = self.header.player = player
        self.rows.clear("")
        self.follow_live()
        self.ui.save_state()

    def _put_back(self) -> Aside | None:
        aside, self.aside = self.aside, None
        if aside is not None:
            self.live = False
            self.take, self.beside = aside.take, aside.beside
            self.player = self.header.player = aside.player
            self.rows.clear("")
        return aside

    def replay(self, scenario: Scenario, at_us: int = 0, **options: Any) -> None:
        self._put_back()
        super().replay(scenario, at_us, **options)

    def leave_live(self) -> None:
        """Show the replay again, as it was left."""
        aside = self._put_back()
        if aside is None:
            return
        self.list_rows()
        if aside.unfinished is not None:
            scenario, preset = aside.unfinished
            self.replay(scenario, self.player.at_us, preset=preset)
        elif self.take is None:
            self.begin_replay()
        self.touch()
        self.ui.save_state()

    @property
    def shown_key(self) -> str:
        return LIVE if self.live else super().shown_key

    def take_up(self, what: str, key: str) -> None:
        if key == LIVE:
            self.go_live()
        elif self.live and what == RUN and key == self.key:
            self.leave_live()
        else:
            super().take_up(what, key)

    # --- following and standing still -----------------------------------------------------------------------------

    def follow_live(self) -> None:
        """Go with the time."""
        self.player.playing = True
        self._live_seen = ()
        self.look()

    def stand_still(self) -> None:
        """Keep what is to be seen."""
        recording = self.take.recording if self.take is not None else None
        if self.player.playing and self.take is not None and isinstance(recording, RollingRecording):
            self.player.playing = False
            self.take = replace(self.take, recording=recording.still())
            self.rows.take = self.take
            if self.pane.words:
                self.list_rows()

    def look(self) -> None:
        """Take up what has happened since."""
        watch, player = self.feed.watch, self.player
        if watch is None or not isinstance(player, LivePlayer):
            self.take = None
            self.touch()
            return
        columns = self.timeline.columns_for(watch.recording.ids)
        span_us = SPANS_S[self.span] * 1_000_000
        self.take, now_us = watch.look(self.ui.clock.time_us(), span_us, columns, self.feed.preset)
        player.begin_us, player.length_us = max(0, self.take.recording.begin_us), now_us
        player.go(now_us)
        seen = (self.take, watch.recording.seen, watch.recording.begin_us, self.level, self.pane.words)
        if seen != self._live_seen:
            self._live_seen = seen
            self.list_rows()
        else:
            self.touch()

    def tick_live(self, now_us: int) -> None:
        """Draw what has changed."""
        since_us = now_us - self._live_painted_us
        watch = self.feed.watch
        if not self.player.playing:
            if since_us >= IDLE_US:
                self._live_painted_us = now_us
                self.header.live = self.live_names()
                self.header.redraw()
            return
        happened = watch is not None and (
            not self._live_seen or self._live_seen[1] != watch.recording.seen or self.take is None
        )
        if since_us >= (BUSY_US if happened else IDLE_US):
            self._live_painted_us = now_us
            self.look()

    if TYPE_CHECKING:

        def live_names(self) -> tuple[str, str, str]: ...

    @property
    def missed(self) -> int:
        """Events that happened since it stands still."""
        watch = self.feed.watch
        if not self.live or self.player.playing or watch is None or self.take is None:
            return 0
        return max(0, watch.recording.seen - self.take.recording.seen)

    def list_rows(self) -> None:
        take = self.take
        if not self.live or not self.player.playing or not self.pane.words or take is None:
            super().list_rows()
            return
        self.workers.cancel_group(self, "filter")
        words = self.pane.words.lower().split()
        every = take.recording.rows(self.level)
        told = f"None of the newest rows has {' '.join(words)!r} in it.\nSpace stands still and looks through all."
        self.show_rows(take, self._holding(take, every, words), told)

    def _holding(self, take: Take, every: Sequence[int], words: list[str]) -> list[int]:
        """Those of the rows that hold the words; only what is new is looked at."""
        recording = take.recording
        assert isinstance(recording, RollingRecording)  # noqa: S101  it is live
        gone = recording.forgotten
        about = (*words, self.level, id(recording))
        known, found, looked = self._held
        if known != about:
            found, looked = [], 0
        new = every[bisect_left(every, looked - gone) :][-LOOKED:]
        found += [at + gone for at in new if holds(recording, at, take.scenario.faults, words)]
        if every:
            looked = every[-1] + gone + 1
            del found[: bisect_left(found, every[0] + gone)]
        self._held = about, found, looked
        return [at - gone for at in found]

    def go(self, at_us: int) -> None:
        self.stand_still()
        super().go(at_us)

    def stand_on(self, row: int) -> None:
        self.stand_still()
        super().stand_on(row)
