"""The two sides that one program runs on: this machine, and AWS by its emulators. Only the environment differs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from providers.clock import seeded
from sandbox.usage.dynamodb import AwsAccess
from sandbox.usage.dynamodb import table as tables
from sandbox.usage.dynamodb.client import Table
from tests.dynamo import servers
from tests.redis_server import RedisServer
from tests.sandbox.server.support import Rig, tapped

TABLE = "llm_usage_logs"
REGION = "us-east-1"
AWS_SECRET = "canary-aws-secret-5f1c"


@pytest.fixture
def dynamodb() -> Iterator[str]:
    """The address of an emulator that has the documents' table, empty."""
    url = servers.moto()
    table = Table(TABLE, AwsAccess(region=REGION, endpoint_url=url), draws=seeded(0))
    try:
        tables.delete(table)
        tables.create(table)
        yield url
    finally:
        table.close()


@pytest.fixture
async def vendors() -> AsyncIterator[Rig]:
    """Bedrock and OpenAI on a wiretap, live."""
    async with tapped() as rig:
        yield rig


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, vendors: Rig) -> Rig:
    """What a live program has in its environment."""
    for name, value in {
        "SANDBOX_MODE": "live",
        "OPENAI_API_KEY": "sk-canary-openai-key",
        "OPENAI_BASE_URL": f"{vendors.tap.url}/openai/v1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"{vendors.tap.url}/bedrock",
        "AWS_ACCESS_KEY_ID": "AKIACANARY",
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
        "SANDBOX_PROVIDERS__OPENAI__TRANSPORT": "aiohttp",
    }.items():
        monkeypatch.setenv(name, value)
    return vendors


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, live: Rig, dynamodb: str, redis_server: RedisServer) -> RedisServer:
    """The same on AWS."""
    for name, value in {
        "SANDBOX_BACKEND": "aws",
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb,
        "SANDBOX_CACHE__ENDPOINT_URL": redis_server.url,
        "SANDBOX_CACHE__TIMEOUT": "2",
    }.items():
        monkeypatch.setenv(name, value)
    return redis_server


@pytest.fixture(params=["local", "aws"])
def side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> str:
    """A program's environment on either side, live against the vendors' fakes, with a data folder of its own."""
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    name: str = request.param
    request.getfixturevalue("aws" if name == "aws" else "live")
    return name
