"""The guards that every other test relies on."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest

OUTSIDE = "192.0.2.1"  # RFC 5737: documentation only, routed nowhere


@pytest.fixture
def refusals(network_guard):
    """The guard's memory, emptied at the end so that a provoked refusal does not fail the test."""
    yield network_guard.refused
    network_guard.refused.clear()


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection((OUTSIDE, 80), timeout=1),
        lambda: socket.socket().connect_ex((OUTSIDE, 80)),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (OUTSIDE, 53)),
        lambda: socket.getaddrinfo("api.openai.com", 443),
        lambda: socket.gethostbyname("api.openai.com"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_but_loopback_can_be_reached(reach, refusals):
    with pytest.raises(RuntimeError, match="only loopback"):
        reach()
    assert refusals


async def test_the_event_loop_is_guarded_too(refusals):
    with pytest.raises(RuntimeError, match="only loopback"):
        await asyncio.open_connection(OUTSIDE, 80)
    with pytest.raises(RuntimeError, match="only loopback"):
        await asyncio.get_running_loop().getaddrinfo("api.anthropic.com", 443)
    assert refusals == [OUTSIDE, "api.anthropic.com"]


def test_loopback_can_be_reached(network_guard):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        accepting = threading.Thread(target=lambda: server.accept()[0].close())
        accepting.start()
        socket.create_connection(("127.0.0.1", port)).close()
        accepting.join()
    assert socket.getaddrinfo("localhost", 80)
    assert network_guard.refused == []


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "::2", "169.254.169.254", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_what_only_looks_local_is_refused(network_guard, host):
    assert not network_guard.allowed(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", None, ""])
def test_what_is_local_is_allowed(network_guard, host):
    assert network_guard.allowed(host)


def test_no_key_or_setting_of_the_developer_is_visible(empty_home):
    names = [n for n in os.environ if n.startswith(("OPENAI_", "ANTHROPIC_", "DEEPSEEK_", "OLLAMA_", "VLLM_"))]
    assert names == []
    assert [n for n in os.environ if n.startswith("SANDBOX_")] in ([], ["SANDBOX_TEST_MATERIAL"])
    assert Path.home() == empty_home
