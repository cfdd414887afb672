"""Log lines of a request: one JSON object each, and none where nobody reads them."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox.core.events import AttemptFailed, AttemptSucceeded, RequestCompleted
from sandbox.core.log_lines import LogLines
from sandbox.runtime import Runtime
from sandbox.settings import Settings

LOGGER = "sandbox"
FAILED = AttemptFailed(1, "r", "openai", "gpt-4o", 2, "RateLimitError", 'slow "down"\nplease', 429, 5.0)


def completed(cost: Decimal | None) -> RequestCompleted:
    return RequestCompleted(1, "r", "openai", "gpt-4o", "stop", 10, 20, False, cost, Decimal(0), 1.0, None, 0, False)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(r.getMessage()) for r in caplog.records if r.name == LOGGER and r.levelno == logging.INFO]


def test_the_lines_hold_what_the_events_do(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    observer = LogLines(logging.getLogger(LOGGER))
    for event in (
        FAILED,
        AttemptSucceeded(1, "r", "openai", "gpt-4o", 1, 2.0, None),
        completed(Decimal("1E-7")),
        completed(None),
    ):
        observer(event)
    assert lines(caplog) == [
        {
            "event": "llm_call_failed",
            "backend": "openai",
            "model": "gpt-4o",
            "error_type": "RateLimitError",
            "error_message": 'slow "down"\nplease',
            "retry_count": 2,
        },
        *(
            {
                "event": "cost_tracked",
                "backend": "openai",
                "model": "gpt-4o",
                "cost_usd": cost,
                "input_tokens": 10,
                "output_tokens": 20,
            }
            for cost in ("0.0000001", None)
        ),
    ]
    assert all("\n" not in record.getMessage() for record in caplog.records)


def settings_in(folder: Path) -> Settings:
    return Settings(mode="mock", data_dir=folder, chain=["openai", "mock"])


async def test_a_runtime_writes_them_where_they_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    from providers.faults import Fault

    async with Runtime.of(settings_in(tmp_path), stores=False) as runtime:
        runtime.faults.set("openai", Fault("auth"))
        await runtime.gateway.generate("Hi")
    assert [line["event"] for line in lines(caplog)] == ["llm_call_failed", "cost_tracked"]


async def test_the_bus_is_quiet_otherwise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    async with Runtime.of(settings_in(tmp_path), stores=False) as runtime:
        assert not runtime.bus.active
