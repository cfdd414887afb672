"""What the official clients do with `sandbox serve` beside asking: leaving in the middle, being told to wait, looking.

A caller that leaves has its request cancelled upstream at once, whoever the client is and however it leaves.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import orjson
import pytest

from tests.clients import node
from tests.clients.gateway import SETTINGS
from tests.sandbox.server.gateway.support import BODIES, CHAT, MESSAGES, PROMPT, QUICK, RESPONSES, Rig, served
from tests.sandbox.server.gateway.test_streams import until

APIS = ("chat", "responses", "messages")
PATHS = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES}
MODEL = "gpt-4o-mini"
ASKED: list[Any] = [{"role": "user", "content": PROMPT}]

needs_node = pytest.mark.skipif(node.absent() is not None, reason=f"{node.absent()}")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")


async def gone(rig: Rig, cancelled: int = 1) -> None:
    await until(lambda: rig.tally.cancelled == cancelled and rig.server.under_way == 0)
    assert rig.tally.answered == 0


# --- Python ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
async def test_a_python_client_is_told_how_long_to_wait(tmp_path: Path, api: str) -> None:
    async with (
        served(tmp_path, **SETTINGS) as rig,
        openai.AsyncOpenAI(api_key="x", base_url=f"{rig.server.url}/v1", max_retries=0) as one,
        anthropic.AsyncAnthropic(api_key="x", base_url=rig.server.url, max_retries=0) as other,
    ):
        rig.fail("openai", "rate_limit:7")
        with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as raised:
            if api == "chat":
                await one.chat.completions.create(model=MODEL, messages=ASKED)
            elif api == "responses":
                await one.responses.create(model=MODEL, input=PROMPT)
            else:
                await other.messages.create(model=MODEL, messages=ASKED, max_tokens=9)
        assert raised.value.response.headers["retry-after"] == "7"


async def test_a_python_client_that_leaves_a_response_in_the_middle_cancels_it(tmp_path: Path) -> None:
    async with (
        served(tmp_path, chain=["openai"], **QUICK) as rig,
        openai.AsyncOpenAI(api_key="x", base_url=f"{rig.server.url}/v1", max_retries=0) as client,
    ):
        rig.fail("openai", "stream_stall:3")
        stream = await client.responses.create(model=MODEL, input=PROMPT, stream=True)
        await anext(aiter(stream))
        await stream.close()
        await gone(rig)


@pytest.mark.parametrize("api", APIS)
async def test_a_python_task_that_is_cancelled_cancels_its_whole_answer(tmp_path: Path, api: str) -> None:
    async with (
        served(tmp_path, chain=["openai"], **QUICK) as rig,
        openai.AsyncOpenAI(api_key="x", base_url=f"{rig.server.url}/v1", max_retries=0) as one,
        anthropic.AsyncAnthropic(api_key="x", base_url=rig.server.url, max_retries=0) as other,
    ):
        rig.fail("openai", "timeout")
        asking: Any = {
            "chat": lambda: one.chat.completions.create(model=MODEL, messages=ASKED),
            "responses": lambda: one.responses.create(model=MODEL, input=PROMPT),
            "messages": lambda: other.messages.create(model=MODEL, messages=ASKED, max_tokens=9),
        }[api]()
        task = asyncio.ensure_future(asking)
        await until(lambda: rig.server.under_way == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await gone(rig)


# --- JavaScript -----------------------------------------------------------------------------------------------------


class Script:
    """One process of Node that does what it is told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    async def do(self, thing: str, on: str = "") -> dict[str, Any]:
        self._in.write(orjson.dumps({"do": thing, "on": on}) + b"\n")
        await self._in.drain()
        async with asyncio.timeout(30):
            line = await self._out.readline()
        told: dict[str, Any] = orjson.loads(line)
        return told


@asynccontextmanager
async def script(url: str) -> AsyncIterator[Script]:
    process = await asyncio.create_subprocess_exec(
        "node",
        "served.mjs",
        url,
        PROMPT,
        cwd=node.FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Script(process)
    finally:
        # Its stdin is closed, which ends it, and its output read to the end.
        await process.communicate(b"")


@needs_node
async def test_a_javascript_client_that_aborts_cancels_the_request(tmp_path: Path) -> None:
    async with served(tmp_path, chain=["openai"], **QUICK) as rig, script(rig.server.url) as js:
        for number, api in enumerate(APIS):
            rig.fail("openai", "stream_stall:3")
            told = await js.do("leaveStream", api)
            # Ending the reading of a stream is no error; what matters is at the other end.
            assert told.get("error") in (None, "APIUserAbortError")
            await gone(rig, 2 * number + 1)
            rig.fail("openai", "timeout")
            assert (await js.do("leaveWhole", api))["error"] == "APIUserAbortError"
            await gone(rig, 2 * number + 2)


@needs_node
async def test_a_javascript_client_is_told_how_long_to_wait_and_what_there_is(tmp_path: Path) -> None:
    async with served(tmp_path, **SETTINGS) as rig, script(rig.server.url) as js:
        for api in APIS:
            rig.fail("openai", "rate_limit:7")
            told = await js.do("ask", api)
            assert told == {"error": "RateLimitError", "status": 429, "retryAfter": "7"}
            rig.fail("openai")
            assert (await js.do("ask", api))["model"].startswith(MODEL)
        models = await js.do("models")
        assert MODEL in models["openai"]
        assert models["anthropic"] == models["openai"]
        assert (await js.do("count"))["input_tokens"] > 0


# --- curl -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def curl(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sSN", "--noproxy", "*", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _line(rig: Rig, api: str, **changes: Any) -> Sequence[str]:
    body = orjson.dumps({**BODIES[PATHS[api]], **changes}).decode()
    return [rig.server.url + PATHS[api], "-H", "content-type: application/json", "-d", body]


@needs_curl
@pytest.mark.parametrize("api", APIS)
async def test_curl_that_is_killed_in_the_middle_cancels_the_request(tmp_path: Path, api: str) -> None:
    async with served(tmp_path, chain=["openai"], **QUICK) as rig:
        rig.fail("openai", "stream_stall:3")
        async with curl(*_line(rig, api, stream=True)) as process:
            assert process.stdout is not None
            assert (await process.stdout.readline()).startswith((b"data: ", b"event: "))
            process.kill()
            await gone(rig)


@needs_curl
@pytest.mark.parametrize("api", APIS)
async def test_curl_shows_an_error_with_its_status_and_its_wait(tmp_path: Path, api: str) -> None:
    async with served(tmp_path, **SETTINGS) as rig:
        rig.fail("openai", "rate_limit:7")
        for stream in (False, True):
            async with curl("-i", *_line(rig, api, stream=stream)) as process:
                out, _ = await process.communicate()
            head, _, body = out.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 429 ")
            assert b"\r\nretry-after: 7\r\n" in head.lower() + b"\r\n"
            assert orjson.loads(body)["error"]["message"]
        rig.fail("openai")
        async with curl("--fail", *_line(rig, api)) as process:
            out, _ = await process.communicate()
        assert process.returncode == 0
        assert orjson.loads(out)["model"].startswith(MODEL)
