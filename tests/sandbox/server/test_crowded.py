"""More connections than descriptors: whoever comes is answered, nobody's stack is shown, and it passes."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from providers.clock import SYSTEM_CLOCK
from sandbox.server import crowded
from sandbox.server.crowded import Crowd, room
from tests.fake_clock import FakeClock
from tests.sandbox.cli.test_serve import ask, surroundings
from tests.sandbox.server.gateway.support import CHAT, MESSAGES, chat, served

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")

ANSWER = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("limit", "upstream", "most"),
    [(1024, False, 960), (1024, True, 480), (65_536, True, 32_736), (100, False, 50), (None, True, None)],
)
def test_how_many_are_answered(monkeypatch: pytest.MonkeyPatch, limit: int | None, upstream: bool, most: int) -> None:
    monkeypatch.setattr(crowded, "limit", lambda: limit)
    assert room(upstream=upstream) == most


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_request_beyond_the_room_is_refused_before_it_costs_anything(tmp_path, path):
    async with served(tmp_path) as rig:
        assert rig.service.room is not None
        rig.service.room = 0
        refused = await rig.ask(path, chat(max_tokens=5))
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert "ulimit -n" in refused.json["error"]["message"]
        assert (refused.json.get("type") == "error") is (path == MESSAGES)
        assert rig.tally.requests == 0
        rig.service.room = None
        assert (await rig.ask(path, chat(max_tokens=5))).status == 200


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


async def test_what_waits_is_answered_and_the_log_is_told_once(caplog):
    clock = FakeClock()
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    crowd = Crowd(ANSWER, clock=clock)
    with listening() as door, caplog.at_level(logging.WARNING):
        crowd.watch([door.getsockname()])
        context: dict[str, Any] = {"message": "", "exception": OSError(errno.EMFILE, "too many"), "socket": door}
        for _ in range(3):
            with socket.create_connection(door.getsockname()) as visitor:
                visitor.sendall(b"GET / HTTP/1.1\r\n\r\n")
                loop.call_exception_handler(context)
                assert visitor.makefile("rb").read() == ANSWER
        assert len(caplog.records) == 1
        clock.now += crowded.QUIET_S
        loop.call_exception_handler(context)
        assert len(caplog.records) == 2
        assert len(crowd._kept) == 2
        crowd.leave()
        crowd.leave()
        # By then the loop wants to listen again.
        caplog.clear()
        again = {"message": "Exception in callback _start_serving", "exception": ValueError("Invalid descriptor: -1")}
        loop.call_exception_handler(again)
        assert not caplog.records
        loop.call_exception_handler({"message": "Exception in callback other", "exception": ValueError("x")})
        assert len(caplog.records) == 1
    loop.set_exception_handler(before)


async def test_what_else_goes_wrong_in_the_loop_is_told_as_before(caplog):
    heard: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    crowd = Crowd(ANSWER, clock=FakeClock())
    with listening() as door, listening() as other:
        crowd.watch([door.getsockname()])
        full = OSError(errno.EMFILE, "too many")
        for context in ({"message": "x"}, {"message": "y", "exception": full, "socket": other}, {"exception": full}):
            loop.call_exception_handler({"message": "", **context})
        assert len(caplog.records) == 3
        crowd.leave()
        assert loop.get_exception_handler() is None
        loop.set_exception_handler(lambda _, context: heard.append(context))
        crowd.watch([door.getsockname()])
        loop.call_exception_handler({"message": "z"})
        assert heard == [{"message": "z"}]
        crowd.leave()
        loop.set_exception_handler(None)


def asked(url: str) -> tuple[int, dict[str, str], Any]:
    """Who comes in the very moment in which others are turned away may see the end before it has asked."""
    for _ in range(1000):
        try:
            return ask(url, chat())
        except OSError:
            continue
    raise AssertionError("it never answered")


@contextmanager
def beset(folder: Path, limit: str) -> Iterator[tuple[subprocess.Popen[str], str, ExitStack]]:
    """A server that starts under a limit, its address, and 80 connections of somebody who says nothing."""
    line = f'ulimit {limit}; exec "$0" -m sandbox serve --port 0'
    process = subprocess.Popen(
        ["sh", "-c", line, sys.executable],
        stderr=subprocess.PIPE, text=True, env=surroundings(), cwd=folder,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        told = iter(process.stderr.readline, "")
        url = next(line for line in told if "gateway on" in line).split()[2].rstrip(":")
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        next(line for line in told if "keys:" in line)
        with ExitStack() as idle:
            for _ in range(80):
                idle.enter_context(socket.create_connection(place))
            yield process, url, idle
    finally:
        process.kill()
        process.communicate()


def test_a_process_without_descriptors_answers_says_so_once_and_recovers(tmp_path):
    with beset(tmp_path, "-n 64") as (process, url, idle):
        status, headers, body = asked(url)
        assert (status, headers["retry-after"]) == (503, "1")
        assert "ulimit -n" in body["error"]["message"]
        idle.close()
        patience = SYSTEM_CLOCK.monotonic() + 20.0
        while asked(url)[0] != 200:
            # The loop turns away whoever comes while it does so, and only then sees that the others have left.
            assert SYSTEM_CLOCK.monotonic() < patience
        process.terminate()
        rest = process.communicate(timeout=20)[1]
        assert "Traceback" not in rest
        assert rest.count("no descriptor is left") == 1
        assert process.returncode == 0


def test_a_limit_that_may_be_raised_is(tmp_path):
    with beset(tmp_path, "-Sn 64") as (_, url, _idle):
        assert asked(url)[0] == 200
    line = 'ulimit -Sn 64; exec "$0" -m sandbox run -- sh -c "ulimit -n"'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable], capture_output=True, text=True, env=surroundings(), cwd=tmp_path, timeout=60
    )
    assert int(done.stdout) > 64
