"""OpenAI's SDK as a transport, for OpenAI itself, Azure and every server that speaks OpenAI's API."""

from __future__ import annotations

from typing import Any

import openai
from openai._base_client import get_platform

from providers.transports.aiohttp_client import AiohttpTransport
from providers.transports.sdk import SdkTransport, http_client


def openai_transport(
    base_url: str, *, api_key: str, organization: str | None = None, max_connections: int = 100
) -> SdkTransport:
    """`base_url` includes the version, as in `https://api.openai.com/v1`."""
    pool = AiohttpTransport("", max_connections=max_connections)
    client = openai.AsyncOpenAI(
        api_key=api_key, base_url=base_url, max_retries=0, timeout=None, http_client=http_client(pool)
    )
    return SdkTransport(_settled(client, organization), openai, pool)


def azure_transport(endpoint: str, *, api_key: str, api_version: str, max_connections: int = 100) -> SdkTransport:
    """`endpoint` is the resource's own address; request paths begin with `/openai/deployments/`."""
    pool = AiohttpTransport("", max_connections=max_connections)
    client = openai.AsyncAzureOpenAI(
        api_key=api_key,
        base_url=endpoint,
        api_version=api_version,
        max_retries=0,
        timeout=None,
        http_client=http_client(pool),
    )
    return SdkTransport(_settled(client, None), openai, pool)


def _settled(client: Any, organization: str | None) -> Any:
    """Undo what the SDK took from the environment unasked, and do now what its first call would do in a thread."""
    client.organization = organization
    client.project = None
    client.admin_api_key = None
    client._custom_headers = {}
    # The paths bring the version of Azure's API, where they have one.
    client._custom_query = {}
    client._platform = get_platform()
    return client
