"""Spans and metrics of requests, in memory and at a collector on loopback: what they say, and what they never say."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from providers.errors import ProviderError
from providers.faults import Fault, parse_fault
from providers.types import GenerationRequest, ToolCall
from sandbox.core.bus import Bus
from sandbox.core.events import AttemptStarted, AttemptSucceeded, RequestCompleted, RequestReceived
from sandbox.runtime import Runtime
from sandbox.settings import Settings
from sandbox.telemetry import conventions as c
from sandbox.telemetry import export as export_module
from sandbox.telemetry import spans as spans_module
from sandbox.telemetry.contents import MAX_CHARS, MAX_MESSAGES, Contents
from sandbox.telemetry.export import Telemetry
from sandbox.usage.base import UsageFilter

PROMPT = "canary-prompt: why do circuit breakers trip?"
KEY = "sk-canary-4f1d9a7e2c8b6a5d3e1f"


class Seen:
    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.telemetry = Telemetry(runtime.bus, SimpleSpanProcessor(self._exporter), [self._reader])

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    @property
    def roots(self) -> list[ReadableSpan]:
        return [one for one in self.spans if one.parent is None]

    @property
    def attempts(self) -> list[ReadableSpan]:
        return sorted((one for one in self.spans if one.parent is not None), key=lambda one: one.start_time or 0)

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


def settings(folder: Path, **changes: Any) -> Settings:
    keys = {id: {"api_key": KEY} for id in ("openai", "anthropic")}
    return Settings.model_validate(
        {"data_dir": folder, "chain": ["openai", "anthropic"], "providers": keys, "retry": {"retries": 0}, **changes}
    )


@asynccontextmanager
async def watched(folder: Path, **changes: Any) -> AsyncIterator[Seen]:
    async with Runtime.of(settings(folder, **changes)) as runtime:
        seen = Seen(runtime)
        try:
            yield seen
        finally:
            seen.telemetry.close()


async def ask(runtime: Runtime, *, stream: bool = False) -> None:
    request = GenerationRequest(prompt=PROMPT, model="gpt-4o-mini", tenant_id="acme", agent_id="helper")
    if not stream:
        await runtime.gateway.generate(request)
        return
    async for _ in runtime.gateway.stream(request):
        pass


async def test_an_answer_is_a_span_with_its_attempt_below(tmp_path: Path) -> None:
    async with watched(tmp_path) as seen:
        response = await seen.runtime.gateway.generate(
            GenerationRequest(prompt=PROMPT, model="gpt-4o-mini", tenant_id="acme", agent_id="helper")
        )
        [root], [attempt] = seen.roots, seen.attempts
        assert attempt.parent is not None
        assert attempt.parent.span_id == root.context.span_id
        assert f"{root.context.trace_id:032x}" == response.request_id == f"{attempt.context.trace_id:032x}"
        assert (root.name, root.kind) == ("request gpt-4o-mini", SpanKind.INTERNAL)
        assert (attempt.name, attempt.kind) == ("chat gpt-4o-mini", SpanKind.CLIENT)
        told = dict(attempt.attributes or {})
        assert told[c.OPERATION] == "chat"
        assert (told[c.PROVIDER], told[c.REQUEST_MODEL], told[c.RESPONSE_MODEL]) == (
            "openai",
            "gpt-4o-mini",
            "gpt-4o-mini",
        )
        assert (told[c.INPUT_TOKENS], told[c.OUTPUT_TOKENS]) == (
            response.usage.input_tokens,
            response.usage.output_tokens,
        )
        assert told[c.CACHE_READ_TOKENS] == response.usage.cached_input_tokens
        assert told[c.REASONING_TOKENS] == response.usage.reasoning_tokens
        assert told[c.FINISH_REASONS] == ("stop",)
        about = dict(root.attributes or {})
        assert (about["sandbox.tenant"], about["sandbox.agent"], about["sandbox.mode"]) == ("acme", "helper", "mock")
        assert about["sandbox.cost_usd"] == pytest.approx(float(response.cost_usd or 0))
        assert about["sandbox.outcome"] == "answered"
        assert c.INPUT_TOKENS not in about, "who adds up the spans of a trace counts tokens once"
        assert (root.start_time or 0) <= (attempt.start_time or 0) <= (attempt.end_time or 0) <= (root.end_time or 0)


def test_cached_and_reasoning_tokens_are_the_events() -> None:
    bus = Bus()
    exporter = InMemorySpanExporter()
    telemetry = Telemetry(bus, SimpleSpanProcessor(exporter), [])
    bus.publish(RequestReceived(1, "r", "t", "a", "o3", "live", False, 60.0))
    bus.publish(AttemptStarted(2, "r", "gemini", "o3", 0, 0, "closed"))
    bus.publish(AttemptSucceeded(3, "r", "gemini", "o3", 0, 5.0, None))
    bus.publish(
        RequestCompleted(
            4, "r", "gemini", "o3", "stop", 100, 50, False, Decimal(1), Decimal(0), 5.0, None, 0, False, 80, 30
        )
    )
    telemetry.close()
    [attempt] = [dict(one.attributes or {}) for one in exporter.get_finished_spans() if one.parent]
    assert (attempt[c.CACHE_READ_TOKENS], attempt[c.REASONING_TOKENS], attempt[c.PROVIDER]) == (80, 30, "gcp.gemini")


async def test_a_failover_shows_both_attempts(tmp_path: Path) -> None:
    async with watched(tmp_path) as seen:
        seen.runtime.faults.set("openai", [Fault("http_error", status=503)])
        await ask(seen.runtime)
        [root], [failed, answered] = seen.roots, seen.attempts
        about = dict(root.attributes or {})
        assert (about["sandbox.failovers"], about["sandbox.failed_attempts"], about["sandbox.provider"]) == (
            1,
            1,
            "anthropic",
        )
        assert [event.name for event in root.events] == ["failover"]
        assert dict(root.events[0].attributes or {}) == {
            "sandbox.from": "openai", "sandbox.to": "anthropic", "sandbox.reason": "ServiceUnavailableError"
        }  # fmt: skip
        assert (failed.status.status_code, answered.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
        told = dict(failed.attributes or {})
        assert (told[c.ERROR_TYPE], told[c.STATUS_CODE]) == ("ServiceUnavailableError", 503)
        assert c.INPUT_TOKENS not in told
        assert (answered.attributes or {})[c.PROVIDER] == "anthropic"


async def test_a_failure_a_hit_and_a_stream(tmp_path: Path) -> None:
    async with watched(tmp_path, breaker={"mode": "off"}) as seen:
        for id in ("openai", "anthropic"):
            seen.runtime.faults.set(id, [parse_fault("503")])
        with pytest.raises(ProviderError):
            await ask(seen.runtime)
        seen.runtime.faults.clear()
        await ask(seen.runtime)
        await ask(seen.runtime)
        await ask(seen.runtime, stream=True)
        failed, answered, hit, streamed = seen.roots
        assert (failed.status.status_code, (failed.attributes or {})[c.ERROR_TYPE]) == (
            StatusCode.ERROR,
            "ServiceUnavailableError",
        )
        assert (answered.attributes or {})["sandbox.outcome"] == "answered"
        assert ((hit.attributes or {})["sandbox.cached"], [event.name for event in hit.events]) == (True, ["cache hit"])
        assert (streamed.attributes or {})[c.REQUEST_STREAM] is True


async def test_a_stream_tells_its_first_chunk_and_one_that_is_left_ends(tmp_path: Path) -> None:
    async with watched(tmp_path, cache={"backend": "off"}) as seen:
        await ask(seen.runtime, stream=True)
        assert (seen.attempts[0].attributes or {})[c.TIME_TO_FIRST_CHUNK] > 0
        stream = seen.runtime.gateway.stream(GenerationRequest(prompt=PROMPT, model="gpt-4o-mini"))
        async for event in stream:
            if type(event).__name__ == "TextDelta":
                break
        await stream.aclose()
        assert (seen.roots[-1].attributes or {})["sandbox.outcome"] == "cancelled"
        assert len(seen.attempts) == 2


async def test_what_was_paid_for_no_answer_is_on_its_span(tmp_path: Path) -> None:
    async with watched(tmp_path, cache={"backend": "off"}, chain=["openai"], breaker={"mode": "off"}) as seen:
        seen.runtime.faults.set("openai", [parse_fault("stream_cut:5")])
        with pytest.raises(ProviderError):
            await ask(seen.runtime, stream=True)
        seen.runtime.faults.clear()
        async with aclosing(seen.runtime.gateway.stream(GenerationRequest(prompt=PROMPT, model="gpt-4o-mini"))) as left:
            async for event in left:
                if type(event).__name__ == "TextDelta":
                    break
        assert [(one.attributes or {})["sandbox.outcome"] for one in seen.roots] == ["failed", "cancelled"]
        assert seen.runtime.usage is not None
        records = await seen.runtime.usage.recent(UsageFilter(mode="mock"), 10)
        for root, record in zip(seen.roots, reversed(records), strict=True):
            told = (root.attributes or {})["sandbox.waste_usd"]
            assert told == pytest.approx(float(record.waste_cost))
            assert told


async def test_the_metrics_of_the_conventions(tmp_path: Path) -> None:
    async with watched(tmp_path, cache={"backend": "off"}) as seen:
        seen.runtime.faults.set("openai", [parse_fault("503")])
        await ask(seen.runtime)
        durations = seen.points(c.DURATION_METRIC)
        assert {(p.attributes[c.PROVIDER], p.attributes.get(c.ERROR_TYPE)) for p in durations} == {
            ("openai", "ServiceUnavailableError"), ("anthropic", None)
        }  # fmt: skip
        assert durations[0].explicit_bounds == c.DURATION_BUCKETS
        tokens = {p.attributes[c.TOKEN_TYPE]: p for p in seen.points(c.TOKEN_USAGE_METRIC)}
        assert set(tokens) == {"input", "output"}
        assert tokens["output"].sum > 0
        assert tokens["output"].explicit_bounds == c.TOKEN_BUCKETS


def test_the_names_are_those_of_the_conventions() -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as names
    from opentelemetry.semconv._incubating.metrics import gen_ai_metrics as metrics

    theirs = {value for name, value in vars(names).items() if name.startswith("GEN_AI_") and isinstance(value, str)}
    theirs |= {value for name, value in vars(metrics).items() if name.startswith("GEN_AI_")}
    ours = {value for value in vars(c).values() if isinstance(value, str) and value.startswith("gen_ai.")}
    assert ours <= theirs
    assert set(c.PROVIDERS.values()) <= {one.value for one in names.GenAiProviderNameValues}


def test_requests_that_never_end_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "MAX_OPEN", 3)
    bus = Bus()
    exporter = InMemorySpanExporter()
    telemetry = Telemetry(bus, SimpleSpanProcessor(exporter), [])
    for number in range(5):
        bus.publish(RequestReceived(number, f"{number:032x}", "t", "a", None, "mock", False, 60.0))
    assert [(one.attributes or {})["sandbox.outcome"] for one in exporter.get_finished_spans()] == ["lost", "lost"]
    telemetry.close()
    assert not bus.active


# --- a collector ----------------------------------------------------------------------------------------------------


class Collector:
    """Takes OTLP over HTTP on loopback."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {}
        self.headers: list[dict[str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        self.bodies.setdefault(request.path, []).append(body)
        self.headers.append(dict(request.headers))
        return web.Response(body=b"", content_type="application/x-protobuf")


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/{rest:.*}", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield collector, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_what_arrives_at_a_collector_and_what_never_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with collecting() as (collector, url):
        async with await Runtime.open(
            settings(tmp_path, telemetry={"endpoint": url}, breaker={"mode": "off"})
        ) as runtime:
            assert runtime.notes == []
            for fault in (None, "auth", "content_filter", "http_error:503"):
                runtime.faults.set("openai", [parse_fault(fault)] if fault else None)
                for stream in (False, True):
                    with suppress(ProviderError):
                        await ask(runtime, stream=stream)
        assert set(collector.bodies) == {"/v1/traces", "/v1/metrics"}
        traces = [ExportTraceServiceRequest.FromString(one) for one in collector.bodies["/v1/traces"]]
        spans = [s for one in traces for r in one.resource_spans for g in r.scope_spans for s in g.spans]
        assert {one.name for one in spans} >= {"request gpt-4o-mini", "chat gpt-4o-mini"}
        [resource] = {str(r.resource) for one in traces for r in one.resource_spans}
        assert "llm-failover-sandbox" in resource
        metrics = [ExportMetricsServiceRequest.FromString(one) for one in collector.bodies["/v1/metrics"]]
        names = {m.name for one in metrics for r in one.resource_metrics for g in r.scope_metrics for m in g.metrics}
        assert names >= {c.DURATION_METRIC, c.TOKEN_USAGE_METRIC}
        sent = b"".join(b"".join(bodies) for bodies in collector.bodies.values()) + repr(collector.headers).encode()
        assert KEY.encode() not in sent
        assert b"canary-prompt" not in sent
        assert KEY not in caplog.text


# --- what was asked and answered ------------------------------------------------------------------------------------

SECRET_WORDS = f"my key is {KEY} and Bearer tok-canary-0123456789abcdef and sk-ant-canary-0a1b2c3d4e5f6a7b8c9d"


async def told(
    folder: Path, messages: list[dict[str, Any]], *faults: str, content: bool = True, stream: bool = False
) -> tuple[list[Span], bytes]:
    """The spans that reach a collector, and all the bytes that do."""
    async with collecting() as (collector, url):
        told = {"endpoint": url, "content": content}
        async with await Runtime.open(
            settings(folder, telemetry=told, breaker={"mode": "off"}, cache={"backend": "disk"})
        ) as runtime:
            for provider, fault in zip(("openai", "anthropic"), faults, strict=False):
                runtime.faults.set(provider, [parse_fault(fault)])
            request = GenerationRequest(messages=messages, model="gpt-4o-mini")
            for _ in range(2):
                with suppress(ProviderError):
                    if stream:
                        async for _event in runtime.gateway.stream(request):
                            pass
                    else:
                        await runtime.gateway.generate(request)
        traces = [ExportTraceServiceRequest.FromString(one) for one in collector.bodies["/v1/traces"]]
        spans = [s for one in traces for r in one.resource_spans for g in r.scope_spans for s in g.spans]
        return spans, b"".join(b"".join(bodies) for bodies in collector.bodies.values())


def attributes(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


async def test_prompts_and_answers_are_told_where_the_settings_say_so_and_keys_never(tmp_path: Path) -> None:
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"{PROMPT} {SECRET_WORDS}"}]
    spans, sent = await told(tmp_path, asked, "http_error:503")
    attempts = [one for one in spans if one.name.startswith("chat ")]
    failed, answered = attempts
    assert c.INPUT_MESSAGES not in attributes(failed)
    question = json.loads(attributes(answered)[c.INPUT_MESSAGES])
    assert question[0] == {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}
    assert question[1]["parts"][0]["content"].startswith(PROMPT)
    [answer] = json.loads(attributes(answered)[c.OUTPUT_MESSAGES])
    assert (answer["role"], answer["finish_reason"]) == ("assistant", "stop")
    assert answer["parts"][0]["content"]
    # What the cache answers has no attempt: the request itself tells it.
    first, hit = [one for one in spans if one.name.startswith("request ")]
    assert c.INPUT_MESSAGES not in attributes(first)
    assert json.loads(attributes(hit)[c.OUTPUT_MESSAGES]) == [answer]
    for canary in (KEY, "tok-canary", "sk-ant-canary"):
        assert canary.encode() not in sent


async def test_unless_asked_for_neither_prompts_nor_answers_are_told(tmp_path: Path) -> None:
    spans, sent = await told(tmp_path, [{"role": "user", "content": PROMPT}], content=False)
    assert spans
    assert b"canary-prompt" not in sent
    assert not [one for one in spans if "messages" in str(attributes(one))]


async def test_a_failure_tells_what_was_asked_and_a_stream_what_had_come(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": PROMPT}]
    spans, _ = await told(tmp_path / "a", asked, "http_error:503", "http_error:503")
    failed = attributes(next(one for one in spans if one.name.startswith("request ")))
    assert PROMPT in failed[c.INPUT_MESSAGES]
    assert c.OUTPUT_MESSAGES not in failed
    spans, _ = await told(tmp_path / "b", asked, "stream_cut:3", stream=True)
    cut = attributes(next(one for one in spans if one.name.startswith("request ")))
    [partial] = json.loads(cut[c.OUTPUT_MESSAGES])
    assert (partial["finish_reason"], bool(partial["parts"][0]["content"])) == ("error", True)


def test_the_form_of_messages() -> None:
    contents = Contents(["secret-value"])
    asked = [
        {"role": "user", "content": [
            {"type": "text", "text": "what is this? secret-value"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"key": "secret-value"}'}}
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat, says secret-value"},
    ]  # fmt: skip
    assert json.loads(contents.asked(asked)) == [
        {"role": "user", "parts": [{"type": "text", "content": "what is this? [redacted]"}, {"type": "image_url"}]},
        {"role": "assistant", "parts": [
            {"type": "tool_call", "id": "c1", "name": "look", "arguments": '{"key": "[redacted]"}'}
        ]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a cat, says [redacted]"}]},
    ]  # fmt: skip
    assert json.loads(contents.answered("", [ToolCall("c2", "look", "{}")], "tool_calls")) == [
        {"role": "assistant", "finish_reason": "tool_call", "parts": [
            {"type": "tool_call", "id": "c2", "name": "look", "arguments": "{}"}
        ]}
    ]  # fmt: skip


def test_long_texts_are_cut_and_no_key_is_left_at_the_cut() -> None:
    text = "a" * (MAX_CHARS - 10) + " " + KEY
    [message] = json.loads(Contents().asked([{"role": "user", "content": text}]))
    content = message["parts"][0]["content"]
    assert len(content) <= MAX_CHARS + 1
    assert KEY[:8] not in content
    many = [{"role": "user", "content": str(number)} for number in range(MAX_MESSAGES + 5)]
    kept = json.loads(Contents().asked(many))
    assert (len(kept), kept[0]["parts"][0]["content"]) == (MAX_MESSAGES, "5")


async def test_a_listener_in_trouble_costs_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with watched(tmp_path, telemetry={"content": True}) as seen:

        def broken(*_: Any) -> None:
            raise ValueError("no")

        seen.runtime.gateway._ledger._exchanged = broken
        await ask(seen.runtime)
        assert (seen.roots[0].attributes or {})["sandbox.outcome"] == "answered"
    assert "was not taken" in caplog.text


async def test_a_collector_that_is_away_costs_a_request_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(export_module._once, "_told", False)
    async with await Runtime.open(settings(tmp_path, telemetry={"endpoint": "http://127.0.0.1:9"})) as runtime:
        began = asyncio.get_running_loop().time()
        await ask(runtime)
        assert asyncio.get_running_loop().time() - began < 5.0
        ended = asyncio.get_running_loop().time()
    # Left to itself the exporter tries for ten.
    assert asyncio.get_running_loop().time() - ended < 8.0
    [line] = [one.getMessage() for one in caplog.records if one.name.startswith("opentelemetry")]
    assert line.startswith("the collector of telemetry.endpoint takes nothing")


async def test_in_modes_that_stay_here_no_collector_elsewhere_is_told(tmp_path: Path) -> None:
    elsewhere = {"endpoint": "https://collector.example.com"}
    async with await Runtime.open(settings(tmp_path, telemetry=elsewhere)) as runtime:
        assert [note for note in runtime.notes if "telemetry.endpoint" in note]
        await ask(runtime)


def test_no_place_of_a_message_lets_a_key_through() -> None:
    key = "secret-value"
    call = {"id": key, "function": {"name": key, "arguments": key}}
    asked = [
        {"role": key, "content": key},
        {"role": "assistant", "content": [{"type": key}, {"type": "text", "text": key}], "tool_calls": [call]},
        {"role": "tool", "tool_call_id": key, "content": key},
    ]
    contents = Contents([key])
    told = contents.asked(asked) + contents.answered(key, [ToolCall(key, key, key)], "stop")
    assert key not in told
    assert json.loads(contents.asked(asked))[2]["parts"][0]["type"] == "tool_call_response"
