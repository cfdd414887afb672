"""Before the screen opens: is the gateway there, and does it let this person watch?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from providers.clock import SYSTEM_CLOCK
from providers.errors import AuthenticationError, ConnectionFailedError, PermissionDeniedError, ProviderError
from sandbox.core.offline import is_local
from sandbox.tui.attached.client import GatewayClient, LinkError

TRIES = 3
"""Tokens that a person may try."""


def admitted(url: str, token: str | None, ask_token: Callable[[], str] | None) -> str | None:
    """The token with which the gateway lets one in. Raises ProviderError for one that does not."""
    for left in reversed(range(TRIES)):
        error = asyncio.run(_refusal(url, token))
        if error is None:
            return token
        if not isinstance(error, AuthenticationError) or ask_token is None or not left:
            raise error
        token = ask_token() or None
    raise AssertionError("unreachable")


async def _refusal(url: str, token: str | None) -> ProviderError | None:
    try:
        async with GatewayClient(url, token) as client:
            await client.state(SYSTEM_CLOCK.time_us())
    except LinkError as error:
        if error.status == 401:
            return AuthenticationError(str(error), status=401)
        if error.status == 403:
            return PermissionDeniedError(str(error), status=403)
        if error.status == 404:
            return ConnectionFailedError(f"{url} answers, but has no admin API: is it `sandbox serve`?")
        return ConnectionFailedError(str(error))
    return None


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_local(parts.hostname)
