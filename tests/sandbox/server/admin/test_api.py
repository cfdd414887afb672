"""The admin API as an administrator uses it: reading, changing, and the log of what was changed."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from itertools import pairwise
from typing import Any

import pytest

from providers.faults import Fault
from sandbox.server.admin import audit as audit_module
from sandbox.server.admin.audit import FILE
from tests.sandbox.server.admin.support import BOSS, CALLERS, administered, bearer, server_settings, token
from tests.sandbox.server.gateway.support import CHAT, QUICK, Rig, chat

SWITCH = "/api/admin/backend/switch"
BUDGET = "/api/admin/budget"
ENDPOINT = "/api/admin/backend/vllm/endpoint"


async def log(rig: Rig, query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await rig.ask(f"/api/admin/audit{query}", headers=BOSS)).json["items"]
    return items


async def test_a_switch_and_what_the_log_says_of_it(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        before = (await rig.ask("/api/admin/backend/current", headers=BOSS)).json
        assert (before["backend"], before["available_models"]) == ("anthropic", ["haiku", "sonnet", "opus"])
        asked = {"backend": "vllm", "skip_health_check": False}
        answer = await rig.ask(SWITCH, asked, headers=bearer(token()))
        assert (answer.status, answer.json["success"], answer.json["backend"]) == (200, True, "vllm")
        assert answer.json["health"]["healthy"]
        assert (await rig.ask("/api/admin/backend/current", headers=BOSS)).json["backend"] == "vllm"
        [entry] = await log(rig)
        assert entry["timestamp"].endswith("Z")
        assert (entry["who"], entry["action"], entry["outcome"]) == ("token:alice", "backend_switch", "done")
        assert (entry["asked"], entry["before"], entry["after"]) == (
            asked, {"backend": "anthropic"}, {"backend": "vllm"}
        )  # fmt: skip
        assert entry["request_id"] == answer.headers["x-request-id"]


async def test_a_backend_that_is_not_well_is_switched_to_by_force_alone(tmp_path):
    async with administered(tmp_path, **CALLERS, **QUICK) as rig:
        rig.runtime.faults.set("vllm", [Fault("http_error", status=503)])
        refused = await rig.ask(SWITCH, {"backend": "vllm"}, headers=BOSS)
        assert (refused.status, refused.json["success"], refused.json["backend"]) == (200, False, "anthropic")
        assert "not well" in refused.json["message"]
        forced = await rig.ask(SWITCH, {"backend": "vllm", "skip_health_check": True}, headers=BOSS)
        assert (forced.json["success"], forced.json["health"]) == (True, None)
        newest, oldest = await log(rig)
        assert (oldest["outcome"], oldest["after"]) == ("refused", {"backend": "anthropic"})
        assert (newest["outcome"], newest["after"]) == ("done", {"backend": "vllm"})


async def test_a_tier_is_answered_by_the_active_backend(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        first = await rig.ask(CHAT, chat(model="haiku"))
        assert first.headers["x-sandbox-provider"] == "anthropic"
        assert first.json["model"] == "claude-3-haiku-20240307"
        await rig.ask(SWITCH, {"backend": "vllm"}, headers=BOSS)
        second = await rig.ask(CHAT, chat(model="haiku"))
        assert (second.headers["x-sandbox-provider"], second.json["model"]) == ("vllm", "Qwen/Qwen2.5-7B-Instruct")
        other = await rig.ask(CHAT, chat(model="gpt-4o-mini"))
        assert other.headers["x-sandbox-provider"] == "azure_openai", "what is no tier goes where it went"


async def test_a_tier_is_answered_by_the_active_backend_after_another_preset_too(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        await rig.ask("/api/admin/preset", {"preset": "unified"}, headers=BOSS)
        for backend in ("vllm", "anthropic"):
            await rig.ask(SWITCH, {"backend": backend}, headers=BOSS)
            answer = await rig.ask(CHAT, chat(model="haiku"))
            assert (answer.status, answer.headers["x-sandbox-provider"]) == (200, backend)


async def test_the_active_backend_answers_alone(tmp_path):
    async with administered(tmp_path, **CALLERS, **QUICK) as rig:
        rig.runtime.faults.set("anthropic", [Fault("http_error", status=503)])
        answer = await rig.ask(CHAT, chat(model="sonnet"))
        assert (answer.status, answer.headers["x-sandbox-provider"]) == (503, "anthropic")
        assert (await rig.ask(CHAT, chat(model="claude-3-5-sonnet-20241022"))).status == 200, (
            "who names a model fails over"
        )


async def test_costs_follow_traffic_and_budget(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        await rig.ask(CHAT, chat(model="opus"))
        await rig.runtime.usage.flush()
        set_ = await rig.ask(BUDGET, {"budget_limit": 150.0}, headers=BOSS)
        assert (set_.status, set_.json["success"], set_.json["previous_budget_limit"]) == (200, True, None)
        costs = (await rig.ask("/api/admin/costs", headers=BOSS)).json
        assert list(costs)[:6] == ["anthropic", "vllm", "total", "budget_limit", "remaining", "budget_used_percent"]
        assert costs["anthropic"] > 0
        assert (costs["budget_limit"], costs["remaining"]) == (150.0, pytest.approx(150.0 - costs["total"]))
        again = await rig.ask(BUDGET, {"budget_limit": None}, headers=BOSS)
        assert (again.json["budget_limit"], again.json["previous_budget_limit"]) == (None, 150.0)
        newest, oldest = await log(rig)
        assert (oldest["before"], oldest["after"]) == ({"budget_limit": None}, {"budget_limit": 150.0})
        assert (newest["before"], newest["after"]) == ({"budget_limit": 150.0}, {"budget_limit": None})


async def test_a_budget_that_is_used_up_is_429_in_the_callers_format(tmp_path):
    async with administered(tmp_path, chain=["openai", "anthropic"], **CALLERS) as rig:
        await rig.ask(BUDGET, {"budget_limit": 0}, headers=BOSS)
        for path, body in ((CHAT, chat()), ("/v1/messages", chat(max_tokens=9))):
            answer = await rig.ask(path, body)
            assert answer.status == 429
            assert int(answer.headers["retry-after"]) > 0
            assert "budget" in answer.json["error"]["message"]
            assert (answer.json.get("type") == "error") is (path == "/v1/messages")


async def test_metrics_and_health(tmp_path):
    async with administered(tmp_path, **CALLERS, **QUICK) as rig:
        for tier in ("haiku", "haiku", "opus"):
            await rig.ask(CHAT, chat(model=tier))
        rig.runtime.faults.set("anthropic", [Fault("auth")])
        await rig.ask(CHAT, chat(model="sonnet"))
        await rig.runtime.usage.flush()
        told = (await rig.ask("/api/admin/metrics?recent=2", headers=BOSS)).json
        overview = told["overview"]
        assert (overview["total_calls"], overview["successful_calls"], overview["failed_calls"]) == (4, 3, 1)
        assert told["by_model"]["haiku"]["total_calls"] == 2
        assert [one["success"] for one in told["recent_calls"]] == [False, True]
        health = (await rig.ask("/api/admin/backend/health", headers=BOSS)).json
        assert (health["anthropic"]["authenticated"], health["vllm"]["healthy"]) == (False, True)
        one = (await rig.ask("/api/admin/backend/health/anthropic", headers=BOSS)).json
        assert (one["backend"], one["healthy"]) == ("anthropic", False)
        unknown = await rig.ask("/api/admin/backend/health/antropic", headers=BOSS)
        assert (unknown.status, "did you mean 'anthropic'" in unknown.json["error"]["message"]) == (404, True)


# --- the endpoint ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "option", "status"),
    [
        ("http://10.0.0.5:8000", None, 200),
        ("http://10.0.0.5:8000", True, 200),
        ("http://10.0.0.5:8000", False, 400),
        ("http://127.0.0.1:22", False, 400),
        ("http://localhost:6379", False, 400),
        ("http://[::1]:6379", False, 400),
        ("http://2130706433", False, 400),
        ("http://[::ffff:10.0.0.5]", False, 400),
        ("https://vllm.example.com/v1", False, 200),
        ("http://169.254.169.254/latest/meta-data", True, 400),
        ("http://[fd00:ec2::254]", True, 400),
        ("http://0.0.0.0:80", True, 400),
        ("file:///etc/passwd", True, 400),
        ("gopher://10.0.0.5:70", True, 400),
        ("ftp://vllm.example.com", True, 400),
        ("javascript:alert(1)", True, 400),
        ("http://user:secret-word@vllm.example.com", True, 400),
        ("http://", True, 400),
        ("vllm.example.com", True, 400),
        ("https://vllm.example.com/?key=secret-word", True, 400),
        ("", True, 400),
    ],
)
async def test_which_servers_may_be_named(tmp_path, endpoint, option, status):
    async with administered(tmp_path, **server_settings(allow_private_endpoints=option)) as rig:
        answer = await rig.ask(ENDPOINT, {"endpoint": endpoint}, headers=BOSS)
        assert answer.status == status, answer.json
        current = rig.runtime.gateway.registry.get("vllm").provider.base_url
        assert current.startswith(endpoint if status == 200 else "http://localhost:8000")
        entries = await log(rig)
        assert [one["outcome"] for one in entries] == ([] if not endpoint else ["done" if status == 200 else "refused"])
        assert "secret-word" not in str(entries)
        assert "secret-word" not in answer.body.decode()


async def test_live_a_private_address_needs_the_option(tmp_path):
    live = {"mode": "live", "providers": {"vllm": {"base_url": "http://127.0.0.1:9"}}, "chain": ["vllm"]}
    async with administered(tmp_path, **CALLERS, **live) as rig:
        answer = await rig.ask(ENDPOINT, {"endpoint": "http://10.0.0.5:8000"}, headers=BOSS)
        assert answer.status == 400
        assert "server.allow_private_endpoints" in answer.json["error"]["message"]


# --- what is asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        (SWITCH, b"", "the body must be a JSON object with backend, skip_health_check"),
        (SWITCH, b"[]", "the body must be a JSON object"),
        (SWITCH, b"\xff\xfe", "the body must be a JSON object"),
        (SWITCH, b"{}", "the body lacks backend"),
        (SWITCH, b'{"backend": "gpt"}', "backend is wrong: it should be 'anthropic' or 'vllm'"),
        (SWITCH, b'{"backend": "vllm", "skip_health_check": "yes"}', "skip_health_check is wrong"),
        (SWITCH, b'{"backnd": "vllm"}', "unknown field 'backnd': did you mean 'backend'?"),
        (BUDGET, b'{"budget_limit": -1}', "budget_limit is wrong"),
        (BUDGET, b'{"budget_limit": NaN}', "budget_limit is wrong|must be a JSON object"),
        (BUDGET, b'{"budget_limit": 1e30}', "budget_limit is wrong"),
        (BUDGET, b'{"budget_limit": true}', "budget_limit is wrong"),
        (ENDPOINT, b'{"endpoint": 5}', "endpoint is wrong"),
        (SWITCH, b"[" * 5000, "must be a JSON object"),
        (SWITCH, b'{"x":' * 5000, "must be a JSON object|unknown field"),
    ],
)
async def test_a_wrong_body_is_told_and_changes_nothing(tmp_path, path, body, why):
    async with administered(tmp_path, **CALLERS) as rig:
        answer = await rig.ask(path, body, headers=BOSS, method="POST")
        assert answer.status == 400
        assert re.search(why, answer.json["error"]["message"]), answer.json
        assert await log(rig) == []


async def test_a_body_is_json_whatever_its_type_says_and_short(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
            answer = await rig.ask(BUDGET, {"budget_limit": 5}, headers={**BOSS, "content-type": kind})
            assert answer.status == 200
        long = await rig.ask(BUDGET, b'{"budget_limit": 1' + b" " * 70_000 + b"}", headers=BOSS)
        assert long.status == 413


@pytest.mark.parametrize("query", ["?limit=0", "?limit=501", "?limit=x", "?before=-1", "?limt=1", "?limit=1&limit=2"])
async def test_a_wrong_query_is_told(tmp_path, query):
    async with administered(tmp_path, **CALLERS) as rig:
        assert (await rig.ask(f"/api/admin/audit{query}", headers=BOSS)).status == 400


# --- the audit log --------------------------------------------------------------------------------------------------


async def test_the_log_outlives_the_program_and_is_read_in_pages(tmp_path):
    for start in range(2):
        async with administered(tmp_path, **CALLERS) as rig:
            for amount in range(3):
                await rig.ask(BUDGET, {"budget_limit": 10 * start + amount}, headers=BOSS)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    async with administered(tmp_path, **CALLERS) as rig:
        seen: list[float] = []
        query = "?limit=4"
        for _ in range(3):
            page = (await rig.ask(f"/api/admin/audit{query}", headers=BOSS)).json
            seen += [one["asked"]["budget_limit"] for one in page["items"]]
            if page["next"] is None:
                break
            query = f"?limit=4&before={page['next']}"
        assert seen == [12, 11, 10, 2, 1, 0]


async def test_nothing_in_the_log_is_changed_or_taken_out(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        await rig.ask(BUDGET, {"budget_limit": 1}, headers=BOSS)
    connection = sqlite3.connect(tmp_path / FILE)
    try:
        for sql in ("DELETE FROM entry", "UPDATE entry SET who = 'nobody'", "UPDATE entry SET after = NULL"):
            with pytest.raises(sqlite3.IntegrityError, match="only added to"):
                connection.execute(sql)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [(SWITCH, {"backend": "vllm"}), (BUDGET, {"budget_limit": 3}), (ENDPOINT, {"endpoint": "http://x"})],
)
async def test_what_cannot_be_logged_is_not_done(tmp_path, path, body):
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    async with administered(tmp_path, **CALLERS) as rig:
        answer = await rig.ask(path, body, headers=BOSS)
        assert answer.status == 503
        assert "audit log" in answer.json["error"]["message"]
        assert "nothing was changed" in answer.json["error"]["message"]
        current = (await rig.ask("/api/admin/backend/current", headers=BOSS)).json
        assert (current["backend"], list(rig.runtime.budgets)) == ("anthropic", [])
        assert rig.runtime.gateway.registry.get("vllm").provider.base_url != "http://x"
    assert (tmp_path / FILE).read_bytes() == b"no database" * 100


async def test_a_change_whose_end_cannot_be_logged_stays_begun(tmp_path, monkeypatch, caplog):
    async with administered(tmp_path, **CALLERS) as rig:

        def broken(self: Any, *_: Any) -> None:
            raise audit_module.AuditUnavailable("the disk is full")

        monkeypatch.setattr(audit_module.AuditLog, "end", broken)
        assert (await rig.ask(BUDGET, {"budget_limit": 3}, headers=BOSS)).status == 200
        assert [one["outcome"] for one in await log(rig)] == ["begun"]
        assert "the disk is full" in caplog.text


async def test_changes_are_made_one_after_the_other(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        wanted = ["vllm", "anthropic"] * 4
        await asyncio.gather(*(rig.ask(SWITCH, {"backend": one}, headers=BOSS) for one in wanted))
        entries = list(reversed(await log(rig)))
        for earlier, later in pairwise(entries):
            assert later["before"] == earlier["after"]


async def test_where_nobody_is_asked_any_address_of_a_vendor_will_do(tmp_path):
    elsewhere = {"providers": {"anthropic": {"base_url": "http://proxy.example:4000"}}}
    async with administered(tmp_path, **CALLERS, **elsewhere) as rig:
        assert (await rig.ask(CHAT, chat())).status == 200
        assert (await rig.ask("/api/admin/costs", headers=BOSS)).status == 200
