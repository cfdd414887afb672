"""Every example of the tracker document about costs, as it stands with only its imports changed."""

from __future__ import annotations

import csv
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from providers import AnthropicProvider, TokenUsage
from sandbox import CostTracker
from tests.sandbox.compat.snippets import needs_seeds, run, snippets

pytestmark = needs_seeds


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SANDBOX_MODE", "mock")
    monkeypatch.chdir(tmp_path)


def blocks_with(word: str) -> list[str]:
    return [block for block in snippets("003") if word in block]


async def test_the_quick_start() -> None:
    [block] = blocks_with("def on_alert")
    printed = await run(block, {})
    assert printed == "Budget used: 0.0%\nRemaining: $999.99\n"
    [row] = csv.DictReader(Path("costs.csv").read_text().splitlines())
    assert (row["estimated_cost"], row["tokens_used"], row["agent_id"]) == ("0.0105", "1500", "esg-agent")
    body = json.loads(Path("costs.json").read_bytes())
    assert body["summary"]["by_tenant"]["acme-corp"]["cost_usd"] == "0.0105"


async def test_router_and_tracker_together() -> None:
    [block] = blocks_with("# Initialize components")
    # The document leaves the arguments open.
    printed = await run(block.replace("Provider(...)", "Provider()"), {"__name__": "example"})
    assert "Budget: 0.0% used" in printed
    assert "Requests: 1" in printed


async def test_configuration_budget_summary_series_and_export() -> None:
    names: dict[str, Any] = {"CostTracker": CostTracker, "datetime": datetime, "date": date}
    [configuration] = blocks_with("auto_reset_budgets")
    await run(configuration, names)
    tracker: CostTracker = names["tracker"]
    usage = TokenUsage(1000, 500, total_cost_usd=850.0)  # type: ignore[arg-type]
    tracker.track_usage("anthropic", "tenant-123", "esg", "claude-3-sonnet", usage, timestamp=datetime(2024, 1, 31, 9))
    tracker.track_usage("anthropic", "tenant-123", "esg", "claude-3-sonnet", usage)
    [budget] = blocks_with("# Alert triggered?")
    printed = await run(budget, names)
    assert "Used: 85.0%\nRemaining: $150.00\n" in printed
    assert "Alert at 80%!" in printed
    [summary] = blocks_with("get_summary")
    printed = await run(summary, names)
    assert "Total cost: $850.00\nTotal tokens: 1,500\nTotal requests: 1\n" in printed
    [series] = blocks_with("get_time_series")
    lines = (await run(series, names)).splitlines()
    assert len(lines) == 31
    assert lines[0] == "2024-01-01: $0.00"
    assert lines[-1] == "2024-01-31: $850.00"
    [export] = blocks_with("cost_report.csv")
    await run(export, names)
    assert len(Path("cost_report.csv").read_text().splitlines()) == 2
    assert json.loads(Path("cost_report.json").read_bytes())["summary"]["total"]["requests"] == 1


async def test_the_good_habits() -> None:
    provider = AnthropicProvider()
    response = await provider.generate("hello")
    await provider.close()
    alerts: list[tuple[Any, ...]] = []
    names: dict[str, Any] = {
        "tracker": CostTracker(),
        "date": date,
        "send_slack_alert": lambda *alert: alerts.append(alert),
        "response": response,
        "tenant_id": "tenant-123",
        "agent_id": "esg",
    }
    short = [block for block in blocks_with("tracker.") if block.count("tracker.") == 1 and "import" not in block]
    for word in ("set_budget(", "register_alert_callback(send_slack", "track_usage(", "costs_{date.today()}"):
        [block] = [one for one in short if word in one and "CostTracker" not in one]
        await run(block, names)
    assert names["tracker"].get_summary().total_cost_usd == response.usage.total_cost_usd
    assert Path(f"costs_{date.today()}.csv").exists()
