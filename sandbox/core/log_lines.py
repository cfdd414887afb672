"""What events say to a log: one JSON object a line for each failed attempt, each answer's cost, each switch of a store.

Nobody has to listen: the runtime subscribes this only where such lines would be written.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from sandbox.core.events import AttemptFailed, BackendSwitched, Event, RequestCompleted


class LogLines:
    """An observer of the bus. Writes at INFO: a failure that another provider makes good is no warning."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __call__(self, event: Event) -> None:
        if isinstance(event, AttemptFailed):
            self._write(
                "llm_call_failed",
                backend=event.provider,
                model=event.model,
                error_type=event.error_type,
                error_message=event.message,
                # The attempts that the request had made before this one, on whichever provider.
                retry_count=event.attempt,
            )
        elif isinstance(event, RequestCompleted):
            self._write(
                "cost_tracked",
                backend=event.provider,
                model=event.model,
                # As text, as in traces: a float would not be the amount. None is unpriced.
                cost_usd=None if event.cost_usd is None else format(event.cost_usd, "f"),
                input_tokens=event.input_tokens,
                output_tokens=event.output_tokens,
            )

        elif isinstance(event, BackendSwitched):
            self._write(
                "backend_switched", part=event.part, from_backend=event.from_backend, to_backend=event.to_backend
            )

    def _write(self, name: str, **fields: Any) -> None:
        if self._logger.isEnabledFor(logging.INFO):
            self._logger.info("%s", json.dumps({"event": name, **fields}))
