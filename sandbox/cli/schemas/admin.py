"""The shapes of what `sandbox admin` prints."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from sandbox.cli.schemas.common import STRICT, Timestamp

Scope = Literal["admin", "chat", "metrics"]


@with_config(STRICT)
class AdminToken(TypedDict):
    """What `admin token --json` prints."""

    token: str
    role: Literal["admin", "user"]
    subject: str
    expires_at: Timestamp


@with_config(STRICT)
class AdminKey(TypedDict):
    name: str
    scopes: list[Scope]


@with_config(STRICT)
class AdminKeyList(TypedDict):
    """What `admin key list --json` prints."""

    items: list[AdminKey]


@with_config(STRICT)
class AdminKeyCreate(AdminKey):
    """What `admin key create --json` prints; the key is shown this once."""

    key: str
    config_file: str
