"""The recorder: armed or always, over every HTTP stack and every format, with nothing secret on disk."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from providers.clock import seeded
from providers.dialects import API_DIALECTS, api_of, dialect, names, spoken
from providers.dialects.accumulator import events_of
from providers.dialects.base import Dialect
from providers.errors import (
    ConnectionFailedError,
    InputError,
    ProviderError,
    RateLimitError,
    ServiceUnavailableError,
)
from providers.exchange import Exchange, FixtureLibrary, load
from providers.exchange.listing import streamed
from providers.faults import Fault, FaultBoard
from providers.mock.simulated import Simulation
from providers.transports.base import WireRequest
from providers.transports.canned import PiecewiseResponse, WholeResponse
from providers.transports.replay import ReplayTransport
from providers.types import GenerationRequest, StreamEvent, TextDelta, ToolCall
from providers.vendors.anthropic import AnthropicProvider
from providers.vendors.azure_openai import AzureOpenAIProvider
from providers.vendors.bedrock import BedrockProvider
from providers.vendors.conformance import compare, provider_of, replay
from providers.vendors.gemini import GeminiProvider
from providers.vendors.openai import OpenAIProvider
from providers.vendors.recording import Recorder, Saved
from providers.vendors.wire import WireProvider
from sandbox.core.virtual import VirtualClock, run_virtual
from tests import fake_vendor
from tests.fake_vendor import FakeVendor, serving

KEY = "canary-5e1f/9+key"


class Watched:
    """A recorder in a folder, with what it said."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.saved: list[Saved] = []
        self.failed: list[str] = []
        options = {"always": True, "saved": self.saved.append, "failed": self.failed.append, **options}
        self.recorder = Recorder(folder, **options)

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    async def only(self) -> Exchange:
        await self.recorder.flush()
        assert self.failed == []
        (path,) = self.files()
        return load(path)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "kept")


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with serving() as server:
        yield server


def openai(vendor: FakeVendor, watched: Watched, **options: Any) -> OpenAIProvider:
    options = {"transport_kind": "aiohttp", "api_key": KEY, **options}
    return OpenAIProvider(base_url=vendor.url + "/v1", recorder=watched.recorder, max_retries=0, **options)


async def drain(provider: WireProvider, request: GenerationRequest | str = "Hi") -> list[StreamEvent]:
    request = GenerationRequest.of(request)
    return [event async for event in provider.stream_attempt(request, provider.model_id)]


# --- what is kept ---------------------------------------------------------------------------------------------------


async def test_an_exchange_is_kept_with_what_was_read_in_it(vendor: FakeVendor, watched: Watched) -> None:
    async with openai(vendor, watched) as provider:
        response = await provider.generate("What is a fuse?")
    exchange = await watched.only()
    assert exchange.name == "chat-completions-plain-01.json"
    assert (exchange.provider, exchange.api, exchange.kind) == ("openai", "chat.completions", "plain")
    assert (exchange.recorded_from, exchange.error) == ("live", None)
    assert exchange.request.path == "/v1/chat/completions"
    assert exchange.request.body["messages"] == [{"role": "user", "content": "What is a fuse?"}]
    assert exchange.expected["text"] == response.text == fake_vendor.TEXT
    assert exchange.expected["output_tokens"] == response.usage.output_tokens
    assert exchange.response is not None
    assert exchange.response.headers["x-request-id"] == "req-ok"
    assert compare(await replay(exchange), exchange.expected) == []
    assert [saved.path for saved in watched.saved] == watched.files()


async def test_a_packed_answer_is_kept_as_it_was_read(vendor: FakeVendor, watched: Watched) -> None:
    body = dialect("openai_chat").encode_completion(
        fake_vendor.completion(), model="m", response_id="chatcmpl-1", created=1
    )
    vendor.script = [fake_vendor.raw(200, gzip.compress(body), content_encoding="gzip")]
    async with openai(vendor, watched) as provider:
        await provider.generate("Hi")
    exchange = await watched.only()
    assert exchange.response is not None
    assert exchange.response.body == body
    assert not {"content-encoding", "content-length", "transfer-encoding"} & set(exchange.response.headers)


async def test_failures_are_kept_with_their_class(vendor: FakeVendor, watched: Watched) -> None:
    vendor.script = [
        fake_vendor.fail(RateLimitError("Slow down", status=429, retry_after=3)),
        fake_vendor.reset(),
        fake_vendor.stream_then(None),
        fake_vendor.answer(),
    ]
    vendor.gate.set()
    async with openai(vendor, watched) as provider:
        for error, stream in ((RateLimitError, False), (ConnectionFailedError, False), (ConnectionFailedError, True)):
            with pytest.raises(error):
                await (drain(provider) if stream else provider.attempt(GenerationRequest("Hi"), "gpt-4o-mini"))
        await provider.attempt(GenerationRequest("Hi"), "gpt-4o-mini")
    await watched.recorder.flush()
    kept = {path.stem.removeprefix("chat-completions-"): load(path) for path in watched.files()}
    assert set(kept) == {"error-429-01", "reset-01", "stream-reset-01", "plain-01"}
    assert kept["error-429-01"].expected["error_class"] == "RateLimitError"
    assert kept["error-429-01"].expected["retry_after"] == 3
    assert (kept["reset-01"].response, kept["reset-01"].error) == (None, "connection_reset")
    assert kept["stream-reset-01"].expected["text"] == "Think of the fuse "
    assert {name: exchange.sequence for name, exchange in kept.items()} == {
        "error-429-01": 1, "reset-01": 2, "stream-reset-01": 1, "plain-01": None,
    }  # fmt: skip
    for exchange in kept.values():
        assert compare(await replay(exchange), exchange.expected) == []


async def test_a_stream_that_was_read_to_its_last_event_is_whole(vendor: FakeVendor, watched: Watched) -> None:
    vendor.script = [fake_vendor.stream_that_lingers()]
    async with openai(vendor, watched) as provider:
        await asyncio.wait_for(drain(provider), 10)
        vendor.gate.set()
    exchange = await watched.only()
    assert (exchange.error, exchange.kind, exchange.expected["text"]) == (None, "stream", fake_vendor.TEXT)


async def test_an_error_in_a_stream_is_an_end(vendor: FakeVendor, watched: Watched) -> None:
    def overloaded(spoken: Dialect) -> bytes:
        encoder = spoken.encoder(model="m", response_id="i", created=1)
        return encoder.error(ServiceUnavailableError("Overloaded", status=529, error_type="overloaded_error"))

    vendor.script = [fake_vendor.stream_then(overloaded)]
    async with AnthropicProvider(
        api_key=KEY, base_url=vendor.url, transport_kind="aiohttp", recorder=watched.recorder
    ) as provider:
        with pytest.raises(ProviderError):
            await drain(provider)
    exchange = await watched.only()
    assert (exchange.kind, exchange.expected["error_class"]) == ("stream-error", "ServiceUnavailableError")


async def test_a_caller_that_leaves_keeps_nothing(vendor: FakeVendor, watched: Watched) -> None:
    vendor.script = [fake_vendor.stream_gated()]
    async with openai(vendor, watched) as provider:
        events = provider.stream_attempt(GenerationRequest("Hi"), "gpt-4o-mini")
        async for event in events:
            if isinstance(event, TextDelta):
                break
        await events.aclose()
        vendor.gate.set()
    await watched.recorder.close()
    assert (watched.files(), watched.failed) == ([], [])


# --- armed ----------------------------------------------------------------------------------------------------------


async def test_only_what_it_is_armed_for(vendor: FakeVendor, tmp_path: Path) -> None:
    watched = Watched(tmp_path, always=False)
    async with openai(vendor, watched) as provider:
        await provider.generate("one")
        watched.recorder.arm(2)
        watched.recorder.arm(case="named")
        for count, question in enumerate(("two", "three", "four", "five")):
            assert watched.recorder.armed == max(0, 3 - count)
            await provider.generate(question)
        await watched.recorder.flush()
        watched.recorder.arm()
        watched.recorder.disarm()
        await provider.generate("six")
    await watched.recorder.close()
    asked = {saved.path.stem: saved.exchange.request.body["messages"][0]["content"] for saved in watched.saved}
    assert asked == {"chat-completions-plain-01": "two", "chat-completions-plain-02": "three", "named": "four"}


async def test_what_comes_to_nothing_is_owed(vendor: FakeVendor, tmp_path: Path) -> None:
    watched = Watched(tmp_path, always=False)
    vendor.script = [fake_vendor.silence(), fake_vendor.stream_gated(), fake_vendor.answer()]
    async with openai(vendor, watched) as provider:
        watched.recorder.arm(case="mine")
        asking = asyncio.ensure_future(provider.attempt(GenerationRequest("Hi"), "gpt-4o-mini"))
        while not vendor.seen:
            await asyncio.sleep(0.01)
        assert watched.recorder.armed == 0
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert watched.recorder.armed == 1
        events = provider.stream_attempt(GenerationRequest("Hi"), "gpt-4o-mini")
        async for event in events:
            if isinstance(event, TextDelta):
                break
        await events.aclose()
        await watched.recorder.flush()
        assert watched.recorder.armed == 1
        vendor.gate.set()
        await provider.generate("Hi")
    await watched.recorder.close()
    assert [path.name for path in watched.files()] == ["mine.json"]


@pytest.mark.parametrize(
    ("count", "case", "says"),
    [
        (0, None, "0 exchanges cannot be kept"),
        (2, "x", "2 exchanges cannot be kept as 'x'"),
        (1, "../x", r"the name of a fixture is '\.\./x'"),
        (1, "", "the name of a fixture is ''"),
        (1, "a" * 101, f"the name of a fixture is '{'a' * 60}'; .* at most 100"),
    ],
)
def test_arming_for_nonsense_is_refused(tmp_path: Path, count: int, case: str | None, says: str) -> None:
    recorder = Recorder(tmp_path)
    with pytest.raises(InputError, match=says):
        recorder.arm(count, case=case)
    assert recorder.armed == 0


async def test_the_simulated_side_is_marked_as_such(tmp_path: Path) -> None:
    watched = Watched(tmp_path, always=False, origin="wiretap")
    watched.recorder.arm()
    async with OpenAIProvider(simulation=Simulation(), recorder=watched.recorder) as provider:
        response = await provider.generate("Explain breakers.")
    exchange = await watched.only()
    assert (exchange.recorded_from, exchange.expected["text"]) == ("wiretap", response.text)


@pytest.mark.parametrize("provoked", [False, True])
async def test_provoked_faults_are_kept_where_that_is_asked(tmp_path: Path, provoked: bool) -> None:
    watched = Watched(tmp_path, provoked=provoked)
    board = FaultBoard()
    board.set("openai", Fault("http_error", status=503))
    async with OpenAIProvider(
        simulation=Simulation(), recorder=watched.recorder, faults=board, draws=seeded(1)
    ) as provider:
        with pytest.raises(ServiceUnavailableError):
            await provider.attempt(GenerationRequest("Hi"), "gpt-4o-mini")
    await watched.recorder.close()
    assert [path.name for path in watched.files()] == ["chat-completions-error-503-01.json"] * provoked


# --- nothing secret -------------------------------------------------------------------------------------------------

AWS = {
    "aws_access_key_id": "AKIACANARY0123456789",
    "aws_secret_access_key": "canary/secret+0123456789012345678901234",
    "aws_session_token": KEY,
    "region": "us-east-1",
}
STACKS = {
    "aiohttp": lambda url, recorder: OpenAIProvider(
        api_key=KEY, base_url=url + "/v1", transport_kind="aiohttp", recorder=recorder, organization="org-canary-1"
    ),
    "openai sdk": lambda url, recorder: OpenAIProvider(
        api_key=KEY, base_url=url + "/v1", transport_kind="sdk", recorder=recorder, organization="org-canary-1"
    ),
    "azure sdk": lambda url, recorder: AzureOpenAIProvider(
        api_key=KEY, base_url=url, deployment="d", transport_kind="sdk", recorder=recorder
    ),
    "anthropic sdk": lambda url, recorder: AnthropicProvider(
        api_key=KEY, base_url=url, transport_kind="sdk", recorder=recorder
    ),
    "anthropic aiohttp": lambda url, recorder: AnthropicProvider(
        api_key=KEY, base_url=url, transport_kind="aiohttp", recorder=recorder
    ),
    "gemini": lambda url, recorder: GeminiProvider(api_key=KEY, base_url=url, recorder=recorder),
    "bedrock, signed by us": lambda url, recorder: BedrockProvider(
        base_url=url, transport_kind="aiohttp", recorder=recorder, **AWS
    ),
    "bedrock, boto3": lambda url, recorder: BedrockProvider(
        base_url=url, transport_kind="sdk", recorder=recorder, **AWS
    ),
}


def echoing(status: int, *cuts: int) -> fake_vendor.Behaviour:
    """A vendor that repeats the key in its headers and its body, the body cut inside the key."""

    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        told = orjson.dumps(
            {"error": {"message": f"Incorrect API key provided: {KEY}.", "type": "authentication_error"}}
        )
        headers = {"content-type": "application/json", "x-echo": KEY, "set-cookie": f"s={KEY}"}
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        edges = [0, *(told.index(KEY.split("/")[0].encode()) + cut for cut in cuts), len(told)]
        for begin, end in itertools.pairwise(edges):
            await response.write(told[begin:end])
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    return behave


@pytest.mark.parametrize("stack", STACKS)
async def test_nothing_secret_reaches_a_file_a_log_or_an_error(
    stack: str, vendor: FakeVendor, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    vendor.script = [fake_vendor.answer(), fake_vendor.answer(), echoing(401, 3, 9), echoing(400, 5)]
    errors: list[str] = []
    # The SDKs log whole requests if they are told to; the command line masks those lines.
    with caplog.at_level(logging.DEBUG, "providers"):
        async with STACKS[stack](vendor.url, watched.recorder) as provider:
            asked = GenerationRequest(f"My key is {KEY}.", system=f"Never say {KEY}")
            assert (await provider.attempt(asked, provider.model_id)).text == fake_vendor.TEXT
            await drain(provider, asked)
            for _ in range(2):
                with pytest.raises(ProviderError) as caught:
                    await provider.attempt(asked, provider.model_id)
                errors.append(f"{caught.value!r} {caught.value.__dict__} {caught.value.__context__!r}")
        await watched.recorder.close()
    assert KEY.encode() in b"".join(orjson.dumps(seen.body) for seen in vendor.seen)
    assert any(KEY in value for value in vendor.seen[0].headers.values())
    assert len(watched.files()) == 4
    assert watched.failed == []
    written = "".join(path.read_text() + str(path) for path in watched.files())
    for form in (KEY, KEY.replace("/", "\\/"), "canary", "CANARY"):
        assert form not in written
        assert form not in caplog.text
        assert form not in "".join(errors)
        assert form not in repr(watched.saved)
    for path in watched.files():
        exchange = load(path)
        assert exchange.response is not None
        assert b"canary" not in exchange.response.body
        assert not {"authorization", "x-api-key", "api-key", "set-cookie"} & {
            *exchange.request.headers, *exchange.response.headers,
        }  # fmt: skip


PLACES: dict[str, dict[str, Any]] = {
    "signature": {
        "headers": {
            "Authorization": "AWS4-HMAC-SHA256 Credential=AKIACANARY0000000/20250101/us-east-1/bedrock/aws4_request, "
            "SignedHeaders=host, Signature=ca0a7ca0a7ca0a7ca0a7",
            "X-Amz-Security-Token": "canary-session-token",
            "X-Amz-Date": "20250101T000000Z",
        }
    },
    "signed address": {
        "path": "/model/m/converse?X-Amz-Credential=AKIACANARY0000000%2F2025&X-Amz-Signature=ca0a7&"
        "X-Amz-Security-Token=canary%2Ftoken"
    },
    "key in the query": {"path": "/v1beta/models/g:generateContent?alt=sse&key=canary-query-key"},
    "google's header": {"headers": {"x-goog-api-key": "canary-header-key"}},
    "azure's header": {"headers": {"api-key": "canary-header-key"}},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("provider", ["openai", "azure_openai", "anthropic", "bedrock", "gemini", "ollama"])
async def test_a_credential_of_another_value_is_known_by_its_place(provider: str, place: str, watched: Watched) -> None:
    class Vendor:
        async def send(self, request: WireRequest) -> WholeResponse:
            return WholeResponse(403, {"content-type": "application/json"}, b'{"message":"no"}')

        async def close(self) -> None:
            pass

    transport = watched.recorder.wrap(Vendor(), provider=provider)
    asked = {"path": "/x", "body": b"{}", **PLACES[place]}
    await (await transport.send(WireRequest(**asked))).read()
    await watched.recorder.close()
    (path,) = watched.files()
    text = path.read_text().lower()
    assert "canary" not in text
    assert "ca0a7" not in text


async def test_a_credential_spelled_over_several_events_is_not_kept(vendor: FakeVendor, watched: Watched) -> None:
    pieces = [KEY[:4], KEY[4:9], KEY[9:]]
    vendor.script = [fake_vendor.answer(KEY, ["The key is ", *pieces, "."]), fake_vendor.answer()]
    async with openai(vendor, watched) as provider:
        await drain(provider)
        await watched.recorder.flush()
        assert watched.files() == []
        (told,) = watched.failed
        assert "spells a credential across several events" in told
        assert "canary" not in told
        await drain(provider)
    await watched.recorder.close()
    assert len(watched.files()) == 1


async def test_prose_about_credentials_is_kept_and_agrees_with_itself(vendor: FakeVendor, watched: Watched) -> None:
    text = "Send it as Bearer authentication, with api_key=os.environ."
    vendor.script = [
        fake_vendor.answer(text, ["Send it as Bearer", " authen", "tication, with api_", "key=os.environ."])
    ]
    async with openai(vendor, watched) as provider:
        await drain(provider, "Where do I write api_key=os.environ?")
    exchange = await watched.only()
    assert compare(await replay(exchange), exchange.expected) == []
    # The question lost what looks like a credential, and still finds its answer.
    library = FixtureLibrary([watched.folder])
    async with OpenAIProvider(simulation=Simulation(library=library, fixtures_only=True)) as provider:
        events = await drain(provider, "Where do I write api_key=os.environ?")
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == text


# --- the disk -------------------------------------------------------------------------------------------------------


async def test_a_slow_disk_holds_no_request_up(
    vendor: FakeVendor, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr("os.fsync", lambda _: gate.wait(30))
    try:
        async with openai(vendor, watched) as provider:
            for question in ("one", "two", "three"):
                await provider.generate(question)
            assert watched.saved == []
    finally:
        gate.set()
    await watched.recorder.close()
    assert len(watched.saved) == len(watched.files()) == 3


@pytest.mark.parametrize("number", [13, 28, 30])
async def test_a_disk_that_refuses_fails_no_request(
    number: int, vendor: FakeVendor, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, "refused")

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkstemp", refused)
        async with openai(vendor, watched) as provider:
            for _ in range(3):
                assert (await provider.generate("Hi")).text == fake_vendor.TEXT
            await watched.recorder.flush()
            # Said once, not for every exchange.
            assert watched.failed == [f"cannot write a fixture to {watched.folder / 'openai'}: refused"]
    async with openai(vendor, watched) as provider:
        await provider.generate("Hi")
    await watched.recorder.close()
    assert len(watched.saved) == 1


async def test_a_folder_that_cannot_be_made_fails_no_request(vendor: FakeVendor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    watched = Watched(tmp_path / "file" / "kept")
    async with openai(vendor, watched) as provider:
        assert (await provider.generate("Hi")).text == fake_vendor.TEXT
    await watched.recorder.close()
    assert len(watched.failed) == 1
    assert "cannot write a fixture to" in watched.failed[0]


async def test_a_crowd_of_answers_does_not_fill_the_memory(
    vendor: FakeVendor, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr("providers.vendors.recording.MAX_WAITING", 2500)
    monkeypatch.setattr("os.fsync", lambda _: gate.wait(30))
    async with openai(vendor, watched) as provider:
        for number in range(10):
            await provider.generate(f"Question {number}")
        gate.set()
        await watched.recorder.flush()
        assert 1 <= len(watched.saved) < 10
        assert watched.failed == [f"{watched.folder} does not take recordings as fast as they come; some are not kept"]
        await provider.generate("And now?")
    await watched.recorder.close()
    assert watched.saved[-1].exchange.request.body["messages"][0]["content"] == "And now?"


async def test_a_mistake_of_our_own_is_logged_without_what_it_holds(
    vendor: FakeVendor, watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError(f"with {KEY} in it")

    monkeypatch.setattr("providers.vendors.captured.completed", broken)
    async with openai(vendor, watched) as provider:
        assert (await provider.generate("Hi")).text == fake_vendor.TEXT
    await watched.recorder.close()
    assert watched.failed == ["an exchange with openai was not kept: ZeroDivisionError"]
    assert "keeping an exchange failed: Traceback" in caplog.text
    assert "ZeroDivisionError: with [redacted] in it" in caplog.text


def test_one_recorder_serves_loop_after_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path)
    gate = threading.Event()
    monkeypatch.setattr("os.fsync", lambda _: gate.wait(30))

    async def ask(question: str) -> None:
        async with OpenAIProvider(simulation=Simulation(), recorder=watched.recorder) as provider:
            await provider.generate(question)

    # Its loop is gone before the disk is ready; the file is written all the same.
    asyncio.run(ask("one"))
    gate.set()
    asyncio.run(ask("two"))
    asyncio.run(watched.recorder.close())
    assert len(watched.files()) == 2
    assert watched.recorder._pending == {}


def test_a_loop_that_stands_still_leaves_nothing_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path)
    gate = threading.Event()
    monkeypatch.setattr("os.fsync", lambda _: gate.wait(30))

    async def ask() -> None:
        async with OpenAIProvider(simulation=Simulation(), recorder=watched.recorder) as provider:
            await provider.generate("one")

    loop = asyncio.new_event_loop()
    try:
        # It takes the news of the file, and never comes to tell it.
        loop.run_until_complete(ask())
        gate.set()
        asyncio.run(watched.recorder.close())
    finally:
        loop.close()
    assert len(watched.files()) == 1
    assert watched.recorder._pending == {}


async def test_an_observer_that_fails_disturbs_nobody(vendor: FakeVendor, tmp_path: Path) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    watched = Watched(tmp_path, saved=broken)
    loop = asyncio.get_running_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    async with openai(vendor, watched) as provider:
        await provider.generate("Hi")
        await watched.recorder.close()
        assert len(watched.files()) == 1
        assert (await provider.generate("Hi")).text == fake_vendor.TEXT


# --- recorded, then replayed ----------------------------------------------------------------------------------------

PATHS = {
    "bedrock_converse": "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
    "bedrock_invoke": "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke",
    "gemini": "/v1beta/models/gemini-2.5-flash:{}?alt=sse",
}
VENDORS = {"anthropic_messages": "anthropic", "ollama": "ollama", "ollama_generate": "ollama"}


class Ticking:
    """A clock on which every look takes its own, odd time; waiting is real."""

    def __init__(self) -> None:
        self.ticks = 0
        self.now = 0.0

    def monotonic(self) -> float:
        self.ticks += 1
        self.now = round(self.now + self.ticks * 0.001003 + 0.000001, 6)
        return self.now

    def time_us(self) -> int:
        return 1_750_000_000_123_456

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        return asyncio.timeout(None if seconds is None else max(seconds, 5.0))


def speaker(name: str, stream: bool) -> type[WireProvider]:
    """A provider of one format, at the path that its vendor has for it."""
    api = api_of(name, stream=stream)
    path = PATHS.get(name, "/" + api).format(api)
    if stream and name == "bedrock_converse":
        path += "-stream"
    if stream and name == "bedrock_invoke":
        path += "-with-response-stream"

    class Speaker(WireProvider):
        kind = VENDORS.get(name, name.partition("_")[0])
        dialect_name = name
        needs_key = False
        plain_http = True

        def path_of(self, model_id: str, *, stream: bool = False) -> str:
            return path

    return Speaker


def replying(spoken: Dialect, *, stream: bool, tools: bool) -> fake_vendor.Behaviour:
    completion = fake_vendor.completion()
    if tools:
        completion.tool_calls = [ToolCall("call_1", "weather", '{"city":"Brno","days":2}')]
        completion.stop = "tool_calls"

    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        if not stream:
            whole = spoken.encode_completion(completion, model="the-model", response_id="id-1", created=1_700_000_000)
            return web.Response(body=whole, content_type="application/json")
        encoder = spoken.encoder(model="the-model", response_id="id-1", created=1_700_000_000)
        response = web.StreamResponse(headers={"content-type": encoder.content_type})
        await response.prepare(request)
        pieces = [
            encoder.start(),
            *(encoder.event(event) for event in events_of(completion)),
            encoder.finish(completion),
        ]
        data = b"".join(pieces)
        # In pieces that end anywhere, inside a character and a frame too.
        for begin in range(0, len(data), 97):
            await response.write(data[begin : begin + 97])
            await asyncio.sleep(0.002)
        await response.write_eof()
        return response

    return behave


async def events_and_times(exchange: Exchange, cls: type[WireProvider], clock: VirtualClock) -> tuple[Any, list[int]]:
    """What a provider tells when it is given the recording, and when each piece of that reached it."""
    times: list[int] = []

    class Timed(ReplayTransport):
        async def send(self, request: WireRequest) -> PiecewiseResponse:
            began = clock.time_us()
            response = await super().send(request)
            times.append(clock.time_us() - began)
            last = clock.time_us()

            async def listened() -> AsyncIterator[bytes]:
                nonlocal last
                async for data in response.chunks():
                    times.append(clock.time_us() - last)
                    last = clock.time_us()
                    yield data

            return PiecewiseResponse(response.status, response.headers, listened())

    async with cls(transport=Timed(exchange, clock=clock), clock=clock) as provider:
        request = GenerationRequest("What is a fuse?", model="the-model")
        if streamed(exchange):
            return [event async for event in provider.stream_attempt(request, "the-model")], times
        return await provider.attempt(request, "the-model"), times


@pytest.mark.parametrize("tools", [False, True], ids=["text", "tools"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
# Gemini's array is a way to answer that no provider here asks for.
@pytest.mark.parametrize("name", [name for name in names() if api_of(name) in API_DIALECTS])
async def test_what_was_recorded_is_replayed_to_the_microsecond(
    name: str, stream: bool, tools: bool, vendor: FakeVendor, tmp_path: Path
) -> None:
    spoken_here = dialect(name)
    watched = Watched(tmp_path, clock=Ticking())
    vendor.script = [replying(spoken_here, stream=stream, tools=tools)]
    cls = speaker(name, stream)
    request = GenerationRequest("What is a fuse?", model="the-model")
    async with cls(base_url=vendor.url, transport_kind="aiohttp", recorder=watched.recorder) as provider:
        live: Any
        if stream:
            live = [event async for event in provider.stream_attempt(request, "the-model")]
        else:
            live = await provider.attempt(request, "the-model")
    exchange = await watched.only()
    response = exchange.response
    assert response is not None
    assert (exchange.api in API_DIALECTS, streamed(exchange)) == (True, stream)
    if stream:
        assert len(response.chunks) > 3

    def again() -> tuple[Any, list[int]]:
        async def main() -> tuple[Any, list[int]]:
            clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
            return await events_and_times(exchange, cls, clock)

        return run_virtual(main())

    # A virtual loop needs a thread without a running one.
    told, times = await asyncio.to_thread(again)
    assert told == live
    assert times == [round(ms * 1000) for ms in (response.after_ms, *(chunk.after_ms for chunk in response.chunks))]
    assert all(us % 1000 for us in times)
    assert exchange.expected["text"] == fake_vendor.TEXT
    assert compare(await replay(exchange), exchange.expected) == []
    assert provider_of(exchange)
    assert spoken(exchange.api, exchange.request.path).name == name
