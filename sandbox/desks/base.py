"""What every work of a room has in common."""

from __future__ import annotations

from collections.abc import Callable


class RoomReport:
    """What work of a room's own tells that room; its subclasses are defined with the works."""

    __slots__ = ()


Tell = Callable[[RoomReport], None]
