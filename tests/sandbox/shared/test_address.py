"""How the address of a Redis server is read, and that nothing tells its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import InputError
from sandbox.settings.backends import CacheSettings
from sandbox.shared.address import RedisAddress


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("cache.example.com", RedisAddress("cache.example.com"), "redis://cache.example.com:6379"),
        ("cache.example.com:6380", RedisAddress("cache.example.com", 6380), "redis://cache.example.com:6380"),
        (" redis://localhost/2/ ", RedisAddress("localhost", database=2), "redis://localhost:6379/2"),
        ("rediss://localhost:1", RedisAddress("localhost", 1, tls=True), "rediss://localhost:1"),
        ("redis://[::1]:6380", RedisAddress("::1", 6380), "redis://[::1]:6380"),
        (
            "rediss://app:p%40ss%2F@h",
            RedisAddress("h", tls=True, username="app", password="p@ss/"),
            "rediss://h:6379",
        ),
        ("redis://:word@h", RedisAddress("h", password="word"), "redis://h:6379"),
    ],
)
def test_every_form_of_an_address(text: str, address: RedisAddress, shown: str) -> None:
    assert RedisAddress.parse(text) == address
    assert str(address) == shown
    assert address.password is None or address.password not in repr(address)


@pytest.mark.parametrize(
    "text",
    [
        "", "http://h", "redis://", "h:0", "h:port", "redis://:canary@h:99999", "redis://u:canary@h/db",
        "redis://u:canary@h?ssl_cert_reqs=none", "unix:///run/canary.sock", "canary://h",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        RedisAddress.parse(text)
    assert "canary" not in str(refusal.value)


def test_settings_say_more_than_an_address_does(tmp_path: Path) -> None:
    cache = CacheSettings(
        endpoint_url="h", username="app", password="word", tls=True, tls_ca_file=tmp_path, cluster=True
    )
    expected = RedisAddress("h", 6379, 0, True, "app", "word", tmp_path, True)
    assert RedisAddress.of(cache) == expected
    assert RedisAddress.of(cache, "other:1").host == "other"
    assert RedisAddress.of(CacheSettings(endpoint_url="rediss://h")).tls
    with pytest.raises(InputError, match=r"cache\.endpoint_url"):
        RedisAddress.of(CacheSettings())
