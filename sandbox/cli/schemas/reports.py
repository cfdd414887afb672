"""The shapes of the reading commands."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from sandbox.cli.schemas.common import STRICT, Dollars, Milliseconds, Mode, Timestamp, Tokens


@with_config(STRICT)
class BudgetItem(TypedDict):
    """One budget; `tenant` is null for that of all together."""

    tenant: str | None
    limit_usd: Dollars
    used_usd: Dollars
    reserved_usd: Dollars
    remaining_usd: Dollars
    percentage_used: float
    projected_usd: Dollars
    alert_level: float | None


@with_config(STRICT)
class BudgetShow(TypedDict):
    """What `budget show --json` prints."""

    mode: Mode
    period: str
    resets_at: Timestamp
    items: list[BudgetItem]


class Rates(TypedDict):
    input_usd: Dollars | None
    output_usd: Dollars | None
    cached_input_usd: Dollars | None
    cache_write_usd: Dollars | None
    cache_write_1h_usd: Dollars | None
    reasoning_usd: Dollars | None


@with_config(STRICT)
class PriceTier(Rates):
    """The rates of the whole request where its prompt is longer."""

    above_tokens: Tokens


@with_config(STRICT)
class Priced(Rates):
    tiers: list[PriceTier]
    since: str | None
    hours_utc: str | None


@with_config(STRICT)
class Model(Priced):
    """Prices are USD per million tokens; null where there is no such rate."""

    provider: str
    model: str
    service: Literal["batch", "flex", "priority", "fast"] | None
    hourly_usd: Dollars | None
    local: bool
    context_window: int | None
    max_output: int | None
    services: dict[str, Priced]
    regions: dict[str, Dollars]
    names: list[str]
    source: str


@with_config(STRICT)
class Models(TypedDict):
    """What `models --json` prints."""

    catalogue: str
    date: str
    as_of: str | None
    items: list[Model]


@with_config(STRICT)
class ProviderHealth(TypedDict):
    provider: str
    kind: str
    model: str
    is_healthy: bool
    latency_ms: Milliseconds | None
    last_error: str | None
    reachable: bool | None
    authenticated: bool | None
    fast_enough: bool | None
    breaker: str
    disabled: str | None


@with_config(STRICT)
class SpoolDepth(TypedDict):
    """What waits on the disk for DynamoDB; `oldest` is when the oldest record of it was made."""

    path: str
    depth: int
    oldest: Timestamp | None
    bytes: int
    limit_bytes: int
    sent: int
    lost: int


@with_config(STRICT)
class StoreState(TypedDict):
    """The cache or the usage records; `problem` is null where all is well."""

    part: Literal["cache", "usage"]
    backend: Literal["disk", "redis", "off", "sqlite", "dynamodb"]
    place: str
    problem: str | None
    pending: int
    spool: SpoolDepth | None


@with_config(STRICT)
class Health(TypedDict):
    """What `health --json` prints."""

    mode: Mode
    items: list[ProviderHealth]
    backends: list[StoreState]


@with_config(STRICT)
class BackendItem(TypedDict):
    """One part; what was not tried out is null. `identity` is as whom it was reached, `notice` what does not come true
    there although it can be used."""

    part: Literal["cache", "usage"]
    backend: Literal["disk", "redis", "off", "sqlite", "dynamodb"]
    place: str
    where: str | None
    ok: bool | None
    identity: str | None
    latency_ms: Milliseconds | None
    detail: str | None
    problem: str | None
    notice: str | None


@with_config(STRICT)
class BackendShow(TypedDict):
    """What `backend show --json` prints."""

    backend: Literal["local", "aws"]
    items: list[BackendItem]


@with_config(STRICT)
class BackendSwitch(TypedDict):
    """What `backend switch --json` prints; `switched` says whether that changed the settings file."""

    backend: Literal["local", "aws"]
    switched: bool
    config_file: str
    items: list[BackendItem]


@with_config(STRICT)
class Setting(TypedDict):
    key: str
    value: str | int | float | bool | list[str] | None
    source: Literal["default", "file", ".env", "environment", "flag"]
    where: str | None
    variable: str
    description: str | None


@with_config(STRICT)
class ConfigShow(TypedDict):
    """What `config show --json` prints; a credential's value is `set` or null."""

    config_file: str
    exists: bool
    items: list[Setting]


@with_config(STRICT)
class ImportNote(TypedDict):
    """One part of the file: what became of it."""

    line: int | None
    key: str
    outcome: Literal["taken", "near", "by_hand", "none"]
    setting: str | None
    text: str


@with_config(STRICT)
class ConfigImport(TypedDict):
    """What `config import --json` prints; `toml` is the text of the settings, without any credential."""

    program: Literal["litellm"]
    file: str
    written: str | None
    toml: str
    items: list[ImportNote]


@with_config(STRICT)
class Place(TypedDict):
    """What `config path --json` and `data path --json` print."""

    path: str
    exists: bool


@with_config(STRICT)
class DataPart(TypedDict):
    name: str
    bytes: int


@with_config(STRICT)
class DataSize(TypedDict):
    """What `data size --json` prints."""

    path: str
    items: list[DataPart]
    total_bytes: int


@with_config(STRICT)
class DataPrune(TypedDict):
    """What `data prune --json` prints."""

    deleted_records: int
    deleted_cache_entries: int


@with_config(STRICT)
class DoctorCheck(TypedDict):
    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str


@with_config(STRICT)
class Doctor(TypedDict):
    """What `doctor --json` prints."""

    items: list[DoctorCheck]


@with_config(STRICT)
class SelftestCheck(TypedDict):
    ok: bool
    text: str


@with_config(STRICT)
class Selftest(TypedDict):
    """What `selftest --json` prints."""

    ok: bool
    items: list[SelftestCheck]


@with_config(STRICT)
class SchemaName(TypedDict):
    name: str
    description: str


@with_config(STRICT)
class Schemas(TypedDict):
    """What `schema --json` prints."""

    items: list[SchemaName]
