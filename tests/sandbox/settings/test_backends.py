"""Settings of the stores: what `backend = "aws"` implies, what an address and a table may be, what is never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from providers.errors import ConfigError
from sandbox.settings import load
from sandbox.settings.backends import CacheSettings
from sandbox.settings.model import Settings


@pytest.mark.parametrize(
    ("given", "cache", "usage"),
    [
        ({}, "disk", "sqlite"),
        ({"backend": "local"}, "disk", "sqlite"),
        ({"backend": "aws"}, "redis", "dynamodb"),
        ({"backend": "aws", "cache": {"ttl": 5}}, "redis", "dynamodb"),
        ({"backend": "aws", "cache": CacheSettings(ttl=5)}, "redis", "dynamodb"),
        ({"backend": "aws", "cache": CacheSettings(backend="disk")}, "disk", "dynamodb"),
        ({"backend": "aws", "cache": {"backend": "off"}, "usage": {"backend": "sqlite"}}, "off", "sqlite"),
        ({"usage": {"backend": "dynamodb"}}, "disk", "dynamodb"),
    ],
)
def test_a_backend_implies_those_of_its_parts(given: dict[str, Any], cache: str, usage: str) -> None:
    settings = Settings(**given)
    assert (settings.cache.backend, settings.usage.backend) == (cache, usage)


def test_the_spool_has_a_limit_that_holds_something() -> None:
    assert Settings(usage={"spool_limit": "2 MiB"}).usage.spool_limit == 2**21
    with pytest.raises(ValueError, match="greater than or equal to 1048576"):
        Settings(usage={"spool_limit": 50_000})


def test_what_was_implied_says_by_what(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('backend = "aws"\ncache = "disk"\n')
    loaded = load(file, environ={}, folder=tmp_path)
    assert str(loaded.origin("usage.backend")) == f"backend = aws, {file}, line 1"
    assert str(loaded.origin("cache.backend")) == f"{file}, line 2"
    by_variable = load(
        environ={"SANDBOX_BACKEND": "aws", "SANDBOX_CONFIG_DIR": str(tmp_path / "none")}, folder=tmp_path
    )
    assert str(by_variable.origin("cache.backend")) == "backend = aws, SANDBOX_BACKEND"
    assert by_variable.origin("cache.backend").source == "environment"
    assert [str(one) for one in by_variable.over_the_file("backend", "cache.backend")] == ["SANDBOX_BACKEND"]
    assert not loaded.over_the_file("backend", "cache.backend", "usage.backend")


@pytest.mark.parametrize(
    "address", ["cache.example", "cache.example:6380", "redis://cache.example:6379/2", "rediss://[::1]:6379"]
)
def test_addresses_of_redis(address: str) -> None:
    assert Settings(cache={"endpoint_url": address}).cache.endpoint_url == address


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("SANDBOX_CACHE__ENDPOINT_URL", "http://cache.example", "an address of Redis is HOST, HOST:PORT"),
        ("SANDBOX_CACHE__ENDPOINT_URL", "cache.example:many", "an address of Redis is HOST, HOST:PORT"),
        ("SANDBOX_USAGE__TABLE", "my table", "the name of a table has 3 to 255 letters"),
        ("SANDBOX_USAGE__TABLE", "ab", "the name of a table has 3 to 255 letters"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "localhost:8000", "begins with https:// or http://"),
        ("SANDBOX_CACHE", "memcached", "use disk, redis or off"),
        ("SANDBOX_SHARED", "dynamodb", "use local or redis"),
        ("SANDBOX_CACHE__SEMANTIC_THRESHOLD", "1.5", "1"),
    ],
)
def test_what_is_wrong_names_the_variable_and_what_would_be_right(
    tmp_path: Path, variable: str, value: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={variable: value, "SANDBOX_CONFIG_DIR": str(tmp_path)}, folder=tmp_path)
    assert variable in str(caught.value)
    assert told in str(caught.value)


def test_a_password_is_a_secret_and_no_part_of_an_address(tmp_path: Path) -> None:
    environ = {"SANDBOX_CONFIG_DIR": str(tmp_path), "SANDBOX_CACHE__PASSWORD": "canary-redis-password"}
    loaded = load(environ=environ, folder=tmp_path)
    assert "canary-redis-password" in loaded.secrets
    assert "canary-redis-password" not in f"{loaded}{loaded.settings!r}"
    address = {"SANDBOX_CACHE__ENDPOINT_URL": "redis://app:canary-redis-password@cache.example"}
    with pytest.raises(ConfigError, match=r"cache\.password") as caught:
        load(environ={"SANDBOX_CONFIG_DIR": str(tmp_path), **address}, folder=tmp_path)
    assert "canary" not in str(caught.value)
