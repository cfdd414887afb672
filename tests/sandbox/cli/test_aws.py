"""`sandbox aws` against a real server: what it says, what it refuses, what it prints as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.dynamo import servers

from .conftest import Cli
from .test_schemas import check


def test_a_table_is_made_described_and_deleted(cli: Cli) -> None:
    url = servers.moto()
    made = cli("aws", "table", "create", "cli_usage", "--endpoint-url", url, "--pitr", "--ttl")
    assert (made.code, made.out) == (0, "table cli_usage is ready\n")
    again = cli("aws", "table", "create", "cli_usage", "--endpoint-url", url)
    assert again.out == "table cli_usage was there already, and is as it should be\n"
    shown = cli("aws", "table", "describe", "cli_usage", "--endpoint-url", url)
    assert "tenant_id-timestamp-index (active)" in shown.out
    assert "by expires_at" in shown.out
    described = cli("aws", "table", "describe", "cli_usage", "--endpoint-url", url, "--json").json
    check("aws-table-describe", described)
    check("aws-table-create", cli("aws", "table", "create", "cli_usage", "--endpoint-url", url, "--json").json)
    assert (described["status"], described["pitr"], described["differences"]) == ("ACTIVE", True, [])
    asked = cli("aws", "table", "delete", "cli_usage", "--endpoint-url", url)
    assert (asked.code, asked.err) == (2, "sandbox: deleting table cli_usage needs --yes where nobody can be asked\n")
    gone = cli("aws", "table", "delete", "cli_usage", "--endpoint-url", url, "--yes", "--json")
    check("aws-table-delete", gone.json)
    assert gone.json == {"name": "cli_usage", "deleted": True}
    missing = cli("aws", "table", "describe", "cli_usage", "--endpoint-url", url, "--json")
    assert missing.code == 1
    assert "create it with `sandbox aws table create cli_usage" in missing.json["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", "x"), "NAME is 'x': the name of a table has 3 to 255"),
        (("create", "logs", "--region", "Mars_1"), "--region is 'Mars_1': a region is one such as us-east-1"),
        (("create", "logs", "--endpoint-url", "localhost"), "--endpoint-url is 'localhost': an address begins with"),
        (("creat", "logs"), "there is no command 'aws table creat': did you mean"),
        (("create",), "NAME"),
    ],
)
def test_wrong_use_is_one_sentence(cli: Cli, arguments: tuple[str, ...], sentence: str) -> None:
    ran = cli("aws", "table", *arguments)
    assert ran.code == 2
    assert sentence in ran.err
    assert ran.err.count("\n") == 1


def test_the_policy_follows_the_settings(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    policy = json.loads(cli("aws", "policy").out)
    check("aws-policy", policy)
    by_name = {statement["Sid"]: statement for statement in policy["Statement"]}
    assert by_name["UsageRecords"]["Resource"] == ["arn:aws:dynamodb:eu-north-1:*:table/llm_usage_logs"]
    assert any("claude-haiku-4-5" in arn for arn in by_name["Models"]["Resource"])
    assert "UsageTable" not in by_name
    assert "UsageTable" in cli("aws", "policy", "--admin").out
