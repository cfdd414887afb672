"""One endpoint: a request in a wire format comes in, the gateway answers it, the answer goes out in the same format."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from providers.dialects import API_DIALECTS, ID_PREFIXES, dialect
from providers.types import StreamFinished, StreamInterrupted, StreamRestarted, StreamStarted, TextDelta
from sandbox.core.events import ClientAnswered, ClientAsked
from sandbox.gateway.answers import completion_of
from sandbox.server.bodies import body_of
from sandbox.server.gateway import telling
from sandbox.server.gateway.asking import Asked, read
from sandbox.server.gateway.failures import on_wire, told

if TYPE_CHECKING:
    from aiohttp import web

    from providers.dialects.base import StreamEncoder
    from sandbox.server.gateway.service import Exchange, Service

SHOWN_CHARS: Final = 20_000
"""Of a question and of an answer, for whoever watches."""
MAX_TAG: Final = 64


class Endpoint:
    """The handler of one API, by the name that recordings carry."""

    def __init__(self, api: str, service: Service) -> None:
        self._api = api
        self._dialect = dialect(API_DIALECTS[api])
        self._prefix = ID_PREFIXES[self._dialect.name]
        self._service = service

    async def handle(self, request: web.Request) -> web.StreamResponse:
        service = self._service
        began = service.clock.monotonic()
        with service.exchange(request) as exchange:
            try:
                await self._answer(request, exchange, began)
            except asyncio.CancelledError:
                ended = exchange.taken_back()
                if ended is None:
                    # The caller has left; what was asked for it upstream is closed by now.
                    raise
                await self._refuse(exchange, ended, began)
            except Exception as error:
                if not _has_left(exchange, error):
                    await self._refuse(exchange, error, began)
        return exchange.reply

    async def _answer(self, request: web.Request, exchange: Exchange, began: float) -> None:
        service, reply, dialect = self._service, exchange.reply, self._dialect
        body = await body_of(request, reply)
        exchange.received = True
        runtime = service.runtime
        asked = read(
            dialect,
            body,
            request.headers,
            path=request.raw_path,
            ident=exchange.ident,
            store_streams=runtime.settings.cache.streams,
        )
        if service.steer is not None:
            asked = service.steer(asked)
        if runtime.bus.read:
            prompt = asked.request.last_user_text()[:SHOWN_CHARS]
            tag = request.headers.get("x-sandbox-tag", "")[:MAX_TAG]
            runtime.bus.publish(ClientAsked(service.clock.time_us(), exchange.ident, self._api, prompt, tag))
        if asked.stream:
            await _Streaming(self, exchange, asked, began).run()
            return
        response = await runtime.gateway.generate(asked.request, asked.options)
        if runtime.bus.read:
            text = response.text[:SHOWN_CHARS]
            runtime.bus.publish(ClientAnswered(service.clock.time_us(), exchange.ident, text))
        written = dialect.encode_completion(
            completion_of(response),
            model=response.model_id,
            response_id=self._prefix + exchange.ident,
            created=service.clock.time_us() // 1_000_000,
        )
        took_ms = (service.clock.monotonic() - began) * 1000.0
        await reply.whole(200, telling.headers(response, took_ms), written)

    async def _refuse(self, exchange: Exchange, error: Exception, began: float) -> None:
        reply, ident = exchange.reply, exchange.ident
        if reply.code is not None:
            # What had begun cannot be taken back: the connection breaks, so that nobody takes it for whole.
            told(error, ident)
            reply.reset()
            return
        failure = told(error, ident)
        wire = on_wire(self._dialect, failure, ident)
        took_ms = (self._service.clock.monotonic() - began) * 1000.0
        headers = {**wire.headers, **telling.failure_headers(failure, ident, took_ms)}
        await reply.whole(wire.status, headers, wire.body)

    def encoder(self, exchange: Exchange, model: str, *, include_usage: bool) -> StreamEncoder:
        return self._dialect.encoder(
            model=model,
            response_id=self._prefix + exchange.ident,
            created=self._service.clock.time_us() // 1_000_000,
            include_usage=include_usage,
        )


def _has_left(exchange: Exchange, error: Exception) -> bool:
    """Whether the answer could not be handed over because nobody is there any more, who needs no more words."""
    return isinstance(error, ConnectionError) and exchange.reply.code is not None


class _Streaming:
    """One stream on its way out. Before its first event a failure has a status of its own, after it an event."""

    def __init__(self, endpoint: Endpoint, exchange: Exchange, asked: Asked, began: float) -> None:
        self._endpoint = endpoint
        self._exchange = exchange
        self._asked = asked
        self._began = began
        self._encoder: StreamEncoder | None = None

    async def run(self) -> None:
        exchange, reply = self._exchange, self._exchange.reply
        exchange.begin_stream = self._open
        try:
            await self._pass_on()
        except asyncio.CancelledError:
            ended = exchange.taken_back() if reply.code is not None else None
            if ended is None:
                raise
            await self._break_off(ended)
        except Exception as error:
            if reply.code is None or _has_left(exchange, error):
                raise
            await self._break_off(error)
        finally:
            exchange.begin_stream = None

    async def _pass_on(self) -> None:
        gateway, reply = self._endpoint._service.runtime.gateway, self._exchange.reply
        async with aclosing(gateway.stream_batches(self._asked.request, self._asked.options)) as batches:
            async for batch in batches:
                written: list[bytes] = []
                for event in batch:
                    if isinstance(event, TextDelta) and self._encoder is not None:
                        # Nearly all of them.
                        written.append(self._encoder.event(event))
                    elif isinstance(event, StreamStarted):
                        self._open(event)
                        written.append(self._encoding(event.model).start())
                    elif isinstance(event, StreamFinished):
                        written.append(self._last(event))
                    elif not isinstance(event, (StreamInterrupted, StreamRestarted)):
                        # How it was interrupted is told by the error that follows; and asked not to, none begins anew.
                        written.append(self._encoding().event(event))
                reply.push(b"".join(written))
                if isinstance(batch[-1], StreamFinished):
                    await reply.end()
                elif reply.crowded:
                    await reply.drained()

    def _open(self, started: StreamStarted | None = None) -> None:
        """Begin the answer, once: when somebody answers, or when the wait for that has become long."""
        reply = self._exchange.reply
        if reply.code is None:
            mode = self._endpoint._service.runtime.gateway.mode
            kind = self._encoding(started.model if started else None).content_type
            provider = started.provider if started else None
            reply.open(200, telling.stream_headers(kind, self._exchange.ident, provider, mode))

    def _encoding(self, model: str | None = None) -> StreamEncoder:
        encoder = self._encoder
        if encoder is None or model is not None:
            named = model or self._asked.request.model or ""
            encoder = self._encoder = self._endpoint.encoder(
                self._exchange, named, include_usage=self._asked.include_usage
            )
        return encoder

    def _last(self, finished: StreamFinished) -> bytes:
        response, completion = finished.response, finished.completion
        summary = b""
        if response is not None:
            if completion.usage is None:
                # Counted here, where the vendor sent no numbers.
                completion.usage = response.usage
            took_ms = (self._endpoint._service.clock.monotonic() - self._began) * 1000.0
            summary = telling.summary(response, took_ms)
        return self._encoding().finish(completion) + summary

    async def _break_off(self, error: Exception) -> None:
        """End the stream so that nobody takes it for whole: an error event, and none of the format's last words."""
        reply, ident = self._exchange.reply, self._exchange.ident
        failure = told(error, ident)
        failure.request_id = ident
        # The connection lives on: it was promised in the headers, and the body has an end.
        reply.push(self._encoding().error(failure) + telling.failure_summary(failure, ident))
        await reply.end()
