"""`sandbox admin`: keys that are shown once and kept as hashes, and tokens that a server with the same secret knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.clock import SYSTEM_CLOCK
from sandbox.access.callers import Access
from sandbox.settings import load
from tests.sandbox.cli.test_schemas import check

from .conftest import Cli

SECRET = "0123456789abcdef0123456789abcdef"


def access(home: Path) -> Access:
    return Access(load(folder=home).settings.server, clock=SYSTEM_CLOCK)


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def test_a_key_is_shown_once_and_works_until_it_is_revoked(cli: Cli, home: Path) -> None:
    made = cli("admin", "key", "create", "ci", "--scope", "admin", "--scope", "chat")
    key = made.out.strip()
    assert (made.code, "shown this once" in made.err) == (0, True)
    config = home / "config" / "config.toml"
    assert key not in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o600
    assert access(home).required(bearer(key), "admin").name == "key:ci"
    more = cli("admin", "key", "create", "app", "--json").json
    check("admin-key-create", more)
    assert more["scopes"] == ["chat"]
    listed = cli("admin", "key", "list", "--json").json
    check("admin-key-list", listed)
    assert listed == {"items": [{"name": "ci", "scopes": ["admin", "chat"]}, {"name": "app", "scopes": ["chat"]}]}
    assert key not in cli("admin", "key", "list").out
    assert key not in cli("config", "show").out
    assert cli("admin", "key", "revoke", "ci").out == "ci is no key any more\n"
    with pytest.raises(Exception, match="not known here"):
        access(home).required(bearer(key), "admin")
    assert access(home).required(bearer(more["key"]), "chat").name == "key:app"
    cli("admin", "key", "revoke", "app")
    assert "there is no key" in cli("admin", "key", "list").err


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (("create", "ci"), "there is a key 'ci' already"),
        (("create", "a b"), "NAME is 'a b'"),
        (("create", ""), "NAME is ''"),
        (("create", "x:admin"), "NAME is 'x:admin'"),
        (("create", "x", "--scope", "root"), "root"),
        (("revoke", "cii"), "did you mean 'ci'?"),
    ],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(cli: Cli, home: Path, line: tuple[str, ...], why: str) -> None:
    cli("admin", "key", "create", "ci")
    before = (home / "config" / "config.toml").read_text()
    ran = cli("admin", "key", *line)
    assert (ran.code, ran.out) == (2, "")
    assert why in ran.err
    assert (home / "config" / "config.toml").read_text() == before


def test_other_lines_of_the_file_stay_and_the_environment_is_told(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "mine.toml").write_text("# mine\n[server]\nhosts = ['gateway']  # a name\n")
    cli("--config", "mine.toml", "admin", "key", "create", "ci")
    text = (home / "mine.toml").read_text()
    assert text.startswith("# mine\n[server]\n")
    assert "hosts = ['gateway']  # a name\n" in text
    monkeypatch.setenv("SANDBOX_SERVER__KEYS", f"env:admin:{'a' * 64}")
    told = cli("--config", "mine.toml", "admin", "key", "create", "more")
    assert "SANDBOX_SERVER__KEYS is set too, and wins over the file" in told.err
    assert (home / "mine.toml").read_text().count(":chat:") == 2


def test_a_token_is_known_to_a_server_with_the_same_secret(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = cli("admin", "token")
    assert (refused.code, "server.jwt_secret is not set" in refused.err) == (2, True)
    monkeypatch.setenv("SANDBOX_SERVER__JWT_SECRET", SECRET)
    token = cli("admin", "token", "--subject", "alice").out.strip()
    assert access(home).required(bearer(token), "admin").name == "token:alice"
    user = cli("admin", "token", "--role", "user", "--ttl", "7d", "--json").json
    check("admin-token", user)
    assert access(home).required(bearer(user["token"]), "chat").scopes == {"chat"}
    assert SECRET not in cli("config", "show", "--json").out


@pytest.mark.parametrize(
    "options", [("--ttl", "0"), ("--ttl", "1x"), ("--ttl", "366d"), ("--subject", " "), ("--role", "owner")]
)
def test_a_token_without_an_end_a_name_or_a_role_is_none(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SANDBOX_SERVER__JWT_SECRET", SECRET)
    ran = cli("admin", "token", *options)
    assert (ran.code, ran.out) == (2, "")
    assert options[1].strip() in ran.err
