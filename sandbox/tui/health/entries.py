"""One provider as the Health room draws it: as a card, as a row, and at length. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from sandbox.core.events import BreakerChanged, HealthChecked, ProviderDisabled
from sandbox.core.figures import SIMULATED_MARK, dollars, duration_ms
from sandbox.desks.ward import ProviderView
from sandbox.gateway.breaker import BreakerPolicy, Snapshot
from sandbox.health.history import Tally
from sandbox.tui.health.boxes import ends, fitted, gauge, latency_curve, success_curve, width_of
from sandbox.tui.pieces import (
    BAD,
    DOT,
    FAILED,
    GOOD,
    MUTED,
    NAME,
    OK,
    PLAIN,
    SHAPE_STYLES,
    SHAPES,
    SPINNER,
    WARN,
    Line,
    local_time,
)
from sandbox.tui.story import breaker_state

LABEL: Final = 9
_HEIGHT: Final = 7
_FIGURE: Final = 10
_SQUARES: Final = 10
STATE: Final = 17
"""Columns of a state in a row."""
SHORT_STATE: Final = 14
_TIGHT: Final = 58
"""Columns of a row below which its state has the fewer."""
_WORDS: Final = {
    "closed": "closed",
    "half_open": "half open",
    "open": "open",
    "forced_open": "held open",
    "forced_closed": "held closed",
    "disabled": "unguarded",
}
_MEANS: Final = {
    "half_open": "one probe is let through; how it ends decides",
    "forced_open": "nobody asks it until the breaker is reset (r)",
    "forced_closed": "it is asked whatever happens, until the breaker is reset (r)",
    "disabled": "its breaker counts nothing and lets everything through, until it is reset (r)",
}


class Entry(Protocol):
    """Something whose health is shown."""

    @property
    def id(self) -> str: ...

    @property
    def words(self) -> str:
        """What a filter looks for, in small letters."""
        ...

    def title(self) -> Line: ...

    def state(self, *, full: bool = False) -> Line:
        """A shape and a word or two; in full a few more."""
        ...

    @property
    def height(self) -> int:
        """How many lines a card has, without its border."""
        ...

    def body(self, width: int) -> list[Line]:
        """A card's lines."""
        ...

    def row(self, width: int, name: int) -> Line:
        """All of it in a line; `name`: columns of the longest name."""
        ...

    def detail(self, width: int) -> list[Line]: ...


def seconds(count: float) -> str:
    """Whole seconds: `12 s`, `4 min 05 s`."""
    return f"{count:.0f} s" if count < 99.5 else duration_ms(count * 1000)


def fact(label: str, *pieces: tuple[str, str]) -> Line:
    return [(f"{label:<{LABEL}}", MUTED), *pieces]


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    provider: ProviderView
    now_us: int
    simulated: bool
    levels: str
    """The heights of a curve."""
    fault: str | None = None
    """What is provoked on it."""
    asked: bool = False
    """Whether somebody waits for its answer to a check."""

    @property
    def id(self) -> str:
        return self.provider.id

    @property
    def words(self) -> str:
        status = self.provider.status
        state = "".join(text for text, _ in self.state())
        return f"provider {status.id} {status.kind} {status.model} {state} {self.fault or ''} {self.trouble}".lower()

    @property
    def trouble(self) -> str:
        """What is wrong with it now or was last, in a sentence; empty: nothing."""
        provider = self.provider
        if provider.light.disabled is not None:
            return provider.light.disabled
        if provider.check is not None and not provider.check.is_healthy and provider.check.error:
            return provider.check.error
        return provider.status.last_error or ""

    def title(self) -> Line:
        return [(self.id, NAME)]

    def state(self, *, full: bool = False) -> Line:
        light = self.provider.light
        shape = light.shape
        words = "disabled" if shape == "disabled" else _WORDS[light.state]
        if shape == "disabled" and self.provider.retest_us is not None and full:
            words += f"{DOT}asked again in {seconds(max(0, self.provider.retest_us - self.now_us) / 1e6)}"
        left = light.remaining_s(self.now_us)
        if left is not None:
            words += f"{DOT}{'probe in ' if full else ''}{seconds(left)}" if left else f"{DOT}probe next"
        unusual = light.state in ("forced_closed", "disabled")
        style = WARN if unusual or shape == "half_open" else PLAIN if shape == "closed" else BAD
        return [(f"{SHAPES[shape]} ", SHAPE_STYLES[shape]), (words, style)]

    # --- as a card ------------------------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        return _HEIGHT

    def body(self, width: int) -> list[Line]:
        room = max(1, width - LABEL - _FIGURE - 1)
        status, window = self.provider.status, self.provider.window.both
        trouble = self.trouble
        counts = f"{status.attempts:,}{DOT}{self._failed:,} failed"
        average = f"{DOT}avg {self._ms(status.average_latency_ms)}" if status.attempts > self._failed else ""
        return [
            ends([(status.model, MUTED)], self._fault(), width),
            [
                *fact("latency", *latency_curve(self.provider.curve, room, self.levels)),
                self._figure(self._latency(window)),
            ],
            [*fact("success", *success_curve(self.provider.curve, room, self.levels)), self._figure(_rate(window))],
            fact("breaker", *self._fill(width - LABEL)),
            fact("requests", (counts + average, PLAIN) if status.attempts else ("none yet", MUTED)),
            fact("check", *self._checked()),
            [(trouble, BAD if self._is_bad else MUTED)] if trouble else [],
        ]

    def _fault(self) -> Line:
        return [(f"!{self.fault}", WARN)] if self.fault else []

    def _figure(self, text: str) -> tuple[str, str]:
        return (f" {text:>{_FIGURE}}", PLAIN)

    @property
    def _failed(self) -> int:
        status = self.provider.status
        return status.attempts - round(status.attempts * status.success_rate)

    @property
    def _is_bad(self) -> bool:
        """Whether what is told of its trouble holds now."""
        check = self.provider.check
        return self.provider.light.shape != "closed" or (check is not None and not check.is_healthy)

    def _ms(self, value: float) -> str:
        return f"{SIMULATED_MARK if self.simulated else ''}{duration_ms(value)}"

    def _latency(self, tally: Tally) -> str:
        average = tally.average_latency_ms
        return "–" if average is None else self._ms(average)

    def _checked(self) -> Line:
        check = self.provider.check
        if self.asked:
            frame = self.now_us // 100_000
            return [(f"{SPINNER[frame % len(SPINNER)]} asking …", WARN)]
        if check is None:
            return [("not yet: v asks", MUTED)]
        ago = f"{DOT}{seconds(max(0, self.now_us - check.t_us) / 1e6)} ago"
        if check.is_healthy:
            return [(f"{OK} ", GOOD), (self._ms(check.latency_ms or 0.0), PLAIN), (ago, MUTED)]
        return [(f"{FAILED} {_wrong(check)}", BAD), (ago, MUTED)]

    # --- the breaker ----------------------------------------------------------------------------------------------

    def _fill(self, room: int) -> Line:
        """How near it is to opening."""
        snapshot, policy = self.provider.status.breaker, self.provider.policy
        told = fill_words(snapshot, policy)
        if policy is not None and policy.mode == "off":
            return [(told, MUTED)]
        opened = self._opened()
        if opened is not None and self.provider.light.state == "open":
            # It counts nothing while it is open: what had opened it says more.
            return [(opened.reason, BAD)]
        squares = max(0, min(_SQUARES, room - len(told) - 1))
        full = snapshot.failures >= snapshot.threshold
        style = "$error" if full else "$warning" if snapshot.failures else "$success"
        return [
            *(gauge(snapshot.failures, snapshot.threshold, squares, style) if squares > 1 else []),
            (f" {told}", PLAIN),
        ]

    # --- as a row -------------------------------------------------------------------------------------------------

    def row(self, width: int, name: int) -> Line:
        window = self.provider.window.both
        state = self.state()
        right: Line = [
            (f"{self._latency(window):>9}", PLAIN),
            (f"{_rate(window):>7}", BAD if window.failures else PLAIN),
            (f" {self.provider.status.breaker.failures}/{self.provider.status.breaker.threshold}", MUTED),
        ]
        fault: Line = [(" ", PLAIN), *self._fault()]
        wide = STATE if width >= _TIGHT else SHORT_STATE
        name = min(name, width - wide - width_of(right) - 2)
        left: Line = [*fitted([(self.id, NAME), *fault], name + 1), *fitted(state, wide)]
        room = width - width_of(left) - width_of(right) - 1
        curve = success_curve(self.provider.curve, room, self.levels) if room >= 6 else []
        return ends([*left, *curve], right, width)

    # --- at length ------------------------------------------------------------------------------------------------

    def detail(self, width: int) -> list[Line]:
        provider, status = self.provider, self.provider.status
        policy = provider.policy
        lines: list[Line] = [[*self.state(full=True), (self._why(), MUTED)]]
        if provider.light.disabled is not None:
            lines.append([(f"{provider.light.disabled}. e puts it back and asks it again.", BAD)])
        if self.fault:
            lines.append([(f"!{self.fault} is provoked on it: f in the Playground heals it.", WARN)])
        traffic, checks, both = provider.window.traffic, provider.window.checks, provider.window.both
        room = max(1, width - LABEL - 32)
        slowest = f"{DOT}slowest {self._ms(both.slowest_ms)}" if both.successes else ""
        shares = f"{DOT}{_share(traffic, 'request')}{_share(checks, 'check')}".removesuffix(DOT)
        lines += [
            [
                *fact("latency", *latency_curve(provider.curve, room, self.levels)),
                (f"  {self._latency(both)}{slowest}", PLAIN),
            ],
            [*fact("success", *success_curve(provider.curve, room, self.levels)), (f"  {_rate(both)}{shares}", PLAIN)],
            fact("breaker", *self._fill(width), (DOT + _recovers(policy) if policy is not None else "", MUTED)),
            fact("check", *self._checked(), *self._looked()),
        ]
        if status.attempts:
            told = (
                f"{status.attempts:,} tried since the start{DOT}{self._failed:,} failed{DOT}"
                f"average {self._ms(status.average_latency_ms)}{DOT}"
                f"{dollars(Decimal(status.cost_usd), simulated=self.simulated)}"
            )
            lines.append(fact("requests", (told, PLAIN)))
        else:
            lines.append(fact("requests", ("none since the start: 1 goes to the Playground", MUTED)))
        if provider.failure is not None:
            failure = provider.failure
            at = local_time(failure.t_us)
            lines.append(fact("failed", (f"{at} {failure.error_type}: ", MUTED), (failure.message, PLAIN)))
        elif status.last_error:
            lines.append(fact("failed", (status.last_error, PLAIN)))
        if provider.check is not None and provider.check.error:
            lines.append(fact("", (f"{local_time(provider.check.t_us)} check: ", MUTED), (provider.check.error, PLAIN)))
        lines.append(
            fact("model", (f"{status.model}{DOT}{status.kind}" if status.kind != self.id else status.model, PLAIN))
        )
        for number, change in enumerate(reversed(provider.changes)):
            lines.append(fact("" if number else "changes", (f"{local_time(change.t_us)} ", MUTED), *_told(change)))
        return lines

    def _why(self) -> str:
        """What its state means, or why it is in it."""
        light = self.provider.light
        if light.shape == "disabled":
            return ""
        if light.state in _MEANS:
            return f"{DOT}{_MEANS[light.state]}"
        opened = self._opened()
        return f"{DOT}since {local_time(opened.t_us)}" if opened is not None and light.state == "open" else ""

    def _opened(self) -> BreakerChanged | None:
        """The last change of its breaker."""
        return next((one for one in reversed(self.provider.changes) if isinstance(one, BreakerChanged)), None)

    def _looked(self) -> Line:
        check = self.provider.check
        if check is None or self.asked:
            return []
        told = [
            f"{word if value else f'not {word}'}"
            for word, value in (
                ("reachable", check.reachable),
                ("authenticated", check.authenticated),
                ("fast enough", check.fast_enough),
            )
            if value is not None
        ]
        return [(f"{DOT}{', '.join(told)}", MUTED)] if told else []


def _rate(tally: Tally) -> str:
    rate = tally.success_rate
    return "–" if rate is None else f"{rate * 100:.0f} %" if rate in (0, 1) else f"{rate * 100:.1f} %"


def _share(tally: Tally, what: str) -> str:
    if not tally.calls:
        return ""
    return f"{tally.calls:,} {what}{'' if tally.calls == 1 else 's'}{DOT}"


def _wrong(check: HealthChecked) -> str:
    """In a word or two; the whole error is told below."""
    if check.reachable is False:
        return "not reached"
    if check.authenticated is False:
        return "key refused"
    return "too slow" if check.fast_enough is False else "failed"


def fill_words(snapshot: Snapshot, policy: BreakerPolicy | None) -> str:
    """How many failures count now, and how many open it."""
    if policy is None:
        return f"{snapshot.failures} failed, by rules of its own"
    if policy.mode == "off":
        return "none: everything is let through"
    if policy.mode == "consecutive":
        return f"{snapshot.failures} of {snapshot.threshold} in a row"
    if policy.mode == "window":
        return f"{snapshot.failures} of {snapshot.threshold} in {policy.window:g} s"
    return f"{snapshot.failures} failed, {policy.failure_rate:.0%} of {policy.minimum_calls}+ in {policy.window:g} s"


def _recovers(policy: BreakerPolicy) -> str:
    """What follows once it opens."""
    if policy.mode == "off":
        return "the preset has no breaker"
    probes = "a probe" if policy.success_threshold == 1 else f"{policy.success_threshold} probes"
    return f"opens for {policy.recovery_timeout:g} s, then {probes}"


def _told(change: BreakerChanged | object) -> Line:
    if isinstance(change, BreakerChanged):
        state = breaker_state(change)
        words = f"{_WORDS[change.from_state]} → {_WORDS[state]}"
        style = BAD if state in ("open", "forced_open") else GOOD if state == "closed" else WARN
        return [(words, style), (f"  {change.reason}", PLAIN)]
    if isinstance(change, ProviderDisabled):
        return [("out of rotation", BAD), (f"  {change.reason}", PLAIN)]
    return [("in rotation again", GOOD), (f"  {getattr(change, 'reason', '')}", PLAIN)]
