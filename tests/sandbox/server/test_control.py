"""What the wiretap itself is told and tells: journal, faults, reset, health."""

from __future__ import annotations

import pytest

from sandbox import __version__
from sandbox.server.wiretap.journal import KEPT
from tests.fake_clock import FakeClock
from tests.sandbox.server.support import CHAT, MESSAGES, chat, http, parsed, tapped

JOURNAL, FAULTS, RESET, HEALTH = (f"/__wiretap/{name}" for name in ("journal", "faults", "reset", "health"))


async def test_the_journal_tells_what_was_asked_in_order():
    async with tapped(clock=FakeClock()) as rig:
        await rig.ask(CHAT, chat())
        await rig.ask("/anthropic/v1/messages", MESSAGES, headers={"x-wiretap-fault": "429:2"})
        await rig.ask("/bedrock/model/amazon.nova-lite-v1:0/converse", {"messages": 1})
        answer = await rig.ask(JOURNAL)
    first, second, third = answer.json["items"]
    assert answer.json["requests"] == 3
    assert first == {
        "at": "2025-01-01T00:00:00.000000Z", "method": "POST", "path": CHAT, "provider": "openai",
        "api": "chat.completions", "model": "gpt-4o-mini", "status": 200, "answered_by": "writer", "fault": None,
        "ms": 0.0, "bytes": first["bytes"], "hint": None,
    }  # fmt: skip
    assert first["bytes"] > 100
    assert (second["status"], second["fault"]) == (429, "rate_limit retry_after=2.0")
    assert (third["status"], third["model"]) == (400, "amazon.nova-lite-v1:0")


async def test_the_journal_holds_no_secret():
    secrets = {"authorization": "Bearer sk-proj-abcdefghijkl", "api-key": "topsecret1", "x-api-key": "topsecret2"}
    async with tapped() as rig:
        await rig.ask("/gemini/v1/models/g:generateContent?key=topsecret3", chat("topsecret4"), headers=secrets)
        await rig.ask("/openai/v1/sk-proj-abcdefghijkl", chat(), headers=secrets)
        await rig.ask(CHAT, chat(model="sk-proj-abcdefghijkl"))
        text = (await rig.ask(JOURNAL)).body.decode()
    assert "topsecret" not in text
    assert "sk-proj" not in text


async def test_the_journal_is_a_ring_with_a_limit():
    async with tapped() as rig:
        for number in range(5):
            await rig.ask(f"/openai/v1/models/m{number}")
        items = (await rig.ask(f"{JOURNAL}?limit=2")).json["items"]
        assert [item["model"] for item in items] == ["m3", "m4"]
        assert (await rig.ask(f"{JOURNAL}?limit=0")).json["items"] == []
        for _ in range(KEPT):
            await rig.ask("/vllm/health")
        answer = (await rig.ask(JOURNAL)).json
    assert (len(answer["items"]), answer["requests"]) == (KEPT, KEPT + 5)


async def test_long_names_are_cut_short():
    async with tapped() as rig:
        await rig.ask(CHAT, chat(model="m" * 5000))
        (item,) = await rig.journal()
        (entry,) = rig.tap.journal.entries()
    assert len(item["model"]) == 300
    # What is kept, and not only what is shown: a thousand names of a megabyte are a gigabyte.
    assert len(entry.model) == 300


async def test_reset_forgets_requests_and_faults():
    async with tapped() as rig:
        await rig.ask(CHAT, chat())
        await rig.provoke("openai", "503")
        assert (await rig.ask(RESET, b"", method="POST")).json == {"status": "ok"}
        assert await rig.journal() == []
        assert (await rig.ask(FAULTS)).json == {"faults": {}}
        assert (await rig.ask(CHAT, chat())).status == 200


async def test_health():
    async with tapped() as rig:
        await rig.ask(CHAT, chat())
        health = (await rig.ask(HEALTH)).json
    assert health == {"status": "ok", "version": __version__, "fixtures": 0, "left_out": [], "requests": 1}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        ([], "the body must be an object"),
        ({}, "provider is 'None'"),
        ({"provider": "opnai", "faults": []}, "did you mean 'openai'?"),
        ({"provider": ["openai"], "faults": []}, "it must be one of openai, azure_openai"),
        ({"provider": "openai"}, "faults must be a list"),
        ({"provider": "openai", "faults": "503"}, "faults must be a list"),
        ({"provider": "openai", "faults": ["503"] * 51}, "at most 50"),
        ({"provider": "openai", "faults": ["strem_cut"]}, "did you mean 'stream_cut'?"),
        ({"provider": "openai", "faults": ["503", 7]}, "faults[1] is '7'"),
        ({"provider": "openai", "faults": [{"kind": "http_error", "status": 200}]}, "faults[0]: status is '200'"),
        ({"provider": "openai", "faults": [{"kind": "hang", "for": 1}]}, "hang has no 'for'"),
        ({"provider": "openai", "faults": [], "fault": 1}, "there is no 'fault'"),
    ],
)
async def test_a_wrong_body_is_refused_with_one_sentence_and_changes_nothing(body, complaint):
    async with tapped() as rig:
        await rig.provoke("openai", "503")
        answer = await rig.ask(FAULTS, body)
        assert answer.status == 400
        assert list(answer.json) == ["error"]
        assert complaint in answer.json["error"]
        assert "\n" not in answer.json["error"]
        assert len((await rig.ask(FAULTS)).json["faults"]["openai"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/__wiretap", 404, "there are /__wiretap/journal"),
        ("GET", "/__wiretap/jornal", 404, "did you mean '/__wiretap/journal'?"),
        ("GET", "/__wiretapped", 404, "there is no"),
        ("POST", JOURNAL, 405, "takes GET, not POST"),
        ("DELETE", FAULTS, 405, "takes GET or POST, not DELETE"),
        ("GET", RESET, 405, "takes POST, not GET"),
        ("GET", f"{JOURNAL}?limit=many", 400, "limit is 'many'"),
        ("GET", f"{JOURNAL}?limit=-1", 400, "limit is '-1'"),
        ("GET", f"{JOURNAL}?limits=1", 400, "the journal takes limit, not 'limits'"),
    ],
)
async def test_a_wrong_question_is_refused_with_one_sentence(method, path, status, said):
    async with tapped() as rig:
        answer = await rig.ask(path, method=method)
    assert answer.status == status
    assert said in answer.json["error"]
    assert ("allow" in answer.headers) == (status == 405)


async def test_a_body_over_the_limit_is_refused():
    async with tapped(max_body=100) as rig:
        answer = await rig.ask(FAULTS, b"x" * 101)
    assert answer.status == 413
    assert "100 bytes" in answer.json["error"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost:3000", 200), ("http://127.0.0.1", 200), ("http://[::1]:80", 200), ("https://evil.example", 403),
     ("null", 403)],
)  # fmt: skip
async def test_a_page_of_another_site_is_not_listened_to(origin, status):
    async with tapped() as rig:
        assert (
            await rig.ask(FAULTS, {"provider": "openai", "faults": []}, headers={"Origin": origin})
        ).status == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:4010", 200), ("localhost", 200), ("[::1]:4010", 200), ("evil.example", 403),
     ("evil.example:4010", 403), ("127.0.0.1.evil.example", 403)],
)  # fmt: skip
async def test_only_this_machine_is_listened_to(host, status):
    async with tapped() as rig:
        data = http(HEALTH, method="GET", Connection="close").replace(b"Host: 127.0.0.1", f"Host: {host}".encode())
        got, _ = await rig.raw(data)
        assert parsed(got)[0] == status
        data = http(HEALTH, method="GET", Connection="close").replace(b"GET /", f"GET http://{host}/".encode(), 1)
        assert parsed((await rig.raw(data))[0])[0] == status
        # Names that are mapped to this machine, as in tests of whole systems, still reach the vendors.
        data = http("/vllm/health", method="GET", Connection="close").replace(b"Host: 127.0.0.1", b"Host: api.vllm.ai")
        assert parsed((await rig.raw(data))[0])[0] == 200
