"""The gateway as a server: by which names it is reached, who may use it, how much, and whom it tells of that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PrivateAttr, SecretStr

from sandbox.settings.fields import Count, Endpoint, Names, Secret, Section, Text

SCOPES: Final = ("admin", "chat", "metrics")
"""What a caller may be allowed: the admin API, the vendors' endpoints, the figures of `/metrics`."""
MIN_SECRET_BYTES: Final = 32
"""RFC 7518, section 3.2: a key of HS256 is no shorter than its hash."""
MIN_DISTINCT: Final = 10
"""Different characters of such a secret: below it somebody has held down a key."""
_KEY: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63}):([a-z]+(?:\+[a-z]+)*):([0-9a-f]{64})")


class HashedKey(NamedTuple):
    """An API key as it is kept."""

    name: str
    scopes: frozenset[str]
    sha256: str
    """Of the key, in lower-case hexadecimal digits. Keys are random enough that no slow hash is needed."""

    @property
    def line(self) -> str:
        """As the settings have it."""
        return f"{self.name}:{'+'.join(sorted(self.scopes))}:{self.sha256}"


def hashed_key(line: str) -> HashedKey:
    """Raises ValueError, which does not repeat what might be a key itself."""
    match = _KEY.fullmatch(line)
    if match is None:
        raise ValueError(
            "a key is NAME:SCOPE[+SCOPE]:SHA256, never the key itself; `sandbox admin key create NAME` writes one"
        )
    scopes = frozenset(match[2].split("+"))
    if unknown := scopes.difference(SCOPES):
        raise ValueError(f"there is no scope {min(unknown)!r}; there are {', '.join(SCOPES)}")
    return HashedKey(match[1], scopes, match[3])


def _keys(lines: list[str]) -> list[str]:
    names = [hashed_key(line).name for line in lines]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two keys are named {twice!r}")
    return lines


def _strong(secret: SecretStr | None) -> SecretStr | None:
    text = "" if secret is None else secret.get_secret_value()
    if secret is not None and len(text.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"it has {len(text.encode())} bytes, and HS256 needs {MIN_SECRET_BYTES} random ones")
    if secret is not None and len(set(text)) < MIN_DISTINCT:
        raise ValueError(f"it is easily guessed: use {MIN_SECRET_BYTES} random bytes, such as `openssl rand -hex 32`")
    return secret


def _origins(values: list[str]) -> list[str]:
    return [_origin(value) for value in values]


def _origin(value: str) -> str:
    parts = urlsplit(value.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username:
        raise ValueError("an origin is one such as https://app.example.com: no path, and no * for all")
    return f"{parts.scheme}://{parts.netloc.lower()}"


class ServerSettings(Section):
    """The gateway as a server."""

    hosts: Names = Field(
        default=[], description="Names by which it is reached, beside addresses and this machine's own names."
    )
    jwt_secret: Annotated[Secret, AfterValidator(_strong)] = Field(
        default=None, description="Secret by which tokens of callers are signed (HS256), 32 bytes or more; never shown."
    )
    audience: Text = Field(default="sandbox", description="Whom tokens must be meant for (their `aud`).")
    keys: Annotated[Names, AfterValidator(_keys)] = Field(
        default=[],
        description="API keys, each as NAME:SCOPE[+SCOPE]:SHA256; `sandbox admin key create` makes them.",
    )
    require_key: bool = Field(
        default=False,
        description="Whether /v1 asks for a key or token on this machine too; for other machines it always does.",
    )
    requests_per_minute: Count | None = Field(
        default=None,
        description="Most requests of one user in a minute, not counting what an administrator does by the admin API; "
        "unset: no limit.",
    )
    allow_private_endpoints: bool | None = Field(
        default=None,
        description="Whether an administrator may name a server in a private network; unset: only in modes that ask "
        "nobody (mock, replay).",
    )
    cors_origins: Annotated[Names, AfterValidator(_origins)] = Field(
        default=[], description="Origins of pages that may ask and read the answers, such as https://app.example.com."
    )
    _keys_file: Path | None = PrivateAttr(default=None)

    @property
    def keys_file(self) -> Path | None:
        """The settings file, where it is what says the keys: it may say others by now. None: something else does."""
        return self._keys_file


class TelemetrySettings(Section):
    """Traces and metrics for OpenTelemetry (extra `otel`). No prompt and no answer is among them, unless asked for."""

    endpoint: Endpoint | None = Field(
        default=None, description="Address of a collector that takes OTLP over HTTP; unset: nothing is sent."
    )
    content: bool = Field(
        default=False, description="Whether traces hold prompts and answers too, without what looks like a key."
    )
