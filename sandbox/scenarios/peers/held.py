"""What can be done to a breaker by hand, the same for every kind."""

from __future__ import annotations

from providers.clock import Clock
from sandbox.gateway.breaker import OnChange, State, Transition


def moment(seconds: float) -> float:
    """A point in time to the microsecond, as clocks read it: sums of floats are rounded."""
    return round(seconds, 6)


class Held:
    """A breaker's state, its changes, and the three states that only a hand sets and lifts."""

    def __init__(self, clock: Clock, on_change: OnChange) -> None:
        self._monotonic = clock.monotonic
        self._on_change = on_change
        self.state: State = "closed"
        self.generation = 0
        """Results of these breakers count whenever they come, so that permits are all alike."""

    def _change(self, state: State, reason: str, until: float | None = None) -> None:
        before, self.state = self.state, state
        self._on_change(Transition(before, state, reason, until))

    def _clear(self) -> None:
        """Forget what was counted."""
        raise NotImplementedError

    def force_open(self) -> None:
        """Refuse everything until `reset`."""
        self._change("forced_open", "forced open by hand")

    def force_close(self) -> None:
        """Admit everything until `reset`, whatever the results."""
        self._change("forced_closed", "forced closed by hand")

    def disable(self) -> None:
        """Admit everything and count nothing until `reset`."""
        self._change("disabled", "disabled by hand")

    def reset(self) -> None:
        """Closed, with nothing counted."""
        self._clear()
        self._change("closed", "reset by hand")
