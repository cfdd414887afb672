"""The wiretap beside a bare aiohttp server, and beside aimock where it is installed; each in a process of its own.

The floor answers with bytes made beforehand: what is above it is routing, faults, matching, writing an answer and the
journal. aimock (npm, `@copilotkit/aimock`) is found by its command `llmock` on PATH.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.report import Row, bound_row
from tests.benchmarks.upstream import ANSWER, STREAM, pin

PATH = "/openai/v1/chat/completions"
PROMPT = "Explain circuit breakers to a new engineer, please."
CONNECTIONS = 50


def _request(port: int, path: str, *, stream: bool) -> bytes:
    fields = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}]}
    body = json.dumps({**fields, "stream": True} if stream else fields).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer sk-bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Caller(asyncio.Protocol):
    """Asks again and again on one connection, with as little work as possible."""

    def __init__(self, request: bytes, times: int, over: asyncio.Future[None]) -> None:
        self.events = 0
        self._request = request
        self._left = times
        self._over = over
        self._got = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._whole():
            return
        assert self._got.startswith(b"HTTP/1.1 200"), self._got[:300]
        self.events += self._got.count(b"data: ")
        self._got = b""
        self._left -= 1
        if self._left:
            self._transport.write(self._request)
        else:
            self._transport.close()
            self._over.set_result(None)

    def _whole(self) -> bool:
        if self._got.endswith(b"\r\n0\r\n\r\n"):
            return True
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return bool(found and length) and len(body) >= int(length)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over.done():
            self._over.set_exception(exc or ConnectionError("closed too early"))


async def _rate(port: int, path: str, *, stream: bool, each: int) -> float:
    """Answers, or events of streams, a second."""
    loop = asyncio.get_running_loop()
    request = _request(port, path, stream=stream)
    callers, ends = [], []
    started = time.perf_counter()
    for _ in range(CONNECTIONS):
        over: asyncio.Future[None] = loop.create_future()
        caller = _Caller(request, each, over)
        await loop.create_connection(lambda one=caller: one, "127.0.0.1", port)
        callers.append(caller)
        ends.append(over)
    await asyncio.gather(*ends)
    took = time.perf_counter() - started
    return (sum(caller.events for caller in callers) if stream else CONNECTIONS * each) / took


@contextmanager
def _server(kind: str) -> Iterator[int]:
    """A server of this module in its own process, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.wiretap", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@contextmanager
def _aimock() -> Iterator[int | None]:
    """aimock answering the same prompt, or None where it is not installed."""
    command = shutil.which("llmock")
    if command is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        fixture = {"match": {"userMessage": PROMPT}, "response": {"content": "A circuit breaker is a fuse. " * 8}}
        file = Path(folder) / "fixtures.json"
        file.write_text(json.dumps({"fixtures": [fixture]}))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [command, "-p", str(port), "-f", str(file), "-c", "5", "--log-level", "silent"],
            preexec_fn=lambda: pin(1),
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("aimock did not start")


async def measure(*, rounds: int = 3) -> list[Row]:
    with _server("tap") as tap, _server("bare") as bare, _aimock() as aimock:
        ports = {"tap": (tap, PATH), "bare": (bare, PATH)}
        if aimock is not None:
            ports["aimock"] = (aimock, "/v1/chat/completions")
        best: dict[tuple[str, bool], float] = {}
        for stream, each in ((False, 100), (True, 40)):
            for round_ in range(rounds + 1):
                for name, (port, path) in ports.items():
                    rate = await _rate(port, path, stream=stream, each=each if round_ else 10)
                    # The first round warms up.
                    best[name, stream] = max(best.get((name, stream), 0.0), rate if round_ else 0.0)

    def row(work: str, unit: str, limit: float, *, stream: bool) -> Row:
        peer = f"aimock {best['aimock', stream]:,.0f}{unit}, in this run" if aimock is not None else "aimock: not here"
        ours, floor = best["tap", stream], best["bare", stream]
        return bound_row(work, ours, limit, unit, peer, more=True, floor=floor, floor_name="bare aiohttp")

    return [
        row("wiretap, JSON answers, 50 connections", "/s", 5_000, stream=False),
        row("wiretap, SSE events, 50 connections", "/s", 50_000, stream=True),
    ]


# --- the servers ----------------------------------------------------------------------------------------------------


async def _serve(kind: str) -> None:
    import gc

    from aiohttp import web

    if kind == "tap":
        from sandbox.server.wiretap import Wiretap

        tap = Wiretap()
        await tap.start()
        port, end = tap.port, tap.close
    else:
        events = [event + b"\n\n" for event in STREAM.split(b"\n\n") if event]

        async def chat(request: web.Request) -> web.StreamResponse:
            if b'"stream": true' not in await request.read():
                return web.Response(body=ANSWER, content_type="application/json")
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            for event in events:
                await response.write(event)
            await response.write_eof()
            return response

        app = web.Application()
        app.router.add_post(PATH, chat)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port, end = runner.addresses[0][1], runner.cleanup
    gc.freeze()
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await end()


if __name__ == "__main__":
    pin(1)
    asyncio.run(_serve(sys.argv[1]))
