"""Faults as a client meets them: on the wire, byte for byte."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from providers.dialects import spoken
from providers.errors import (
    AuthenticationError,
    ContentFilterError,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
    ServiceUnavailableError,
)
from sandbox.scenarios.loader import load_schedule
from tests.fake_clock import FakeClock
from tests.sandbox.server.support import CHAT, CONVERSE, GEMINI, MESSAGES, FastClock, Rig, chat, http, parsed, tapped

STREAM = chat(stream=True)
VENDORS = [
    (CHAT, "chat.completions", chat(), "openai"),
    ("/azure/openai/deployments/d/chat/completions", "chat.completions", chat(), "azure_openai"),
    ("/anthropic/v1/messages", "messages", MESSAGES, "anthropic"),
    ("/bedrock/model/amazon.nova-lite-v1:0/converse", "converse", CONVERSE, "bedrock"),
    ("/bedrock/model/amazon.titan-text-express-v1/invoke", "invoke", {"inputText": "Hi"}, "bedrock"),
    ("/gemini/v1beta/models/g:generateContent", "generateContent", GEMINI, "gemini"),
    ("/deepseek/chat/completions", "chat.completions", chat(), "deepseek"),
    ("/ollama/api/chat", "chat", chat(), "ollama"),
    ("/vllm/v1/chat/completions", "chat.completions", chat(), "vllm"),
    ("/groq/openai/v1/chat/completions", "chat.completions", chat(), "groq"),
]


async def broken(rig: Rig, path: str, body: Any, fault: str) -> bytes:
    """What comes of an answer whose connection breaks."""
    got = b""
    headers = {"x-wiretap-fault": fault}
    async with rig.session.post(rig.tap.url + path, data=orjson.dumps(body), headers=headers) as response:
        with pytest.raises(aiohttp.ClientError, match=r"reset|not completed"):
            async for piece in response.content.iter_any():
                got += piece
    return got


# --- instead of an answer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("503", ServiceUnavailableError),
        ("429:7", RateLimitError),
        ("auth", AuthenticationError),
        ("404", ModelNotFoundError),
        ("content_filter", ContentFilterError),
    ],
)
@pytest.mark.parametrize(("path", "api", "body", "provider"), VENDORS)
async def test_an_error_is_the_vendors_own(path, api, body, provider, fault, expected):
    async with tapped() as rig:
        answer = await rig.ask(path, body, headers={"x-wiretap-fault": fault})
        (entry,) = await rig.journal()
    error = spoken(api, path).decode_error(answer.status, answer.headers, answer.body)
    assert type(error) is expected
    if expected is RateLimitError:
        assert error.retry_after == 7
    assert (entry["status"], entry["answered_by"]) == (answer.status, None)
    assert entry["fault"].split()[0] in ("http_error", "rate_limit", "auth", "content_filter")


async def test_a_reset_is_a_reset():
    async with tapped() as rig:
        got, reset = await rig.raw(http(CHAT, orjson.dumps(chat()), x_wiretap_fault="connection_reset"))
        assert (got, reset) == (b"", True)
        (entry,) = await rig.journal()
    assert (entry["status"], entry["fault"], entry["bytes"]) == (None, "connection_reset", 0)


@pytest.mark.parametrize("fault", ["timeout", "hang"])
async def test_a_silence_lasts_until_the_client_leaves(fault):
    async with tapped() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port)
        writer.write(http(CHAT, orjson.dumps(STREAM), x_wiretap_fault=fault))
        if fault == "hang":
            head = await reader.readuntil(b"\r\n\r\n")
            assert parsed(head)[0] == 200
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await reader.readexactly(1)
        assert await rig.journal() == []
        writer.close()
        await writer.wait_closed()
        entry = await rig.ended()
    assert entry["fault"] == fault
    assert entry["status"] == (200 if fault == "hang" else None)
    assert entry["hint"] == "the client left before the end"


async def test_bodies_that_are_none():
    async with tapped() as rig:
        assert (await rig.ask(CHAT, chat(), headers={"x-wiretap-fault": "empty_body"})).body == b""
        malformed = await rig.ask(CHAT, chat(), headers={"x-wiretap-fault": "malformed_body"})
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(malformed.body)
        assert malformed.status == 200
        page = await rig.ask(CHAT, chat(), headers={"x-wiretap-fault": "wrong_content_type"})
        assert page.headers["content-type"] == "text/html; charset=utf-8"


# --- in the answer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "api", "body"),
    [
        (CHAT, "chat.completions", STREAM),
        ("/anthropic/v1/messages", "messages", {**MESSAGES, "stream": True}),
        ("/ollama/api/chat", "chat", chat()),
        ("/bedrock/model/amazon.nova-lite-v1:0/converse-stream", "converse-stream", CONVERSE),
        ("/gemini/v1/models/g:streamGenerateContent?alt=sse", "streamGenerateContent", GEMINI),
    ],
)
async def test_a_cut_stream_ends_with_a_reset_after_what_was_sent(path, api, body):
    async with tapped() as rig:
        whole = (await rig.ask(path, body)).body
        got = await broken(rig, path, body, "stream_cut:5")
        entry = (await rig.journal())[-1]
        wire, reset = await rig.raw(http(path, orjson.dumps(body), x_wiretap_fault="stream_cut:5"))
    assert whole.startswith(got)
    assert 0 < len(got) < len(whole)
    decoder = spoken(api, path).decoder()
    texts = [event.text for event in decoder.feed(got) if getattr(event, "text", "")]
    assert len(texts) == 5
    assert (entry["fault"], entry["status"], entry["bytes"]) == ("stream_cut after_tokens=5", 200, len(got))
    # On the wire: chunks without their end, then RST.
    assert reset
    assert not wire.endswith(b"0\r\n\r\n")


async def test_a_whole_answer_is_cut_too():
    async with tapped() as rig:
        got = await broken(rig, CHAT, chat(), "stream_cut")
    assert got == b""


async def test_a_truncated_body_ends_cleanly_and_early():
    async with tapped() as rig:
        whole = (await rig.ask(CHAT, chat())).body
        half = await rig.ask(CHAT, chat(), headers={"x-wiretap-fault": "truncated_body"})
        ten = await rig.ask(CHAT, chat(), headers={"x-wiretap-fault": "truncated_body:10"})
    assert half.body == whole[: len(whole) // 2]
    assert ten.body == whole[:10]


async def test_damage_in_a_stream():
    async with tapped() as rig:

        async def events(fault: str) -> list[bytes]:
            answer = await rig.ask(CHAT, STREAM, headers={"x-wiretap-fault": fault})
            assert answer.status == 200
            return [event.removeprefix(b"data: ") for event in answer.body.split(b"\n\n") if event]

        damaged = await events("malformed_event:4")
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(damaged[3])
        assert all(orjson.loads(event) for event in damaged[:3])
        assert b"[DONE]" not in (await events("no_end_marker"))
        assert orjson.loads((await events("error_event"))[-1])["error"]["code"] == "server_is_overloaded"


async def test_a_stall_holds_the_rest_back_but_not_what_came_before():
    async with tapped() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port)
        writer.write(http(CHAT, orjson.dumps(STREAM), x_wiretap_fault="stream_stall:3"))
        got = b""
        while got.count(b'"content"') < 3:
            got += await reader.read(1 << 16)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await reader.readexactly(1)
        writer.close()
    assert got.count(b'"content"') == 3
    async with tapped(clock=FakeClock()) as rig:
        # A stall that ends: the clock does not wait.
        await rig.provoke("openai", {"kind": "stream_stall", "after_tokens": 3, "for": "30s"})
        whole = await rig.ask(CHAT, STREAM)
    assert whole.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("body", [chat(), STREAM])
async def test_a_trickle_comes_in_drops(body):
    clock = FakeClock()
    async with tapped(clock=clock) as rig:
        whole = await rig.ask(CHAT, body)
        slow = await rig.ask(CHAT, body, headers={"x-wiretap-fault": "trickle:1000"})
    assert slow.body == whole.body
    assert clock.now == pytest.approx(len(whole.body) / 1000, rel=0.2)
    assert slow.headers["transfer-encoding"] == "chunked"


# --- where they come from -----------------------------------------------------------------------------------------


async def test_faults_are_set_listed_and_healed_by_hand():
    async with tapped() as rig:
        answer = await rig.provoke("openai", "503", "stream_cut:5", {"kind": "rate_limit", "retry_after": "2s"})
        assert answer.json == {
            "faults": {
                "openai": [
                    {"kind": "http_error", "status": 503},
                    {"kind": "stream_cut", "after_tokens": 5},
                    {"kind": "rate_limit", "retry_after": 2.0},
                ]
            }
        }
        assert (await rig.ask("/__wiretap/faults")).json == answer.json
        assert (await rig.ask(CHAT, chat())).status == 503
        assert (await rig.ask("/azure/openai/v1/chat/completions", chat())).status == 200
        assert (await rig.provoke("openai")).json == {"faults": {}}
        assert (await rig.ask(CHAT, chat())).status == 200


async def test_a_key_that_changes_nothing_is_told() -> None:
    async with tapped() as rig:
        answer = await rig.provoke("openai", {"kind": "http_error", "after": "1s"}, {"kind": "timeout", "after": "1s"})
        assert [one.partition(", only")[0] for one in answer.json["notes"]] == [
            "faults[1].after: it changes nothing for timeout"
        ]
        assert "notes" not in (await rig.provoke("openai", "503")).json


async def test_what_is_listed_can_be_sent_back():
    listed: list[Any] = [
        {"kind": "stream_stall", "for": "1s", "after_tokens": 9, "probability": 0.5},
        {"kind": "quota", "requests": 3, "per": "10s"},
        {"kind": "latency", "add": "50ms", "times": 2},
        {"kind": "wrong_content_type", "content_type": "text/plain"},
    ]
    async with tapped() as rig:
        shown = (await rig.provoke("vllm", *listed)).json["faults"]["vllm"]
        assert (await rig.provoke("vllm", *shown)).json["faults"]["vllm"] == shown
    assert [fault["kind"] for fault in shown] == [fault["kind"] for fault in listed]
    assert (shown[0]["for"], shown[1]["per"], shown[2]["add"]) == (1.0, 10.0, 0.05)


async def test_models_are_down_when_the_vendor_is():
    async with tapped() as rig:
        await rig.provoke("anthropic", "529")
        answer = await rig.ask("/anthropic/v1/models")
    assert (answer.status, answer.json["error"]["type"]) == (529, "overloaded_error")


async def test_a_request_brings_several_and_its_own_count_first():
    clock = FakeClock()
    async with tapped(clock=clock) as rig:
        await rig.provoke("openai", "503")
        answer = await rig.ask(CHAT, chat(), headers={"x-wiretap-fault": "latency:3, 429:2"})
        entry = (await rig.journal())[-1]
        assert (await rig.ask(CHAT, chat())).status == 503
    assert (answer.status, answer.headers["retry-after"]) == (429, "2")
    # Neither the delay nor the other failure had a part in it.
    assert entry["fault"] == "rate_limit retry_after=2.0"


async def test_the_journal_names_what_had_a_part_in_an_answer():
    clock = FakeClock()
    async with tapped(clock=clock) as rig:
        await rig.provoke("openai", "truncated_body:10", {"kind": "quota", "requests": 9}, "trickle:1000", "503")
        await rig.ask(CHAT, chat(), headers={"x-wiretap-fault": "latency:1"})
        (entry,) = await rig.journal()
    assert entry["fault"] == "latency add=1.0, truncated_body after_bytes=10, trickle bytes_per_second=1000.0"


async def test_delays_add_up_even_equal_ones():
    clock = FakeClock()
    async with tapped(clock=clock) as rig:
        await rig.provoke("openai", "latency:2", "latency:2")
        assert (await rig.ask(CHAT, chat(), headers={"x-wiretap-fault": "latency:2"})).status == 200
        (entry,) = await rig.journal()
    assert entry["ms"] == pytest.approx(6000)
    assert entry["fault"] == ", ".join(["latency add=2.0"] * 3)


async def test_a_quota_counts_requests_and_tells_when_it_is_full_again():
    clock = FakeClock()
    async with tapped(clock=clock) as rig:
        await rig.provoke("openai", {"kind": "quota", "requests": 2, "per": "60s"})
        answers = [await rig.ask(CHAT, chat()) for _ in range(3)]
        faults = [entry["fault"] for entry in await rig.journal()]
        clock.now += 60
        assert (await rig.ask(CHAT, chat())).status == 200
        own = await rig.ask(CHAT, chat(), headers={"x-wiretap-fault": "quota"})
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "60"
    assert faults == [None, None, "quota requests=2"]
    assert own.status == 429


async def test_a_probability_is_drawn_from_the_seed():
    async def statuses(seed: int) -> list[int]:
        async with tapped(seed=seed) as rig:
            await rig.provoke("openai", {"kind": "http_error", "status": 500, "probability": 0.5})
            return [(await rig.ask(CHAT, chat())).status for _ in range(30)]

    one, same, other = [await statuses(seed) for seed in (1, 1, 2)]
    assert one == same != other
    assert set(one) == {200, 500}


async def test_a_reset_begins_the_draws_anew():
    async with tapped() as rig:

        async def statuses() -> list[int]:
            await rig.ask("/__wiretap/reset", b"", method="POST")
            await rig.provoke("openai", {"kind": "http_error", "status": 500, "probability": 0.5})
            return [(await rig.ask(CHAT, chat())).status for _ in range(30)]

        assert await statuses() == await statuses()


async def test_a_scenario_breaks_vendors_in_its_windows(tmp_path: Path):
    file = tmp_path / "brownout.yaml"
    file.write_text(
        "version: 1\nname: brownout\nduration: 60s\nfaults:\n"
        "  - {provider: openai, from: 10s, to: 20s, kind: http_error, status: 503}\n"
        "  - {provider: anthropic, from: 0s, to: 5s, kind: rate_limit, retry_after: 3s}\n"
    )
    clock = FakeClock()
    async with tapped(clock=clock, schedule=load_schedule(file, clock)) as rig:

        async def statuses() -> tuple[int, int]:
            return (await rig.ask(CHAT, chat())).status, (await rig.ask("/anthropic/v1/messages", MESSAGES)).status

        assert await statuses() == (200, 429)
        clock.now += 10
        assert await statuses() == (503, 200)
        clock.now += 20
        assert await statuses() == (200, 200)
        await rig.ask("/__wiretap/reset", b"", method="POST")
        assert await statuses() == (200, 429)


@pytest.mark.parametrize(
    ("header", "message"),
    [("bad", "unknown fault 'bad'"), ("503, stream_cut:x", "stream_cut:x"), ("429:-1", "429:-1")],
)
async def test_a_wrong_header_is_refused_in_the_vendors_form(header, message):
    async with tapped() as rig:
        answer = await rig.ask("/anthropic/v1/messages", MESSAGES, headers={"x-wiretap-fault": header})
        (entry,) = await rig.journal()
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")
    assert message in answer.json["error"]["message"]
    assert message in entry["hint"]
    assert message in answer.headers["x-wiretap-hint"]


# --- company ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "begins"),
    [
        ("/deepseek/chat/completions", STREAM, b": keep-alive\n\n"),
        ("/deepseek/chat/completions", chat(), b"\n"),
        ("/openrouter/api/v1/chat/completions", STREAM, b": OPENROUTER PROCESSING\n\n"),
        ("/openrouter/api/v1/chat/completions", chat(), b"{"),
        (CHAT, STREAM, b"data: "),
    ],
)
async def test_a_slow_first_token_is_waited_for_in_company(path, body, begins):
    async with tapped(clock=FastClock()) as rig:
        quick = await rig.ask(path, body)
        slow = await rig.ask(path, body, headers={"x-wiretap-fault": "latency:10"})
    assert slow.status == 200
    assert slow.body.startswith(begins)
    assert slow.body.endswith(quick.body)
    dialect = spoken("chat.completions")
    if body is STREAM:
        decoder = dialect.decoder()
        decoder.feed(slow.body)
        assert decoder.finished
    else:
        assert dialect.decode_completion(slow.body).text


async def test_no_company_comes_before_an_error():
    async with tapped(clock=FastClock()) as rig:
        answer = await rig.ask("/deepseek/chat/completions", STREAM, headers={"x-wiretap-fault": "latency:10,503"})
    assert answer.status == 503
    with pytest.raises(ProviderError):
        raise spoken("chat.completions").decode_error(answer.status, answer.headers, answer.body)
