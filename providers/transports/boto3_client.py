"""boto3's own client as a transport: it addresses, signs, pools and sends; the dialect writes and reads the bytes.

boto3 builds requests from parameters and hands out parsed answers. Two of its events take the dialect's bytes in and
let the raw answer out: at `before-call` our body replaces its own, at `before-send` the signed request is sent and the
answer kept. boto3 blocks, so a call and each of its reads has a thread for as long as it takes.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import boto3
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError, SSLError
from botocore.session import Session
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as SilenceError
from urllib3.response import BaseHTTPResponse

from providers.errors import ConnectionFailedError, ProviderError, ProviderTimeoutError
from providers.transports.aiohttp_client import CONNECT_TIMEOUT
from providers.transports.aws_credentials import AwsCredentials, unlogged
from providers.transports.base import WireRequest
from providers.transports.boto3_pool import Call, CuttableSession, current_call

T = TypeVar("T")

READ_TIMEOUT: Final = 600.0
"""Seconds of silence after which a thread stops waiting by itself; the limits of whoever calls are shorter."""
READ_SIZE: Final = 1 << 16

_PATH: Final = re.compile(r"/model/([^/]+)/(converse(?:-stream)?|invoke(?:-with-response-stream)?)")
_METHODS: Final = {
    "converse": "converse",
    "converse-stream": "converse_stream",
    "invoke": "invoke_model",
    "invoke-with-response-stream": "invoke_model_with_response_stream",
}


class Boto3Transport:
    """Sends to Bedrock's runtime. Beside the errors of every transport it raises AuthenticationError, where
    credentials cannot be renewed."""

    def __init__(
        self,
        base_url: str,
        *,
        session: Session,
        region: str,
        credentials: AwsCredentials | None = None,
        api_key: str | None = None,
        user_agent: str,
        max_connections: int = 100,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        """`credentials` are the session's, which sign; `api_key` is sent as a bearer token in place of a signature."""
        self._host = urlsplit(base_url).netloc
        self._credentials = credentials
        # Not boto3's own bearer authentication: it takes the token from the environment alone.
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._max_connections = max_connections
        self._http = CuttableSession(
            connect_timeout=connect_timeout, read_timeout=READ_TIMEOUT, max_connections=max_connections
        )
        self._threads: ThreadPoolExecutor | None = None
        self._calls: WeakSet[Call] = WeakSet()
        config = Config(
            # Said outright, so that a token in the environment does not take the place of the keys.
            signature_version=UNSIGNED if api_key else "v4",
            retries={"total_max_attempts": 1, "mode": "standard"},
            parameter_validation=False,
            user_agent_extra=user_agent,
        )
        with unlogged():
            self._client: Any = boto3.Session(botocore_session=session).client(
                "bedrock-runtime", region_name=region, endpoint_url=base_url, config=config
            )
        self._client.meta.events.register("before-call.bedrock-runtime", self._fill)
        self._client.meta.events.register("before-send.bedrock-runtime", self._send)

    async def send(self, request: WireRequest) -> Boto3Response:
        call = Call(request.body)
        self._calls.add(call)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._max_connections, thread_name_prefix="boto3")
        try:
            response = await _in_thread(self._threads, call, lambda: self._ask(request))
        except (BotoCoreError, HTTPError, OSError) as error:
            failure = _unanswered(error, self._host)
        else:
            return Boto3Response(call, response, self._threads, self._host)
        # Raised here and not in the handler: botocore's errors hold the request, and with it the signature.
        raise failure

    async def close(self) -> None:
        for call in list(self._calls):
            call.cut()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    # --- in a thread ----------------------------------------------------------------------------------------------

    def _ask(self, request: WireRequest) -> BaseHTTPResponse:
        found = _PATH.fullmatch(request.path)
        if found is None:
            raise ValueError(f"{request.path} is no path of Bedrock's runtime")
        model, operation = unquote(found[1]), found[2]
        if self._credentials is not None:
            self._credentials.renewed()
        types = {"contentType": "application/json", "accept": "application/json"} if "invoke" in operation else {}
        with unlogged():
            getattr(self._client, _METHODS[operation])(modelId=model, **types)
        return current_call().response

    def _fill(self, params: dict[str, Any], **_: Any) -> None:
        params["body"] = current_call().body
        params["headers"].update(self._headers)

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        # Or the session would read the whole body before handing it out.
        request.stream_output = True
        current_call().response = self._http.send(request).raw
        # For boto3 to parse; the answer itself is read elsewhere.
        return AWSResponse(request.url, 200, {}, _Nothing())  # type: ignore[arg-type]


class _Nothing(BytesIO):
    """An empty body in the form that botocore reads."""

    def stream(self, *_: Any) -> Iterator[bytes]:
        return iter(())


class Boto3Response:
    """An answer whose bytes are read in threads, one read at a time: none is fetched before it is asked for."""

    def __init__(self, call: Call, response: BaseHTTPResponse, threads: ThreadPoolExecutor, host: str) -> None:
        # botocore does not want to be told of a body that is shorter than announced.
        response.enforce_content_length = True  # type: ignore[attr-defined]
        self._call = call
        self._response = response
        self._threads = threads
        self._host = host
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def read(self) -> bytes:
        return await self._take(lambda: self._response.read(decode_content=True))

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data = await self._take(lambda: self._response.read1(READ_SIZE, decode_content=True))
        if data:
            return data
        raise StopAsyncIteration

    async def _take(self, step: Callable[[], bytes]) -> bytes:
        try:
            return await _in_thread(self._threads, self._call, step)
        except SilenceError:
            failure: ProviderError = ProviderTimeoutError(f"{self._host} stopped sending in the middle of its answer")
        except (HTTPError, OSError):
            failure = ConnectionFailedError(f"the connection to {self._host} broke in the middle of its answer")
        raise failure

    async def close(self) -> None:
        # Before the end of the body this closes the socket; after it the connection is back in the pool already.
        self._call.cut()
        self._call.close()


async def _in_thread(threads: ThreadPoolExecutor, call: Call, step: Callable[[], T]) -> T:
    running = threads.submit(call.run, step)
    try:
        return await asyncio.wrap_future(running)
    except asyncio.CancelledError:
        # Nobody will take what the thread is waiting for, nor what it has got meanwhile.
        call.cut()
        running.add_done_callback(lambda _: call.close())
        raise


def _unanswered(error: Exception, host: str) -> ProviderError:
    """What went wrong before there was an answer, naming the host and nothing else of the request."""
    if isinstance(error, ConnectTimeoutError):
        return ProviderTimeoutError(f"{host} did not accept a connection in time")
    if isinstance(error, ReadTimeoutError):
        return ProviderTimeoutError(f"{host} did not answer in time")
    cause = _origin(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ConnectionFailedError(f"the TLS certificate of {host} cannot be verified")
    if isinstance(error, SSLError):
        return ConnectionFailedError(f"no TLS connection to {host} could be made; is it an https address?")
    if isinstance(cause, socket.gaierror):
        return ConnectionFailedError(f"the host name {host} cannot be resolved")
    if isinstance(error, EndpointConnectionError):
        reason = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else type(cause).__name__
        return ConnectionFailedError(f"could not connect to {host}: {reason}")
    return ConnectionFailedError(f"{host} closed the connection without an answer")


def _origin(error: BaseException) -> BaseException:
    """What an error came from: botocore keeps it among its arguments, urllib3 as the cause or the first argument."""
    while True:
        inner = getattr(error, "kwargs", {}).get("error") or error.__cause__ or next(iter(error.args), None)
        if not isinstance(inner, BaseException):
            return error
        error = inner
