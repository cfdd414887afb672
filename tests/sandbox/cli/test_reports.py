"""The reading commands: what they say beside the shape of their JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from providers.base import BaseLLMProvider, HealthReport
from tests.shared_material import needs_wire, wire_dir

from .conftest import Cli


def test_costs_add_up(cli: Cli) -> None:
    asked = [
        cli("ask", f"question {n}", "--tenant", tenant, "--json").json
        for n, tenant in enumerate(["acme", "acme", "zen"])
    ]
    shown = cli("costs", "--by", "tenant", "--json").json
    assert {item["tenant"]: item["requests"] for item in shown["items"]} == {"acme": 2, "zen": 1}
    assert Decimal(shown["total"]["cost_usd"]) == sum(Decimal(one["cost_usd"]) for one in asked)
    assert cli("costs", "--tenant", "zen", "--json").json["total"]["requests"] == 1
    text = cli("costs", "--by", "tenant").out.splitlines()
    assert text[0].split()[:2] == ["tenant", "requests"]
    assert text[-1].split()[:2] == ["total", "3"]


def test_modes_never_mix_in_costs(cli: Cli) -> None:
    cli("ask", "hello")
    assert cli("--mode", "live", "costs", "--json").json["total"]["requests"] == 0
    assert "no requests in live mode" in cli("--mode", "live", "costs").err


def test_an_unknown_request_is_a_failure_of_the_work(cli: Cli) -> None:
    ran = cli("explain", "ffffffffffff", "--json")
    assert ran.code == 1
    assert ran.json["error"]["type"] == "RequestNotFound"
    assert ran.json["attempts"] == []


def test_an_explanation_of_a_failure_and_of_a_cached_answer(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("ask", "hello")
    cached = cli("ask", "hello", "--json").json["request_id"]
    assert "the cache saved ~$" in cli("explain", cached).out
    monkeypatch.setenv("SANDBOX_CHAIN", "openai")
    failed = cli("ask", "hello", "--fail", "openai=401").err.partition("sandbox explain ")[2].split()[0]
    assert "Nobody answered: AuthenticationError" in cli("explain", failed).out


def test_models_of_a_day(cli: Cli) -> None:
    then, now = (
        {
            item["model"]: item["input_usd"]
            for item in cli("models", "--provider", "openai", *day, "--json").json["items"]
        }
        for day in (["--as-of", "2024-06-30"], [])
    )
    assert then["gpt-4"] == now["gpt-4"] == "30"
    assert (then["o3"], now["o3"]) == ("10", "2")
    assert set(then) <= set(now)


def test_an_id_of_ones_own_lists_the_models_of_its_kind(cli: Cli, home: Path) -> None:
    (home / "mine.toml").write_text("[providers.east]\nkind = 'anthropic'\n")
    items = cli("--config", "mine.toml", "models", "--provider", "east", "--json").json["items"]
    assert {item["provider"] for item in items} == {"anthropic"}


def test_a_sick_provider_makes_the_check_fail(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(self: BaseLLMProvider, *, timeout: float = 10.0) -> HealthReport:
        sick = self.kind == "openai"
        return HealthReport(not sick, 12.0, "AuthenticationError: no" if sick else None)

    monkeypatch.setattr(BaseLLMProvider, "health_check", check)
    ran = cli("health")
    assert ran.code == 3
    (line,) = [line for line in ran.out.splitlines() if line.startswith("✗")]
    assert "openai" in line
    assert "AuthenticationError: no" in line
    items = cli("health", "--json").json["items"]
    assert [item["provider"] for item in items if not item["is_healthy"]] == ["openai"]


def test_settings_say_where_they_come_from(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text("deadline = '45s'\n")
    monkeypatch.setenv("OPENAI_API_KEY", "k-123456")
    monkeypatch.setenv("SANDBOX_RUNTIME", "1")
    ran = cli("config", "show", "--preset", "happyos")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in ran.out.splitlines()}
    assert rows["preset"] == "happyos --preset"
    assert rows["deadline"].startswith("45 ")
    assert rows["deadline"].endswith("config.toml, line 1")
    assert rows["providers.openai.api_key"] == "set OPENAI_API_KEY"
    assert rows["cache.ttl"] == "3600 default"
    assert "providers.anthropic.api_key" not in rows
    assert "SANDBOX_RUNTIME is no setting" in ran.err
    items = {item["key"]: item for item in cli("config", "show", "--json").json["items"]}
    assert items["providers.anthropic.api_key"]["value"] is None
    assert items["cache.ttl"]["variable"] == "SANDBOX_CACHE__TTL"


def test_the_settings_file_can_be_wrong_and_still_be_found(cli: Cli, home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text("mdoe = 1\n")
    assert cli("config", "show").code == 2
    assert cli("config", "path").out == f"{home / 'config' / 'config.toml'}\n"
    ran = cli("doctor")
    assert ran.code == 3
    assert "there is no setting 'mdoe'; did you mean 'mode'?" in ran.out


def test_the_doctor_names_keys_but_does_not_show_them(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k-98765432")
    ran = cli("doctor")
    assert ran.code == 0, ran.out
    assert "found for anthropic (ANTHROPIC_API_KEY)" in ran.out
    assert "k-98765432" not in ran.out


def test_the_doctor_finds_a_folder_that_cannot_be_written(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("in the way")
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(home / "file" / "data"))
    ran = cli("doctor", "--json")
    assert ran.code == 3
    assert [item["check"] for item in ran.json["items"] if item["status"] == "fail"] == ["folder", "cache", "usage"]


def test_pruning_deletes_what_was_named_and_nothing_else(cli: Cli) -> None:
    cli("ask", "hello")
    kept = cli("data", "prune", "--older-than", "1d", "--yes", "--json").json
    assert kept == {"deleted_records": 0, "deleted_cache_entries": 0}
    assert cli("data", "prune", "--cache", "--yes", "--json").json == {"deleted_records": 0, "deleted_cache_entries": 1}
    assert cli("ask", "hello", "--json").json["cached"] is False
    assert cli("costs", "--json").json["total"]["requests"] == 2


def test_pruning_asks_first(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keyboard:
        def __init__(self, answer: str) -> None:
            self.answer = answer

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.answer

    cli("ask", "hello")
    monkeypatch.setattr("sys.stdin", Keyboard("n\n"))
    ran = cli("data", "prune", "--cache")
    assert (ran.code, ran.out) == (0, "")
    assert f"Delete the whole cache ({home / 'data' / 'cache'})? [y/N] " in ran.err
    assert "nothing was deleted" in ran.err
    monkeypatch.setattr("sys.stdin", Keyboard("y\n"))
    assert "1 cache entries" in cli("data", "prune", "--cache").out
    monkeypatch.setattr("sys.stdin", None)
    assert cli("data", "prune", "--cache").code == 2


def test_the_size_of_the_data(cli: Cli, home: Path) -> None:
    assert cli("data", "size", "--json").json["total_bytes"] == 0
    cli("ask", "hello")
    shown = cli("data", "size", "--json").json
    assert {"cache", "usage.db"} <= {item["name"] for item in shown["items"]}
    assert shown["total_bytes"] == sum(item["bytes"] for item in shown["items"]) > 0
    assert cli("data", "path").out == f"{home / 'data'}\n"


def test_the_selftest(cli: Cli) -> None:
    ran = cli("selftest")
    assert ran.code == 0
    assert "✓ GPT-4 cost (100 input + 50 output tokens): $0.006000" in ran.out


# --- fixtures ------------------------------------------------------------------------------------------------------

FIXTURES = Path(__file__).parents[3] / "fixtures"


def test_recorded_exchanges_pass_the_real_adapters(cli: Cli) -> None:
    ran = cli("fixtures", "replay", str(FIXTURES), "--json")
    assert ran.code == 0, ran.err
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert len(rows) == len(list(FIXTURES.rglob("*.json")))
    assert all(row["file"].startswith(str(FIXTURES)) for row in rows)
    assert any(row["ok"] and row["text"] for row in rows)


def test_a_file_that_is_no_exchange_has_its_line_and_fails_the_work(cli: Cli, home: Path) -> None:
    (home / "broken.json").write_text("{")
    good = next(FIXTURES.rglob("*.json"))
    ran = cli("fixtures", "replay", "broken.json", str(good), "gone.json", "--json")
    assert ran.code == 1
    first, second, third = map(json.loads, ran.out.splitlines())
    assert (first["file"], first["ok"], first["error_class"]) == ("broken.json", False, "FixtureError")
    assert second["error_class"] != "FixtureError"
    assert (third["file"], third["error_class"]) == ("gone.json", "FixtureError")
    assert set(first) == set(second)
    assert cli("fixtures", "replay").code == 2


@needs_wire
def test_foreign_recordings_have_a_line_each(cli: Cli) -> None:
    folder = wire_dir()
    assert folder is not None
    files = sorted(str(path) for path in (folder / "anthropic").glob("*.json"))[:4]
    rows = [json.loads(line) for line in cli("fixtures", "replay", *files, "--json").out.splitlines()]
    assert [row["file"] for row in rows] == files
