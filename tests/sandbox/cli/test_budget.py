"""`sandbox budget`, and what an answer says when the budget is used up."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.sandbox.cli.test_schemas import check

from .conftest import Cli


def config(home: Path) -> str:
    return (home / "config" / "config.toml").read_text()


def test_a_budget_is_set_shown_changed_and_taken_away(cli: Cli, home: Path) -> None:
    assert "no budget is set" in cli("budget", "show").err
    assert cli("budget", "set", "20").out == "all tenants: a budget of $20.00 a month\n"
    assert cli("budget", "set", "$0.5", "--tenant", "a.b").out == "tenant a.b: a budget of $0.50 a month\n"
    assert config(home) == 'budget_limit = 20\n\n[budgets.tenants]\n"a.b" = 0.5\n'
    shown = cli("budget", "show", "--json").json
    check("budget-show", shown)
    assert [(item["tenant"], item["limit_usd"], item["used_usd"]) for item in shown["items"]] == [
        (None, "20", "0"),
        ("a.b", "0.5", "0"),
    ]
    lines = cli("budget", "show").out.splitlines()
    assert lines[1].split() == ["all", "tenants", "$20.00", "~$0", "~$0", "~$20.00", "0.0", "%", "~$0"]
    assert cli("budget", "set", "20.00").out.endswith("as before\n")
    assert cli("budget", "set", "none", "--tenant", "a.b").out == "tenant a.b: no budget\n"
    assert config(home) == "budget_limit = 20\n\n[budgets.tenants]\n"


def test_an_amount_is_kept_to_its_last_digit(cli: Cli, home: Path) -> None:
    cli("budget", "set", "1234567.123456789012")
    assert config(home) == 'budget_limit = "1234567.123456789012"\n'
    assert cli("budget", "show", "--json").json["items"][0]["limit_usd"] == "1234567.123456789012"


@pytest.mark.parametrize("limit", ["-1", "9000001", "nan", "inf", "1e99", "much", "", "5 USD"])
def test_what_is_no_limit_is_refused_and_nothing_is_written(cli: Cli, home: Path, limit: str) -> None:
    ran = cli("budget", "set", "--", limit)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "USD a month" in ran.err
    assert not (home / "config").exists()


def test_a_tenant_needs_a_name(cli: Cli) -> None:
    assert "--tenant is empty" in cli("budget", "set", "5", "--tenant", " ").err


def test_a_named_settings_file_is_the_one_that_changes(cli: Cli, home: Path) -> None:
    (home / "mine.toml").write_text("mode = 'mock'\n")
    cli("--config", "mine.toml", "budget", "set", "3")
    assert (home / "mine.toml").read_text() == "mode = 'mock'\nbudget_limit = 3\n"
    assert not (home / "config").exists()


def test_a_variable_that_wins_over_the_file_is_told(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET_LIMIT", "5")
    assert "BUDGET_LIMIT is set too, and wins over the file" in cli("budget", "set", "20").err
    assert cli("budget", "show", "--json").json["items"][0]["limit_usd"] == "5"
    monkeypatch.setenv("SANDBOX_BUDGETS__TENANTS", "acme=1")
    assert "SANDBOX_BUDGETS__TENANTS is set too" in cli("budget", "set", "20", "--tenant", "acme").err


def test_a_settings_file_that_is_wrong_elsewhere_is_told_first(cli: Cli, home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text("mdoe = 'mock'\n")
    assert "did you mean 'mode'" in cli("budget", "set", "20").err
    assert config(home) == "mdoe = 'mock'\n"


def test_what_runs_spend_adds_up_over_processes_and_modes_are_apart(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_CHAIN", "openai")
    # Before there was any budget.
    first = cli("ask", "one", "--tenant", "acme", "--model", "gpt-4", "--json").json["cost_usd"]
    cli("budget", "set", "20")
    cli("budget", "set", "5", "--tenant", "acme")
    second = cli("ask", "two", "--tenant", "acme", "--model", "gpt-4", "--json").json["cost_usd"]
    third = cli("ask", "three", "--tenant", "zen", "--model", "gpt-4", "--json").json["cost_usd"]
    items = cli("budget", "show", "--json").json["items"]
    sums = [Decimal(first) + Decimal(second) + Decimal(third), Decimal(first) + Decimal(second)]
    assert [Decimal(item["used_usd"]) for item in items] == sums
    assert [item["reserved_usd"] for item in items] == ["0", "0"]
    costs = cli("costs", "--by", "tenant", "--json").json
    assert Decimal(costs["total"]["cost_usd"]) == sums[0]
    live = cli("--mode", "live", "budget", "show", "--json").json
    assert (live["mode"], [item["used_usd"] for item in live["items"]]) == ("live", ["0", "0"])


def test_when_it_is_used_up_that_is_said_and_cached_and_local_answers_go_on(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_CHAIN", "openai")
    cli("ask", "one", "--model", "gpt-4")
    cli("budget", "set", "0.000001")
    assert cli("ask", "one", "--model", "gpt-4", "--json").json["cached"]
    ran = cli("ask", "two", "--model", "gpt-4", "--json")
    assert ran.code == 1
    check("failure", ran.json)
    assert ran.json["error"]["type"] == "BudgetExceededError"
    assert "the budget of all tenants is used up: ~$" in ran.json["error"]["message"]
    assert ran.json["error"]["retry_after"] > 0
    assert [(a["outcome"], a["error_type"]) for a in ran.json["attempts"]] == [("skipped", "budget")]
    assert "has reached 100 %" in ran.err
    told = cli("ask", "three", "--model", "gpt-4")
    assert "passed over: over budget" in told.err
    assert "has reached" not in told.err
    monkeypatch.setenv("SANDBOX_CHAIN", "openai,ollama")
    assert cli("ask", "two", "--model", "gpt-4", "--json").json["provider"] == "ollama"


def test_the_doctor_says_what_may_be_spent(cli: Cli) -> None:
    assert "no budget is set" in cli("doctor").out
    cli("budget", "set", "20")
    cli("budget", "set", "5", "--tenant", "acme")
    assert "all tenants $20.00, tenant acme $5.00 a month" in cli("doctor").out


def test_what_cannot_be_read_is_not_nothing(cli: Cli, home: Path) -> None:
    cli("budget", "set", "20")
    for name in ("usage.db", "budgets.db"):
        (home / "data" / name).mkdir(parents=True)
    ran = cli("budget", "show", "--json")
    assert (ran.code, ran.json["error"]["type"]) == (1, "BudgetUnavailable")
    assert "nobody knows what was spent" in ran.err
    assert "0 records" not in ran.err
    # The records alone say it too.
    (home / "data" / "usage.db").rmdir()
    assert cli("budget", "show", "--json").json["items"][0]["used_usd"] == "0"
