"""Bedrock on the command line: answers without AWS, names its credentials and shows none."""

from __future__ import annotations

import pytest

from .conftest import Cli


@pytest.mark.parametrize("where", ["aws", "providers.bedrock"])
def test_a_region_that_is_none_names_the_place(cli: Cli, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"SANDBOX_{where.replace('.', '__').upper()}__REGION"
    monkeypatch.setenv(variable, "us east 1")
    ran = cli("ask", "hi")
    assert ran.code == 2
    assert f"{variable}: {where}.region is 'us east 1': a region is one such as us-east-1" in ran.err


def test_the_commands_name_credentials_and_show_none(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDSHOWN", "AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_SESSION_TOKEN": "canary-token",
        "AWS_REGION": "eu-west-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    doctor, shown, asked = cli("doctor"), cli("config", "show", "--json"), cli("ask", "hi", "--provider", "bedrock")
    assert "found for bedrock (AWS_ACCESS_KEY_ID)" in doctor.out
    values = {item["key"]: item["value"] for item in shown.json["items"]}
    assert (values["aws.secret_access_key"], values["aws.session_token"], values["aws.region"]) == (
        "set", "set", "eu-west-1",
    )  # fmt: skip
    assert asked.code == 0
    for ran in (doctor, shown, asked):
        assert "canary" not in ran.out + ran.err
        assert "AKIDSHOWN" not in ran.out + ran.err


def test_ask_in_mock_mode(cli: Cli) -> None:
    answer = cli("ask", "hi", "--provider", "bedrock", "--json").json
    assert (answer["provider"], answer["mode"], answer["finish_reason"]) == ("bedrock", "mock", "end_turn")
    assert answer["failovers"] == 0
    health = cli("health", "--json").json
    assert any(item["provider"] == "bedrock" for item in health["items"])
