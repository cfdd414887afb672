"""What stands before every endpoint: callers are asked who they are where that is wanted, and kept to their limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from providers.errors import AuthenticationError, ProviderError, RateLimitError
from sandbox.access.callers import Access, Caller, shown
from sandbox.server.admin.api import SCOPE
from sandbox.server.admin.limits import UserLimits
from sandbox.server.admin.meters import Meters
from sandbox.server.gateway.app import SERVICE
from sandbox.server.gateway.asking import MAX_NAME
from sandbox.server.gateway.guard import error_response

METRICS: Final = "/metrics"
DOCUMENT: Final = "/openapi.json"
PASSED: Final = frozenset({"/healthz", DOCUMENT, METRICS})
"""Paths that tell nothing of anybody, or ask for a scope of their own."""
OWN: Final = "/api/admin/"
"""The other paths that do begin so."""
CHAT: Final = "chat"


def gate(access: Access, limits: UserLimits | None, meters: Meters, *, asks: bool) -> Middleware:
    """`asks`: callers of the vendors' endpoints need the scope `chat`; otherwise any key will do, or none."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path in PASSED:
            return await handler(request)
        try:
            caller = _caller(access, request.headers, asks=asks and not path.startswith(OWN))
            if limits is not None and not _administers(caller, path):
                limits.take(user_of(caller, request))
        except ProviderError as error:
            meters.refused("rate_limit" if isinstance(error, RateLimitError) else "access")
            challenge = {"www-authenticate": "Bearer"} if isinstance(error, AuthenticationError) else {}
            return error_response(request, request.app[SERVICE], error, more=challenge)
        return await handler(request)

    return middleware


def _caller(access: Access, headers: Mapping[str, str], *, asks: bool) -> Caller | None:
    """Who asks, if it is known. Raises where it must be and is not."""
    if asks:
        return access.required(headers, CHAT)
    credential = shown(headers)
    if credential is None or not access.configured:
        return None
    try:
        return access.recognised(credential)
    except AuthenticationError:
        # Clients want a key to be set, and here any will do.
        return None


def _administers(caller: Caller | None, path: str) -> bool:
    """An open screen alone asks more than once a second. Others who try that path are kept to their limits."""
    return caller is not None and SCOPE in caller.scopes and path.startswith(OWN)


def user_of(caller: Caller | None, request: web.Request) -> str:
    """Whose requests are counted together: the caller's, else the tenant's, else the address's."""
    if caller is not None:
        return caller.name
    tenant = request.headers.get("x-sandbox-tenant")
    if tenant:
        return f"tenant:{tenant[:MAX_NAME]}"
    return f"address:{request.remote}"
