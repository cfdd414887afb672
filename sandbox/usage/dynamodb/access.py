"""Where DynamoDB is, how to sign for it, and what it is when it does not do what was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from providers.vendors.settings import is_loopback
from sandbox.usage.base import UsageUnavailable


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """What is None is what the AWS SDK finds by itself: environment, profile, SSO, container, instance."""

    region: str | None = None
    endpoint_url: str | None = None
    """Address of an emulator, or of a private endpoint."""
    profile: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def local(self) -> bool:
        """Whether an emulator on this machine is meant."""
        host = urlsplit(self.endpoint_url or "").hostname
        return host is not None and is_loopback(host)


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked, for the sentence."""

    table: str
    region: str | None
    endpoint_url: str | None = None

    @property
    def place(self) -> str:
        if self.endpoint_url:
            return self.endpoint_url
        return f"DynamoDB in {self.region}" if self.region else "DynamoDB"

    def create_command(self) -> str:
        options = f" --region {self.region}" if self.region else ""
        options += f" --endpoint-url {self.endpoint_url}" if self.endpoint_url else ""
        return f"sandbox aws table create {self.table}{options}"


Cause = Literal["throttled", "server", "unreachable", "credentials", "permission", "missing", "refused"]
"""What kind of trouble it is."""

PASSING: Final = frozenset(("throttled", "server"))
"""Worth another try at once."""


class TableError(UsageUnavailable):
    """DynamoDB did not do what was asked; `code` is AWS's word for it, or the kind of the error."""

    def __init__(self, sentence: str, cause: Cause, code: str) -> None:
        super().__init__(sentence)
        self.cause = cause
        self.code = code
