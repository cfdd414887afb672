"""Where in a recorded run one stands, and how that moves while it plays. Pure."""

from __future__ import annotations

from typing import Final

MAX: Final = 0.0
"""The speed at which the whole run passes in a few seconds."""
SPEEDS: Final = (1.0, 10.0, 60.0, MAX)
"""Virtual seconds a second."""
DEFAULT: Final = 1
_MAX_SECONDS: Final = 4.0
STEPS: Final = 100
"""Small steps that lead through the whole run; a large one is as ten."""


class Player:
    """Times are microseconds since the start."""

    def __init__(self) -> None:
        self.at_us = 0
        self.length_us = 0
        self.playing = False
        self.choice = DEFAULT
        """Which of the speeds."""

    @property
    def speed(self) -> float:
        """Virtual seconds a second."""
        chosen = SPEEDS[self.choice]
        return chosen or max(SPEEDS[-2] * 2, self.length_us / 1e6 / _MAX_SECONDS)

    @property
    def speed_word(self) -> str:
        chosen = SPEEDS[self.choice]
        return f"{chosen:g}×" if chosen else "max"

    @property
    def step_us(self) -> int:
        return max(1, self.length_us // STEPS)

    @property
    def at_end(self) -> bool:
        return self.at_us >= self.length_us

    def faster(self) -> None:
        """The next speed; after the last one, the first."""
        self.choice = (self.choice + 1) % len(SPEEDS)

    def toggle(self) -> None:
        """Play or pause; at the end, play from the start."""
        if not self.playing and self.at_end:
            self.at_us = 0
        self.playing = not self.playing and self.length_us > 0

    def go(self, at_us: int) -> None:
        """Stand at a time."""
        self.at_us = max(0, min(at_us, self.length_us))

    def advance(self, elapsed_us: int) -> None:
        """So much real time has gone by."""
        if self.playing:
            self.go(self.at_us + round(elapsed_us * self.speed))
            self.playing = not self.at_end
