"""Turns a story into lines of styled text. Pure: widgets only show them."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.core.figures import dollars, duration_ms
from sandbox.tui.pieces import (
    BAD,
    CANCELLED,
    DOT,
    FAILED,
    GOOD,
    MUTED,
    NAME,
    OK,
    PLAIN,
    RESTART,
    RETRY,
    SHAPE_STYLES,
    SHAPES,
    SKIPPED,
    SPINNER,
    WARN,
    Line,
    clip,
)
from sandbox.tui.story import Attempt, BreakerMove, Disabled, RequestStory, Restart, Skip, Step, Wait

ERROR_WORDS = {
    "RateLimitError": "rate limit",
    "ProviderTimeoutError": "timeout",
    "ServiceUnavailableError": "unavailable",
    "ConnectionFailedError": "connection",
    "MalformedResponseError": "malformed",
    "StreamInterruptedError": "cut off",
    "QuotaExhaustedError": "quota gone",
    "AuthenticationError": "key refused",
    "PermissionDeniedError": "not allowed",
    "ModelNotFoundError": "no such model",
    "ContextLengthError": "too long",
    "ContentFilterError": "filtered",
    "InvalidRequestError": "invalid",
}
SKIP_WORDS = {
    "breaker_open": "breaker open",
    "throttled": "own limit reached",
    "disabled": "disabled",
    "budget": "over budget",
    "window": "window too small",
    "prefill": "starts only anew",
    "tools": "lacks a tool",
}

_EIGHTHS = " ▏▎▍▌▋▊▉"
_MINIMUM_BAR = 4
"""Columns below which a waterfall says nothing."""
_MINIMUM_WORDS = 10
"""Columns that a model's or an error's name keeps beside the waterfall."""


def bar(start: float, end: float, width: int) -> tuple[int, str]:
    """A waterfall's bar from `start` to `end` (shares of the whole, 0 to 1): leading blanks and blocks.

    It is never empty, and drawn to an eighth of a column at its end.
    """
    lead = min(int(max(0.0, start) * width), width - 1)
    eighths = max(2, round((min(1.0, end) * width - lead) * 8))
    whole, rest = divmod(min(eighths, (width - lead) * 8), 8)
    return lead, "█" * whole + (_EIGHTHS[rest] if rest else "")


def outcome_word(attempt: Attempt) -> str:
    """What came of an attempt, in a few words: the model that answered, or the error."""
    if attempt.outcome == "failed":
        word = ERROR_WORDS.get(attempt.error_type or "", attempt.error_type or "failed")
        return f"{attempt.status} {word}" if attempt.status else word
    if attempt.outcome == "cancelled":
        return "cancelled"
    return attempt.model


def _elapsed_ms(attempt: Attempt, now_us: int) -> float:
    if attempt.latency_ms is not None:
        return attempt.latency_ms
    return max(0, (attempt.ended_us or now_us) - attempt.started_us) / 1000.0


def story_lines(
    story: RequestStory, now_us: int, width: int, frame: int, notes: Sequence[str], *, roomy: bool
) -> list[Line]:
    """Everything the pane shows; with room, what was asked and the message of each failure too."""
    lines: list[Line] = [request_line(story, notes), []] if roomy else []
    for step, line in step_lines(story, now_us, width, frame):
        lines.append(line)
        if roomy and isinstance(step, Attempt) and step.message:
            lines.append([("   ", PLAIN), (clip(step.message, width - 3), MUTED)])
    if roomy and story.steps:
        lines.append([])
    if story.status == "failed":
        lines.append([(f"{FAILED} {story.error_type}", BAD)])
    lines += [line for line in (time_line(story), cost_line(story)) if line]
    for trouble in story.troubles:
        lines.append([(f"passed over{DOT}{trouble}", MUTED)])
    return lines


def request_line(story: RequestStory, notes: Sequence[str] = ()) -> Line:
    """Strategy, asked model, deadline, and what is special about this request."""
    facts = [story.strategy or "", f"{story.asked_model} asked" if story.asked_model else "any model"]
    if story.deadline_s:
        facts.append(f"deadline {story.deadline_s:g} s")
    line: Line = [(DOT.join(filter(None, facts)), MUTED)]
    for note in notes:
        line += [(DOT, MUTED), (note, WARN)]
    return line


def step_lines(story: RequestStory, now_us: int, width: int, frame: int = 0) -> list[tuple[Step, Line]]:
    """One line for each step of the route, aligned, with the attempts' waterfall in what width is left."""
    rows = [step for step in story.steps if isinstance(step, (Attempt, Skip))]
    names = max((len(row.provider) for row in rows), default=0)
    words = max([len(outcome_word(row)) if isinstance(row, Attempt) else len(_skip_word(row)) for row in rows] or [0])
    left = width - (2 + 1 + names + 1 + 2 + 1 + 9 + 1)
    if left - words >= _MINIMUM_BAR:
        room = words
    elif left - _MINIMUM_BAR >= _MINIMUM_WORDS:
        room = left - _MINIMUM_BAR
    else:
        room = min(words, left)
    space = left - room
    lines: list[tuple[Step, Line]] = []
    asked: str | None = None
    for step in story.steps:
        if isinstance(step, BreakerMove):
            lines.append((step, _breaker_line(step, named=step.provider != asked)))
        else:
            lines.append((step, _step_line(step, story, now_us, names, room, space, frame)))
        if isinstance(step, Attempt):
            asked = step.provider
    return lines


def _step_line(
    step: Attempt | Skip | Wait | Restart | Disabled,
    story: RequestStory,
    now_us: int,
    names: int,
    words: int,
    space: int,
    frame: int,
) -> Line:
    if isinstance(step, Attempt):
        mark, style = {
            "ok": (OK, GOOD), "failed": (FAILED, BAD), "cancelled": (CANCELLED, WARN),
            "running": (SPINNER[frame % len(SPINNER)], WARN),
        }[step.outcome]  # fmt: skip
        line: Line = [
            (f"{step.number:>2} ", MUTED),
            (f"{step.provider:<{names}} ", NAME if step.outcome in ("ok", "running") else PLAIN),
            (f"{mark} ", style),
            (f"{clip(outcome_word(step), words):<{words}} ", style if step.outcome == "failed" else PLAIN),
            (f"{duration_ms(_elapsed_ms(step, now_us)):>9} ", PLAIN),
        ]
        if space >= _MINIMUM_BAR:
            whole = max(1, story.span_us(now_us))
            begin = (step.started_us - story.started_us) / whole
            finish = ((step.ended_us or now_us) - story.started_us) / whole
            lead, blocks = bar(begin, finish, space)
            colour = {"ok": "$success", "failed": "$error"}.get(step.outcome, "$warning")
            line += [(" " * lead, PLAIN), (blocks, colour)]
        return line
    if isinstance(step, Skip):
        return [
            (" - ", MUTED),
            (f"{step.provider:<{names}} ", MUTED),
            (f"{SKIPPED} ", WARN),
            (_skip_word(step), MUTED),
        ]
    if isinstance(step, Wait):
        return [("   ", PLAIN), (f"{RETRY} again after {duration_ms(step.delay_s * 1000)}", MUTED)]
    if isinstance(step, Restart):
        how = "goes on" if step.kept_chars else "the text is discarded, starts anew"
        return [("   ", PLAIN), (f"{RESTART} {step.from_provider} broke off: {step.to_provider} {how}", WARN)]
    what = step.provider if step.model is None else f"{step.provider} {step.model}"
    return [("   ", PLAIN), (f"{SHAPES['disabled']} {what} is disabled", BAD)]


def _breaker_line(step: BreakerMove, *, named: bool) -> Line:
    """The provider is named unless it is the one of the row above."""
    whose = f"{step.provider}'s breaker" if named else "breaker"
    shape = {"open": "open", "forced_open": "open", "half_open": "half_open"}.get(step.state, "closed")
    word = {"open": "opened", "half_open": "half open"}.get(step.state, step.state.replace("_", " "))
    return [
        ("   ", PLAIN),
        (f"{SHAPES[shape]} ", SHAPE_STYLES[shape]),
        (f"{whose} {word}: {step.reason}", MUTED),
    ]


def _skip_word(step: Skip) -> str:
    word = SKIP_WORDS.get(step.reason, step.reason.replace("_", " "))
    if step.retry_after_s:
        word += f", probe in {step.retry_after_s:.0f} s"
    return word


def time_line(story: RequestStory) -> Line:
    """First text, speed and the whole time."""
    facts = []
    if story.ttft_ms is not None and not story.cached:
        facts.append(f"first text {duration_ms(story.ttft_ms)}")
    if story.tokens_per_second is not None:
        facts.append(f"{story.tokens_per_second:.0f} tok/s")
    if story.latency_ms is not None:
        facts.append(f"total {duration_ms(story.latency_ms)}")
    return [(DOT.join(facts), PLAIN)] if facts else []


def cost_line(story: RequestStory) -> Line:
    """What it cost, what failing over added, and what was paid for nothing."""
    simulated = story.simulated
    if story.cached:
        badge = "COALESCED" if story.coalesced else "CACHED"
        line: Line = [(f" {badge} ", "$text-success on $success-muted bold"), (" cost ", PLAIN), ("$0", NAME)]
        if story.saved_usd is not None:
            line.append((f"{DOT}saved {dollars(story.saved_usd, simulated=simulated)}", GOOD))
        return line
    if not story.priced:
        return []
    line = [("cost ", PLAIN), (dollars(story.cost_usd, simulated=simulated), NAME)]
    if story.failovers:
        premium = story.premium_usd
        if premium is None:
            line.append((" (premium unknown: unpriced)", MUTED))
        else:
            style = WARN if premium > 0 else GOOD
            line.append((f" ({dollars(premium, simulated=simulated, signed=True)} for failing over)", style))
    line.append((f"{DOT}waste {dollars(story.waste_usd, simulated=simulated)}", WARN if story.waste_usd else MUTED))
    return line


def counts(story: RequestStory) -> str:
    """Tokens in and out and how it ended, for the answer's edge."""
    if story.status == "done" and story.input_tokens is not None:
        about = "~" if story.estimated else ""
        facts = [f"{about}{story.input_tokens} in", f"{about}{story.output_tokens} out", story.finish_reason or ""]
        return DOT.join(filter(None, facts))
    return {"failed": "failed", "cancelled": "cancelled"}.get(story.status, "")


def activity(story: RequestStory, now_us: int, asked_us: int, frame: int) -> str:
    """What is going on, for the answer's edge: a spinner at once, the time after a second."""
    doing = "asking"
    running = story.running
    if story.status == "writing":
        doing = f"{story.provider} is writing"
    elif running is not None:
        doing = f"asking {running.provider}"
    elif story.steps:
        doing = "waiting to retry" if isinstance(story.steps[-1], Wait) else "choosing"
    seconds = (now_us - asked_us) / 1e6
    clock = f"{DOT}{seconds:.1f} s" if seconds >= 1 else ""
    return f"{SPINNER[frame % len(SPINNER)]} {doing}{clock}"
