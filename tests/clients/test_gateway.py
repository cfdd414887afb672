"""The official clients against the gateway as a server: plain, streamed, tools, JSON, typed errors, cancellation."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import anthropic
import openai
import orjson
import pytest

from tests.clients import node
from tests.clients.cases import Speaker, cases, judge
from tests.clients.gateway import SETTINGS, node_speakers, python_speakers
from tests.clients.outcome import outcome_of
from tests.sandbox.server.gateway.support import BODIES, CHAT, PROMPT, QUICK, in_a_thread, served
from tests.sandbox.server.gateway.test_streams import until


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with in_a_thread(**SETTINGS) as address:
        yield address


PYTHON = python_speakers()


@pytest.mark.parametrize("speaker", PYTHON, ids=[speaker.name for speaker in PYTHON])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_python_client_makes_of_every_case_what_it_documents(speaker: Speaker, url: str) -> None:
    assert not isinstance(speaker.open, str)
    with ExitStack() as stack:
        ask = speaker.open(url, stack)
        problems = {case: judge(speaker, case, outcome_of(ask, form, fault)) for case, form, fault in cases(speaker)}
    assert {case: problem for case, problem in problems.items() if problem} == {}
    assert len(problems) >= len(speaker.forms) + 15


@pytest.mark.skipif(node.absent() is not None, reason=f"{node.absent()}")
@pytest.mark.parametrize("speaker", node_speakers(), ids=[speaker.name for speaker in node_speakers()])
def test_a_javascript_client_makes_of_every_case_what_it_documents(speaker: Speaker, url: str) -> None:
    work = list(cases(speaker))
    told = node.outcomes(url, [(str(speaker.open), form, fault) for _, form, fault in work], openai="/v1", anthropic="")
    problems = {case: judge(speaker, case, one) for (case, *_), one in zip(work, told, strict=True)}
    assert {case: problem for case, problem in problems.items() if problem} == {}


async def test_clients_that_are_given_a_json_form_parse_it(tmp_path: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    messages: Any = [{"role": "user", "content": PROMPT}]
    async with served(tmp_path, **SETTINGS) as rig:
        async with openai.AsyncOpenAI(api_key="x", base_url=f"{rig.server.url}/v1", max_retries=0) as client:
            form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
            answer = await client.chat.completions.create(
                model="gpt-4o-mini", messages=messages, response_format=form, extra_body={"fallbacks": ["gpt-4o"]}
            )
            assert isinstance(orjson.loads(answer.choices[0].message.content or "")["city"], str)
            assert answer._request_id == answer.id.removeprefix("chatcmpl-")
            assert [model.id async for model in await client.models.list()]
        async with anthropic.AsyncAnthropic(api_key="x", base_url=rig.server.url, max_retries=0) as other:
            counted = await other.messages.count_tokens(model="claude-haiku-4-5", messages=messages)
            assert counted.input_tokens > 0
            assert [model.id async for model in await other.models.list()]


@pytest.mark.parametrize("api", ["openai", "anthropic"])
async def test_a_client_that_stops_in_the_middle_is_a_cancelled_request(tmp_path: Any, api: str) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    async with served(tmp_path, chain=["openai"], **QUICK) as rig:
        rig.fail("openai", "stream_stall:3")
        if api == "openai":
            async with openai.AsyncOpenAI(api_key="x", base_url=f"{rig.server.url}/v1", max_retries=0) as client:
                stream = await client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
                await anext(aiter(stream))
                await stream.close()
        else:
            async with (
                anthropic.AsyncAnthropic(api_key="x", base_url=rig.server.url, max_retries=0) as other,
                other.messages.stream(model="gpt-4o-mini", messages=messages, max_tokens=9) as events,
            ):
                await anext(aiter(events))
        await until(lambda: rig.tally.cancelled == 1)
        assert rig.server.under_way == 0


async def test_the_clients_own_retries_honour_the_wait(tmp_path: Any) -> None:
    """A client asks again by itself, and by then the provider is well."""
    async with served(tmp_path, **SETTINGS) as rig:
        rig.fail("openai", "rate_limit:0.05")
        async with openai.AsyncOpenAI(api_key="x", base_url=f"{rig.server.url}/v1", max_retries=1) as client:
            asking = asyncio.ensure_future(
                client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": PROMPT}])
            )
            await until(lambda: rig.tally.failed == 1)
            rig.fail("openai")
            assert (await asking).choices[0].message.content
        assert rig.tally.answered == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
def test_curl_shows_a_stream_as_it_comes(url: str) -> None:
    body = orjson.dumps({**BODIES[CHAT], "stream": True})
    done = subprocess.run(
        ["curl", "-sSNi", "--noproxy", "*", url + CHAT, "-H", "content-type: application/json", "-d", body],
        capture_output=True,
        timeout=20,
        check=True,
    )
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"x-sandbox-provider: openai" in head
    events = [event for event in rest.split(b"\n\n") if event]
    assert events[-2] == b"data: [DONE]"
    assert events[-1].startswith(b": x-sandbox {")
