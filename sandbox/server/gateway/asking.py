"""What an HTTP request asks of the gateway: its body in a wire format, and what its headers add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, get_args

from providers.dialects.base import Dialect
from providers.errors import InputError, InvalidRequestError
from providers.hints import did_you_mean
from providers.types import MAX_MODEL_CHARS, GenerationRequest
from sandbox.gateway.call import CallOptions
from sandbox.gateway.policies import StreamPolicy
from sandbox.gateway.strategies import RoutingStrategy

MAX_FALLBACKS: Final = 20
MAX_NAME: Final = 200
"""Characters of a tenant or an agent."""
MAX_DEADLINE_MS: Final = 24 * 3_600_000
_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"", "0", "false", "no", "off"})
_NOTHING: Final[tuple[Any, ...]] = (None, False, 0, [], {}, "")


class Asked(NamedTuple):
    request: GenerationRequest
    stream: bool
    include_usage: bool
    options: CallOptions


def read(
    dialect: Dialect, body: bytes, headers: Mapping[str, str], *, path: str, ident: str, store_streams: bool
) -> Asked:
    """Raises InvalidRequestError, which names the field or the header."""
    request, stream, include_usage = dialect.decode_request(body, path=path)
    fallbacks: tuple[str, ...] = ()
    extras = request.metadata.get(dialect.name)
    if extras:
        fallbacks = _fallbacks(extras)
        _check_supported(dialect.name, extras)
    tenant, agent = headers.get("x-sandbox-tenant"), headers.get("x-sandbox-agent")
    if tenant:
        request.tenant_id = _name("x-sandbox-tenant", tenant)
    if agent:
        request.agent_id = _name("x-sandbox-agent", agent)
    deadline = headers.get("x-sandbox-deadline-ms")
    if deadline is not None:
        request.timeout = _deadline(deadline)
    return Asked(
        request,
        stream,
        include_usage,
        CallOptions(
            fallbacks=fallbacks,
            strategy=_strategy(headers.get("x-sandbox-strategy")),
            no_cache=_flag("x-sandbox-no-cache", headers.get("x-sandbox-no-cache")),
            stream_policy=_policy(headers.get("x-sandbox-stream-policy")),
            # Who reads a stream over HTTP has shown its text already, and no event of these formats takes it back.
            restarts=False,
            store_stream=store_streams,
            request_id=ident,
        ),
    )


# --- headers --------------------------------------------------------------------------------------------------------


def _name(header: str, value: str) -> str:
    if len(value) > MAX_NAME:
        raise InvalidRequestError(f"{header} has {len(value):,} characters; the limit is {MAX_NAME}")
    return value


def _deadline(value: str) -> float:
    """Seconds of a header in milliseconds."""
    text = value.strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 0 < int(text) <= MAX_DEADLINE_MS):
        raise InvalidRequestError(
            f"x-sandbox-deadline-ms is {value[:40]!r}; it must be whole milliseconds, from 1 to a day"
        )
    return int(text) / 1000


def _flag(header: str, value: str | None) -> bool:
    if value is None:
        return False
    word = value.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise InvalidRequestError(f"{header} is {value[:40]!r}; it must be 1 or 0")


def _policy(value: str | None) -> StreamPolicy | None:
    if value is None:
        return None
    word = value.strip().lower()
    for policy in get_args(StreamPolicy):
        if word == policy:
            return policy  # type: ignore[no-any-return]
    hint = did_you_mean(word[:40], get_args(StreamPolicy))
    raise InvalidRequestError(
        f"x-sandbox-stream-policy is {value[:40]!r}: {hint}it must be one of {', '.join(get_args(StreamPolicy))}"
    )


def _strategy(value: str | None) -> RoutingStrategy | None:
    if value is None:
        return None
    try:
        return RoutingStrategy.of(value.strip()[:40])
    except InputError as error:
        raise InvalidRequestError(f"x-sandbox-strategy: {error}") from None


# --- fields ---------------------------------------------------------------------------------------------------------


def _fallbacks(extras: dict[str, Any]) -> tuple[str, ...]:
    listed = extras.pop("fallbacks", None)
    if listed is None:
        return ()
    if not isinstance(listed, list) or not all(isinstance(name, str) and name for name in listed):
        raise InvalidRequestError("fallbacks must be a list of models or 'provider/model'")
    if len(listed) > MAX_FALLBACKS:
        raise InvalidRequestError(f"fallbacks has {len(listed)} names; the limit is {MAX_FALLBACKS}")
    for name in listed:
        if len(name) > MAX_MODEL_CHARS:
            raise InvalidRequestError(
                f"a name in fallbacks has {len(name):,} characters; the limit is {MAX_MODEL_CHARS}"
            )
    return tuple(listed)


def _asks_for_audio(value: Any) -> bool:
    return isinstance(value, list) and any(kind != "text" for kind in value)


def _several(value: Any) -> bool:
    return value not in (*_NOTHING, 1)


def _given(value: Any) -> bool:
    return value not in _NOTHING


_Refused = tuple[Callable[[Any], bool], str]
_PROBABILITIES: Final = "most providers do not tell them, so that a fallback could not"
_STATELESS: Final = "nothing is kept between requests; send the whole conversation as input"
_REFUSED: Final[Mapping[str, Mapping[str, _Refused]]] = {
    "openai_chat": {
        "logprobs": (_given, _PROBABILITIES),
        "top_logprobs": (_given, _PROBABILITIES),
        "audio": (_given, "answers are text"),
        "modalities": (_asks_for_audio, "answers are text"),
        "functions": (_given, "use tools"),
        "function_call": (_given, "use tool_choice"),
    },
    "openai_completions": {
        "logprobs": (_given, _PROBABILITIES),
        "echo": (_given, "most providers cannot repeat the prompt"),
        "suffix": (_given, "most providers cannot write into a gap"),
        "best_of": (_several, "one answer is written"),
    },
    "openai_responses": {
        "previous_response_id": (_given, _STATELESS),
        "conversation": (_given, _STATELESS),
        "prompt": (_given, "templates live at one vendor; send their text"),
        "top_logprobs": (_given, _PROBABILITIES),
    },
}
"""Fields whose loss would change the answer. Any other that not every provider knows goes to those who know it and is
left out for the rest, as the vendors' own proxies do: penalties, `logit_bias`, `reasoning_effort`, `top_k`, `thinking`,
….  What says nothing about the answer has no effect: `user`, `metadata`, `store`, `service_tier`, `prediction`."""


def _check_supported(name: str, extras: Mapping[str, Any]) -> None:
    refused = _REFUSED.get(name)
    if refused is None:
        return
    for field, (matters, why) in refused.items():
        if field in extras and matters(extras[field]):
            raise InvalidRequestError(f"{field} is not supported here: {why}")
