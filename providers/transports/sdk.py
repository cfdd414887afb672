"""A vendor's SDK as a transport: it authenticates and addresses, our pool moves the bytes, the dialect reads them.

The SDK's own retries are off and its typed models are never built; they cost most of a request.
"""

from __future__ import annotations

from typing import Any, Protocol

import httpx2

from providers.errors import ConnectionFailedError, ProviderError, ProviderTimeoutError
from providers.transports.aiohttp_client import AiohttpTransport
from providers.transports.base import WireRequest, WireResponse
from providers.transports.canned import WholeResponse
from providers.transports.httpx2_aiohttp import WIRE, AiohttpBackedTransport


class SdkClient(Protocol):
    """What the vendors' generated clients have in common."""

    async def post(self, path: str, *, cast_to: Any, content: Any, options: Any, stream: Any) -> Any: ...


class SdkErrors(Protocol):
    """The exception classes of one SDK, by the names that all of them use."""

    @property
    def APIStatusError(self) -> type[Exception]: ...
    @property
    def APITimeoutError(self) -> type[Exception]: ...
    @property
    def APIConnectionError(self) -> type[Exception]: ...


def http_client(pool: AiohttpTransport) -> httpx2.AsyncClient:
    """The client to give to an SDK: our pool, no proxies or certificates from the environment, no redirects."""
    return httpx2.AsyncClient(transport=AiohttpBackedTransport(pool), trust_env=False, follow_redirects=False)


class SdkTransport:
    """Sends through `client.post`, the SDK's documented way to call any endpoint with any body."""

    def __init__(self, client: SdkClient, errors: SdkErrors, pool: AiohttpTransport) -> None:
        self._client = client
        self._errors = errors
        self._pool = pool

    async def send(self, request: WireRequest) -> WireResponse:
        options = {"headers": dict(request.headers)} if request.headers else {}
        try:
            response = await self._client.post(
                request.path, cast_to=httpx2.Response, content=request.body, options=options, stream=True
            )
            wire: WireResponse = response.extensions[WIRE]
            return wire
        except self._errors.APIStatusError as error:
            refused: httpx2.Response = error.response  # type: ignore[attr-defined]
            return WholeResponse(refused.status_code, dict(refused.headers), refused.content)
        except (ProviderError, self._errors.APIConnectionError, httpx2.HTTPError) as error:
            failure = self._failure(error)
        # Raised here and not in the handler: the SDK's errors hold the request, and with it the key.
        raise failure

    def _failure(self, error: Exception) -> ProviderError:
        if isinstance(error, ProviderError):
            return error
        if isinstance(error.__cause__, ProviderError):
            return error.__cause__
        if isinstance(error, (self._errors.APITimeoutError, httpx2.TimeoutException)):
            return ProviderTimeoutError("the provider did not answer in time")
        return ConnectionFailedError("the connection to the provider failed")

    async def close(self) -> None:
        await self._pool.close()
