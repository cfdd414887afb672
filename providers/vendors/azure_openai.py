"""Azure OpenAI: OpenAI's formats under a deployment's path (learn.microsoft.com/azure/ai-services/openai/reference).

The Responses API is served at one path for all deployments, without a dated version, and names the deployment in its
body (learn.microsoft.com/azure/foundry/openai/how-to/responses and /api-version-lifecycle).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

from providers.dialects.base import Quirks
from providers.errors import AuthenticationError
from providers.transports.base import Transport
from providers.vendors.openai import ALIASES, is_openai_model, openai_quirks
from providers.vendors.settings import environment
from providers.vendors.wire import WireProvider

DEFAULT_API_VERSION = "2024-10-21"
"""The newest generally available version of the data plane with dated versions."""


class AzureOpenAIProvider(WireProvider):
    """One resource. A `deployment` answers for every model asked of it; without one the model's name is taken for it.

    `endpoint` is another word for `base_url`: the resource's address, as in `https://my-resource.openai.azure.com`.
    """

    kind: ClassVar[str] = "azure_openai"
    default_model: ClassVar[str] = "gpt-4o-mini"
    key_variable: ClassVar[str | None] = "AZURE_OPENAI_API_KEY"
    url_variable: ClassVar[str | None] = "AZURE_OPENAI_ENDPOINT"
    apis: ClassVar[Mapping[str, tuple[str, str]]] = {
        "responses": ("openai_responses", "/openai/v1/responses"),
        "completions": ("openai_completions", "/completions"),
    }
    aliases = ALIASES

    def __init__(
        self,
        model_id: str | None = None,
        *,
        model: str | None = None,
        endpoint: str | None = None,
        deployment: str | None = None,
        api_version: str = DEFAULT_API_VERSION,
        **options: Any,
    ) -> None:
        options["base_url"] = options.get("base_url") or endpoint
        self.api_version = api_version
        self.deployment = deployment
        super().__init__(model_id, model=model, **options)
        if self.mode == "live" and deployment is None:
            self.deployment = environment("AZURE_OPENAI_DEPLOYMENT")
        if self.deployment and not (model or model_id) and is_openai_model(self.deployment):
            # Deployments are often named after their model: then that is the model, and its price.
            self.model = self.model_id = self.deployment

    def serves(self, model: str) -> bool:
        return is_openai_model(model)

    def quirks_of(self, model_id: str) -> Quirks:
        return openai_quirks(model_id, self.dialect_name)

    @property
    def unversioned(self) -> bool:
        """Whether the chosen API has one path for all deployments and no dated version."""
        return self.path.startswith("/openai/v1/")

    def path_of(self, model_id: str, *, stream: bool = False) -> str:
        if self.unversioned:
            return self.path
        deployment = quote(self.deployment or model_id, safe="")
        return f"/openai/deployments/{deployment}{self.path}?api-version={self.api_version}"

    def asked_as(self, model_id: str) -> str:
        return self.deployment or model_id if self.unversioned else model_id

    def complete_url(self, url: str) -> str:
        # People paste whole request addresses from the portal.
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc, parts.path.partition("/openai")[0].rstrip("/"), "", ""))

    def auth_headers(self, api_key: str) -> dict[str, str]:
        return {"api-key": api_key}

    def _check_configured(self, model_id: str) -> None:
        super()._check_configured(model_id)
        if not self.base_url:
            raise AuthenticationError(
                "no address for azure_openai: set AZURE_OPENAI_ENDPOINT or pass endpoint; "
                "to try it without one, use mock_mode=True",
                provider=self.kind,
                model=model_id,
            )

    def sdk_transport(self, base_url: str, api_key: str) -> Transport:
        from providers.transports.openai_sdk import azure_transport

        return azure_transport(
            base_url, api_key=api_key, api_version=self.api_version, max_connections=self.max_connections
        )
