"""How one moves through a recorded run: playing it, from row to row, and along the time line."""

from __future__ import annotations

from sandbox.tui.lab.replaying import LabReplaying


class LabMoving(LabReplaying):
    def follow_time(self) -> None:
        """Stand on the last row up to the time."""
        if self.take is not None:
            self.row = self.take.recording.row_at(self.rows.rows, self.player.at_us)
        self.touch()

    def go(self, at_us: int) -> None:
        """To a time, paused."""
        self.player.playing = False
        self.player.go(at_us)
        self.follow_time()

    def stand_on(self, row: int) -> None:
        """To a row, and to its time, paused; before the first: to the start."""
        rows = self.rows.rows
        self.player.playing = False
        if self.take is None or not rows:
            return
        self.row = max(-1, min(row, len(rows) - 1))
        self.player.go(0 if self.row < 0 else self.take.recording.times[rows[self.row]])
        self.touch()

    def action_play(self) -> None:
        self.player.toggle()
        self.follow_time()

    def action_speed(self) -> None:
        self.player.faster()
        self.touch()

    def action_step(self) -> None:
        if self.row + 1 < len(self.rows.rows):
            self.stand_on(self.row + 1)
        else:
            self.go(self.player.length_us)

    def action_step_back(self) -> None:
        if self.take is None:
            return
        # Between two rows the one before is where one comes from.
        between = self.row >= 0 and self.player.at_us > self.take.recording.times[self.rows.rows[self.row]]
        self.stand_on(self.row if between else self.row - 1)

    def _scrub(self, steps: int) -> None:
        self.go(self.player.at_us + steps * self.player.step_us)

    def action_scrub_left(self) -> None:
        self._scrub(-1)

    def action_scrub_right(self) -> None:
        self._scrub(1)

    def action_scrub_far_left(self) -> None:
        self._scrub(-10)

    def action_scrub_far_right(self) -> None:
        self._scrub(10)

    def action_scrub_home(self) -> None:
        self.go(0)

    def action_scrub_end(self) -> None:
        self.go(self.player.length_us)
