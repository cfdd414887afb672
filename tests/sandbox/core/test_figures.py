from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.figures import dollars, duration_ms, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unpriced"),
        ("0", "$0"),
        ("0.0184", "$0.0184"),
        ("0.004123", "$0.00412"),
        ("0.0000875", "$0.0000875"),
        ("0.1", "$0.10"),
        ("1.5", "$1.50"),
        ("12.3456", "$12.35"),
        ("1234.5", "$1,234.50"),
        ("-0.0005", "-$0.0005"),
        ("0.000000000001", "$0.000000000001"),
    ],
)
def test_money(value: str | None, text: str) -> None:
    assert dollars(None if value is None else Decimal(value)) == text


def test_money_says_what_it_is() -> None:
    assert dollars(Decimal("0.5"), simulated=True) == "~$0.50"
    assert dollars(Decimal("0.5"), signed=True) == "+$0.50"
    assert dollars(Decimal("-0.5"), simulated=True, signed=True) == "~-$0.50"
    assert dollars(Decimal(0), signed=True) == "$0"


@given(st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e9"), places=12))
def test_money_is_never_rounded_to_nothing(value: Decimal) -> None:
    shown = Decimal(dollars(value).removeprefix("$").replace(",", ""))
    assert shown > 0
    assert abs(shown - value) <= max(value / 100, Decimal("0.005"))


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.42, "0.4 ms"),
        (9.96, "10 ms"),
        (812, "812 ms"),
        (9999.4, "9999 ms"),
        (12_345, "12.3 s"),
        (245_000, "4 min 05 s"),
        (86_400_000, "1440 min 00 s"),
        (1_641_600_000, "19 days"),
    ],
)
def test_durations(milliseconds: float, text: str) -> None:
    assert duration_ms(milliseconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (512, "512 B"), (1536, "1.5 KiB"), (2**30, "1.0 GiB"), (2**50, "1024.0 TiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
