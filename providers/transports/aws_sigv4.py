"""The lean road to AWS: botocore signs, aiohttp moves the bytes."""

from __future__ import annotations

from collections.abc import Mapping

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from providers.clock import SYSTEM_CLOCK, Clock, utc
from providers.transports.aiohttp_client import AiohttpResponse, AiohttpTransport
from providers.transports.aws_credentials import AwsCredentials
from providers.transports.base import WireRequest


class SigV4Transport:
    """Signs each request with AWS's Signature Version 4, for one service in one region.

    Beside the errors of every transport it raises AuthenticationError: credentials that cannot be renewed sign nothing.
    """

    def __init__(
        self,
        base_url: str,
        *,
        credentials: AwsCredentials,
        region: str,
        service: str,
        headers: Mapping[str, str],
        max_connections: int = 100,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`headers` go with every request, unsigned but for the content type."""
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        self._region = region
        self._service = service
        self._clock = clock
        self._content_type = headers["content-type"]
        self._pool = AiohttpTransport("", headers=headers, max_connections=max_connections)

    async def send(self, request: WireRequest) -> AiohttpResponse:
        url = self._base_url + request.path
        signed = authorization(
            await self._credentials.current(),
            method=request.method,
            url=url,
            headers={"content-type": self._content_type, **request.headers},
            body=request.body,
            region=self._region,
            service=self._service,
            at=self._clock.time_us(),
        )
        # Sent as it is written: an escape that is undone on the way, such as a colon's, is not what was signed.
        return await self._pool.send_to(url, request.method, signed, request.body)

    async def close(self) -> None:
        await self._pool.close()


def authorization(
    credentials: ReadOnlyCredentials,
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    region: str,
    service: str,
    at: int,
) -> dict[str, str]:
    """`headers`, all of them signed, with those that the signature adds. `at` is UTC microseconds.

    The steps of `SigV4Auth.add_auth` by themselves: that one reads the real clock, and it writes what it signs, the
    session token with it, into its log.
    """
    stamp = utc(at).strftime(SIGV4_TIMESTAMP)
    complete = {**headers, "x-amz-date": stamp}
    if credentials.token:
        complete["x-amz-security-token"] = credentials.token
    signer = SigV4Auth(credentials, service, region)
    request = AWSRequest(method, url, headers=complete, data=body)
    request.context["timestamp"] = stamp
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    complete["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, Signature={signature}"
    )
    return complete
