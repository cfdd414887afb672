"""Where answers and usage records are kept: on this machine, or on AWS and how to get there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from sandbox.settings.fields import (
    Bytes,
    Count,
    Endpoint,
    Folder,
    Rate,
    RedisAddress,
    Region,
    Seconds,
    Secret,
    Section,
    TableName,
    Text,
)

EMBEDDING_KINDS = ("openai", "bedrock")
"""The kinds of providers whose embeddings API can be asked."""
AWS_BACKENDS = {"cache": "redis", "usage": "dynamodb"}
"""The parts that can live on AWS, and what they are there."""
LOCAL_BACKENDS = {"cache": "disk", "usage": "sqlite"}
"""The same on this machine."""
SPOOL_BYTES = 2**28
"""About a quarter of a million records."""


class CacheSettings(Section):
    """Where answers are kept, and for how long."""

    backend: Literal["disk", "redis", "off"] = Field(default="disk", description="Where answers are kept.")
    ttl: Seconds = Field(default=3600.0, description="How long an answer is kept, seconds.")
    size_limit: Bytes = Field(default=2**30, description="Most that the cache may take on disk, bytes.")
    streams: bool = Field(default=False, description="Whether streamed answers are kept too.")
    endpoint_url: RedisAddress | None = Field(
        default=None, description="Address of the Redis server: HOST, HOST:PORT, redis://… or rediss://…."
    )
    username: Text | None = Field(default=None, description="User of the Redis server; unset: its default user.")
    password: Secret = Field(default=None, description="Password or token of that user; never shown.")
    tls: bool | None = Field(
        default=None, description="Whether the Redis server speaks TLS; unset: as the address says (rediss://)."
    )
    tls_ca_file: Folder | None = Field(
        default=None, description="Certificates that the Redis server's is checked against; unset: the system's."
    )
    cluster: bool = Field(default=False, description="Whether the Redis server is a cluster.")
    timeout: Seconds = Field(
        default=0.05, description="Longest wait of a request for the Redis server, seconds; then it goes on without."
    )
    semantic: bool = Field(
        default=False, description="Whether a question may be answered from the cache of one that is nearly the same."
    )
    semantic_threshold: Rate = Field(
        default=0.95, description="How alike two questions must be for that, as the cosine of their embeddings."
    )
    semantic_embedder: Text = Field(
        default="hashing",
        description="Who embeds questions: `hashing` (the words of short ones, offline), or the id of an OpenAI or "
        "Bedrock provider.",
    )
    semantic_model: Text | None = Field(
        default=None, description="The embedding model of that provider; unset: the usual one of its vendor."
    )
    semantic_entries: Count = Field(default=1000, description="Most questions whose embeddings are kept in memory.")


class UsageSettings(Section):
    """Where the record of each request goes."""

    backend: Literal["sqlite", "dynamodb"] = Field(default="sqlite", description="Where records are kept.")
    durability: Literal["async", "sync"] = Field(
        default="async",
        description="`sync`: the record is committed before the answer is returned; `async`: within 100 ms after it.",
    )
    retention_days: Count | None = Field(
        default=None, description="Records older than this many days are deleted; unset: none are."
    )
    store_prompts: bool = Field(default=False, description="Whether prompts and answers are stored with the record.")
    endpoint_url: Endpoint | None = Field(default=None, description="Address of an emulator of DynamoDB.")
    table: TableName = Field(default="llm_usage_logs", description="Name of the table in DynamoDB.")
    spool_limit: Bytes = Field(
        default=SPOOL_BYTES,
        ge=2**20,
        description="Most that records waiting for DynamoDB may take on disk, bytes; further ones are lost, and told.",
    )


class SharedSettings(Section):
    """What several processes may have in common: breakers, turns of round robin, ledgers of budgets."""

    state: Literal["local", "redis"] = Field(
        default="local", description="`redis`: one state for all processes of that server; `local`: each has its own."
    )
    endpoint_url: RedisAddress | None = Field(
        default=None, description="Address of that Redis server; unset: the one of the cache, whose user it has too."
    )


class AWSSettings(Section):
    """Where AWS services are and how to sign for them; unset: what the AWS SDK finds by itself."""

    region: Region | None = Field(default=None, description="Region, such as us-east-1.")
    profile: Text | None = Field(default=None, description="Profile of AWS's own files whose credentials are used.")
    access_key_id: Secret = Field(default=None, description="Access key id; never shown.")
    secret_access_key: Secret = Field(default=None, description="Secret access key; never shown.")
    session_token: Secret = Field(default=None, description="Token of temporary credentials; never shown.")


def with_backend(section: Any, backend: str) -> Any:
    """The section, given as data or as a model, on a backend unless it names its own."""
    if isinstance(section, Section):
        given = "backend" in section.model_fields_set
        return section if given else section.model_copy(update={"backend": backend})
    return {"backend": backend, **section} if isinstance(section, Mapping) else section or {"backend": backend}
