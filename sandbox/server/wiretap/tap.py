"""The server: one request comes in, goes to its vendor's side, and its answer goes out byte for byte."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

import orjson
from aiohttp import web

from providers.clock import SYSTEM_CLOCK, Clock, Randomness, seeded
from providers.errors import (
    ConfigError,
    ConnectionFailedError,
    FixtureError,
    InputError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ServiceUnavailableError,
)
from providers.exchange import FixtureLibrary
from providers.faults import FaultBoard, FaultSource
from providers.mock.refusals import refusal
from providers.mock.simulated import Simulation
from providers.transports.canned import WholeResponse
from providers.transports.damage import FOREVER
from sandbox.core.offline import is_local
from sandbox.server.addresses import ALL, base
from sandbox.server.bodies import MAX_BODY, body_of
from sandbox.server.http_log import http_logger
from sandbox.server.pages import foreign, leave, local_origin
from sandbox.server.reply import RESET_GRACE, Reply
from sandbox.server.unread import Discreet
from sandbox.server.wiretap import control
from sandbox.server.wiretap.clients import settings
from sandbox.server.wiretap.http2 import Connections
from sandbox.server.wiretap.intake import BODILESS, take_in
from sandbox.server.wiretap.journal import Entry, Journal
from sandbox.server.wiretap.provoked import HEADER, Chosen, Own
from sandbox.server.wiretap.routes import PREFIXES, Found, Unknown, find
from sandbox.server.wiretap.vendor import TappedRequest, Vendor

if TYPE_CHECKING:
    from providers.pricing import Catalogue
    from providers.transports.base import WireResponse
    from sandbox.scenarios.faults import Schedule

logger: Final = logging.getLogger(__name__)
_http_logger: Final = http_logger(f"{__name__}.http")

HINT: Final = "x-wiretap-hint"
BACKLOG: Final = 128
"""Connections that may wait to be taken."""
ENDING: Final = 0.5
"""Seconds that answers under way get when the server ends."""


class Wiretap:
    """The vendors' fakes on a loopback address; `async with` starts and ends it. Belongs to one event loop."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        simulation: Simulation | None = None,
        schedule: Schedule | None = None,
        clock: Clock = SYSTEM_CLOCK,
        draws: Randomness | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        """`port` 0 takes a free one. `simulation`: who answers; by default the packaged recordings, then the writer.

        Raises ConfigError for a host that is not this machine.
        """
        if host in ALL or not is_local(host):
            raise ConfigError(
                f"host is {host!r}; the wiretap answers anybody who reaches it, so it listens on this machine only: "
                "use 127.0.0.1 or ::1"
            )
        chosen = simulation or Simulation()
        self.library = chosen.library or FixtureLibrary.standard()
        self.simulation = replace(chosen, library=self.library)
        self.journal = Journal()
        self.faults = FaultBoard(clock)
        self.fixtures = 0
        """Recordings that can answer."""
        self.http2 = Connections(lambda: self.url, max_body)
        self._host = host
        self._port = port
        self._schedule = schedule
        self._clock = clock
        self._seeded = seeded(self.simulation.seed)
        self._draws = draws or self._seeded
        self._max_body = max_body
        self._vendors: dict[str, Vendor] = {}
        self._standing: tuple[FaultSource, ...] = (self.faults, *([schedule] if schedule is not None else []))
        self._prices: Catalogue | None = None
        self._handling: set[asyncio.Task[Any] | None] = set()
        self._server: web.Server | None = None
        self._listening: asyncio.Server | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    @property
    def problems(self) -> dict[str, str]:
        """Recordings that are left out, by name, with one sentence each."""
        return self.library.problems

    @property
    def unmet(self) -> list[str]:
        """Providers that the scenario breaks and that are not here."""
        return [] if self._schedule is None else self._schedule.unmet(PREFIXES.values())

    @property
    def url(self) -> str:
        """The base address, without a vendor's prefix."""
        return base(self._host, self.port)

    @property
    def port(self) -> int:
        if self._listening is None or not self._listening.sockets:
            return self._port
        return int(self._listening.sockets[0].getsockname()[1])

    @property
    def clients(self) -> list[tuple[str, str]]:
        """How each vendor's client is pointed here: its name, and what to set."""
        return settings(self.url)

    async def start(self) -> None:
        """Read the recordings and listen. Raises OSError where the address cannot be had."""
        self.fixtures = await asyncio.to_thread(self.library.read_all)
        for name, problem in self.problems.items():
            self.journal.problem(Entry(self._clock.time_us(), path=name, provider=name.partition("/")[0], hint=problem))
        server = web.Server(
            self._handle,
            handler_cancellation=True,
            request_factory=self._request,
            access_log=None,
            logger=_http_logger,
        )
        self._listening = await asyncio.get_running_loop().create_server(
            lambda: self.http2.front(Discreet(server)),
            self._host,
            self._port,
            backlog=BACKLOG,
        )
        self._server = server
        if self._schedule is not None:
            self._schedule.start()

    async def close(self) -> None:
        """Cut what is under way and stop listening; safe to call twice."""
        listening, self._listening = self._listening, None
        if listening is None or self._server is None:
            return
        listening.close()
        for task in list(self._handling):
            if task is not None:
                task.cancel()
        await self._server.shutdown(ENDING)
        await self.http2.close()

    async def __aenter__(self) -> Wiretap:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def reset(self) -> None:
        """As after the start: no journal, no faults set by hand; sequences, draws and the scenario begin anew."""
        self.journal.clear()
        self.faults.clear()
        self._seeded.seed(self.simulation.seed)
        for vendor in self._vendors.values():
            vendor.restart()
        if self._schedule is not None:
            self._schedule.start()

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(
            message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=self._max_body
        )

    def _vendor(self, provider: str) -> Vendor:
        vendor = self._vendors.get(provider)
        if vendor is None:
            vendor = self._vendors[provider] = Vendor(
                provider, simulation=self.simulation, prices=self._catalogue, clock=self._clock, draws=self._draws
            )
        return vendor

    def _catalogue(self) -> Catalogue:
        if self._prices is None:
            from providers.pricing import catalogue

            self._prices = catalogue("current")
        return self._prices

    # --- one request ------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        clock = self._clock
        began = clock.monotonic()
        target = request.raw_path
        if not target.startswith("/"):
            target = str(request.rel_url)
        path, _, query = target.partition("?")
        reply = Reply(request, clock)
        reply.origin = local_origin(request.headers)
        entry = Entry(clock.time_us(), request.method, path)
        task = asyncio.current_task()
        self._handling.add(task)
        own = path.startswith(control.PREFIX)
        try:
            await (self._control if own else self._answer)(request, reply, entry, path, query)
        except (asyncio.CancelledError, ConnectionError):
            entry.hint = entry.hint or "the client left before the end"
            raise
        except Exception as error:
            await self._last_resort(reply, entry, error)
        finally:
            self._handling.discard(task)
            reply.finish()
            entry.status, entry.bytes = reply.code, reply.sent
            entry.took_ms = (clock.monotonic() - began) * 1000
            if not own:
                self.journal.add(entry)
        return reply

    async def _answer(self, request: web.BaseRequest, reply: Reply, entry: Entry, path: str, query: str) -> None:
        found = find(request.method, path)
        if isinstance(found, Unknown) and reply.origin is not None and request.method == "OPTIONS":
            wanted = request.headers.get("Access-Control-Request-Method", "")
            found = find(wanted, path)
            if isinstance(found, Found):
                entry.provider, entry.api = found.route.provider, found.route.api
                await reply.whole(204, leave((wanted,), request.headers), b"")
                return
        if isinstance(found, Unknown):
            await self._unknown(request, reply, entry, path, found)
            return
        route = found.route
        entry.provider, entry.api, entry.model = route.provider, route.api, found.model
        vendor = self._vendor(route.provider)
        wire = TappedRequest(
            f"{found.path}?{query}" if query else found.path, b"", method=request.method, api=route.api, entry=entry
        )
        try:
            await take_in(request, reply, wire)
            chosen = self._chosen(request, vendor)
        except (ProviderError, InputError) as error:
            await self._refuse(reply, entry, vendor, wire, error)
            return
        transport = vendor if chosen is None else vendor.provoked(chosen)
        response: WireResponse | None = None
        try:
            response = await transport.send(wire)
            if isinstance(response, WholeResponse):
                await reply.whole(response.status, response.headers, await response.read())
            else:
                # A whole answer with a pace is not begun before all of it is written.
                computed = not wire.stream and getattr(response, "tokens_per_second", None) is not None
                await reply.relay(
                    response.status, response.headers, response.chunks(), stream=wire.stream, computed=computed
                )
        except FixtureError as error:
            await self._refuse(reply, entry, vendor, wire, ModelNotFoundError(str(error), status=404))
        except ProviderTimeoutError:
            await self._silence()
        except ConnectionFailedError:
            await self._clock.sleep(RESET_GRACE)
            reply.reset()
        finally:
            if chosen is not None:
                entry.fault = chosen.told
            if response is not None:
                await response.close()

    def _chosen(self, request: web.BaseRequest, vendor: Vendor) -> Chosen | None:
        """What meets this request; None: nothing does, and it comes at once. Raises InputError for a wrong header."""
        header = request.headers.get(HEADER)
        sources: Sequence[FaultSource] = self._standing
        if header is not None:
            sources = (Own(header), *sources)
        elif not vendor.slow and not any(source.active(vendor.provider) for source in sources):
            return None
        return Chosen(vendor.provider, sources, self._draws)

    # --- answers of the wiretap's own --------------------------------------------------------------------------------

    async def _refuse(
        self, reply: Reply, entry: Entry, vendor: Vendor, wire: TappedRequest, error: ProviderError | InputError
    ) -> None:
        """The vendor's own error for a request that did not reach it."""
        entry.hint = str(error)
        if isinstance(error, InputError):
            error = InvalidRequestError(str(error), status=400)
        refused = vendor.speech(wire).encode_error(error)
        headers = {k.lower(): v for k, v in refused.headers.items()} | {HINT: entry.hint}
        await reply.whole(refused.status, headers, refused.body)

    async def _unknown(self, request: web.BaseRequest, reply: Reply, entry: Entry, path: str, unknown: Unknown) -> None:
        """The vendor's 404 or 405, with a hint at what was probably meant."""
        entry.provider = unknown.provider
        entry.hint = _hint(request.method, path, unknown)
        with suppress(InvalidRequestError):
            await body_of(request, reply)
        if unknown.provider is None:
            body = orjson.dumps({"error": entry.hint})
            status, headers = 404, {"content-type": "application/json"}
        else:
            shown = path[path.find("/", 1) :] if path.count("/") > 1 else "/"
            status, headers, body = refusal(
                unknown.provider, request.method, shown, known=bool(unknown.allowed), now_us=entry.at_us
            )
        if unknown.allowed:
            headers["allow"] = ", ".join(unknown.allowed)
        await reply.whole(status, {**headers, HINT: entry.hint}, body)

    async def _last_resort(self, reply: Reply, entry: Entry, error: Exception) -> None:
        """What nobody foresaw: the vendor's own trouble to the client, the whole story to the log."""
        logger.error("%s %s could not be answered", entry.method, entry.path, exc_info=error)
        entry.hint = f"internal error, {type(error).__name__}: {error}"
        reply.close_after()
        if reply.code is not None or entry.provider is None or entry.api is None:
            reply.reset()
            return
        vendor = self._vendor(entry.provider)
        refused = vendor.speech(TappedRequest("", b"", api=entry.api)).encode_error(
            ServiceUnavailableError("The server had an error.", status=500)
        )
        await reply.whole(refused.status, {**refused.headers, HINT: entry.hint}, refused.body)

    async def _silence(self) -> NoReturn:
        """Nothing more, until the client leaves."""
        while True:
            await self._clock.sleep(FOREVER)

    async def _control(self, request: web.BaseRequest, reply: Reply, entry: Entry, path: str, query: str) -> None:
        headers = {"content-type": "application/json"}
        status = 200
        try:
            if foreign(request.headers, request.raw_path):
                raise control.Refused(403, "the wiretap is controlled from this machine only; ask for 127.0.0.1")
            body = b"" if request.method in BODILESS else await body_of(request, reply)
            value = control.carry_out(self, request.method, path, query, body)
        except InvalidRequestError as error:
            status, value = error.status or 400, {"error": error.message}
        except control.Refused as refused:
            status, value = refused.status, {"error": str(refused)}
            if refused.allowed:
                headers["allow"] = ", ".join(refused.allowed)
                if reply.origin is not None and request.method == "OPTIONS":
                    await reply.whole(204, leave(refused.allowed, request.headers), b"")
                    return
        await reply.whole(status, headers, orjson.dumps(value))


def _hint(method: str, path: str, unknown: Unknown) -> str:
    if unknown.allowed:
        return f"{path[:200]} takes {' or '.join(unknown.allowed)}, not {method}"
    meant = f"; did you mean {unknown.nearest}?" if unknown.nearest else ""
    prefixed = "" if unknown.provider else f"; every vendor has a prefix of its own: {', '.join(PREFIXES)}"
    return f"there is no {path[:200]}{prefixed}{meant}"
