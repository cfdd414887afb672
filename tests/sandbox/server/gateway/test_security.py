"""Whom the server answers, and what it bears: hosts, pages of other sites, sizes, slowness, nonsense, secrets."""

from __future__ import annotations

import gzip
import io
import logging

import orjson
import pytest

from providers.errors import ConfigError
from sandbox.server.gateway import GatewayServer
from sandbox.server.gateway import server as server_module
from sandbox.server.gateway import service as service_module
from sandbox.server.gateway.guard import Door, check_binding
from tests.sandbox.server.gateway.support import BODIES, CHAT, MESSAGES, QUICK, RESPONSES, chat, served
from tests.sandbox.server.support import http

CANARY = "sk-canary-4f1d9a7e2c8b6a5d3e1f"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org", "10.0.0.1"])
async def test_an_address_that_others_reach_is_refused_while_nobody_is_asked_who_he_is(tmp_path, host):
    async with served(tmp_path) as rig:
        with pytest.raises(ConfigError, match="other machines can reach"):
            GatewayServer(rig.runtime, host=host)
    check_binding(host, guarded=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_this_machine_needs_no_authentication(host):
    check_binding(host, guarded=False)


@pytest.mark.parametrize(
    ("headers", "answered"),
    [
        ({}, True),
        ({"Host": "127.0.0.1:4000"}, True),
        ({"Host": "localhost"}, True),
        ({"Host": "LOCALHOST:80"}, True),
        ({"Host": "[::1]:4000"}, True),
        ({"Host": "app.localhost:4000"}, True),
        ({"Host": "192.168.1.5:4000"}, True),
        ({"Host": "gateway.internal:4000"}, True),
        ({"Host": "evil.example:4000"}, False),
        ({"Host": "127.0.0.1.evil.example"}, False),
        ({"Host": "localhost.evil.example"}, False),
        ({"Host": "[::1].evil.example"}, False),
        ({"Host": ""}, False),
        ({"Host": "127.0.0.1:"}, True),
        ({"Host": "127.0.0.1:80@evil.example"}, False),
        ({"Host": "127.0.0.1:evil.example"}, False),
        ({"Host": "[::1]:4000.evil.example"}, False),
        ({"Host": "evil.example://127.0.0.1"}, False),
        ({"Host": "127.0.0.1", "Origin": "http://localhost:3000"}, True),
        ({"Host": "127.0.0.1", "Origin": "https://evil.example"}, False),
        ({"Host": "127.0.0.1", "Origin": "null"}, False),
        ({"Host": "127.0.0.1", "Origin": ""}, False),
    ],
)
def test_the_door(headers, answered):
    door = Door("127.0.0.1", ["gateway.internal"])
    assert (door.refusal(headers) is None) is answered


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://127.0.0.1:4000/v1/models", 200),
        ("HTTP://gateway.internal/v1/models", 200),
        ("https://[::1]:4000/v1/models", 200),
        ("http://evil.example/v1/models", 403),
        ("http://evil.example:4000/v1/models", 403),
        ("http://evil.example?/v1/models", 403),
        ("http://127.0.0.1@evil.example/v1/models", 403),
        ("http://127.0.0.1:80@evil.example/v1/models", 403),
        ("ftp://evil.example/v1/models", 403),
        ("//evil.example/v1/models", 404),
    ],
)
async def test_whom_a_target_names_counts_as_much_as_the_host(tmp_path, target, status):
    """The form of a request to a proxy, in which the Host header does not count."""
    async with served(tmp_path, server={"hosts": ["gateway.internal"]}) as rig:
        got = await rig.raw(f"GET {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        assert got.startswith(f"HTTP/1.1 {status} ".encode()), got[:300]


@pytest.mark.parametrize(("path", "field"), [(CHAT, "code"), (MESSAGES, "type")])
async def test_a_page_of_another_site_gets_nothing_done(tmp_path, path, field):
    async with served(tmp_path, server={"hosts": ["gateway.internal"]}) as rig:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            answer = await rig.ask(path, BODIES[path], headers=headers)
            assert answer.status == 403
            assert answer.json["error"]["message"]
        assert rig.tally.requests == 0
        named = await rig.ask(path, BODIES[path], headers={"Host": "gateway.internal:4000"})
        assert named.status == 200


async def test_no_page_may_read_an_answer(tmp_path):
    async with served(tmp_path) as rig:
        for answer in (
            await rig.ask(CHAT, chat(), headers={"Origin": "http://localhost:3000"}),
            await rig.ask(CHAT, chat(stream=True), headers={"Origin": "http://localhost:3000"}),
            await rig.ask(CHAT, method="OPTIONS", headers={"Access-Control-Request-Method": "POST"}),
            await rig.ask("/v1/models"),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_body_has_a_limit_said_or_not(tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "LINGER", 0.1)
    async with served(tmp_path, server={"max_body": 1000}) as rig:
        said = await rig.raw(http(CHAT, b"x" * 1001))
        assert said.startswith(b"HTTP/1.1 413 ")
        unsaid = await rig.raw(
            f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n".encode()
            + b"800\r\n" + b"x" * 0x800 + b"\r\n0\r\n\r\n"
        )  # fmt: skip
        assert unsaid.startswith(b"HTTP/1.1 413 ")
        # Asked before it is sent, it is refused before it is sent.
        asked = await rig.raw(
            http(CHAT, b"", expect="100-continue").replace(b"Content-Length: 0", b"Content-Length: 9999")
        )
        assert asked.startswith(b"HTTP/1.1 413 ")
        assert rig.tally.requests == 0


MANY = 10_001


@pytest.mark.parametrize(
    ("path", "fields", "named"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "a"}] * MANY}, "messages"),
        (MESSAGES, {"messages": [{"role": "user", "content": "a"}] * MANY}, "messages"),
        (RESPONSES, {"input": [{"role": "user", "content": "a"}] * MANY}, "input"),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * MANY}]}, "content"),
        (MESSAGES, {"system": [{"type": "text", "text": "a"}] * MANY}, "system"),
        (CHAT, {"tools": [{"type": "function", "function": {"name": "f"}}] * MANY}, "tools"),
        (MESSAGES, {"tools": [{"name": "f", "input_schema": {}}] * MANY}, "tools"),
    ],
)
async def test_a_list_has_a_limit_for_it_keeps_everybody_else_waiting(tmp_path, path, fields, named):
    async with served(tmp_path) as rig:
        refused = await rig.ask(path, {**BODIES[path], **fields})
        assert refused.status == 400
        assert f"{named} has 10,001 entries; the limit is 10,000" in refused.json["error"]["message"]
        assert rig.tally.requests == 0


async def test_who_asks_before_sending_is_told_once_to_go_on(tmp_path):
    async with served(tmp_path) as rig:
        got = await rig.raw(http(CHAT, orjson.dumps(chat()), expect="100-continue", connection="close"))
        assert got.count(b"HTTP/1.1 100 Continue\r\n\r\n") == 1
        assert got.count(b"HTTP/1.1 200 OK") == 1


async def test_who_knows_no_100_is_told_none(tmp_path):
    async with served(tmp_path) as rig:
        asked = http(CHAT, orjson.dumps(chat()), expect="100-continue").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        assert (await rig.raw(asked)).startswith(b"HTTP/1.1 200 OK")


async def test_a_compressed_body_counts_by_what_it_unfolds_to(tmp_path):
    bomb = gzip.compress(b" " * 5_000_000)
    async with served(tmp_path, server={"max_body": 100_000}) as rig:
        answer = await rig.ask(CHAT, bomb, headers={"content-encoding": "gzip"})
        assert answer.status in (400, 413)
        good = await rig.ask(CHAT, gzip.compress(orjson.dumps(chat())), headers={"content-encoding": "gzip"})
        assert good.status == 200


@pytest.mark.parametrize(
    "head",
    [
        f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-long: {'a' * 20_000}\r\n\r\n",
        f"POST {CHAT}?{'a' * 20_000} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\n" + "".join(f"x-{i}: 1\r\n" for i in range(500)) + "\r\n",
        f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n",
        f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
        "no http at all\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["header", "target", "headers", "length", "both lengths", "chunk", "words", "tls"],
)
async def test_what_is_no_request_is_400_and_no_trouble(tmp_path, head, caplog):
    async with served(tmp_path) as rig:
        with caplog.at_level(logging.ERROR):
            got = await rig.raw(head.encode("latin-1"))
        assert got.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
        assert b"Traceback" not in got
        assert not caplog.records
        assert (await rig.ask(CHAT, chat())).status == 200


# Of no shape by which it would be known as one.
PLAIN = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"authorization: Bearer {PLAIN}\0", "Invalid header value char"),
        (f"authorization : Bearer {PLAIN}", "Invalid header token"),
        (f"{PLAIN}", "Invalid header"),
        (f"authorization: Bearer {PLAIN}\r\n {PLAIN}", "Unexpected whitespace"),
        (f"x-api-key: {PLAIN}{'a' * 20_000}", "Got more than"),
        (f"content-length: {PLAIN}", "Invalid character in Content-Length"),
        (f"transfer-encoding: {PLAIN}", "Transfer-Encoding"),
        ("host: other", "Duplicate 'Host' header found"),
    ],
)
async def test_a_key_in_what_cannot_be_read_is_not_repeated(tmp_path, line, says, caplog):
    caplog.set_level(logging.DEBUG)
    async with served(tmp_path) as rig:
        got = await rig.raw(f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\n{line}\r\n\r\n".encode("latin-1"))
    head, _, body = got.partition(b"\r\n\r\n")
    assert (PLAIN.encode() in got, PLAIN in caplog.text, b"aiohttp" in got.lower()) == (False, False, False)
    assert head.split()[1] == b"400"
    told = orjson.loads(body)["error"]
    assert told["message"].startswith("this is no HTTP request: ")
    assert says in told["message"]


async def test_a_head_that_drips_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "IDLE", 0.2)
    async with served(tmp_path) as rig:
        assert await rig.raw(f"POST {CHAT} HTTP/1.1\r\nhost: 127".encode()) == b""


async def test_a_body_that_drips_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "LINGER", 0.1)
    monkeypatch.setattr(service_module, "BEAT", 0.03)
    async with served(tmp_path) as rig:
        got = await rig.raw(http(CHAT, b'{"model": ').replace(b"Content-Length: 10", b"Content-Length: 500"))
        assert got.startswith(b"HTTP/1.1 400 ")
        assert b"the body did not arrive" in got
        assert rig.server.under_way == 0


async def test_no_secret_comes_out(tmp_path, caplog):
    """Neither the gateway's own keys nor the caller's: in answers, errors, logs and records."""
    caplog.set_level(logging.DEBUG)
    lines = io.StringIO()
    from sandbox.cli.logs import configure

    keys = {"openai": {"api_key": CANARY}, "gemini": {"api_key": CANARY}}
    headers = {"authorization": f"Bearer {CANARY}", "x-api-key": CANARY, "api-key": CANARY}
    seen = b""
    configure("DEBUG", lines, [CANARY])
    try:
        async with served(tmp_path, chain=["openai", "gemini"], providers=keys, **QUICK) as rig:
            for fault in (None, "auth", "http_error:500", "stream_cut:3", "malformed_body"):
                for one in ("openai", "gemini"):
                    rig.fail(one, *([fault] if fault else []))
                for stream in (False, True):
                    answer = await rig.ask(CHAT, chat(stream=stream), headers=headers)
                    seen += answer.body + repr(answer.headers).encode()
            for path in ("/v1/models", "/healthz", "/nowhere"):
                answer = await rig.ask(path, headers=headers)
                seen += answer.body + repr(answer.headers).encode()
    finally:
        root = logging.getLogger()
        root.handlers = [h for h in root.handlers if h.name != "sandbox.cli"]
        root.setLevel(logging.WARNING)
    assert len(seen) > 1000
    assert CANARY.encode() not in seen
    assert CANARY not in lines.getvalue()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or CANARY.encode() not in file.read_bytes(), file
