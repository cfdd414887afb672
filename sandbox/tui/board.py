"""What the provider strip shows of each provider, folded from the bus's events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sandbox.core.events import (
    AttemptSucceeded,
    BreakerChanged,
    Event,
    ProviderDisabled,
    ProviderEnabled,
)
from sandbox.desks.lights import Light
from sandbox.tui.pieces import BAD, NAME, PLAIN, SHAPE_STYLES, SHAPES, WARN, Line
from sandbox.tui.story import breaker_state


class Board:
    """Every provider of the chain, in its order."""

    def __init__(self) -> None:
        self.lights: dict[str, Light] = {}

    def set(self, lights: Iterable[Light]) -> None:
        """Begin anew with these providers; what is provoked on them stays."""
        faults = {light.id: light.fault for light in self.lights.values()}
        self.lights = {light.id: light for light in lights}
        for light in self.lights.values():
            light.fault = light.fault or faults.get(light.id)

    def provoke(self, faults: dict[str, str]) -> None:
        """What is provoked now, by provider; the others are healed."""
        for light in self.lights.values():
            light.fault = faults.get(light.id)

    @property
    def broken(self) -> list[str]:
        """The providers on which something is provoked."""
        return [light.id for light in self.lights.values() if light.fault]

    def apply(self, event: Event) -> bool:
        """Take one event in; returns whether it changed anything that is shown."""
        if isinstance(event, BreakerChanged):
            light = self.lights.get(event.provider)
            if light is None:
                return False
            light.state, light.until_us, light.reason = breaker_state(event), event.until_us, event.reason
            return True
        if isinstance(event, (ProviderDisabled, ProviderEnabled, AttemptSucceeded)):
            light = self.lights.get(event.provider)
            if light is None:
                return False
            before = light.disabled
            # One that answers is back in rotation, whoever noticed first.
            light.disabled = event.reason if isinstance(event, ProviderDisabled) else None
            return light.disabled != before
        return False

    def ticking(self) -> bool:
        """Whether a countdown is to be redrawn as time passes."""
        return any(light.shape == "open" and light.until_us is not None for light in self.lights.values())


_STRIP_FORMS = (
    (2, True, 99),
    (2, False, 99),
    (2, False, 9),
    (1, False, 9),
    (1, False, 6),
    (1, False, 4),
    (1, False, 2),
)
"""Blanks between providers, whether one follows the shape, and the longest name of one with nothing to report."""


def strip_pieces(lights: Sequence[Light], now_us: int, width: int) -> list[tuple[str, Line]]:
    """The provider strip as one line for each provider, in as much detail as fits into `width` columns.

    What is healthy gives way first: separators, then the long names of providers with nothing to report.
    """
    for gap, spaced, longest in _STRIP_FORMS:
        cells = [(light.id, _light(light, now_us, spaced, longest)) for light in lights]
        used = sum(sum(len(text) for text, _ in line) for _, line in cells) + gap * max(0, len(cells) - 1)
        if used <= width:
            break
    return [(id, [*line, (" " * gap, PLAIN)]) for id, line in cells]


def _light(light: Light, now_us: int, spaced: bool, longest: int) -> Line:
    shape = light.shape
    note = light.note(now_us)
    name = light.id
    if longest < len(name) and not note and shape == "closed":
        name = name.partition("_")[0][:longest]
    line: Line = [(SHAPES[shape] + (" " if spaced else ""), SHAPE_STYLES[shape])]
    line.append((name, PLAIN if shape == "closed" else NAME))
    if note:
        line.append((f" {note}", WARN if shape == "closed" else BAD))
    return line
