"""Where a request goes, as one table: the vendor by the first part of the path, the API by the rest.

Both spellings that the official clients produce are here: with and without a version, ids raw and quoted.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final, NamedTuple
from urllib.parse import unquote

PREFIXES: Final = {
    "openai": "openai",
    "azure": "azure_openai",
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "gemini": "gemini",
    "vertex": "vertex",
    "deepseek": "deepseek",
    "ollama": "ollama",
    "vllm": "vllm",
    "groq": "groq",
    "openrouter": "openrouter",
}
"""The first part of a path, and the provider that it means."""

_OPENAI: Final = (
    ("POST", "chat/completions", "chat.completions"),
    ("POST", "completions", "completions"),
    ("POST", "responses", "responses"),
    ("GET", "models", "models"),
    ("GET", "models/{model*}", "model"),
)
_GEMINI: Final = (
    ("POST", "models/{model}:generateContent", "generateContent"),
    ("POST", "models/{model}:streamGenerateContent", "streamGenerateContent"),
    ("POST", "models/{model}:countTokens", "countTokens"),
)
_GOOGLE_VERSIONS: Final = ("v1beta", "v1", "v1alpha", "v1beta1")
_VERTEX_PLACES: Final = ("", "projects/{project}/locations/{location}/")


class Route(NamedTuple):
    """One row. `{name}` in the pattern is one part of a path without a colon, `{name*}` anything."""

    provider: str
    method: str
    pattern: str
    api: str


def _table() -> list[Route]:
    rows: list[tuple[str, str, str, str]] = []

    def offer(prefix: str, base: str, *apis: tuple[str, str, str]) -> None:
        rows.extend((prefix, method, f"/{prefix}{base}{rest}", api) for method, rest, api in apis)

    offer("openai", "/v1/", *_OPENAI)
    offer("azure", "/openai/deployments/{model}/", *_OPENAI[:2])
    offer("azure", "/openai/v1/", *_OPENAI)
    offer("azure", "/openai/", ("POST", "responses", "responses"), ("GET", "models", "models"))
    offer("azure", "/models/", ("POST", "chat/completions", "chat.completions"))
    offer(
        "anthropic",
        "/v1/",
        ("POST", "messages", "messages"),
        ("POST", "messages/count_tokens", "count_tokens"),
        ("GET", "models", "models"),
        ("GET", "models/{model}", "model"),
    )
    offer(
        "bedrock",
        "/model/{model*}/",
        ("POST", "converse", "converse"),
        ("POST", "converse-stream", "converse-stream"),
        ("POST", "invoke", "invoke"),
        ("POST", "invoke-with-response-stream", "invoke-stream"),
        ("POST", "count-tokens", "count-tokens"),
    )
    for version in _GOOGLE_VERSIONS:
        offer("gemini", f"/{version}/", *_GEMINI, ("GET", "models", "models"), ("GET", "models/{model}", "model"))
        offer("gemini", f"/{version}/openai/", ("POST", "chat/completions", "chat.completions"))
        for place in _VERTEX_PLACES:
            for prefix in ("vertex", "gemini"):
                offer(prefix, f"/{version}/{place}publishers/google/", *_GEMINI)
    for base in ("/", "/v1/", "/beta/"):
        offer("deepseek", base, *_OPENAI)
    offer("deepseek", "/anthropic/v1/", ("POST", "messages", "messages"))
    offer("deepseek", "/user/", ("GET", "balance", "balance"))
    offer("ollama", "/v1/", *_OPENAI)
    offer(
        "ollama",
        "/api/",
        ("POST", "chat", "chat"),
        ("POST", "generate", "generate"),
        ("POST", "show", "show"),
        ("GET", "tags", "tags"),
        ("GET", "ps", "ps"),
        ("GET", "version", "version"),
    )
    offer("ollama", "", ("GET", "/", "alive"), ("HEAD", "/", "alive"), ("GET", "", "alive"), ("HEAD", "", "alive"))
    offer("vllm", "/v1/", *_OPENAI)
    offer("vllm", "/", ("GET", "health", "health"), ("GET", "ping", "health"), ("GET", "version", "version"))
    offer("groq", "/openai/v1/", *_OPENAI)
    offer("openrouter", "/api/v1/", *_OPENAI)
    return [Route(_provider(prefix, path), method, path, api) for prefix, method, path, api in rows]


def _provider(prefix: str, pattern: str) -> str:
    return "vertex" if "/publishers/" in pattern else PREFIXES[prefix]


ROUTES: Final = tuple(_table())


class Found(NamedTuple):
    route: Route
    model: str | None
    """The one that the path names, where it does, by its plain name."""
    path: str
    """What the vendor would see: the path without its first part."""


class Unknown(NamedTuple):
    """A path that leads nowhere, or by another method."""

    provider: str | None
    """Whose it would be."""
    allowed: tuple[str, ...]
    """Methods by which the path is known."""
    nearest: str | None
    """The pattern that comes closest."""


def _compiled(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\{", "{").replace(r"\}", "}").replace(r"\*", "*")
    text = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", text)
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", text))


_FIXED: Final = {
    (route.method, route.pattern): Found(route, None, "/" + route.pattern[1:].partition("/")[2])
    for route in ROUTES
    if "{" not in route.pattern
}
_PATTERNS: Final[dict[str, list[tuple[re.Pattern[str], Route]]]] = {}
for _route in ROUTES:
    if "{" in _route.pattern:
        _PATTERNS.setdefault(_route.pattern.split("/")[1], []).append((_compiled(_route.pattern), _route))
_NAMES: Final[dict[tuple[str, str], list[str]]] = {}
for _route in ROUTES:
    _NAMES.setdefault((_route.method, _route.pattern.split("/")[1]), []).append(_route.pattern)


def find(method: str, path: str) -> Found | Unknown:
    """The route of a request; `path` is as it came, without its query."""
    found = _look(method, path)
    if isinstance(found, Found):
        return found
    prefix = path[1:].partition("/")[0]
    return Unknown(PREFIXES.get(prefix), found, None if found else _nearest(method, path, prefix))


def _look(method: str, path: str) -> Found | tuple[str, ...]:
    """The route, or the methods by which the path is known."""
    fixed = _FIXED.get((method, path))
    if fixed is not None:
        return fixed
    prefix, _, rest = path[1:].partition("/")
    allowed = {m: None for m, known in _FIXED if known == path}
    for pattern, route in _PATTERNS.get(prefix, ()):
        match = pattern.fullmatch(path)
        if match is not None:
            if route.method == method:
                model = match.groupdict().get("model")
                return Found(route, model and unquote(model), f"/{rest}")
            allowed[route.method] = None
    return tuple(allowed)


def _nearest(method: str, path: str, prefix: str) -> str | None:
    if prefix in PREFIXES:
        near = get_close_matches(path[:200], _NAMES.get((method, prefix), ()), 1, 0.6)
        return near[0] if near else None
    # What people forget is the prefix.
    return next((f"/{own}{path}" for own in PREFIXES if isinstance(_look(method, f"/{own}{path}"), Found)), None)
