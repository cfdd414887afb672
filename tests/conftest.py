"""What every test may rely on: nothing leaves this machine, and nothing of the developer's own settings is seen."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.redis_server import one_redis, redis_server, start_cluster, start_redis  # noqa: F401  fixtures for all tests

# Every run tries the same examples, however long one takes: that says more of the machine than of the code.
# New ones are looked for with `pytest --hypothesis-profile search`.
_default = hypothesis.settings.get_profile("default")
hypothesis.settings.register_profile("search", _default, deadline=None)
hypothesis.settings.register_profile("same", _default, deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("same")

_HIDDEN = (
    "ALL_PROXY", "ANTHROPIC_", "AWS_", "AZURE_", "BUDGET_", "DEEPSEEK_", "FORCE_COLOR", "GEMINI_", "GOOGLE_",
    "HTTPS_PROXY", "HTTP_PROXY", "LOG_LEVEL", "NO_COLOR", "NO_PROXY", "OLLAMA_", "OPENAI_", "OTEL_", "SANDBOX_",
    "VLLM_", "XDG_",
)  # fmt: skip
_KEPT = frozenset({"SANDBOX_TEST_MATERIAL"})


class NetworkRefused(RuntimeError):
    """A test tried to reach another machine."""


class NetworkGuard:
    """Refuses every address but loopback, and remembers what it refused, so that no error handling can hide it."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def check(self, host: object) -> None:
        if not self.allowed(host):
            self.refused.append(str(host))
            raise NetworkRefused(f"a test tried to reach {host!r}; only loopback is allowed")

    @staticmethod
    def allowed(host: object) -> bool:
        if host is None or host in ("", b"", "localhost", b"localhost"):
            return True
        text = host.decode() if isinstance(host, bytes) else str(host)
        try:
            return ipaddress.ip_address(text.partition("%")[0]).is_loopback
        except ValueError:
            return False


@pytest.fixture(autouse=True)
def network_guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[NetworkGuard]:
    guard = NetworkGuard()

    def guarded_address(name: str) -> None:
        real = getattr(socket.socket, name)

        def call(self: socket.socket, *args: Any) -> Any:
            # sendto(data, [flags,] address); an address that is no tuple is a path of this machine.
            address = args[-1] if args else None
            if isinstance(address, tuple):
                guard.check(address[0])
            return real(self, *args)

        monkeypatch.setattr(socket.socket, name, call)

    for name in ("connect", "connect_ex", "sendto"):
        guarded_address(name)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        real = getattr(socket, name)

        def resolve(host: object, *args: Any, _real: Any = real, **kwargs: Any) -> Any:
            guard.check(host)
            return _real(host, *args, **kwargs)

        monkeypatch.setattr(socket, name, resolve)
    yield guard
    assert not guard.refused, f"the test tried to reach {guard.refused}; only loopback is allowed"


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def hidden_environment(monkeypatch: pytest.MonkeyPatch, empty_home: Path) -> None:
    """Neither keys nor settings of the developer reach a test; the home folder is an empty one."""
    for name in list(os.environ):
        if name not in _KEPT and name.upper().startswith(_HIDDEN):
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(empty_home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(empty_home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(empty_home / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty_home / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(empty_home / "state"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
