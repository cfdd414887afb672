"""What people and programs are told of where a server is: always something that can be asked."""

from __future__ import annotations

import socket

import pytest

from sandbox.server.addresses import base, elsewhere
from sandbox.server.gateway.guard import Door


@pytest.fixture(autouse=True)
def called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-box")


@pytest.mark.parametrize(
    ("host", "url", "others"),
    [
        ("127.0.0.1", "http://127.0.0.1:4000", []),
        ("::1", "http://[::1]:4000", []),
        ("fd12::5", "http://[fd12::5]:4000", []),
        ("gateway.internal", "http://gateway.internal:4000", []),
        ("0.0.0.0", "http://127.0.0.1:4000", ["http://gpu-box:4000"]),
        ("::", "http://[::1]:4000", ["http://gpu-box:4000"]),
        ("", "http://127.0.0.1:4000", ["http://gpu-box:4000"]),
    ],
)
def test_where_it_is(host: str, url: str, others: list[str]) -> None:
    assert base(host, 4000) == url
    assert elsewhere(host, 4000) == others
    # What is told is answered to.
    door = Door(host)
    assert all(door.refusal({"Host": one.partition("//")[2]}) is None for one in (url, *others))
    assert (door.refusal({"Host": "gpu-box:4000"}) is None) is bool(others)


def test_a_machine_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "localhost"):
        monkeypatch.setattr(socket, "gethostname", lambda name=name: name)
        assert elsewhere("0.0.0.0", 4000) == []
