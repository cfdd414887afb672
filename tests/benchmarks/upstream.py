"""A fake OpenAI upstream in a process of its own: answers at once, so that what is measured is the client."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TEXT = "A circuit breaker is a fuse. " * 8
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1735689600,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 60, "total_tokens": 90},
    }
).encode()


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1735689600,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


STREAM = b"".join(
    [
        _chunk({"role": "assistant", "content": ""}),
        *(_chunk({"content": f"word{i} "}) for i in range(18)),
        _chunk({}, "stop"),
        b'data: {"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":18,"total_tokens":48}}\n\n',
        b"data: [DONE]\n\n",
    ]
)
HELD_S = 60.0
"""How long a slow stream takes."""
FAILURE = b'{"error":{"message":"down","type":"server_error","param":null,"code":null}}'


def _serve() -> None:
    from aiohttp import web

    async def chat(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if b'"stream":true' in body.replace(b" ", b""):
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            await response.write(STREAM)
            await response.write_eof()
            return response
        return web.Response(body=ANSWER, content_type="application/json")

    async def slow(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        *pieces, last = STREAM.split(b"\n\n", 18)
        for piece in pieces:
            await response.write(piece + b"\n\n")
            await asyncio.sleep(HELD_S / len(pieces))
        await response.write(last)
        await response.write_eof()
        return response

    async def fail(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=FAILURE, status=500, content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        app.router.add_post("/fail/v1/chat/completions", fail)
        app.router.add_post("/slow/v1/chat/completions", slow)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await runner.cleanup()

    asyncio.run(main())


def pin(core: int) -> None:
    """Keep this process on one core where the machine has several and allows it."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


@contextmanager
def upstream() -> Iterator[str]:
    """Its base address, without `/v1`. The process ends with this one: its standard input closes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.upstream"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    pin(1)
    _serve()
