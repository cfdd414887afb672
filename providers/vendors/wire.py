"""A provider that speaks a wire format: a dialect over a transport, with what is particular to one vendor as data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from threading import Lock
from typing import TYPE_CHECKING, ClassVar, Literal

from providers.clock import SYSTEM_CLOCK, Clock, Randomness
from providers.dialects import api_of, dialect
from providers.dialects.base import Dialect, Quirks
from providers.errors import (
    AuthenticationError,
    ConfigError,
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
)
from providers.faults import FaultSource
from providers.limits import texts
from providers.resuming import within
from providers.transports.base import Transport, WireRequest, WireResponse
from providers.types import Completion, GenerationRequest, LLMResponse, StreamEvent, StreamStarted
from providers.vendors.settings import Mode, checked_base_url, environment, mode_from_environment
from providers.vendors.vendor import Vendor

if TYPE_CHECKING:
    from providers.mock.simulated import Simulation
    from providers.pricing import Catalogue
    from providers.transports.judged import Judge
    from providers.vendors.recording import Recorder

TransportKind = Literal["sdk", "aiohttp"]

END_GRACE = 0.02
"""Seconds to wait, after the last event of a stream, for the end of its body: then the connection can be used again."""
MAX_QUIRKS = 256
"""Models whose quirks are remembered; callers may ask for any."""
USER_AGENT = "llm-failover-sandbox"


class WireProvider(Vendor):
    """One vendor. `attempt` and `stream_attempt` are the only ways to it, whatever moves the bytes."""

    default_transport: ClassVar[TransportKind] = "sdk"
    has_sdk: ClassVar[bool] = True
    """The vendor's SDK can be the transport."""
    judge: Judge | None = None
    """Of one whose address somebody gave at run time: what is wrong with where it leads. Then no SDK moves the bytes.

    To be set before the first request.
    """

    def __init__(
        self,
        model_id: str | None = None,
        *,
        model: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 4,
        base_delay: float = 1.0,
        max_delay: float = 8.0,
        max_connections: int = 100,
        mock_mode: bool | None = None,
        prices: Catalogue | None = None,
        clock: Clock = SYSTEM_CLOCK,
        draws: Randomness | None = None,
        models: Sequence[str] = (),
        transport: Transport | None = None,
        transport_kind: TransportKind | None = None,
        api: str | None = None,
        simulation: Simulation | None = None,
        faults: FaultSource | None = None,
        registered_as: str | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """`models`: further model names that this one serves. `transport`: used in place of one of its own.
        `transport_kind`: ConfigError for the SDK of a vendor that has none here.
        `api`: another of the vendor's APIs than its main one, such as `responses`; ConfigError for one it has not.

        `simulation`: how the simulated side answers; giving one turns mock mode on. `faults`: failures to provoke on
        the provider that is `registered_as` (default: its kind). `mock_mode=None`: what SANDBOX_MODE says, else live.
        `recorder`: keeps what it is armed for, or everything; closing it is its owner's.
        """
        texts(api_key=api_key)
        if transport_kind == "sdk" and not self.has_sdk:
            raise ConfigError(f"transport is 'sdk' for {self.kind}, which has no vendor SDK here; use 'aiohttp'")
        self.models = tuple(models)
        self.mode: Mode
        if simulation is not None and mock_mode is not False:
            self.mode = "replay" if simulation.fixtures_only else "mock"
        else:
            self.mode = mode_from_environment() if mock_mode is None else "mock" if mock_mode else "live"
        live = self.mode == "live" and transport is None
        super().__init__(
            model_id,
            model=model,
            api_key=(api_key or "").strip() or (environment(self.key_variable) if live else None),
            base_url=base_url or (environment(self.url_variable) if live else None) or self.default_base_url,
            timeout=timeout,
            max_retries=max_retries,
            base_delay=base_delay,
            max_delay=max_delay,
            max_connections=max_connections,
            mock_mode=self.mode != "live",
            prices=prices,
            clock=clock,
            draws=draws,
        )
        if api is not None:
            self.dialect_name, self.path = self._chosen(api)  # type: ignore[misc]  # this one's own, not the class's
        self.dialect: Dialect = dialect(self.dialect_name)
        self.transport_kind = transport_kind or self.default_transport
        self.simulation = simulation
        self.registered_as = registered_as or self.kind
        self._faults = faults
        self._recorder = recorder
        self._given = transport
        self._transport: Transport | None = None
        self._live: Transport | None = None
        self._connecting = Lock()
        self._quirks: dict[str, Quirks] = {}
        if live and self.base_url:
            source = "base_url" if base_url else self.url_variable or "base_url"
            checked = checked_base_url(self.base_url, source=source, plain_http=self.plain_http)
            self.base_url = self.complete_url(checked)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, mode={self.mode!r})"

    # --- transports -----------------------------------------------------------------------------------------------

    def sdk_transport(self, base_url: str, api_key: str) -> Transport:
        from providers.transports.openai_sdk import openai_transport

        return openai_transport(base_url, api_key=api_key or "not-needed", max_connections=self.max_connections)

    async def _open(self, model_id: str) -> Transport:
        simulated = self.mode != "live" and self._given is None
        transport = self._simulated() if simulated else await self.connection(model_id)
        recorder = self._recorder
        if recorder is not None and not recorder.provoked:
            transport = self._recorded(transport, recorder)
        if self._faults is not None:
            transport = self._faulty(transport, self._faults)
        if recorder is not None and recorder.provoked:
            transport = self._recorded(transport, recorder)
        if self._transport is None:
            self._transport = transport
        return self._transport

    async def connection(self, model_id: str) -> Transport:
        """The vendor itself, without faults to provoke and without a recorder. Raises AuthenticationError."""
        if self._given is not None:
            return self._given
        self._check_configured(model_id)
        # In a thread, because the first one imports an HTTP client and perhaps an SDK: up to seconds.
        return await asyncio.to_thread(self._connected_once)

    def _check_configured(self, model_id: str) -> None:
        if self.needs_key and not self.api_key:
            raise AuthenticationError(
                f"no API key for {self.kind}: set {self.key_variable} or pass api_key; "
                "to try it without one, use mock_mode=True",
                provider=self.kind,
                model=model_id,
            )
        for value in self.auth_headers(self.api_key or "").values():
            if not (value.isascii() and value.isprintable()):
                raise AuthenticationError(
                    f"the API key of {self.kind} holds a character that no key has, such as a line break or a curly "
                    f"quote; check {self.key_variable or 'api_key'}",
                    provider=self.kind,
                    model=model_id,
                )

    def lacks(self) -> str | None:
        try:
            if self.mode == "live" and self._given is None:
                self._check_configured(self.model_id)
        except AuthenticationError as error:
            return error.message
        return None

    def _connected_once(self) -> Transport:
        """One connected transport, however many first requests there are at once: an SDK's client takes its time."""
        with self._connecting:
            if self._live is None:
                self._live = self._connected()
            return self._live

    def _connected(self) -> Transport:
        base_url, api_key = self.base_url or "", self.api_key or ""
        if self.transport_kind == "sdk" and self.judge is None:
            return self.sdk_transport(base_url, api_key)
        from providers.transports.aiohttp_client import AiohttpTransport

        headers = {"content-type": "application/json", "user-agent": USER_AGENT, **self.auth_headers(api_key)}
        return AiohttpTransport(base_url, headers=headers, max_connections=self.max_connections, judge=self.judge)

    def _simulated(self) -> Transport:
        from providers.mock.simulated import SimulatedTransport, Simulation

        simulation = self.simulation or Simulation(fixtures_only=self.mode == "replay")
        return SimulatedTransport(provider=self.kind, simulation=simulation, clock=self.clock)

    def _faulty(self, transport: Transport, faults: FaultSource) -> Transport:
        from providers.mock.vendor_speech import VendorSpeech
        from providers.transports.faulty import FaultyTransport

        return FaultyTransport(
            transport,
            provider=self.registered_as,
            faults=faults,
            speech=VendorSpeech(self.kind, self.clock),
            draws=self.draws,
            clock=self.clock,
        )

    def _recorded(self, transport: Transport, recorder: Recorder) -> Transport:
        return recorder.wrap(transport, provider=self.kind, base_url=self.base_url, secrets=self.secrets)

    async def close(self) -> None:
        transport, self._transport, self._live = self._transport or self._live or self._given, None, None
        if transport is not None:
            await transport.close()

    # --- one shot -------------------------------------------------------------------------------------------------

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        headers: Mapping[str, str] = {}
        try:
            response = await self._send(request, model_id, stream=False)
            headers = response.headers
            try:
                body = await response.read()
            finally:
                await response.close()
            completion = self.dialect_of(model_id).decode_completion(body)
        except ProviderError as error:
            self._sign(error, model_id, headers)
            raise
        if completion.usage is None:
            completion.usage = self.usage_beside(headers)
        request_id = _request_id(headers)
        if request_id:
            completion.metadata["request_id"] = request_id
        return completion

    async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
        async with aclosing(self._batches(request, model_id)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    def stream_batches(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[list[StreamEvent]]:
        if type(self).stream_attempt is not WireProvider.stream_attempt:
            # Of a provider that was changed, by the user for one, the change counts.
            return super().stream_batches(request, model_id)
        return self._batches(request, model_id)

    async def _batches(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[list[StreamEvent]]:
        response: WireResponse | None = None
        decoder = self.dialect_of(model_id).decoder()
        try:
            response = await self._send(request, model_id, stream=True)
            async for data in response.chunks():
                batch = decoder.feed(data)
                for event in batch:
                    if type(event) is StreamStarted:
                        event.provider = self.kind
                if batch:
                    yield batch
                if decoder.failure is not None:
                    raise decoder.failure
                if decoder.finished:
                    return
            batch = decoder.close()
            if batch:
                yield batch
        except ProviderError as error:
            self._sign(error, model_id, response.headers if response is not None else {})
            raise
        finally:
            if response is not None:
                if decoder.finished:
                    await self._let_end(response)
                await response.close()

    async def _send(self, request: GenerationRequest, model_id: str, *, stream: bool) -> WireResponse:
        """An answer with a good status; raises what any other one means."""
        quirks = self._quirks.get(model_id)
        if quirks is None:
            if len(self._quirks) >= MAX_QUIRKS:
                self._quirks.clear()
            quirks = self._quirks[model_id] = self.quirks_of(model_id)
        dialect = self.dialect_of(model_id)
        lack = self.cannot(request, model_id)
        if lack is not None:
            raise InvalidRequestError(lack)
        body = dialect.encode_request(request, model=self.asked_as(model_id), stream=stream, quirks=quirks)
        transport = self._transport or await self._open(model_id)
        path, api = self.path_of(model_id, stream=stream), api_of(dialect.name, stream=stream)
        response = await transport.send(WireRequest(path, body, stream, api=api))
        if 200 <= response.status < 300 and "html" not in response.headers.get("content-type", ""):
            return response
        try:
            body = await response.read()
        finally:
            await response.close()
        if response.status < 300:
            raise MalformedResponseError(
                f"{self.kind} answered with a web page; is base_url right?", status=response.status
            )
        error = dialect.decode_error(response.status, response.headers, body)
        error.request_id = error.request_id or _request_id(response.headers)
        raise error

    async def _let_end(self, response: WireResponse) -> None:
        pieces = response.chunks()
        try:
            # Nearly always it is there already, and costs no timer.
            await within(self.clock.timeout, END_GRACE, pieces.__anext__())
            async with self.clock.timeout(END_GRACE):
                async for _ in pieces:
                    pass
        except (StopAsyncIteration, TimeoutError, ProviderError):
            pass

    def _sign(self, error: ProviderError, model_id: str, headers: Mapping[str, str]) -> None:
        """Say whose error it is, and keep the key out of it."""
        error.provider = error.provider or self.kind
        error.model = error.model or model_id
        error.request_id = error.request_id or _request_id(headers)
        if error.__suppress_context__:
            # A JSON error, for one, holds the whole body, and with it whatever the vendor echoed.
            error.__context__ = None
        secrets = self.secrets()
        if secrets:
            error.redacted(secrets)

    def respond(
        self, request: GenerationRequest, completion: Completion, *, started: float, ttft: float | None = None
    ) -> LLMResponse:
        response = super().respond(request, completion, started=started, ttft=ttft)
        response.mode = self.mode
        if request.model and self.resolve_model(request.model):
            response.model = request.model
        return response

    async def _make_request(self, request: GenerationRequest) -> Completion:
        return await self.attempt(request, self._target(request))


def _request_id(headers: Mapping[str, str]) -> str | None:
    return (
        headers.get("x-request-id")
        or headers.get("request-id")
        or headers.get("apim-request-id")
        or headers.get("x-amzn-requestid")
        or headers.get("x-ds-trace-id")
    )
