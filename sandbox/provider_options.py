"""What the settings say of one provider, as the arguments of its class."""

from __future__ import annotations

from typing import Any, Final

from sandbox.settings import Settings
from sandbox.settings.fields import plain
from sandbox.settings.model import ProviderSettings

MAX_CONNECTIONS: Final = 1000
"""Of one provider. What waits for a connection runs into its time to the first text, and the provider is blamed: so
many streams at a time as a server holds must not wait. How many requests a provider takes is for its limits to say."""


def provider_options(settings: Settings, id: str, configured: ProviderSettings) -> dict[str, Any]:
    """Those that are set: what is not is the class's own business."""
    options: dict[str, Any] = {
        "api_key": plain(configured.api_key),
        "base_url": configured.base_url,
        "model": configured.model,
        "models": configured.models,
        "organization": configured.organization,
        "api_version": configured.api_version,
        "deployment": configured.deployment,
        "api": configured.api,
        "region": configured.region,
        "transport_kind": configured.transport,
        "max_connections": MAX_CONNECTIONS,
    }
    if (configured.kind or id) == "bedrock":
        aws = settings.aws
        options |= {
            "region": configured.region or aws.region,
            "profile": aws.profile,
            "aws_access_key_id": plain(aws.access_key_id),
            "aws_secret_access_key": plain(aws.secret_access_key),
            "aws_session_token": plain(aws.session_token),
        }
    return {name: value for name, value in options.items() if value}
