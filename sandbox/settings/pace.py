"""How fast simulated answers come where a person watches them or their times are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.settings.model import Settings


def at_reading_pace(settings: Settings) -> Settings:
    """Simulated answers take their time, unless the user said otherwise."""
    if settings.mock.pace is not None:
        return settings
    return settings.model_copy(update={"mock": settings.mock.model_copy(update={"pace": "realistic"})})
