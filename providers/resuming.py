"""Taking what is there without waiting, so that a time limit costs only where there is something to wait for.

A timer for each piece of a stream would be an eighth of what a stream costs, and most pieces come several at once.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Step(Protocol):
    """One step of an async generator, such as `source.__anext__()` gives."""

    def send(self, value: Any, /) -> Any: ...
    def throw(self, error: BaseException, /) -> Any: ...


@types.coroutine
def resumed(step: Step, waited: Any) -> Generator[Any, Any, Any]:
    """Await the rest of a step that was begun by hand: `step.send(None)` gave `waited` to wait for.

    Begin and await it without another await in between: what was given belongs to the running task.
    """
    while True:
        try:
            sent = yield waited
        except BaseException as error:
            resume, value = step.throw, error
        else:
            resume, value = step.send, sent
        try:
            waited = resume(value)
        except StopIteration as done:
            return done.value


async def within(timeout: Callable[[float], asyncio.Timeout], seconds: float, awaited: Awaitable[T]) -> T:
    """What is awaited. Raises TimeoutError where it has to be waited for longer than that; `timeout`: a clock's."""
    step: Any = awaited.__await__()
    try:
        waited = step.send(None)
    except StopIteration as there:
        return there.value  # type: ignore[no-any-return]
    async with timeout(seconds):
        return await resumed(step, waited)  # type: ignore[no-any-return]
