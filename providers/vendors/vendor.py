"""What there is to say of one vendor, as data and small answers; how it is asked is the wire provider's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from providers.base import BaseLLMProvider
from providers.dialects import api_of, vendor_tools
from providers.dialects.base import Dialect, Quirks
from providers.errors import ConfigError
from providers.types import GenerationRequest, TokenUsage


class Vendor(BaseLLMProvider):
    """Everything here is a default that a vendor's own class changes."""

    dialect_name: ClassVar[str] = "openai_chat"
    path: ClassVar[str] = "/chat/completions"
    apis: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Further APIs of this vendor that `api` can choose: the dialect and the path of each."""
    default_base_url: ClassVar[str] = ""
    key_variable: ClassVar[str | None] = None
    url_variable: ClassVar[str | None] = None
    needs_key: ClassVar[bool] = True
    plain_http: ClassVar[bool] = False
    """Self-hosted: plain http is what such servers speak."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Plain model names, and the vendor's own id for each."""
    quirks: ClassVar[Quirks] = Quirks()

    dialect: Dialect
    models: tuple[str, ...]
    """Further model names that it was told to serve."""
    registered_as: str

    def serves(self, model: str) -> bool:
        """Whether a model that is neither configured nor an alias is one of this vendor's."""
        return False

    def resolve_model(self, model: str) -> str | None:
        known = self.aliases.get(model.lower())
        if known is not None:
            return known
        if model in self.models or model in (getattr(self, "model", None), getattr(self, "model_id", None)):
            return model
        return model if self.serves(model) else None

    def quirks_of(self, model_id: str) -> Quirks:
        """How this model departs from the dialect."""
        return self.quirks

    def dialect_of(self, model_id: str) -> Dialect:
        """The format in which this model is asked."""
        return self.dialect

    def path_of(self, model_id: str, *, stream: bool = False) -> str:
        return self.path

    def asked_as(self, model_id: str) -> str:
        """The model's name in the body of a request."""
        return model_id

    @classmethod
    def offered(cls) -> dict[str, tuple[str, str]]:
        """Every API that `api` can choose, the vendor's main one first: the dialect and the path of each."""
        return {api_of(cls.dialect_name): (cls.dialect_name, cls.path), **cls.apis}

    def _chosen(self, api: str) -> tuple[str, str]:
        own = self.offered()
        if api not in own:
            raise ConfigError(f"api is {api!r} for {self.kind}; use {' or '.join(own)}")
        return own[api]

    def usage_beside(self, headers: Mapping[str, str]) -> TokenUsage | None:
        """Token numbers that this vendor tells in headers, where a body has none."""
        return None

    def complete_url(self, url: str) -> str:
        """The base address as this vendor's paths expect it, from what people usually write."""
        return url

    def auth_headers(self, api_key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {api_key}"} if api_key else {}

    def secrets(self) -> tuple[str, ...]:
        """Credentials by value, which no error and no recording may hold."""
        return (self.api_key,) if self.api_key else ()

    def cannot(self, request: GenerationRequest, model_id: str) -> str | None:
        if not request.tools:
            return None
        lack = vendor_tools.cannot(request.tools, self.dialect_of(model_id).name, own_server=self.local)
        return lack and f"{self.registered_as} cannot {lack}"
