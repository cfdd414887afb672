"""`sandbox wiretap` as a user starts and ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import orjson
import pytest

from tests.sandbox.cli.conftest import Cli
from tests.sandbox.server.support import CHAT, chat, put

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to the process")


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The process, its address and what it told before it listened."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "wiretap", "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3]), "PYTHONUNBUFFERED": "1"},
        cwd=home,
    )
    told = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line.rstrip("\n"))
            if "break a vendor" in line:
                break
        url = next(match[0] for line in told if (match := re.search(r"http://127\.0\.0\.1:\d+", line)))
        yield process, url, told
    finally:
        process.kill()
        process.communicate()


def ask(url: str, body: object = None) -> bytes:
    data = None if body is None else orjson.dumps(body)
    with urllib.request.urlopen(url, data, timeout=10) as response:
        return bytes(response.read())


@pytest.mark.parametrize(("sent", "code", "last"), [(signal.SIGTERM, 0, ""), (signal.SIGINT, 130, "interrupted")])
def test_it_says_where_it_is_and_ends_cleanly(home, sent, code, last):
    with started(home) as (process, url, told):
        assert re.fullmatch(rf"wiretap on {url}: \d+ recordings, the writer answers the rest; Ctrl-C ends it", told[0])
        assert any(f"OPENAI_BASE_URL={url}/openai/v1" in line for line in told)
        assert any(f"ANTHROPIC_BASE_URL={url}/anthropic" in line for line in told)
        assert b"chat.completion" in ask(url + CHAT, chat())
        process.send_signal(sent)
        out, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert out == ""
    assert err.strip().removeprefix("sandbox: ") == last


def test_open_connections_of_http2_are_ended_without_a_word(home):
    with started(home) as (process, url, _), httpx2.Client(http1=False, http2=True, base_url=url) as client:
        assert client.post(CHAT, json=chat()).status_code == 200
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")


def test_its_options_reach_the_server(home):
    put(
        home / "mine",
        "openai/case",
        api="chat.completions",
        request={"body": chat()},
        response={"status": 200, "body": "{}"},
    )
    (home / "mine" / "openai" / "broken.json").write_text('{"version": 1,\n]')
    (home / "outage.yaml").write_text(
        "version: 1\nfaults:\n  - {provider: anthropic, kind: http_error, status: 529}\n"
        "  - {provider: bedrock-eu, kind: hang}\n"
    )
    options = ("--fixtures", "mine", "--fixtures-only", "--scenario", "outage.yaml", "--seed", "3")
    with started(home, *options) as (_, url, told):
        assert any("no fault meets bedrock-eu" in line for line in told)
        assert any("nothing else answers" in line for line in told)
        broken = next(line for line in told if "broken.json" in line)
        assert "line 2" in broken
        assert ask(url + CHAT, chat()) == b"{}"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(url + CHAT, chat("not recorded"))
        with pytest.raises(urllib.error.HTTPError, match="529"):
            ask(f"{url}/anthropic/v1/messages", chat(max_tokens=9))
        assert len(orjson.loads(ask(f"{url}/__wiretap/health"))["left_out"]) == 1


def test_a_built_in_scenario_by_its_name(home):
    with started(home, "--scenario", "every-provider-down") as (_, url, _):
        assert ask(url + CHAT, chat())


def test_a_taken_port_is_one_sentence(home):
    with started(home) as (_, url, _):
        port = url.rpartition(":")[2]
        again = subprocess.run(
            [sys.executable, "-m", "sandbox", "wiretap", "--port", port],
            capture_output=True, text=True, timeout=20, cwd=home,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        )  # fmt: skip
    assert again.returncode == 1
    assert re.fullmatch(
        rf"sandbox: cannot listen on 127\.0\.0\.1:{port}: .*address already in use.*; try --port 0\n", again.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "host is '0.0.0.0'; the wiretap answers anybody who reaches it"),
        (("--port", "70000"), "--port is 70000; a port is between 0 and 65535"),
        (("--scenario", "none.yaml"), "none.yaml"),
        (("--scenario", "one-5000"), "there is no scenario 'one-5000': did you mean 'one-500'?"),
        (("--fixtures", "none"), "--fixtures none: there is no such folder"),
        (("--pace", "slow"), "pace"),
        (("--seed", "x"), "seed"),
    ],
)
def test_wrong_use_is_one_sentence(cli: Cli, arguments, said, monkeypatch):
    from sandbox.cli import app
    from sandbox.server.wiretap import Wiretap

    monkeypatch.setattr(
        "tests.sandbox.cli.conftest.run",
        lambda given, **faces: app.run(given, **faces, open_wiretap=Wiretap),
    )
    ran = cli("wiretap", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
