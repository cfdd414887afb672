"""Carries events to whoever listens. With nobody listening a publisher pays one attribute test."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sandbox.core.events import Event

logger = logging.getLogger(__name__)

Observer = Callable[[Event], None]


class Bus:
    """Synchronous and in order. Publish as `if bus.active: bus.publish(...)`, so that an unheard event is never built.

    Subscribe and publish on one thread; an observer that needs another thread hands over there itself.
    """

    __slots__ = ("_observers", "active")

    def __init__(self) -> None:
        self._observers: tuple[Observer, ...] = ()
        self.active = False

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call `observer` with every event from now on; returns the way to stop."""
        self._observers = (*self._observers, observer)
        self.active = True

        def unsubscribe() -> None:
            self._observers = tuple(o for o in self._observers if o is not observer)
            self.active = bool(self._observers)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Hand the event to every observer; one that raises is logged and does not disturb the call or the others."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                logger.exception("an observer of %s failed", type(event).__name__)
