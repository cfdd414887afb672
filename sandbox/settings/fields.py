"""The kinds of values that settings have: what people may write for each, and what is refused in which words."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from providers.durations import seconds
from sandbox.settings import units


class RuleBroken(ValueError):
    """A rule about several values; `key` is the one to change."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _endpoint(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with https:// or http:// and names a host")
    if "@" in parts.netloc:
        # Addresses are shown: by `config show`, by the admin API, in messages.
        raise ValueError("an address holds no user name and no password")
    return value.rstrip("/")


def _region(value: str) -> str:
    # Loaded for those alone who set one.
    from providers.vendors.aws_settings import is_region

    region = value.strip().lower()
    if not is_region(region):
        raise ValueError("a region is one such as us-east-1")
    return region


def _redis_address(value: str) -> str:
    parts = urlsplit(value if "://" in value else f"redis://{value}")
    if parts.password is not None:
        # Of another key, so that no message repeats this value.
        raise RuleBroken("cache.password", "a password has no place in cache.endpoint_url, which is shown: set it here")
    try:
        valid = parts.scheme in ("redis", "rediss") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("an address of Redis is HOST, HOST:PORT, redis://HOST or rediss://HOST")
    return value.rstrip("/")


def _table(value: str) -> str:
    # docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    if not re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", value):
        raise ValueError("the name of a table has 3 to 255 letters, digits, '_', '-' and '.'")
    return value


def _limit(value: Decimal) -> Decimal:
    if not units.is_budget(value):
        most = units.MOST_DECIMALS
        raise ValueError(f"a budget is from 0 to {units.LARGEST_BUDGET:,} USD a month, with at most {most} decimals")
    return value


def _share(value: Decimal) -> Decimal:
    if not 0 < value <= 1:
        raise ValueError("a threshold is a share of the limit above 0 up to 1, such as 0.75")
    return value


def _folder(value: Path) -> Path:
    return value.expanduser()


def _stripped(value: Any) -> Any:
    """A pasted credential without the blanks around it; an empty one is none."""
    return value.strip() or None if isinstance(value, str) else value


def _sendable(value: SecretStr) -> SecretStr:
    secret = value.get_secret_value()
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise ValueError(
            "a credential is one word of plain characters; this one holds a blank, a line break or a special character"
        )
    return value


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, BeforeValidator(seconds), Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, BeforeValidator(units.size), Field(gt=0)]
Count = Annotated[int, BeforeValidator(units.number), Field(ge=1)]
Whole = Annotated[int, BeforeValidator(units.number)]
Rate = Annotated[float, BeforeValidator(units.number), Field(gt=0, le=1, allow_inf_nan=False)]
Factor = Annotated[float, BeforeValidator(units.number), Field(ge=1, allow_inf_nan=False)]
Money = Annotated[Decimal, BeforeValidator(units.number), Field(ge=0, allow_inf_nan=False)]
Names = Annotated[list[str], BeforeValidator(units.names)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Region = Annotated[str, AfterValidator(_region)]
RedisAddress = Annotated[str, AfterValidator(_redis_address)]
TableName = Annotated[str, AfterValidator(_table)]
Folder = Annotated[Path, AfterValidator(_folder)]
Limit = Annotated[Decimal, BeforeValidator(units.number), Field(allow_inf_nan=False), AfterValidator(_limit)]
Share = Annotated[Decimal, BeforeValidator(units.number), Field(allow_inf_nan=False), AfterValidator(_share)]
Secret = Annotated[Annotated[SecretStr, AfterValidator(_sendable)] | None, BeforeValidator(_stripped)]
Text = Annotated[str, Field(min_length=1)]


def plain(secret: SecretStr | None) -> str | None:
    """The text of a credential, for whoever sends it."""
    return None if secret is None else secret.get_secret_value()


class Section(BaseModel):
    """What every part shares: no unknown key, no change after loading."""

    # Built on first use: loading needs the validator of Settings alone, and building each section's own costs 30 ms.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)
