"""The shapes of what `sandbox aws` prints."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import with_config
from typing_extensions import TypedDict

from sandbox.cli.schemas.common import STRICT


@with_config(STRICT)
class AwsTable(TypedDict):
    """What `aws table describe --json` prints; `differences` says in what the table is not what the program needs."""

    name: str
    status: str
    region: str | None
    billing: Literal["PAY_PER_REQUEST", "PROVISIONED"]
    items: int
    bytes: int
    indexes: dict[str, str]
    ttl: str | None
    pitr: bool | None
    differences: list[str]


@with_config(STRICT)
class AwsTableCreate(AwsTable):
    """What `aws table create --json` prints; `created` is false where the table was there already."""

    created: bool


@with_config(STRICT)
class AwsTableDelete(TypedDict):
    """What `aws table delete --json` prints; `deleted` is false where there was no such table."""

    name: str
    deleted: bool


@with_config(STRICT)
class AwsPolicy(TypedDict):
    """What `aws policy` prints: an IAM policy."""

    Version: str
    Statement: list[dict[str, Any]]
