"""The headers that each vendor sends beside its answers, as data: who was asked, what is left, who served it.

Names and forms are those of recorded traffic and of the vendors' pages on rate limits: platform.openai.com/docs/guides/
rate-limits, docs.claude.com/en/api/rate-limits, learn.microsoft.com/azure/ai-services/openai/how-to/quota,
console.groq.com/docs/rate-limits. The figures are a stage set. A vendor that documents none has none here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from providers.clock import utc

DEFAULT_WAIT: Final = 1.0
"""Seconds until a limit is full again where an error does not say."""


class Moment(NamedTuple):
    """What changes from answer to answer."""

    token: str
    """At least 32 hexadecimal digits, from which ids are made."""
    took_ms: int = 0
    now_us: int = 0
    api: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class Style(NamedTuple):
    """The headers of one vendor."""

    own: Callable[[Moment], dict[str, str]]
    """On every answer: ids, and how long it took."""
    fixed: Mapping[str, str] = {}
    """On every answer, always the same."""
    limits: Callable[[Moment], dict[str, str]] | None = None
    """On good answers: what is left of the rate limits."""
    spent: Callable[[Moment, float], dict[str, str]] | None = None
    """On 429, by the seconds to wait: in place of some of the limits."""


def _uuid(token: str) -> str:
    return f"{token[:8]}-{token[8:12]}-4{token[13:16]}-a{token[17:20]}-{token[20:32]}"


@lru_cache(maxsize=16)
def _stamp(seconds: int) -> str:
    return utc(seconds * 1_000_000).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(seconds: float) -> str:
    """A duration as Go prints it, which is how OpenAI and Groq write one: `120ms`, `2s`, `1m32.773s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    return f"{minutes:.0f}m{rest:.10g}s" if minutes else f"{rest:.10g}s"


_LEFT: Final = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "199968",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "9ms",
}
_AZURE_LEFT: Final = {
    "x-ratelimit-limit-requests": "250",
    "x-ratelimit-limit-tokens": "250000",
    "x-ratelimit-remaining-requests": "249",
    "x-ratelimit-remaining-tokens": "249968",
}
_ANTHROPIC_LEFT: Final = {
    f"anthropic-ratelimit-{what}-{part}": figure
    for what, limit, left in (
        ("requests", "4000", "3999"),
        ("input-tokens", "400000", "400000"),
        ("output-tokens", "80000", "80000"),
        ("tokens", "480000", "480000"),
    )
    for part, figure in (("limit", limit), ("remaining", left))
}
_ANTHROPIC_RESETS: Final = tuple(
    f"anthropic-ratelimit-{what}-reset" for what in ("requests", "input-tokens", "output-tokens", "tokens")
)


def _anthropic_limits(moment: Moment) -> dict[str, str]:
    return _ANTHROPIC_LEFT | dict.fromkeys(_ANTHROPIC_RESETS, _stamp(moment.now_us // 1_000_000))


def _anthropic_spent(moment: Moment, wait: float) -> dict[str, str]:
    full = _stamp(round(moment.now_us / 1_000_000 + wait))
    return {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": full}


def _spent(moment: Moment, wait: float) -> dict[str, str]:
    return {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": _span(wait)}


def _azure_spent(moment: Moment, wait: float) -> dict[str, str]:
    return {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{wait:.0f}"}


def _bedrock(moment: Moment) -> dict[str, str]:
    headers = {"x-amzn-requestid": _uuid(moment.token)}
    if moment.api == "invoke":
        headers["x-amzn-bedrock-invocation-latency"] = str(moment.took_ms)
        headers["x-amzn-bedrock-input-token-count"] = str(moment.input_tokens)
        headers["x-amzn-bedrock-output-token-count"] = str(moment.output_tokens)
    elif moment.api == "invoke-stream":
        headers["x-amzn-bedrock-content-type"] = "application/json"
    return headers


_NOTHING: Final[dict[str, str]] = {}
_NO_SNIFF: Final = {"x-content-type-options": "nosniff"}
_GOOGLE: Final = {
    "vary": "Origin, X-Origin, Referer",
    "x-xss-protection": "0",
    "x-frame-options": "SAMEORIGIN",
    **_NO_SNIFF,
}
_STYLES: Final[dict[str, Style]] = {
    "openai": Style(
        lambda m: {"x-request-id": f"req_{m.token[:32]}", "openai-processing-ms": str(m.took_ms)},
        {"openai-version": "2020-10-01", **_NO_SNIFF},
        lambda m: _LEFT,
        _spent,
    ),
    "azure_openai": Style(
        lambda m: dict.fromkeys(("apim-request-id", "x-request-id", "x-ms-client-request-id"), _uuid(m.token)),
        {
            "x-ms-region": "East US",
            "x-ms-rai-invoked": "true",
            "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
            **_NO_SNIFF,
        },
        lambda m: _AZURE_LEFT,
        _azure_spent,
    ),
    "anthropic": Style(lambda m: {"request-id": f"req_01{m.token[:22]}"}, {}, _anthropic_limits, _anthropic_spent),
    "bedrock": Style(_bedrock),
    "gemini": Style(lambda m: {"server-timing": f"gfet4t7; dur={m.took_ms}"}, _GOOGLE),
    "vertex": Style(lambda m: _NOTHING, _GOOGLE),
    "deepseek": Style(lambda m: {"x-ds-trace-id": m.token[:32]}, _NO_SNIFF),
    "groq": Style(
        lambda m: {"x-request-id": f"req_01{m.token[:24]}"}, {"x-groq-region": "msp"}, lambda m: _LEFT, _spent
    ),
    "openrouter": Style(lambda m: {"x-generation-id": f"gen-{m.token[:20]}"}),
    "vllm": Style(lambda m: _NOTHING, {"server": "uvicorn"}),
    "ollama": Style(lambda m: _NOTHING),
}
_PLAIN: Final = Style(lambda m: {"x-request-id": f"req_{m.token[:24]}"})
"""Of a provider that stands for no vendor."""

WHOLE_TYPES: Final = {
    "chat": "application/json; charset=utf-8",
    "generate": "application/json; charset=utf-8",
    "generateContent": "application/json; charset=UTF-8",
}
"""The content type of a whole answer, by API, where it is not plain JSON."""


def answer_headers(provider: str, content_type: str, moment: Moment) -> dict[str, str]:
    """The headers of a good answer. Names are in lower case."""
    own, fixed, limits, _ = _STYLES.get(provider, _PLAIN)
    headers = {"content-type": content_type, **fixed, **own(moment)}
    if limits is not None:
        headers.update(limits(moment))
    return headers


def own_headers(provider: str, moment: Moment) -> dict[str, str]:
    """What tells one answer of a vendor from another."""
    return _STYLES.get(provider, _PLAIN).own(moment)


def error_headers(provider: str, status: int, retry_after: float | None, moment: Moment) -> dict[str, str]:
    """The headers of an answer that is an error, but for its content type and Retry-After."""
    own, fixed, limits, spent = _STYLES.get(provider, _PLAIN)
    headers = {**fixed, **own(moment)}
    if provider == "anthropic":
        headers["x-should-retry"] = "true" if status in (408, 409, 429) or status >= 500 else "false"
    if status == 429 and limits is not None and spent is not None:
        headers.update(limits(moment))
        headers.update(spent(moment, DEFAULT_WAIT if retry_after is None else retry_after))
    return headers


def request_id(headers: Mapping[str, str]) -> str | None:
    """The id that a vendor gave an answer, from its headers."""
    for name in ("x-request-id", "request-id", "x-amzn-requestid", "x-ds-trace-id", "x-generation-id"):
        if name in headers:
            return headers[name]
    return None
