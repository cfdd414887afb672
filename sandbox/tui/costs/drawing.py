"""What the Costs room tells beside its chart, as lines of text and style: sums, budgets, what could be saved. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from providers.clock import utc
from sandbox.core.figures import UNPRICED, dollars, duration_ms
from sandbox.core.tables import text_width
from sandbox.costs.base import whose
from sandbox.costs.rates import (
    average_cost_usd,
    average_latency_ms,
    cache_hit_rate,
    extra_attempts,
    spent_usd,
    success_rate,
)
from sandbox.tui.costs.chart import gauge, style_of
from sandbox.tui.pieces import BAD, DOT, FAILED, FAILOVER, GOOD, MUTED, NAME, OK, PLAIN, WARN, Line, clip, local_time
from sandbox.tui.tables import BAR, bar, cell

if TYPE_CHECKING:
    from sandbox.costs.advice import Recommendation
    from sandbox.costs.whatif import Repriced
    from sandbox.desks.books import Advised, Gauge, Seen
    from sandbox.usage.base import UsageRecord, UsageTotals

NOBODY: Final = "(none)"
"""In place of an empty name: a failed request that no provider had, for one."""
_TITLE: Final = "bold $text-accent"
_LABEL: Final = 13


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def money(usd: Decimal, totals: UsageTotals, *, simulated: bool) -> str:
    """A sum; where nothing that it could hold has a price, that."""
    return UNPRICED if not usd and totals.unpriced else dollars(usd, simulated=simulated)


# --- sums -----------------------------------------------------------------------------------------------------------


def sum_lines(seen: Seen, width: int) -> list[Line]:
    """What was spent, and what of it failures, moves to other providers and the cache cost or saved; a line each."""
    totals, simulated = seen.totals, seen.simulated

    def usd(amount: Decimal, *, signed: bool = False) -> str:
        return dollars(amount, simulated=simulated, signed=signed)

    rows: list[tuple[str, str, str, str]] = [
        (
            "spent",
            money(spent_usd(totals), totals, simulated=simulated),
            NAME,
            f"for {counted(totals.requests, 'request')}, {usd(average_cost_usd(totals))} each",
        ),
        (
            "of it waste",
            usd(totals.waste_usd),
            WARN if totals.waste_usd else PLAIN,
            "for answers that were not used" if totals.waste_usd else "nothing was paid in vain",
        ),
        _premium(totals, usd),
        (
            "cache saved",
            usd(totals.saved_usd),
            GOOD if totals.saved_usd else PLAIN,
            f"{counted(totals.cached, 'answer')} from it, {cache_hit_rate(totals):.1f} %",
        ),
        (
            "failed",
            f"{totals.failed:,}",
            BAD if totals.failed else PLAIN,
            f"{success_rate(totals):.1f} % succeeded, {counted(extra_attempts(totals), 'more attempt')}",
        ),
    ]
    if totals.unpriced:
        rows.append(("unpriced", f"{totals.unpriced:,}", WARN, "answered without a known price: in no figure here"))
    if totals.estimated:
        rows.append(("counted here", f"{totals.estimated:,}", PLAIN, "whose tokens no provider told"))
    wide = max(text_width(value) for _, value, _, _ in rows)
    room = max(1, width - _LABEL - wide - 2)
    lines: list[Line] = [
        [(f"{label:<{_LABEL}}", MUTED), (cell(value, wide, right=True), style), (f"  {clip(told, room)}", MUTED)]
        for label, value, style, told in rows
    ]
    if seen.problem is not None:
        lines.append([(clip(seen.problem, width), BAD)])
    return lines


def _premium(totals: UsageTotals, usd: Callable[..., str]) -> tuple[str, str, str, str]:
    premium = totals.premium_usd
    if not totals.failovers:
        return "failing over", usd(Decimal(0)), PLAIN, "nobody moved to another provider"
    style = WARN if premium > 0 else GOOD if premium < 0 else PLAIN
    return "failing over", usd(premium, signed=True), style, f"{counted(totals.failovers, 'move')} to another provider"


# --- the month and its budgets --------------------------------------------------------------------------------------


def month_lines(seen: Seen) -> list[Line]:
    """How this month stands, for what is looked at."""
    outlook, simulated = seen.outlook, seen.simulated
    spent, month, before = (
        dollars(usd, simulated=simulated) for usd in (outlook.spent_usd, outlook.projected_usd, outlook.before_usd)
    )
    line: Line = [
        (f"{utc(outlook.period_start_us):%B}: ", MUTED),
        (spent, NAME),
        (" so far, ", MUTED),
        (month, NAME),
        (" by its end at this pace", MUTED),
    ]
    lines = [line]
    if outlook.before_usd:
        lines.append([(f"the month before: {before}", MUTED)])
    if outlook.unpriced:
        lines.append([(f"{counted(outlook.unpriced, 'unpriced request')} in neither", WARN)])
    return lines


def budget_lines(seen: Seen, width: int) -> list[Line]:
    """The month, and a gauge for each budget."""
    lines = month_lines(seen)
    if not seen.budgets:
        return [*lines, [], [("No budget is set: b sets one.", MUTED)]]
    for one in seen.budgets:
        lines += [[], *_budget(one, width, simulated=seen.simulated)]
    return lines


def _budget(one: Gauge, width: int, *, simulated: bool) -> list[Line]:
    status = one.status
    over = status.projected_monthly_cost > status.limit_usd
    share = f"{status.percentage_used:.1f} %"
    used = f"{dollars(status.used_usd, simulated=simulated)} of {dollars(status.limit_usd)}"
    held = f" ({dollars(status.reserved_usd, simulated=simulated)} held)" if status.reserved_usd else ""
    told = f"{used}{held}  {share:>7}"
    name = clip(whose(status.tenant), max(8, width - len(told) - 2))
    head: Line = [(name, NAME), (" " * max(1, width - text_width(name) - len(told)), PLAIN)]
    head += [(used + held, PLAIN), (f"  {share:>7}", f"$text-{style_of(one)}")]
    if status.used_usd >= status.limit_usd:
        state, style = "used up: free and cached answers only", BAD
    elif status.alert_level is not None:
        state, style = f"past {status.alert_level * 100:g} %", WARN
    else:
        state, style = "", MUTED
    end = f"month end {dollars(status.projected_monthly_cost, simulated=simulated)}"
    foot: Line = [(end, WARN if over else MUTED)]
    if state:
        foot.append((f"{DOT}{state}", style))
    return [head, gauge(one, max(1, width)), foot]


# --- what could be ---------------------------------------------------------------------------------------------------


def advice_lines(advised: Advised | None, width: int, *, simulated: bool) -> list[Line]:
    """The same requests elsewhere, beside what they cost; and what could be saved."""
    if advised is None:
        return [[("looking at what was asked …", MUTED)]]
    lines: list[Line] = [[("What if", _TITLE), *_what_if_head(advised)]]
    lines += what_if_lines(advised.repriced, width, simulated=simulated)
    if advised.problem:
        lines.append([(advised.problem, WARN)])
    if not advised.targets:
        lines.append([("w chooses a model: what the same requests would have cost there.", MUTED)])
    lines += [[], [("What could be saved", _TITLE)]]
    for one in advised.recommendations:
        lines += _recommendation(one, simulated=simulated)
    if not advised.recommendations:
        lines.append([("nothing to recommend", MUTED)])
    return lines


def _what_if_head(advised: Advised) -> Line:
    if not advised.repriced:
        return []
    first = advised.repriced[0]
    return [(f"  {counted(first.requests, 'answered request')}{DOT}prices {first.catalogue}", MUTED)]


def what_if_lines(repriced: Sequence[Repriced], width: int, *, simulated: bool) -> list[Line]:
    """A bar for each model, the first for what was paid; below it what the figure does not know for certain."""
    if not repriced:
        return []
    actual = repriced[0].actual_usd
    # What is estimated is marked like what is simulated: neither was paid.
    rows: list[tuple[str, Decimal | None, str, str, Repriced | None]] = [
        ("as it was", actual, dollars(actual, simulated=simulated), "", None)
    ]
    for one in repriced:
        about = simulated or one.estimated
        difference = one.difference_usd
        signed = (
            "" if difference is None else dollars(difference, simulated=about, signed=True) if difference else "±$0"
        )
        rows.append((one.target, one.cost_usd, dollars(one.cost_usd, simulated=about), signed, one))
    most = max((usd for _, usd, _, _, _ in rows if usd is not None), default=Decimal(0))
    cost, more = max(text_width(row[2]) for row in rows), max(text_width(row[3]) for row in rows)
    name = min(max(text_width(row[0]) for row in rows), max(9, width - cost - more - 12))
    room = max(1, width - name - cost - more - 6)
    lines: list[Line] = []
    for target, usd, told, signed, found in rows:
        share = float(usd / most) if usd is not None and most else 0.0
        drawn = bar(share, room)
        style = GOOD if "-" in signed else WARN if "+" in signed else PLAIN
        lines.append(
            [
                (cell(clip(target, name), name, right=False), NAME),
                (f"  {cell(told, cost, right=True)}  ", PLAIN),
                (f"{cell(signed, more, right=True)}  ", style),
                (drawn, BAR if found is None else "$text-secondary"),
            ]
        )
        if found is not None:
            lines += [[("  an estimate, for ", MUTED), (sentence, MUTED)] for sentence in found.estimates]
            if found.unpriced:
                lines.append([(f"  {counted(found.unpriced, 'request')} unpriced there, not in its cost", WARN)])
    if repriced[0].actual_unpriced:
        lines.append([(f"{counted(repriced[0].actual_unpriced, 'request')} unpriced as they were", WARN)])
    return lines


def _recommendation(one: Recommendation, *, simulated: bool) -> list[Line]:
    line: Line = [("• ", MUTED)]
    if one.saving_usd:
        saving = f"saves {dollars(one.saving_usd, simulated=simulated or one.estimated)}"
        if one.monthly_usd:
            saving += f", {dollars(one.monthly_usd, simulated=simulated or one.estimated)} a month at this pace"
        line.append((f"{saving}: ", GOOD))
    line.append((one.sentence, PLAIN))
    return [line, [(f"  from {one.basis}", MUTED)]]


# --- the table -------------------------------------------------------------------------------------------------------

HEAD: Final = ("requests", "failed", "cached", "tokens", "cost", "waste", "saved", "premium", "unpriced", "avg time")
FIRST_OUT: Final = (10, 8, 3, 2, 7, 4, 6, 9)
"""Columns of a breakdown in the order in which they give way; 0 is the name."""
REQUEST_HEAD: Final = ("time", "request", "tenant", "agent", "answered by", "moves", "tokens", "cost", "took")
REQUEST_FIRST_OUT: Final = (3, 2, 1, 5, 6)
REQUEST_RIGHT: Final = frozenset({6, 7, 8})
_LONGEST: Final = 40
"""Columns that a name may have."""


def sums_row(key: str, totals: UsageTotals, *, simulated: bool) -> tuple[str, ...]:
    """One row of a breakdown, as `sandbox costs` tells it; empty cells where nothing happened."""

    def usd(amount: Decimal, *, signed: bool = False) -> str:
        return dollars(amount, simulated=simulated, signed=signed) if amount else ""

    return (
        clip(key or NOBODY, _LONGEST),
        f"{totals.requests:,}",
        f"{totals.failed:,}" if totals.failed else "",
        f"{totals.cached:,}" if totals.cached else "",
        f"{totals.tokens:,}",
        money(totals.cost_usd, totals, simulated=simulated),
        usd(totals.waste_usd),
        usd(totals.saved_usd),
        usd(totals.premium_usd, signed=True),
        f"{totals.unpriced:,}" if totals.unpriced else "",
        duration_ms(average_latency_ms(totals)) if totals.requests else "",
    )


def request_row(record: UsageRecord, known: Collection[str], *, simulated: bool) -> tuple[str, ...]:
    """One request: when, whose, who answered, and what it cost. Whose it is may be `known` already."""
    if record.success:
        answered = f"{OK} {record.provider} {record.model}{' (cached)' if record.cached else ''}"
    else:
        answered = f"{FAILED} {record.error_type}"
    return (
        f"{utc(record.timestamp_us).astimezone():%m-%d} {local_time(record.timestamp_us)}",
        record.request_id[:8],
        "" if "tenant" in known else clip(record.tenant_id, 16),
        "" if "agent" in known else clip(record.agent_id, 16),
        clip(answered, _LONGEST),
        f"{FAILOVER}{record.failovers}" if record.failovers else "",
        f"{record.tokens_used:,}",
        dollars(record.estimated_cost, simulated=simulated),
        duration_ms(record.latency_ms),
    )
