"""What a screen elsewhere has done by the admin API: the works of the rooms, who may, and what is logged."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from providers.faults import Fault
from providers.types import GenerationRequest
from sandbox.comparison.run import Ended
from sandbox.desks import books, compare, places, ward
from sandbox.desks.estimate import Candidates, candidates
from sandbox.desks.wire import read
from sandbox.gateway.call import CallOptions
from sandbox.gateway.checks import HealthWatch
from sandbox.server.admin.rooms import ROOMS
from sandbox.usage.base import Summary, UsageRecord, UsageTotals
from tests.sandbox.server.admin.support import BOSS, CALLERS, CHAT_KEY, METRICS_KEY, administered, bearer
from tests.sandbox.server.gateway.support import CHAT, PROMPT, QUICK, Rig, chat

API = "/api/admin"
SYNC: dict[str, Any] = {"usage": {"durability": "sync"}}


async def asked(rig: Rig, count: int, tenant: str = "acme") -> None:
    for number in range(count):
        await rig.ask(CHAT, chat(f"question {number}"), headers={**BOSS, "x-sandbox-tenant": tenant})


async def logged(rig: Rig) -> list[tuple[str, str, str]]:
    entries = (await rig.ask(f"{API}/audit", headers=BOSS)).json["items"]
    return [(one["who"], one["action"], one["outcome"]) for one in reversed(entries)]


# --- who may --------------------------------------------------------------------------------------------------------


async def test_all_of_it_is_for_administrators_alone(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        for one in ROOMS:
            body = {} if one.body is not None else None
            for headers, status in (({}, 401), (bearer(CHAT_KEY), 403), (bearer(METRICS_KEY), 403)):
                answer = await rig.ask(one.path, body, headers=headers)
                assert answer.status == status, one.path
        assert not await logged(rig)


# --- costs ----------------------------------------------------------------------------------------------------------


async def test_costs_are_told_as_a_screen_on_the_spot_would_be(tmp_path):
    async with administered(tmp_path, **CALLERS, **SYNC) as rig:
        await asked(rig, 3)
        await asked(rig, 1, "umbrella")
        body = {"span": "7d", "path": [["tenant", "acme"]], "by": "request"}
        answer = await rig.ask(f"{API}/costs/view", body, headers=BOSS)
        seen = read(books.Seen, answer.body)
        here: list[Any] = []
        await books.look(books.Asked("7d", (("tenant", "acme"),), "request"), rig.runtime, here.append)
        assert seen.totals == here[0].totals
        assert seen.records == here[0].records
        assert [record.tenant_id for record in seen.records] == ["acme"] * 3
        advice = read(
            books.Advised, (await rig.ask(f"{API}/costs/advice", {"targets": ["openai/gpt-4o"]}, headers=BOSS)).body
        )
        [repriced] = advice.repriced
        assert (repriced.target, repriced.requests) == ("openai/gpt-4o", 4)
        assert read(books.Priced, (await rig.ask(f"{API}/costs/models", headers=BOSS)).body).models


async def test_without_records_that_is_said(tmp_path):
    folder = tmp_path / "no_folder"
    folder.write_text("a file")
    async with administered(folder, **CALLERS) as rig:
        for path in ("costs/view", "usage/totals", "usage/records"):
            answer = await rig.ask(f"{API}/{path}", {}, headers=BOSS)
            assert answer.status == 503
            assert "usage" in answer.json["error"]["message"]


async def test_a_time_that_is_none_is_refused_in_words(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        for by, key in (("day", "yesterday"), ("month", "9999-12")):
            answer = await rig.ask(f"{API}/costs/view", {"path": [[by, key]]}, headers=BOSS)
            assert answer.status == 400
            assert f"'{key}' names no hour, day or month" in answer.json["error"]["message"]


async def test_a_tenants_budget_is_exact_and_logged(tmp_path):
    async with administered(tmp_path, **CALLERS, **SYNC) as rig:
        answer = await rig.ask(f"{API}/costs/budget", {"tenant": "acme", "limit_usd": "3.10"}, headers=BOSS)
        assert answer.json == {"success": True, "tenant": "acme", "limit_usd": "3.10"}
        [budget] = list(rig.runtime.budgets)
        assert (budget.tenant, budget.limit_usd) == ("acme", Decimal("3.10"))
        answer = await rig.ask(f"{API}/costs/budget", {"tenant": "acme", "limit_usd": None}, headers=BOSS)
        assert answer.json["limit_usd"] is None
        assert not list(rig.runtime.budgets)
        assert await logged(rig) == [("key:boss", "budget_change", "done")] * 2
        # In full it would be a million characters.
        answer = await rig.ask(f"{API}/costs/budget", {"limit_usd": "1e-1000000"}, headers=BOSS)
        assert (answer.status, len(answer.body) < 500) == (400, True)


async def test_records_are_told_line_by_line_and_summed(tmp_path):
    async with administered(tmp_path, **CALLERS, **SYNC) as rig:
        await asked(rig, 3)
        await asked(rig, 2, "umbrella")
        answer = await rig.ask(f"{API}/usage/records", {"tenant_id": "acme"}, headers=BOSS)
        records = [read(UsageRecord, line) for line in answer.body.splitlines()]
        assert [record.tenant_id for record in records] == ["acme"] * 3
        totals = read(UsageTotals, (await rig.ask(f"{API}/usage/totals", {}, headers=BOSS)).body)
        assert totals.requests == 5
        summary = read(Summary, (await rig.ask(f"{API}/usage/summary", {}, headers=BOSS)).body)
        assert summary.totals == totals
        assert {name: sums.requests for name, sums in summary.parts["tenant"]} == {"acme": 3, "umbrella": 2}


# --- health ---------------------------------------------------------------------------------------------------------


async def test_providers_are_told_with_what_became_of_them_before_anybody_looked(tmp_path):
    async with administered(tmp_path, **CALLERS, retry={"retries": 0}) as rig:
        rig.fail("azure_openai", "503")
        await asked(rig, 6)
        seen = read(ward.Providers, (await rig.ask(f"{API}/providers?seconds=60&columns=10", headers=BOSS)).body)
        first = next(one for one in seen.providers if one.id == "azure_openai")
        assert (first.window.traffic.failures, first.light.state) == (5, "open")
        assert [type(one).__name__ for one in first.changes] == ["BreakerOpened"]
        assert not seen.watched


async def test_another_preset_is_watched_too(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        answer = await rig.ask(f"{API}/preset", {"preset": "happyos"}, headers=BOSS)
        assert answer.json == {"success": True, "preset": "happyos"}
        await asked(rig, 2)
        seen = read(ward.Providers, (await rig.ask(f"{API}/providers", headers=BOSS)).body)
        assert seen.preset == "happyos"
        assert sum(one.window.both.calls for one in seen.providers) == 2
        bad = await rig.ask(f"{API}/preset", {"preset": "happy"}, headers=BOSS)
        assert bad.status == 400
        assert "happyos" in bad.json["error"]["message"]
        assert await logged(rig) == [("key:boss", "preset_change", "done"), ("key:boss", "preset_change", "refused")]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[HealthWatch]:
    """Whose rounds were begun."""
    found: list[HealthWatch] = []
    start = HealthWatch.start

    async def started(self: HealthWatch) -> None:
        found.append(self)
        await start(self)

    monkeypatch.setattr(HealthWatch, "start", started)
    return found


async def test_the_monitor_goes_over_to_another_preset_although_nobody_looks(tmp_path, begun):
    async with administered(tmp_path, **CALLERS) as rig:
        await rig.ask(f"{API}/providers/monitor", {"on": True}, headers=BOSS)
        await rig.ask(f"{API}/preset", {"preset": "happyos"}, headers=BOSS)
        assert [(one._gateway is rig.runtime.gateway, one.running) for one in begun] == [(False, False), (True, True)]


async def test_two_who_look_after_another_preset_leave_no_rounds_to_nobody(tmp_path, begun):
    async with administered(tmp_path, **CALLERS) as rig:
        await rig.ask(f"{API}/providers/monitor", {"on": True}, headers=BOSS)
        rig.runtime.use_preset("happyos")
        answers = await asyncio.gather(*(rig.ask(f"{API}/providers", headers=BOSS) for _ in range(3)))
        assert all(read(ward.Providers, one.body).watched for one in answers)
        assert [one.running for one in begun] == [False, True]


async def test_a_check_puts_back_asks_and_is_no_change_by_itself(tmp_path):
    async with administered(tmp_path, **CALLERS, **QUICK) as rig:
        answer = await rig.ask(f"{API}/providers/check", {"providers": ["openai", "openai"]}, headers=BOSS)
        assert answer.json == {"success": True, "foreseen": None}
        assert not await logged(rig)
        await rig.ask(f"{API}/providers/check", {"providers": ["openai"], "enable": True}, headers=BOSS)
        assert await logged(rig) == [("key:boss", "provider_enable", "done")]
        seen = read(ward.Providers, (await rig.ask(f"{API}/providers", headers=BOSS)).body)
        [openai] = [one for one in seen.providers if one.id == "openai"]
        assert openai.check is not None
        assert openai.check.is_healthy
        assert openai.window.checks.calls == 2
        unknown = await rig.ask(f"{API}/providers/check", {"providers": ["opanai"]}, headers=BOSS)
        assert unknown.status == 404


async def test_a_check_that_hangs_keeps_nobody_from_forcing_a_breaker(tmp_path):
    async with administered(tmp_path, **CALLERS, **QUICK) as rig:
        rig.runtime.faults.set("openai", Fault("timeout"))
        check = asyncio.create_task(
            rig.ask(f"{API}/providers/check", {"providers": ["openai"], "enable": True}, headers=BOSS)
        )
        # The enabling is in the log before the question is asked.
        while not await logged(rig):
            await asyncio.sleep(0)
        forced = await rig.ask(f"{API}/breaker", {"provider": "openai", "command": "force_open"}, headers=BOSS)
        assert forced.status == 200
        assert not check.done()
        check.cancel()
        await asyncio.gather(check, return_exceptions=True)


async def test_the_monitor_goes_on_and_off_and_the_log_says_so(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        for on in (True, False):
            answer = await rig.ask(f"{API}/providers/monitor", {"on": on}, headers=BOSS)
            assert answer.json == {"success": True, "foreseen": None}
            assert read(ward.Providers, (await rig.ask(f"{API}/providers", headers=BOSS)).body).watched is on
        assert await logged(rig) == [("key:boss", "monitor_change", "done")] * 2


# --- stores ---------------------------------------------------------------------------------------------------------


async def test_stores_are_told_tried_and_switched(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        kept = read(places.Kept, (await rig.ask(f"{API}/stores", headers=BOSS)).body)
        assert [one.part for one in kept.stores] == ["cache", "usage"]
        found = read(places.Found, (await rig.ask(f"{API}/stores/check", {"place": "local"}, headers=BOSS)).body)
        assert all(one.ok for one in found.checks)
        done = await rig.ask(f"{API}/stores/switch", {"place": "local"}, headers=BOSS)
        assert done.json["success"]
        refused = await rig.ask(f"{API}/stores/switch", {"place": "aws", "part": "usage"}, headers=BOSS)
        assert refused.status == 400
        assert "nothing was changed" in refused.json["error"]["message"]
        assert await logged(rig) == [("key:boss", "store_switch", "done"), ("key:boss", "store_switch", "refused")]


# --- asking ---------------------------------------------------------------------------------------------------------


async def test_what_a_question_may_cost_is_told_before_anybody_is_asked(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        question = {
            "body": chat(model="openai/gpt-4o", max_tokens=100, fallbacks=["gemini/gemini-2.5-flash"]),
            "strategy": None,
        }
        answer = await rig.ask(f"{API}/estimate", question, headers=BOSS)
        found = read(Candidates, answer.body)
        request = GenerationRequest(prompt=PROMPT, model="openai/gpt-4o", max_tokens=100)
        options = CallOptions(fallbacks=("gemini/gemini-2.5-flash",))
        assert found == candidates(rig.runtime.gateway, request, options)
        assert [(provider, usd is not None and usd > 0) for provider, _, usd in found] == [
            ("openai", True),
            ("gemini", True),
        ]
        assert not rig.tally.requests
        # A tier goes to the active backend alone.
        tier = await rig.ask(f"{API}/estimate", {"body": chat(model="haiku")}, headers=BOSS)
        assert [provider for provider, *_ in read(Candidates, tier.body)] == ["anthropic"]
        for wrong, says in (
            ({"body": chat(model="gpt-5000")}, "unknown model 'gpt-5000'"),
            ({"body": {}}, "messages"),
            ({"body": chat(), "strategy": "cheapest"}, "x-sandbox-strategy"),
        ):
            refused = await rig.ask(f"{API}/estimate", wrong, headers=BOSS)
            assert (refused.status, says in refused.json["error"]["message"]) == (400, True)


# --- comparing ------------------------------------------------------------------------------------------------------


def steps(body: bytes) -> list[Any]:
    found: list[Any] = []
    for event in body.decode().split("\n\n"):
        if not event:
            continue
        name, data = (line.partition(": ")[2] for line in event.splitlines())
        found.append(name if name == "end" else read(compare.STEPS[name], data.encode()))
    return found


async def test_models_are_compared_past_the_cache_each_at_its_own_provider(tmp_path):
    async with administered(tmp_path, **CALLERS, **QUICK, cache={"backend": "disk"}) as rig:
        rig.fail("anthropic", "503")
        keys = ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]
        answer = await rig.ask(f"{API}/compare", {"prompt": "hello", "keys": keys, "repeat": 2}, headers=BOSS)
        entered, *told, end = steps(answer.body)
        assert (entered.mode, [one.key for one in entered.contestants], end) == ("mock", keys, "end")
        ended = {one.cell[1:]: one.sample for one in told if isinstance(one, Ended)}
        assert {cell: sample.status for cell, sample in ended.items()} == {
            (0, 0): "answered", (0, 1): "answered", (1, 0): "failed", (1, 1): "failed",
        }  # fmt: skip
        assert all(sample.cost_usd for cell, sample in ended.items() if cell[0] == 0)


async def test_who_is_no_model_is_said_before_anything_is_asked(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        answer = await rig.ask(f"{API}/compare", {"prompt": "hello", "keys": ["gpt-5000"]}, headers=BOSS)
        assert answer.status == 400
        assert "unknown model 'gpt-5000'" in answer.json["error"]["message"]
        assert not rig.tally.requests


async def test_a_comparison_that_is_left_ends_there_too(tmp_path):
    async with administered(tmp_path, **CALLERS, **QUICK) as rig:
        rig.runtime.faults.set("openai", Fault("stream_stall", after_tokens=1))
        body = {"prompt": "hello", "keys": ["openai/gpt-4o-mini"]}
        async with rig.session.post(f"{rig.server.url}{API}/compare", json=body, headers=BOSS) as response:
            await response.content.readuntil(b"event: Wrote")
            response.close()
        while rig.server.under_way:
            await asyncio.sleep(0)
        assert rig.tally.cancelled == 1


@pytest.mark.parametrize("strategy", ["least_cost", "round_robin"])
async def test_a_caller_may_choose_the_strategy(tmp_path, strategy: str):
    async with administered(tmp_path, **CALLERS) as rig:
        answer = await rig.ask(CHAT, chat(), headers={**BOSS, "x-sandbox-strategy": strategy})
        assert answer.status == 200
        bad = await rig.ask(CHAT, chat(), headers={**BOSS, "x-sandbox-strategy": strategy[:-1]})
        assert bad.status == 400
        assert strategy in bad.json["error"]["message"]
