"""Who gets in, by which key or token; what is told of it, and what is never told."""

from __future__ import annotations

import io
import logging
import re

import jwt
import pytest

from providers.errors import ConfigError
from sandbox.access import keys
from sandbox.access.tokens import LEEWAY_S
from sandbox.core.trace import encode
from sandbox.runtime import Runtime
from sandbox.server.admin import AdminServer
from sandbox.server.admin.limits import MAX_USERS, UserLimits
from sandbox.server.admin.operations import OPERATIONS
from tests.fake_clock import FakeClock
from tests.sandbox.server.admin.support import (
    ADMIN_KEY,
    BOSS,
    CALLERS,
    CHAT_KEY,
    KEYS,
    METRICS_KEY,
    SECRET,
    StillClock,
    administered,
    bearer,
    server_settings,
    token,
)
from tests.sandbox.server.gateway.support import BODIES, CHAT, MESSAGES, chat, settings

COSTS = "/api/admin/costs"
NOW = 1_735_689_600
CLAIMS = {"sub": "alice", "role": "admin", "aud": "sandbox", "exp": NOW + 600}
UNSIGNED = jwt.encode(CLAIMS, None, algorithm="none")
ADMIN_PATHS = [(one.method, one.path.replace("{backend}", "vllm")) for one in OPERATIONS] + [
    ("GET", "/api/admin/events")
]


def signed(**changes: object) -> str:
    return jwt.encode({k: v for k, v in {**CLAIMS, **changes}.items() if v is not None}, SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    ("credential", "status"),
    [
        (ADMIN_KEY, 200),
        (signed(), 200),
        (None, 401),
        (UNSIGNED, 401),
        (jwt.encode(CLAIMS, SECRET * 2, algorithm="HS512"), 401),
        (jwt.encode(CLAIMS, "another secret of thirty-two byte", algorithm="HS256"), 401),
        (signed(exp=NOW - 60), 401),
        (signed(exp=None), 401),
        (signed(aud="others"), 401),
        (signed(aud=None), 401),
        (signed(role=None), 401),
        (signed(role="user"), 403),
        (signed()[:-10], 401),
        (signed().rpartition(".")[0], 401),
        (ADMIN_KEY[:-1], 401),
        (CHAT_KEY, 403),
        (METRICS_KEY, 403),
        (keys.digest(ADMIN_KEY), 401),
    ],
)
async def test_who_may_administer(tmp_path, credential, status):
    async with administered(tmp_path, clock=StillClock(), **CALLERS) as rig:
        headers = {} if credential is None else bearer(credential)
        answer = await rig.ask(COSTS, headers=headers)
        assert answer.status == status
        assert (answer.headers.get("www-authenticate") == "Bearer") is (status == 401)
        if status != 200:
            assert credential is None or credential not in answer.body.decode()


@pytest.mark.parametrize(("method", "path"), ADMIN_PATHS)
async def test_every_path_of_the_admin_api_asks_who_it_is(tmp_path, method, path):
    async with administered(tmp_path, **CALLERS) as rig:
        for spelling in (path, path.replace("admin", "%61dmin")):
            assert (await rig.ask(spelling, method=method)).status == 401
            assert (await rig.ask(spelling, method=method, headers=bearer(CHAT_KEY))).status == 403
        assert (await rig.ask(path + "/", method=method, headers=BOSS)).status == 404


async def test_a_token_that_was_overheard_opens_no_other_server_and_nothing_when_it_has_ended(tmp_path):
    clock = StillClock()
    overheard = bearer(token(seconds=60, clock=clock))
    async with administered(tmp_path / "a", clock=clock, **CALLERS) as rig:
        # Until then it is whoever holds it, as often as he likes.
        assert [(await rig.ask(COSTS, headers=overheard)).status for _ in range(2)] == [200, 200]
        clock.now += 60 + LEEWAY_S
        assert (await rig.ask(COSTS, headers=overheard)).status == 401
    clock.now = 0
    for other in ({"audience": "another"}, {"jwt_secret": SECRET[::-1]}):
        async with administered(tmp_path / "b", clock=clock, **server_settings(**other)) as rig:
            assert (await rig.ask(COSTS, headers=overheard)).status == 401


async def test_a_change_is_made_by_nobody_who_may_not(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        await rig.ask("/api/admin/budget", {"budget_limit": 0}, headers=bearer(CHAT_KEY))
        assert list(rig.runtime.budgets) == []
        assert (await rig.ask("/api/admin/audit", headers=BOSS)).json["items"] == []


# --- the token of one start -----------------------------------------------------------------------------------------


async def test_without_an_administrator_a_start_has_a_token_of_its_own(tmp_path):
    tokens = []
    for _ in range(2):
        async with administered(tmp_path) as rig:
            assert (await rig.ask(COSTS)).status == 401
            made = rig.server.admin_token
            assert made is not None
            assert (await rig.ask(COSTS, headers=bearer(made))).status == 200
            assert (await rig.ask(COSTS, headers=bearer(made[:-1]))).status == 401
            # One that was overheard at an earlier start opens nothing.
            for earlier in tokens:
                assert (await rig.ask(COSTS, headers=bearer(earlier))).status == 401
            tokens.append(made)
    assert len(set(tokens)) == 2
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or not any(one.encode() in file.read_bytes() for one in tokens), file


@pytest.mark.parametrize(
    ("server", "made"),
    [({"keys": KEYS}, False), ({"jwt_secret": SECRET}, False), ({"keys": KEYS[1:]}, True), ({}, True)],
)
async def test_a_token_is_made_where_nobody_may_administer(tmp_path, server, made):
    async with administered(tmp_path, server=server) as rig:
        assert (rig.server.admin_token is not None) is made


# --- the vendors' endpoints -----------------------------------------------------------------------------------------


async def test_on_this_machine_any_key_will_do(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        for headers in ({}, bearer("x"), bearer(ADMIN_KEY), {"x-api-key": "x"}):
            assert (await rig.ask(CHAT, chat(), headers=headers)).status == 200


async def test_where_a_key_is_required_its_scope_counts(tmp_path):
    async with administered(tmp_path, **server_settings(require_key=True)) as rig:
        for path in (CHAT, MESSAGES):
            refused = await rig.ask(path, BODIES[path])
            assert refused.status == 401
            assert (refused.json.get("type") == "error") is (path == MESSAGES)
            assert (await rig.ask(path, BODIES[path], headers=bearer("x"))).status == 401
            assert (await rig.ask(path, BODIES[path], headers=bearer(METRICS_KEY))).status == 403
            assert (await rig.ask(path, BODIES[path], headers=bearer(ADMIN_KEY))).status == 403
            for good in (bearer(CHAT_KEY), {"x-api-key": CHAT_KEY}, {"api-key": CHAT_KEY}, bearer(token("user"))):
                assert (await rig.ask(path, BODIES[path], headers=good)).status == 200
        assert (await rig.ask("/v1/models")).status == 401
        assert (await rig.ask("/nowhere")).status == 401
        for path in ("/healthz", "/openapi.json", "/metrics"):
            assert (await rig.ask(path)).status == 200
        assert rig.tally.requests == 8


async def test_beyond_this_machine_callers_are_asked_and_without_callers_it_is_not_served(tmp_path):
    async with Runtime.of(settings(tmp_path)) as runtime:
        with pytest.raises(ConfigError, match="sandbox admin key create"):
            AdminServer(runtime, host="0.0.0.0", port=0)
    async with Runtime.of(settings(tmp_path, **CALLERS)) as runtime:
        import aiohttp

        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            AdminServer(runtime, host="0.0.0.0", port=0) as server,
            aiohttp.ClientSession(connector=connector) as session,
        ):

            async def status(path: str, headers: dict[str, str]) -> int:
                url = f"http://127.0.0.1:{server.port}{path}"
                body = None if path == "/metrics" else chat()
                async with session.request("GET" if body is None else "POST", url, json=body, headers=headers) as one:
                    return one.status

            assert server.asks_callers
            assert await status(CHAT, {}) == 401
            assert await status(CHAT, bearer(CHAT_KEY)) == 200
            assert await status("/metrics", {}) == 401
            assert await status("/metrics", bearer(CHAT_KEY)) == 403
            assert await status("/metrics", bearer(METRICS_KEY)) == 200
            assert await status("/metrics", BOSS) == 200


# --- limits ---------------------------------------------------------------------------------------------------------


async def test_each_user_has_a_limit_of_his_own(tmp_path):
    clock = StillClock()
    async with administered(tmp_path, clock=clock, **server_settings(requests_per_minute=2)) as rig:
        for path in (CHAT, MESSAGES):
            headers = {"x-sandbox-tenant": path}
            for _ in range(2):
                assert (await rig.ask(path, BODIES[path], headers=headers)).status == 200
            refused = await rig.ask(path, BODIES[path], headers=headers)
            assert (refused.status, refused.headers["retry-after"]) == (429, "30")
            assert "2 requests a minute" in refused.json["error"]["message"]
            assert (refused.json.get("type") == "error") is (path == MESSAGES)
        # A key is somebody else, whatever tenant it names, and so is an address without either.
        named = {**bearer(CHAT_KEY), "x-sandbox-tenant": CHAT}
        assert [(await rig.ask(CHAT, chat(), headers=named)).status for _ in range(3)] == [200, 200, 429]
        assert [(await rig.ask(CHAT, chat())).status for _ in range(3)] == [200, 200, 429]
        assert [(await rig.ask(CHAT, chat(), headers=BOSS)).status for _ in range(3)] == [200, 200, 429]
        assert [(await rig.ask("/healthz")).status for _ in range(3)] == [200, 200, 200]
        clock.now += 30
        assert [(await rig.ask(CHAT, chat())).status for _ in range(2)] == [200, 429]


async def test_who_administers_is_not_limited_in_that_and_who_may_not_is(tmp_path):
    async with administered(tmp_path, clock=StillClock(), **server_settings(requests_per_minute=2)) as rig:
        for path in (COSTS, "/api/admin/providers"):
            assert [(await rig.ask(path, headers=BOSS)).status for _ in range(3)] == [200, 200, 200]
        assert [(await rig.ask(CHAT, chat(), headers=BOSS)).status for _ in range(3)] == [200, 200, 429]
        for headers, status in ((bearer(CHAT_KEY), 403), (bearer("sk-guessed"), 401)):
            assert [(await rig.ask(COSTS, headers=headers)).status for _ in range(3)] == [status, status, 429]


async def test_a_quota_of_a_backend_moves_requests_on_and_then_refuses_them(tmp_path):
    clock = StillClock()
    clock.now = 43_200.0
    quotas = {"providers": {"openai": {"requests_per_day": 1}, "anthropic": {"requests_per_day": 1}}}
    async with administered(tmp_path, clock=clock, chain=["openai", "anthropic"], **quotas) as rig:
        served = [(await rig.ask(CHAT, chat())).headers["x-sandbox-provider"] for _ in range(2)]
        assert served == ["openai", "anthropic"]
        for path in (CHAT, MESSAGES):
            refused = await rig.ask(path, BODIES[path])
            assert (refused.status, refused.headers["retry-after"]) == (429, "43200")
            assert (refused.json.get("type") == "error") is (path == MESSAGES)
        clock.now += 43_200
        assert (await rig.ask(CHAT, chat())).status == 200


def test_the_users_that_are_remembered_have_a_bound():
    limits = UserLimits(1, FakeClock())
    for number in range(MAX_USERS + 10):
        limits.take(f"user {number}")
    assert len(limits._buckets) == MAX_USERS


# --- pages ----------------------------------------------------------------------------------------------------------

PAGE = "https://app.example.com"


async def test_no_page_reads_answers_unless_the_settings_name_it(tmp_path):
    preflight = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a"}
    asked = ((CHAT, chat()), (CHAT, chat(stream=True)), (COSTS, None), ("/v1/models", None), ("/nowhere", None))
    async with administered(tmp_path, **CALLERS) as rig:
        for path, body in asked:
            answer = await rig.ask(path, body, headers={**BOSS, "Origin": PAGE})
            assert answer.status == 403
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await rig.ask(CHAT, method="OPTIONS", headers=preflight)).status == 403
    async with administered(tmp_path, **server_settings(cors_origins=[PAGE])) as rig:
        for path, body in asked:
            answer = await rig.ask(path, body, headers={**BOSS, "Origin": PAGE})
            assert answer.status == (404 if path == "/nowhere" else 200)
            assert answer.headers["access-control-allow-origin"] == PAGE
        first = await rig.ask(CHAT, method="OPTIONS", headers=preflight)
        assert (first.status, first.headers["access-control-allow-headers"]) == (204, "x-a")
        assert "access-control-allow-credentials" not in first.headers
        for other in ("https://evil.example", "http://app.example.com", "https://app.example.com:444"):
            answer = await rig.ask(CHAT, chat(), headers={"Origin": other})
            assert (answer.status, "access-control-allow-origin" in answer.headers) == (403, False)
        assert (await rig.ask(CHAT, chat(), headers={"Origin": PAGE, "Host": "evil.example"})).status == 403


# --- secrets --------------------------------------------------------------------------------------------------------


async def test_no_secret_comes_out(tmp_path, caplog):
    """Neither keys nor tokens nor the secret, in whichever way they are shown and refused."""
    caplog.set_level(logging.DEBUG)
    lines = io.StringIO()
    from sandbox.cli.logs import configure

    provider_key = "sk-canary-4f1d9a7e2c8b6a5d3e1f"
    user, cut = token("user"), token()[:-4]
    secrets = [SECRET, ADMIN_KEY, CHAT_KEY, METRICS_KEY, provider_key, user, cut, token()]
    configure("DEBUG", lines, [])
    seen = b""
    try:
        keyed = {"providers": {"openai": {"api_key": provider_key}, "anthropic": {"api_key": provider_key}}}
        async with administered(tmp_path, **server_settings(requests_per_minute=40), **keyed) as rig:
            rig.fail("anthropic", "auth")
            for secret in secrets:
                for headers in (bearer(secret), {"x-api-key": secret}, {"Authorization": f"Basic {secret}"}):
                    for method, path in ADMIN_PATHS[:-1]:
                        body = {"endpoint": f"http://x/?key={secret}"} if "endpoint" in path else None
                        answer = await rig.ask(path, body, method=method, headers=headers)
                        seen += answer.body + repr(answer.headers).encode()
            for path in ("/metrics", "/openapi.json", "/healthz"):
                seen += (await rig.ask(path, headers=BOSS)).body
    finally:
        root = logging.getLogger()
        root.handlers = [h for h in root.handlers if h.name != "sandbox.cli"]
        root.setLevel(logging.WARNING)
    assert len(seen) > 10_000
    for secret in secrets:
        assert secret.encode() not in seen
        assert secret not in lines.getvalue()
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes(), file


async def test_a_key_in_the_place_of_a_model_is_kept_nowhere(tmp_path):
    key = "sk-proj-canary4f1d9a7e2c8b6a5d3e1f"
    async with administered(tmp_path, **CALLERS) as rig:
        seen = []
        rig.runtime.bus.subscribe(lambda event: seen.append(encode(event)))
        answer = await rig.ask("/v1/chat/completions", chat(model=key))
        assert (answer.status, len(seen) > 1) == (404, True)
        told = b"".join(seen) + answer.body + (await rig.ask("/metrics", headers=BOSS)).body
        assert key.encode() not in told
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(b"[redacted]" in file.read_bytes() for file in files)
    for file in files:
        assert key.encode() not in file.read_bytes(), file


async def test_a_weak_secret_is_no_setting(tmp_path):
    from sandbox.settings import load

    for secret, why in (("x" * 31, "31 bytes"), ("ab" * 20, "easily guessed")):
        with pytest.raises(ConfigError, match=re.escape(why)) as refused:
            load(environ={"SANDBOX_SERVER__JWT_SECRET": secret}, folder=tmp_path)
        assert secret not in str(refused.value)
