"""`sandbox serve` and `sandbox run` as a user starts and ends them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from providers.errors import ConfigError
from sandbox.cli.run import _run, environment
from sandbox.core.events import RequestCancelled, RequestCompleted, RequestFailed
from sandbox.core.tally import Tally
from sandbox.server.gateway import GatewayServer
from tests.sandbox.server.gateway.support import CHAT, chat

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to the process")

SCENARIO = """\
version: 1
name: openai-is-down
seed: 1
duration: 60s
traffic: [{from: 0s, to: 1s, rate: 1/s}]
faults:
  - {provider: openai, from: 0s, to: 60s, kind: http_error, status: 503}
  - {provider: nobody, from: 0s, to: 60s, kind: auth}
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sandbox", *arguments]


def surroundings(**more: str) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[3])
    return {**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": "1", "SANDBOX_CHAIN": "openai,gemini", **more}


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The process, its address and what it told before it answers."""
    process = subprocess.Popen(
        command("serve", "--port", "0", *arguments),
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings(), cwd=home,
    )  # fmt: skip
    told = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line.rstrip("\n"))
            if "keys:" in line:
                break
        url = next(match[0] for line in told if (match := re.search(r"http://127\.0\.0\.1:\d+", line)))
        yield process, url, told
    finally:
        process.kill()
        process.communicate()


def ask(url: str, body: object) -> tuple[int, dict[str, str], Any]:
    try:
        with urllib.request.urlopen(url + CHAT, orjson.dumps(body), timeout=10) as response:
            return response.status, dict(response.headers), orjson.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), orjson.loads(error.read())


@pytest.mark.parametrize(("sent", "code", "last"), [(signal.SIGTERM, 0, ""), (signal.SIGINT, 130, "interrupted")])
def test_it_says_how_it_is_reached_and_ends_cleanly(home, sent, code, last):
    with started(home) as (process, url, told):
        assert told[0] == f"gateway on {url}: mode mock, preset sandbox, 2 providers; Ctrl-C ends it"
        assert f"  export OPENAI_BASE_URL={url}/v1" in told
        assert f"  export ANTHROPIC_BASE_URL={url}" in told
        status, headers, answer = ask(url, chat())
        assert (status, headers["x-sandbox-provider"]) == (200, "openai")
        assert answer["choices"]
        process.send_signal(sent)
        out, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert out == ""
    said = [line for line in err.splitlines() if not line.startswith("  ")]
    assert said == ([f"sandbox: {last}"] if last else [])


def test_a_scenario_breaks_providers_under_it(home):
    (home / "down.yaml").write_text(SCENARIO)
    with started(home, "--scenario", "down.yaml") as (_, url, told):
        assert told[0].startswith("no fault meets nobody:")
        status, headers, _ = ask(url, chat())
        assert (status, headers["x-sandbox-provider"], headers["x-sandbox-failovers"]) == (200, "gemini", "1")


def test_what_is_under_way_is_waited_for_until_somebody_asks_again(home):
    with started(home, "--fail", "openai=hang", "--fail", "gemini=hang") as (process, url, _):
        told: list[Any] = []
        asking = threading.Thread(target=lambda: told.append(ask(url, chat())))
        asking.start()
        assert process.stderr is not None
        while not orjson.loads(urllib.request.urlopen(f"{url}/healthz", timeout=10).read())["under_way"]:
            pass
        process.send_signal(signal.SIGTERM)
        lines = iter(process.stderr.readline, "")
        assert "finishing 1 under way; Ctrl-C again ends them at once\n" in lines
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        asking.join(10)
        assert process.returncode == 0
        assert (told[0][0], "shutting down" in told[0][2]["error"]["message"]) == (503, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--port", "70000"], 2, "a port is between 0 and 65535"),
        (["--host", "0.0.0.0"], 2, "other machines can reach"),
        (["--scenario", "nonsense"], 2, "nonsense"),
        (["--fail", "nobody=503"], 2, "unknown provider 'nobody'"),
        (["--fail", "openai"], 2, "PROVIDER=KIND"),
        (["--web", "--web-port", "-1"], 2, "--web-port is -1"),
        (["--web"], 2, "needs the extra"),
    ],
)
def test_wrong_use_is_one_sentence(home, arguments, code, words, monkeypatch):
    import io

    from sandbox.cli.app import run
    from sandbox.cli.output import Output

    out, err = io.StringIO(), io.StringIO()

    def open_server(runtime: Any, *, host: str, port: int) -> GatewayServer:
        return GatewayServer(runtime, host=host, port=port)

    def open_web(server: Any, **_: Any) -> Any:
        raise ConfigError("the UI in a browser needs the extra")

    got = run(
        ["serve", *arguments],
        open_ui=lambda session: 0,
        open_server=open_server,
        open_web=open_web,
        output=Output(out, err),
    )
    assert (got, words in err.getvalue()) == (code, True), err.getvalue()
    assert err.getvalue().count("\n") == 1


def test_an_address_in_use_is_one_sentence(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command("serve", "--port", port), env=surroundings(), cwd=home, capture_output=True, text=True, timeout=20
        )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("try --port 0")


def test_a_web_port_in_use_ends_the_gateway_too(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command("serve", "--port", "0", "--web", "--web-port", port),
            env=surroundings(), cwd=home, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().endswith("try --web-port 0")


# --- run --------------------------------------------------------------------------------------------------------------

PROGRAM = """
import json, os, sys, urllib.request
url = os.environ["OPENAI_BASE_URL"]
assert url == os.environ["OPENAI_API_BASE"] and url == os.environ["ANTHROPIC_BASE_URL"] + "/v1", dict(os.environ)
assert os.environ["OPENAI_API_KEY"] and os.environ["ANTHROPIC_API_KEY"] and os.environ["AZURE_OPENAI_ENDPOINT"]
body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": sys.argv[1]}]}
with urllib.request.urlopen(url + "/chat/completions", json.dumps(body).encode()) as answer:
    print(answer.headers["x-sandbox-provider"])
sys.exit(7)
"""


def running(home: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("run", *arguments), env=surroundings(), cwd=home, capture_output=True, text=True, timeout=30, **more
    )


def test_a_program_finds_the_gateway_and_its_exit_code_is_kept(home):
    done = running(home, "--fail", "openai=503", "--", sys.executable, "-c", PROGRAM, "--scenario")
    assert (done.returncode, done.stdout) == (7, "gemini\n"), done.stderr
    assert re.fullmatch(r"1 request: 1 answered, 0 failed; 1 failover; ~\$0\.\d+\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "there is no command to run"),
        (("--", "no-such-program"), 2, "cannot run 'no-such-program'"),
        (("python", "-c", "1"), 2, "the program to run comes after --"),
        (("--", "sh", "-c", "kill -TERM $$"), 143, "no request came"),
        (("--", "sh", "-c", "exit 3"), 3, "no request came"),
    ],
)
def test_other_ends(home, arguments, code, words):
    done = running(home, *arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_a_signal_is_the_programs(home):
    waiting = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); "
        "print('up', flush=True); signal.pause()"
    )
    process = subprocess.Popen(
        command("run", "--", sys.executable, "-c", waiting),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        env=surroundings(), cwd=home,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (9, "no request came\n")
    finally:
        process.kill()
        process.communicate()


def test_a_signal_that_comes_while_the_program_is_started_is_its_too():
    async def run() -> int:
        start = asyncio.create_subprocess_exec

        async def interrupted(*argv: Any, **more: Any) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return await start(*argv, **more)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(asyncio, "create_subprocess_exec", interrupted)
            return await _run(["sleep", "20"], os.environ)

    assert asyncio.run(run()) == 128 + signal.SIGTERM


def test_the_programs_own_keys_are_kept_and_no_proxy_stands_between():
    made = environment(
        {"OPENAI_API_KEY": "mine", "NO_PROXY": "corp", "X": "1"}, [("OPENAI_BASE_URL", "http://here/v1")]
    )
    assert (made["OPENAI_API_KEY"], made["X"], made["OPENAI_BASE_URL"]) == ("mine", "1", "http://here/v1")
    assert made["ANTHROPIC_API_KEY"]
    assert made["NO_PROXY"] == "corp,127.0.0.1,localhost"
    assert made["no_proxy"] == "127.0.0.1,localhost"


def test_a_tally_counts_what_became_of_requests():
    tally = Tally()
    assert tally.sentence(simulated=True) == "no request came"

    def completed(cost: str | None, *, failovers: int = 0, cached: bool = False) -> RequestCompleted:
        usd = None if cost is None else Decimal(cost)
        return RequestCompleted(
            0, "r", "openai", "m", "stop", 1, 1, False, usd, Decimal("0.01"), 1, 1, failovers, cached
        )

    for event in (
        completed("0.10", failovers=2),
        completed(None),
        completed("0", cached=True),
        RequestFailed(0, "r", "RateLimitError", "no", None, 1.0, 0, Decimal("0.02")),
        RequestCancelled(0, "r", 1.0, 0, Decimal("0.04")),
    ):
        tally(event)
    told = "5 requests: 3 answered (1 from the cache), 1 failed, 1 cancelled; 2 failovers; ~$0.19, 1 unpriced"
    assert tally.sentence(simulated=True) == told
