"""The runtime's recorder: what it keeps in which mode, and how the bus and the fixtures hear of it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from providers.clock import utc
from providers.errors import ProviderError
from providers.exchange import load
from providers.faults import Fault
from sandbox.core.events import ComponentFailed, Event, ExchangeRecorded
from sandbox.gateway.call import CallOptions
from sandbox.runtime import Runtime
from sandbox.settings import Settings
from tests.fake_vendor import serving

PAST_CACHE = CallOptions(no_cache=True)


def settings(folder: Path, mode: str = "mock", **more: object) -> Settings:
    return Settings.model_validate({"mode": mode, "chain": ["openai"], "data_dir": folder, **more})


async def opened(folder: Path, mode: str = "mock", **more: object) -> tuple[Runtime, list[Event]]:
    runtime = await Runtime.open(settings(folder, mode, **more))
    events: list[Event] = []
    here = threading.current_thread()

    def take(event: Event) -> None:
        # Whatever thread writes the file, the bus has one.
        assert threading.current_thread() is here
        events.append(event)

    runtime.bus.subscribe(take)
    return runtime, events


def recorded(events: list[Event]) -> list[ExchangeRecorded]:
    return [event for event in events if isinstance(event, ExchangeRecorded)]


async def test_the_simulated_side_keeps_what_it_is_armed_for(tmp_path: Path) -> None:
    runtime, events = await opened(tmp_path)
    async with runtime:
        assert (runtime.recorder.always, runtime.recorder.armed) == (False, 0)
        await runtime.gateway.generate("one", PAST_CACHE)
        runtime.recorder.arm()
        await runtime.gateway.generate("two", PAST_CACHE)
        await runtime.gateway.generate("three", PAST_CACHE)
        await runtime.recorder.flush()
        (event,) = recorded(events)
    assert (event.provider, event.api, event.request_id) == ("openai", "chat.completions", "")
    assert utc(event.t_us).year >= 2025
    exchange = load(Path(event.file))
    assert (exchange.recorded_from, exchange.request.body["messages"][-1]["content"]) == ("wiretap", "two")
    assert Path(event.file).is_relative_to(tmp_path / "fixtures" / "openai")


async def test_what_was_just_kept_answers_at_once(tmp_path: Path) -> None:
    runtime, _ = await opened(tmp_path)
    async with runtime:
        await runtime.gateway.generate("hello", PAST_CACHE)
        runtime.recorder.arm(case="hello")
        await runtime.gateway.generate("hello", PAST_CACHE)
        await runtime.recorder.flush()
        path = tmp_path / "fixtures" / "openai" / "hello.json"
        before = load(path).expected["text"]
        path.write_text(path.read_text().replace(before[:20], "Kept, and then edited"))
        runtime.forget_fixtures()
        assert (await runtime.gateway.generate("hello", PAST_CACHE)).text.startswith("Kept, and then edited")


async def test_provoked_failures_are_not_the_providers(tmp_path: Path) -> None:
    runtime, events = await opened(tmp_path)
    async with runtime:
        runtime.recorder.arm()
        runtime.faults.set("openai", Fault("http_error", status=400))
        with pytest.raises(ProviderError):
            await runtime.gateway.generate("hello", PAST_CACHE)
        await runtime.recorder.flush()
        assert (recorded(events), runtime.recorder.armed) == ([], 1)
        runtime.faults.clear()
        await runtime.gateway.generate("hello", PAST_CACHE)
        await runtime.recorder.flush()
        assert len(recorded(events)) == 1


async def test_record_mode_keeps_everything_and_reads_no_cache(tmp_path: Path) -> None:
    async with serving() as vendor:
        providers = {"openai": {"api_key": "k-1234", "base_url": vendor.url}}
        runtime, events = await opened(tmp_path, "record", providers=providers)
        async with runtime:
            assert (runtime.mode, runtime.gateway.mode, runtime.cache) == ("record", "live", None)
            for _ in range(2):
                response = await runtime.gateway.generate("hello")
                assert (response.cached, response.mode) == (False, "live")
            await runtime.recorder.flush()
        assert len(vendor.seen) == 2
        assert len(recorded(events)) == 2
        assert {load(Path(event.file)).recorded_from for event in recorded(events)} == {"live"}


async def test_closing_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr("os.fsync", lambda _: gate.wait(30))
    runtime, events = await opened(tmp_path)
    runtime.recorder.arm()
    await runtime.gateway.generate("hello", PAST_CACHE)
    assert recorded(events) == []
    threading.Timer(0.05, gate.set).start()
    await runtime.close()
    assert len(recorded(events)) == 1
    await runtime.close()


async def test_a_disk_that_refuses_is_an_event_and_a_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "fixtures").write_text("in the way")
    runtime, events = await opened(tmp_path)
    async with runtime:
        runtime.recorder.arm(2)
        for question in ("one", "two"):
            assert (await runtime.gateway.generate(question, PAST_CACHE)).text
        await runtime.recorder.flush()
    (event,) = [event for event in events if isinstance(event, ComponentFailed)]
    assert event.component == "recorder"
    assert event.message.startswith(f"cannot write a fixture to {tmp_path / 'fixtures' / 'openai'}: ")
    assert caplog.messages == [event.message]
    assert recorded(events) == []
