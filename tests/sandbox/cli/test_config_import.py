"""`sandbox config import`, and scenarios on what came of it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sandbox.cli import schemas

from .conftest import Cli

CANARY = "canary-91b7"
CONFIG = f"""
model_list:
  - {{model_name: fast, litellm_params: {{model: openai/gpt-3.5-turbo, api_key: sk-{CANARY}}}}}
  - {{model_name: sure, litellm_params: {{model: anthropic/claude-3-sonnet, api_key: os.environ/ANTHROPIC_API_KEY}}}}
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 120
  fallbacks: [{{fast: [sure]}}]
general_settings: {{master_key: sk-{CANARY}}}
"""


OUTAGE = """
version: 1
name: outage
duration: 6m
providers:
  - {name: openai, model: gpt-3.5-turbo}
  - {name: anthropic, model: claude-3-sonnet}
traffic:
  - {rate: 1/s}
faults:
  - {provider: openai, from: 20s, to: 5m, kind: connection_reset}
"""


@pytest.fixture
def outage(home: Path) -> str:
    path = home / "outage.yaml"
    path.write_text(OUTAGE, "utf-8")
    return str(path)


@pytest.fixture
def config(home: Path) -> str:
    path = home / "litellm.yaml"
    path.write_text(CONFIG, "utf-8")
    return str(path)


def test_settings_go_to_stdout_and_what_is_not_taken_to_stderr(cli: Cli, config: str, home: Path) -> None:
    ran = cli("config", "import", "litellm", config)
    assert ran.code == 0
    assert 'chain = ["openai", "anthropic"]' in ran.out
    lines = ran.err.splitlines()
    assert (
        f"{config}:3: model_list[0].litellm_params.api_key: to be set by hand: the key stands in the file" in lines[0]
    )
    assert any(one.startswith(f"{config}:10: general_settings.master_key: not taken over: ") for one in lines)
    assert CANARY not in ran.out + ran.err
    assert not (home / "config").exists()


def test_as_json(cli: Cli, config: str) -> None:
    shown = cli("config", "import", "litellm", config, "--json").json
    assert (shown["program"], shown["file"], shown["written"]) == ("litellm", config, None)
    [retries] = [one for one in shown["items"] if one["setting"] == "retry.retries"]
    assert retries == {
        "line": 6,
        "key": "router_settings.num_retries",
        "outcome": "taken",
        "setting": "retry.retries",
        "text": "",
    }
    assert CANARY not in str(shown)
    Draft202012Validator(schemas.schema("config-import")).validate(shown)


def test_written_where_settings_are_read(cli: Cli, config: str, home: Path) -> None:
    ran = cli("config", "import", "litellm", config, "--write")
    assert ran.code == 0
    assert str(home / "config" / "config.toml") in ran.out
    shown = {one["key"]: one for one in cli("config", "show", "--json").json["items"]}
    assert shown["retry.retries"]["value"] == 0
    assert shown["chain"]["value"] == ["openai", "anthropic"]
    assert cli("ask", "hello", "--json").json["provider"] == "openai"
    assert cli("ask", "hello", "--json", "--model", "sure").json["provider"] == "anthropic"
    assert cli("ask", "hello", "--json", "--model", "fast", "--fail", "openai=503").json["provider"] == "anthropic"


def test_a_scenario_on_the_imported_configuration(cli: Cli, config: str, home: Path, outage: str) -> None:
    file = str(home / "imported.toml")
    assert cli("config", "import", "litellm", config, "--write", "--config", file).code == 0
    own = cli("replay", outage, "--json").json
    ran = cli("replay", outage, "--config", file, "--json").json
    assert ran["preset"] == "settings"
    assert own["trace_sha256"] != ran["trace_sha256"]
    [first, *_] = ran["breaker_transitions"]
    assert first["reason"] != own["breaker_transitions"][0]["reason"]
    assert (ran["retries"], ran["availability"]) == (0, 1.0), "nobody is asked twice, and the fallback answers"
    opened = [one["at"] for one in ran["breaker_transitions"] if one["to"] == "open"]
    assert min(b - a for a, b in pairwise(opened)) >= 120, "the cooldown of the file"
    assert ran["failed_attempts_by_provider"]["openai"] < own["failed_attempts_by_provider"]["openai"]
    again = cli("replay", outage, "--config", file, "--json").json
    assert again["trace_sha256"] == ran["trace_sha256"]


def test_a_scenario_without_providers_plays_the_settings_chain(cli: Cli, config: str, home: Path) -> None:
    file = str(home / "imported.toml")
    cli("config", "import", "litellm", config, "--write", "--config", file)
    scenario = home / "bare.yaml"
    scenario.write_text(
        "version: 1\nname: bare\nduration: 10s\ntraffic:\n  - {rate: 1/s}\n"
        "faults:\n  - {provider: openai, kind: http_error, status: 503}\n",
        "utf-8",
    )
    ran = cli("replay", str(scenario), "--config", file, "--json").json
    assert ran["answers_by_provider"] == {"openai": 0, "anthropic": 10}


def test_presets_with_the_settings_on_top_can_be_compared(cli: Cli, config: str, home: Path, outage: str) -> None:
    file = str(home / "imported.toml")
    cli("config", "import", "litellm", config, "--write", "--config", file)
    ran = cli("replay", outage, "--config", file, "--preset", "happyos", "--preset", "litellm", "--json").json
    assert [one["preset"] for one in ran["runs"]] == ["happyos + settings", "litellm + settings"]
    assert [one["retries"] for one in ran["runs"]] == [0, 0]


def test_without_config_the_user_s_own_settings_change_no_result(
    cli: Cli, config: str, outage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cli("replay", outage, "--json").json["trace_sha256"]
    cli("config", "import", "litellm", config, "--write")
    monkeypatch.setenv("SANDBOX_RETRY__RETRIES", "9")
    assert cli("replay", outage, "--json").json["trace_sha256"] == before


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["config", "import", "litelm", "x.yaml"], 'Did you mean "litellm"?'),
        (["config", "import", "litellm", "none.yaml"], "cannot read none.yaml: No such file"),
        (["config", "import", "litellm"], "FILE"),
        (["replay", "total-outage", "--config", "none.toml"], "cannot read none.toml"),
    ],
)
def test_wrong_use_is_one_sentence(cli: Cli, line: list[str], complaint: str) -> None:
    ran = cli(*line)
    assert ran.code == 2
    assert complaint in ran.err
    assert len(ran.err.splitlines()) == 1
