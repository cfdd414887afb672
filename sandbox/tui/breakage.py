"""What can be provoked on a provider from the screen, and what a person can do about a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from providers.faults import Fault
    from sandbox.tui.engine import Engine

HEAL = "heal"


class Kind(NamedTuple):
    """One way to fail. `fault` is as `--fail` spells it."""

    fault: str
    title: str
    what: str


KINDS: tuple[Kind, ...] = (
    Kind("503", "503 unavailable", "refuses every call at once"),
    Kind("500", "500 server error", "refuses every call at once"),
    Kind("429", "429 rate limit", "says it is asked too often"),
    Kind("429:20", "429, wait 20 s", "the same, and names how long to stay away"),
    Kind("timeout", "no answer", "stays silent until the time limit"),
    Kind("connection_reset", "connection reset", "breaks the connection"),
    Kind("auth", "401 key refused", "is disabled until the key changes, or by hand"),
    Kind("content_filter", "content filter", "refuses the prompt itself"),
    Kind("malformed_body", "malformed answer", "answers what is no answer"),
    Kind("empty_body", "empty answer", "answers nothing"),
    Kind("stream_cut:12", "cut mid-stream", "breaks off after 12 tokens"),
    Kind("stream_stall:12", "stall mid-stream", "goes silent after 12 tokens"),
    Kind("error_event", "error mid-stream", "says 200, then sends an error"),
    Kind("malformed_event:10", "malformed event", "its tenth event is broken"),
    Kind("slow_stream:5", "slow stream", "writes 5 tokens a second"),
    Kind("latency:2", "slow to start", "takes 2 s longer to begin"),
)

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("force_open", "breaker: force open", "nobody asks it until you reset it"),
    ("force_close", "breaker: force closed", "it is asked whatever happens"),
    ("reset", "breaker: reset", "closed, nothing counted"),
    ("enable", "back into rotation", "after a refused key"),
)

_WORDS = {
    "timeout": "silent", "hang": "silent", "connection_reset": "reset", "auth": "401", "quota": "quota",
    "content_filter": "filter", "malformed_body": "malformed", "empty_body": "empty", "stream_cut": "cut",
    "stream_stall": "stall", "slow_stream": "slow", "latency": "late", "rate_limit": "429", "truncated_body": "short",
    "malformed_event": "malformed", "error_event": "error", "no_end_marker": "no end", "trickle": "trickle",
    "wrong_content_type": "type",
}  # fmt: skip


def fault_word(faults: Sequence[Fault]) -> str:
    """What is provoked, in a word for the provider strip."""
    words = [
        str(fault.status) if fault.kind == "http_error" else _WORDS.get(fault.kind, fault.kind) for fault in faults
    ]
    return "+".join(words)


def carry_out(engine: Engine, provider: str, what: str, *, then: str = "r sends again") -> tuple[str, str]:
    """Do what was chosen (a fault, `heal` or a breaker's command); returns the feedback and its kind.

    `then`: what one does next with a provider that is broken.
    """
    from providers.faults import parse_fault

    titles = {command: title for command, title, _ in COMMANDS}
    if what == HEAL:
        engine.provoke(provider, None)
        return f"{provider} answers again", "done"
    if what in titles:
        engine.breaker(provider, what)
        return f"{provider}: {titles[what]}", "done"
    engine.provoke(provider, parse_fault(what))
    return f"{provider} is broken: {then}", "warning"


def advice(error_type: str, *, broken: Sequence[str], retry_after_s: float | None, mode: str) -> str:
    """What a person can do about a failed request, in one or two sentences."""
    if error_type == "CircuitBreakerOpenError":
        when = f"Wait {retry_after_s:.0f} s for the next probe" if retry_after_s else "Wait for the next probe"
        return f"{when}, or press B to reset the breakers."
    if error_type in ("InvalidRequestError", "ContextLengthError", "InputError", "ConfigError"):
        return "Change the prompt or the choices below it; the prompt is still there."
    if error_type == "BudgetExceededError":
        return "Raise the budget, or ask a model that costs nothing."
    if broken:
        names = " and ".join(broken) if len(broken) < 3 else f"{len(broken)} providers"
        what = "it" if len(broken) == 1 else "them"
        return f"You broke {names}: F heals {what}, r sends again, e tells the whole story."
    if error_type in ("AuthenticationError", "QuotaExhaustedError", "PermissionDeniedError") and mode == "live":
        return "Check the provider's key and its account, then press f and choose 'back into rotation'."
    if error_type == "ContentFilterError":
        return "Word the prompt differently, or let the next provider be asked (failover_on_content_filter)."
    if error_type == "StreamInterruptedError":
        return 'What had come is kept above. r sends again; streaming.policy = "restart" would go on elsewhere.'
    return "r sends again, e tells the whole story."
