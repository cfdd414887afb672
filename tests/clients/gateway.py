"""The clients that `sandbox serve` is for, and what each must make of every failure that reaches it through a gateway.

The gateway has one provider and no retries, so that what is provoked upstream is what the caller hears of.
"""

from __future__ import annotations

from typing import Any, Final

from tests.clients.cases import Speaker
from tests.clients.speakers import _BY_STATUS, _sdk

SETTINGS: Final[dict[str, Any]] = {"chain": ["openai"], "retry": {"retries": 0}, "breaker": {"mode": "off"}}

# What breaks between gateway and provider is no broken connection, and no nonsense, for the caller.
_REPHRASED: Final = dict.fromkeys(("reset", "malformed", "truncated"), "InternalServerError")


def python_speakers() -> list[Speaker]:
    from tests.clients import anthropic_python
    from tests.clients import openai_python as o

    rephrased = {case: f"openai.{name}" for case, name in _REPHRASED.items()}
    broken = dict.fromkeys(("error event", "cut", "malformed event"), "openai.APIError")
    openai = _sdk("openai", **{"too large": "openai.APIStatusError", **rephrased, **broken})
    anthropic = _sdk(
        "anthropic",
        **{case: f"anthropic.{name}" for case, name in _REPHRASED.items()},
        **{
            "too large": "anthropic.ContentTooLargeError",
            "unavailable": "anthropic.ServiceUnavailableError",
            "refused stream": "anthropic.ServiceUnavailableError",
            "overloaded": "anthropic.OverloadedError",
        },
        **dict.fromkeys(("error event", "cut", "malformed event"), "anthropic.APIStatusError"),
    )
    text_only: Any = ("plain", "stream")
    model = "gpt-4o-mini"
    return [
        Speaker("openai-python", "chat", lambda u, s: o.chat(s.enter_context(o.client(f"{u}/v1")), model), openai),
        Speaker("azure-python", "chat", lambda u, s: o.chat(s.enter_context(o.azure(u)), model), openai),
        Speaker(
            "openai-python",
            "responses",
            lambda u, s: o.responses(s.enter_context(o.client(f"{u}/v1")), model),
            openai,
            finish=("completed", "completed"),
        ),
        Speaker(
            "openai-python",
            "completions",
            lambda u, s: o.completions(s.enter_context(o.client(f"{u}/v1")), model),
            openai,
            forms=text_only,
        ),
        Speaker(
            "anthropic-python",
            "messages",
            lambda u, s: anthropic_python.messages(s.enter_context(anthropic_python.client(u)), model),
            anthropic,
            finish=("end_turn", "tool_use"),
        ),
    ]


def node_speakers() -> list[Speaker]:
    openai = _BY_STATUS | _REPHRASED | {"too large": "APIError"}
    openai |= dict.fromkeys(("error event", "cut", "malformed event"), "APIError")
    anthropic = _BY_STATUS | _REPHRASED | {
        "too large": "ContentTooLargeError",
        "unavailable": "ServiceUnavailableError",
        "refused stream": "ServiceUnavailableError",
        "overloaded": "OverloadedError",
    }  # fmt: skip
    anthropic |= dict.fromkeys(("error event", "cut", "malformed event"), "APIError")
    return [
        Speaker("openai-node", "chat", "openaiChat", openai),
        Speaker("openai-node", "responses", "openaiResponses", openai, finish=("completed", "completed")),
        Speaker("anthropic-node", "messages", "anthropicMessages", anthropic, finish=("end_turn", "tool_use")),
    ]
