"""Asks every model at once through the gateway, each pinned to its provider, and collects what comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from providers.clock import random_id
from providers.errors import InputError, ProviderError
from providers.types import StreamFinished, StreamRestarted, TextDelta
from sandbox.comparison.contestants import Contestant
from sandbox.comparison.question import Cell, Question
from sandbox.comparison.sample import Sample, answered, cancelled, failed
from sandbox.gateway.call import CallOptions

if TYPE_CHECKING:
    from sandbox.gateway.gateway import Gateway

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Began:
    cell: Cell
    request_id: str


@dataclass(frozen=True, slots=True)
class Wrote:
    cell: Cell
    text: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """What was written so far is void: the answer begins anew."""

    cell: Cell


@dataclass(frozen=True, slots=True)
class Ended:
    cell: Cell
    sample: Sample


Update = Began | Wrote | Discarded | Ended


def _nobody(_: Update) -> None:
    pass


class Run:
    """One comparison. What has come is in `samples` at any time, also after `go` was cancelled."""

    def __init__(
        self,
        gateway: Gateway,
        question: Question,
        contestants: Sequence[Contestant],
        *,
        told: Callable[[Update], None] = _nobody,
        ids: Callable[[], str] = random_id,
    ) -> None:
        """`told` hears of every step, on the gateway's loop. Raises InputError for a question that cannot be asked."""
        question.check()
        self.gateway = gateway
        self.question = question
        self.contestants = tuple(contestants)
        self.samples: dict[Cell, Sample] = {}
        self._told = told
        self._ids = ids

    async def go(self) -> None:
        """Ask until every answer is there. An answer that fails is a sample too and ends no other."""
        cells = self.question.cells(len(self.contestants))
        size = len(self.question.prompts) * self.question.repeat * len(self.contestants)

        async def work() -> None:
            for cell in cells:
                await self._ask(cell)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.question.concurrency, size)):
                group.create_task(work())

    async def _ask(self, cell: Cell) -> None:
        gateway, contestant, request_id = self.gateway, self.contestants[cell.contestant], self._ids()
        request = self.question.request(cell.prompt, contestant.model)
        # A kept answer would say nothing of how fast and how dear the model is.
        options = CallOptions(provider=contestant.provider, pinned=True, no_cache=True, request_id=request_id)
        self._told(Began(cell, request_id))
        pieces: list[str] = []
        sample: Sample | None = None
        try:
            async with aclosing(gateway.stream(request, options)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        pieces.append(event.text)
                        self._told(Wrote(cell, event.text))
                    elif isinstance(event, StreamRestarted):
                        pieces.clear()
                        self._told(Discarded(cell))
                    elif isinstance(event, StreamFinished) and event.response is not None:
                        sample = answered(event.response)
        except asyncio.CancelledError:
            self._end(cell, sample or cancelled(request_id, contestant, "".join(pieces), gateway.mode))
            raise
        except Exception as error:
            if not isinstance(error, (ProviderError, InputError)):
                logger.exception("a column of a comparison failed in an unforeseen way")
            sample = failed(request_id, contestant, error, gateway.mode)
        if sample is None:
            raise RuntimeError("the gateway ended a stream without a response")
        self._end(cell, sample)

    def _end(self, cell: Cell, sample: Sample) -> None:
        self.samples[cell] = sample
        self._told(Ended(cell, sample))
