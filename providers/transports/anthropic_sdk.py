"""Anthropic's SDK as a transport."""

from __future__ import annotations

import anthropic
from anthropic._base_client import get_platform

from providers.transports.aiohttp_client import AiohttpTransport
from providers.transports.sdk import SdkTransport, http_client


def anthropic_transport(base_url: str, *, api_key: str, api_version: str, max_connections: int = 100) -> SdkTransport:
    """`base_url` is without the version, as in `https://api.anthropic.com`.

    The SDK's newer API versions and its bearer authentication are not what every compatible server knows, so the
    version that the dialect reads is pinned and the key is sent under its documented name too.
    """
    pool = AiohttpTransport("", max_connections=max_connections)
    client = anthropic.AsyncAnthropic(
        api_key=api_key,
        base_url=base_url,
        max_retries=0,
        timeout=600.0,
        open_telemetry=False,
        http_client=http_client(pool),
    )
    # This also drops the headers that the SDK took from the environment unasked.
    client._custom_headers = {"anthropic-version": api_version, "X-Api-Key": api_key}
    # What the first call would otherwise do in a thread.
    client._platform = get_platform()
    return SdkTransport(client, anthropic, pool)
