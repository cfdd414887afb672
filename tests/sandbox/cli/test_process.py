"""The command line as a process: streams, pipes, signals, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-W", "error", "-m", "sandbox"]


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNDEFAULTENCODING": ""}


def run(environment: dict[str, str], *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments], input=stdin, env=environment, capture_output=True, check=False, timeout=60
    )


def test_the_answer_is_on_stdout_and_its_story_on_stderr(environment: dict[str, str]) -> None:
    done = run(environment, "ask", "hello", "--fail", "azure_openai=503")
    assert done.returncode == 0
    assert done.stdout.strip()
    story = done.stderr.decode()
    assert "✗ azure_openai" in story
    assert "503 ServiceUnavailableError" in story
    assert "✓ openai" in story
    assert "sandbox explain" in story
    assert "~$" in story
    assert "\x1b" not in story


@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        (b"", "stdin is empty"),
        (b" \n", "stdin is empty"),
        (b"\xff\xfe\x00\x01", "stdin is not UTF-8 text"),
        (b"PNG\x00\x00", "stdin holds binary data"),
        (b"x" * 8_000_001, "the prompt has 8,000,001 characters; the limit is 8,000,000"),
    ],
)
def test_what_is_no_prompt_on_stdin(environment: dict[str, str], stdin: bytes, says: str) -> None:
    done = run(environment, "ask", "-", stdin=stdin)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode().count("\n") == 1
    assert says in done.stderr.decode()


def test_a_prompt_on_stdin_is_the_prompt_as_an_argument(environment: dict[str, str]) -> None:
    first = run(environment, "ask", "What is a fuse? é", "--json")
    second = run(environment, "ask", "-", "--json", stdin="What is a fuse? é\n".encode())
    assert json.loads(second.stdout)["cached"] is True
    assert json.loads(first.stdout)["text"] == json.loads(second.stdout)["text"]


@pytest.mark.parametrize(
    "line", [["--help"], ["ask", "--help"], ["models"], ["models", "--json"], ["ask", "hello", "--stream"]]
)
def test_a_reader_that_leaves_is_no_error(environment: dict[str, str], line: list[str]) -> None:
    with subprocess.Popen(
        [*COMMAND, *line], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()
    assert b"Traceback" not in complaint
    assert b"BrokenPipe" not in complaint
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence(environment: dict[str, str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "--version"], env=environment, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr == b"sandbox: cannot write the output: no space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("line", "code"), [(["models", "gpt-4o"], 1), (["ask", "hello"], 1), (["fixtures", "list"], 1), (["nonsense"], 2)]
)
def test_what_cannot_be_written_is_told_once_and_narration_may_be_lost(
    environment: dict[str, str], line: list[str], code: int
) -> None:
    """Wrong use has nothing to write; whether its sentence can be written changes no exit code."""
    told = run(environment, *line).stderr
    with open("/dev/full", "wb") as full:
        out = subprocess.run([*COMMAND, *line], env=environment, stdout=full, stderr=subprocess.PIPE, timeout=60)
        err = subprocess.run([*COMMAND, *line], env=environment, stdout=subprocess.PIPE, stderr=full, timeout=60)
    assert out.returncode == code
    assert out.stderr.count(b"no space left on device") == (code == 1)
    assert err.returncode == (code if code == 2 else 0)
    assert bool(err.stdout) == (code == 1)
    assert b"Traceback" not in told + out.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("line", [["ask", "hello"], ["replay", "one-500"]])
def test_a_trace_that_cannot_be_written_names_its_file(environment: dict[str, str], line: list[str]) -> None:
    done = run(environment, *line, "--trace", "/dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"sandbox: the system refused /dev/full: no space left on device"


def test_a_locale_without_utf_8_reads_what_was_typed(environment: dict[str, str], home: Path) -> None:
    plain = environment | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    asked = run(plain, "ask", "Grüße", "--tenant", "Köln", "--json")
    assert asked.returncode == 0
    assert "grüße" in json.loads(asked.stdout)["text"].lower()
    assert asked.stdout.isascii()
    (home / "grüße.yaml").write_text("version: 1")
    refused = run(plain, "replay", "grüße.yaml")
    assert refused.returncode == 1
    assert refused.stderr == b"sandbox: this locale cannot name a file 'gr??e.yaml': set LC_ALL=C.UTF-8\n"


def test_closed_streams_are_no_error(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *COMMAND, "ask", "hello"],
        env=environment,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0


INTERRUPTED_WHILE_LOADING = """
import os, signal, sys
from sandbox.__main__ import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "uuid":  # which orjson imports from within itself
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
sys.exit(main(["models", "gpt-4o"]))
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held here")
def test_an_interrupt_while_a_library_loads_is_no_crash(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_LOADING], env=environment, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"sandbox: interrupted\n")


def test_interrupting_stops_the_work(environment: dict[str, str]) -> None:
    line = [*COMMAND, "ask", "hello", "--stream", "--fail", "azure_openai=hang"]
    with subprocess.Popen(
        line,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell starts its background jobs with the signal ignored, and the tests may run in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        trace = Path(environment["SANDBOX_DATA_DIR"])
        for _ in range(600):
            if trace.exists() or process.poll() is not None:
                break
            signal.sigtimedwait([], 0.05)
        signal.sigtimedwait([], 0.5)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert complaint.decode() == "sandbox: interrupted\n"


def test_characters_that_the_terminal_lacks_are_replaced(environment: dict[str, str]) -> None:
    done = run({**environment, "PYTHONIOENCODING": "ascii"}, "ask", "hello", "--fail", "azure_openai=503")
    assert done.returncode == 0
    assert b"? azure_openai" in done.stderr


def test_json_keeps_every_character_in_any_encoding(environment: dict[str, str]) -> None:
    line = ["explain", "☃😀", "--json"]
    plain, ascii_only = run(environment, *line), run({**environment, "PYTHONIOENCODING": "ascii"}, *line)
    assert ascii_only.stdout.isascii()
    assert json.loads(ascii_only.stdout) == json.loads(plain.stdout)
    assert "☃😀" in json.loads(plain.stdout)["error"]["message"]


def test_the_version(environment: dict[str, str]) -> None:
    done = run(environment, "--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, b"sandbox")
