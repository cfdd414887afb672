"""`sandbox backend`, `health` and `doctor` where stores are on AWS: what they find, what they refuse, what they say."""

from __future__ import annotations

import io
import json
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from providers.clock import seeded
from sandbox.cli.options import GlobalOptions
from sandbox.cli.output import Output
from sandbox.cli.session import Session
from sandbox.usage.dynamodb import AwsAccess
from sandbox.usage.dynamodb.client import Table
from tests.dynamo import servers
from tests.dynamo.stores import made
from tests.redis_server import PASSWORD, RedisServer

from .conftest import Cli

SECRET = "canary-aws-secret-77e0"
Env = Callable[..., None]


@pytest.fixture
def emulators(home: Path, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer) -> Env:
    """Sets an environment with both emulators; takes variables that differ."""
    url = servers.moto()
    table = made(url, home)

    def environment(**more: str) -> None:
        variables = {
            "SANDBOX_CACHE__ENDPOINT_URL": redis_server.url,
            "SANDBOX_CACHE__TIMEOUT": "2",
            "SANDBOX_USAGE__TABLE": table,
            "AWS_ENDPOINT_URL_DYNAMODB": url,
            "AWS_REGION": "eu-north-1",
            "AWS_ACCESS_KEY_ID": "AKIDCANARY",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            **more,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    environment()
    return environment


def config(cli: Cli) -> Path:
    return Path(cli("config", "path").out.strip())


def written(cli: Cli) -> dict[str, Any]:
    file = config(cli)
    return tomllib.loads(file.read_text()) if file.exists() else {}


def test_the_switch_says_what_it_reached_and_holds_from_then_on(cli: Cli, emulators: Env) -> None:
    ran = cli("backend", "switch", "aws", "--yes")
    assert ran.code == 0, ran.err
    cache, usage, last = ran.out.splitlines()
    assert cache.startswith("✓ cache  redis     redis://127.0.0.1:")
    assert " as default in " in cache
    assert usage.startswith("✓ usage  dynamodb  table usage-")
    assert "active, arn:aws:dynamodb:eu-north-1:" in usage
    assert last == "cache on redis, usage on dynamodb"
    assert written(cli) == {"backend": "aws"}

    answer = cli("ask", "Who keeps this?", "--json")
    assert answer.code == 0, answer.err
    health = cli("health", "--json").json["backends"]
    assert [(one["part"], one["backend"], one["problem"]) for one in health] == [
        ("cache", "redis", None), ("usage", "dynamodb", None),
    ]  # fmt: skip
    assert health[1]["spool"]["depth"] == 0
    assert cli("explain", answer.json["request_id"]).code == 0, "the record is in the table"
    shown = cli("config", "show", "--json").json["items"]
    [row] = [item for item in shown if item["key"] == "cache.backend"]
    assert (row["value"], row["where"]) == ("redis", f"backend = aws, {config(cli)}, line 1")

    assert cli("backend", "switch", "local", "--yes").code == 0
    assert written(cli) == {"backend": "local"}
    assert cli("explain", answer.json["request_id"]).code == 1, "what was kept there stays there"


@pytest.mark.parametrize("mode", ["live", "record"])
async def test_in_live_modes_what_is_on_aws_is_looked_at_there_without_a_key(
    cli: Cli, emulators: Env, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Reports, budgets and `data prune` are of the same stores as the requests, and need no provider."""
    emulators(SANDBOX_BACKEND="aws", SANDBOX_MODE=mode)
    # Neither an emulator nor a key of a provider: opening the store asks AWS nothing.
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
    monkeypatch.setenv("SANDBOX_CHAIN", "anthropic")
    session = Session(GlobalOptions(), Output(io.StringIO(), io.StringIO()))
    async with session.runtime(stores_only=True) as runtime:
        assert runtime.backends == {"cache": "redis", "usage": "dynamodb"}
        assert list(runtime.gateway.registry) == []


def test_the_question_before_the_cache_is_emptied_says_whose_it_is(
    cli: Cli, emulators: Env, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer
) -> None:
    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    emulators(SANDBOX_BACKEND="aws")
    monkeypatch.setattr("sys.stdin", Keyboard("n\n"))
    said = cli("data", "prune", "--cache", "--older-than", "30d").err
    assert f"the whole cache ({redis_server.url})?" in said
    assert "usage records older than 30d (table usage-" in said


def test_one_part_alone(cli: Cli, emulators: Env) -> None:
    ran = cli("backend", "switch", "aws", "--part", "usage", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert [one["part"] for one in ran.json["items"]] == ["usage"]
    assert ran.json["switched"] is True
    assert written(cli) == {"usage": {"backend": "dynamodb"}}
    again = cli("backend", "switch", "aws", "--part", "usage", "--yes", "--json").json
    assert again["switched"] is False
    assert cli("backend", "switch", "local", "--yes").code == 0
    items = cli("backend", "show", "--json").json["items"]
    assert [one["backend"] for one in items] == ["disk", "sqlite"]
    assert {one["where"] for one in items} == {f"backend = local, {config(cli)}, line 1"}


def test_what_wins_over_the_file_is_told_once(cli: Cli, emulators: Env) -> None:
    emulators(SANDBOX_BACKEND="aws")
    said = cli("backend", "switch", "local", "--yes").err
    assert said.count("SANDBOX_BACKEND is set too, and wins over the file") == 1
    assert said.count("SANDBOX_BACKEND") == 1


def test_a_cache_that_is_off_stays_off_unless_it_is_named(cli: Cli, emulators: Env) -> None:
    config(cli).parent.mkdir(parents=True, exist_ok=True)
    config(cli).write_text('[cache]\nbackend = "off"\n')
    assert cli("backend", "switch", "aws", "--yes").code == 0
    assert written(cli) == {"backend": "aws", "cache": {"backend": "off"}}
    assert cli("backend", "switch", "aws", "--part", "cache", "--yes").code == 0
    assert written(cli)["cache"] == {"backend": "redis"}


def test_nobody_can_be_asked(cli: Cli, emulators: Env) -> None:
    ran = cli("backend", "switch", "aws")
    assert ran.code == 2
    assert "needs --yes" in ran.err
    assert written(cli) == {}


WRONG = {
    "redis is not there": ({"SANDBOX_CACHE__ENDPOINT_URL": "127.0.0.1:1"}, "redis://127.0.0.1:1 cannot be used"),
    "redis has no address": ({"SANDBOX_CACHE__ENDPOINT_URL": ""}, "set cache.endpoint_url"),
    "redis elsewhere in mock mode": ({"SANDBOX_CACHE__ENDPOINT_URL": "cache.example:6379"}, "use --mode live"),
    "dynamodb is not there": (
        {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9"},
        "http://127.0.0.1:9 cannot be reached",
    ),
    "the table is not there": (
        {"SANDBOX_USAGE__TABLE": "missing"},
        "sandbox aws table create missing --region eu-north-1",
    ),
    "aws in mock mode": ({"AWS_ENDPOINT_URL_DYNAMODB": ""}, "use --mode live"),
}


@pytest.mark.parametrize(("variables", "told"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_changes_nothing(cli: Cli, emulators: Env, variables: dict[str, str], told: str) -> None:
    emulators(**variables)
    ran = cli("backend", "switch", "aws", "--yes")
    assert ran.code == 3
    assert told in ran.out
    assert "nothing was changed" in ran.err
    assert written(cli) == {}
    answer = cli("backend", "switch", "aws", "--yes", "--json")
    assert (answer.code, answer.json["switched"]) == (3, False)
    assert [one["ok"] for one in answer.json["items"]].count(False) == 1
    assert SECRET not in ran.out + ran.err + answer.out + answer.err


@pytest.fixture
def odd_table(home: Path) -> Iterator[str]:
    """A table of somebody else."""
    table = Table("somebody-elses", AwsAccess(region="eu-north-1", endpoint_url=servers.moto()), draws=seeded(0))
    table.call(
        "create_table", TableName=table.name, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )  # fmt: skip
    yield table.name
    table.call("delete_table", TableName=table.name)
    table.close()


def test_a_table_of_another_program_is_refused(cli: Cli, emulators: Env, odd_table: str) -> None:
    emulators(SANDBOX_USAGE__TABLE=odd_table)
    ran = cli("backend", "switch", "aws", "--part", "usage", "--yes")
    assert ran.code == 3
    assert "table somebody-elses is not one of this program, because its key is id" in ran.out


@pytest.mark.parametrize(
    ("server", "variables", "told"),
    [
        ({"password": PASSWORD}, {}, "refuses its default user with no password"),
        ({"password": PASSWORD}, {"SANDBOX_CACHE__PASSWORD": "canary-wrong-password"}, "with the password given"),
        ({"tls": True}, {}, "rediss://"),
        ({}, {"SANDBOX_CACHE__TLS": "true"}, "speak TLS"),
    ],
    ids=["no password", "wrong password", "it wants TLS", "it has no TLS"],
)
def test_the_doctor_explains_what_redis_refuses(
    cli: Cli,
    emulators: Env,
    start_redis: Any,
    monkeypatch: pytest.MonkeyPatch,
    server: dict[str, Any],
    variables: dict[str, str],
    told: str,
) -> None:
    started = start_redis(**server)
    if told == "speak TLS":
        # It waits for the end of a line that never comes.
        monkeypatch.setattr("sandbox.shared.wires.HANDSHAKE_S", 0.3)
    emulators(SANDBOX_BACKEND="aws", SANDBOX_CACHE__ENDPOINT_URL=f"redis://127.0.0.1:{started.port}", **variables)
    ran = cli("doctor", "--json")
    [check] = [item for item in ran.json["items"] if item["check"] == "cache"]
    assert (ran.code, check["status"]) == (3, "fail")
    assert told in check["detail"]
    everything = ran.out + ran.err
    if "password" in told:
        health = cli("health", "--json")
        assert health.code == 3
        assert told in health.json["backends"][0]["problem"]
        everything += health.out + health.err
    for canary in (PASSWORD, "canary-wrong-password", SECRET):
        assert canary not in everything


class _Refusing(BaseHTTPRequestHandler):
    """AWS's way of saying no to everything."""

    code, message = "", ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"__type": f"com.amazon.coral.service#{self.code}", "message": self.message}).encode()
        self.send_response(400)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/u is not authorized to perform: dynamodb:DescribeTable on resource: x",
            "may not do dynamodb:DescribeTable",
        ),
        ("ExpiredTokenException", "The security token included in the request is expired", "credentials have expired"),
        ("UnrecognizedClientException", "The security token is invalid.", "AWS does not know the access key"),
        ("ResourceNotFoundException", "Requested resource not found", "sandbox aws table create"),
    ],
)
def test_the_doctor_explains_what_aws_refuses(cli: Cli, emulators: Env, code: str, message: str, told: str) -> None:
    handler = type("Handler", (_Refusing,), {"code": code, "message": message})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        emulators(SANDBOX_USAGE="dynamodb", AWS_ENDPOINT_URL_DYNAMODB=f"http://127.0.0.1:{server.server_port}")
        ran = cli("doctor", "--json")
        switched = cli("backend", "switch", "aws", "--part", "usage", "--yes")
        server.shutdown()
        thread.join()
    [check] = [item for item in ran.json["items"] if item["check"] == "usage"]
    assert check["status"] == "fail"
    assert told in check["detail"]
    assert (switched.code, written(cli)) == (3, {})
    assert told in switched.out
    assert SECRET not in ran.out + ran.err + switched.out + switched.err


def test_a_server_with_a_password_and_a_user_works(cli: Cli, emulators: Env, start_redis: Any) -> None:
    started = start_redis(user="app")
    emulators(
        SANDBOX_CACHE__ENDPOINT_URL=f"127.0.0.1:{started.port}",
        SANDBOX_CACHE__USERNAME="app",
        SANDBOX_CACHE__PASSWORD=PASSWORD,
    )
    ran = cli("backend", "switch", "aws", "--yes", "--json")
    assert ran.code == 0, ran.out
    assert ran.json["items"][0]["identity"] == "app"
    assert PASSWORD not in ran.out + ran.err + cli("config", "show", "--json").out


def test_the_doctor_tells_what_processes_share(cli: Cli, emulators: Env, redis_server: RedisServer) -> None:
    assert "shared" not in [item["check"] for item in cli("doctor", "--json").json["items"]]
    for address, status in ((redis_server.url, "ok"), ("127.0.0.1:1", "fail")):
        emulators(SANDBOX_SHARED="redis", SANDBOX_SHARED__ENDPOINT_URL=address)
        [check] = [item for item in cli("doctor", "--json").json["items"] if item["check"] == "shared"]
        assert check["status"] == status
        assert "127.0.0.1:" in check["detail"]


def test_a_password_in_the_address_is_refused_without_repeating_it(cli: Cli, emulators: Env) -> None:
    emulators(SANDBOX_CACHE__ENDPOINT_URL="redis://:canary-in-url@127.0.0.1:6379")
    ran = cli("backend", "show")
    assert ran.code == 2
    assert "cache.password" in ran.err
    assert "canary-in-url" not in ran.out + ran.err


def test_records_that_wait_are_shown(cli: Cli, emulators: Env) -> None:
    emulators(SANDBOX_BACKEND="aws", AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:9")
    assert cli("ask", "Who keeps this?").code == 0, "no request fails for a store"
    ran = cli("health", "--json")
    usage = ran.json["backends"][1]
    assert usage["spool"]["depth"] == 1
    assert ran.code == 3
    assert "http://127.0.0.1:9 cannot be reached" in usage["problem"]
    emulators(SANDBOX_BACKEND="local")
    waits = f"usage records that wait for DynamoDB in {usage['spool']['path']}: 1"
    assert waits in [item["detail"] for item in cli("doctor", "--json").json["items"]], "also when nobody sends them"
    assert "until DynamoDB is recorded to again: 1" in cli("backend", "switch", "local", "--yes").err


def test_a_table_that_deletes_nothing_is_told_where_records_are_to_be_deleted(cli: Cli, emulators: Env) -> None:
    def told() -> list[str]:
        ran = cli("doctor", "--json")
        return [one["detail"] for one in ran.json["items"] if (one["check"], one["status"]) == ("usage", "warn")]

    emulators(SANDBOX_BACKEND="aws")
    table = cli("config", "show", "--json").json["items"]
    name = next(item["value"] for item in table if item["key"] == "usage.table")
    assert told() == []
    emulators(SANDBOX_BACKEND="aws", SANDBOX_USAGE__RETENTION_DAYS="30")
    sentence = (
        f"usage.retention_days is 30, and table {name} deletes no record: `sandbox aws table create {name} --ttl` "
        "lets it"
    )
    assert told() == [sentence]
    switched = cli("backend", "switch", "aws", "--yes", "--json")
    assert (switched.code, [item["notice"] for item in switched.json["items"]]) == (0, [None, sentence])
    assert sentence in cli("backend", "show", "--check").err
    assert cli("aws", "table", "create", name, "--ttl").code == 0
    assert told() == []


def test_health_asks_dynamodb_also_when_nothing_waits(cli: Cli, emulators: Env) -> None:
    emulators(SANDBOX_BACKEND="aws", SANDBOX_USAGE__TABLE="missing")
    ran = cli("health", "--json")
    assert ran.code == 3
    usage = ran.json["backends"][1]
    assert usage["spool"]["depth"] == 0
    assert "there is no table missing" in usage["problem"]


def test_the_doctor_tells_which_provider_has_no_credential(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_CHAIN", "bedrock,openai")
    items = cli("doctor", "--mode", "live", "--json").json["items"]
    told = [item["detail"] for item in items if item["check"] == "providers" and item["status"] == "warn"]
    assert [one.partition(":")[0] for one in told] == ["bedrock cannot be asked", "openai cannot be asked"]
    assert "AWS_PROFILE" in told[0]


def test_the_doctor_tells_that_no_region_is_set(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_USAGE", "dynamodb")
    ran = cli("doctor", "--mode", "live", "--json")
    [check] = [item for item in ran.json["items"] if item["check"] == "usage"]
    assert (ran.code, check["status"]) == (3, "fail")
    assert "set aws.region or AWS_REGION" in check["detail"]
