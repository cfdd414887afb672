"""`sandbox serve` beside an aiohttp pass-through, and beside other gateways where they are installed, in one run.

Each stands before the same upstream and has a core of its own; caller and upstream share the other. What is added is
the difference to asking the upstream directly. The gateway is whole: cache looked up and written, breaker, cost, usage
records; no question comes twice. Others are found by the environment: BENCH_LITELLM is the path of LiteLLM's command,
BENCH_PORTKEY that of `@portkey-ai/gateway`'s build/start-server.js.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from tests.benchmarks.memory import own_mb
from tests.benchmarks.report import Row, bound_row, ratio_row
from tests.benchmarks.upstream import HELD_S, pin, upstream

PATH = "/v1/chat/completions"
PROMPT = "Explain circuit breakers to a cook, in two sentences, without using the word fuse."
MODEL = "gpt-4o-mini"
CONNECTIONS = 100


class _Caller(asyncio.Protocol):
    """Asks again and again on one connection, with as little work as possible, each time something else."""

    _numbers = count()

    def __init__(self, port: int, headers: str, times: int, over: asyncio.Future[None], *, stream: bool) -> None:
        self.took: list[float] = []
        self._stream = stream
        self._head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{headers}"
        self._left = times
        self._over = over
        self._got = b""
        self._asked = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        question = f"{PROMPT} {next(self._numbers)}"
        fields = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
        body = json.dumps({**fields, "stream": True} if self._stream else fields).encode()
        self._asked = time.perf_counter()
        self._transport.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._whole():
            return
        self.took.append(time.perf_counter() - self._asked)
        if not self._got.startswith(b"HTTP/1.1 200"):
            self._over.set_exception(RuntimeError(f"not answered: {self._got[:300]!r}"))
            self._transport.close()
            return
        self._got = b""
        self._left -= 1
        if self._left:
            self._ask()
        else:
            self._transport.close()
            self._over.set_result(None)

    def _whole(self) -> bool:
        if self._got.endswith(b"0\r\n\r\n"):
            return True
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return bool(found and length) and len(body) >= int(length)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over.done():
            self._over.set_exception(exc or ConnectionError("closed too early"))


class Contender:
    """Where one is asked, and what it wants beside the usual."""

    def __init__(self, url: str, headers: str = "Authorization: Bearer x\r\n", process: int = 0) -> None:
        self.port = int(url.rpartition(":")[2])
        self.headers = headers
        self.process = process


async def _load(one: Contender, connections: int, each: int, *, stream: bool) -> tuple[float, list[float]]:
    """Answers a second, and how long each took, seconds."""
    loop = asyncio.get_running_loop()
    callers, ends = [], []
    started = time.perf_counter()
    for _ in range(connections):
        over: asyncio.Future[None] = loop.create_future()
        caller = _Caller(one.port, one.headers, each, over, stream=stream)
        await loop.create_connection(lambda one=caller: one, "127.0.0.1", one.port)
        callers.append(caller)
        ends.append(over)
    await asyncio.gather(*ends)
    took = time.perf_counter() - started
    return connections * each / took, [one for caller in callers for one in caller.took]


# --- contenders -------------------------------------------------------------------------------------------------------


@contextmanager
def _process(command: list[str], **more: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, preexec_fn=lambda: pin(0), **more)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def _ours(base: str, folder: Path) -> Iterator[Contender]:
    config = folder / "sandbox.toml"
    config.write_text(
        f'mode = "live"\nchain = ["openai"]\ndata_dir = "{folder}/data"\n'
        f'[providers.openai]\nbase_url = "{base}/v1"\napi_key = "x"\nmodel = "{MODEL}"\ntransport = "aiohttp"\n'
    )
    command = [sys.executable, "-m", "sandbox", "serve", "--port", "0", "--config", str(config)]
    with _process(command, stderr=subprocess.PIPE, env={**os.environ, "HOME": str(folder)}) as process:
        for line in process.stderr or ():
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield Contender(found[0], process=process.pid)
                return
        raise RuntimeError("sandbox serve did not start")


@contextmanager
def _floor(base: str) -> Iterator[Contender]:
    with _process([sys.executable, "-m", "tests.benchmarks.serve", base], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Contender(f"http://127.0.0.1:{int(process.stdout.readline())}")


@contextmanager
def _litellm(base: str, folder: Path) -> Iterator[Contender | None]:
    command = os.environ.get("BENCH_LITELLM")
    if not command:
        yield None
        return
    config = folder / "litellm.yaml"
    params = f"{{model: openai/{MODEL}, api_base: {base}/v1, api_key: x}}"
    config.write_text(f"model_list:\n- model_name: {MODEL}\n  litellm_params: {params}\n")
    port = _free_port()
    keyless = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    environment = {**os.environ, "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", **keyless}
    started = [command, "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    with _process(started, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        _wait_for(f"http://127.0.0.1:{port}/health/liveliness")
        yield Contender(f"http://127.0.0.1:{port}")


@contextmanager
def _portkey(base: str) -> Iterator[Contender | None]:
    script = os.environ.get("BENCH_PORTKEY")
    if not script:
        yield None
        return
    port = _free_port()
    with _process(["node", script, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        _wait_for(f"http://127.0.0.1:{port}/")
        headers = f"x-portkey-provider: openai\r\nx-portkey-custom-host: {base}/v1\r\nAuthorization: Bearer x\r\n"
        yield Contender(f"http://127.0.0.1:{port}", headers)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _wait_for(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer")


# --- the table --------------------------------------------------------------------------------------------------------


async def measure(*, rounds: int = 3) -> list[Row]:
    pin(1)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            base = stack.enter_context(upstream())
            found = {
                "direct": Contender(base),
                "floor": stack.enter_context(_floor(base)),
                "ours": stack.enter_context(_ours(base, folder)),
                "LiteLLM proxy": stack.enter_context(_litellm(base, folder)),
                "Portkey": stack.enter_context(_portkey(base)),
            }
            return await _measured({name: one for name, one in found.items() if one is not None}, rounds)
    finally:
        pin(0)


async def _measured(contenders: dict[str, Contender], rounds: int) -> list[Row]:
    p50: dict[tuple[str, bool], list[float]] = {}
    rate: dict[tuple[str, bool], list[float]] = {}
    for stream in (False, True):
        for round_ in range(rounds + 1):
            for name, one in contenders.items():
                slow = name not in ("direct", "floor", "ours")
                _, took = await _load(one, 1, 100 if slow else 400, stream=stream)
                many, _ = await _load(one, CONNECTIONS, 3 if slow else 25, stream=stream)
                if round_:  # the first one warms up
                    p50.setdefault((name, stream), []).append(statistics.median(took) * 1e6)
                    rate.setdefault((name, stream), []).append(many)
    rows = []
    peers = [name for name in contenders if name not in ("direct", "floor", "ours")]
    for stream in (False, True):
        what = "streams of 20 chunks" if stream else "answers"

        def added(name: str, stream: bool = stream) -> float:
            return statistics.median(p50[name, stream]) - statistics.median(p50["direct", stream])

        def throughput(name: str, stream: bool = stream) -> float:
            return statistics.median(rate[name, stream])

        told = (
            "; ".join(f"{name} {added(name):,.0f} µs" for name in peers) or "LiteLLM proxy 13,400 µs, Portkey 2,000 µs"
        )
        rows.append(
            ratio_row(f"serve, {what}, added p50", added("ours"), added("floor"), "µs", "pass-through", 2.0, told)
        )
        told = "; ".join(f"{name} {throughput(name):,.0f}/s" for name in peers) or "LiteLLM proxy 70/s, Portkey 630/s"
        rows.append(
            ratio_row(
                f"serve, {what}, {CONNECTIONS} connections",
                throughput("ours"),
                throughput("floor"),
                "/s",
                "pass-through",
                0.5,
                told,
                more=True,
            )
        )
    return rows


# --- for long ---------------------------------------------------------------------------------------------------------

HELD = 500
"""Streams at a time."""
MANY = 100_000


async def measure_long() -> list[Row]:
    """Streams that are held for a minute, and the memory of a process that has served a hundred thousand requests."""
    pin(1)
    try:
        with ExitStack() as stack:
            base = stack.enter_context(upstream())
            slow, quick = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
            lost = await _held(stack.enter_context(_ours(f"{base}/slow", slow)))
            return [
                bound_row(f"serve, lost of {HELD} streams held for {HELD_S:.0f} s", lost, 0, "streams"),
                await _grown(stack.enter_context(_ours(base, quick))),
            ]
    finally:
        pin(0)


async def _held(one: Contender) -> int:
    """How many of the streams did not come whole."""
    ended = await asyncio.gather(*(_load(one, 1, 1, stream=True) for _ in range(HELD)), return_exceptions=True)
    return sum(isinstance(result, BaseException) or result[1][0] < HELD_S * 0.9 for result in ended)


async def _grown(one: Contender) -> Row:
    await _load(one, CONNECTIONS, MANY // 10 // CONNECTIONS, stream=False)
    early = own_mb(one.process)
    await _load(one, CONNECTIONS, MANY * 9 // 10 // CONNECTIONS, stream=False)
    grown = max(0.0, own_mb(one.process) - early)
    return bound_row(f"serve, memory growth from {MANY // 10:,} to {MANY:,} requests", grown, 10.0, "MB")


# --- the floor --------------------------------------------------------------------------------------------------------


async def _serve(base: str) -> None:
    import aiohttp
    from aiohttp import web

    async def chat(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {"content-type": "application/json", "authorization": request.headers["authorization"]}
        async with session.post(base + PATH, data=body, headers=headers) as answer:
            if answer.content_type == "application/json":
                return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)
            response = web.StreamResponse(status=answer.status, headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app = web.Application()
        app.router.add_post(PATH, chat)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
