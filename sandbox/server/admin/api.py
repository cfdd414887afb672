"""The handlers of the admin API: who asks is checked, then what is asked; errors are in the caller's format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Final

from aiohttp import web
from pydantic import BaseModel, ValidationError

from providers.errors import InputError, InvalidRequestError, ModelNotFoundError, ProviderError, ServiceUnavailableError
from providers.hints import did_you_mean
from sandbox.access.callers import Access
from sandbox.compat.backend_manager import as_numbers
from sandbox.desks.wire import written
from sandbox.server.admin.audit import AuditUnavailable
from sandbox.server.admin.operations import Call, Desk, Operation
from sandbox.server.admin.table import EVERYTHING
from sandbox.server.bodies import body_of
from sandbox.server.gateway.app import later
from sandbox.server.gateway.failures import on_wire, told
from sandbox.server.gateway.guard import caller_format
from sandbox.server.gateway.service import Exchange, Service
from sandbox.server.gateway.telling import identity
from sandbox.server.reply import Reply
from sandbox.usage.base import UsageUnavailable

MAX_BODY: Final = 1 << 16
"""Bytes of a body: what can be asked here is short."""
SCOPE: Final = "admin"
HEADERS: Final[Mapping[str, str]] = {"content-type": "application/json", "cache-control": "no-store"}


def add(app: web.Application, desk: Desk, access: Access, service: Service) -> None:
    """Add the paths of all operations."""
    for operation in EVERYTHING:
        handler = _Handler(operation, desk, access, service)
        app.router.add_route(operation.method, operation.path, handler.handle, expect_handler=later)


class _Handler:
    def __init__(self, operation: Operation, desk: Desk, access: Access, service: Service) -> None:
        self._operation = operation
        self._desk = desk
        self._access = access
        self._service = service

    async def handle(self, request: web.Request) -> web.StreamResponse:
        with self._service.exchange(request) as exchange:
            try:
                call = await self._asked(request, exchange)
                if self._operation.flow is not None:
                    await self._tell(self._operation.flow(self._desk, call), exchange)
                else:
                    answer = await self._answered(call)
                    await exchange.reply.whole(200, {**HEADERS, **identity(exchange.ident)}, answer)
            except asyncio.CancelledError:
                ended = exchange.taken_back()
                if ended is None:
                    raise
                if exchange.reply.code is not None:
                    exchange.reply.reset()
                    return exchange.reply
                await refuse(request, exchange.reply, exchange.ident, ended)
            except Exception as error:
                if exchange.reply.code is None:
                    await refuse(request, exchange.reply, exchange.ident, error)
                elif self._operation.flow is not None:
                    told(error, exchange.ident)
                    exchange.reply.reset()
        return exchange.reply

    async def _asked(self, request: web.Request, exchange: Exchange) -> Call:
        operation = self._operation
        caller = self._access.required(request.headers, SCOPE)
        asked: BaseModel | None = None
        if operation.body is not None:
            small = request.clone(client_max_size=MAX_BODY)
            asked = _checked(operation.body, await body_of(small, exchange.reply))
        elif operation.query is not None:
            asked = query_of(operation.query, request)
        exchange.received = True
        parts = {name: request.match_info[name] for name in operation.parts}
        for name, value in parts.items():
            _check_part(name, value, operation.parts[name])
        return Call(caller.name, exchange.ident, parts, asked)

    async def _answered(self, call: Call) -> bytes:
        assert self._operation.work is not None  # noqa: S101
        answer = await self._operation.work(self._desk, call)
        return answer if isinstance(answer, bytes) else written(as_numbers(answer))

    async def _tell(self, flow: AsyncIterator[bytes], exchange: Exchange) -> None:
        """Piece by piece. What goes wrong after the first one is told by the connection, which breaks."""
        reply = exchange.reply
        headers = {**HEADERS, "content-type": self._operation.kind, "x-accel-buffering": "no"}
        async with aclosing(flow) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                if reply.code is None:
                    reply.open(200, {**headers, **identity(exchange.ident)})
                await reply.put(piece)
        if reply.code is None:
            reply.open(200, {**headers, **identity(exchange.ident)})
        await reply.end()


async def refuse(request: web.Request, reply: Reply, ident: str, error: BaseException) -> None:
    """Tell what went wrong, in the caller's format."""
    wire = on_wire(caller_format(request), _in_words(error, ident), ident)
    challenge = {"www-authenticate": "Bearer"} if wire.status == 401 else {}
    headers = {**wire.headers, **identity(ident), **challenge, "cache-control": "no-store"}
    await reply.whole(wire.status, headers, wire.body)


def _in_words(error: BaseException, ident: str) -> ProviderError:
    if isinstance(error, InputError):
        return InvalidRequestError(str(error), status=400)
    if isinstance(error, AuditUnavailable | UsageUnavailable):
        return ServiceUnavailableError(f"{error}: nothing was changed", status=503)
    return told(error, ident)


# --- what is asked ----------------------------------------------------------------------------------------------------


def _checked(model: type[BaseModel], body: bytes) -> BaseModel:
    """A body, whatever its media type says: `curl -d` says that it is a form. Raises InvalidRequestError."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidRequestError(_sentence(error, model, "the body"), status=400) from None


def query_of(model: type[BaseModel], request: web.Request) -> BaseModel:
    """The query of an address. Raises InvalidRequestError."""
    given = request.query
    twice = next((name for name in given if len(given.getall(name)) > 1), None)
    if twice is not None:
        raise InvalidRequestError(f"{twice[:40]} is given twice", status=400)
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise InvalidRequestError(_sentence(error, model, "the query"), status=400) from None


def _sentence(error: ValidationError, model: type[BaseModel], place: str) -> str:
    """What is wrong first, with the field's name and without its value, which may be a secret put there by mistake."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    # A misspelt field is unknown, and the right one is missing: the first says more.
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    field = ".".join(map(str, problem["loc"]))[:60]
    known = list(model.model_fields)
    fields = f"{', '.join(known) or 'no field'}"
    if not field:
        return f"{place} must be a JSON object with {fields}"
    if problem["type"] == "extra_forbidden":
        return f"{place} has an unknown field {field!r}: {did_you_mean(field, known)}there are {fields}"
    if problem["type"] == "missing":
        return f"{place} lacks {field}"
    return f"{field} is wrong: {problem['msg'].replace('Input should', 'it should', 1)}"


def _check_part(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = did_you_mean(value[:60], known)
        raise ModelNotFoundError(f"there is no {name} {value[:60]!r}: {hint}there are {', '.join(known)}", status=404)
