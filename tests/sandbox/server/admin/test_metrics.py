"""What `/metrics` tells, that its labels have a bound, and that it tells nothing of machine, callers or texts."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.core.events import AttemptFailed, RequestCompleted
from sandbox.server.admin import meters as meters_module
from sandbox.server.admin.meters import OTHER, Durations, Meters
from sandbox.usage.base import UsageFilter
from tests.sandbox.server.admin.support import BOSS, CALLERS, administered, bearer, server_settings
from tests.sandbox.server.gateway.support import CHAT, PROMPT, QUICK, Rig, chat


async def scraped(rig: Rig) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = await rig.ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_requests_attempts_tokens_and_money(tmp_path):
    async with administered(tmp_path, **CALLERS, chain=["openai", "anthropic"], cache={"backend": "disk"}) as rig:
        rig.fail("openai", "http_error:503")
        for _ in range(2):  # the second is answered from the cache
            await rig.ask(CHAT, chat())
        await rig.ask("/api/admin/budget", {"budget_limit": 20}, headers=BOSS)

        found = await scraped(rig)

        def value(name: str, **labels: str) -> float:
            return found[name, frozenset(labels.items())]

        assert value("sandbox_requests_total", outcome="answered") == 1
        assert value("sandbox_requests_total", outcome="cached") == 1
        assert value("sandbox_attempts_total", provider="openai", outcome="ServiceUnavailableError") == 2
        assert value("sandbox_attempts_total", provider="anthropic", outcome="ok") == 1
        assert value("sandbox_retries_total", provider="openai") == 1
        assert value("sandbox_failovers_total", **{"from": "openai", "to": "anthropic"}) == 1
        [model] = {dict(labels)["model"] for name, labels in found if name == "sandbox_cost_usd_total"}
        assert value("sandbox_cost_usd_total", provider="anthropic", model=model) == pytest.approx(
            float(rig.tally.cost_usd)
        )
        assert value("sandbox_tokens_total", provider="anthropic", model=model, type="output") > 0
        assert value("sandbox_saved_usd_total") == pytest.approx(float(rig.tally.cost_usd))
        assert value("sandbox_request_duration_seconds_count", outcome="answered") == 1
        assert value("sandbox_breaker_state", provider="openai", state="closed") == 1
        assert value("sandbox_budget_limit_usd") == 20
        assert value("sandbox_budget_used_usd") == pytest.approx(float(rig.tally.cost_usd))
        assert value("sandbox_requests_in_flight") == 0
        assert found["process_resident_memory_bytes", frozenset()] > 0


async def test_what_was_paid_for_no_answer_is_waste_as_its_records_say(tmp_path):
    async with administered(tmp_path, **CALLERS, chain=["openai"], **QUICK) as rig:
        rig.fail("openai", "stream_cut:5")
        await rig.stream(chat())
        rig.fail("openai", "stream_stall:5")
        async with rig.session.post(rig.server.url + CHAT, json=chat(stream=True)) as left:
            await left.content.readuntil(b"content")
        async with asyncio.timeout(10):
            while rig.tally.requests < 2:
                await asyncio.sleep(0)
        assert (rig.tally.failed, rig.tally.cancelled) == (1, 1)
        found = await scraped(rig)
        assert rig.runtime.usage is not None
        records = await rig.runtime.usage.recent(UsageFilter(mode="mock"), 10)
        wasted = [one.waste_cost for one in records]
        assert len(wasted) == 2
        assert all(wasted)
        assert found["sandbox_waste_usd_total", frozenset()] == pytest.approx(float(sum(wasted)))
        assert rig.tally.cost_usd == sum(wasted)


async def test_what_is_refused_and_what_is_broken(tmp_path):
    limited = server_settings(requests_per_minute=2, require_key=True)
    async with administered(tmp_path, chain=["openai"], **limited, **QUICK) as rig:
        rig.fail("openai", "auth")
        await rig.ask(CHAT, chat())
        for _ in range(3):
            await rig.ask("/v1/models", headers=BOSS)
        rig.runtime.gateway.breaker("openai").force_open()
        found = await scraped(rig)
        assert found["sandbox_refusals_total", frozenset({("reason", "access")})] == 4
        assert found["sandbox_breaker_state", frozenset({("provider", "openai"), ("state", "forced_open")})] == 1


async def test_nothing_of_the_machine_the_callers_or_the_texts_is_told(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        headers = {
            **bearer("sk-canary-4f1d9a7e2c8b6a5d"),
            "x-sandbox-tenant": "tenant-canary",
            "x-sandbox-agent": "agent-canary",
        }
        await rig.ask(CHAT, chat(), headers=headers)
        text = (await rig.ask("/metrics")).body.decode()
        for word in ("canary", PROMPT, "python_info", "python_gc", str(tmp_path), "platform"):
            assert word not in text
        names = {line.partition("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")}
        assert all(name.startswith(("sandbox_", "process_")) for name in names)


def completed(model: str, provider: str = "openai") -> RequestCompleted:
    return RequestCompleted(
        0, "r", provider, model, "stop", 1, 1, False, Decimal("0.1"), Decimal(0), 5.0, None, 0, False
    )


def test_labels_have_a_bound():
    meters = Meters()
    for number in range(meters_module.MAX_LABELS + 50):
        meters(completed(f"model-{number}"))
        meters(AttemptFailed(0, "r", f"provider-{number}", "m", 0, f"Error{number}", "", None, 1.0))
    assert len(meters.tokens) == 2 * (meters_module.MAX_LABELS + 1)
    assert meters.tokens["openai", OTHER, "input"] == 50
    assert len({provider for provider, _ in meters.attempts}) <= meters_module.MAX_LABELS + 1
    assert sum(meters.cost_usd.values()) == Decimal("0.1") * (meters_module.MAX_LABELS + 50)


def test_an_unpriced_answer_is_not_free():
    meters = Meters()
    one = completed("m")
    meters(RequestCompleted(*[None if f == "cost_usd" else getattr(one, f) for f in one.__dataclass_fields__]))
    assert (meters.cost_usd, meters.unpriced["openai", "m"]) == ({}, 1)


def test_a_histogram_counts_upwards():
    durations = Durations()
    for seconds in (0.001, 0.005, 0.3, 500.0):
        durations.add(seconds)
    told = dict(durations.cumulative())
    assert (told["0.005"], told["0.25"], told["0.5"], told["120.0"], told["+Inf"]) == (2, 2, 3, 3, 4)


async def test_scrapes_at_once_are_all_answered(tmp_path):
    async with administered(tmp_path) as rig:
        assert {one.status for one in await asyncio.gather(*(rig.ask("/metrics") for _ in range(5)))} == {200}
