"""Times as callers give them: naive is UTC, an end at midnight includes its day, the machine's zone does not matter."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from providers.errors import InputError
from sandbox.costs.spans import look_back, moment_us, span
from tests.contract.usage_records import DAY_US, HOUR_US, START_US

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2025, 1, 1), START_US),
        (date(2025, 1, 1), START_US),
        (datetime(2025, 1, 1, tzinfo=UTC), START_US),
        (datetime(2025, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), START_US),
        (datetime(2025, 1, 1, 0, 0, 0, 7), START_US + 7),
        (datetime(2024, 12, 31, 19, tzinfo=ZoneInfo("America/New_York")), START_US),
    ],
)
def test_a_naive_moment_is_utc(moment: datetime | date, expected: int) -> None:
    assert moment_us(moment) == expected


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (datetime(2025, 1, 31), START_US + 31 * DAY_US),
        (date(2025, 1, 31), START_US + 31 * DAY_US),
        (datetime(2025, 1, 31, 12), START_US + 30 * DAY_US + 12 * HOUR_US),
        (datetime(2025, 1, 31, 0, 0, 0, 1), START_US + 30 * DAY_US + 1),
        (datetime(2024, 2, 28), START_US - 307 * DAY_US),
        (datetime(2025, 3, 30, tzinfo=BERLIN), START_US + 89 * DAY_US - 2 * HOUR_US),
        (datetime(2025, 10, 26, tzinfo=BERLIN), START_US + 299 * DAY_US - HOUR_US),
    ],
    ids=["midnight", "date", "noon", "just after", "day before a leap day", "day of 23 hours", "day of 25 hours"],
)
def test_an_end_at_midnight_includes_its_day(end: datetime | date, expected: int) -> None:
    assert span(None, end) == (None, expected)


def test_a_start_and_an_end_on_one_day_are_that_day() -> None:
    day = datetime(2024, 2, 29)
    assert span(day, day).until_us - span(day, day).since_us == DAY_US  # type: ignore[operator]


def test_a_start_after_its_end_is_refused_and_the_last_day_is_not() -> None:
    with pytest.raises(InputError, match="2025-02-01T00:00:00 is not before the end 2025-01-01"):
        span(datetime(2025, 2, 1), datetime(2025, 1, 1))
    assert span(None, datetime.max.replace(hour=0, minute=0, second=0, microsecond=0)).until_us is not None


@pytest.mark.parametrize(("text", "back"), [("24h", DAY_US), ("7d", 7 * DAY_US), ("90m", 90 * 60_000_000)])
def test_looking_back_has_no_end(text: str, back: int) -> None:
    assert look_back(text, START_US) == (START_US - back, None)
    assert look_back("280w", HOUR_US) == (0, None)


@pytest.mark.parametrize("text", ["", "0h", "-1d", "yesterday", "1e9999d", "24 parsecs", "9999999w", "nan"])
def test_what_is_no_duration_is_refused_with_its_option(text: str) -> None:
    with pytest.raises(InputError, match="--since is"):
        look_back(text, START_US, option="--since")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"])
def test_a_machine_elsewhere_reports_the_same(zone: str) -> None:
    program = """
from datetime import date, datetime
from sandbox.costs.spans import span
from sandbox.usage import periods
start, end = span(datetime(2025, 3, 1), date(2025, 3, 31))
print(start, end, periods.name(start, "hour"), periods.name(end, "month"), periods.floor(end - 1, "month") == start)
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    march = START_US + 59 * DAY_US
    assert run.stdout.split() == [str(march), str(march + 31 * DAY_US), "2025-03-01T00:00Z", "2025-04", "True"]
