"""Which tokens are none: signed by others, for others, with nothing, too late, too early, changed, cut."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from sandbox.access.tokens import LEEWAY_S, TokenRefused, mint, verified
from tests.fake_clock import FakeClock

SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
NOW = 1_735_689_600
CLAIMS: dict[str, Any] = {"sub": "alice", "role": "admin", "aud": "sandbox", "exp": NOW + 600, "iat": NOW}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {**CLAIMS, **changes}
    return jwt.encode({k: v for k, v in claims.items() if v is not ...}, secret, algorithm=algorithm)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_what_was_minted_is_known_until_it_ends(clock: FakeClock) -> None:
    token = mint(SECRET, subject="alice", role="admin", audience="sandbox", seconds=600, clock=clock)
    clock.now = 600 + LEEWAY_S - 1
    assert verified(token, SECRET, audience="sandbox", clock=clock) == ("alice", "admin")
    clock.now = 600 + LEEWAY_S
    with pytest.raises(TokenRefused, match="the token has expired"):
        verified(token, SECRET, audience="sandbox", clock=clock)


def test_two_tokens_are_never_alike(clock: FakeClock) -> None:
    made = {mint(SECRET, subject="a", role="user", audience="x", seconds=9, clock=clock) for _ in range(3)}
    assert len(made) == 3


UNSIGNED = f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(CLAIMS)}."
PRETENDING = f"{part({'alg': 'None'})}.{part(CLAIMS)}.{part('x')}"


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (UNSIGNED, "not signed with HS256"),
        (PRETENDING, "not signed with HS256"),
        (signed(SECRET * 2, "HS512"), "not signed with HS256"),
        (signed(SECRET * 2, "HS384"), "not signed with HS256"),
        (signed(OTHER), "another secret, or changed"),
        (signed(exp=NOW - LEEWAY_S), "has expired"),
        (signed(exp=...), "lacks exp"),
        (signed(exp=None), "lacks exp"),
        (signed(exp=True), "exp is no time"),
        (signed(exp="tomorrow"), "exp is no time"),
        (signed(exp=1e300), "exp is no time"),
        (signed(nbf=NOW + LEEWAY_S + 1), "not valid yet"),
        (signed(iat=NOW + LEEWAY_S + 1), "not valid yet"),
        (signed(aud="others"), "another audience"),
        (signed(aud=...), "lacks aud"),
        (signed(aud=["others", "elsewhere"]), "another audience"),
        (signed(sub=...), "lacks sub"),
        (signed(sub=""), "names no subject"),
        (signed(sub="x" * 201), "names no subject"),
        (signed(role=...), "no role known here"),
        (signed(role="owner"), "no role known here"),
        (signed(role=["admin"]), "no role known here"),
        (signed(role={"admin": 1}), "no role known here"),
        ("a.b.c", "damaged"),
        ("..", "damaged"),
        (f"{part([])}.{part([])}.", "damaged|cannot be read|HS256"),
        ("x" * 5000, "longer than"),
    ],
)  # fmt: skip
def test_a_token_that_is_none(token: str, why: str, clock: FakeClock) -> None:
    with pytest.raises(TokenRefused, match=why) as refused:
        verified(token, SECRET, audience="sandbox", clock=clock)
    assert not any(piece and piece in str(refused.value) for piece in token.split(".") if len(piece) > 3)


def test_no_part_of_a_token_can_be_changed_or_left_out(clock: FakeClock) -> None:
    token = signed()
    verified(token, SECRET, audience="sandbox", clock=clock)
    head, claims, signature = token.split(".")
    forged = part({**CLAIMS, "sub": "mallory"})
    # The last character of a signature holds 2 bits that mean nothing.
    cut = [token[:length] for length in range(0, len(token) - 1, 7)]
    for changed in (f"{head}.{forged}.{signature}", f"{head}.{claims}.", f"{head}.{claims}", token + "AA", *cut):
        with pytest.raises(TokenRefused):
            verified(changed, SECRET, audience="sandbox", clock=clock)


def test_one_of_several_audiences_is_enough(clock: FakeClock) -> None:
    assert verified(signed(aud=["others", "sandbox"]), SECRET, audience="sandbox", clock=clock)[0] == "alice"


def test_clocks_may_differ_a_little(clock: FakeClock) -> None:
    early = signed(iat=NOW + LEEWAY_S, nbf=NOW + LEEWAY_S, exp=NOW + 900)
    assert verified(early, SECRET, audience="sandbox", clock=clock) == ("alice", "admin")
