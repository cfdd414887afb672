"""From observed requests to a scenario: its traffic, its providers and what was the matter with them.

Failures are told by their class alone, so some things are lost, such as how long a Retry-After was. Requests that were
answered from a cache are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from providers import factory
from providers.errors import InputError
from sandbox.gateway.policies import Policy
from sandbox.scenarios.life.observed import Asked, Try
from sandbox.scenarios.life.segments import by_rate, by_share, runs
from sandbox.scenarios.peers import NAMES, policy_named
from sandbox.scenarios.results import percentiles
from sandbox.scenarios.writing import in_seconds

MAX_KINDS: Final = 20
"""Kinds of requests, by tenant, model, stream or not, too long or not; the rarer ones count as one of the others."""
TOLERANCE: Final = 0.02
"""Share by which the availability of a replay may fall short of what was observed."""
DEFAULT_INPUT, DEFAULT_OUTPUT = 400, 150

_KINDS: Final[dict[str, dict[str, Any]]] = {
    "RateLimitError": {"kind": "rate_limit"},
    "ProviderTimeoutError": {"kind": "timeout"},
    "ConnectionFailedError": {"kind": "connection_reset"},
    "QuotaExhaustedError": {"kind": "http_error", "status": 402},
    "AuthenticationError": {"kind": "auth"},
    "PermissionDeniedError": {"kind": "http_error", "status": 403},
    "ModelNotFoundError": {"kind": "http_error", "status": 404},
    "InvalidRequestError": {"kind": "http_error", "status": 400},
    "ContentFilterError": {"kind": "content_filter"},
    "MalformedResponseError": {"kind": "malformed_body"},
    "StreamInterruptedError": {"kind": "stream_cut"},
}
_DISABLING: Final = {(("kind", "http_error"), ("status", status)) for status in (402, 403)}
"""With `auth` the ways to fail after which a provider is asked again only minutes later: one of them says much."""
_AFTER: Final = frozenset({"http_error", "rate_limit", "auth", "content_filter", "malformed_body"})
TOO_LONG: Final = "ContextLengthError"
"""No fault of the provider: it has a window."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the requests come from."""

    name: str
    description: str
    preset: str | None = None
    prices: str = "seeds-2024"


@dataclass(slots=True)
class Seen:
    """What was seen of one provider, in order of time."""

    model: str
    tries: list[Try] = field(default_factory=list)
    answers: list[tuple[Try, Asked]] = field(default_factory=list)

    @property
    def pace(self) -> float | None:
        """Tokens a second, from its streams; None where none shows any."""
        paces = [
            request.output_tokens * 1e6 / (one.latency_us - one.first_us)
            for one, request in self.answers
            if one.first_us is not None and request.output_tokens and one.latency_us > one.first_us
        ]
        return float(f"{median(paces):.4g}") if paces else None

    def firsts(self) -> list[int]:
        """Microseconds to the first token of each answer."""
        pace = self.pace
        return [
            one.first_us
            if one.first_us is not None
            else max(1, one.latency_us - (round(request.output_tokens * 1e6 / pace) if pace else 0))
            for one, request in self.answers
        ]


def scenario_data(requests: Sequence[Asked], origin: Origin) -> dict[str, Any]:
    """A scenario file's contents. Raises InputError where nobody asked anything. The requests are in order."""
    requests = [request for request in requests if not request.cached]
    if not requests:
        raise InputError("there is no request in it that a provider had to answer")
    start = requests[0].at_us
    for request in requests:
        request.tries = [one._replace(at_us=one.at_us - start) for one in request.tries]
        request.at_us -= start
    # To the first whole second after the last request.
    end_us = (requests[-1].at_us // 1_000_000 + 1) * 1_000_000
    preset = origin.preset if origin.preset in NAMES else "sandbox"
    answered = sum(request.answered for request in requests) / len(requests)
    seen = _seen(requests)
    data: dict[str, Any] = {
        "version": 1,
        "name": origin.name,
        "description": origin.description,
        "duration": in_seconds(end_us),
        "prices": origin.prices,
        "preset": preset,
        "policy": _policy(requests, policy_named(preset)),
        "providers": [_provider(key, one, requests) for key, one in seen.items()],
        "traffic": _traffic(requests, end_us),
        "faults": [fault for key, one in seen.items() for fault in _faults(key, one, end_us)],
        "expect": [{"metric": "availability", "min": round(max(0.0, answered - TOLERANCE), 4)}],
    }
    return {key: value for key, value in data.items() if value not in ({}, [])}


def _seen(requests: Sequence[Asked]) -> dict[str, Seen]:
    """Every provider, in the order of the longest chain."""
    seen = {key: Seen(model) for key, model in max((request.chain for request in requests), key=len)}
    for request in requests:
        for one in request.tries:
            of = seen.setdefault(one.provider, Seen(one.model))
            of.tries.append(one)
            if one.error is None:
                of.answers.append((one, request))
    for of in seen.values():
        of.tries.sort(key=lambda one: one.at_us)
        if of.tries:
            of.model = Counter(one.model for one in of.tries).most_common(1)[0][0]
    return seen


# --- policy ---------------------------------------------------------------------------------------------------------


def _policy(requests: Sequence[Asked], policy: Policy) -> dict[str, Any]:
    """What the requests show of how the preset was set."""
    found: dict[str, Any] = {}
    deadlines = Counter(request.deadline_s for request in requests if request.deadline_s)
    if deadlines and (usual := deadlines.most_common(1)[0][0]) != policy.deadline:
        found["deadline"] = usual
    moved = Counter(request.moved for request in requests if request.moved)
    if not moved and any(_broke(request) for request in requests):
        # Answered although a stream of it broke, and nobody was told: its text had been held back.
        moved["buffer"] += 1
    if moved:
        found["streaming"] = {"policy": "continue" if moved["continue"] else moved.most_common(1)[0][0]}
    return found


def _broke(request: Asked) -> bool:
    return request.stream and request.answered and any(one.error == "StreamInterruptedError" for one in request.tries)


# --- traffic --------------------------------------------------------------------------------------------------------


def _traffic(requests: Sequence[Asked], end_us: int) -> list[dict[str, Any]]:
    kinds: defaultdict[tuple[str, str | None, bool, bool], list[Asked]] = defaultdict(list)
    for request in requests:
        long = any(one.error == TOO_LONG for one in request.tries)
        kinds[request.tenant, request.model, request.stream, long].append(request)
    by_size = sorted(kinds, key=lambda key: -len(kinds[key]))
    for rare in by_size[MAX_KINDS:]:
        kinds[by_size[MAX_KINDS - 1]] += kinds.pop(rare)
    streams: list[dict[str, Any]] = []
    for (tenant, model, stream, _), members in kinds.items():
        answered = [one for one in members if one.answered]
        part: dict[str, Any] = {
            "tenant": tenant,
            "agent": Counter(one.agent for one in members).most_common(1)[0][0],
            "model": model,
            "stream": stream,
            "input_tokens": _middle([one.input_tokens for one in answered], DEFAULT_INPUT),
            "output_tokens": _middle([one.output_tokens for one in answered], DEFAULT_OUTPUT),
        }
        unsaid = {"tenant": "default", "agent": "default", "model": None, "stream": False}
        part = {key: value for key, value in part.items() if unsaid.get(key, ...) != value}
        for begin, end, count in by_rate(sorted(one.at_us for one in members), end_us):
            rate = float(f"{count * 1e6 / (end - begin):.6g}")
            streams.append({"from": in_seconds(begin), "to": in_seconds(end), "rate": rate, **part})
    return streams


def _middle(values: Sequence[int], otherwise: int) -> int:
    known = [value for value in values if value > 0]
    return round(median(known)) if known else otherwise


# --- providers ------------------------------------------------------------------------------------------------------


def _provider(key: str, seen: Seen, requests: Sequence[Asked]) -> dict[str, Any]:
    name = key if key in factory.KINDS else _kind_of(seen.model)
    part: dict[str, Any] = {"name": name, "model": seen.model}
    if name != key:
        part["id"] = key
    if firsts := seen.firsts():
        p50, _, p99, _ = percentiles(firsts)
        assert p50 is not None and p99 is not None  # noqa: S101, PT018  there are some
        middle, top = in_seconds(round(p50 * 1000)), in_seconds(round(p99 * 1000))
        part["latency"] = middle if middle == top else {"p50": middle, "p99": top}
    if seen.pace is not None:
        part["tokens_per_second"] = seen.pace
    if any(one.error == TOO_LONG for one in seen.tries) and seen.answers:
        part["context_window"] = max(request.input_tokens for _, request in seen.answers)
    return part


def _kind_of(model: str) -> str:
    """The kind of provider that has a model, for one that is registered under a name of its own."""
    # A model's maker before those who sell it too.
    for kind in dict.fromkeys(("openai", "anthropic", *factory.KINDS)):
        if kind != "mock" and factory.create(kind, mock_mode=True).resolve_model(model) is not None:
            return kind
    return "mock"


# --- faults ---------------------------------------------------------------------------------------------------------


def _faults(key: str, seen: Seen, end_us: int) -> list[dict[str, Any]]:
    """A window for each stretch in which the provider failed in one way, with its share."""
    tries = seen.tries
    ways = [_way(one) for one in tries]
    faults = []
    for way in dict.fromkeys(one for one in ways if one is not None):
        hits = [one == way for one in ways]
        for begin, end in runs(hits) if dict(way).get("kind") == "auth" or way in _DISABLING else by_share(hits):
            failed = [one for one, told in zip(tries[begin:end], ways[begin:end], strict=True) if told == way]
            if not failed:
                continue
            fault: dict[str, Any] = {"provider": key}
            # It began and ended somewhere between two attempts.
            if begin:
                fault["from"] = _between(tries[begin - 1], tries[begin])
            if end < len(tries):
                fault["to"] = _between(tries[end - 1], tries[end])
            if fault.get("from") == fault.get("to", ...):
                continue
            fault |= dict(way) | _details(dict(way)["kind"], failed, seen)
            share = len(failed) / (end - begin)
            if share < 1.0:
                fault["probability"] = round(share, 4)
            faults.append(fault)
    return [fault for fault in faults if _starts(fault) < end_us]


def _between(before: Try, after: Try) -> str:
    """A moment after the start of one attempt and at or before that of the next."""
    return in_seconds((before.at_us + after.at_us + 1) // 2)


def _way(one: Try) -> tuple[tuple[str, Any], ...] | None:
    """How it failed, as the beginning of a fault; None: it did not, or not by its own fault."""
    if one.error is None or one.error == TOO_LONG:
        return None
    if one.error == "StreamInterruptedError" and "silent" in one.message:
        return (("kind", "stream_stall"),)
    known = _KINDS.get(one.error)
    if one.error == "ServiceUnavailableError" or known is None or (known["kind"] == "timeout" and one.status):
        status = one.status if one.status is not None and 400 <= one.status <= 599 else 503
        return (("kind", "http_error"), ("status", status))
    if one.error == "InvalidRequestError" and one.status in (413, 422):
        return (("kind", "http_error"), ("status", one.status))
    return tuple(known.items())


def _details(kind: str, failed: Sequence[Try], seen: Seen) -> dict[str, Any]:
    latency = round(median(one.latency_us for one in failed))
    if kind in _AFTER:
        return {"after": in_seconds(latency)}
    if kind in ("stream_cut", "stream_stall"):
        firsts, pace = seen.firsts(), seen.pace
        silent = 15_000_000 if kind == "stream_stall" else 0
        spoken = latency - silent - (round(median(firsts)) if firsts else 0)
        return {"after_tokens": max(1, round(spoken * pace / 1e6)) if pace else 1}
    return {}


def _starts(fault: dict[str, Any]) -> int:
    return round(float(str(fault.get("from", "0s")).removesuffix("s")) * 1e6)
