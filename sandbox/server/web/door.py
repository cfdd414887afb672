"""Who may have a screen in a browser: whoever shows a token by which the gateway may be administered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from providers.clock import SYSTEM_CLOCK, Clock, random_id
from sandbox.access.callers import MAX_CREDENTIAL

MAX_SESSIONS: Final = 100
"""Browsers that are let in; beyond it the one that came first is forgotten."""
PATIENCE_S: Final = 10.0
_CHECK: Final = "/api/admin/gateway"


class Sessions:
    """Browsers by a random id in a cookie, so that the token itself is in none: other ports would be sent it too."""

    def __init__(self, ids: Callable[[], str] = random_id) -> None:
        self._ids = ids
        self._tokens: dict[str, str] = {}

    def begin(self, token: str) -> str:
        """Let a browser in; returns its id."""
        session = self._ids() + self._ids()
        self._tokens[session] = token
        if len(self._tokens) > MAX_SESSIONS:
            del self._tokens[next(iter(self._tokens))]
        return session

    def end(self, session: str | None) -> None:
        """Let it in no longer."""
        if session is not None:
            self._tokens.pop(session, None)

    def token(self, session: str | None) -> str | None:
        """With what that browser came in; None: it did not."""
        return None if session is None else self._tokens.get(session)


async def problem_with(token: str, gateway: str, *, clock: Clock = SYSTEM_CLOCK) -> str:
    """Why the gateway does not let this token watch, in one sentence; empty: it does."""
    if not token or len(token) > MAX_CREDENTIAL or not token.isascii() or not token.isprintable():
        return "this is no token"
    status = await _told(token, gateway, clock)
    if status == 200:
        return ""
    words = {
        None: "the gateway does not answer",
        401: "the token is not known here",
        403: "the token may not administer",
        429: "too many tries: wait a while",
    }
    return words.get(status, f"the gateway answers with status {status}")


async def refused(token: str, gateway: str, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Whether the gateway says that this token may not watch; one that says nothing does not say so."""
    return await _told(token, gateway, clock) in (401, 403)


async def _told(token: str, gateway: str, clock: Clock) -> int | None:
    """The status that the gateway has for a token; None: it does not answer."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            clock.timeout(PATIENCE_S),
            aiohttp.ClientSession(headers=headers) as session,
            session.get(gateway + _CHECK) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, OSError):
        return None


def from_here(headers: Mapping[str, str]) -> bool:
    """Whether a page of this very server asks, which a browser always says of a socket or a form."""
    origin, host = headers.get("Origin"), headers.get("Host")
    return origin is not None and host is not None and urlsplit(origin).netloc.lower() == host.lower()


def over_tls(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that the browser came to it by https, so that its cookie need not go by http."""
    return headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower() == "https"
