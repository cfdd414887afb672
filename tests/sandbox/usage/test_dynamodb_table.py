"""The table: made once, compared, deleted; every operation that is used is in the policy; every error is a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)

from providers.clock import seeded
from providers.vendors.bedrock_policy import statement
from sandbox.usage.base import UsageFilter, UsageUnavailable
from sandbox.usage.dynamodb import AwsAccess
from sandbox.usage.dynamodb import table as tables
from sandbox.usage.dynamodb.access import TableError, Target
from sandbox.usage.dynamodb.client import Table
from sandbox.usage.dynamodb.policy import ACTIONS, MANAGING, RECORDING, statements
from sandbox.usage.dynamodb.problems import explained
from tests.contract.usage_records import DAY_US, START_US, a_record
from tests.dynamo import servers
from tests.dynamo.stores import access, opened, table_of

SERVERS = [
    pytest.param(servers.moto, id="moto"),
    pytest.param(
        servers.dynalite,
        id="dynalite",
        marks=pytest.mark.skipif(bool(servers.no_dynalite()), reason=str(servers.no_dynalite())),
    ),
]


@pytest.fixture(params=SERVERS)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    table = Table(table_of(tmp_path), access(request.param()), draws=seeded(0))
    yield table
    table.close()


def test_a_table_is_made_once_and_deleted_once(table: Table) -> None:
    said: list[str] = []
    assert tables.create(table, say=said.append) is True
    assert tables.create(table) is False
    found = tables.describe(table)
    assert (found.status, found.billing, found.differences) == ("ACTIVE", "PAY_PER_REQUEST", [])
    assert set(found.indexes) == {"tenant_id-timestamp-index", "agent_id-timestamp-index"}
    assert tables.delete(table) is True
    assert tables.delete(table) is False
    with pytest.raises(TableError, match=r"there is no table .* create it with `sandbox aws table create"):
        tables.describe(table)


def test_a_table_of_another_shape_is_refused_with_what_differs(table: Table) -> None:
    wanted = tables.definition(table.name)
    wanted["KeySchema"] = [{"AttributeName": "tenant_id", "KeyType": "HASH"}]
    wanted["AttributeDefinitions"] = [a for a in wanted["AttributeDefinitions"] if a["AttributeName"] != "log_id"]
    wanted["GlobalSecondaryIndexes"] = wanted["GlobalSecondaryIndexes"][:1]
    wanted["AttributeDefinitions"] = [a for a in wanted["AttributeDefinitions"] if a["AttributeName"] != "agent_id"]
    table.call("create_table", **wanted)
    with pytest.raises(
        UsageUnavailable, match=r"its key is tenant_id \(hash\) and not log_id \(hash\); index agent_id-.* is missing"
    ):
        tables.create(table)


def test_deletion_in_time_and_recovery_are_switched_on_by_option(tmp_path: Path) -> None:
    table = Table(table_of(tmp_path), access(servers.moto()), draws=seeded(0))
    try:
        tables.create(table)
        assert (tables.describe(table).ttl, tables.describe(table).pitr) == (None, False)
        for _ in range(2):
            tables.create(table, ttl=True, pitr=True)
            assert (tables.describe(table).ttl, tables.describe(table).pitr) == ("expires_at", True)
    finally:
        table.close()


def test_waiting_looks_again_with_longer_pauses_and_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    table = Table("one", access("http://127.0.0.1:1"), draws=seeded(0), pause=slept.append)
    answers = {"create_table": {}, "describe_table": {"Table": {"TableStatus": "CREATING"}}}
    monkeypatch.setattr(table, "_once", lambda operation, _: answers[operation])
    with pytest.raises(UsageUnavailable, match="was not ready after 20 s"):
        tables.create(table, wait_s=20.0)
    assert slept[:5] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert max(slept) == 5.0
    table.close()


# --- what is called, and what is allowed -----------------------------------------------------------------------------


async def test_the_policy_has_every_operation_that_is_used_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[str] = set()
    make = boto3.Session.client

    def heard(self: boto3.Session, *args: Any, **kwargs: Any) -> Any:
        client = make(self, *args, **kwargs)
        client.meta.events.register("before-call.dynamodb", lambda model, **_: used.add(model.name))
        return client

    monkeypatch.setattr(boto3.Session, "client", heard)
    store = opened(servers.moto(), tmp_path)
    used.clear()
    for number in range(3):
        store.record(a_record(number))
    await store.totals(UsageFilter(since_us=START_US + 1))
    await store.breakdown(UsageFilter(), "agent")
    await store.recent(UsageFilter(agent_id="writer"))
    assert [record async for record in store.scan(UsageFilter())]
    assert await store.get("req-000001")
    await store.prune(before_us=START_US + DAY_US)
    await store.close()
    # The look at a backend describes the table.
    assert used | {"DescribeTable"} == set(RECORDING.values())
    used.clear()
    table = Table(table_of(tmp_path), access(servers.moto()), draws=seeded(0))
    tables.create(table, ttl=True, pitr=True)
    tables.describe(table)
    tables.delete(table)
    table.close()
    assert used - {"DescribeTable"} == set(MANAGING.values())


def test_no_operation_beyond_the_policy_can_be_called() -> None:
    table = Table("one", access("http://127.0.0.1:1"), draws=seeded(0))
    with pytest.raises(KeyError):
        table.call("scan", TableName="one")
    assert "scan" not in ACTIONS


def test_the_policy_names_the_table_its_indexes_and_the_partition() -> None:
    records, reports, admin = statements("t", "us-gov-west-1", admin=True)
    assert records["Resource"] == ["arn:aws-us-gov:dynamodb:us-gov-west-1:*:table/t"]
    assert all("/index/" in arn for arn in reports["Resource"])
    assert reports["Action"] == ["dynamodb:Query"]
    assert "dynamodb:CreateTable" in admin["Action"]
    assert len(statements("t", None, admin=False)) == 2


def test_a_model_behind_an_inference_profile_needs_both() -> None:
    found = statement([("claude-haiku-4-5", "eu-north-1"), ("claude-3-haiku", "us-east-1"), ("arn:aws:bedrock:x", "y")])
    assert found["Resource"] == [
        "arn:aws:bedrock:*::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0",
        "arn:aws:bedrock:eu-north-1:*:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
        "arn:aws:bedrock:x",
    ]


# --- errors ---------------------------------------------------------------------------------------------------------


def answered(code: str, message: str = "", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Query",
    )


TARGET = Target("logs", "eu-north-1")


@pytest.mark.parametrize(
    ("error", "cause", "sentence"),
    [
        (NoCredentialsError(), "credentials", "set aws.profile"),
        (NoRegionError(), "refused", "set aws.region or AWS_REGION"),
        (EndpointConnectionError(endpoint_url="https://x"), "unreachable", "DynamoDB in eu-north-1 cannot be reached"),
        (ReadTimeoutError(endpoint_url="https://x"), "unreachable", "does not answer"),
        (ConnectTimeoutError(endpoint_url="https://x"), "unreachable", "does not answer"),
        (answered("ThrottlingException"), "throttled", "throttling table logs"),
        (answered("ProvisionedThroughputExceededException"), "throttled", "throttling table logs"),
        (answered("InternalServerError", status=500), "server", "answered 500 to Query"),
        (answered("ExpiredTokenException"), "credentials", "have expired"),
        (answered("UnrecognizedClientException"), "credentials", "does not know the access key"),
        (answered("InvalidSignatureException", "canonical string: AKIAIOSFODNN7EXAMPLE"), "credentials", "secret"),
        (
            answered(
                "AccessDeniedException", "User: arn:x is not authorized to perform: dynamodb:Query on resource: y"
            ),
            "permission",
            "may not do dynamodb:Query on table logs: grant it; `sandbox aws policy`",
        ),
        (
            answered("ResourceNotFoundException"),
            "missing",
            "create it with `sandbox aws table create logs --region eu-north-1`",
        ),
        (answered("ValidationException", "One or more parameter values were invalid"), "refused", "refused Query: One"),
    ],
)
def test_an_error_is_one_sentence_that_says_what_to_set(error: Exception, cause: str, sentence: str) -> None:
    found = explained(error, TARGET, "Query")
    assert found.cause == cause
    assert sentence in str(found)
    assert "\n" not in str(found)
    assert "AKIA" not in str(found)


def test_an_access_does_not_show_its_secrets() -> None:
    shown = repr(AwsAccess("eu-north-1", access_key_id="CANARY1", secret_access_key="CANARY2", session_token="CANARY3"))
    assert "CANARY" not in shown
