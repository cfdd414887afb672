"""A gateway as a server over simulated providers, or over a wiretap, and clients of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from providers.faults import parse_fault
from sandbox.core.tally import Tally
from sandbox.runtime import Runtime
from sandbox.server.gateway import GatewayServer
from sandbox.server.gateway.app import SERVICE
from sandbox.server.gateway.service import Service
from sandbox.settings import Settings
from tests.sandbox.server.support import Answer

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
COMPLETIONS = "/v1/completions"
PROMPT = "Why do circuit breakers trip?"

QUICK: dict[str, Any] = {"retry": {"retries": 0}, "breaker": {"mode": "off"}}
"""A failure is passed on at once, and leaves nothing behind."""


def chat(text: str = PROMPT, **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


BODIES = {
    CHAT: chat(),
    MESSAGES: chat(max_tokens=200),
    RESPONSES: {"model": "gpt-4o-mini", "input": PROMPT},
    COMPLETIONS: {"model": "gpt-4o-mini", "prompt": PROMPT, "max_tokens": 200},
}


@dataclass
class Rig:
    runtime: Runtime
    server: GatewayServer
    session: aiohttp.ClientSession
    tally: Tally

    @property
    def service(self) -> Service:
        assert self.server._app is not None
        return self.server._app[SERVICE]

    def fail(self, provider: str, *faults: str) -> None:
        self.runtime.faults.set(provider, [parse_fault(fault) for fault in faults])

    async def ask(
        self, path: str, body: Any = None, *, method: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        method = method or ("GET" if body is None else "POST")
        async with self.session.request(method, self.server.url + path, data=data, headers=headers) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())

    async def stream(
        self, body: Any, path: str = CHAT, *, headers: Mapping[str, str] | None = None
    ) -> tuple[Answer, list[bytes]]:
        """A streamed answer, and its events without their ends."""
        answer = await self.ask(path, {**body, "stream": True}, headers=headers)
        return answer, [event for event in answer.body.split(b"\n\n") if event]

    async def raw(self, data: bytes, *, seconds: float = 5.0) -> bytes:
        """What comes back to these bytes until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        got = b""
        try:
            writer.write(data)
            async with asyncio.timeout(seconds):
                while piece := await reader.read(1 << 16):
                    got += piece
        except ConnectionResetError:
            pass
        finally:
            writer.close()
        return got


def settings(folder: Path, **changes: Any) -> Settings:
    return Settings.model_validate({"data_dir": folder, "cache": {"backend": "off"}, **changes})


@asynccontextmanager
async def served(
    folder: Path, *, clock: Any = None, server: Mapping[str, Any] | None = None, **changes: Any
) -> AsyncIterator[Rig]:
    """Any setting of the runtime, and of the server, may differ."""
    more = {} if clock is None else {"clock": clock}
    # Without a keep-alive connection a test never waits for one to end.
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with Runtime.of(settings(folder, **changes), **more) as runtime:
        tally = Tally()
        runtime.bus.subscribe(tally)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            GatewayServer(runtime, port=0, **(server or {})) as running,
        ):
            yield Rig(runtime, running, session, tally)


def over_wiretap(url: str) -> dict[str, Any]:
    """Settings under which a real provider answers, which is the wiretap's."""
    return {
        "mode": "live",
        "chain": ["openai"],
        "providers": {"openai": {"base_url": f"{url}/openai/v1", "api_key": "sk-not-a-key", "model": "gpt-4o-mini"}},
    }


def texts(events: list[bytes]) -> str:
    """The text of a chat stream's events."""
    said = ""
    for event in events:
        if event.startswith(b"data: {"):
            for choice in orjson.loads(event[6:]).get("choices", ()):
                said += choice["delta"].get("content") or ""
    return said


# --- for clients that block -------------------------------------------------------------------------------------------

FAULT_HEADER = "x-wiretap-fault"


@contextmanager
def in_a_thread(**changes: Any) -> Iterator[str]:
    """A server with a loop of its own; a request's fault header is provoked on every provider, and then healed."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    ended = asyncio.Event()

    async def serve(ready: asyncio.Future[str]) -> None:
        with TemporaryDirectory() as folder:
            async with Runtime.of(settings(Path(folder), **changes)) as runtime:

                @web.middleware
                async def provoking(request: web.Request, handler: Any) -> web.StreamResponse:
                    fault = request.headers.get(FAULT_HEADER)
                    for one in runtime.gateway.registry:
                        runtime.faults.set(one.id, [parse_fault(fault)] if fault else None)
                        runtime.gateway.enable(one.id)
                    response: web.StreamResponse = await handler(request)
                    return response

                async with GatewayServer(runtime, port=0, middlewares=[provoking], grace=0.2) as server:
                    ready.set_result(server.url)
                    await ended.wait()

    async def begin() -> tuple[asyncio.Task[None], str]:
        ready = loop.create_future()
        task = loop.create_task(serve(ready))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        return task, await ready if ready.done() else await _failed(task)

    async def finish(task: asyncio.Task[None]) -> None:
        ended.set()
        await task

    try:
        task, url = asyncio.run_coroutine_threadsafe(begin(), loop).result(20)
        yield url
        asyncio.run_coroutine_threadsafe(finish(task), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


async def _failed(task: asyncio.Task[None]) -> str:
    await task
    raise RuntimeError("the server did not start")
