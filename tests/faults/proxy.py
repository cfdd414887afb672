"""A DynamoDB that misbehaves: it passes calls on to a server of `tests.dynamo.servers`, or does what it is told."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import ClientSession, ClientTimeout, web

from providers.clock import seeded

_WRITES = frozenset(("BatchWriteItem", "UpdateItem"))
_KEY_ID = re.compile(r"Credential=([^/]+)/")


class Faults:
    """What the proxy does now; to be set from any thread. Shares are between 0 and 1, of the calls that write."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        """How often each operation was asked for."""
        self.end()

    def end(self) -> None:
        """From here on, none."""
        self.throttled = 0.0
        self.unprocessed = 0.0
        """Of the items of a BatchWriteItem, so many are handed back."""
        self.failed = 0.0
        """Answered 500 without being done."""
        self.failed_when_done = 0.0
        """Done, and answered 500 all the same."""
        self.gone = False
        """Every connection is closed without an answer."""
        self.delay_s = 0.0
        self.expired = frozenset[str]()
        """Access key ids whose credentials have expired."""


@contextmanager
def proxied(url: str, *, seed: int = 0) -> Iterator[tuple[str, Faults]]:
    """The address of a proxy before `url`, in a thread of its own, and what it is to do."""
    faults = Faults()
    started: list[str] = []
    ready, done = threading.Event(), threading.Event()

    def run() -> None:
        try:
            asyncio.run(_serve(url, faults, seed, started, ready, done))
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="fault-proxy", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield started[0], faults
    finally:
        done.set()
        thread.join(10)


async def _serve(
    url: str, faults: Faults, seed: int, started: list[str], ready: threading.Event, done: threading.Event
) -> None:
    async with ClientSession(timeout=ClientTimeout(total=30)) as session:
        proxy = _Proxy(url, faults, session, seed)
        server = web.Server(proxy.handle)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        started.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        ready.set()
        while not done.is_set():
            await asyncio.sleep(0.02)
        await runner.cleanup()


class _Proxy:
    def __init__(self, url: str, faults: Faults, session: ClientSession, seed: int) -> None:
        self._url = url
        self._faults = faults
        self._session = session
        self._draws = seeded(seed)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        faults = self._faults
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        faults.calls[operation] = faults.calls.get(operation, 0) + 1
        try:
            body = await request.read()
        except ConnectionResetError:
            # The program was killed while it sent.
            return web.Response()
        if faults.gone:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        key = _KEY_ID.search(request.headers.get("Authorization", ""))
        if key and key[1] in faults.expired:
            return _error(400, "ExpiredTokenException", "The security token included in the request is expired")
        kept: dict[str, Any] = {}
        if operation in _WRITES:
            if self._draws.random() < faults.throttled:
                return _error(400, "ProvisionedThroughputExceededException", "The level of throughput was exceeded")
            if self._draws.random() < faults.failed:
                return _error(500, "InternalServerError", "Internal server error")
            if operation == "BatchWriteItem" and faults.unprocessed:
                body, kept = self._some(body)
        # Before the call, so that what it says holds for the whole of it.
        lies = operation in _WRITES and self._draws.random() < faults.failed_when_done
        status, answer, headers = await self._pass_on(request, body)
        if lies:
            return _error(500, "InternalServerError", "Internal server error")
        if kept and status == 200:
            answer = orjson.dumps(orjson.loads(answer) | {"UnprocessedItems": kept})
        return web.Response(status=status, body=answer, headers=headers)

    def _some(self, body: bytes) -> tuple[bytes, dict[str, Any]]:
        """The body with a part of its items, and the others."""
        asked = orjson.loads(body)
        kept: dict[str, Any] = {}
        for table, requests in asked["RequestItems"].items():
            held = [one for one in requests[1:] if self._draws.random() < self._faults.unprocessed]
            if held:
                kept[table] = held
                asked["RequestItems"][table] = [one for one in requests if one not in held]
        return orjson.dumps(asked), kept

    async def _pass_on(self, request: web.BaseRequest, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        names = ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        async with self._session.post(self._url, data=body, headers=headers) as response:
            return response.status, await response.read(), {"Content-Type": "application/x-amz-json-1.0"}


def _error(status: int, code: str, message: str) -> web.Response:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
    return web.Response(status=status, body=orjson.dumps(body), headers={"Content-Type": "application/x-amz-json-1.0"})
