"""LiteLLM's `router_settings`, `litellm_settings` and the rest: which setting each key becomes, if any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sandbox.core.yaml_source import Place
from sandbox.settings.importing.deployments import ENVIRONMENT, Deployment
from sandbox.settings.importing.notes import Imported

_BY_USE: Final = "use within the minute is not weighed here; whoever has reached a limit is skipped"
STRATEGIES: Final = {
    "simple-shuffle": ("weighted", ""),
    "latency-based-routing": ("least_latency", ""),
    "cost-based-routing": ("least_cost", ""),
    "least-busy": ("least_latency", "calls under way are not counted here; the fastest is nearest to the least busy"),
    "usage-based-routing": ("weighted", _BY_USE),
    "usage-based-routing-v2": ("weighted", _BY_USE),
}  # fmt: skip
"""Ours, and what is to be said of it."""
DEFAULT_RETRIES: Final = 2
DEFAULT_COOLDOWN: Final = 5.0
MINUTE: Final = 60.0
_READ_ELSEWHERE: Final = frozenset(
    {
        "routing_strategy", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks",
        "model_group_alias", "num_retries", "retry_after", "allowed_fails", "cooldown_time", "disable_cooldowns",
        "timeout", "request_timeout", "stream_timeout", "cache", "cache_params", "max_budget", "budget_duration",
    }
)  # fmt: skip
_NO_EQUIVALENT: Final[Mapping[str, str]] = {
    "allowed_fails_policy": "a breaker counts all kinds of failure alike",
    "retry_policy": "which errors are retried is fixed: see the failover table in the README",
    "model_group_retry_policy": "retries are the same for all providers",
    "enable_pre_call_checks": "a window that is too small is found when the provider says so",
    "drop_params": "parameters that a vendor has not are left out anyway",
    "redis_host": "what fails here is remembered by each process",
    "redis_port": "what fails here is remembered by each process",
    "redis_password": "what fails here is remembered by each process",
    "redis_url": "what fails here is remembered by each process",
    "routing_strategy_args": "a strategy has no arguments",
    "success_callback": "events are told on the bus and in the log",
    "failure_callback": "events are told on the bus and in the log",
    "callbacks": "events are told on the bus and in the log",
}
_MONTHS: Final = frozenset({None, "30d", "1mo", "monthly"})


def _value(found: Imported, *names: str) -> tuple[Place, Any] | None:
    """The first of these keys that the router's section has, else the library's."""
    for section in ("router_settings", "litellm_settings"):
        values = found.source.data.get(section)
        for name in names:
            if isinstance(values, dict) and values.get(name) is not None:
                return (section, name), values[name]
    return None


def _number(found: Imported, *names: str) -> tuple[Place, float] | None:
    """A number under one of these keys. Raises ConfigError for anything else there."""
    given = _value(found, *names)
    if given is None:
        return None
    place, value = given
    if isinstance(value, str) and value.startswith(ENVIRONMENT):
        found.note("by_hand", place, "read from the environment there; write its value into the settings")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise found.source.error("must be a number of at least 0", *place)
    return place, value


# --- which of several ---------------------------------------------------------------------------------------------


def strategy_of(found: Imported, groups: Mapping[str, Sequence[Deployment]]) -> str:
    """How members of a group are ordered."""
    given = _value(found, "routing_strategy")
    place, name = given if given is not None else (("model_list",), "simple-shuffle")
    known = STRATEGIES.get(str(name))
    if known is None:
        found.note("none", place, "members of a group are asked at random in its place", ("strategy",))
        return "random"
    strategy, text = known
    if given is not None:
        found.note("near" if text else "taken", place, text, ("strategy",))
    if strategy == "weighted":
        _weights(found, groups)
    return strategy


def _weights(found: Imported, groups: Mapping[str, Sequence[Deployment]]) -> None:
    """A shuffle goes by `weight`, else by `rpm`, else by `tpm`, where any member of the group has it; else evenly."""
    for members in groups.values():
        if len(members) < 2:
            continue
        for ours in ("weight", "requests_per_minute", "tokens_per_minute"):
            given = {one.id: found.get("providers", one.id, ours) for one in members}
            if not any(value is not None for value in given.values()):
                continue
            if ours != "weight":
                for one in members:
                    share = given[one.id] or 0
                    found.put(("providers", one.id, "weight"), share, one.place, "its share of the group's limits")
            break


# --- failures -----------------------------------------------------------------------------------------------------


def retries_and_cooldowns(found: Imported, *, several: bool) -> None:
    """Retries and breaker. `several`: a retry may go to another member of the group."""
    given = _number(found, "num_retries")
    place, count = given if given is not None else ((), DEFAULT_RETRIES)
    text = "" if given is not None else "LiteLLM's default"
    found.put(("retry", "retries"), int(count), place, text)
    when = "last_candidate" if several else "always"
    text = "a retry goes to the next member at once" if several else "the retries are used up before a fallback"
    found.put(("retry", "when"), when, place, text, outcome="near")
    pause = _number(found, "retry_after")
    if pause is not None:
        found.put(("retry", "base_delay"), float(pause[1]), pause[0], "the least pause before a retry", outcome="near")
    else:
        # Its constants: half a second, doubled up to eight.
        found.put(("retry", "base_delay"), 0.5, place, "LiteLLM's default")
    _cooldown(found)


def _cooldown(found: Imported) -> None:
    off = _value(found, "disable_cooldowns")
    if off is not None and off[1] is True:
        found.put(("breaker", "mode"), "off", off[0])
        return
    pause = _number(found, "cooldown_time")
    allowed = _number(found, "allowed_fails")
    if pause is not None and not pause[1]:
        found.put(("breaker", "mode"), "off", pause[0], "a cooldown of 0 is none")
        return
    if allowed is not None:
        found.put(("breaker", "mode"), "window", allowed[0])
        found.put(
            ("breaker", "failure_threshold"), int(allowed[1]) + 1, allowed[0], "one more than is allowed opens it"
        )
    else:
        text = "LiteLLM's default: half of a minute's calls, of at least five; there a single 429 is enough too"
        found.put(("breaker", "mode"), "rate", (), text, outcome="near")
        found.put(("breaker", "failure_rate"), 0.5, ())
        found.put(("breaker", "minimum_calls"), 5, ())
    where = allowed[0] if allowed is not None else ()
    found.put(("breaker", "window"), MINUTE, where)
    seconds, place = (float(pause[1]), pause[0]) if pause is not None else (DEFAULT_COOLDOWN, ())
    text = "then one probe goes first; there all traffic is back at once (--preset litellm plays that)"
    found.put(("breaker", "recovery_timeout"), seconds, place, text, outcome="near")


# --- limits -------------------------------------------------------------------------------------------------------


def limits(found: Imported) -> None:
    """Time, money and cache."""
    timeout = _number(found, "timeout", "request_timeout")
    if timeout is not None and timeout[1]:
        seconds = float(timeout[1])
        found.put(("attempt_timeout",), seconds, timeout[0])
        whole = seconds * (found.settings["retry"]["retries"] + 1)
        text = "LiteLLM has no limit over all attempts; this one leaves time for each retry"
        found.put(("deadline",), max(whole, 60.0), timeout[0], text, outcome="near")
    first = _number(found, "stream_timeout")
    if first is not None and first[1]:
        found.put(("streaming", "first_text"), float(first[1]), first[0], "to the first text", outcome="near")
    budget, duration = _number(found, "max_budget"), _value(found, "budget_duration")
    if budget is not None:
        if (duration[1] if duration else None) in _MONTHS:
            text = "by calendar month"
            found.put(("budget_limit",), str(budget[1]), budget[0], text, outcome="near")
        else:
            found.note("none", budget[0], "budgets here are by calendar month")
    _cache(found)


def _cache(found: Imported) -> None:
    given = _value(found, "cache")
    if given is None or given[1] is not True:
        found.put(("cache", "backend"), "off", given[0] if given else (), "LiteLLM caches only where it is told to")
        return
    place, _ = given
    params = found.source.data["litellm_settings"].get("cache_params")
    params = params if isinstance(params, dict) else {}
    kind = params.get("type", "redis")
    backend = "redis" if str(kind).startswith("redis") else "disk"
    if kind in ("redis", "disk"):
        found.put(("cache", "backend"), backend, place)
    else:
        found.put(("cache", "backend"), backend, place, f"in place of {kind}", outcome="near")
    host, port = params.get("host"), params.get("port", 6379)
    for name, value in params.items():
        where: Place = ("litellm_settings", "cache_params", str(name))
        if name == "ttl" and isinstance(value, int | float) and not isinstance(value, bool):
            found.put(("cache", "ttl"), float(value), where)
        elif name == "host" and isinstance(host, str) and not host.startswith(ENVIRONMENT) and backend == "redis":
            found.put(("cache", "endpoint_url"), f"redis://{host}:{port}", where)
        elif name not in ("type", "port"):
            found.note("by_hand" if name in ("host", "password", "url") else "none", where, "not taken over")


# --- the rest -----------------------------------------------------------------------------------------------------


def other_sections(found: Imported) -> None:
    """Say of everything else that it was read and is not here."""
    for section, values in found.source.data.items():
        if section == "model_list":
            continue
        if section not in ("router_settings", "litellm_settings") or not isinstance(values, dict):
            for place in [(section, str(name)) for name in values] if isinstance(values, dict) else [(section,)]:
                found.note("none", place, _OF_SECTION.get(str(section), "this program has no such part"))
            continue
        for name, value in values.items():
            if name == "set_verbose" and value is True:
                found.put(("log_level",), "DEBUG", (section, name))
            elif name not in _READ_ELSEWHERE:
                found.note("none", (section, str(name)), _NO_EQUIVALENT.get(str(name), "there is no such setting"))


_OF_SECTION: Final = {
    "general_settings": "the server's own settings are given to `sandbox serve`",
    "environment_variables": "set them in the environment, or in a file .env",
}
