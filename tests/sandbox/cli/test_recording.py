"""Record mode, and `sandbox fixtures record|import|export`, as a user types them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from providers.exchange import load
from providers.exchange.library import packaged_folder
from tests import fake_vendor
from tests.fake_vendor import FakeVendor, serving

from .conftest import Cli
from .test_schemas import check

KEY = "canary-7f3a-key-0123"


@pytest.fixture
def vendor() -> Iterator[FakeVendor]:
    """A vendor in a thread of its own, because the command line has its own loop."""
    ready, stop = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def serve() -> None:
        async with serving() as server:
            found.extend((server, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait(10)
    server, loop = found
    yield server
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)


@pytest.fixture
def live(vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch) -> FakeVendor:
    """OpenAI, Anthropic and an Ollama at the vendor's address, with a key."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("SANDBOX_CHAIN", "openai,anthropic")
    monkeypatch.setenv("OPENAI_BASE_URL", vendor.url + "/v1")
    monkeypatch.setenv("SANDBOX_PROVIDERS__ANTHROPIC__BASE_URL", vendor.url)
    return vendor


def kept(home: Path) -> list[str]:
    folder = home / "data" / "fixtures"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- record mode ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["sdk", "aiohttp"])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_every_exchange_is_kept_and_nothing_secret_with_it(
    cli: Cli, home: Path, live: FakeVendor, monkeypatch: pytest.MonkeyPatch, provider: str, transport: str
) -> None:
    monkeypatch.setenv(f"SANDBOX_PROVIDERS__{provider.upper()}__TRANSPORT", transport)
    line = ("--mode", "record", "--debug", "ask", f"Is {KEY} my key?", "--provider", provider, "--trace")
    plain = cli(*line, str(home / "plain.jsonl"))
    stream = cli(*line, str(home / "stream.jsonl"), "--stream")
    assert (plain.code, stream.code) == (0, 0), plain.err + stream.err
    assert fake_vendor.TEXT in plain.out
    api = "messages" if provider == "anthropic" else "chat-completions"
    assert kept(home) == [f"{provider}/{api}-plain-01.json", f"{provider}/{api}-stream-01.json"]
    for ran, name in ((plain, "plain"), (stream, "stream")):
        file = home / "data" / "fixtures" / provider / f"{api}-{name}-01.json"
        assert f"recorded {provider} {api.replace('-', '.')}: {file}" in ran.err
        exchange = load(file)
        assert (exchange.recorded_from, exchange.expected["text"]) == ("live", fake_vendor.TEXT)
    sent = live.seen[0].headers
    assert KEY in (sent.get("x-api-key") or sent["authorization"])
    for path in home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    for ran in (plain, stream):
        assert KEY not in ran.out + ran.err
    events = [json.loads(line)["event"] for line in (home / "plain.jsonl").read_text().splitlines()[1:]]
    assert "ExchangeRecorded" in events


def test_what_was_recorded_is_replayed(cli: Cli, home: Path, live: FakeVendor) -> None:
    recorded = cli("--mode", "record", "ask", "What is a fuse?", "--stream", "--json")
    asked = len(live.seen)
    replayed = cli("--mode", "replay", "ask", "What is a fuse?", "--stream", "--json")
    assert (recorded.code, replayed.code, len(live.seen)) == (0, 0, asked)
    before, after = ([json.loads(line) for line in ran.out.splitlines()] for ran in (recorded, replayed))
    assert before[:-1] == after[:-1]
    for field in ("text", "provider", "model", "finish_reason", "usage", "cost_usd"):
        assert before[-1][field] == after[-1][field]
    assert (before[-1]["mode"], after[-1]["mode"]) == ("live", "replay")
    assert cli("fixtures", "verify", str(home / "data" / "fixtures")).code == 0


def test_what_recording_costs_is_booked_as_what_it_is(cli: Cli, live: FakeVendor) -> None:
    cli("--mode", "record", "ask", "hello")
    cli("--mode", "record", "ask", "hello")
    # Nothing came from a cache: it would not have passed.
    assert len(live.seen) == 2
    for mode in ("live", "record"):
        total = cli("--mode", mode, "costs", "--json").json
        assert (total["mode"], total["total"]["requests"]) == ("live", 2)
    assert cli("costs", "--json").json["total"]["requests"] == 0
    assert "~" not in cli("--mode", "record", "ask", "hello").err


def test_a_failure_is_kept_too_and_the_story_says_so(cli: Cli, home: Path, live: FakeVendor) -> None:
    live.script = [fake_vendor.raw(401, b'{"error":{"message":"Incorrect API key provided: ' + KEY.encode() + b'"}}')]
    ran = cli("--mode", "record", "ask", "hello")
    assert ran.code == 1
    assert kept(home) == ["anthropic/messages-error-401-01.json", "openai/chat-completions-error-401-01.json"]
    assert ran.err.count("recorded ") == 2
    assert KEY not in ran.err
    assert KEY not in (home / "data" / "fixtures" / kept(home)[0]).read_text()


def test_a_folder_that_cannot_be_written_stops_nobody(cli: Cli, home: Path, live: FakeVendor) -> None:
    (home / "data").mkdir()
    (home / "data" / "fixtures").write_text("in the way")
    ran = cli("--mode", "record", "ask", "hello")
    assert (ran.code, ran.out.strip()) == (0, fake_vendor.TEXT)
    assert "warning: cannot write a fixture to" in ran.err


def test_other_modes_keep_nothing(cli: Cli, home: Path, live: FakeVendor) -> None:
    cli("ask", "hello")
    cli("--mode", "live", "ask", "hello")
    assert not (home / "data" / "fixtures").exists()


def test_the_doctor_knows_the_mode(cli: Cli, live: FakeVendor) -> None:
    ran = cli("--mode", "record", "doctor")
    assert ran.code == 0, ran.out
    assert "record, preset sandbox" in ran.out
    assert "off while exchanges are recorded" in ran.out


# --- fixtures record --------------------------------------------------------------------------------------------------


def test_one_question_of_the_simulated_side(cli: Cli, home: Path) -> None:
    ran = cli("fixtures", "record", "Explain breakers.", "--provider", "anthropic", "--stream", "--as", "breakers")
    file = home / "data" / "fixtures" / "anthropic" / "breakers.json"
    assert (ran.code, ran.out) == (0, f"{file}\n")
    assert ran.err.startswith("recorded anthropic/breakers: anthropic messages, 200, ")
    exchange = load(file)
    assert (exchange.recorded_from, exchange.kind) == ("wiretap", "stream")
    # From now on it answers.
    asked = cli("--mode", "replay", "ask", "Explain breakers.", "--provider", "anthropic", "--stream", "--json")
    assert json.loads(asked.out.splitlines()[-1])["text"] == exchange.expected["text"]
    # The same question again keeps its name, another one may not have it.
    assert cli("fixtures", "record", "Explain breakers.", "--provider", "anthropic", "--stream").out == f"{file}\n"
    other = cli("fixtures", "record", "Something else.", "--provider", "anthropic", "--as", "breakers", "--json")
    assert other.code == 1
    check("failure", other.json)
    assert "there is already a fixture anthropic/breakers; choose another name" in other.json["error"]["message"]


def test_a_file_may_be_named_whole(cli: Cli, home: Path) -> None:
    ran = cli("fixtures", "record", "Explain fuses.", "--provider", "anthropic", "--as", "fuses.json")
    assert (ran.code, ran.out) == (0, f"{home}/data/fixtures/anthropic/fuses.json\n")


def test_one_question_of_the_real_side(cli: Cli, home: Path, live: FakeVendor) -> None:
    ran = cli(
        "--mode",
        "record",
        "fixtures",
        "record",
        "What is a fuse?",
        "--provider",
        "openai",
        "--model",
        "gpt-4o",
        "--json",
    )
    assert ran.code == 0, ran.err
    check("fixtures-record", ran.json)
    facts = {k: ran.json[k] for k in ("name", "provider", "api", "origin", "status", "error")}
    assert facts == {
        "name": "openai/chat-completions-plain-01", "provider": "openai", "api": "chat.completions", "origin": "live",
        "status": 200, "error": None,
    }  # fmt: skip
    assert load(Path(ran.json["file"])).request.body["model"] == "gpt-4o"
    # Past the cache, and one exchange however many attempts.
    live.script = [fake_vendor.raw(500, b"{}"), fake_vendor.answer()]
    again = cli("--mode", "record", "fixtures", "record", "What is a fuse?", "--provider", "openai", "--json").json
    assert again["status"] == 500
    assert len(kept(home)) == 2


@pytest.mark.parametrize(
    ("fault", "name", "status", "error"),
    [
        ("openai=503", "chat-completions-error-503-01", 503, None),
        ("openai=rate_limit:2", "chat-completions-error-429-01", 429, None),
        ("openai=stream_cut:3", "chat-completions-stream-reset-01", 200, "connection_reset"),
        ("openai=connection_reset", "chat-completions-stream-reset-01", None, "connection_reset"),
    ],
)
def test_a_provoked_failure_is_kept_as_it_looks(
    cli: Cli, home: Path, fault: str, name: str, status: int | None, error: str | None
) -> None:
    ran = cli("fixtures", "record", "hi", "--provider", "openai", "--stream", "--fail", fault, "--json")
    assert ran.code == 0, ran.err
    check("fixtures-record", ran.json)
    assert (ran.json["name"], ran.json["status"], ran.json["error"]) == (f"openai/{name}", status, error)
    assert kept(home) == [f"openai/{name}.json"]
    told = cli("fixtures", "record", "hi", "--provider", "openai", "--stream", "--fail", fault)
    assert told.code == 0
    assert ("the request failed: " in told.err) is (status == 200)


def test_nothing_to_keep_is_a_failure(cli: Cli, home: Path) -> None:
    ran = cli("--mode", "live", "fixtures", "record", "hi", "--provider", "openai")
    assert ran.code == 2
    ran = cli("--mode", "replay", "fixtures", "record", "nobody recorded this", "--provider", "openai", "--json")
    assert ran.code == 1
    assert ran.json["error"]["type"] == "FixtureError"
    (home / "data").mkdir(exist_ok=True)
    (home / "data" / "fixtures").write_text("in the way")
    ran = cli("fixtures", "record", "hi", "--json")
    assert (ran.code, ran.json["error"]["type"]) == (1, "NotRecorded")
    assert "cannot write a fixture to" in ran.json["error"]["message"]


# --- import, export ---------------------------------------------------------------------------------------------------


def test_there_and_back(cli: Cli, home: Path) -> None:
    names = ["openai/chat-plain", "openai/chat-tools-stream", "openai/chat-error-rate-limit", "openai/chat-cut"]
    ran = cli("fixtures", "export", *names, "--output", "out.json")
    assert ran.code == 0
    assert "4 fixtures written to out.json" in ran.err
    assert json.loads((home / "out.json").read_text()) == cli("fixtures", "export", *names).json
    taken = cli("fixtures", "import", "out.json", "--into", "taken", "--json")
    assert taken.code == 0
    check("fixtures-import", taken.json)
    assert [item["name"] for item in taken.json["items"]] == [f"openai/out-00{n}" for n in (1, 2, 3, 4)]
    # Once more is not twice.
    again = cli("fixtures", "import", "out.json", "--into", "taken")
    assert again.out.splitlines() == [item["file"] for item in taken.json["items"]]
    assert len(list((home / "taken").rglob("*.json"))) == 4
    assert cli("fixtures", "verify", "taken").code == 0
    rows = [
        [json.loads(line) for line in cli("fixtures", "replay", *which, "--json").out.splitlines()]
        for which in (names, ["taken"])
    ]
    for before, after in zip(*rows, strict=True):
        for field in ("text", "tool_calls", "stop", "error_class", "error_message", "retry_after"):
            assert before[field] == after[field]


def test_another_file_of_the_same_name_does_not_replace_the_first(cli: Cli, home: Path) -> None:
    entry = {"match": {"userMessage": "hello"}, "response": {"content": "one"}}
    (home / "tape.json").write_text(json.dumps({"fixtures": [entry]}))
    (home / "other").mkdir()
    (home / "other" / "tape.json").write_text(json.dumps({"fixtures": [{**entry, "response": {"content": "two"}}]}))
    items = cli("fixtures", "import", "tape.json", "other/tape.json", "--json").json["items"]
    assert [item["name"] for item in items] == ["openai/tape-001", "openai/tape-2-001"]
    assert cli("ask", "Well, hello!", "--provider", "openai", "--json").json["text"] == "one"


def test_a_long_name_is_cut_short(cli: Cli, home: Path) -> None:
    name = "a" * 240
    (home / f"{name}.json").write_text('{"fixtures": [{"match": {}, "response": {"content": "always"}}]}')
    (item,) = cli("fixtures", "import", f"{name}.json", "--json").json["items"]
    assert item["name"] == f"openai/{'a' * 60}-001"


def test_the_provider_can_be_chosen(cli: Cli, home: Path) -> None:
    (home / "a.json").write_text('{"fixtures": [{"match": {}, "response": {"content": "always"}}]}')
    for provider in ("anthropic", "gemini"):
        items = cli("fixtures", "import", "a.json", "--provider", provider, "--json").json["items"]
        # Gemini's streams are an API of their own.
        apis = {"anthropic": ["messages"], "gemini": ["generateContent", "streamGenerateContent"]}
        assert [item["api"] for item in items] == apis[provider]
        for stream in ([], ["--stream"]):
            asked = cli("--mode", "replay", "ask", "whatever", "--provider", provider, "--json", *stream)
            assert json.loads(asked.out.splitlines()[-1])["text"] == "always"
    ran = cli("fixtures", "import", "a.json", "--provider", "opnai")
    assert (ran.code, ran.out) == (2, "")
    assert "unknown provider kind 'opnai': did you mean 'openai'?" in ran.err


def test_a_tape_of_vcr(cli: Cli, home: Path) -> None:
    exchange = load(packaged_folder() / "openai" / "chat-plain.json")
    assert exchange.response is not None
    (home / "tape.yaml").write_text(
        json.dumps(
            {
                "interactions": [
                    {
                        "request": {
                            "method": "POST",
                            "uri": "https://api.openai.com/v1/chat/completions",
                            "headers": {"authorization": [f"Bearer {KEY}"]},
                            "body": json.dumps(exchange.request.body),
                        },
                        "response": {
                            "status": {"code": 200},
                            "headers": {"content-type": ["application/json"]},
                            "body": {"string": exchange.response.body.decode()},
                        },
                    },
                    {"request": {"uri": "https://api.openai.com/v1/files"}, "response": {"status": {"code": 200}}},
                ]
            }
        )
    )
    ran = cli("fixtures", "import", "tape.yaml", "--format", "vcr")
    assert ran.code == 0
    assert "tape.yaml: interactions[1]: POST 'https://api.openai.com/v1/files' calls no API" in ran.err
    (name,) = kept(home)
    assert name == "openai/tape-001.json"
    assert KEY not in (home / "data" / "fixtures" / name).read_text()
    assert cli("fixtures", "verify", "openai/tape-001").code == 0


def test_files_that_cannot_be_read_fail_the_work_and_the_others_are_taken(cli: Cli, home: Path) -> None:
    (home / "broken.yaml").write_text("a: [")
    (home / "foreign.json").write_text('{"port": 4000}')
    (home / "runs.yaml").write_text("interactions: !!python/object/apply:os.system ['touch ran']")
    (home / "good.json").write_text('{"fixtures": [{"match": {}, "response": {"content": "x"}}]}')
    ran = cli("fixtures", "import", "broken.yaml", "foreign.json", "runs.yaml", "gone.json", "good.json", "--json")
    assert ran.code == 1
    check("fixtures-import", ran.json)
    assert len(ran.json["items"]) == 1
    assert [note.partition(" ")[0] for note in ran.json["notes"]] == [
        "broken.yaml,",
        "foreign.json",
        "runs.yaml,",
        "cannot",
    ]
    assert not (home / "ran").exists()
    assert cli("fixtures", "import", "foreign.json").code == 1


def test_what_has_no_equivalent_is_told_beside_the_file(cli: Cli) -> None:
    ran = cli("fixtures", "export", "openai/chat-silence", "openai/chat-stream")
    assert len(ran.json["fixtures"]) == 1
    assert "openai/chat-silence.json: a silence before an answer has no equivalent; left out" in ran.err
    assert "openai/chat-stream.json: the bytes of its pieces are lost" in ran.err
    none = cli("fixtures", "export", "openai/chat-silence")
    assert (none.code, none.out) == (1, "")
    assert "none of these fixtures has an equivalent in aimock" in none.err


def test_the_whole_library_is_exported(cli: Cli) -> None:
    ran = cli("fixtures", "export")
    assert ran.code == 0
    total = len(list(packaged_folder().glob("*/*.json")))
    assert total * 0.7 < len(ran.json["fixtures"]) < total
