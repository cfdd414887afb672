"""The simulated far end: recordings first, then the writer, in the provider's own format and at its own pace."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from providers.dialects import api_of, dialect
from providers.errors import ConnectionFailedError, FixtureError, InvalidRequestError
from providers.exchange import Chunk, Exchange, FixtureLibrary, RecordedRequest, RecordedResponse, packaged_folder, save
from providers.factory import KINDS, create
from providers.faults import Fault, FaultBoard
from providers.mock import MockProvider, SimulatedTransport, Simulation
from providers.mock.pace import PROFILES, Timing
from providers.mock.writer import Dice
from providers.transports.base import WireRequest
from providers.types import GenerationRequest, StreamFinished, TextDelta
from sandbox.core.virtual import VirtualClock, run_virtual
from tests.fake_vendor import PIECES, TEXT, completion, stream_bytes

PROMPT = "Explain circuit breakers to a cook."
ROOT = Path(__file__).resolve().parents[3]


class Steady:
    def timing(self, provider: str, model: str, dice: Dice) -> Timing:
        return Timing(0.5, 20.0)


# --- the mock provider --------------------------------------------------------------------------------------------


async def test_the_mock_provider_needs_nothing():
    async with MockProvider() as provider:
        response = await provider.generate(PROMPT)
        assert (response.provider, response.model, response.mode) == ("mock", "mock-model", "mock")
        assert "circuit breakers" in response.text
        assert provider.resolve_model("anything-at-all") == "anything-at-all"


def test_importing_and_using_it_is_cheap():
    program = """
import asyncio, sys
import providers.mock
light = set(sys.modules)
assert not {m for m in light if m.startswith("providers.mock.")}, "the mock package loads its parts at once"
from providers.mock import MockProvider
answer = asyncio.run(MockProvider().generate("hi there"))
heavy = {"aiohttp", "openai", "anthropic", "pydantic", "tiktoken", "httpx2", "sqlite_utils", "providers.exchange"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- the writer's answers on the wire -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openai_chat", "anthropic_messages", "ollama"])
async def test_a_request_that_is_none_is_refused_in_the_vendors_words(name):
    transport = SimulatedTransport(provider="p")
    response = await transport.send(WireRequest("/p", b'{"model": "m"}', api=api_of(name)))
    assert isinstance(
        dialect(name).decode_error(response.status, response.headers, await response.read()), InvalidRequestError
    )


async def test_tools_travel_both_ways():
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    ask = GenerationRequest(prompt="What is the weather in Paris?", tools=[tool])
    for kind in ("openai", "anthropic", "ollama"):
        async with create(kind, mock_mode=True) as provider:
            answer = await provider.attempt(ask, provider.model_id)
            assert answer.stop == "tool_calls"
            assert [(call.name, orjson.loads(call.arguments)) for call in answer.tool_calls] == [
                ("get_weather", {"city": "Paris"})
            ]
            events = [event async for event in provider.stream_attempt(ask, provider.model_id)]
            assert isinstance(events[-1], StreamFinished)
            assert events[-1].completion.tool_calls[0].name == "get_weather"
            assert orjson.loads(events[-1].completion.tool_calls[0].arguments) == {"city": "Paris"}


async def test_a_seed_changes_the_answers():
    texts = set()
    for seed in range(4):
        async with create("openai", simulation=Simulation(seed=seed)) as provider:
            texts.add((await provider.generate(PROMPT)).text)
    assert len(texts) > 1


# --- pace ---------------------------------------------------------------------------------------------------------


async def streamed(provider, ask: GenerationRequest) -> list:
    return [event async for event in provider.stream_attempt(ask, provider.model_id)]


def in_virtual_time(test):
    async def main():
        return await test(VirtualClock(asyncio.get_running_loop()))

    return run_virtual(main())


def test_instant_takes_no_time():
    async def test(clock):
        provider = create("openai", mock_mode=True, clock=clock)
        await provider.generate(PROMPT)
        assert [event async for event in provider.generate_stream(PROMPT)]
        return clock.monotonic()

    assert in_virtual_time(test) == 0


@pytest.mark.parametrize("kind", ["openai", "anthropic", "ollama"])
def test_a_stream_comes_token_by_token_at_its_pace(kind):
    async def test(clock):
        provider = create(kind, simulation=Simulation(pace=Steady()), clock=clock)
        times, last = [], None
        async for event in provider.stream_attempt(GenerationRequest(prompt=PROMPT), provider.model_id):
            if isinstance(event, TextDelta) and event.text:
                times.append(clock.monotonic())
            last = event
        return times, last.completion.usage.output_tokens, clock.monotonic()

    times, tokens, end = in_virtual_time(test)
    assert len(times) == tokens
    assert times == pytest.approx([0.5 + k / 20 for k in range(tokens)], abs=1e-5)
    assert end == pytest.approx(0.5 + tokens / 20, abs=1e-5)


def test_a_whole_answer_takes_as_long_as_its_stream():
    async def test(clock):
        provider = create("openai", simulation=Simulation(pace=Steady()), clock=clock)
        answer = await provider.attempt(GenerationRequest(prompt=PROMPT), provider.model_id)
        return answer.usage.output_tokens, clock.monotonic()

    tokens, end = in_virtual_time(test)
    assert end == pytest.approx(0.5 + tokens / 20, abs=1e-5)


@pytest.mark.parametrize("stream", [False, True])
def test_faults_compose_with_the_pace_exactly(stream):
    async def test(clock):
        board = FaultBoard(clock)
        board.set("openai", [Fault("slow_stream", tokens_per_second=4), Fault("latency", add=0.25, times=2)])
        provider = create("openai", simulation=Simulation(pace=Steady()), clock=clock, faults=board)
        ask = GenerationRequest(prompt=PROMPT)
        if stream:
            events = [event async for event in provider.stream_attempt(ask, provider.model_id)]
            return events[-1].completion.usage.output_tokens, clock.monotonic()
        return (await provider.attempt(ask, provider.model_id)).usage.output_tokens, clock.monotonic()

    tokens, end = in_virtual_time(test)
    assert end == pytest.approx(0.5 * 2 + 0.25 + tokens / 4, abs=1e-5)


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_comes_at_the_latency_and_so_many_tokens(stream):
    async def test(clock):
        board = FaultBoard(clock)
        board.set("openai", Fault("stream_cut", after_tokens=7))
        provider = create("openai", simulation=Simulation(pace=Steady()), clock=clock, faults=board)
        ask = GenerationRequest(prompt=PROMPT)
        call = streamed(provider, ask) if stream else provider.attempt(ask, provider.model_id)
        with pytest.raises(ConnectionFailedError):
            await call
        return clock.monotonic()

    assert in_virtual_time(test) == pytest.approx(0.5 + 7 / 20, abs=1e-5)


def test_a_realistic_pace_differs_by_provider_and_repeats():
    async def test(clock):
        took = {}
        for kind in KINDS:
            provider = create(kind, simulation=Simulation(pace="realistic"), clock=clock)
            began = clock.monotonic()
            response = await provider.generate(PROMPT)
            took[kind] = clock.monotonic() - began
            profile = PROFILES[kind]
            usual = profile.first_token + response.usage.output_tokens / profile.tokens_per_second
            assert 0.4 * usual < took[kind] < 2.5 * usual
        return took

    first = in_virtual_time(test)
    assert len(set(first.values())) == len(KINDS)
    assert in_virtual_time(test) == first


# --- recordings ---------------------------------------------------------------------------------------------------


def recorded(folder: Path, case: str, *, stream: bool, answer_stream: bool, text: str = TEXT, **fields) -> None:
    spoken = dialect("openai_chat")
    if answer_stream:
        chunks = tuple(Chunk(10.0, data) for data in stream_bytes(spoken, PIECES))
        headers = {"content-type": "text/event-stream"}
    else:
        body = spoken.encode_completion(completion(text), model="recorded-model", response_id="id-1", created=1)
        chunks, headers = (Chunk(200.0, body),), {"content-type": "application/json"}
    body = orjson.loads(
        spoken.encode_request(
            GenerationRequest(prompt=PROMPT),
            model="gpt-4o-mini",
            stream=stream,
            quirks=create("openai", mock_mode=True).quirks,
        )
    )
    exchange = Exchange(
        "openai", "chat.completions", RecordedRequest(path="/v1/chat/completions", body=body),
        RecordedResponse(200, headers, chunks, "chunks"), **fields,
    )  # fmt: skip
    save(exchange, folder, case=case)


async def answers(**simulation) -> tuple[str, list[str]]:
    async with create("openai", simulation=Simulation(**simulation)) as provider:
        whole = (await provider.generate(PROMPT)).text
        events = [event async for event in provider.stream_attempt(GenerationRequest(prompt=PROMPT), provider.model_id)]
        return whole, [event.text for event in events if isinstance(event, TextDelta) and event.text]


async def test_a_matching_recording_answers_and_the_writer_does_the_rest(tmp_path):
    recorded(tmp_path, "plain", stream=False, answer_stream=False)
    library = FixtureLibrary([tmp_path])
    whole, texts = await answers(library=library)
    assert whole == TEXT
    assert "".join(texts) not in ("", TEXT)  # no recording of the stream


async def test_a_recording_answers_in_the_other_form_too(tmp_path):
    recorded(tmp_path, "plain", stream=False, answer_stream=False, match="last_user_message")
    whole, texts = await answers(library=FixtureLibrary([tmp_path]))
    assert whole == "".join(texts) == TEXT
    assert len(texts) > 5


async def test_a_recorded_stream_answers_a_plain_request(tmp_path):
    recorded(tmp_path, "stream", stream=True, answer_stream=True, match="last_user_message")
    whole, texts = await answers(library=FixtureLibrary([tmp_path]))
    assert (whole, texts) == (TEXT, PIECES)


async def test_a_sequence_of_recordings_takes_its_turns(tmp_path):
    for turn in (1, 2):
        recorded(tmp_path, f"turn-{turn}", stream=False, answer_stream=False, text=f"answer {turn}", sequence=turn)
    async with create("openai", simulation=Simulation(library=FixtureLibrary([tmp_path]))) as provider:
        assert [(await provider.generate(PROMPT)).text for _ in range(3)] == ["answer 1", "answer 2", "answer 2"]


async def test_replay_names_what_is_missing(tmp_path):
    recorded(tmp_path, "plain", stream=False, answer_stream=False)
    simulation = Simulation(library=FixtureLibrary([tmp_path]), fixtures_only=True)
    async with create("openai", simulation=simulation) as provider:
        response = await provider.generate(PROMPT)
        assert (response.text, response.mode) == (TEXT, "replay")
        with pytest.raises(FixtureError, match=r"openai/plain\.json.*messages\[0\]\.content"):
            await provider.generate("Something else")


def test_a_recording_keeps_its_distances_when_the_pace_is_realistic(tmp_path):
    recorded(tmp_path, "stream", stream=True, answer_stream=True)

    async def test(clock):
        for pace in ("instant", "realistic"):
            provider = create(
                "openai", simulation=Simulation(library=FixtureLibrary([tmp_path]), pace=pace), clock=clock
            )
            assert [
                event async for event in provider.stream_attempt(GenerationRequest(prompt=PROMPT), provider.model_id)
            ]
            yield clock.monotonic()

    async def main(clock):
        return [at async for at in test(clock)]

    assert in_virtual_time(main) == pytest.approx([0, 0.01 * (len(PIECES) + 2)])


async def test_a_recording_that_cannot_be_read_names_its_file(tmp_path):
    exchange = Exchange(
        "openai",
        "chat.completions",
        RecordedRequest(),
        RecordedResponse(200, {}, (Chunk(0, b"not json"),)),
        match="any",
    )
    save(exchange, tmp_path, case="broken")
    async with create("openai", simulation=Simulation(library=FixtureLibrary([tmp_path]))) as provider:
        with pytest.raises(FixtureError, match=r"openai/broken\.json"):
            _ = [event async for event in provider.stream_attempt(GenerationRequest(prompt="x"), provider.model_id)]


# --- what comes with the program ----------------------------------------------------------------------------------

PACKAGED = FixtureLibrary([packaged_folder()])


@pytest.mark.parametrize("kind", ["openai", "azure_openai", "anthropic", "deepseek", "vllm", "ollama"])
async def test_the_first_prompt_has_a_written_answer_in_both_forms(kind):
    cases = PACKAGED.cases(kind)
    assert {f"{kind}/circuit-breakers-plain.json", f"{kind}/circuit-breakers-stream.json"} <= set(cases)
    async with create(kind, simulation=Simulation(library=PACKAGED, fixtures_only=True)) as provider:
        response = await provider.generate(PROMPT)
        events = [event async for event in provider.stream_attempt(GenerationRequest(prompt=PROMPT), provider.model_id)]
        texts = [event.text for event in events if isinstance(event, TextDelta) and event.text]
        expected = PACKAGED.exchange(f"{kind}/circuit-breakers-plain.json").expected
        assert response.text == "".join(texts) == expected["text"]
        assert 50 <= len(response.text.split()) <= 90
        assert len(texts) > 20
        assert (response.usage.input_tokens, response.usage.output_tokens) == (
            expected["input_tokens"],
            expected["output_tokens"],
        )
        assert events[-1].completion.usage.output_tokens == expected["output_tokens"]
        assert 0.9 * len(response.text) / 5 < response.usage.output_tokens < 1.5 * len(response.text) / 4


async def test_replay_by_the_environment_answers_from_what_comes_with_the_program(monkeypatch):
    monkeypatch.setenv("SANDBOX_MODE", "replay")
    async with create("anthropic") as provider:
        response = await provider.generate(PROMPT)
        assert (response.mode, response.finish_reason) == ("replay", "end_turn")
        with pytest.raises(FixtureError, match=r"the nearest is anthropic/\S+\.json"):
            await provider.generate("Something that nobody recorded")


def test_no_two_vendors_say_the_same():
    texts = [PACKAGED.exchange(f"{kind}/circuit-breakers-plain.json").expected["text"] for kind in PACKAGED.providers()]
    assert len(set(texts)) == len(texts) >= 6
