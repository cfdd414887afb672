"""The breaker in small cases worked out by hand. Times are seconds on a clock that only the test moves."""

from __future__ import annotations

import pytest

from sandbox.gateway.breaker import BreakerPolicy, CircuitBreaker, Transition
from sandbox.gateway.policies import PRESETS


class Case:
    def __init__(self, mode: str, **settings: object) -> None:
        self._now_us = 0
        self.changes: list[Transition] = []
        self.breaker = CircuitBreaker(BreakerPolicy(mode, **settings), self, self.changes.append)  # type: ignore[arg-type]

    def monotonic(self) -> float:
        return self._now_us / 1e6

    def at(self, seconds: float) -> Case:
        moment = round(seconds * 1e6)
        assert moment >= self._now_us
        self._now_us = moment
        return self

    def admit(self) -> int:
        permit = self.breaker.admit()
        assert permit is not None, f"refused at {self.monotonic()} s"
        return permit

    def fail(self, *, retry_after: float | None = None, seconds: float = 0.0) -> None:
        self.breaker.failure(self.admit(), seconds, retry_after=retry_after)

    def succeed(self, *, seconds: float = 0.0) -> None:
        self.breaker.success(self.admit(), seconds)

    def skip(self) -> None:
        self.breaker.neutral(self.admit())

    def refuses(self) -> bool:
        would = self.breaker.would_admit()
        refused = self.breaker.admit() is None
        assert would is not refused
        return refused

    @property
    def state(self) -> str:
        return self.breaker.state

    def path(self) -> list[str]:
        return [change.to_state for change in self.changes]


def test_consecutive_counts_in_a_row_and_a_success_begins_anew() -> None:
    """Threshold 3. F F S F F: the longest run is 2, closed. One more F: a run of 3, open."""
    case = Case("consecutive", failure_threshold=3)
    case.fail()
    case.fail()
    case.succeed()
    case.fail()
    case.fail()
    assert (case.state, case.breaker.snapshot().failures) == ("closed", 2)
    case.fail()
    assert case.state == "open"


def test_consecutive_goes_by_completion_not_by_admission() -> None:
    """Threshold 2. Admitted a, b, c; completed b fails, a succeeds, c fails.

    By completion the run at the end is 1. By admission it would be S F F, a run of 2.
    """
    case = Case("consecutive", failure_threshold=2)
    a, b, c = case.admit(), case.admit(), case.admit()
    case.breaker.failure(b)
    case.breaker.success(a)
    case.breaker.failure(c)
    assert case.state == "closed"
    case.fail()
    assert case.state == "open"


def test_consecutive_does_not_care_how_much_time_lies_between() -> None:
    """Threshold 2, failures at 0 s and 100,000 s: nothing succeeded in between, so the run is 2."""
    case = Case("consecutive", failure_threshold=2)
    case.fail()
    case.at(100_000).fail()
    assert case.state == "open"


def test_a_failure_exactly_one_window_old_no_longer_counts() -> None:
    """Threshold 3 in 60 s. Failures at 0, 30 and 60 s: the first is exactly 60 s old, 2 count. At 89.999999 s the
    one of 30 s is 59.999999 s old and counts: 30, 60, 89.999999 make 3."""
    case = Case("window", failure_threshold=3, window=60.0)
    case.fail()
    case.at(30).fail()
    case.at(60).fail()
    assert (case.state, case.breaker.snapshot().failures) == ("closed", 2)
    case.at(89.999999).fail()
    assert case.state == "open"


def test_a_failure_one_microsecond_short_of_the_window_counts() -> None:
    """Threshold 2 in 60 s. Failures at 0.1 s and 60.099999 s are 59.999999 s apart: both count."""
    case = Case("window", failure_threshold=2, window=60.0)
    case.at(0.1).fail()
    case.at(60.099999).fail()
    assert case.state == "open"


@pytest.mark.parametrize("start", [0.0, 0.1, 0.7, 1.1, 1234.567891, 98_765.432101])
def test_the_windows_end_is_exact_wherever_it_begins(start: float) -> None:
    """Threshold 2 in 0.3 s. The sum `start + 0.3` is not a round float for most of these; the rule is the same."""
    for gap, expected in ((0.299999, "open"), (0.3, "closed")):
        case = Case("window", failure_threshold=2, window=0.3)
        case.at(start).fail()
        case.at(start + gap).fail()
        assert case.state == expected


def test_window_is_not_reset_by_successes() -> None:
    """Threshold 3 in 60 s: F S F S F within 4 s has 3 failures."""
    case = Case("window", failure_threshold=3)
    for second, one in enumerate((case.fail, case.succeed, case.fail, case.succeed, case.fail)):
        case.at(second)
        one()
    assert case.state == "open"


def test_rate_waits_for_its_minimum_and_a_success_may_complete_it() -> None:
    """Minimum 4, rate 0.5. F F S: 2 of 3 failed, too few calls to judge. One more S: 2 of 4 = 0.5, open."""
    case = Case("rate", minimum_calls=4, failure_rate=0.5)
    case.fail()
    case.fail()
    case.succeed()
    assert case.state == "closed"
    case.succeed()
    assert case.state == "open"
    assert case.changes[0].reason == "2 of 4 calls failed within 60 s"


def test_a_rate_of_seven_tenths_means_seven_of_ten() -> None:
    """Minimum 10, rate 0.7. 3 S then 6 F: 9 calls. The 7th F makes 7 of 10; 0.7 × 10 as floats is a little over 7."""
    case = Case("rate", minimum_calls=10, failure_rate=0.7)
    for _ in range(3):
        case.succeed()
    for _ in range(6):
        case.fail()
    assert case.state == "closed"
    case.fail()
    assert case.state == "open"


def test_rate_forgets_calls_that_have_left_the_window() -> None:
    """Minimum 2, rate 0.7, window 10 s. S at 0 s, F at 9 s: 1 of 2. F at 10 s: S is exactly 10 s old, so 2 of 2
    failed; with S it would be 2 of 3 = 0.67, which is less."""
    case = Case("rate", minimum_calls=2, failure_rate=0.7, window=10.0)
    case.succeed()
    case.at(9).fail()
    assert case.state == "closed"
    case.at(10).fail()
    assert case.state == "open"


def test_slow_calls_open_any_mode() -> None:
    """Slow from 2 s on, rate 0.5, minimum 4. 0.1, 1.999999, 2, 2 seconds: 2 of 4 are slow. All of them succeeded."""
    for mode in ("consecutive", "window", "rate"):
        case = Case(mode, slow_call_seconds=2.0, slow_call_rate=0.5, minimum_calls=4)
        for seconds in (0.1, 1.999999, 2.0):
            case.succeed(seconds=seconds)
        assert case.state == "closed"
        case.succeed(seconds=2.0)
        assert case.state == "open"


def test_a_call_exactly_at_the_end_of_the_recovery_is_the_probe() -> None:
    """Opened at 5 s for 30 s: 34.999999 s is refused with 1 µs to go, 35 s is the probe, and its success closes."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=30.0)
    case.at(5).fail()
    assert case.changes[0].until == 35.0
    assert case.at(34.999999).refuses()
    assert case.breaker.retry_after() == pytest.approx(1e-6)
    case.at(35).succeed()
    assert case.path() == ["open", "half_open", "closed"]


@pytest.mark.parametrize("start", [0.1, 0.7, 1.1, 1234.567891, 98_765.432101])
def test_the_recoverys_end_is_exact_wherever_it_begins(start: float) -> None:
    """Open for 0.3 s: one microsecond before the end is refused, the end itself is not."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=0.3)
    case.at(start).fail()
    assert case.at(start + 0.299999).refuses()
    assert not case.at(start + 0.3).refuses()


def test_one_probe_at_a_time_and_a_neutral_one_gives_its_place_back() -> None:
    """One permit. The second caller is refused while the first is out; after its neutral end the third is a probe."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=10.0)
    case.fail()
    first = case.at(10).admit()
    assert case.refuses()
    case.breaker.neutral(first)
    assert case.state == "half_open"
    case.succeed()
    assert case.state == "closed"


def test_several_permits_and_successes() -> None:
    """Two permits, three successes needed. a, b out: a third is refused. a succeeds (1), its place goes to c;
    c succeeds (2); b succeeds (3): closed."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=10.0, half_open_permits=2, success_threshold=3)
    case.fail()
    a, b = case.at(10).admit(), case.admit()
    assert case.refuses()
    case.breaker.success(a)
    c = case.admit()
    assert case.refuses()
    case.breaker.success(c)
    assert case.state == "half_open"
    case.breaker.success(b)
    assert case.state == "closed"


def test_one_failed_probe_undoes_the_successes_before_it() -> None:
    """Three successes needed: S S F re-opens; after the next recovery it needs three again, not one."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=10.0, success_threshold=3)
    case.fail()
    case.at(10).succeed()
    case.succeed()
    case.fail()
    assert case.state == "open"
    case.at(20).succeed()
    case.succeed()
    assert case.state == "half_open"
    case.succeed()
    assert case.state == "closed"


def test_each_reopening_in_a_row_lasts_longer_up_to_the_cap() -> None:
    """Recovery 10 s, × 2, cap 35 s: open at 0 until 10; re-opened until 10 + 20 = 30; until 30 + 35 (not 40) = 65;
    until 65 + 35 = 100. Then it closes at 100, and the next opening, at 100, lasts 10 s again."""
    case = Case(
        "consecutive", failure_threshold=1, recovery_timeout=10.0, backoff_multiplier=2.0, max_recovery_timeout=35.0
    )
    case.fail()
    for probe in (10, 30, 65):
        assert case.at(probe - 0.000001).refuses()
        case.at(probe).fail()
    case.at(100).succeed()
    case.fail()
    assert [change.until for change in case.changes if change.to_state == "open"] == [10, 30, 65, 100, 110]


def test_a_longer_retry_after_extends_and_a_shorter_one_does_not_shorten() -> None:
    """Recovery 30 s. Retry-After 5 s at 0 s: until 30. Retry-After 120 s of the probe at 30 s: until 150."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=30.0)
    case.fail(retry_after=5.0)
    assert case.breaker.retry_after() == 30.0
    case.at(30).fail(retry_after=120.0)
    assert case.breaker.retry_after() == 120.0
    assert case.at(149.999999).refuses()
    assert not case.at(150).refuses()


def test_a_retry_after_that_comes_while_open_only_moves_the_probe_later() -> None:
    """Three calls are out. The first fails at 1 s: open until 31. The second brings 60 s at 2 s: until 62.
    The third brings 10 s at 3 s, which would be 13: still 62."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=30.0)
    first, second, third = case.admit(), case.admit(), case.admit()
    case.at(1).breaker.failure(first)
    case.at(2).breaker.failure(second, retry_after=60.0)
    case.at(3).breaker.failure(third, retry_after=10.0)
    assert case.path() == ["open"]
    assert case.at(61.999999).refuses()
    assert not case.at(62).refuses()


def test_a_late_result_counts_in_no_other_generation() -> None:
    """Two calls are admitted while closed; one opens it. The other's success neither closes it while open, nor is it
    the probe's verdict while half open, and its twin's failure does not count after it has closed."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=10.0)
    opens, late_success, late_failure = case.admit(), case.admit(), case.admit()
    case.breaker.failure(opens)
    case.breaker.success(late_success)
    assert case.state == "open"
    probe = case.at(10).admit()
    case.breaker.success(late_success)
    assert case.state == "half_open"
    assert case.refuses()
    case.breaker.success(probe)
    case.breaker.failure(late_failure)
    assert case.state == "closed"
    assert case.breaker.snapshot().failures == 0


def test_neutral_counts_nowhere_and_resets_nothing() -> None:
    """Threshold 2 in a row: F, neutral, F is a run of 2. Rate, minimum 2: F, neutral is one call, too few."""
    case = Case("consecutive", failure_threshold=2)
    case.fail()
    case.skip()
    case.fail()
    assert case.state == "open"
    case = Case("rate", minimum_calls=2, failure_rate=0.5)
    case.fail()
    case.skip()
    assert case.state == "closed"


def test_closing_clears_the_counts() -> None:
    """Threshold 2 in 60 s. F F at 0 s opens, a probe at 10 s closes. One F at 11 s is the only one that counts."""
    case = Case("window", failure_threshold=2, window=60.0, recovery_timeout=10.0)
    case.fail()
    case.fail()
    case.at(10).succeed()
    case.at(11).fail()
    assert (case.state, case.breaker.snapshot().failures) == ("closed", 1)


def test_by_hand() -> None:
    """Threshold 1. Forced open: refused for ever. Forced closed and disabled: 100 failures change nothing. Reset: as
    new, and a call admitted before it no longer counts."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=10.0)
    case.breaker.force_open()
    assert case.at(1_000_000).refuses()
    assert case.breaker.retry_after() is None
    for by_hand, state in ((case.breaker.force_close, "forced_closed"), (case.breaker.disable, "disabled")):
        by_hand()
        for _ in range(100):
            case.fail(retry_after=60.0)
        assert case.state == state
    early = case.admit()
    case.breaker.reset()
    case.breaker.failure(early)
    assert case.state == "closed"
    case.fail()
    assert case.state == "open"


def test_reset_forgets_the_reopenings_too() -> None:
    """Recovery 10 s × 3: opened at 0, re-opened at 10 for 30 s. After a reset at 11 s the next opening lasts 10 s."""
    case = Case("consecutive", failure_threshold=1, recovery_timeout=10.0, backoff_multiplier=3.0)
    case.fail()
    case.at(10).fail()
    assert case.breaker.retry_after() == 30.0
    case.at(11).breaker.reset()
    case.fail()
    assert case.breaker.retry_after() == 10.0


def test_a_recovery_that_has_grown_for_hours_does_not_overflow() -> None:
    """Recovery 1 s × 10, cap 60 s, re-opened 2,000 times in a row: 10 ** 2000 is no float, the cap is."""
    case = Case(
        "consecutive", failure_threshold=1, recovery_timeout=1.0, backoff_multiplier=10.0, max_recovery_timeout=60.0
    )
    case.fail()
    for _ in range(2000):
        wait = case.breaker.retry_after()
        assert wait is not None
        assert wait <= 60.0
        case.at(case.monotonic() + wait).fail()
    assert case.breaker.retry_after() == 60.0


@pytest.mark.parametrize(
    ("preset", "provider", "mode", "threshold", "recovery"),
    [
        ("sandbox", "openai", "window", 5, 30.0),
        ("happyos", "bedrock", "consecutive", 3, 30.0),
        ("happyos", "openai", "consecutive", 5, 30.0),
        ("greenlang", "openai", "consecutive", 5, 60.0),
        ("aiworld", "azure_openai", "window", 5, 30.0),
    ],
)
def test_the_presets_breakers(preset: str, provider: str, mode: str, threshold: int, recovery: float) -> None:
    """One failure fewer than the threshold leaves it closed, that one opens it for the preset's time; a window is
    60 s, and a failure in a row with a success between is none."""
    policy = PRESETS[preset].breaker_for(provider)
    for between, expected in (("success", mode == "window"), ("nothing", True)):
        case = Case(mode)
        case.breaker = CircuitBreaker(policy, case, case.changes.append)  # type: ignore[arg-type]
        for _ in range(threshold - 1):
            case.fail()
        assert case.state == "closed"
        if between == "success":
            case.succeed()
        case.at(59.999999).fail()
        assert (case.state == "open") is expected
    assert case.breaker.retry_after() == recovery


def test_the_preset_of_one_backend_has_no_breaker() -> None:
    case = Case("off")
    case.breaker = CircuitBreaker(PRESETS["unified"].breaker_for("anthropic"), case, case.changes.append)  # type: ignore[arg-type]
    for _ in range(100):
        case.fail(retry_after=60.0)
    assert not case.refuses()
    assert case.changes == []
