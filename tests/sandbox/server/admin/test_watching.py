"""What a watcher is told of the gateway, and what it may do to it: each change is in the log, and acts at once."""

from __future__ import annotations

from typing import Any

import pytest

from providers.faults import Fault
from tests.sandbox.server.admin.support import BOSS, CALLERS, CHAT_KEY, administered, bearer
from tests.sandbox.server.gateway.support import CHAT, QUICK, chat

STATE = "/api/admin/gateway"
FAULTS = "/api/admin/faults"
BREAKER = "/api/admin/breaker"


async def test_the_state_is_what_a_screen_needs(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        rig.runtime.gateway.breaker("openai").force_open()
        rig.runtime.faults.set("bedrock", Fault("stream_cut", after_tokens=12))
        state = (await rig.ask(STATE, headers=BOSS)).json
        assert (state["mode"], state["preset"], state["strategy"]) == ("mock", "sandbox", "priority")
        by_id = {one["id"]: one for one in state["providers"]}
        assert list(by_id) == [one.id for one in rig.runtime.gateway.registry]
        assert by_id["openai"]["breaker"] == "forced_open"
        assert by_id["anthropic"] == {
            "id": "anthropic", "kind": "anthropic", "model": by_id["anthropic"]["model"],
            "breaker": "closed", "retry_after_s": None, "disabled": None,
        }  # fmt: skip
        assert state["faults"] == {"bedrock": [{"kind": "stream_cut", "after_tokens": 12}]}
        assert by_id["anthropic"]["model"] in state["models"]
        assert state["spent_usd"] is None


async def test_what_was_spent_is_told_since_a_time(tmp_path):
    async with administered(tmp_path, **CALLERS, **QUICK, usage={"durability": "sync"}) as rig:
        await rig.ask(CHAT, chat("gpt-4o"))
        spent = (await rig.ask(f"{STATE}?since_us=0", headers=BOSS)).json["spent_usd"]
        assert float(spent) > 0
        assert (await rig.ask(f"{STATE}?since_us={2**62}", headers=BOSS)).json["spent_usd"] == "0"


@pytest.mark.parametrize(
    ("fault", "kind"), [("503", "http_error"), ({"kind": "rate_limit", "retry_after": "2s"}, "rate_limit")]
)
async def test_a_provider_is_broken_and_healed_and_the_log_says_by_whom(tmp_path, fault: Any, kind: str):
    async with administered(tmp_path, **CALLERS, **QUICK) as rig:
        answer = await rig.ask(FAULTS, {"provider": "azure_openai", "fault": fault}, headers=BOSS)
        assert answer.status == 200
        assert [one["kind"] for one in answer.json["faults"]["azure_openai"]] == [kind]
        failed_over = await rig.ask(CHAT, chat("gpt-4o"))
        assert failed_over.headers["x-sandbox-failovers"] == "1"
        healed = await rig.ask(FAULTS, {"provider": None, "fault": None}, headers=BOSS)
        assert healed.json["faults"] == {}
        assert not rig.runtime.faults.all()
        entries = (await rig.ask("/api/admin/audit", headers=BOSS)).json["items"]
        assert [(one["who"], one["action"], one["outcome"]) for one in entries] == [
            ("key:boss", "fault_change", "done")
        ] * 2
        assert entries[0]["before"]["faults"]["azure_openai"][0]["kind"] == kind


async def test_a_breaker_is_forced_and_let_go(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        forced = await rig.ask(BREAKER, {"provider": "openai", "command": "force_open"}, headers=BOSS)
        assert (forced.status, forced.json["breaker"]) == (200, "forced_open")
        assert (await rig.ask(BREAKER, {"provider": "openai", "command": "reset"}, headers=BOSS)).json[
            "breaker"
        ] == "closed"
        assert (await rig.ask(BREAKER, {"provider": "openai", "command": "enable"}, headers=BOSS)).status == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        (FAULTS, {"provider": "opena", "fault": "503"}, 404, "openai"),
        (FAULTS, {"provider": "openai", "fault": "5O3"}, 400, "5O3"),
        (FAULTS, {"provider": "openai", "fault": {"kind": "timeout", "status": 1}}, 400, "status"),
        (FAULTS, {"provider": "openai"}, 400, "lacks fault"),
        (BREAKER, {"provider": "nobody", "command": "reset"}, 404, "nobody"),
        (BREAKER, {"provider": "openai", "command": "explode"}, 400, "command"),
    ],
)
async def test_what_is_asked_wrongly_changes_nothing(tmp_path, path: str, body: Any, status: int, says: str):
    async with administered(tmp_path, **CALLERS, **QUICK) as rig:
        answer = await rig.ask(path, body, headers=BOSS)
        assert answer.status == status
        assert says in answer.json["error"]["message"]
        assert not rig.runtime.faults.all()


@pytest.mark.parametrize("path", [STATE, FAULTS, BREAKER])
async def test_it_takes_an_administrator(tmp_path, path: str):
    async with administered(tmp_path, **CALLERS) as rig:
        body = None if path == STATE else {}
        assert (await rig.ask(path, body)).status == 401
        assert (await rig.ask(path, body, headers=bearer(CHAT_KEY))).status == 403
