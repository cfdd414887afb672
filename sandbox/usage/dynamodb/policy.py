"""Which operations of DynamoDB the program uses, and the IAM policy that allows them and no other.

No operation is called that is not in these tables.
"""

from __future__ import annotations

from typing import Any, Final

from sandbox.usage.dynamodb import names

RECORDING: Final = {
    "batch_get_item": "BatchGetItem",
    "batch_write_item": "BatchWriteItem",
    "describe_table": "DescribeTable",
    "get_item": "GetItem",
    "query": "Query",
    "update_item": "UpdateItem",
}
"""What records, reports and the look at a backend need: boto3's name and IAM's."""
MANAGING: Final = {
    "create_table": "CreateTable",
    "delete_table": "DeleteTable",
    "describe_continuous_backups": "DescribeContinuousBackups",
    "describe_time_to_live": "DescribeTimeToLive",
    "update_continuous_backups": "UpdateContinuousBackups",
    "update_time_to_live": "UpdateTimeToLive",
}
"""What `sandbox aws table` needs besides."""
ACTIONS: Final = RECORDING | MANAGING
_ON_INDEXES: Final = ("query",)


def statements(table: str, region: str | None, *, admin: bool) -> list[dict[str, Any]]:
    """The policy's statements for a table; without a region they hold in every one."""
    arn = f"arn:{partition(region)}:dynamodb:{region or '*'}:*:table/{table}"
    found = [
        _allowed("UsageRecords", RECORDING, [arn]),
        _allowed(
            "UsageReports",
            {name: RECORDING[name] for name in _ON_INDEXES},
            [f"{arn}/index/{index}" for index in names.INDEXES],
        ),
    ]
    if admin:
        found.append(_allowed("UsageTable", MANAGING, [arn]))
    return found


def partition(region: str | None) -> str:
    """The part of AWS that a region belongs to, as ARNs name it."""
    for begins, name in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if (region or "").startswith(begins):
            return name
    return "aws"


def _allowed(id: str, actions: dict[str, str], resources: list[str]) -> dict[str, Any]:
    return {
        "Sid": id,
        "Effect": "Allow",
        "Action": sorted(f"dynamodb:{action}" for action in actions.values()),
        "Resource": resources,
    }
