"""`sandbox aws`: the table of usage records in DynamoDB, and what an AWS role must be allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from providers.clock import seeded
from providers.errors import InputError
from sandbox.cli.asking import confirmed
from sandbox.cli.exits import Exit
from sandbox.cli.session import Session
from sandbox.core import figures

if TYPE_CHECKING:
    from sandbox.settings import Settings
    from sandbox.usage.dynamodb.client import Table
    from sandbox.usage.dynamodb.table import Described

T = TypeVar("T")


async def create(
    name: str,
    /,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    pitr: bool = False,
    ttl: bool = False,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Make the table with its two indexes, on-demand, and wait until it is ready. One that is there is left as it is.

    Parameters
    ----------
    name
        Name of the table, such as llm_usage_logs.
    region
        AWS region; unset: the one of the settings.
    endpoint_url
        Address of an emulator; unset: the one of the settings.
    pitr
        Switch on point-in-time recovery.
    ttl
        Let DynamoDB delete records after usage.retention_days.
    json
        Print one JSON object.
    """

    def work(table: Table) -> tuple[bool, Described]:
        from sandbox.usage.dynamodb import table as tables

        made = tables.create(table, pitr=pitr, ttl=ttl, say=lambda said: session.output.note(said, "dim"))
        return made, tables.describe(table)

    made, found = await _with(session, name, region, endpoint_url, work)
    if json:
        session.output.json({"created": made, **_as_json(found)})
    else:
        session.output.out.line(f"table {name} {'is ready' if made else 'was there already, and is as it should be'}")


async def describe(
    name: str,
    /,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> Exit:
    """How the table is, and whether it is what the program needs; exits with 3 when it is not.

    Parameters
    ----------
    name
        Name of the table.
    region
        AWS region; unset: the one of the settings.
    endpoint_url
        Address of an emulator; unset: the one of the settings.
    json
        Print one JSON object.
    """
    from sandbox.usage.dynamodb import table as tables

    found = await _with(session, name, region, endpoint_url, tables.describe)
    if json:
        session.output.json(_as_json(found))
    else:
        session.output.table(_rows(found))
        for difference in found.differences:
            session.output.problem(f"table {name} has another shape: {difference}")
    return Exit.CHECK_FAILED if found.differences else Exit.DONE


async def delete(
    name: str,
    /,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    yes: bool = False,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Delete the table with every record in it, and wait until it is gone.

    Parameters
    ----------
    name
        Name of the table.
    region
        AWS region; unset: the one of the settings.
    endpoint_url
        Address of an emulator; unset: the one of the settings.
    yes
        Do not ask first.
    json
        Print one JSON object.
    """
    from sandbox.usage.dynamodb import table as tables

    if not yes and not confirmed(
        session, f"Delete table {name} with every record in it?", doing=f"deleting table {name}"
    ):
        session.output.note("nothing was deleted")
        return

    def work(table: Table) -> bool:
        return tables.delete(table, say=lambda said: session.output.note(said, "dim"))

    deleted = await _with(session, name, region, endpoint_url, work)
    if json:
        session.output.json({"name": name, "deleted": deleted})
    else:
        session.output.out.line(f"table {name} {'is gone' if deleted else 'was not there'}")


def policy(*, admin: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """The least that an AWS role must be allowed for these settings, as an IAM policy to paste.

    Parameters
    ----------
    admin
        Also what `sandbox aws table` needs.
    """
    from sandbox.usage.dynamodb.policy import statements

    settings = session.settings
    session.output.json(
        {
            "Version": "2012-10-17",
            "Statement": [
                *statements(settings.usage.table, settings.aws.region, admin=admin),
                *_bedrock(settings),
            ],
        }
    )
    if settings.aws.region is None:
        session.output.note("aws.region is not set: the policy allows it in every region", "yellow")


def _bedrock(settings: Settings) -> list[dict[str, Any]]:
    """What the chain's Bedrock may be asked: its own model, further ones, and those that stand in for others."""
    from providers.vendors.bedrock import BedrockProvider
    from providers.vendors.bedrock_models import ALIASES, DEFAULT_REGION
    from providers.vendors.bedrock_policy import statement
    from sandbox.gateway.configured import configured_policy
    from sandbox.usage.dynamodb.policy import partition

    policy = configured_policy(settings)
    standing_in = [name for names in policy.equivalents.values() for name in names if name in ALIASES]
    asked: set[tuple[str, str]] = set()
    for id in policy.chain:
        configured = settings.providers.get(id)
        if configured is None or (configured.kind or id) != "bedrock" or not configured.enabled:
            continue
        region = configured.region or settings.aws.region or DEFAULT_REGION
        own = configured.model or BedrockProvider.default_model
        asked |= {(model, region) for model in (own, *configured.models, *standing_in)}
    return [statement(asked, partition=partition(settings.aws.region))] if asked else []


async def _with(
    session: Session, name: str, region: str | None, endpoint_url: str | None, work: Callable[[Table], T]
) -> T:
    """Do the work on the table in a thread. Raises UsageUnavailable and InputError."""
    from sandbox.settings.fields import Endpoint, Region, TableName
    from sandbox.stores import aws_access
    from sandbox.usage.dynamodb.client import Table

    checked = {
        "region": _checked(Region, region, "--region"),
        "endpoint_url": _checked(Endpoint, endpoint_url, "--endpoint-url"),
    }
    access = replace(aws_access(session.settings), **{key: value for key, value in checked.items() if value})
    table = Table(_checked(TableName, name, "NAME") or name, access, draws=seeded())
    try:
        return await asyncio.to_thread(work, table)
    finally:
        table.close()


def _checked(kind: Any, value: str | None, option: str) -> str | None:
    """The value as the settings would take it. Raises InputError naming the option."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return None if value is None else str(TypeAdapter(kind).validate_python(value))
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"{option} is {value!r}: {said}") from None


def _as_json(found: Described) -> dict[str, Any]:
    return found._asdict()


def _rows(found: Described) -> list[tuple[str, str]]:
    recovery = {True: "on", False: "off", None: "unknown to this endpoint"}[found.pitr]
    return [
        ("table", found.name),
        ("region", found.region or "-"),
        ("status", found.status.lower()),
        ("billing", "on demand" if found.billing == "PAY_PER_REQUEST" else "provisioned"),
        ("records", f"about {found.items:,} items, {figures.size(found.bytes)}"),
        *(("index", f"{name} ({status.lower()})") for name, status in found.indexes.items()),
        ("deletion", f"by {found.ttl}" if found.ttl else "off"),
        ("recovery", recovery),
    ]
