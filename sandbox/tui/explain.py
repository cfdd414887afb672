"""The whole story of a request in words: what was asked, the plan and why, each attempt, the time, the money."""

from __future__ import annotations

from sandbox.core.figures import dollars, duration_ms
from sandbox.tui.drawing import SKIP_WORDS, counts, step_lines
from sandbox.tui.pieces import BAD, DOT, GOOD, MUTED, NAME, PLAIN, WARN, Line, local_time
from sandbox.tui.reports import Estimated
from sandbox.tui.state import Entry
from sandbox.tui.story import Attempt, BreakerMove, Disabled, RequestStory, Restart, Skip, Wait

_LABEL = 13


def explain_lines(entry: Entry, story: RequestStory, now_us: int, width: int) -> list[Line]:
    """Everything, in lines of `width` columns; every figure with its unit."""
    lines: list[Line] = [*_facts(entry, story), [], _title("Plan"), *_plan(story), [], _title("What happened")]
    lines += _happened(story, now_us, width)
    lines += [[], _title("Time"), *_times(story), [], _title("Money"), *_money(story)]
    if story.simulated:
        lines += [[], [("~ marks figures of simulated providers.", MUTED)]]
    return lines


def _title(text: str) -> Line:
    return [(text, "bold $text-accent")]


def _fact(label: str, value: str, style: str = PLAIN) -> Line:
    return [(f"{label:<{_LABEL}}", MUTED), (value, style)]


def _facts(entry: Entry, story: RequestStory) -> list[Line]:
    status = {"done": GOOD, "failed": BAD}.get(story.status, WARN)
    lines = [
        _fact("request", entry.request_id),
        _fact("asked at", f"{local_time(entry.at_us)} local time"),
        _fact("mode", (story.mode or entry.mode).upper()),
        *([_fact("asked for", f"tenant {story.tenant}, agent {story.agent}")] if story.tenant else []),
        _fact("prompt", " ".join(entry.prompt.split())),
        _fact("model", f"{story.asked_model or 'any'} asked, {story.model or 'none'} answered"
              if story.status == "done" else story.asked_model or "any"),
        _fact("status", story.status if story.status != "done" else f"answered by {story.provider}", status),
    ]  # fmt: skip
    if entry.via:
        lines.append(_fact("asked first", entry.via))
    if story.error_type:
        lines.append(_fact("error", story.error_type, BAD))
        lines.append(_fact("", story.error_message or ""))
    if counts(story):
        lines.append(_fact("tokens", counts(story)))
    if story.cached:
        where = "another request's answer was shared" if story.coalesced else "from the cache; nobody was asked"
        lines.append(_fact("cached", where, GOOD))
    return lines


def _plan(story: RequestStory) -> list[Line]:
    if not story.plan:
        return [[("none was needed" if story.cached else "none was made", MUTED)]]
    lines: list[Line] = [_fact("strategy", story.strategy or "")]
    names = max(len(one.provider) for one in story.plan)
    models = max(len(one.model) for one in story.plan)
    for number, one in enumerate(story.plan, 1):
        why = one.why if one.skipped is None else f"not asked: {one.skipped}"
        lines.append(
            [
                (f"{number:>2} ", MUTED),
                (f"{one.provider:<{names}}  ", NAME),
                (f"{one.model:<{models}}  ", PLAIN),
                (why, MUTED),
            ]
        )
    return lines


def _happened(story: RequestStory, now_us: int, width: int) -> list[Line]:
    if not story.steps:
        return [[("the answer was in the cache" if story.cached else "nothing yet", MUTED)]]
    lines: list[Line] = []
    for step, line in step_lines(story, now_us, width):
        lines.append(line)
        for detail in _details(step, story):
            lines.append([("     ", PLAIN), (detail, MUTED)])
    return lines


def _details(step: Attempt | Skip | Wait | Restart | BreakerMove | Disabled, story: RequestStory) -> list[str]:
    if isinstance(step, Attempt):
        began = duration_ms((step.started_us - story.started_us) / 1000)
        facts = [f"began at {began}", f"model {step.model}", f"breaker {step.breaker.replace('_', ' ')}"]
        if step.retry:
            facts.append(f"retry {step.retry}")
        if step.first_text_us is not None:
            facts.append(f"first text after {duration_ms((step.first_text_us - step.started_us) / 1000)}")
        return [DOT.join(facts), *([f"{step.error_type}: {step.message}"] if step.error_type else [])]
    if isinstance(step, Skip):
        return [f"nobody was asked: {SKIP_WORDS.get(step.reason, step.reason)}"]
    if isinstance(step, Disabled):
        return [step.reason]
    if isinstance(step, Restart):
        return [step.reason]
    return []


def _times(story: RequestStory) -> list[Line]:
    lines = []
    if story.ttft_ms is not None:
        lines.append(_fact("first text", duration_ms(story.ttft_ms)))
    if story.latency_ms is not None:
        lines.append(_fact("total", duration_ms(story.latency_ms)))
    if story.tokens_per_second is not None:
        lines.append(_fact("speed", f"{story.tokens_per_second:.0f} tokens a second"))
    if story.deadline_s:
        lines.append(_fact("deadline", f"{story.deadline_s:g} s"))
    return lines


def _money(story: RequestStory) -> list[Line]:
    simulated = story.simulated
    lines = [
        _fact("cost", dollars(story.cost_usd, simulated=simulated) if story.priced else "nothing was billed", NAME)
    ]
    if story.cached and story.saved_usd is not None:
        lines.append(_fact("saved", dollars(story.saved_usd, simulated=simulated), GOOD))
    if story.failovers:
        premium = (
            "unknown" if story.premium_usd is None else dollars(story.premium_usd, simulated=simulated, signed=True)
        )
        lines.append(
            _fact(
                "premium",
                f"{premium} beyond what {story.plan[0].provider if story.plan else 'the first'} would have cost",
            )
        )
    lines.append(_fact("waste", f"{dollars(story.waste_usd, simulated=simulated)} for answers that were not used"))
    if story.catalogue:
        lines.append(_fact("prices", story.catalogue))
    return lines


def estimate_lines(estimated: Estimated) -> list[Line]:
    """What a paid question may cost, for a person to agree to."""
    lines: list[Line] = [[("This asks real providers, for real money. At most it costs:", PLAIN)], []]
    for provider, model, usd in estimated.candidates[:4]:
        lines.append([(f"  {provider:<14}", NAME), (f"{model:<28}", PLAIN), (f"{dollars(usd):>12}", WARN)])
    if len(estimated.candidates) > 4:
        lines.append([(f"  and {len(estimated.candidates) - 4} more, asked only if these fail", MUTED)])
    return [*lines, [], [("You are asked once in a session.", MUTED)]]
