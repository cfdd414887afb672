"""The servers that other tests rely on do what is said of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import pytest
import redis

from tests.redis_server import PASSWORD, RedisCluster, RedisServer

Start = Callable[..., RedisServer]


def test_a_server_starts_empty_on_its_port_again(start_redis: Start) -> None:
    server = start_redis()
    server.do("SET", "k", "v")
    port = server.port
    server.kill()
    with pytest.raises(redis.ConnectionError):
        server.do("PING")
    server.restart()
    assert (server.port, server.do("GET", "k")) == (port, None)


def test_a_paused_server_takes_connections_and_answers_none(start_redis: Start) -> None:
    server = start_redis()
    server.pause()
    with closing(redis.Redis.from_url(server.url, socket_timeout=0.05, retry=None)) as client:
        began = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        assert time.monotonic() - began < 5
    server.resume()
    assert server.do("PING")


@pytest.mark.parametrize("options", [{"user": "app"}, {"password": PASSWORD}], ids=["acl", "auth"])
def test_credentials_are_asked_for(start_redis: Start, options: dict[str, str]) -> None:
    server = start_redis(**options)
    assert server.do("PING")
    with closing(redis.Redis(port=server.port, retry=None)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_tls_server_is_known_by_its_certificate(start_redis: Start) -> None:
    server = start_redis(tls=True, user="app")
    assert server.do("PING")
    with closing(redis.Redis.from_url(server.url, retry=None)) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_cluster_serves_every_slot_moves_one_and_survives_a_node(start_cluster: Callable[..., RedisCluster]) -> None:
    cluster = start_cluster(replica=True)
    with closing(redis.RedisCluster.from_url(cluster.url)) as client:
        for number in range(50):
            client.set(f"k{number}", number)
        slot = client.keyslot("k7")
        owner = next(one for one in cluster.nodes if one.port == client.get_node_from_key("k7").port)
        other = next(one for one in cluster.nodes if one is not owner)
        cluster.move_slot(slot, other)
        assert client.get("k7") is None
        client.set("k7", 8)
        assert other.do("GET", "k7") == b"8"
        cluster.replicate()
        cluster.nodes[0].kill()
        cluster.fail_over()
        assert [client.get(f"k{number}") for number in range(50) if number != 7] == [
            str(number).encode() for number in range(50) if number != 7
        ]
