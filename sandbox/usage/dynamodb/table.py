"""The table itself: made, described, compared with what it should be, and deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sandbox.usage.base import UsageUnavailable
from sandbox.usage.dynamodb import names
from sandbox.usage.dynamodb.access import TableError
from sandbox.usage.dynamodb.client import Table

FIRST_LOOK_S: Final = 0.25
LONGEST_LOOK_S: Final = 5.0
"""Between two looks at a table that is being made or deleted."""
WAIT_S: Final = 600.0
"""A table with indexes is ready within a minute as a rule."""

Narrate = Callable[[str], None]


class Described(NamedTuple):
    """A table as it is. `differences` says in what it is not what the program needs."""

    name: str
    status: str
    region: str | None
    billing: str
    items: int
    bytes: int
    indexes: dict[str, str]
    ttl: str | None
    """The attribute by which items are deleted in time; None: none are."""
    pitr: bool | None
    """Point-in-time recovery; None: this endpoint does not know it."""
    differences: list[str]


def definition(name: str) -> dict[str, Any]:
    """The parameters of CreateTable."""
    keys = (names.KEY, names.TENANT, names.AGENT, names.TIME)
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
        "KeySchema": [{"AttributeName": names.KEY, "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index,
                "KeySchema": [
                    {"AttributeName": key, "KeyType": "HASH"},
                    {"AttributeName": names.TIME, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, key in names.INDEXES.items()
        ],
    }


def differences(found: Mapping[str, Any]) -> list[str]:
    """In what a table of DescribeTable is not the one of `definition`, one phrase each."""
    wanted = definition(found.get("TableName", ""))
    types = {a["AttributeName"]: a["AttributeType"] for a in found.get("AttributeDefinitions", ())}
    said = []
    if (keys := _keys(found)) != _keys(wanted):
        said.append(f"its key is {_told(keys)} and not {_told(_keys(wanted))}")
    there = {index["IndexName"]: index for index in found.get("GlobalSecondaryIndexes", ())}
    for index in wanted["GlobalSecondaryIndexes"]:
        name = index["IndexName"]
        if name not in there:
            said.append(f"index {name} is missing")
            continue
        if (keys := _keys(there[name])) != _keys(index):
            said.append(f"the key of index {name} is {_told(keys)} and not {_told(_keys(index))}")
        if (projected := there[name].get("Projection", {}).get("ProjectionType", "ALL")) != "ALL":
            said.append(f"index {name} holds {projected} and not ALL attributes")
    for attribute in wanted["AttributeDefinitions"]:
        name = attribute["AttributeName"]
        if types.get(name, "S") != "S":
            said.append(f"{name} is of type {types[name]} and not S")
    return said


def create(
    table: Table, *, pitr: bool = False, ttl: bool = False, say: Narrate = lambda _: None, wait_s: float = WAIT_S
) -> bool:
    """Make the table with its indexes and wait until it is ready; False when it was there already.

    `pitr` and `ttl` are switched on where they are not; neither is ever switched off. Raises TableError, and
    UsageUnavailable for a table of that name with another shape.
    """
    try:
        table.call("create_table", **definition(table.name))
        made = True
    except TableError as error:
        if error.code != "ResourceInUseException":
            raise
        made = False
    found = _wait_for(table, "ACTIVE", say, wait_s)
    if found is None:
        # What was there was being deleted.
        return create(table, pitr=pitr, ttl=ttl, say=say, wait_s=wait_s)
    if wrong := differences(found):
        raise UsageUnavailable(
            f"there is a table {table.name} of another shape: {'; '.join(wrong)}; name another, or delete it"
        )
    if ttl and expiry_of(table) != names.EXPIRY:
        say(f"switching on the deletion of records by {names.EXPIRY}")
        table.call(
            "update_time_to_live",
            TableName=table.name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": names.EXPIRY},
        )
    if pitr and not _pitr(table):
        say("switching on point-in-time recovery")
        table.call(
            "update_continuous_backups",
            TableName=table.name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        )
    return made


def describe(table: Table) -> Described:
    """Raises TableError; its cause is `missing` where there is no such table."""
    found = table.call("describe_table", TableName=table.name)["Table"]
    return Described(
        name=table.name,
        status=found.get("TableStatus", ""),
        region=table.target.region,
        billing=found.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        items=found.get("ItemCount", 0),
        bytes=found.get("TableSizeBytes", 0),
        indexes={i["IndexName"]: i.get("IndexStatus", "") for i in found.get("GlobalSecondaryIndexes", ())},
        ttl=expiry_of(table),
        pitr=_pitr(table),
        differences=differences(found),
    )


def delete(table: Table, *, say: Narrate = lambda _: None, wait_s: float = WAIT_S) -> bool:
    """Delete the table with all its records and wait until it is gone; False when there was none."""
    try:
        table.call("delete_table", TableName=table.name)
    except TableError as error:
        if error.cause == "missing":
            return False
        raise
    _wait_for(table, None, say, wait_s)
    return True


def _wait_for(table: Table, status: str | None, say: Narrate, wait_s: float) -> dict[str, Any] | None:
    """The table when it and its indexes have the status; None when it is gone.

    Raises UsageUnavailable after `wait_s`.
    """
    waited, pause = 0.0, FIRST_LOOK_S
    while True:
        try:
            found = table.call("describe_table", TableName=table.name)["Table"]
        except TableError as error:
            if error.cause != "missing":
                raise
            return None
        indexes = found.get("GlobalSecondaryIndexes", ())
        states = {found.get("TableStatus"), *(index.get("IndexStatus", "ACTIVE") for index in indexes)}
        if status is not None and states == {status}:
            return dict(found)
        if waited >= wait_s:
            doing = "ready" if status else "gone"
            raise UsageUnavailable(f"table {table.name} was not {doing} after {wait_s:g} s; `describe` says how it is")
        if not waited:
            say(f"waiting for table {table.name} to be {'ready' if status else 'gone'}")
        table.pause(pause)
        waited += pause
        pause = min(2 * pause, LONGEST_LOOK_S)


def expiry_of(table: Table) -> str | None:
    """The attribute by whose time DynamoDB deletes items; None: it deletes none. Raises TableError."""
    try:
        found = table.call("describe_time_to_live", TableName=table.name)["TimeToLiveDescription"]
    except TableError as error:
        if error.code in _UNKNOWN:
            return None
        raise
    enabled = found.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return found.get("AttributeName") if enabled else None


def _pitr(table: Table) -> bool | None:
    try:
        found = table.call("describe_continuous_backups", TableName=table.name)["ContinuousBackupsDescription"]
    except TableError as error:
        if error.code in _UNKNOWN:
            return None
        raise
    recovery = found.get("PointInTimeRecoveryDescription", {})
    return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")


_UNKNOWN: Final = frozenset(("UnknownOperationException", "UnknownOperation"))
"""What emulators answer that do not have it."""


def _keys(described: Mapping[str, Any]) -> dict[str, str]:
    return {key["AttributeName"]: key["KeyType"] for key in described.get("KeySchema", ())}


def _told(keys: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind.lower()})" for name, kind in keys.items()) or "nothing"
