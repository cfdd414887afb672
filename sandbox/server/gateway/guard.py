"""The door of the server: whom it answers at all, and the framework's own refusals in the caller's wire format."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from providers import errors as e
from providers.dialects import dialect
from providers.dialects.base import Dialect, WireError
from providers.errors import ConfigError
from providers.hints import did_you_mean
from sandbox.core.offline import is_local
from sandbox.server.addresses import ALL, own_names
from sandbox.server.crowded import beyond
from sandbox.server.gateway.failures import on_wire
from sandbox.server.gateway.service import Service
from sandbox.server.gateway.telling import identity
from sandbox.server.pages import authority, host_name, leave
from sandbox.server.reply import Reply
from sandbox.server.unread import NAME

METHODS: Final = ("GET", "POST")
WILDCARDS: Final = frozenset(ALL)


def check_binding(host: str, *, guarded: bool) -> None:
    """Raise ConfigError for an address that others can reach, unless callers are asked who they are (`guarded`)."""
    if guarded or (host not in WILDCARDS and is_local(host)):
        return
    raise ConfigError(
        f"host is {host!r}, which other machines can reach, and nothing asks callers who they are: anybody could spend "
        "with your keys; use 127.0.0.1 or ::1, or make them known: `sandbox admin key create NAME`"
    )


class Door:
    """Refuses what a page of another site sends through a browser on this machine.

    A name that is not this server's is such a page's own, pointed here by its DNS; an address cannot be. A page that
    asks openly says where it is from, and could make requests with side effects although it may not read the answers.
    """

    def __init__(self, host: str, hosts: Collection[str] = (), origins: Collection[str] = ()) -> None:
        """`origins`: whose pages may ask, and read the answers."""
        self._hosts = {name.lower() for name in (host, *hosts, *own_names(host))} - WILDCARDS
        self._origins = frozenset(origins)

    def refusal(self, headers: Mapping[str, str], target: str = "/") -> e.PermissionDeniedError | None:
        """Why a request is not answered; None: it is. `target` is what stands in its first line."""
        host, origin = headers.get("Host"), headers.get("Origin")
        for name in (host, authority(target)):
            if name is not None and not self._known(host_name(name)):
                return e.PermissionDeniedError(
                    f"this server is not known as {name[:100]!r}; use its address, or list the name under server.hosts",
                    status=403,
                )
        if origin is not None and origin not in self._origins and not self._known(host_name(origin)):
            return e.PermissionDeniedError(f"pages of {origin[:100]!r} may not ask here", status=403)
        return None

    def reader(self, headers: Mapping[str, str]) -> str | None:
        """Whose page asks that may read the answer; None: nobody's."""
        origin = headers.get("Origin") if self._origins else None
        return origin if origin in self._origins else None

    def _known(self, name: str) -> bool:
        name = name.lower()
        if not name:
            return False
        if name in self._hosts or is_local(name) or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def guard(service: Service, door: Door) -> Middleware:
    """The outermost middleware."""
    service.reader = door.reader

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = door.reader(request.headers)
        if origin is None:
            return await answered(request, handler)
        asks_first = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if asks_first and door.refusal(request.headers, request.raw_path) is None:
            response: web.StreamResponse = web.Response(status=204, headers=leave(METHODS, request.headers))
        else:
            response = await answered(request, handler)
        if not isinstance(response, Reply):
            response.headers.update({"access-control-allow-origin": origin, "vary": "origin"})
        return response

    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused: e.ProviderError | None = door.refusal(request.headers, request.raw_path)
        if refused is None and service.draining:
            refused = e.ServiceUnavailableError("the gateway is shutting down", status=503, retry_after=1.0)
        if refused is None and service.room is not None and beyond(request, service.room):
            refused = _no_room()
        if refused is not None:
            return error_response(request, service, refused)
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return error_response(request, service, _in_words(request, error), error.status, _allowed(error))

    return middleware


def _no_room() -> e.ServiceUnavailableError:
    return e.ServiceUnavailableError(
        "the gateway has more connections than it may hold; try again, or raise its limit (ulimit -n)",
        status=503,
        retry_after=1.0,
    )


def full() -> bytes:
    """That as a whole answer, for a connection that cannot even be read: in the format that most callers know."""
    wire = on_wire(dialect("openai_chat"), _no_room(), "")
    headers = {**wire.headers, "content-length": str(len(wire.body)), "connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {wire.status} Service Unavailable\r\n{lines}\r\n".encode() + wire.body


def caller_format(request: web.BaseRequest) -> Dialect:
    """The format in which whoever asks reads errors."""
    path = request.path
    anthropic = "/messages" in path or "anthropic-version" in request.headers
    return dialect("anthropic_messages" if anthropic else "openai_chat")


def error_response(
    request: web.Request,
    service: Service,
    error: e.ProviderError,
    status: int | None = None,
    more: Mapping[str, str] = {},
) -> web.Response:
    """An error in the caller's format."""
    ident = service.new_id()
    wire: WireError = on_wire(caller_format(request), error, ident)
    response = web.Response(
        status=status or wire.status,
        headers={"server": NAME, **wire.headers, **identity(ident), **more},
        body=wire.body,
    )
    if service.draining:
        response.force_close()
    return response


def _in_words(request: web.Request, error: web.HTTPException) -> e.ProviderError:
    path = request.path[:200]
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = " or ".join(sorted(error.allowed_methods - {"HEAD"}))
        return e.InvalidRequestError(f"{path} takes {allowed}, not {request.method}", status=405)
    if isinstance(error, web.HTTPNotFound):
        known = sorted({name for route in request.app.router.routes() if (name := _pattern(route))})
        hint = did_you_mean(path, known, cutoff=0.6)
        return e.ModelNotFoundError(f"there is no {path}: {hint}there are {', '.join(known)}", status=404)
    return e.InvalidRequestError(error.reason or error.text or "the request was refused", status=error.status)


def _pattern(route: Any) -> str:
    resource = route.resource
    pattern = "" if resource is None else resource.canonical
    return pattern if pattern.startswith(("/v1/", "/api/", "/healthz")) else ""


def _allowed(error: web.HTTPException) -> dict[str, str]:
    return {"allow": error.headers["Allow"]} if "Allow" in error.headers else {}
