"""What vendors answer beside completions: their models, a count of tokens, whether they are alive."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import orjson

from providers.clock import Clock
from providers.dialects import spoken
from providers.dialects.base import Dialect
from providers.errors import InvalidRequestError, ModelNotFoundError, ProviderError
from providers.mock.vendor_headers import Moment, answer_headers
from providers.mock.vendor_speech import VendorSpeech
from providers.mock.writer import Dice, input_tokens
from providers.transports.base import WireRequest, WireResponse
from providers.transports.canned import WholeResponse

if TYPE_CHECKING:
    from providers.pricing import Catalogue

SINCE: Final = 1_735_689_600
"""When every model was made, as they tell: 2025-01-01."""
OLLAMA_VERSION: Final = "0.12.6"
VLLM_VERSION: Final = "0.11.0"

_SAME_MODELS: Final = {"azure_openai": "openai", "vertex": "gemini"}
_OWN_MODELS: Final = {
    "ollama": ("llama3.2:latest", "qwen2.5:7b", "deepseek-r1:8b"),
    "vllm": ("Qwen/Qwen2.5-7B-Instruct",),
    "groq": ("llama-3.3-70b-versatile", "openai/gpt-oss-120b"),
    "openrouter": ("openai/gpt-4o-mini", "anthropic/claude-haiku-4.5", "google/gemini-2.5-flash"),
}
"""Of those whose models no price list has."""
_JSON: Final = {
    "ollama": "application/json; charset=utf-8",
    "gemini": "application/json; charset=UTF-8",
    "vertex": "application/json; charset=UTF-8",
}
_ANY_MODEL: Final = frozenset({"vllm", "ollama", "groq", "openrouter"})
"""Who serves what its user loads or routes: every model is one of theirs."""


class Listings:
    """A transport that answers for one vendor what no dialect speaks of."""

    def __init__(
        self, provider: str, *, speech: VendorSpeech, main_api: str, prices: Callable[[], Catalogue], clock: Clock
    ) -> None:
        self._provider = provider
        self._speech = speech
        self._main_api = main_api
        self._prices = prices
        self._clock = clock

    async def send(self, request: WireRequest) -> WireResponse:
        try:
            value = _ANSWERS[request.api](self, request)
        except ProviderError as error:
            wire = self._speech.of(self._main_api).encode_error(error)
            return WholeResponse(wire.status, wire.headers, wire.body)
        token = Dice(self._provider, request.path, request.body).token(32)
        kind = "text/plain; charset=utf-8" if isinstance(value, str) else _JSON.get(self._provider, "application/json")
        headers = answer_headers(self._provider, kind, Moment(token, now_us=self._clock.time_us()))
        return WholeResponse(200, headers, value.encode() if isinstance(value, str) else orjson.dumps(value))

    async def close(self) -> None:
        pass

    # --- models ---------------------------------------------------------------------------------------------------

    def _names(self) -> Iterable[str]:
        own = _OWN_MODELS.get(self._provider)
        return own or self._prices().models_of(_SAME_MODELS.get(self._provider, self._provider))

    def _models(self, request: WireRequest) -> Any:
        listed = [self._described(name) for name in self._names()]
        if self._provider in ("gemini", "vertex"):
            return {"models": listed}
        if self._provider == "anthropic":
            ends = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]} if listed else {}
            return {"data": listed, "has_more": False, **ends}
        return {"data": listed} if self._provider == "openrouter" else {"object": "list", "data": listed}

    def _model(self, request: WireRequest) -> Any:
        from urllib.parse import unquote

        name = unquote(request.path.partition("?")[0].partition("/models/")[2])
        if self._provider not in _ANY_MODEL and name not in self._names():
            raise ModelNotFoundError(f"The model '{name[:200]}' does not exist.", status=404)
        return self._described(name)

    def _described(self, name: str) -> dict[str, Any]:
        provider = self._provider
        if provider == "anthropic":
            title = " ".join(word.capitalize() for word in name.split("-"))
            return {"type": "model", "id": name, "display_name": title, "created_at": "2025-01-01T00:00:00Z"}
        if provider in ("gemini", "vertex"):
            row = self._prices().find(provider, name)
            return {
                "name": f"models/{name}",
                "version": "001",
                "displayName": name,
                "inputTokenLimit": (row and row.context_window) or 1_048_576,
                "outputTokenLimit": (row and row.max_output) or 8_192,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            }
        if provider == "openrouter":
            return {"id": name, "name": name, "created": SINCE, "context_length": 128_000}
        described: dict[str, Any] = {"id": name, "object": "model"}
        if provider != "deepseek":
            described["created"] = SINCE
        described["owned_by"] = {"ollama": "library", "azure_openai": "openai"}.get(provider, provider)
        if provider == "vllm":
            described |= {"root": name, "parent": None, "max_model_len": 32_768, "permission": []}
        return described

    # --- tokens ---------------------------------------------------------------------------------------------------

    def _count(self, request: WireRequest) -> Any:
        """As Anthropic counts: the fields of a message without its limit."""
        return {"input_tokens": self._tokens(spoken("messages"), {"max_tokens": 1, **_object(request.body)}, "")}

    def _count_google(self, request: WireRequest) -> Any:
        asked = _object(request.body)
        whole = asked.get("generateContentRequest", asked)
        count = self._tokens(spoken("generateContent"), whole, request.path.replace("countTokens", "generateContent"))
        return {"totalTokens": count, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": count}]}

    def _count_bedrock(self, request: WireRequest) -> Any:
        asked = _object(request.body).get("input")
        if isinstance(asked, dict) and isinstance(asked.get("converse"), dict):
            api, whole = "converse", asked["converse"]
        elif isinstance(asked, dict) and isinstance(asked.get("invokeModel"), dict):
            api = "invoke"
            try:
                whole = orjson.loads(a2b_base64(str(asked["invokeModel"].get("body"))))
            except (Base64Error, ValueError):
                raise InvalidRequestError("input.invokeModel.body is not the base64 of a JSON body") from None
        else:
            raise InvalidRequestError("input must hold either converse or invokeModel")
        path = request.path.replace("count-tokens", api)
        return {"inputTokens": self._tokens(spoken(api, path), whole, path)}

    def _tokens(self, dialect: Dialect, body: object, path: str) -> int:
        asked = dialect.decode_request(orjson.dumps(body), path=path).request
        return input_tokens(asked, asked.chat())

    # --- one vendor's own -----------------------------------------------------------------------------------------

    def _tags(self, request: WireRequest) -> Any:
        return {"models": [{**_loaded(name), "modified_at": "2025-01-01T00:00:00Z"} for name in self._names()]}

    def _running(self, request: WireRequest) -> Any:
        name = next(iter(self._names()))
        return {"models": [{**_loaded(name), "expires_at": "2025-01-01T00:05:00Z", "size_vram": 2_019_393_189}]}

    def _show(self, request: WireRequest) -> Any:
        asked = _object(request.body)
        name = asked.get("model") or asked.get("name")
        if not isinstance(name, str):
            raise InvalidRequestError("model is required", status=400)
        return {
            "modelfile": f"FROM {name}\n",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "details": _loaded(name)["details"],
            "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
            "capabilities": ["completion", "tools"],
            "modified_at": "2025-01-01T00:00:00Z",
        }

    def _alive(self, request: WireRequest) -> Any:
        return "Ollama is running"

    def _health(self, request: WireRequest) -> Any:
        return ""

    def _version(self, request: WireRequest) -> Any:
        return {"version": OLLAMA_VERSION if self._provider == "ollama" else VLLM_VERSION}

    def _balance(self, request: WireRequest) -> Any:
        amounts = {"total_balance": "110.00", "granted_balance": "10.00", "topped_up_balance": "100.00"}
        return {"is_available": True, "balance_infos": [{"currency": "USD", **amounts}]}


_ANSWERS: Final[Mapping[str, Callable[[Listings, WireRequest], Any]]] = {
    "models": Listings._models,
    "model": Listings._model,
    "count_tokens": Listings._count,
    "countTokens": Listings._count_google,
    "count-tokens": Listings._count_bedrock,
    "tags": Listings._tags,
    "ps": Listings._running,
    "show": Listings._show,
    "alive": Listings._alive,
    "health": Listings._health,
    "version": Listings._version,
    "balance": Listings._balance,
}
LISTED: Final = frozenset(_ANSWERS)
"""APIs that are answered here."""


def _object(body: bytes) -> dict[str, Any]:
    value = orjson.loads(body)
    if not isinstance(value, dict):
        raise InvalidRequestError("the request body must be a JSON object")
    return value


def _loaded(name: str) -> dict[str, Any]:
    """A model as Ollama lists it."""
    details = {
        "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
    }  # fmt: skip
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return {"name": name, "model": name, "size": 2_019_393_189, "digest": digest, "details": details}
