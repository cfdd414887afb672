"""Keys and what they allow; where credentials are looked for; what is compared, and how."""

from __future__ import annotations

import ast
import hmac
import inspect
from typing import Any

import pytest

from providers.errors import AuthenticationError, PermissionDeniedError
from providers.redaction import redact
from sandbox.access import keys
from sandbox.access.callers import Access, shown
from sandbox.access.tokens import mint
from sandbox.settings.serving import ServerSettings, hashed_key
from tests.fake_clock import FakeClock

SECRET = "0123456789abcdef0123456789abcdef"


def key_of(name: str) -> str:
    """The same in every process: tests that run side by side must have the same names."""
    return keys.new_key(lambda: keys.digest(name)[:32])


KEYS = {name: key_of(name) for name in ("boss", "app", "scraper")}
SCOPES = {"boss": {"admin"}, "app": {"chat"}, "scraper": {"metrics", "chat"}}


def access(**changes: Any) -> Access:
    lines = [keys.hashed(name, SCOPES[name], key).line for name, key in KEYS.items()]
    settings = ServerSettings.model_validate({"keys": lines, "jwt_secret": SECRET, **changes})
    return Access(settings, clock=FakeClock())


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def token(role: str) -> str:
    return mint(SECRET, subject="alice", role=role, audience="sandbox", seconds=60, clock=FakeClock())


@pytest.mark.parametrize(
    ("credential", "scope", "name"),
    [
        (KEYS["boss"], "admin", "key:boss"),
        (KEYS["app"], "chat", "key:app"),
        (KEYS["scraper"], "metrics", "key:scraper"),
        (token("admin"), "admin", "token:alice"),
        (token("admin"), "chat", "token:alice"),
        (token("user"), "chat", "token:alice"),
    ],
)
def test_who_may(credential: str, scope: str, name: str) -> None:
    assert access().required(bearer(credential), scope).name == name


@pytest.mark.parametrize(
    ("credential", "scope"),
    [(KEYS["boss"], "chat"), (KEYS["app"], "admin"), (KEYS["scraper"], "admin"), (token("user"), "admin")],
)
def test_who_may_not(credential: str, scope: str) -> None:
    with pytest.raises(PermissionDeniedError, match=f"does not have the scope {scope}"):
        access().required(bearer(credential), scope)


@pytest.mark.parametrize(
    "credential",
    [
        "x", key_of("nobody"), KEYS["boss"][:-1], KEYS["boss"] + "0", KEYS["boss"].upper(),
        keys.digest(KEYS["boss"]), f"{KEYS['boss']}.a.b", "a.b.c", "ü" * 40, "\udcff" * 40, "x" * 9000,
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused_without_being_repeated(credential: str) -> None:
    with pytest.raises(AuthenticationError) as refused:
        access().required(bearer(credential), "admin")
    assert len(credential) < 4 or credential not in str(refused.value)


def test_a_token_of_a_server_without_a_secret_is_none() -> None:
    with pytest.raises(AuthenticationError, match="not known here"):
        access(jwt_secret=None).required(bearer(token("admin")), "admin")


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "bearer  abc "}, "abc"),
        ({"x-api-key": "abc"}, "abc"),
        ({"api-key": "abc"}, "abc"),
        ({"Authorization": "Bearer abc", "x-api-key": "def"}, "abc"),
        ({"Authorization": "Basic abc"}, None),
        ({"Authorization": "Bearer"}, None),
        ({"Authorization": ""}, None),
        ({}, None),
    ],
)
def test_where_a_credential_is_looked_for(headers: dict[str, str], credential: str | None) -> None:
    assert shown(headers) == credential


def test_nothing_shown_is_told_what_to_show() -> None:
    with pytest.raises(AuthenticationError, match="needs a key or token with scope admin"):
        access().required({}, "admin")


# --- keys -----------------------------------------------------------------------------------------------------------


def test_a_key_is_random_and_known_to_the_redaction() -> None:
    made = {keys.new_key() for _ in range(50)}
    assert len(made) == 50
    assert all(len(key) == len(keys.PREFIX) + 64 for key in made)
    assert not any(key[-20:] in redact(f"the key is {key}.") for key in made)


def test_what_is_kept_of_a_key_is_no_key() -> None:
    kept = keys.hashed("ci", ["chat", "admin"], KEYS["boss"])
    assert KEYS["boss"] not in kept.line
    assert hashed_key(kept.line) == kept


def test_every_key_is_compared_to_its_end_by_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that stops at the first difference, or at the first key that fits, tells by its time."""
    kept = [keys.hashed(name, ["chat"], key) for name, key in KEYS.items()]
    compared: list[tuple[Any, ...]] = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *pair: (compared.append(pair), real(*pair))[1])
    for credential in (KEYS["boss"], KEYS["scraper"], "wrong"):
        compared.clear()
        keys.find(kept, credential)
        assert len(compared) == len(kept)
        assert all(len(a) == len(b) == 64 for a, b in compared)


def test_nothing_else_compares_keys() -> None:
    tree = ast.parse(inspect.getsource(keys))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
