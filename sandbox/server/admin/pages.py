"""What the server tells of itself beside the admin API: its figures, and the document that describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from providers.errors import ProviderError
from sandbox.server.admin.exposition import CONTENT_TYPE, Exposition
from sandbox.server.gateway.app import SERVICE
from sandbox.server.gateway.guard import error_response

if TYPE_CHECKING:
    from sandbox.access.callers import Access

SCOPES: Final = ("metrics", "admin")


class Pages:
    """`asks`: the figures are for callers with one of `SCOPES`; the document is for everybody."""

    def __init__(self, exposition: Exposition, access: Access, *, asks: bool) -> None:
        self._exposition = exposition
        self._access = access
        self._asks = asks
        self._document: bytes | None = None

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        if self._asks:
            try:
                self._access.required(request.headers, *SCOPES)
            except ProviderError as error:
                return error_response(request, request.app[SERVICE], error, more={"www-authenticate": "Bearer"})
        return web.Response(body=await self._exposition.text(), headers={"content-type": CONTENT_TYPE})

    async def document(self, request: web.Request) -> web.StreamResponse:
        if self._document is None:
            from sandbox.server.admin.openapi import document

            self._document = orjson.dumps(document())
        return web.Response(body=self._document, content_type="application/json")
