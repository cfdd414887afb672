"""Budgets in scenarios: outages worked out by hand to the last cent, and files that are wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from providers.errors import ScenarioError
from sandbox.core.events import BudgetThresholdCrossed, Event
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.json_schema import json_schema
from sandbox.scenarios.loader import check
from sandbox.scenarios.results import Result
from sandbox.scenarios.runner import run
from sandbox.scenarios.source import parse

D = Decimal


def ran(text: str, **options: Any) -> tuple[Result, list[tuple[float, str, float, Decimal]]]:
    events: list[Event] = []
    result = run(check(parse(text, Path("budget.yaml"))), observers=[events.append], **options)
    crossed = [
        ((e.t_us - EPOCH_US) / 1e6, e.scope, e.threshold, e.used_usd)
        for e in events
        if isinstance(e, BudgetThresholdCrossed)
    ]
    return result, crossed


@pytest.mark.parametrize("fidelity", ["provider", "wire"])
def test_a_limit_met_to_the_last_cent(fidelity: Any) -> None:
    """gpt-4-turbo: 1000 × 10 + 100 × 30 millionths = 0.013 are held and spent for each; 0.13 pay for ten.

    Those at 0, 1, … 9 are answered half a second later; the others are refused as they come. Three quarters are
    0.0975, which the eighth answer passes at 7.5; nine tenths are 0.117, which the ninth meets at 8.5.
    """
    result, crossed = ran(
        """
version: 1
name: limit
duration: 20s
providers:
  - {name: openai, model: gpt-4-turbo, latency: 500ms}
traffic:
  - {rate: 1/s, input_tokens: 1000, output_tokens: 100, max_tokens: 100, tenant: acme}
budgets:
  - {tenant: acme, limit: 0.13}
  - {limit: 20}
""",
        fidelity=fidelity,
    )
    m = result.metrics
    assert (m["succeeded"], m["blocked"], m["attempts"]) == (10, 10, 10)
    assert (m["cost_usd"], result.errors_by_type) == (D("0.13"), {"BudgetExceededError": 10})
    assert crossed == [
        (7.5, "tenant acme", 0.75, D("0.104")),
        (8.5, "tenant acme", 0.9, D("0.117")),
        (9.5, "tenant acme", 1.0, D("0.13")),
    ]


OUTAGE = """
version: 1
name: outage
duration: 120s
preset: happyos
providers:
  - {name: anthropic, id: bedrock, model: claude-3-sonnet, latency: 400ms}
  - {name: openai, model: gpt-4-turbo, latency: 500ms}
  - {name: ollama, model: llama3.2, latency: 500ms}
traffic:
  - {rate: 1/s, input_tokens: 1000, output_tokens: 100, max_tokens: 100, tenant: acme}
budgets:
  - {tenant: acme, limit: 0.20}
faults:
  - {provider: bedrock, from: 10s, to: 70s, kind: http_error, status: 503, after: 100ms}
"""


def test_an_outage_uses_the_budget_up() -> None:
    """claude-3-sonnet costs 0.0045, gpt-4-turbo 0.013, which is what is held as long as there is room for it.

    0 … 9: bedrock answers, 0.045. From 10 on it fails and openai answers: 0.155 are left for eleven, 10 … 20, after
    which 0.188 are spent and no other fits. Bedrock still does: 0.0045 are held for it. Its breaker has opened at 12.1,
    fails its probe at 43 and passes the one at 74; until then ollama answers. Bedrock answers those at 74 and 75:
    0.197. What is left, 0.003, pays for nothing, and ollama answers all that come from 76 on: 120 − 12 − 11 = 97.

    Three quarters, 0.15, are passed by the ninth of the eleven (0.045 + 9 × 0.013 = 0.162), which came at 18; nine
    tenths, 0.18, by the eleventh; the limit counts as met when the first request finds nothing to be paid from, at 76.
    """
    result, crossed = ran(OUTAGE)
    m = result.metrics
    assert result.answers_by_provider == {"bedrock": 12, "openai": 11, "ollama": 97}
    assert result.attempts_by_provider == {"bedrock": 12 + 3 + 1, "openai": 11, "ollama": 97}
    assert (m["cost_usd"], m["availability"], m["blocked"]) == (D("0.197"), 1.0, 0)
    assert crossed == [
        (18.5, "tenant acme", 0.75, D("0.162")),
        (20.5, "tenant acme", 0.9, D("0.188")),
        (76.0, "tenant acme", 1.0, D("0.197")),
    ]


def test_it_is_the_same_bytes_every_time_and_without_a_budget_another_story() -> None:
    first, _ = ran(OUTAGE)
    again, _ = ran(OUTAGE)
    free, crossed = ran(OUTAGE.replace("limit: 0.20", "limit: 9000000"))
    assert first.trace_sha256 == again.trace_sha256 != free.trace_sha256
    assert (free.answers_by_provider["ollama"], crossed) == (0, [])


def test_each_tenant_has_a_purse_of_its_own_and_all_share_one() -> None:
    """0.13 pay for ten of acme's, 0.26 for twenty of both: zen, who asks as often, gets the other ten."""
    result, _ = ran(
        """
version: 1
name: tenants
duration: 60s
providers:
  - {name: openai, model: gpt-4-turbo, latency: 200ms}
traffic:
  - {rate: 1/s, input_tokens: 1000, output_tokens: 100, max_tokens: 100, tenant: acme}
  - {from: 500ms, rate: 1/s, input_tokens: 1000, output_tokens: 100, max_tokens: 100, tenant: zen}
budgets:
  - {tenant: acme, limit: 0.13}
  - {limit: 0.26, thresholds: [0.5]}
"""
    )
    assert (result.metrics["succeeded"], result.metrics["cost_usd"]) == (20, D("0.26"))
    assert result.errors_by_type == {"BudgetExceededError": 120 - 20}


BASE = """\
version: 1
name: wrong
duration: 10s
traffic:
  - {rate: 1/s, tenant: acme}
budgets:
"""


@pytest.mark.parametrize(
    ("budgets", "line", "sentence"),
    [
        ("  - {tenant: acme}", 7, "limit is missing"),
        ("  - {limit: -1}", 7, "limit is -1; it must be greater than or equal to 0"),
        ("  - {limit: 1e12}", 7, "it must be less than or equal to 9000000"),
        ("  - {limit: .nan}", 7, "limit is nan"),
        ("  - {limit: true}", 7, "a number is expected"),
        ("  - {limit: much}", 7, "limit is 'much'"),
        ("  - {limit: 5, tenat: acme}", 7, "did you mean 'tenant'"),
        ("  - {limit: 5, tenant: acne}", 7, "'acne', which sends no traffic; did you mean 'acme'? there are acme"),
        ("  - {limit: 5, tenant: acme}\n  - {limit: 6, tenant: acme}", 8, "a second budget of 'acme'"),
        ("  - {limit: 5}\n  - {limit: 6}", 8, "a second budget of all together"),
        ("  - {limit: 5, thresholds: [75]}", 7, "less than or equal to 1"),
        ("  - {limit: 5, thresholds: [0]}", 7, "greater than 0"),
        ("  5", 6, "budgets is 5; it must be a list"),
        ("  - 5", 7, "budgets[0] is 5"),
    ],
)
def test_a_mistake_is_named_with_its_line(budgets: str, line: int, sentence: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        check(parse(BASE + budgets + "\n", Path("wrong.yaml")))
    message = str(caught.value)
    assert sentence in message
    assert message.startswith(f"wrong.yaml:{line}: ")
    assert "\n" not in message


def test_the_schema_for_editors_knows_budgets() -> None:
    validator = Draft202012Validator(json_schema())
    document: dict[str, Any] = {
        "version": 1, "name": "x", "duration": "10s", "traffic": [{"rate": "1/s"}], "budgets": [{"limit": 5.0}],
    }  # fmt: skip
    assert validator.is_valid(document)
    for wrong in ({"limit": -1}, {"tenant": "acme"}, {"limit": 5, "tenat": "x"}):
        assert not validator.is_valid(document | {"budgets": [wrong]})
