"""What the server answers beside completions: its models, a count of tokens, whether it is alive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from providers.dialects import dialect
from providers.errors import InvalidRequestError, ModelNotFoundError, ProviderError
from providers.pricing.tokens import count_tokens
from sandbox import __version__
from sandbox.gateway.naming import owned
from sandbox.server.bodies import body_of
from sandbox.server.gateway.failures import on_wire
from sandbox.server.gateway.guard import caller_format
from sandbox.server.gateway.telling import identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.server.gateway.service import Service

SINCE: Final = 1_735_689_600
"""When every model was made, as it is told: 2025-01-01. Nobody knows better, and clients want a number."""
ROUTE_OWNER: Final = "sandbox"


class Listings:
    """The handlers that need no provider."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def models(self, request: web.Request) -> web.StreamResponse:
        described = [_described(request, name, owner) for name, owner in self._router.models()]
        if caller_format(request).name == "anthropic_messages":
            ends = {"first_id": described[0]["id"], "last_id": described[-1]["id"]} if described else {}
            return await self._json(request, {"data": described, "has_more": False, **ends})
        return await self._json(request, {"object": "list", "data": described})

    async def model(self, request: web.Request) -> web.StreamResponse:
        """One of those listed, or `provider/model`."""
        name = request.match_info["model"]
        router, gateway = self._router, self._service.runtime.gateway
        known = dict(router.models())
        owner: str | None = None
        plain = name
        if name not in known:
            owner, plain = owned(name, gateway.registry.__contains__)
            if owner is None or gateway.registry.get(owner).provider.resolve_model(plain) is None:
                return await self._refuse(
                    request,
                    ModelNotFoundError(f"there is no model {name[:200]!r}; GET /v1/models lists them", status=404),
                )
        return await self._json(request, _described(request, name, owner or known.get(name)))

    async def count_tokens(self, request: web.Request) -> web.StreamResponse:
        """As Anthropic counts: the fields of a message without its limit. An estimate, made here."""
        with self._service.exchange(request) as exchange:
            try:
                data: Any = orjson.loads(await body_of(request, exchange.reply))
                if not isinstance(data, dict):
                    raise InvalidRequestError("the request body must be a JSON object")
                asked = dialect("anthropic_messages").decode_request(orjson.dumps({"max_tokens": 1, **data})).request
            except ProviderError as error:
                return await self._refuse(request, error)
            except (ValueError, TypeError) as error:
                return await self._refuse(request, InvalidRequestError(f"the request body cannot be read: {error}"))
            # The first count of a process may read a table of its tokeniser.
            tokens = await asyncio.to_thread(count_tokens, asked.chat(), asked.model or "")
            return await self._json(request, {"input_tokens": tokens})

    async def health(self, request: web.Request) -> web.StreamResponse:
        mode, under_way = self._service.runtime.gateway.mode, self._service.under_way
        alive = {"status": "ok", "version": __version__, "mode": mode, "under_way": under_way}
        return await self._json(request, alive)

    @property
    def _router(self) -> Any:
        return self._service.runtime.gateway.router

    async def _json(self, request: web.Request, value: Mapping[str, Any]) -> web.StreamResponse:
        headers = {"content-type": "application/json", **identity(self._service.new_id())}
        return web.Response(body=orjson.dumps(value), headers=headers)

    async def _refuse(self, request: web.Request, error: ProviderError) -> web.StreamResponse:
        ident = self._service.new_id()
        wire = on_wire(caller_format(request), error, ident)
        return web.Response(status=wire.status, headers={**wire.headers, **identity(ident)}, body=wire.body)


def _described(request: web.Request, name: str, owner: str | None) -> dict[str, Any]:
    """A model as the caller's format describes one."""
    if caller_format(request).name == "anthropic_messages":
        return {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": SINCE, "owned_by": owner or ROUTE_OWNER}
