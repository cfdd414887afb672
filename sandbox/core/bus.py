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

    __slots__ = ("_observers", "_readers", "active", "read")

    def __init__(self) -> None:
        self._observers: tuple[Observer, ...] = ()
        self._readers: tuple[Observer, ...] = ()
        self.active = False
        self.read = False
        """Somebody reads the texts of questions and answers: events of those are published only then."""

    def subscribe(self, observer: Observer, *, texts: bool = True) -> Callable[[], None]:
        """Call `observer` with every event from now on; returns the way to stop.

        Without `texts` it can do without the events that hold text, one for each piece of a stream.
        """
        self._observers = (*self._observers, observer)
        if texts:
            self._readers = (*self._readers, observer)
        self._changed()

        def unsubscribe() -> None:
            self._observers = tuple(o for o in self._observers if o is not observer)
            self._readers = tuple(o for o in self._readers if o is not observer)
            self._changed()

        return unsubscribe

    def _changed(self) -> None:
        self.active = bool(self._observers)
        self.read = bool(self._readers)

    def publish(self, event: Event) -> None:
        """Hand the event to every observer; one that raises is logged and does not disturb the call or the others."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                logger.exception("an observer of %s failed", type(event).__name__)
