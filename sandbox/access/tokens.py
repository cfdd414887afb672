"""Signed tokens (JWT, RFC 7519) of administrators and users: HS256 and nothing else.

Whoever holds a token may use it until it ends: it is not asked for anywhere whether it was used before. So it must have
an end, and one that was made for another program, or by another secret, is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from providers.clock import Clock, random_id

if TYPE_CHECKING:
    from types import ModuleType

ALGORITHM: Final = "HS256"
LEEWAY_S: Final = 30
"""By how many seconds the clock of whoever signs may differ from this one."""
MAX_CHARS: Final = 4096
"""A longer one is not looked at."""
ROLES: Final[Mapping[str, frozenset[str]]] = {
    "admin": frozenset({"admin", "chat", "metrics"}),
    "user": frozenset({"chat"}),
}
"""The scopes of each role."""


class TokenRefused(Exception):
    """A token that is none here; the message says why and holds no part of it."""


def mint(
    secret: str,
    *,
    subject: str,
    role: str,
    audience: str,
    seconds: float,
    clock: Clock,
    ids: Callable[[], str] = random_id,
) -> str:
    """A token for `subject` that ends after so many seconds."""
    now = clock.time_us() // 1_000_000
    claims = {
        "sub": subject,
        "role": role,
        "aud": audience,
        "iat": now,
        "exp": now + max(1, round(seconds)),
        "jti": ids(),
    }
    return str(_jwt().encode(claims, secret, algorithm=ALGORITHM))


def looks_like_one(credential: str) -> bool:
    """Whether it has the three parts of a token, whatever they hold."""
    return credential.count(".") == 2


def verified(token: str, secret: str, *, audience: str, clock: Clock) -> tuple[str, str]:
    """The subject and the role of a token. Raises TokenRefused."""
    if len(token) > MAX_CHARS:
        raise TokenRefused(f"the token is longer than {MAX_CHARS:,} characters")
    jwt = _jwt()
    try:
        # The library reads the machine's own clock; times are judged below, by ours.
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=audience,
            options={
                "require": ["exp", "sub", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False
            },
        )  # fmt: skip
    except jwt.InvalidTokenError as error:
        raise TokenRefused(_why(jwt, error)) from None
    except Exception:
        # Of a token that somebody made to confuse it, the library may raise anything.
        raise TokenRefused("the token cannot be read") from None
    _check_times(claims, clock.time_us() / 1e6)
    subject, role = claims["sub"], claims.get("role")
    if not isinstance(subject, str) or not subject or len(subject) > 200:
        raise TokenRefused("the token names no subject (sub) of 1 to 200 characters")
    if not isinstance(role, str) or role not in ROLES:
        raise TokenRefused(f"the token has no role known here; there are {', '.join(ROLES)}")
    return subject, role


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    times: dict[str, float] = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise TokenRefused(f"the token's {name} is no time")
        times[name] = value
    if "exp" not in times:
        raise TokenRefused("the token has no end (exp)")
    if now >= times["exp"] + LEEWAY_S:
        raise TokenRefused("the token has expired")
    if any(now < times.get(name, 0) - LEEWAY_S for name in ("nbf", "iat")):
        raise TokenRefused("the token is not valid yet")


def _why(jwt: ModuleType, error: Exception) -> str:
    """In words of ours: the library's repeat what the token holds."""
    if isinstance(error, jwt.InvalidAlgorithmError):
        return f"the token is not signed with {ALGORITHM}"
    if isinstance(error, jwt.InvalidSignatureError):
        return "the token was signed with another secret, or changed since"
    if isinstance(error, jwt.InvalidAudienceError):
        return "the token is meant for another audience (aud)"
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the token lacks {error.claim}"
    return "the token is damaged or is none"


def _jwt() -> ModuleType:
    import jwt

    return jwt
